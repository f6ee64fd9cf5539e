#!/usr/bin/env python3
"""make.py CLIPS WEIGHTS [NETWORK...]: writes tests/reference/data, the PyTorch results that test_reference compares
with. CLIPS: models/clips; WEIGHTS: models/weights with the ncnn files, for network denoise with those of
realesr-general-x4v3 and its partner. Given NETWORKs, only their pictures are written, from the crops that exist.
Needs torch, numpy, pillow and ffmpeg. The tests need none of them: the data is committed."""

import json
import os
import subprocess
import sys

import numpy as np
import torch
from PIL import Image

from networks import Network, ncnn_weights, random_weights, upscale

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data")

X4PLUS = dict(arch="rrdb", scale=4, blocks=23, nf=64, gc=32)
ANIME = dict(arch="rrdb", scale=4, blocks=6, nf=64, gc=32)
VIDEO = dict(arch="srvgg", scale=4, blocks=16, nf=64, gc=0)
GENERAL = dict(arch="srvgg", scale=4, blocks=32, nf=64, gc=0)
SPAN = dict(arch="span", scale=4, blocks=6, nf=48, gc=0, normalise=1)


def crops(clips):
    """name -> uint8 HWC, cut out of real frames."""
    frames = {}
    for name, number in (("carphone_pristine", 40), ("bikes", 120)):
        raw = subprocess.run(
            ["ffmpeg", "-v", "error", "-i", f"{clips}/{name}.mp4", "-vf", f"select=eq(n\\,{number})",
             "-frames:v", "1", "-f", "image2pipe", "-c:v", "ppm", "-pix_fmt", "rgb24", "-"],
            check=True, capture_output=True).stdout
        with open("/tmp/frame.ppm", "wb") as file:
            file.write(raw)
        frames[name] = np.array(Image.open("/tmp/frame.ppm"))
    phone, bikes = frames["carphone_pristine"], frames["bikes"]
    return {
        "face": phone[40:104, 60:124],
        "tie": phone[100:140, 50:98],
        "wheel": bikes[120:149, 300:337],
        "trees": bikes[20:84, 40:104],
        "wide": phone[30:120, 30:130],
        "odd": bikes[150:171, 200:233],
        "small": phone[60:77, 80:99],
    }


def cases():
    small = ["odd", "small"]
    real = ["face", "tie", "wheel", "trees"]
    out = []
    for name, file, spec in (("x4plus", "realesrgan-x4plus", X4PLUS),
                             ("anime_6B", "realesrgan-x4plus-anime", ANIME),
                             ("animevideov3", "realesr-animevideov3-x4", VIDEO), ("span", "spanx4_ch48", SPAN)):
        for crop in real:
            out.append(dict(name=name, weights=file, spec=spec, input=crop, tile=0, pad=10))
        out.append(dict(name=name, weights=file, spec=spec, input="wide", tile=64, pad=10))
    for crop, denoise in (("wheel", 0), ("wheel", 0.3), ("wheel", 1), ("tie", 0.5)):
        out.append(dict(name="denoise", weights="RealESRGAN_General_x4_v3", partner="RealESRGAN_General_WDN_x4_v3",
                        denoise=denoise, spec=GENERAL, input=crop, tile=0, pad=10))
    random = [
        ("rrdb_x4", dict(arch="rrdb", scale=4, blocks=2, nf=64, gc=32), 1.0),
        ("rrdb_x2", dict(arch="rrdb", scale=2, blocks=2, nf=64, gc=32), 1.0),
        ("rrdb_x1", dict(arch="rrdb", scale=1, blocks=2, nf=64, gc=32), 1.0),
        ("rrdb_x4_narrow", dict(arch="rrdb", scale=4, blocks=2, nf=24, gc=12), 1.0),
        ("rrdb_x2_narrow", dict(arch="rrdb", scale=2, blocks=2, nf=8, gc=4), 1.0),
        ("srvgg_x4", dict(arch="srvgg", scale=4, blocks=2, nf=64, gc=0), 0.7),
        ("srvgg_x3", dict(arch="srvgg", scale=3, blocks=2, nf=24, gc=0), 0.7),
        ("srvgg_x2", dict(arch="srvgg", scale=2, blocks=2, nf=64, gc=0), 0.7),
        ("srvgg_x1", dict(arch="srvgg", scale=1, blocks=2, nf=24, gc=0), 0.7),
        ("rrdb_x1_plain", dict(arch="rrdb", scale=1, unshuffle=1, blocks=2, nf=32, gc=16), 1.0),
        ("rrdb_x2_plain", dict(arch="rrdb", scale=2, unshuffle=1, blocks=1, nf=64, gc=32), 1.0),
        ("rrdb_x8", dict(arch="rrdb", scale=8, unshuffle=1, blocks=1, nf=48, gc=32), 1.0),
        ("rrdb_x4_wide", dict(arch="rrdb", scale=4, blocks=1, nf=128, gc=64), 1.0),
        ("rrdb_x4_gray", dict(arch="rrdb", scale=4, blocks=1, nf=64, gc=32, channels=1), 1.0),
        ("rrdb_x2_alpha", dict(arch="rrdb", scale=2, blocks=1, nf=64, gc=32, channels=4), 1.0),
        ("srvgg_x2_gray", dict(arch="srvgg", scale=2, blocks=2, nf=64, gc=0, channels=1), 0.7),
        ("span_x4", dict(arch="span", scale=4, blocks=6, nf=48, gc=0), 1.0),
        ("span_x2", dict(arch="span", scale=2, blocks=6, nf=64, gc=0), 1.0),
        ("span_x3", dict(arch="span", scale=3, blocks=6, nf=52, gc=0), 1.0),
    ]
    for i, (name, spec, gain) in enumerate(random):
        for crop in small:
            out.append(dict(name=name, seed=100 + i, gain=gain, spec=spec, input=crop, tile=0, pad=10))
        out.append(dict(name=name, seed=100 + i, gain=gain, spec=spec, input="odd", tile=12, pad=4))
    return out


def make_network(case, weights):
    """The case's network; with a partner, denoise * own weights + (1 - denoise) * partner's in fp32."""
    spec = case["spec"]
    if "weights" not in case:
        return Network(spec, random_weights(spec, case["seed"], case["gain"]))
    own = ncnn_weights(f"{weights}/{case['weights']}.bin", spec)
    if "partner" in case:
        share, rest = np.float32(case["denoise"]), np.float32(1 - case["denoise"])
        partner = ncnn_weights(f"{weights}/{case['partner']}.bin", spec)
        own = [tuple(None if a is None else share * a + rest * b for a, b in zip(*pair)) for pair in zip(own, partner)]
    return Network(spec, own)


def main(clips, weights, *only):
    torch.set_num_threads(2)
    os.makedirs(HERE, exist_ok=True)
    networks, rows = {}, []
    if only:
        names = {case["input"] for case in cases()}
        images = {name: np.array(Image.open(f"{HERE}/{name}.png").convert("RGB")) for name in names}
    else:
        images = crops(clips)
        for name, image in images.items():
            Image.fromarray(image).save(f"{HERE}/{name}.png")
    for case in cases():
        strength = f"_{case['denoise']}" if "denoise" in case else ""
        case["expected"] = f"{case['name']}{strength}_{case['input']}_t{case['tile']}.png"
        rows.append(case)
        if only and case["name"] not in only:
            continue
        name = case["name"] + strength
        if name not in networks:
            networks[name] = make_network(case, weights)
        out = upscale(networks[name], images[case["input"]], case["tile"], case["pad"])
        pixels = np.rint(out * np.float32(255)).astype(np.uint8)  # half to even
        Image.fromarray(pixels).save(f"{HERE}/{case['expected']}", optimize=True)
        inside = np.mean((pixels > 0) & (pixels < 255))
        print(f"{case['expected']}: {pixels.shape[1]}x{pixels.shape[0]}, {inside:.1%} not clipped")
    with open(f"{HERE}/cases.json", "w") as file:
        file.write("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
