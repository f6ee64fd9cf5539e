#!/usr/bin/env python3
"""The peer of bench/gpu.sh: RRDBNet in PyTorch on the same GPU, fp16, channels_last, eager and compiled
(max-autotune, a dense block at a time, so that compiling takes a minute and not ten). JSON on stdout.

    gpu_peer.py SCALE HEIGHT WIDTH BATCH [SECONDS [DEVICE]]
"""

import json
import os
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "reference"))

import networks  # noqa: E402
import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402

MFLOP_PER_BODY_PIXEL = 35.85


def conv(x, weight, bias):
    return F.conv2d(x, weight, bias, padding=1)


def dense_block(x, weights):
    maps = [x]
    for weight, bias in weights[:4]:
        maps.append(F.leaky_relu(conv(torch.cat(maps, 1), weight, bias), 0.2))
    return x + 0.2 * conv(torch.cat(maps, 1), *weights[4])


def rrdb(x, weights, spec, block):
    if spec["scale"] < 4:
        x = F.pixel_unshuffle(x, 4 // spec["scale"])
    feat = body = conv(x, *weights[0])
    for i in range(spec["blocks"]):
        start = body
        for k in range(3):
            at = 1 + (i * 3 + k) * 5
            body = block(body, weights[at:at + 5])
        body = start + 0.2 * body
    at = 1 + spec["blocks"] * 15
    feat = feat + conv(body, *weights[at])
    for k in (1, 2):
        feat = F.leaky_relu(conv(F.interpolate(feat, scale_factor=2), *weights[at + k]), 0.2)
    return conv(F.leaky_relu(conv(feat, *weights[at + 3]), 0.2), *weights[at + 4])


def measure(run, synchronize, seconds):
    """Median of a run's time; warm-up and compilation come first."""
    for _ in range(2):
        run()
    synchronize()
    times, start = [], time.monotonic()
    while len(times) < 3 or time.monotonic() - start < seconds:
        before = time.monotonic()
        run()
        synchronize()
        times.append(time.monotonic() - before)
    return statistics.median(times)


def main():
    scale, height, width, batch = map(int, sys.argv[1:5])
    seconds = float(sys.argv[5]) if len(sys.argv) > 5 else 5
    device = sys.argv[6] if len(sys.argv) > 6 else "cuda"
    blocks = 23 if device == "cuda" else 1
    spec = {"arch": "rrdb", "scale": scale, "blocks": blocks, "nf": 64, "gc": 32}
    half = torch.float16 if device == "cuda" else torch.bfloat16
    weights = [(torch.tensor(w).to(device, half, memory_format=torch.channels_last),
                torch.tensor(b).to(device, half)) for w, b, _ in networks.random_weights(spec, 1, 1.0)]
    x = torch.rand(batch, 3, height, width, device=device).to(half, memory_format=torch.channels_last)
    synchronize = torch.cuda.synchronize if device == "cuda" else lambda: None
    torch.backends.cudnn.benchmark = True
    flops = MFLOP_PER_BODY_PIXEL * 1e6 * blocks / 23 * batch * height * width / (4 // scale) ** 2
    for name in ("eager", "compile"):
        try:
            block = dense_block if name == "eager" else torch.compile(dense_block, mode="max-autotune-no-cudagraphs")
            with torch.inference_mode():
                time_s = measure(lambda: rrdb(x, weights, spec, block), synchronize, seconds)
        except Exception as error:  # a peer that cannot run is a line, not the end of the run
            print(json.dumps({"peer": name, "error": str(error)[:300]}), flush=True)
            continue
        print(json.dumps({"peer": f"PyTorch {torch.__version__} {name}", "scale": scale, "height": height,
                          "width": width, "batch": batch, "seconds": time_s, "tflops": flops / time_s / 1e12}),
              flush=True)


if __name__ == "__main__":
    main()
