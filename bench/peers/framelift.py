"""framelift.py [BUILD [FRAMES [ROUNDS]]]: a whole program beside ours. framelift-video 2.1.0 with its OpenVINO
backend and realesrgan-mpi upscale the same real clip of 176 x 144 by x4plus, in turn; frames per second
of the whole run, start-up included, medians. Needs `pip install framelift-video==2.1.0`."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import torch

import models

CLIP = os.path.join(models.ROOT, "models", "clips", "carphone_pristine.mp4")


def save_checkpoint(path):
    """x4plus as the official .pth has it, from the weights at hand."""
    spec, weights = models.load("x4plus")
    names = ["conv_first"]
    names += [f"body.{b}.rdb{d}.conv{c}" for b in range(spec["blocks"]) for d in (1, 2, 3) for c in range(1, 6)]
    names += ["conv_body", "conv_up1", "conv_up2", "conv_hr", "conv_last"]
    state = {}
    for name, (weight, bias, _) in zip(names, weights):
        state[name + ".weight"], state[name + ".bias"] = torch.tensor(weight), torch.tensor(bias.copy())
    torch.save({"params_ema": state}, path)


def timed(command, **keywords):
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, **keywords)
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {done.stdout[-1500:]}{done.stderr[-1500:]}")
    return time.perf_counter() - start


def main(build=os.path.join(models.ROOT, "build"), frames="16", rounds="3"):
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = os.path.join(folder, "RealESRGAN_x4plus.pth")
        save_checkpoint(checkpoint)
        commands = {
            "framelift-openvino": [
                os.path.join(os.path.dirname(sys.executable), "framelift"), "-i", CLIP, "-o", folder + "/peer.mp4",
                "--model", "realesrgan-x4plus", "--scale", "4", "--ai-strength", "1", "--max-frames", frames,
                "--device", "cpu", "--backend", "openvino", "--tile", "0", "--torch-threads", "2", "--weights-dir",
                folder],
        }
        for precision in ("bf16", "fp32"):
            commands[f"ours-{precision}"] = [
                os.path.join(build, "realesrgan-mpi"), "-i", CLIP, "-o", f"{folder}/{precision}.mp4", "--overwrite",
                "-m", models.model_argument("x4plus"), "-t", "0", "--frames", frames, "--threads", "2", "--precision",
                precision, "--progress", "none"]
        seconds = {name: [] for name in commands}
        for _ in range(int(rounds)):
            for name, command in commands.items():
                seconds[name].append(timed(command))
        fps = {name: int(frames) / statistics.median(values) for name, values in seconds.items()}
        print(json.dumps(dict(frames=int(frames), frames_per_second=fps, seconds=seconds,
                              ratios={n: f / fps["framelift-openvino"] for n, f in fps.items()}), indent=1))


if __name__ == "__main__":
    main(*sys.argv[1:])
