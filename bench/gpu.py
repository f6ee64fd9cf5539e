#!/usr/bin/env python3
"""Puts what bench/gpu.sh has collected into one JSON file, with the model's prediction (cuda/model.py)
beside every figure.

    gpu.py FOLDER OUT
"""

import datetime
import json
import os
import statistics
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cuda"))

import model  # noqa: E402

TEXT_BYTES = 20000  # of a tool's output


def read(folder, name):
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def parse(text):
    """None where a step ended in the middle of the text."""
    try:
        return json.loads(text)
    except ValueError:
        return None


def lines_of_json(text):
    rows = [parse(line.strip().rstrip(",")) for line in (text or "").splitlines()]
    return [row for row in rows if isinstance(row, dict)]


def kernel_rows(text):
    """The complete rows of bench_cuda, also where a hang or a fault ended it."""
    complete = parse(text or "null")
    if complete or not text:
        return complete
    head = parse(text.split('"rows"')[0].rstrip().rstrip(",") + "}") or {"device": ""}
    rows = [row for row in lines_of_json(text) if "variant" in row]
    return {**head, "rows": rows, "incomplete": True}


def clocks(text):
    rows = [line.split(",") for line in (text or "").splitlines() if line.count(",") == 2]
    if not rows:
        return None
    columns = [[float(v) for v in column if v.strip().replace(".", "").isdigit()] for column in zip(*rows)]
    names = ("sm_mhz", "watts", "celsius")
    return {n: {"median": statistics.median(c), "max": max(c)} for n, c in zip(names, columns) if c}


def find_gpu(name):
    """The model's GPU of that name, or None."""
    for gpu in model.GPUS:
        if any(word in name for word in (gpu.name, gpu.name.split(" ")[0], gpu.name.split(" ")[-1])
               if len(word) > 3):
            return gpu
    return None


def predict(kernels):
    gpu = find_gpu(kernels.get("device", ""))
    layers = {layer.name: layer for layer in model.layers_of("span") + model.layers_of("x4plus")}
    layers["conv_up"] = layers["conv_up1"]
    for row in kernels["rows"] if gpu else []:
        layer = layers[row["layer"]]._replace(scale=1)
        us, wall = model.layer_us(row["variant"], gpu, layer, row["tiles"], row["height"], row["width"])
        row["model_us"], row["model_wall"] = round(us, 2), wall.name


def main():
    folder, out = sys.argv[1:]
    kernels = kernel_rows(read(folder, "kernels"))
    if kernels:
        predict(kernels)
    nets = [row for i in range(10) for row in lines_of_json(read(folder, f"net_{i}"))]
    for row in nets:
        if row["model"].startswith("rrdb:2:23") and row["width"] == 1920:
            row["clip_300_frames_12_gpus_seconds"] = 25 * row["seconds"]
    result = {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "device": (read(folder, "device.csv") or "").strip(),
        "clocks": clocks(read(folder, "clocks.csv")),
        "steps": {name[:-7]: int(read(folder, name)) for name in sorted(os.listdir(folder))
                  if name.endswith(".status")},
        "kernels": kernels,
        "nets": nets,
        "peers": lines_of_json(read(folder, "cudnn")) + lines_of_json(read(folder, "peer")),
        "tools": {name: read(folder, name)[-TEXT_BYTES:] for name in ("tests", "memcheck", "racecheck", "ncu")
                  if read(folder, name)},
    }
    name = "".join(c if c.isalnum() else "-" for c in result["device"].split(",")[0].lower()) or "gpu"
    path = os.path.join(out, f"gpu-{name}-{result['date'][:10]}.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(result, file, indent=1)
        file.write("\n")
    print(path)
    for row in (kernels or {"rows": []})["rows"] + nets + result["peers"]:
        print(json.dumps(row))


if __name__ == "__main__":
    main()
