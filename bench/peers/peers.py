"""This program against others: the same weights, tile and threads, all engines in turn within one run.
bench/README.md explains the figures; --help lists the options."""

import argparse
import datetime
import json
import os
import statistics
import subprocess
import sys
import tempfile

import numpy as np
from PIL import Image

import models
from chart import draw

HERE = os.path.dirname(os.path.abspath(__file__))
CLIP = os.path.join(models.ROOT, "models", "clips", "bikes.mp4")
OURS = ["ours-bf16", "ours-fp32", "ours-exact"]
PEERS = ["pytorch-fp32", "pytorch-fp32-channels_last", "pytorch-bf16-channels_last", "openvino-fp32",
         "openvino-bf16", "onnxruntime-fp32", "ncnn-fp32", "ncnn-bf16"]
# Held to AVX2 by their own switches; ONNX Runtime and ncnn have none and are left out.
AVX2 = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "DNNL_MAX_CPU_ISA": "AVX2"}
AVX2_PEERS = [p for p in PEERS if p.startswith(("pytorch-fp32", "openvino-fp32"))]
MIN_PSNR_DB = 40  # a result below is wrong, not imprecise


class Engine:
    """A process that evaluates a tile on command."""

    def __init__(self, name, args, folder):
        self.name, self.out = name, os.path.join(folder, name + ".out")
        tile = [str(args.width), str(args.height), str(args.threads)]
        environment = dict(os.environ, OMP_NUM_THREADS=str(args.threads))
        if name.startswith("ours"):
            command = [os.path.join(args.build, "bench", "bench_net"), "--model",
                       models.model_argument(args.network), "--in", os.path.join(folder, "in"),
                       "--out", self.out, "--precision", name.split("-")[1], "--width", tile[0],
                       "--height", tile[1], "--threads", tile[2]]
            command += ["--cpumask", "avx2"] if args.avx2 else []
        else:
            command = [sys.executable, os.path.join(HERE, "engine.py"), name, args.network,
                       os.path.join(folder, "in"), self.out, *tile]
            environment.update(AVX2 if args.avx2 else {})
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, env=environment, stderr=subprocess.PIPE)
        self.about = self.answer()
        self.seconds = []

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name}: {self.process.stderr.read().strip()[-500:]}")
        return json.loads(line)

    def run(self):
        self.process.stdin.write("run\n")
        self.process.stdin.flush()
        return self.answer()["seconds"]

    def finish(self, shape):
        """Ends the process; its last result."""
        self.process.communicate()
        return np.fromfile(self.out, np.float32).reshape(shape)


def real_frame(width, height, number=120):
    """A frame of a real clip, mirrored to the size: uint8 HWC."""
    raw = subprocess.run(["ffmpeg", "-v", "error", "-i", CLIP, "-vf", f"select=eq(n\\,{number})",
                          "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"],
                         check=True, capture_output=True).stdout
    frame = np.frombuffer(raw, np.uint8).reshape(272, 640, 3)
    pad = ((0, max(0, height - 272)), (0, max(0, width - 640)), (0, 0))
    return np.pad(frame, pad, "symmetric")[:height, :width]


def write_tile(path, image):
    (image.transpose(2, 0, 1).astype(np.float32) / np.float32(255)).tofile(path)


def psnr_db(a, b):
    error = np.mean((a.astype(np.float64) - b) ** 2)
    return float("inf") if error == 0 else float(-10 * np.log10(error))


def measure(args, names, image, folder):
    """[{engine, version, verdict, psnr_db, seconds, gflops}], the first engine being the truth."""
    write_tile(os.path.join(folder, "in"), image)
    spec = models.NETWORKS[args.network][1]
    gflop = 2e-9 * models.macs_per_px(spec) * args.width * args.height
    shape = (3, args.height * spec["scale"], args.width * spec["scale"])
    engines, rows = [], []
    for name in ["pytorch-fp32"] + [n for n in names if n != "pytorch-fp32"]:
        try:
            engine = Engine(name, args, folder)
            engine.run()  # warm-up
            engines.append(engine)
        except RuntimeError as error:
            print(f"left out: {error}", file=sys.stderr)
    for _ in range(args.rounds):
        for engine in engines:
            if engine.name in names:
                engine.seconds.append(engine.run())
    results = [engine.finish(shape) for engine in engines]
    for engine, result in zip(engines, results):
        if engine.name not in names:
            continue
        quality = psnr_db(result, results[0])
        median = statistics.median(engine.seconds)
        rows.append(dict(
            engine=engine.name, verdict="ok" if quality >= MIN_PSNR_DB else "WRONG",
            psnr_db=round(min(quality, 999), 1), version=engine.about.get("version", "this"),
            backend=engine.about.get("backend", ""), numerics_class=engine.about.get("class", ""),
            seconds_median=median, seconds=engine.seconds, gflops=gflop / median))
    return rows, gflop


def ratios(rows):
    """Ratio of this program to the fastest peer of the same kind and of any kind."""
    rate = {row["engine"]: row["gflops"] for row in rows if row["verdict"] == "ok"}
    peers = {e: g for e, g in rate.items() if not e.startswith("ours")}
    fp32 = {e: g for e, g in peers.items() if "fp32" in e}
    out = {}
    if "ours-bf16" in rate and peers:
        out["ours-bf16 / fastest peer"] = (rate["ours-bf16"] / max(peers.values()), max(peers, key=peers.get))
    for ours in ("ours-fp32", "ours-exact"):
        if ours in rate and fp32:
            out[f"{ours} / fastest fp32 peer"] = (rate[ours] / max(fp32.values()), max(fp32, key=fp32.get))
    if "ours-fp32" in rate and peers:
        out["ours-fp32 / fastest peer"] = (rate["ours-fp32"] / max(peers.values()), max(peers, key=peers.get))
    return out


def cpu_brand():
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.split(":")[1].strip()
    return "unknown CPU"


def speed(args):
    names = args.engines.split(",") if args.engines else OURS + PEERS
    if args.avx2:
        names = [n for n in names if n in ("ours-fp32", "ours-exact", *AVX2_PEERS)]
    with tempfile.TemporaryDirectory() as folder:
        rows, gflop = measure(args, names, real_frame(args.width, args.height), folder)
    rows.sort(key=lambda row: -row["gflops"])
    report = dict(network=args.network, width_px=args.width, height_px=args.height,
                  threads=args.threads, rounds=args.rounds, held_to="avx2" if args.avx2 else "",
                  cpu=cpu_brand(), date=datetime.date.today().isoformat(), gflop=gflop, rows=rows,
                  ratios={name: dict(ratio=r, peer=p) for name, (r, p) in ratios(rows).items()})
    print(f"{args.network}, {args.width} x {args.height}, {args.threads} threads, {report['cpu']}, "
          f"{report['date']}{', AVX2 only' if args.avx2 else ''}; medians of {args.rounds}\n")
    print("| verdict | engine | PSNR dB | s | GFLOP/s |\n|---|---|---|---|---|")
    for row in rows:
        print(f"| {row['verdict']} | {row['engine']} {row['version']} | {row['psnr_db']:.1f} | "
              f"{row['seconds_median']:.3f} | {row['gflops']:.0f} |")
    for name, value in report["ratios"].items():
        print(f"\n{name}: {value['ratio']:.2f} ({value['peer']})")
    if args.json:
        with open(args.json, "w") as file:
            json.dump(report, file, indent=1)
    if args.chart:
        draw(report, args.chart)
    return 0 if all(row["verdict"] == "ok" for row in rows) else 1


def precision(args):
    """PSNR of the float output against PyTorch's fp32 on crops of real frames: the two square ones of
    tests/reference, and four of another frame."""
    data, table = os.path.join(models.ROOT, "tests", "reference", "data"), {}
    frame = real_frame(640, 272)
    crops = {name: np.array(Image.open(os.path.join(data, name + ".png"))) for name in ("face", "trees")}
    for y, x in ((20, 40), (120, 300), (60, 480), (180, 160)):
        crops[f"bikes {x},{y}"] = frame[y : y + 64, x : x + 64]
    args.width = args.height = 64
    args.rounds = 1
    names = ["ours-bf16", "ours-fp32", "ours-exact"] + [p for p in PEERS if "bf16" in p]
    for network in ("x4plus", "anime_6B", "animevideov3"):
        args.network = network
        for crop in crops.values():
            with tempfile.TemporaryDirectory() as folder:
                rows, _ = measure(args, names, crop, folder)
            for row in rows:
                table.setdefault(network, {}).setdefault(row["engine"], []).append(row["psnr_db"])
    print("| network | engine | " + " | ".join(crops) + " |")
    print("|---|---|" + "---|" * len(crops))
    for network, engines in table.items():
        for engine, values in engines.items():
            print(f"| {network} | {engine} | " + " | ".join(f"{v:.1f}" for v in values) + " |")
    if args.json:
        with open(args.json, "w") as file:
            json.dump(dict(cpu=cpu_brand(), date=datetime.date.today().isoformat(), crops=list(crops),
                           psnr_db=table), file,
                      indent=1)
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", default="x4plus", choices=models.NETWORKS)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--height", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--engines", help="comma-separated: " + ", ".join(OURS + PEERS))
    parser.add_argument("--avx2", action="store_true", help="hold ours and the peers to AVX2")
    parser.add_argument("--precision-table", action="store_true", help="PSNR instead of speed")
    parser.add_argument("--build", default=os.path.join(models.ROOT, "build"))
    parser.add_argument("--json", help="write the report")
    parser.add_argument("--chart", help="write a bar chart, SVG or PNG")
    args = parser.parse_args()
    sys.exit(precision(args) if args.precision_table else speed(args))


if __name__ == "__main__":
    main()
