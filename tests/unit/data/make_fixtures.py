#!/usr/bin/env python3
"""Writes the weight files beside this script with PyTorch and safetensors themselves, so that the
readers are tested against the real writers. The weights are those of random_model.h with the seeds
below; test_model_formats.c compares them bit for bit. Run it again only to add a file."""

import os
import zipfile

import numpy as np
import torch
from safetensors.torch import save_file

HERE = os.path.dirname(os.path.abspath(__file__))
MASK = (1 << 64) - 1


class Draws:
    """The generator that random_model.h defines."""

    def __init__(self, seed):
        self.state = seed

    def unit(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        z ^= z >> 31
        return np.float32(z >> 40) * np.float32(2.0**-24)

    def uniform(self, bound):
        return (np.float32(2) * self.unit() - np.float32(1)) * np.float32(bound)


def random_weights(convs, seed, gain):
    """convs: (name, cout, cin, name of the PReLU behind it or None) in the order of the network."""
    draws = Draws(seed)
    tensors = {}
    for name, cout, cin, prelu in convs:
        bound = np.float32(np.sqrt(3.0 / (9.0 * cin)) * gain)
        weight = [draws.uniform(bound) for _ in range(cout * cin * 9)]
        tensors[name + ".weight"] = torch.tensor(np.array(weight)).reshape(cout, cin, 3, 3)
        tensors[name + ".bias"] = torch.tensor(np.array([draws.uniform(0.1) for _ in range(cout)]))
        if prelu:
            slope = [np.float32(0.05) + np.float32(0.4) * draws.unit() for _ in range(cout)]
            tensors[prelu + ".weight"] = torch.tensor(np.array(slope))
    return tensors


def rrdb(nf, gc, blocks, unshuffle):
    convs = [("conv_first", nf, 3 * unshuffle**2, None)]
    for b in range(blocks):
        for r in (1, 2, 3):
            for c in range(5):
                convs.append((f"body.{b}.rdb{r}.conv{c + 1}", gc if c < 4 else nf, nf + c * gc, None))
    names = ("conv_body", "conv_up1", "conv_up2", "conv_hr", "conv_last")
    return convs + [(name, 3 if name == "conv_last" else nf, nf, None) for name in names]


def srvgg(nf, blocks, scale):
    convs = [(f"body.{2 * i}", nf, nf if i else 3, f"body.{2 * i + 1}") for i in range(blocks + 1)]
    return convs + [(f"body.{2 * blocks + 2}", 3 * scale * scale, nf, None)]


class Body(torch.nn.Module):
    """A module, so that its state dict carries _metadata as real ones do."""

    def __init__(self, tensors):
        super().__init__()
        self.body = torch.nn.ModuleList()
        for name, value in tensors.items():
            if value.dim() == 4:
                self.body.append(torch.nn.Conv2d(value.shape[1], value.shape[0], 3, padding=1))
            elif name.endswith(".weight"):
                self.body.append(torch.nn.PReLU(value.shape[0]))
        self.load_state_dict(tensors)


def rewrite_deflated(path, out):
    """As a user does who unpacks a file and packs it again: folders, and a compressor."""
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as target:
        names = source.namelist()
        top = names[0].split("/")[0] + "/"
        for folder in (top, top + "data/"):
            target.writestr(zipfile.ZipInfo(folder, (2026, 1, 1, 0, 0, 0)), "")
        for name in names:
            target.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), source.read(name),
                            zipfile.ZIP_DEFLATED)


def save_training(tensors, path):
    """A checkpoint of a training run on several devices: fp16, channels_last, the optimizer beside
    the network, one storage twice."""
    network = torch.nn.DataParallel(Body(tensors)).half().to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.0, momentum=0.9)
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    state = network.state_dict()
    state["module.num_batches_tracked"] = torch.tensor(7)
    torch.save({"epoch": 3, "loss": 0.5, "note": None, "state_dict": state,
                "again": next(iter(state.values())), "optimizer": optimizer.state_dict()}, path,
               _use_new_zipfile_serialization=False)


def main():
    tiny = random_weights(rrdb(8, 4, 1, 2), 11, 1.0)
    torch.save({"params_ema": tiny, "params": {}}, f"{HERE}/rrdb_x2.pth")
    compact = random_weights(srvgg(8, 2, 2), 12, 1.0)
    torch.save(Body(compact).state_dict(), f"{HERE}/srvgg_x2.pth")
    torch.save({"iter": 5, "lr": 1e-4, "params": {k: v.half() for k, v in compact.items()}},
               f"{HERE}/srvgg_x2_half.pth")
    torch.save({k: torch.nn.Parameter(v) for k, v in compact.items()}, f"{HERE}/srvgg_x2_parameters.pth")
    torch.save(compact, f"{HERE}/srvgg_x2_legacy.pth", _use_new_zipfile_serialization=False)
    rewrite_deflated(f"{HERE}/srvgg_x2.pth", f"{HERE}/srvgg_x2_deflated.pth")
    save_training(compact, f"{HERE}/srvgg_x2_training.pth")
    save_file({k: v.bfloat16() for k, v in compact.items()}, f"{HERE}/srvgg_x2_bf16.safetensors",
              metadata={"format": "pt"})
    save_file({"module.num_batches_tracked": torch.tensor(7), "module.flag": torch.tensor(True),
               **{"module." + k: v.double() for k, v in compact.items()}},
              f"{HERE}/srvgg_x2_module.safetensors")


main()
