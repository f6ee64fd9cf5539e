"""RRDBNet, SRVGGNetCompact and SPAN in PyTorch, their weights, and the official tile geometry: the
oracle that tests/reference/data is made with. Facts from arXiv 1809.00219, 2107.10833 and 2311.12770."""

import math
import struct

import numpy as np
import torch
import torch.nn.functional as F


MEAN, FACTOR = (0.4488, 0.4371, 0.4040), 255.0  # of SPAN's normalised input


def unshuffle_of(spec):
    """Factor of pixel_unshuffle before RRDBNet; by default the one that leaves two enlargements."""
    return spec.get("unshuffle", 4 // spec["scale"]) if spec["arch"] == "rrdb" else 1


def enlargements(spec):
    return (spec["scale"] * unshuffle_of(spec)).bit_length() - 1


def conv_shapes(spec):
    """(cout, cin, has_slope, kernel_px) of every convolution in the program's order."""
    nf, gc, blocks, scale = spec["nf"], spec["gc"], spec["blocks"], spec["scale"]
    channels = spec.get("channels", 3)
    if spec["arch"] == "srvgg":
        return [(nf, channels, True, 3)] + [(nf, nf, True, 3)] * blocks + [(channels * scale * scale, nf, False, 3)]
    if spec["arch"] == "span":
        body = [(nf, nf, False, 3)] * (3 * blocks + 1) + [(nf, 4 * nf, False, 1)]
        return [(nf, channels, False, 3)] + body + [(channels * scale * scale, nf, False, 3)]
    dense = [(gc if i < 4 else nf, nf + i * gc, False, 3) for i in range(5)]
    tail = [(nf, nf, False, 3)] * (2 + enlargements(spec)) + [(channels, nf, False, 3)]
    return [(nf, channels * unshuffle_of(spec)**2, False, 3)] + dense * 3 * blocks + tail


class SplitMix:
    """The generator of tools/random_model.h, bit for bit."""

    def __init__(self, seed):
        self.state = np.uint64(seed)

    def unit(self, n):
        with np.errstate(over="ignore"):
            states = self.state + np.uint64(0x9E3779B97F4A7C15) * np.arange(1, n + 1, dtype=np.uint64)
            self.state = states[-1]
            z = states
            z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            z = z ^ (z >> np.uint64(31))
        return (z >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)

    def uniform(self, n, a):
        return (np.float32(2) * self.unit(n) - np.float32(1)) * np.float32(a)


def random_weights(spec, seed, gain):
    """[(weight, bias, slope or None)] in the program's order. The last bias of RRDB and SPAN is raised
    by 0.5, so that most of the output lies between black and white."""
    generator, out = SplitMix(seed), []
    for cout, cin, has_slope, kernel_px in conv_shapes(spec):
        taps = kernel_px**2
        weight = generator.uniform(cout * cin * taps, math.sqrt(3.0 / (float(taps) * cin)) * gain)
        bias = generator.uniform(cout, 0.1)
        slope = np.float32(0.05) + np.float32(0.4) * generator.unit(cout) if has_slope else None
        out.append((weight.reshape(cout, cin, kernel_px, kernel_px), bias, slope))
    if spec["arch"] != "srvgg":
        weight, bias, slope = out[-1]
        out[-1] = (weight, bias + np.float32(0.5), slope)
    return out


def ncnn_weights(path, spec):
    """The same list from ncnn's .bin: per convolution a tag, fp16 (or fp32) weights padded to 4
    bytes, fp32 biases, and fp32 slopes where a PReLU follows. The mean of SPAN's input comes first."""
    data, at, out = open(path, "rb").read(), 12 * spec.get("normalise", 0), []
    for cout, cin, has_slope, kernel_px in conv_shapes(spec):
        n = cout * cin * kernel_px**2
        (tag,) = struct.unpack_from("<I", data, at)
        at += 4
        kind = {0x01306B47: np.float16, 0: np.float32}[tag]
        weight = np.frombuffer(data, kind, n, at).astype(np.float32).reshape(cout, cin, kernel_px, kernel_px)
        at += (n * kind().itemsize + 3) // 4 * 4
        bias = np.frombuffer(data, np.float32, cout, at)
        at += 4 * cout
        slope = None
        if has_slope:
            slope = np.frombuffer(data, np.float32, cout, at)
            at += 4 * cout
        out.append((weight, bias, slope))
    assert at == len(data), "the file goes on"
    return out


class Network:
    def __init__(self, spec, weights):
        self.spec = spec
        self.weights = [tuple(None if a is None else torch.tensor(np.array(a)) for a in w) for w in weights]

    def conv(self, i, x):
        weight, bias, _ = self.weights[i]
        return F.conv2d(x, weight, bias, padding=weight.shape[-1] // 2)

    def __call__(self, x):
        """float NCHW in [0, 1] -> float NCHW, not clamped."""
        with torch.inference_mode():
            return getattr(self, self.spec["arch"])(x)

    def srvgg(self, x):
        out, last = x, len(self.weights) - 1
        for i in range(last):
            out = F.prelu(self.conv(i, out), self.weights[i][2])
        out = F.pixel_shuffle(self.conv(last, out), self.spec["scale"])
        return out + F.interpolate(x, scale_factor=self.spec["scale"], mode="nearest")

    def span(self, x):
        blocks = self.spec["blocks"]
        if self.spec.get("normalise"):
            x = (x - torch.tensor(MEAN).view(1, 3, 1, 1)) * FACTOR
        head = body = self.conv(0, x)
        for block in range(blocks):
            first = F.silu(self.conv(1 + 3 * block, body))
            gate = self.conv(3 + 3 * block, F.silu(self.conv(2 + 3 * block, first)))
            body = (gate + body) * (torch.sigmoid(gate) - 0.5)
            first_block = body if block == 0 else first_block
        i = 1 + 3 * blocks
        maps = torch.cat([head, self.conv(i, body), first_block, first], 1)
        return F.pixel_shuffle(self.conv(i + 2, self.conv(i + 1, maps)), self.spec["scale"])

    def rrdb(self, x):
        lrelu = lambda v: F.leaky_relu(v, 0.2)
        unshuffle, i = unshuffle_of(self.spec), 1
        if unshuffle > 1:
            x = F.pixel_unshuffle(x, unshuffle)
        feat = body = self.conv(0, x)
        for _ in range(self.spec["blocks"]):
            block = body
            for _ in range(3):
                maps = [body]
                for k in range(4):
                    maps.append(lrelu(self.conv(i + k, torch.cat(maps, 1))))
                body = body + 0.2 * self.conv(i + 4, torch.cat(maps, 1))
                i += 5
            body = block + 0.2 * body
        feat = feat + self.conv(i, body)
        for _ in range(enlargements(self.spec)):
            i += 1
            feat = lrelu(self.conv(i, F.interpolate(feat, scale_factor=2, mode="nearest")))
        return self.conv(i + 2, lrelu(self.conv(i + 1, feat)))


def upscale(network, image, tile, pad):
    """uint8 HWC -> float HWC in [0, 1]: the official geometry. Reflection to a multiple of the
    unshuffle factor on the right and bottom, tiles from (0, 0), context clipped at the border, the
    centres put together."""
    spec = network.spec
    scale, unshuffle, channels = spec["scale"], unshuffle_of(spec), spec.get("channels", 3)
    x = torch.from_numpy(image.transpose(2, 0, 1).astype(np.float32) / np.float32(255))[None]
    if channels == 1:
        x = (x * torch.tensor((0.299, 0.587, 0.114)).view(1, 3, 1, 1)).sum(1, keepdim=True)
    elif channels == 4:
        x = torch.cat([x, torch.ones_like(x[:, :1])], 1)
    height, width = x.shape[2:]
    x = F.pad(x, (0, -width % unshuffle, 0, -height % unshuffle), "reflect")
    rows, columns = x.shape[2:]
    tile_y, tile_x = (tile, tile) if tile else (rows, columns)
    out = torch.empty(1, channels, rows * scale, columns * scale)
    for y in range(0, rows, tile_y):
        for left in range(0, columns, tile_x):
            bottom, right = min(y + tile_y, rows), min(left + tile_x, columns)
            y0, x0 = max(y - pad, 0), max(left - pad, 0)
            part = network(x[:, :, y0 : min(bottom + pad, rows), x0 : min(right + pad, columns)])
            out[:, :, y * scale : bottom * scale, left * scale : right * scale] = part[
                :, :, (y - y0) * scale : (bottom - y0) * scale, (left - x0) * scale : (right - x0) * scale
            ]
    out = out[0, :3, : height * scale, : width * scale].clamp(0, 1)
    if channels == 1:
        out = out.expand(3, -1, -1)
    return out.numpy().transpose(1, 2, 0)
