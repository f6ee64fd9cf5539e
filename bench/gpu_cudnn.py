#!/usr/bin/env python3
"""The peers of bench_cuda on the same GPU, by PyTorch: cuDNN's convolution of every layer (fp16,
channels_last, benchmark mode), cuBLAS's product of 8192^3, and a copy in the device's memory. JSON lines on
stdout. Exit status 77 where PyTorch or a device is missing."""

import json
import statistics
import sys

try:
    import torch
    import torch.nn.functional as F
except ImportError:
    print("skipped: PyTorch is not installed")
    sys.exit(77)

SIZES = ((8, 256, 256), (1, 540, 960))  # tiles, height, width
LAYERS = (("conv1", 64, 32), ("conv2", 96, 32), ("conv3", 128, 32), ("conv4", 160, 32), ("conv5", 192, 64),
          ("conv_hr", 64, 64))
PRODUCT = 8192
COPY_BYTES = 1 << 30
WARM_UPS, RUNS, CALLS = 3, 7, 5  # the median of RUNS, each of CALLS calls


def median_us(run):
    for _ in range(WARM_UPS):
        run()
    torch.cuda.synchronize()
    times = []
    for _ in range(RUNS):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        for _ in range(CALLS):
            run()
        end.record()
        torch.cuda.synchronize()
        times.append(start.elapsed_time(end) * 1000 / CALLS)
    return statistics.median(times)


def say(**row):
    print(json.dumps(row), flush=True)


def half(*shape):
    return torch.randn(*shape, device="cuda", dtype=torch.float16)


def measure_ceilings():
    x, y = half(PRODUCT, PRODUCT), half(PRODUCT, PRODUCT)
    us = median_us(lambda: x @ y)
    say(peer=f"cuBLAS {PRODUCT}^3", us=us, tflops=2 * PRODUCT**3 / us / 1e6)
    start = torch.empty(COPY_BYTES, device="cuda", dtype=torch.uint8)
    end = torch.empty_like(start)
    us = median_us(lambda: end.copy_(start))
    say(peer="copy", us=us, gbs=2 * COPY_BYTES / us / 1e3)


def measure_layer(name, cin, cout, tiles, height, width):
    pixels = half(tiles, cin, height, width).to(memory_format=torch.channels_last)
    weights = (half(cout, cin, 3, 3) * 0.05).to(memory_format=torch.channels_last)
    bias = half(cout)
    us = median_us(lambda: F.conv2d(pixels, weights, bias, padding=1))
    say(peer="cuDNN", layer=name, tiles=tiles, height=height, width=width, us=us,
        tflops=18 * cin * cout * tiles * height * width / us / 1e6)


def main():
    if not torch.cuda.is_available():
        print("skipped: no device")
        return 77
    torch.backends.cudnn.benchmark = True
    with torch.inference_mode():
        measure_ceilings()
        for size in SIZES:
            for layer in LAYERS:
                measure_layer(*layer, *size)
    return 0


if __name__ == "__main__":
    sys.exit(main())
