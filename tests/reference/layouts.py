#!/usr/bin/env python3
"""layouts.py [FAMILY...]: by hand. Writes random networks of every layout of names with PyTorch, converts them with
the program (--convert) and compares the weights with those that PyTorch and spandrel have after loading the same
files: equal, or for SPAN's folded convolutions at most one unit in the last place of the largest weight apart.
FAMILY: rrdb, compact, span. $RESR: the program. Needs torch, spandrel and safetensors."""

import itertools
import os
import re
import subprocess
import sys
import tempfile

try:
    import torch
    from safetensors.torch import load_file, save_file
    from spandrel import ModelLoader
    from spandrel.architectures.Compact import Compact
    from spandrel.architectures.ESRGAN import ESRGAN
    from spandrel.architectures.SPAN import SPAN
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)


def convert(tensors, path, wrapped=None, legacy=False):
    """The program's weights, its line of output, and spandrel's view of the same file (None: refused)."""
    if path.endswith(".safetensors"):
        save_file(tensors, path)
    else:
        torch.save({wrapped: tensors} if wrapped else tensors, path, _use_new_zipfile_serialization=not legacy)
    done = subprocess.run([os.environ["RESR"], "--convert", path, "out.safetensors", "--overwrite"],
                          capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"FAILED: {path} {list(tensors)[:2]}: {done.stderr}")
    try:
        theirs = ModelLoader().load_from_file(path)
    except Exception:  # spandrel has no network without slopes
        theirs = None
    return load_file("out.safetensors"), done.stdout, theirs


def compare(ours, expected, what, tolerance=0.0):
    if set(ours) != set(expected):
        sys.exit(f"FAILED: {what}: names {sorted(set(ours) ^ set(expected))[:4]}")
    for name, tensor in ours.items():
        other = expected[name].float()
        if (tensor - other).abs().max() > tolerance * other.abs().max():
            sys.exit(f"FAILED: {what}: {name}")


def check_facts(line, theirs, what):
    if theirs and (f" {theirs.scale}x," not in line or f" {theirs.input_channels} channel" not in line):
        sys.exit(f"FAILED: {what}: spandrel finds {theirs.scale}x of {theirs.input_channels} channels, not {line}")


def official_names(sequential):
    """Real-ESRGAN's names for spandrel's RRDBNet, whose convolutions are model.0, model.1.sub.N... and a tail."""
    tail = sorted({int(name.split(".")[1]) for name in sequential} - {0, 1})
    names = {0: "conv_first", 1: "conv_body", tail[-1]: "conv_last", tail[-2]: "conv_hr"}
    names.update({module: f"conv_up{i + 1}" for i, module in enumerate(tail[:-2])})
    official = {}
    for name, tensor in sequential.items():
        inner = re.match(r"model\.1\.sub\.(\d+)\.RDB(\d)\.conv(\d)\.0\.", name)
        stem = f"body.{inner[1]}.rdb{inner[2]}.conv{inner[3]}" if inner else names[int(name.split(".")[1])]
        official[stem + "." + name.split(".")[-1]] = tensor
    return official


def first_names(official):
    """The names of ESRGAN's repository and of BSRGAN."""
    pairs = (("conv_body", "trunk_conv"), ("conv_up", "upconv"), ("conv_hr", "HRconv"))
    renamed = {}
    for name, tensor in official.items():
        name = re.sub(r"^body\.(\d+)\.rdb", r"RRDB_trunk.\1.RDB", name)
        for old, new in pairs:
            name = name.replace(old, new)
        renamed[name] = tensor
    return renamed


def rrdb():
    count = 0
    shapes = ((1, None), (2, None), (4, None), (8, None), (4, 2), (4, 4), (8, 2))
    for (scale, unshuffle), channels in itertools.product(shapes, (1, 3, 4)):
        net = ESRGAN(in_nc=channels * (unshuffle or 1) ** 2, out_nc=channels, num_filters=24, num_blocks=2,
                     scale=scale, shuffle_factor=unshuffle)
        sequential = net.state_dict()
        official = official_names(sequential)
        for tensors, path, options in ((sequential, "old.pth", {"legacy": True}), (sequential, "old.safetensors", {}),
                                       (first_names(official), "first.pth", {}),
                                       (official, "official.pth", {"wrapped": "params_ema"})):
            ours, line, theirs = convert(tensors, path, **options)
            what = f"rrdb {scale} {unshuffle} {channels} {path}"
            compare(ours, official, what)
            compare(ours, official_names(theirs.model.state_dict()), what + " (spandrel)")
            check_facts(line, theirs, what)
            count += 1
    return count


def compact():
    count = 0
    for scale, channels, (nf, convs), act in itertools.product((1, 2, 3, 4), (1, 3, 4), ((64, 3), (24, 8), (48, 0)),
                                                               ("prelu", "leakyrelu")):
        net = Compact(num_in_ch=channels, num_out_ch=channels, num_feat=nf, num_conv=convs, upscale=scale, act_type=act)
        tensors = {name: torch.randn_like(tensor) * 0.1 for name, tensor in net.state_dict().items()}
        ours, line, theirs = convert(tensors, "compact.pth", wrapped="params")
        what = f"compact {scale} {channels} {nf} {convs} {act}"
        slopes = {f"body.{2 * i + 1}.weight": torch.full((nf,), 0.1) for i in range(convs + 1)}
        compare(ours, {**slopes, **tensors}, what)
        check_facts(line, theirs if act == "prelu" else None, what)
        count += 1
    return count


def fold(tensors, stem):
    """Weight and bias of the 3x3 convolution that the four of a Conv3XC make, in fp64."""
    part = {name: tensors[f"{stem}.{name}"].double() for name in
            [f"{conv}.{kind}" for conv in ("sk", "conv.0", "conv.1", "conv.2") for kind in ("weight", "bias")]}
    last, first, middle = part["conv.2.weight"][:, :, 0, 0], part["conv.0.weight"][:, :, 0, 0], part["conv.1.weight"]
    weight = torch.einsum("dm,mlyx,lc->dcyx", last, middle, first)
    weight[:, :, 1, 1] += part["sk.weight"][:, :, 0, 0]
    inner = torch.einsum("mlyx,l->m", middle, part["conv.0.bias"]) + part["conv.1.bias"]
    return weight.float().contiguous(), (last @ inner + part["conv.2.bias"] + part["sk.bias"]).float()


def span():
    count = 0
    for scale, nf, (channels, norm) in itertools.product((1, 2, 4), (48, 52, 64),
                                                         ((1, False), (3, False), (3, True), (4, False))):
        net = SPAN(num_in_ch=channels, num_out_ch=channels, feature_channels=nf, upscale=scale, norm=norm)
        tensors = {name: torch.randn_like(tensor) * (name != "no_norm") * 0.1
                   for name, tensor in net.state_dict().items()}
        folded = {name: tensor for name, tensor in tensors.items() if not re.search(r"\.(sk|conv|eval_conv)\.", name)}
        for name in tensors:
            if name.endswith(".sk.weight"):
                stem = name[:-len(".sk.weight")]
                folded[stem + ".eval_conv.weight"], folded[stem + ".eval_conv.bias"] = fold(tensors, stem)
        trained = {name: tensor for name, tensor in tensors.items() if ".eval_conv." not in name}
        for kind, given in (("both", tensors), ("trained", trained), ("folded", folded)):
            ours, line, theirs = convert(given, "span.pth", wrapped="params")
            what = f"span {scale} {nf} {channels} {norm} {kind}"
            compare(ours, folded, what, 2.0 ** -23)
            check_facts(line, theirs, what)
            count += 1
    return count


def main():
    families = {"rrdb": rrdb, "compact": compact, "span": span}
    torch.manual_seed(1)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["RESR"] = os.path.abspath(os.environ["RESR"])
        os.chdir(folder)
        for name in sys.argv[1:] or families:
            print(f"{name}: {families[name]()} files are equal")


main()
