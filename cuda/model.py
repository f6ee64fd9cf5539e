#!/usr/bin/env python3
"""A model of the CUDA kernels' speed, on paper: walls per convolution from counts, against each GPU.

Nothing here was measured on a GPU. What a kernel does per block (products, bytes) is counted from its
source and checked against SASS by resources.sh; what a GPU can do is in GPUS, with where it is from.
The time of a layer is the longest of its walls, plus what cannot overlap. Prints Markdown:

    python3 cuda/model.py            the tables of README.md
    python3 cuda/model.py --layers H100   every layer of x2plus on one GPU
"""

import argparse
import contextlib
import io
import re
import sys
from collections import namedtuple
from math import ceil

# Datasheets unless marked. mma: MAC a clock and SM of mma.sync.m16n8k16 with fp32 sums (HOPPER_MMA of
# wgmma's on Hopper: the usual estimate, not measured here; B200's is assumed to be A100's); wide: of
# wgmma; gbs: memory; l2: bytes a clock and SM from L2 (A100 and H100 from published microbenchmarks,
# 4.5 and 5.5 TB/s together; the others assumed); shared: KiB of an SM for blocks.
GPU = namedtuple("GPU", "name sms ghz mma wide gbs l2 shared peak")
HOPPER_MMA = 0.62
GPUS = [
    GPU("A100 80 GB", 108, 1.41, 1024, 0, 2039, 30, 164, 312),
    GPU("H100 SXM", 132, 1.83, 2048 * HOPPER_MMA, 2048, 3350, 23, 228, 989),
    GPU("H200", 132, 1.83, 2048 * HOPPER_MMA, 2048, 4800, 23, 228, 989),
    GPU("RTX 4090", 128, 2.52, 256, 0, 1008, 16, 100, 165),
    GPU("RTX 5090", 170, 2.41, 256, 0, 1792, 16, 100, 210),
    GPU("B200", 148, 1.85, 1024, 0, 8000, 30, 228, 2250),
]

# Assumptions about the share of each limit that is reached.
SUSTAINED = 0.80  # of the peak's clock under tensor load: cuBLAS reaches 790 of 989 on an H200
OVERLAPS = (0.60, 0.85)  # of the longest wall, for barriers and dependences within a block: a range,
OVERLAP = OVERLAPS[1]  # since only a GPU can tell; single figures take the upper end
MEMORY = 0.90  # of the datasheet's memory rate: copies reach 4.3 of 4.8 TB/s on an H200
LATENCY = 2400  # clocks of a block that nothing else in it hides: first copies, last stores
LAUNCH_US = 1.5  # between two kernels of one graph
SHARED_BYTES = 128  # a clock and SM
GROUP_FRAMES = 4  # whose tiles go together (RESR_MAX_GROUP_FRAMES)
WAVES = 2  # a launch has tiles for: resr_cuda_filling_tiles()

# centre: input channels from here on have the centre tap alone, which variant mma makes use of; 0: none.
Layer = namedtuple("Layer", "name cin cout scale f32_bytes count real_macs centre", defaults=[0])
Wall = namedtuple("Wall", "name us")


def layers_of(network):
    """Layers per body pixel: `scale` output pixels each, f32_bytes of residuals beside the fp16 maps."""
    if network == "span":  # 64 features, 4x
        return [
            Layer("conv_first", 16, 64, 1, 256, 1, 3 * 64 * 9),
            Layer("SPAN c1_r", 64, 64, 1, 0, 12, 64 * 64 * 9),  # and c2_r
            Layer("SPAN c3_r", 64, 64, 1, 512, 6, 64 * 64 * 9),
            Layer("SPAN conv_cat", 256, 64, 1, 0, 1, 64 * 64 * 9 + 192 * 64, 64),
            Layer("SPAN upsampler", 64, 48, 1, 192, 1, 64 * 48 * 9),
        ]
    first = 12 if network == "x2plus" else 3
    blocks = 23 * 3
    growth = [Layer(f"conv{k + 1}", 64 + 32 * k, 32, 1, 0, blocks, (64 + 32 * k) * 32 * 9)
              for k in range(4)]
    return [
        Layer("conv_first", 16, 64, 1, 512, 1, first * 64 * 9),
        *growth,
        Layer("conv5", 192, 64, 1, 512, blocks * 2 // 3, 192 * 64 * 9),
        Layer("conv5 of an RRDB's end", 192, 64, 1, 768, blocks // 3, 192 * 64 * 9),
        Layer("conv_body", 64, 64, 1, 256, 1, 64 * 64 * 9),
        Layer("conv_up1", 64, 64, 4, 0, 1, 64 * 64 * 9),
        Layer("conv_up2", 64, 64, 16, 0, 1, 64 * 64 * 9),
        Layer("conv_hr", 64, 64, 16, 0, 1, 64 * 64 * 9),
        Layer("conv_last", 64, 16, 16, 12, 1, 64 * 3 * 9),
    ]


def size_of(layer, height, width):
    side = {1: 1, 4: 2, 16: 4}[layer.scale]
    return height * side, width * side


def memory_us(gpu, layer, pixels):
    source = layer.cin / (4 if layer.name.startswith("conv_up") else 1)
    written = 0 if layer.name in ("conv_last", "SPAN upsampler") else layer.cout
    return pixels * (2 * (source + written) + layer.f32_bytes) / (gpu.gbs * 1e3 * MEMORY)


def clocks_us(gpu, clocks):
    return clocks / (gpu.ghz * 1e3 * SUSTAINED)


def mma_walls(gpu, layer, tiles, height, width):
    """Variant mma (conv_mma.cu): blocks of 32 x 16 pixels, 16 x 16 for 64 outputs; slices of 16 channels."""
    outputs = 64 if layer.cout > 32 else 32 if layer.cout > 16 else 16
    tile_x = 16 if outputs == 64 else 32
    blocks = tiles * ceil(width / tile_x) * ceil(height / 16)
    slices, full = layer.cin // 16, (layer.centre or layer.cin) // 16
    taps = 9 * full + slices - full
    warp_n = min(outputs, 32)
    macs = 8 * taps * 4 * (warp_n // 8) * 2048  # 8 warps, 4 rows
    reads = 8 * (18 * 512 * slices + taps * warp_n // 16 * 512)  # ldmatrix and weights, a warp
    copied = ((tile_x + 2) * 18 * 32 + 9 * 16 * outputs * 2) * slices
    stage = (tile_x + 2) * 18 * 48 + 9 * 16 * outputs * 2
    resident = min(2, int(gpu.shared * 1024 // (2 * stage + 1024)))
    tensor = macs / gpu.mma
    rounds = max(1.0, blocks / (gpu.sms * resident))
    rounds = ceil(rounds) if rounds < 2 else rounds + 0.5 / resident  # the tail of the last wave
    busy = rounds * resident
    alone = tensor / OVERLAP + LATENCY  # what a block takes with an SM of its own
    return [
        Wall("tensor", clocks_us(gpu, busy * tensor / OVERLAP)),
        Wall("shared", clocks_us(gpu, busy * (reads + copied) / SHARED_BYTES / OVERLAP)),
        Wall("L2", clocks_us(gpu, busy * copied / gpu.l2)),
        Wall("latency", clocks_us(gpu, rounds * alone)),
        Wall("memory", memory_us(gpu, layer, tiles * height * width)),
    ]


def wgmma_walls(gpu, layer, tiles, height, width):
    """Variant wgmma (conv_wgmma.cu): strips of 64 columns, N = 96 or 192, two warpgroups an SM; enlarged
    inputs as four passes of 2 x 2 taps over the small image, N = 128."""
    enlarged = layer.name.startswith("conv_up")
    outputs = 64 if layer.cout == 64 and layer.cin <= 96 and not enlarged else 32
    taps, stacked = (2, 4 * outputs) if enlarged else (3, 3 * outputs)
    passes = layer.cout // outputs * (2 if enlarged else 1)
    weights = taps * (stacked + 2 * outputs) * layer.cin * 2  # bytes in shared memory
    if enlarged:
        height, width = height // 2, width // 2
    columns = (width + 8) // 8 * 8 * tiles
    strips = ceil(columns / 64)
    workers = gpu.sms // passes * 2
    best = min(range(1, min(64, height) + 1),
               key=lambda s: ceil(strips * s / workers) * (ceil(height / s) + (2 if s > 1 else 0) + 0.5))
    rows = ceil(strips * best / workers) * (ceil(height / best) + (2 if best > 1 else 0))
    products = layer.cin // 16 * taps  # a row of a strip
    tensor = rows * 2 * products * 64 * stacked * 16 / gpu.wide  # two warpgroups share the SM
    reads = rows * 2 * products * (64 * 16 + stacked * 16) * 2
    copied = rows * 2 * 72 * layer.cin * 2
    return [
        Wall("tensor", clocks_us(gpu, tensor / OVERLAP)),
        Wall("shared", clocks_us(gpu, (reads + copied) / SHARED_BYTES / OVERLAP)),
        Wall("L2", clocks_us(gpu, copied / gpu.l2)),
        Wall("memory", memory_us(gpu, layer, tiles * height * width * (4 if enlarged else 1))),
        Wall("latency", clocks_us(gpu, LATENCY + weights / gpu.l2)),
    ]


def cublas_walls(gpu, layer, tiles, height, width):
    """Variant cublas (conv_cublas.cu): rows written to and read from L2, products, one pass to finish."""
    pixels = tiles * height * width
    depth = 9 * layer.cin
    pieces = ceil(pixels * (2 * depth + 4 * layer.cout) / (48 << 20))
    rate = gpu.sms * gpu.l2 * gpu.ghz * 1e3 * SUSTAINED  # bytes a us
    im2col = pixels * (2 * depth + 2 * depth) / rate  # nine reads (L1 and L2), one write
    macs = pixels * depth * 128  # kernels of the library are 64 or 128 outputs wide
    product = max(macs / (gpu.sms * (gpu.wide or gpu.mma) * gpu.ghz * 1e3 * SUSTAINED * OVERLAP),
                  pixels * 2 * depth / rate)
    finish = pixels * (8 * layer.cout) / rate
    return [Wall("rows", im2col), Wall("product", product), Wall("finish", finish),
            Wall("memory", memory_us(gpu, layer, pixels)), Wall("launches", 3 * pieces * LAUNCH_US)]


VARIANTS = {"mma": mma_walls, "wgmma": wgmma_walls, "cublas": cublas_walls}


def used_variant(variant, layer):
    """Variant wgmma leaves what it does not compute to variant mma."""
    computes = 32 <= layer.cin <= 192 and layer.cout in (32, 64)
    return "mma" if variant == "wgmma" and not computes else variant


def layer_us(variant, gpu, layer, tiles, height, width):
    """Time and limiting wall."""
    variant = used_variant(variant, layer)
    walls = VARIANTS[variant](gpu, layer, tiles, *size_of(layer, height, width))
    if variant == "cublas":  # one after the other
        return sum(w.us for w in walls if w.name != "memory"), max(walls, key=lambda w: w.us)
    worst = max(walls, key=lambda w: w.us)
    return worst.us + LAUNCH_US, worst


def network_us(variant, gpu, network, tiles, height, width):
    """Time of a launch of tiles, direct-convolution operations, and time by limiting wall."""
    total, flops, by_wall = 0.0, 0.0, {}
    for layer in layers_of(network):
        us, wall = layer_us(variant, gpu, layer, tiles, height, width)
        total += us * layer.count
        flops += 2.0 * layer.real_macs * layer.scale * layer.count * tiles * height * width
        by_wall[wall.name] = by_wall.get(wall.name, 0) + us * layer.count
    return total, flops, max(by_wall, key=by_wall.get)


def tile_sizes(width, height, tile, pad, shrink):
    """Sizes of a frame's tiles in body pixels, with their number; resr_tile_plan() in short."""
    def edges(side):
        if tile == 0:
            return [side]
        return [min(at + tile + pad, side) - max(at - pad, 0) for at in range(0, side, tile)]
    sizes = {}
    for h in edges(height):
        for w in edges(width):
            sizes[(h // shrink, w // shrink)] = sizes.get((h // shrink, w // shrink), 0) + 1
    return sizes


def launches_of(gpu, tiles, largest_px):
    """Tiles of each launch: as many as fill the device, then the rest; forward.c and net.c in short."""
    most = min(64, ceil(2 * WAVES * gpu.sms * 512 / largest_px))
    return [most] * (tiles // most) + ([tiles % most] if tiles % most else [])


def frame_us(variant, gpu, frames, tile, pad):
    """A 1080p frame by x2plus, tiles of `frames` frames together: time, TFLOP/s computed and useful."""
    us, flops = 0.0, 0.0
    sizes = tile_sizes(1920, 1080, tile, pad, 2)
    largest_px = max(height * width for height, width in sizes)
    for (height, width), count in sizes.items():
        for tiles in launches_of(gpu, count * frames, largest_px):
            t, f, _ = network_us(variant, gpu, "x2plus", tiles, height, width)
            us += t
            flops += f
    useful = network_us(variant, gpu, "x2plus", frames, 540, 960)[1]
    return us / frames, flops / us / 1e6, useful / us / 1e6


def variants_of(gpu):
    return ["cublas", "mma"] + (["wgmma"] if gpu.wide else [])


def with_overlap(value, function, *arguments):
    global OVERLAP
    usual, OVERLAP = OVERLAP, value
    try:
        return function(*arguments)
    finally:
        OVERLAP = usual


def print_walls():
    """What a dense block would reach if only one wall stood (8 tiles of 256 x 256)."""
    names = ["tensor", "shared", "L2", "memory", "latency"]
    print("| GPU | variant | " + " | ".join(names) + " | lowest |")
    print("|---|---|" + "---|" * (len(names) + 1))
    block = [layer for layer in layers_of("x4plus") if layer.name in ("conv1", "conv2", "conv3", "conv4", "conv5")]
    flops = sum(2.0 * layer.real_macs * 8 * 256 * 256 for layer in block)
    for gpu in GPUS:
        for variant in variants_of(gpu)[1:]:
            us = dict.fromkeys(names, 0.0)
            for layer in block:
                for wall in VARIANTS[variant](gpu, layer, 8, 256, 256):
                    us[wall.name] += wall.us
            rates = {name: flops / us[name] / 1e6 for name in names}
            print(f"| {gpu.name} | {variant} | " + " | ".join(f"{rates[n]:.0f}" for n in names)
                  + f" | {min(rates, key=rates.get)} |")


def print_predictions():
    def x4plus(gpu, variant):
        us, flops, _ = network_us(variant, gpu, "x4plus", 8, 256, 256)
        return flops / us / 1e6

    print("| GPU | variant | x4plus, 8 tiles of 256 x 256, TFLOP/s | of peak | x2plus 1080p in tiles of 256: "
          "computed / useful TFLOP/s | whole frames: TFLOP/s | 300 frames on 12 GPUs: tiles / whole frames |")
    print("|---|---|---|---|---|---|---|")
    for gpu in GPUS:
        for variant in variants_of(gpu):
            low, high = (with_overlap(o, x4plus, gpu, variant) for o in OVERLAPS)
            tiles = [with_overlap(o, frame_us, variant, gpu, GROUP_FRAMES, 256, 36) for o in OVERLAPS]
            whole = [with_overlap(o, frame_us, variant, gpu, 1, 0, 0) for o in OVERLAPS]
            print(f"| {gpu.name} | {variant} | {low:.0f}-{high:.0f} | {100 * low / gpu.peak:.0f}-"
                  f"{100 * high / gpu.peak:.0f} % | {tiles[0][1]:.0f}-{tiles[1][1]:.0f} / "
                  f"{tiles[0][2]:.0f}-{tiles[1][2]:.0f} | {whole[0][1]:.0f}-{whole[1][1]:.0f} | "
                  f"{25 * tiles[1][0] / 1e6:.1f}-{25 * tiles[0][0] / 1e6:.1f} s / "
                  f"{25 * whole[1][0] / 1e6:.1f}-{25 * whole[0][0] / 1e6:.1f} s |")


def print_span():
    def span(gpu, variant):
        us, flops, _ = network_us(variant, gpu, "span", 8, 256, 256)
        return flops / us / 1e6

    print("| GPU | variant | SPAN 4x of 64 features, 8 tiles of 256 x 256, TFLOP/s |")
    print("|---|---|---|")
    for gpu in GPUS:
        for variant in variants_of(gpu):
            low, high = (with_overlap(o, span, gpu, variant) for o in OVERLAPS)
            print(f"| {gpu.name} | {variant} | {low:.0f}-{high:.0f} |")


def print_groups():
    """The gain of computing the tiles of several frames together."""
    counts = (1, 2, 4, 8)
    print("| GPU | variant | " + " | ".join(f"{n} frame{'s' if n > 1 else ''}, ms" for n in counts)
          + " | 4 frames over 1 |")
    print("|---|---|" + "---|" * (len(counts) + 1))
    for gpu in GPUS:
        variant = variants_of(gpu)[-1]
        ms = [frame_us(variant, gpu, n, 256, 36)[0] / 1e3 for n in counts]
        print(f"| {gpu.name} | {variant} | " + " | ".join(f"{m:.1f}" for m in ms)
              + f" | {ms[0] / ms[2]:.2f} |")


def print_counts():
    """Per body pixel and dense block, without the waste of edges, from the kernels' own geometry."""
    block = [layer for layer in layers_of("x4plus") if layer.name in ("conv1", "conv2", "conv3", "conv4", "conv5")]
    memory = sum(2 * (layer.cin + layer.cout) + layer.f32_bytes for layer in block)
    mma = dict.fromkeys(("products", "shared", "l2"), 0.0)
    wide = dict.fromkeys(("products", "shared", "l2"), 0.0)
    for layer in block:
        slices, tile_x = layer.cin // 16, 16 if layer.cout == 64 else 32
        pixels = tile_x * 16
        copied = ((tile_x + 2) * 18 * 32 + 9 * 16 * layer.cout * 2) * slices
        mma["products"] += 8 * 9 * 4 * 4 * slices / pixels
        mma["shared"] += (8 * (18 + 18) * 512 * slices + copied) / pixels
        mma["l2"] += copied / pixels
        passes = layer.cout // 32
        steps = slices * 3 * passes / 64  # wgmma m64n96k16 a pixel
        wide["products"] += steps
        wide["shared"] += steps * (64 + 96) * 16 * 2 + 72 / 64 * layer.cin * 2 * passes
        wide["l2"] += 72 / 64 * layer.cin * 2 * passes
    im2col = sum(9 * layer.cin * 2 * 2 + 8 * layer.cout for layer in block)
    print("| variant | tensor instructions | bytes from and to shared memory | bytes L2 to SM | bytes of memory |")
    print("|---|---|---|---|---|")
    print(f"| cublas | the library's | the library's | {im2col:,} and the library's | {memory:,} |")
    print(f"| mma | {mma['products']:.0f} mma.m16n8k16 | {mma['shared']:,.0f} | {mma['l2']:,.0f} | {memory:,} |")
    print(f"| wgmma | {wide['products']:.2f} wgmma.m64n96k16 | {wide['shared']:,.0f} | {wide['l2']:,.0f} "
          f"| {memory:,} |")


def print_layers(gpu):
    for variant in variants_of(gpu):
        print(f"\n{gpu.name}, {variant}: x4plus, 8 tiles of 256 x 256, microseconds by wall\n")
        print("| layer | walls | us | TFLOP/s |")
        print("|---|---|---|---|")
        for layer in layers_of("x4plus"):
            used = used_variant(variant, layer)
            walls = VARIANTS[used](gpu, layer, 8, *size_of(layer, 256, 256))
            us, worst = layer_us(variant, gpu, layer, 8, 256, 256)
            flops = 2.0 * layer.real_macs * layer.scale * 8 * 256 * 256
            text = ", ".join(f"**{w.name} {w.us:.0f}**" if w is not None and w.name == worst.name
                             else f"{w.name} {w.us:.0f}" for w in walls)
            print(f"| {layer.name} ({used}) | {text} | {us:.0f} | {flops / us / 1e6:.0f} |")


def print_tables():
    print_counts()
    print()
    print_walls()
    print()
    print_predictions()
    print()
    print_span()
    print()
    print_groups()


def planner_lines(path):
    """The figures of --plan for these GPUs: how a table's row begins, and a text within it."""
    with open(path, encoding="utf-8") as file:
        found = re.findall(r'{"\w+", "([^"]+)", "(\w+)", (\d+), (\d+), PCIE', file.read())
    return [(f"| {gpu} | {variant} |", f"| {low}-{high} / ") for gpu, variant, low, high in found]


def check(readme, planner):
    """1 if the README's tables, or the planner's figures, are not what the model says."""
    with io.StringIO() as text, contextlib.redirect_stdout(text):
        print_tables()
        wanted = text.getvalue().splitlines()
    with open(readme, encoding="utf-8") as file:
        there = set(file.read().splitlines())
    stale = [line for line in wanted if line not in there]
    for line in stale:
        print(f"{readme} lacks: {line}")
    figures = planner_lines(planner)
    wrong = [f for f in figures
             if not any(line.startswith(f[0]) and f[1] in line for line in wanted)]
    for row, figure in wrong:
        print(f"{planner}: {row} is not {figure.strip('|/ ')}")
    if len(figures) < 6:
        print(f"{planner}: {len(figures)} GPUs found")
    return 1 if stale or wrong or len(figures) < 6 else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", metavar="GPU", help="walls of every layer on one GPU")
    parser.add_argument("--check", nargs=2, metavar=("README", "PLANNER"),
                        help="that a README's tables and the planner's figures are this model's")
    arguments = parser.parse_args()
    if arguments.check:
        sys.exit(check(*arguments.check))
    if not arguments.layers:
        print_tables()
        return
    for gpu in GPUS:
        if arguments.layers.lower() in gpu.name.lower():
            print_layers(gpu)


if __name__ == "__main__":
    main()
