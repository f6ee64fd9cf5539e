"""Bar chart of a report of peers.py: `chart.py REPORT.json OUT.png`."""

import json
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt


def draw(report, path):
    rows = sorted(report["rows"], key=lambda row: row["gflops"])
    names = [f"{row['engine']} ({row['psnr_db']:.0f} dB)" for row in rows]
    colours = ["#c1440e" if row["engine"].startswith("ours") else "#9aa5b1" for row in rows]
    figure, axes = plt.subplots(figsize=(8, 0.36 * len(rows) + 1))
    bars = axes.barh(names, [row["gflops"] for row in rows], color=colours)
    axes.bar_label(bars, fmt="%.0f", padding=3)
    axes.set_xlabel("GFLOP/s of direct convolution; in brackets PSNR against fp32")
    axes.set_title(f"{report['network']}, {report['width_px']} x {report['height_px']}, "
                   f"{report['threads']} threads, {report['cpu']}, {report['date']}"
                   + (", AVX2 only" if report["held_to"] else ""), fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.12)
    figure.tight_layout()
    figure.savefig(path, dpi=80)


if __name__ == "__main__":
    draw(json.load(open(sys.argv[1])), sys.argv[2])
