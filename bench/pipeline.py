"""pipeline.py --json FILE --plot PREFIX [--programs A,B]: this program against other whole programs; see pipeline.sh."""

import argparse
import os
import re
import subprocess
import sys
import tempfile

import torch

import harness
import plots

sys.path.insert(0, os.path.join(harness.ROOT, "bench", "peers"))
import models

CLIP = os.path.join(harness.ROOT, "models", "clips", "carphone_pristine.mp4")
MIN_PSNR_DB = 30  # between two programs' videos: below, they did not do the same


def save_checkpoint(path):
    """x4plus in the official .pth's layout, from the fetched weights."""
    spec, weights = models.load("x4plus")
    names = ["conv_first"]
    names += [f"body.{b}.rdb{d}.conv{c}" for b in range(spec["blocks"]) for d in (1, 2, 3) for c in range(1, 6)]
    names += ["conv_body", "conv_up1", "conv_up2", "conv_hr", "conv_last"]
    state = {}
    for name, (weight, bias, _) in zip(names, weights):
        state[name + ".weight"], state[name + ".bias"] = torch.tensor(weight), torch.tensor(bias.copy())
    torch.save({"params_ema": state}, path)


def psnr_db(path, truth):
    out = subprocess.run(["ffmpeg", "-hide_banner", "-i", path, "-i", truth, "-lavfi", "psnr", "-f", "null", "-"],
                         capture_output=True, text=True)
    found = re.search(r"PSNR .*average:(\S+)", out.stderr)
    return float(found.group(1)) if out.returncode == 0 and found else 0.0


def peer(backend, frames, folder):
    return [os.path.join(os.path.dirname(sys.executable), "framelift"), "-i", CLIP, "-o", f"{folder}/framelift-{backend}.mp4",
            "--model", "realesrgan-x4plus", "--scale", "4", "--ai-strength", "1", "--max-frames", str(frames), "--device", "cpu",
            "--backend", backend, "--tile", "0", "--torch-threads", "2", "--weights-dir", folder]


def own(build, precision, frames, folder):
    name = f"{folder}/ours-{precision}"
    return [os.path.join(build, "realesrgan-mpi"), "-i", CLIP, "-o", name + ".mp4", "--overwrite", "-m",
            models.model_argument("x4plus"), "-t", "0", "--frames", str(frames), "--threads", "2", "--precision", precision,
            "--progress", "none", "--framehash", name + ".hash"]


def measure(args, folder, verdict):
    save_checkpoint(os.path.join(folder, "RealESRGAN_x4plus.pth"))
    commands = {f"framelift-{b}": peer(b, args.frames, folder) for b in ("openvino", "torch")}
    commands.update({f"ours-{p}": own(args.build, p, args.frames, folder) for p in ("bf16", "fp32")})
    commands = {name: commands[name] for name in args.programs.split(",")}
    runs, hashes = {name: [] for name in commands}, {}
    for _ in range(args.rounds):
        for name, command in commands.items():
            runs[name].append(harness.run(command))
            verdict.check(harness.count_frames(f"{folder}/{name}.mp4") == args.frames, f"{name}: other frames in the video")
            if name.startswith("ours"):
                text = open(f"{folder}/{name}.hash").read()
                verdict.check(hashes.setdefault(name, text) == text, f"{name}: other frames in another run")
    rows = []
    for name, done in runs.items():
        quality = psnr_db(f"{folder}/{name}.mp4", f"{folder}/{args.programs.split(',')[-1]}.mp4")
        verdict.check(quality >= MIN_PSNR_DB, f"{name}: {quality:.1f} dB to {args.programs.split(',')[-1]}")
        row = dict(program=name, seconds=harness.spread([r["seconds"] for r in done]), psnr_db=min(quality, 999),
                   others_percent=harness.spread([r["others_percent"] for r in done]), repeated=sum(r["repeated"] for r in done))
        row["frames_per_second"] = args.frames / row["seconds"]["median"]
        verdict.quiet(row)
        rows.append(row)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", default=os.path.join(harness.ROOT, "build"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--programs", default="framelift-openvino,framelift-torch,ours-bf16,ours-fp32",
                        help="in turns; the last one's video is what the others' are compared with")
    parser.add_argument("--json", required=True)
    parser.add_argument("--plot", required=True)
    args = parser.parse_args()
    verdict = harness.Verdict()
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(args, folder, verdict)
    best = max((r["frames_per_second"] for r in rows if not r["program"].startswith("ours")), default=None)
    report = harness.report("pipeline", verdict, args.rounds, model="realesrgan-x4plus", width_px=176, height_px=144, threads=2,
                            frames=args.frames, peer_version="framelift-video 2.1.0", rows=rows)
    print("\n| program | s | frames/s | over the fastest peer | dB to ours in fp32 |\n|---|---|---|---|---|")
    for row in rows:
        row["ratio"] = row["frames_per_second"] / best if best else None
        print(f"| {row['program']} | {row['seconds']['median']:.1f} | {row['frames_per_second']:.2f} | {row['ratio'] or 0:.2f} | "
              f"{row['psnr_db']:.1f} |")
    harness.save(report, args.json)
    plots.draw_pipeline(report, f"{args.plot}.png")
    sys.exit(0 if verdict.valid() else 1)


if __name__ == "__main__":
    main()
