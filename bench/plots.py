"""plots.py scaling SIMULATED.json [REAL.json] PREFIX: the curves of scaling.sh's reports, as PREFIX.png;
plots.py seed SEED.json PREFIX: seed.sh's rows."""

import json
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.ticker import NullFormatter, NullLocator, ScalarFormatter

# Okabe and Ito's colours, told apart by colour-blind readers too.
BLUE, ORANGE, GREEN, PURPLE, SKY, GREY = "#0072B2", "#D55E00", "#009E73", "#AA4499", "#3399CC", "#888888"

plt.rcParams.update({"font.size": 11, "axes.spines.top": False, "axes.spines.right": False,
                     "axes.titlesize": 12, "axes.titlelocation": "left"})


def save(figure, path):
    figure.savefig(path, dpi=80)
    plt.close(figure)


def series(part, kind, field):
    rows = [row for row in part["rows"] if row["kind"] == kind]
    value = lambda row: row[field]["median"] if isinstance(row[field], dict) else row[field]
    return [row["ranks"] for row in rows], [value(row) for row in rows]


def ranks_axis(axes, most):
    ticks = [2**i for i in range(most.bit_length())]
    axes.set_xscale("log", base=2)
    axes.set_xlim(0.85, most * 1.35)
    axes.set_xticks(ticks)
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("ranks that compute")


def draw_time(axes, real, simulated):
    for part, colour, name in ((simulated, BLUE, "simulated devices"), (real, ORANGE, "CPU ranks"))[: 2 if real else 1]:
        ranks, seconds = series(part, "strong", "makespan_seconds")
        most = max(64 if part is simulated else 2, ranks[-1])
        axes.plot([1, most], [seconds[0], seconds[0] / most], color=GREY, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
        axes.plot(ranks, seconds, "o", color=colour, markersize=7)
        frames = next(row["frames"] for row in part["rows"] if row["kind"] == "strong")
        axes.annotate(f"{name},\n{frames} frames: {seconds[0]:.3g} s", (ranks[0], seconds[0]), (10, 4),
                      textcoords="offset points", color=colour)
        axes.annotate(f"{seconds[-1]:.3g} s", (ranks[-1], seconds[-1]), (-4, -6), textcoords="offset points", color=colour,
                      ha="right", va="top")
    ranks, seconds = series(simulated, "strong", "makespan_seconds")
    axes.annotate("dashed: ideal, half the time\nwith twice the ranks", (ranks[3] * 1.15, seconds[3]), (6, 2),
                  textcoords="offset points", color=GREY)
    axes.set_yscale("log", base=2)
    low, high = axes.get_ylim()
    axes.set_ylim(low / 1.5, high * 1.5)
    axes.set_yticks([t for t in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512) if low / 1.5 <= t <= high * 1.5])
    axes.yaxis.set_major_formatter(ScalarFormatter())
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_ylabel("time from first part sent to last result, s")
    axes.set_title("Strong scaling: the same video on more ranks")
    ranks_axis(axes, ranks[-1])


def draw_efficiency(axes, real, simulated):
    lines = ((simulated, "strong", BLUE, "o-"), (simulated, "weak", SKY, "s-"), (real, "strong", ORANGE, "o-"),
             (real, "weak", PURPLE, "s-"))[: 4 if real else 2]
    ends = []
    for part, kind, colour, style in lines:
        ranks, values = series(part, kind, "makespan_efficiency")
        values = [100 * v for v in values]
        axes.plot(ranks, values, style, color=colour, markersize=6)
        ends.append((part is real, kind, ranks[-1], values[-1], colour, min(values)))
    if real:
        alone = 100 * real["kernels_efficiency"]
        axes.plot([2], [alone], "x", color=GREY, markersize=7)
        ends.append((True, "kernels alone", 2, alone, GREY, alone))
    low = min(80, 5 * int(min(end[5] for end in ends) / 5) - 5)
    # Labels at the lines' ends, moved down where they would touch.
    for is_real in (True, False):
        last = 200
        for _, kind, n, value, colour, _ in sorted((e for e in ends if e[0] == is_real), key=lambda e: -e[3]):
            last = min(value, last - 0.05 * (102 - low))
            whose = "2 cores" if kind == "kernels alone" else "CPU ranks" if is_real else "simulated"
            axes.annotate(f"{whose}, {kind}: {value:.1f} %", (n, last), (10, 0), textcoords="offset points", color=colour,
                          va="center", annotation_clip=False)
    axes.axhline(100, color=GREY, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    axes.set_ylim(low, 102)
    axes.set_yticks(range(low, 101, 5))
    axes.set_ylabel(f"efficiency, % (from {low})")
    axes.set_title("Efficiency: strong (same video), weak (longer with ranks)")
    ranks_axis(axes, max(r["ranks"] for r in simulated["rows"]))


def draw_scaling(simulated, *rest):
    real, prefix = (rest[0]["real"] if len(rest) == 2 else None), rest[-1]
    figure, (left, right) = plt.subplots(1, 2, figsize=(13, 5))
    draw_time(left, real, simulated["simulated"])
    draw_efficiency(right, real, simulated["simulated"])
    figure.tight_layout(w_pad=3)
    save(figure, f"{prefix}.png")


def draw_pipeline(report, path):
    rows = sorted(report["rows"], key=lambda row: row["frames_per_second"])
    figure, axes = plt.subplots(figsize=(8, 0.45 * len(rows) + 1.3))
    bars = axes.barh([row["program"] for row in rows], [row["frames_per_second"] for row in rows],
                     color=[BLUE if row["program"].startswith("ours") else GREY for row in rows])
    axes.bar_label(bars, fmt="%.2f", padding=4)
    axes.set_xlabel("frames/s, start-up included")
    axes.set_title(f"{report['frames']} frames of {report['width_px']} x {report['height_px']} by x4plus, {report['threads']} "
                   f"threads, {report['cpu']}", fontsize=11)
    axes.margins(x=0.12)
    figure.tight_layout()
    save(figure, path)


def draw_seed(report, prefix):
    figure, axes = plt.subplots(figsize=(9, 4.2))
    names = []
    for i, row in enumerate(report["rows"]):
        for field, colour, y in (("static_seconds", GREY, i - 0.19), ("seconds", BLUE, i + 0.19)):
            ratio = row[field] / row["ideal_seconds"]
            axes.barh(y, ratio, 0.36, color=colour)
            axes.annotate(f"{row[field]:.1f} s", (ratio, y), (4, 0), textcoords="offset points", va="center", color=colour)
        seconds, frames = row["device"].split(",")[0].split("/")
        names.append(f"{row['name']}\n{row['workers']} at {seconds} s a batch of {frames}")
    axes.axvline(1, color="black", linewidth=1, linestyle=(0, (4, 3)))
    axes.annotate("ideal", (1, -0.5), (0, 4), textcoords="offset points", ha="center", annotation_clip=False)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.12 * max(row["static_seconds"] / row["ideal_seconds"] for row in report["rows"]))
    axes.set_xlabel("time over the ideal, which is 300 frames over the sum of the devices' speeds")
    figure.text(0.01, 0.95, "300 frames on simulated devices:", fontsize=12)
    figure.text(0.33, 0.95, "batches in turn", color=GREY, fontsize=12)
    figure.text(0.48, 0.95, "this program's schedule", color=BLUE, fontsize=12)
    figure.tight_layout(rect=(0, 0, 1, 0.93))
    save(figure, f"{prefix}.png")


if __name__ == "__main__":
    files = [json.load(open(path)) for path in sys.argv[2:-1]]
    dict(scaling=draw_scaling, seed=draw_seed)[sys.argv[1]](*files, sys.argv[-1])
