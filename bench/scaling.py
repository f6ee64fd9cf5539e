"""scaling.py PART --json FILE: one part of scaling.sh, which describes the parts."""

import argparse
import json
import os
import subprocess
import sys
import tempfile

import harness
from harness import spread
from timeline import draw as draw_timeline

REAL_RANKS = (1, 2)
SIMULATED_RANKS = (1, 2, 4, 8, 16, 32, 64)
BATCH_SECONDS, BATCH_FRAMES = 3.2, 8  # of a simulated device
STRONG_FRAMES, WEAK_FRAMES = 640, 40  # of all ranks, of each
CLIP = os.path.join(harness.ROOT, "models", "clips", "carphone_pristine.mp4")
WIDE_CLIP = os.path.join(harness.ROOT, "models", "clips", "bikes.mp4")
MODEL = os.path.join(harness.ROOT, "models", "weights", "realesrgan-x4plus.param")
CROP = "96:80"  # of the real clip, so that a rank has many frames in little time


def clip(path, *options):
    subprocess.run(["ffmpeg", "-v", "error", "-y", *options, "-c:v", "libx264", "-qp", "0", path], check=True)


def make_net(build, path):
    """A small network for simulated devices, which do not run it."""
    subprocess.run([os.path.join(build, "tools", "make_model"), path, "rrdb", "2", "1", "16", "8", "7"], check=True)


class Truth:
    """The frames' hashes, from the run with the most frames."""

    def __init__(self, verdict):
        self.hashes, self.verdict = [], verdict

    def compare(self, what, frames, run):
        hashes = run["hashes"]
        self.verdict.check(len(hashes) == frames == run["report"]["frames_out"], f"{what}: {len(hashes)} frames")
        common = min(len(hashes), len(self.hashes))
        self.verdict.check(hashes[:common] == self.hashes[:common], f"{what}: other frames")
        if len(hashes) > len(self.hashes):
            self.hashes = hashes


def summary(ranks, frames, runs, **fields):
    seconds = [r["report"]["seconds"] for r in runs]
    return dict(ranks=ranks, frames=frames, **fields, makespan_seconds=spread([s["makespan"] for s in seconds]),
                whole_seconds=spread([s["wall"] - s["start_up"] for s in seconds]),
                scheduler_cpu_seconds=spread([s["scheduler_cpu"] for s in seconds]), batches=len(runs[0]["report"]["batches"]),
                root_peak_bytes=spread([r["report"]["root_peak_bytes"] for r in runs]),
                others_percent=spread([r["others_percent"] for r in runs]), repeated=sum(r["repeated"] for r in runs))


def efficiency(rows, field="makespan_seconds"):
    """Efficiency: 1 if n ranks do one rank's work in 1/n of the time (strong), or n times the work in the same time (weak)."""
    strong = {row["ranks"]: row[field]["median"] for row in rows if row["kind"] == "strong"}
    weak = {row["ranks"]: row[field]["median"] for row in rows if row["kind"] == "weak"}
    for row in rows:
        first, n, own = (strong if row["kind"] == "strong" else weak)[1], row["ranks"], row[field]["median"]
        row[field.replace("seconds", "efficiency")] = first / own / (n if row["kind"] == "strong" else 1)


def real(args, folder, verdict):
    """CPU ranks of one thread, in turns with the kernels alone, which show the machine's own limit."""
    source, truth = os.path.join(folder, "real.mp4"), Truth(verdict)
    clip(source, "-i", CLIP, "-vf", f"crop={CROP}", "-frames:v", str(args.frames))
    plans = [("strong", 1, args.frames), ("strong", 2, args.frames), ("weak", 1, args.frames // 2), ("weak", 2, args.frames)]
    runs = {(kind, n): [] for kind, n, _ in plans}
    kernels = {n: [] for n in REAL_RANKS}
    width, height = CROP.split(":")
    pixels = os.path.join(folder, "pixels")
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", source, "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "gbrpf32le",
                    pixels], check=True)
    turns = args.frames // 10
    bench_net = (f"yes | head -{turns} | {args.build}/bench/bench_net --model {MODEL} --precision {args.precision} --threads 1 "
                 f"--width {width} --height {height} --in {pixels} --out /dev/null")
    for _ in range(args.rounds):
        for kind, n, frames in plans:
            if (kind, n) == ("weak", 2):  # the same job as the strong one
                runs[kind, n].append(runs["strong", n][-1])
                continue
            output = os.path.join(folder, "out.mp4")
            runs[kind, n].append(harness.ours(args.build, n, folder, [
                "-i", source, "-o", output, "-m", MODEL, "--threads", "1", "--precision", args.precision, "--frames",
                str(frames)]))
            truth.compare(f"{n} ranks", frames, runs[kind, n][-1])
            verdict.check(harness.count_frames(output) == frames, f"{n} ranks: other frames in the video")
        for n in REAL_RANKS:
            lines = "".join(harness.run(*[["sh", "-c", bench_net]] * n)["outputs"]).splitlines()
            own = [line["seconds"] for line in map(json.loads, lines) if "seconds" in line]
            kernels[n].append(sum(own) / len(own))
    rows = [summary(n, frames, runs[kind, n], kind=kind) for kind, n, frames in plans]
    for field in ("makespan_seconds", "whole_seconds"):
        efficiency(rows, field)
    for row in rows:
        verdict.quiet(row)
    alone = {n: spread(values) for n, values in kernels.items()}
    return dict(model="realesrgan-x4plus", precision=args.precision, width_px=int(width), height_px=int(height), threads=1,
                rows=rows, kernels_seconds_per_frame=alone, kernels_efficiency=alone[1]["median"] / alone[2]["median"])


def simulated(args, folder, verdict):
    """Simulated devices on ranks of their own; rank 0 decodes and encodes."""
    source, net, truth = os.path.join(folder, "simulated.mp4"), os.path.join(folder, "net.safetensors"), Truth(verdict)
    frames = max(STRONG_FRAMES, WEAK_FRAMES * SIMULATED_RANKS[-1])
    clip(source, "-f", "lavfi", "-i", f"testsrc2=size=64x36:rate=25,noise=alls=24:allf=t:all_seed=7,trim=end_frame={frames}",
         "-pix_fmt", "yuv420p")
    make_net(args.build, net)
    plans = [(kind, n) for kind in ("strong", "weak") for n in SIMULATED_RANKS]
    runs = {plan: [] for plan in plans}
    amount = lambda kind, n: STRONG_FRAMES if kind == "strong" else WEAK_FRAMES * n
    # Compressed 4 times; on few ranks more, so that a run takes about as long.
    times = lambda kind, n: max(4, 64 // n) if kind == "strong" else 4
    for _ in range(args.rounds):
        for kind, n in plans:
            runs[kind, n].append(harness.ours(args.build, n + 1, folder, [
                "-i", source, "-o", os.path.join(folder, "out.mp4"), "-m", net, "--root", "dedicated", "--frames",
                str(amount(kind, n)), "--backend", f"simulate:{BATCH_SECONDS}/{BATCH_FRAMES},time={times(kind, n)}"], attempts=1))
            truth.compare(f"{n} simulated ranks", amount(kind, n), runs[kind, n][-1])
    rows = []
    for kind, n in plans:
        row = summary(n, amount(kind, n), runs[kind, n], kind=kind, time_compressed=times(kind, n))
        makespans = [m * times(kind, n) for m in row["makespan_seconds"]["runs"]]
        ideal = amount(kind, n) / n * BATCH_SECONDS / BATCH_FRAMES
        row.update(makespan_seconds=spread(makespans), ideal_seconds=ideal)
        row["makespan_efficiency"] = ideal / row["makespan_seconds"]["median"]
        batch = row["scheduler_cpu_seconds"]["median"] / row["batches"]
        row.update(scheduler_ms_per_batch=1000 * batch, scheduler_percent_of_batch=100 * batch / BATCH_SECONDS)
        rows.append(row)  # whatever other programs took: they can only add to the time over the ideal
    return dict(device=f"{BATCH_SECONDS}/{BATCH_FRAMES}", width_px=64, height_px=36, rows=rows)


def table(name, rows):
    print(f"\n| {name} | ranks | frames | makespan s | efficiency | whole s | rank 0 MB | others |\n" + "|---" * 8 + "|")
    for row in rows:
        print(f"| {row['kind']} | {row['ranks']} | {row['frames']} | {row['makespan_seconds']['median']:.2f} | "
              f"{100 * row['makespan_efficiency']:.1f} % | {row['whole_seconds']['median']:.2f} | "
              f"{row['root_peak_bytes']['median'] / 1e6:.0f} | {row['others_percent']['median']:.1f} % |")


def timeline(args, folder, verdict):
    """A job whose ranks differ in speed, drawn from its trace."""
    ranks, slow, frames, trace = 9, 6, 200, os.path.join(folder, "trace.json")
    net = os.path.join(folder, "net.safetensors")
    make_net(args.build, net)
    done = harness.ours(args.build, ranks, folder, [
        "-i", WIDE_CLIP, "-o", os.path.join(folder, "out.mp4"), "-m", net, "--root", "dedicated", "--frames", str(frames),
        "--backend", f"simulate:4/8,slow={slow}:4", "--trace", trace])
    checked = subprocess.run([sys.executable, os.path.join(harness.ROOT, "tools", "check_trace.py"), trace, str(frames),
                              str(ranks)], capture_output=True, text=True)
    verdict.check(checked.returncode == 0, checked.stdout)
    draw_timeline(json.load(open(trace)), f"{args.plot}.png", f"{ranks - 1} simulated devices, one of them 4 times "
                  f"slower, and rank 0: {frames} frames of 640 x 272 at 2x")
    return dict(device=f"4/8,slow={slow}:4", rows=[summary(ranks - 1, frames, [done], kind="timeline")])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=("real", "simulated", "timeline"))
    parser.add_argument("--build", default=os.path.join(harness.ROOT, "build"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--frames", type=int, default=64, help="of the real clip, strong scaling")
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--json", required=True)
    parser.add_argument("--plot", help="where the timeline goes, without its ending")
    args = parser.parse_args()
    verdict = harness.Verdict()
    with tempfile.TemporaryDirectory() as folder:
        part = dict(real=real, simulated=simulated, timeline=timeline)[args.part](args, folder, verdict)
    report = harness.report("scaling", verdict, args.rounds, **{args.part: part})
    harness.save(report, args.json)
    if args.part != "timeline":
        table(args.part, part["rows"])
    if args.part == "real":
        print(f"\nkernels alone, two processes beside one: {100 * part['kernels_efficiency']:.1f} %")
    if args.part == "simulated":
        row = part["rows"][-1]
        print(f"\n{row['ranks']} simulated ranks: makespan {row['makespan_seconds']['median']:.2f} s, ideal "
              f"{row['ideal_seconds']:.2f}; rank 0's main thread {row['scheduler_ms_per_batch']:.2f} ms a batch, "
              f"{row['scheduler_percent_of_batch']:.3f} % of its compute; rank 0 {row['root_peak_bytes']['median'] / 1e6:.0f} MB")
    sys.exit(0 if verdict.valid() else 1)


if __name__ == "__main__":
    main()
