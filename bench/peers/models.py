"""The benchmark's networks for the peers: PyTorch modules, ONNX graphs and ncnn files from the same
weights. The layers' order and the weight readers are those of tests/reference/networks.py."""

import os
import struct
import sys

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path.insert(0, os.path.join(ROOT, "tests", "reference"))
import networks as reference  # noqa: E402

WEIGHTS = os.path.join(ROOT, "models", "weights")

RRDB = dict(arch="rrdb", scale=4, nf=64, gc=32)
SRVGG = dict(arch="srvgg", scale=4, nf=64, gc=0)
SPAN = dict(arch="span", scale=4, gc=0, blocks=6)

# name -> (ncnn file or None for seeded weights, spec)
NETWORKS = {
    "x4plus": ("realesrgan-x4plus", dict(RRDB, blocks=23)),
    "anime_6B": ("realesrgan-x4plus-anime", dict(RRDB, blocks=6)),
    "animevideov3": ("realesr-animevideov3-x4", dict(SRVGG, blocks=16)),
    "general-x4v3": (None, dict(SRVGG, blocks=32)),
    "span-48": (None, dict(SPAN, nf=48)),
    "span-64": (None, dict(SPAN, nf=64)),
}
SEED = 7


def load(name):
    """(spec, weights) of a network."""
    file, spec = NETWORKS[name]
    if file:
        return spec, reference.ncnn_weights(os.path.join(WEIGHTS, file + ".bin"), spec)
    return spec, reference.random_weights(spec, SEED, 1.0)


def model_argument(name):
    """The same network for bench_net."""
    file, spec = NETWORKS[name]
    if file:
        return os.path.join(WEIGHTS, file + ".param")
    return f"{spec['arch']}:{spec['scale']}:{spec['blocks']}:{SEED}:{spec['nf']}"


def macs_per_px(spec):
    """Multiply-accumulates of direct convolution per input pixel (scale 4: no unshuffle)."""
    total = 0
    shapes = reference.conv_shapes(spec)
    for i, (cout, cin, _, kernel_px) in enumerate(shapes):
        enlarged = {1: 16, 2: 16, 3: 16, 4: 4}.get(len(shapes) - i, 1) if spec["arch"] == "rrdb" else 1
        total += kernel_px**2 * cout * cin * enlarged
    return total


class Module(torch.nn.Module):
    """The reference network with its weights as parameters, for .to(dtype, memory_format)."""

    def __init__(self, spec, weights):
        super().__init__()
        self.network = reference.Network(spec, weights)
        self.tensors = torch.nn.ParameterList(
            [t for w in self.network.weights for t in w if t is not None])

    def forward(self, x):
        tensors = iter(self.tensors)
        self.network.weights = [tuple(None if t is None else next(tensors) for t in w)
                                for w in self.network.weights]
        return self.network(x)


class Graph:
    """Builds an ONNX graph layer by layer."""

    def __init__(self, weights):
        self.weights, self.nodes, self.tensors, self.count = weights, [], [], 0

    def constant(self, array):
        self.count += 1
        self.tensors.append(numpy_helper.from_array(np.ascontiguousarray(array), f"c{self.count}"))
        return f"c{self.count}"

    def add(self, op, inputs, **attributes):
        self.count += 1
        self.nodes.append(helper.make_node(op, inputs, [f"t{self.count}"], **attributes))
        return f"t{self.count}"

    def conv(self, i, x, activation=None):
        weight, bias, slope = self.weights[i]
        y = self.add("Conv", [x, self.constant(weight), self.constant(bias)],
                     pads=[weight.shape[-1] // 2] * 4, kernel_shape=weight.shape[-2:])
        if slope is not None:
            return self.add("PRelu", [y, self.constant(slope.reshape(-1, 1, 1))])
        return self.add("LeakyRelu", [y], alpha=0.2) if activation else y

    def enlarge(self, x, factor):
        scales = self.constant(np.array([1, 1, factor, factor], np.float32))
        return self.add("Resize", [x, "", scales], mode="nearest", nearest_mode="floor",
                        coordinate_transformation_mode="asymmetric")

    def silu(self, x):
        return self.add("Mul", [x, self.add("Sigmoid", [x])])

    def scaled_add(self, base, x):
        return self.add("Add", [base, self.add("Mul", [x, self.constant(np.float32(0.2))])])


def onnx_model(spec, weights, width, height):
    """The whole network, NCHW, fixed size; output `out`, not clamped."""
    g, scale = Graph(weights), spec["scale"]
    if spec["arch"] == "srvgg":
        x = "in"
        for i in range(spec["blocks"] + 1):
            x = g.conv(i, x)
        x = g.add("DepthToSpace", [g.conv(len(weights) - 1, x)], blocksize=scale, mode="CRD")
        out = g.add("Add", [x, g.enlarge("in", scale)])
    elif spec["arch"] == "span":
        head = body = g.conv(0, "in")
        half = g.constant(np.float32(0.5))
        for i in range(1, 1 + 3 * spec["blocks"], 3):
            first = g.silu(g.conv(i, body))
            gate = g.conv(i + 2, g.silu(g.conv(i + 1, first)))
            attention = g.add("Sub", [g.add("Sigmoid", [gate]), half])
            body = g.add("Mul", [g.add("Add", [gate, body]), attention])
            first_block = body if i == 1 else first_block
        maps = g.add("Concat", [head, g.conv(i + 3, body), first_block, first], axis=1)
        out = g.add("DepthToSpace", [g.conv(i + 5, g.conv(i + 4, maps))], blocksize=scale, mode="CRD")
    else:
        feat = body = g.conv(0, "in")
        i = 1
        for _ in range(spec["blocks"]):
            block = body
            for _ in range(3):
                maps = [body]
                for k in range(4):
                    x = g.add("Concat", maps, axis=1) if k else body
                    maps.append(g.conv(i + k, x, "leaky"))
                body = g.scaled_add(body, g.conv(i + 4, g.add("Concat", maps, axis=1)))
                i += 5
            body = g.scaled_add(block, body)
        feat = g.add("Add", [feat, g.conv(i, body)])
        for k in (1, 2):
            feat = g.conv(i + k, g.enlarge(feat, 2), "leaky")
        out = g.conv(i + 4, g.conv(i + 3, feat, "leaky"))
    g.nodes.append(helper.make_node("Identity", [out], ["out"]))
    value = lambda name, h, w: helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, h, w])
    graph = helper.make_graph(g.nodes, "network", [value("in", height, width)],
                              [value("out", height * scale, width * scale)], g.tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model


class NcnnGraph:
    """Builds an ncnn graph; a blob that several layers read is split where it is written."""

    def __init__(self, weights):
        self.weights, self.layers, self.data = weights, [("Input", [], "data", "")], b""

    def add(self, kind, inputs, parameters=""):
        out = f"b{len(self.layers)}"
        self.layers.append((kind, inputs, out, parameters))
        return out

    def conv(self, i, x):
        weight, bias, slope = self.weights[i]
        kernel_px = weight.shape[-1]
        self.data += struct.pack("<I", 0) + weight.astype("<f4").tobytes() + bias.astype("<f4").tobytes()
        x = self.add("Convolution", [x], f"0={weight.shape[0]} 1={kernel_px} 4={kernel_px // 2} 5=1 6={weight.size}")
        if slope is None:
            return x
        self.data += slope.astype("<f4").tobytes()
        return self.add("PReLU", [x], f"0={slope.size}")

    def text(self):
        readers = [blob for _, inputs, _, _ in self.layers for blob in inputs]
        lines, blobs, read = [], 0, {}
        for i, (kind, inputs, out, parameters) in enumerate(self.layers):
            names = []
            for blob in inputs:
                read[blob] = read.get(blob, 0) + 1
                names.append(f"{blob}_{read[blob]}" if readers.count(blob) > 1 else blob)
            lines.append(f"{kind} l{i} {len(names)} 1 {' '.join(names + [out])} {parameters}")
            copies = readers.count(out)
            blobs += 1
            if copies > 1:
                lines.append(f"Split s{i} 1 {copies} {out} " + " ".join(f"{out}_{k + 1}" for k in range(copies)))
                blobs += copies
        return "\n".join(["7767517", f"{len(lines)} {blobs}"] + lines) + "\n"


def ncnn_files(name, folder):
    """(param, bin, input blob, output blob): the real files, or a graph with seeded weights in the
    layout of a real one."""
    file, spec = NETWORKS[name]
    if file:
        param = os.path.join(WEIGHTS, file + ".param")
        lines = open(param).read().split("\n")
        return param, os.path.join(WEIGHTS, file + ".bin"), lines[2].split()[4], "output"
    spec, weights = load(name)
    g, blocks, scale = NcnnGraph(weights), spec["blocks"], spec["scale"]
    x = g.conv(0, "data")
    if spec["arch"] == "srvgg":
        for i in range(1, blocks + 2):
            x = g.conv(i, x)
        x = g.add("PixelShuffle", [x], f"0={scale}")
        enlarged = g.add("Interp", ["data"], f"0=1 1={scale}.0 2={scale}.0")
        out = g.add("BinaryOp", [x, enlarged], "0=0")
    else:
        head = x
        for i in range(1, 1 + 3 * blocks, 3):
            first = g.add("Swish", [g.conv(i, x)])
            gate = g.conv(i + 2, g.add("Swish", [g.conv(i + 1, first)]))
            attention = g.add("BinaryOp", [g.add("Sigmoid", [gate])], "0=1 1=1 2=0.5")
            x = g.add("BinaryOp", [g.add("BinaryOp", [gate, x], "0=0"), attention], "0=2")
            first_block = x if i == 1 else first_block
        maps = g.add("Concat", [head, g.conv(i + 3, x), first_block, first], "0=0")
        out = g.add("PixelShuffle", [g.conv(i + 5, g.conv(i + 4, maps))], f"0={scale}")
    param, data = os.path.join(folder, "net.param"), os.path.join(folder, "net.bin")
    with open(param, "w") as file:
        file.write(g.text())
    with open(data, "wb") as file:
        file.write(g.data)
    return param, data, "data", out
