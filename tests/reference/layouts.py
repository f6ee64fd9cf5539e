#!/usr/bin/env python3
"""layouts.py weights|PRECISION,... [FAMILY...]: a campaign. Writes random networks of every layout of names,
shape and kind of file with PyTorch, and compares what the program makes of each file:

    weights   the weights that --convert writes equal PyTorch's; SPAN's folded convolutions are at most one unit in
              the last place of the largest weight apart
    PRECISION the pixels of that --precision (exact, fp32, bf16, fp16), of one picture, against networks.py and
              against spandrel, which loads the same file. Limits: those of test_reference.c. A line has files, least
              share of equal values, largest difference and least PSNR, for networks.py and for spandrel

A file that spandrel refuses is named in the table with its reason, and spandrel must refuse it. FAMILY: rrdb,
compact, span, sizes, files. $RESR: the program. Needs torch, safetensors, spandrel and pillow."""

import collections
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
import zipfile

try:
    import numpy as np
    import torch
    import torch.nn.functional as F
    from PIL import Image
    from safetensors.torch import load_file, save_file
    from spandrel import ModelLoader
    from networks import Network, enlargements, random_weights, unshuffle_of
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data")
MIN_EQUAL, MAX_DIFFERENCE = 0.999, 1  # classes exact and fp32, as in test_reference.c
MIN_PSNR_DB = {"bf16": 51.0, "fp16": 57.0}  # as in test_reference.c
NO_DEVICE = 69  # the exit code
MIN_INSIDE = 0.5  # share of the values between black and white: clipped values are equal for any network

GROWTH = "spandrel's RRDBNet has 32 growth channels"
SLOPES = "spandrel recognises SRVGGNetCompact by its slopes"
FORMS = "spandrel recognises SPAN by its training form and eval_conv together"
KEY = "spandrel does not look into a dictionary of this name"
PARAMETER = "spandrel does not read Parameters"
PREFIX = "spandrel removes only the prefixes module. and netG."

failures = []


def fail(text):
    print(f"FAILED: {text}", flush=True)
    failures.append(text)


# One file. canonical: the expected weights by name. save(tensors, path without ending): writes it, gives its path.
# refused: why spandrel refuses it, or None.
Case = collections.namedtuple("Case", "what spec tensors canonical save refused")


def stems(spec):
    """Canonical names of the convolutions in the program's order."""
    blocks = range(spec["blocks"])
    if spec["arch"] == "srvgg":
        return [f"body.{2 * i}" for i in range(spec["blocks"] + 2)]
    if spec["arch"] == "span":
        inner = [f"block_{i + 1}.c{k}_r.eval_conv" for i in blocks for k in (1, 2, 3)]
        return ["conv_1.eval_conv", *inner, "conv_2.eval_conv", "conv_cat", "upsampler.0"]
    dense = [f"body.{i}.rdb{k}.conv{j}" for i in blocks for k in (1, 2, 3) for j in range(1, 6)]
    ups = [f"conv_up{i + 1}" for i in range(enlargements(spec))]
    return ["conv_first", *dense, "conv_body", *ups, "conv_hr", "conv_last"]


def picture(spec):
    """A crop of a real frame, of odd sizes and smaller for a large scale: gray, RGB, or RGB with an alpha that is a
    picture as well."""
    side = (63, 61) if spec["scale"] <= 2 else (37, 29)
    colours = Image.open(f"{DATA}/face.png").convert("RGB").crop((0, 0, *side))
    gray, channels = colours.convert("L"), spec.get("channels", 3)
    if channels == 4:
        colours.putalpha(gray.rotate(180))
    return gray if channels == 1 else colours


def values_of(image):
    """uint8 CHW."""
    return np.atleast_3d(np.asarray(image)).transpose(2, 0, 1)


def canonical(spec, seed):
    """Random weights by canonical name."""
    tensors = {}
    gain = 1.35 if spec["arch"] == "srvgg" else 1  # features as large behind each activation as before it
    for stem, (weight, bias, slope) in zip(stems(spec), random_weights(spec, seed, gain)):
        tensors[stem + ".weight"], tensors[stem + ".bias"] = torch.from_numpy(weight), torch.from_numpy(bias)
        if slope is not None:
            tensors[f"body.{int(stem.split('.')[1]) + 1}.weight"] = torch.from_numpy(slope)
    return tensors


def network(spec, tensors):
    """networks.py's network with these weights."""
    slope = lambda stem: tensors.get(f"body.{int(stem[5:]) + 1}.weight") if spec["arch"] == "srvgg" else None
    return Network(spec, [(tensors[s + ".weight"], tensors[s + ".bias"], slope(s)) for s in stems(spec)])


def run_network(net, spec, pixels):
    """uint8 CHW -> float CHW. Reflection to a multiple of the unshuffle factor, as in networks.py."""
    x = torch.from_numpy(pixels.astype(np.float32) / np.float32(255))[None]
    height, width = x.shape[2:]
    x = F.pad(x, (0, -width % unshuffle_of(spec), 0, -height % unshuffle_of(spec)), "reflect")
    with torch.inference_mode():
        return net(x)[0, :, :height * spec["scale"], :width * spec["scale"]].numpy()


def settle(spec, tensors):
    """Changes the last convolution, in place, so that each of its outputs varies by 0.12 on a real picture, around
    0.5. Where the enlarged picture is added: by 0.03 around 0, as in real networks (0.01 to 0.06)."""
    weight, bias = (tensors[f"{stems(spec)[-1]}.{kind}"] for kind in ("weight", "bias"))
    pixels, added = values_of(picture(spec)), spec["arch"] == "srvgg"
    last = torch.from_numpy(run_network(network(spec, tensors), spec, pixels))
    if added:
        last = last - torch.from_numpy(pixels / np.float32(255)).repeat_interleave(spec["scale"], 1).repeat_interleave(
            spec["scale"], 2)
    if spec["arch"] != "rrdb":
        last = F.pixel_unshuffle(last, spec["scale"])
    factor, mean = (0.03 if added else 0.12) / last.std((1, 2)), last.mean((1, 2))
    weight.mul_(factor.view(-1, 1, 1, 1))
    bias.mul_(factor).add_((0 if added else 0.5) - factor * mean)


def to_zip(tensors, path):
    torch.save(tensors, path + ".pth")
    return path + ".pth"


def to_legacy(tensors, path):
    torch.save(tensors, path + ".pth", _use_new_zipfile_serialization=False)
    return path + ".pth"


def to_deflated(tensors, path):
    with zipfile.ZipFile(to_zip(tensors, path + "-stored")) as stored, \
            zipfile.ZipFile(path + ".pth", "w", zipfile.ZIP_DEFLATED) as out:
        for name in stored.namelist():
            out.writestr(name, stored.read(name))
    return path + ".pth"


def to_safetensors(tensors, path):
    save_file(tensors, path + ".safetensors")
    return path + ".safetensors"


def wrapped(*keys, beside=None):
    """Saves the tensors inside of dictionaries of these names, the outermost first, with others beside the first."""
    def save(tensors, path):
        for key in reversed(keys):
            tensors = {key: tensors}
        return to_zip({**tensors, **(beside or {})}, path)
    return save


def sequential_names(tensors, spec):
    """The names of ESRGAN's first training code."""
    last = 3 * enlargements(spec)
    renamed = {"conv_first": "model.0", "conv_body": f"model.1.sub.{spec['blocks']}", "conv_hr": f"model.{last + 2}",
               "conv_last": f"model.{last + 4}"}
    out = {}
    for name, tensor in tensors.items():
        stem, kind = name.rsplit(".", 1)
        stem = re.sub(r"^body\.(\d+)\.rdb(\d)\.conv(\d)$", r"model.1.sub.\1.RDB\2.conv\3.0", renamed.get(stem, stem))
        out[re.sub(r"^conv_up(\d)$", lambda m: f"model.{3 * int(m[1])}", stem) + "." + kind] = tensor
    return out


def first_names(tensors):
    """The names of ESRGAN's repository and of BSRGAN."""
    pairs = (("conv_body", "trunk_conv"), ("conv_up", "upconv"), ("conv_hr", "HRconv"))
    renamed = {}
    for name, tensor in tensors.items():
        name = re.sub(r"^body\.(\d+)\.rdb", r"RRDB_trunk.\1.RDB", name)
        for old, new in pairs:
            name = name.replace(old, new)
        renamed[name] = tensor
    return renamed


def rrdb():
    shapes = ((1, 1), (2, 1), (4, 1), (8, 1), (2, 2), (1, 4), (4, 2))
    for seed, ((scale, unshuffle), channels) in enumerate(itertools.product(shapes, (1, 3, 4))):
        spec = dict(arch="rrdb", scale=scale, unshuffle=unshuffle, channels=channels, blocks=2, nf=24, gc=32)
        official = rrdb_weights(spec, 100 + seed)
        sequential = sequential_names(official, spec)
        what = f"rrdb {scale}x, unshuffle {unshuffle}, {channels} channels, "
        yield Case(what + "model.N, legacy", spec, sequential, official, to_legacy, None)
        yield Case(what + "model.N, safetensors", spec, sequential, official, to_safetensors, None)
        yield Case(what + "RRDB_trunk", spec, first_names(official), official, to_zip, None)
        yield Case(what + "body.N in params_ema", spec, official, official, wrapped("params_ema"), None)


def compact_case(scale, channels, nf, convs, activation, seed, save=wrapped("params")):
    spec = dict(arch="srvgg", scale=scale, channels=channels, blocks=convs, nf=nf, gc=0)
    expected = canonical(spec, seed)
    slopes = [f"body.{2 * i + 1}.weight" for i in range(convs + 1)]
    if activation == "leakyrelu":
        expected.update({name: torch.full((nf,), 0.1) for name in slopes})
    settle(spec, expected)
    given = {name: tensor for name, tensor in expected.items() if activation == "prelu" or name not in slopes}
    return Case(f"compact {scale}x, {channels} channels, {convs} convolutions of {nf}, {activation}", spec, given,
                expected, save, None if activation == "prelu" else SLOPES)


def compact():
    for seed, (scale, channels, (nf, convs), activation) in enumerate(itertools.product(
            (1, 2, 3, 4), (1, 3, 4), ((64, 3), (24, 8), (48, 0)), ("prelu", "leakyrelu"))):
        yield compact_case(scale, channels, nf, convs, activation, 200 + seed)


def fold(tensors, stem):
    """Weight and bias of the 3x3 convolution that the four of a Conv3XC make, in fp64."""
    part = {name: tensors[f"{stem}.{name}"].double() for name in
            [f"{conv}.{kind}" for conv in ("sk", "conv.0", "conv.1", "conv.2") for kind in ("weight", "bias")]}
    last, first, middle = part["conv.2.weight"][:, :, 0, 0], part["conv.0.weight"][:, :, 0, 0], part["conv.1.weight"]
    weight = torch.einsum("dm,mlyx,lc->dcyx", last, middle, first)
    weight[:, :, 1, 1] += part["sk.weight"][:, :, 0, 0]
    inner = torch.einsum("mlyx,l->m", middle, part["conv.0.bias"]) + part["conv.1.bias"]
    return weight.float().contiguous(), (last @ inner + part["conv.2.bias"] + part["sk.bias"]).float()


def training_form(tensors):
    """A random Conv3XC in place of each eval_conv, with as large a sum of squares as that one's."""
    trained = {}
    for name, tensor in tensors.items():
        if not name.endswith(".eval_conv.weight"):
            trained.update({} if ".eval_conv." in name else {name: tensor})
            continue
        stem, (cout, cin) = name[:-len(".eval_conv.weight")], tensor.shape[:2]
        for conv, to, of, side in (("sk", cout, cin, 1), ("conv.0", 2 * cin, cin, 1),
                                   ("conv.1", 2 * cout, 2 * cin, 3), ("conv.2", cout, 2 * cout, 1)):
            share = 0.5 ** 0.5 if conv in ("sk", "conv.2") else 1
            bound = share * (3 / (of * side * side)) ** 0.5
            trained[f"{stem}.{conv}.weight"] = (2 * torch.rand(to, of, side, side) - 1) * bound
            trained[f"{stem}.{conv}.bias"] = (2 * torch.rand(to) - 1) * 0.05
    return trained


def span_cases(scale, nf, channels, normalise, seed, save=wrapped("params")):
    """The training form with eval_conv, as PyTorch saves it, and each of them alone."""
    spec = dict(arch="span", scale=scale, channels=channels, blocks=6, nf=nf, gc=0, normalise=int(normalise))
    folded = canonical(spec, seed)
    trained = training_form(folded)
    if normalise:  # inputs of up to 143
        for conv in ("sk", "conv.2"):
            trained[f"conv_1.{conv}.weight"] /= 64
    else:
        folded["no_norm"] = trained["no_norm"] = torch.zeros(1)
    for name in [name for name in trained if name.endswith(".sk.weight")]:
        stem = name[:-len(".sk.weight")]
        folded[stem + ".eval_conv.weight"], folded[stem + ".eval_conv.bias"] = fold(trained, stem)
    settle(spec, folded)  # and trained, which has the same last convolution
    for kind, given in (("both forms", {**trained, **folded}), ("training form", trained), ("eval_conv", folded)):
        yield Case(f"span {scale}x, {channels} channels, {nf} features, normalised {normalise}, {kind}", spec, given,
                   folded, save, None if kind == "both forms" else FORMS)


def span():
    for seed, (scale, nf, (channels, normalise)) in enumerate(itertools.product(
            (1, 2, 3, 4), (48, 52, 64), ((1, False), (3, False), (3, True), (4, False)))):
        yield from span_cases(scale, nf, channels, normalise, 300 + seed)


def rrdb_weights(spec, seed):
    tensors = canonical(spec, seed)
    settle(spec, tensors)
    return tensors


def rrdb_case(what, spec, seed, save, refused=None):
    official = rrdb_weights(spec, seed)
    return Case(what, spec, official, official, save, refused)


def sizes():
    for seed, (nf, gc) in enumerate(itertools.product((24, 32, 48, 64, 96, 128), (16, 32, 64))):
        spec = dict(arch="rrdb", scale=4, blocks=1, nf=nf, gc=gc)
        yield rrdb_case(f"rrdb of {nf} features, growth {gc}", spec, 400 + seed, to_zip, None if gc == 32 else GROWTH)
    for blocks in (3, 6, 23):
        spec = dict(arch="rrdb", scale=4, blocks=blocks, nf=24, gc=32)
        yield rrdb_case(f"rrdb of {blocks} blocks", spec, 450 + blocks, to_zip)
    for nf, convs in itertools.product((8, 16, 24, 32, 48, 64, 96, 128), (1, 8, 16, 32)):
        yield compact_case(2, 3, nf, convs, "prelu", 500 + nf + convs, to_zip)


def as_type(case, dtype, kind, save):
    """The case with its weights rounded to a type; SPAN's are folded after the rounding."""
    given = {name: tensor.to(dtype) for name, tensor in case.tensors.items()}
    rounded = {name: tensor.to(dtype).float() for name, tensor in case.canonical.items()}
    if case.spec["arch"] == "span":
        for name in [name for name in given if name.endswith(".sk.weight")]:
            stem = name[:-len(".sk.weight")]
            rounded[stem + ".eval_conv.weight"], rounded[stem + ".eval_conv.bias"] = fold(given, stem)
    return case._replace(what=f"{case.what}, {kind}", tensors=given, canonical=rounded, save=save)


def files():
    networks = [rrdb_case("rrdb", dict(arch="rrdb", scale=4, blocks=1, nf=24, gc=32), 600, to_zip),
                compact_case(4, 3, 32, 3, "prelu", 601), next(span_cases(4, 48, 3, False, 602))]
    types = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32, "fp64": torch.float64}
    kinds = {"zip": to_zip, "legacy": to_legacy, "deflated": to_deflated, "safetensors": to_safetensors}
    for case in networks:
        for dtype, kind in itertools.product(types, kinds):
            yield as_type(case, types[dtype], f"{dtype}, {kind}", kinds[kind])
        order = {name: tensor.to(memory_format=torch.channels_last) if tensor.dim() == 4 else tensor
                 for name, tensor in case.tensors.items()}
        yield case._replace(what=case.what + ", channels last", tensors=order, save=to_zip)
        parameters = {name: torch.nn.Parameter(tensor) for name, tensor in case.tensors.items()}
        yield case._replace(what=case.what + ", parameters", tensors=parameters, save=to_zip, refused=PARAMETER)
        for key in ("params_ema", "params-ema", "g_ema", "params", "model_state_dict", "state_dict", "generator", "netG",
                    "net_g", "model", "net", "module"):
            yield case._replace(what=f"{case.what}, in {key}", save=wrapped(key))
            known = key not in ("g_ema", "generator", "netG", "net_g", "module")
            yield case._replace(what=f"{case.what}, in {key} beside others", refused=None if known else KEY,
                                save=wrapped(key, beside={"iter": 5, "optimizer": {"lr": 0.1, "steps": [1, 2]}}))
        yield case._replace(what=case.what + ", in state_dict.model", save=wrapped("state_dict", "model"))
        yield case._replace(what=case.what + ", in state_dict.net.params", save=wrapped("state_dict", "net", "params"))
        for prefix in ("module.", "netG.", "module.netG.", "netG.module.", "model.", "generator."):
            given = {prefix + name: tensor for name, tensor in case.tensors.items()}
            yield case._replace(what=f"{case.what}, prefix {prefix}", tensors=given, save=to_zip,
                                refused=PREFIX if prefix in ("model.", "generator.") else None)


FAMILIES = {"rrdb": rrdb, "compact": compact, "span": span, "sizes": sizes, "files": files}


def check_weights(cases):
    """What --convert writes."""
    for number, case in enumerate(cases):
        path = case.save(case.tensors, f"{number}")
        done = subprocess.run([os.environ["RESR"], "--convert", path, "out.safetensors", "--overwrite"],
                              capture_output=True, text=True)
        if done.returncode:
            fail(f"{case.what}: {done.stderr}")
            continue
        os.remove(path)
        spec, ours = case.spec, load_file("out.safetensors")
        if f" {spec['scale']}x," not in done.stdout or f" {spec.get('channels', 3)} channel" not in done.stdout:
            fail(f"{case.what}: {done.stdout}")
        if set(ours) != set(case.canonical):
            fail(f"{case.what}: names {sorted(set(ours) ^ set(case.canonical))[:4]}")
            continue
        tolerance = 2.0 ** -23 if spec["arch"] == "span" else 0
        for name, tensor in ours.items():
            if (tensor - case.canonical[name]).abs().max() > tolerance * case.canonical[name].abs().max():
                fail(f"{case.what}: {name}")


def load_spandrel(case, path):
    """spandrel's network; None where it refuses the file, as expected. Not its descriptor, which reflects to a
    multiple of 4 for every unshuffle factor."""
    try:
        found = ModelLoader().load_from_file(path)
    except Exception as error:
        if not case.refused:
            fail(f"{case.what}: spandrel refuses the file: {error!r}")
        return None
    if case.refused:
        fail(f"{case.what}: spandrel reads the file; expected was: {case.refused}")
    if (found.scale, found.input_channels) != (case.spec["scale"], case.spec.get("channels", 3)):
        fail(f"{case.what}: spandrel finds {found.scale}x of {found.input_channels} channels")
    return found.model


class Row:
    """A line of the table: the worst of its files."""

    def __init__(self):
        self.files, self.equal, self.worst, self.psnr_db = 0, 1.0, 0, float("inf")

    def add(self, case, precision, got, expected):
        expected = expected.clip(0, 1)
        exact = np.rint(expected * np.float32(255))
        difference = np.abs(got - exact)
        equal, worst = float(np.mean(difference == 0)), int(difference.max())
        psnr_db = 20 * np.log10(255) - 10 * np.log10(np.mean((got - expected * 255.0) ** 2) + 1e-30)
        good = psnr_db >= MIN_PSNR_DB[precision] if precision in MIN_PSNR_DB else \
            equal >= MIN_EQUAL and worst <= MAX_DIFFERENCE
        if not good:
            fail(f"{case.what}: {equal:.4%} equal, {worst} off, {psnr_db:.1f} dB")
        self.files, self.equal = self.files + 1, min(self.equal, equal)
        self.worst, self.psnr_db = max(self.worst, worst), min(self.psnr_db, psnr_db)

    def __str__(self):
        return f"{self.files} | {self.equal:.3%} | {self.worst} | {self.psnr_db:.1f}" if self.files else "0 | | |"


def run_program(cases, precision):
    """Runs all cases in one process, which measures its kernels once."""
    with open(f"{precision}.jobs", "w") as file:
        for number, path in enumerate(cases):
            file.write(f"-i {number}-in.png -o {number}-{precision}.png -m {path}\n")
    done = subprocess.run([os.environ["RESR"], "--jobs", f"{precision}.jobs", "--precision", precision, "--progress", "none"],
                          capture_output=True, text=True)
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    if reports and all(report["status"] == NO_DEVICE for report in reports):
        print(f"skipped: {reports[0]['error']}")
        sys.exit(77)
    if done.returncode:
        fail(f"--jobs: exit code {done.returncode}: {done.stderr}")


def torch_pixels(cases):
    """Writes each case's file and picture. Paths of the files, and the outputs of networks.py and of spandrel (None
    where it refuses the file)."""
    paths, own, spandrel, known = [], [], [], {}
    for number, case in enumerate(cases):
        image = picture(case.spec)
        image.save(f"{number}-in.png")
        if id(case.canonical) not in known:  # other layouts of the same network
            known[id(case.canonical)] = run_network(network(case.spec, case.canonical), case.spec, values_of(image))
        own.append(known[id(case.canonical)])
        inside = np.mean((own[-1] > 0) & (own[-1] < 1))
        if inside < MIN_INSIDE:
            fail(f"{case.what}: only {inside:.1%} of the values are not clipped")
        paths.append(case.save(case.tensors, f"{number}"))
        theirs = load_spandrel(case, paths[-1])
        spandrel.append(theirs and run_network(theirs, case.spec, values_of(image)))
    return paths, own, spandrel


def check_pixels(name, cases, precisions):
    paths, own, spandrel = torch_pixels(cases)
    for precision in precisions:
        run_program(paths, precision)
        own_row, spandrel_row = Row(), Row()
        for number, case in enumerate(cases):
            if not os.path.exists(f"{number}-{precision}.png"):
                fail(f"{case.what}: the program gave no picture")
                continue
            got = values_of(Image.open(f"{number}-{precision}.png"))
            if got.shape != own[number].shape:
                fail(f"{case.what}: the picture's shape is {got.shape}, not {own[number].shape}")
                continue
            own_row.add(case, precision, got, own[number])
            if spandrel[number] is not None:
                spandrel_row.add(case, precision, got, spandrel[number])
        print(f"{name} | {precision} | {own_row} | {spandrel_row}", flush=True)
    for reason, count in collections.Counter(case.refused for case in cases if case.refused).items():
        print(f"    {count} refused: {reason}", flush=True)


def main(what, *names):
    torch.manual_seed(1)
    torch.set_num_threads(1)
    os.environ["RESR"] = os.path.abspath(os.environ["RESR"])
    for name in names or FAMILIES:
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            cases = list(FAMILIES[name]())
            if what == "weights":
                check_weights(cases)
                print(f"{name}: the weights of {len(cases)} files were compared", flush=True)
            else:
                check_pixels(name, cases, what.split(","))
            os.chdir("/")
    sys.exit(bool(failures))


main(*sys.argv[1:])
