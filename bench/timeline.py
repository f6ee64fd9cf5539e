"""timeline.py TRACE OUT.png [--title TEXT] [--from S] [--to S]: activity of every rank over time, from a file of --trace.

Rank 0's codecs and transfers are drawn as the share of the time that they were at work; a rank's computing part by part, with the
frames that came in above it and the results that went out below."""

import argparse
import collections
import json

from plots import GREEN, ORANGE, PURPLE, SKY, BLUE, plt, save

IDLE = "#E3E3E3"
BINS = 600
# Lanes of rank 0: name in the trace, label, colour, events.
LANES = (("decode", "decode", GREEN, ("decode",)), ("send", "send frames", SKY, ("send",)),
         ("receive", "gather results", PURPLE, ("receive",)), ("encode", "encode", ORANGE, ("encode", "finish")))


def union(spans):
    """Sorted spans that do not overlap."""
    out = []
    for start, end in sorted(spans):
        if out and start <= out[-1][1]:
            out[-1][1] = max(out[-1][1], end)
        else:
            out.append([start, end])
    return out


def shares(spans, start, end):
    """For each of BINS slices of the time, the part of it that the spans cover."""
    width = (end - start) / BINS
    out = [0.0] * BINS
    for a, b in union(spans):
        a, b = max(a, start), min(b, end)
        first = int((a - start) / width)
        while first < BINS and b > start + first * width:
            low, high = max(a, start + first * width), min(b, start + (first + 1) * width)
            out[first] += max(0, high - low) / width
            first += 1
    return out


def bars(axes, spans, bottom, height, colour, **more):
    axes.broken_barh([(a, b - a) for a, b in spans], (bottom, height), facecolor=colour, **more)


def draw(trace, path, title, start=None, end=None):
    by = collections.defaultdict(list)
    for event in trace["traceEvents"]:
        if event["ph"] == "X":
            by[event["pid"], event["cat"]].append((event["ts"] / 1e6, (event["ts"] + event["dur"]) / 1e6))
    last = max(span[1] for spans in by.values() for span in spans)
    start, end = start or 0, min(end or last, last)
    ranks = [r["rank"] for r in trace["otherData"]["ranks"]]
    lanes = [lane for lane in LANES if any(by[0, c] for c in lane[3])]
    workers = [r for r in ranks if by[r, "compute"]]
    tall = 1.0 if len(workers) <= 16 else 0.5
    height = 0.34 * (len(lanes) + tall * len(workers)) + 1.7
    figure, axes = plt.subplots(figsize=(11, height))
    y, ticks = 0.0, []
    for cat, name, colour, cats in lanes:
        share = shares([s for c in cats for s in by[0, c]], start, end)
        edges = [start + (end - start) * i / BINS for i in range(BINS + 1)]
        axes.hlines(y + 0.9, start, end, color=IDLE, linewidth=0.8)
        axes.stairs([y + 0.9 - 0.8 * s for s in share], edges, baseline=y + 0.9, fill=True, color=colour)
        ticks.append((y + 0.5, f"rank 0: {name}" if y == 0 else name, colour))
        y += 1
    y += 0.3
    label_every = 1 if tall == 1 else 8
    for i, rank in enumerate(workers):
        h = tall
        bars(axes, [(max(a, start), min(b, end)) for a, b in by[rank, "idle"]], y + 0.22 * h, 0.5 * h, IDLE)
        bars(axes, by[rank, "compute"], y + 0.22 * h, 0.5 * h, BLUE, edgecolor="white", linewidth=0.4)
        if tall == 1 and rank > 0:
            bars(axes, by[rank, "receive"], y + 0.06, 0.13, SKY, edgecolor=SKY, linewidth=0.8)
            bars(axes, by[rank, "send"], y + 0.75, 0.13, PURPLE, edgecolor=PURPLE, linewidth=0.8)
        if i % label_every == 0:
            ticks.append((y + 0.5 * h, f"rank {rank}" + (": compute" if i == 0 else ""), BLUE))
        y += h
    axes.set_xlim(start, end)
    axes.set_ylim(y + 0.1, -0.1)
    axes.set_yticks([t[0] for t in ticks], [t[1] for t in ticks])
    for label, (_, _, colour) in zip(axes.get_yticklabels(), ticks):
        label.set_color(colour)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("time since the job began, s")
    figure.suptitle(title, x=0.01, ha="left", fontsize=12)
    key(figure, height, tall == 1 and any(r > 0 for r in workers))
    figure.tight_layout(rect=(0, 0, 1, 1 - 0.28 / height))
    save(figure, path)


def key(figure, height, transfers):
    """The colours of the compute rows, as words in those colours."""
    words = [("rank 0: height is the share of the time at work", "#555555"), ("ranks:", "#555555"),
             ("computing a part", BLUE), ("idle", "#8A8A8A")]
    if transfers:
        words += [("frames coming in (above)", SKY), ("results going out (below)", PURPLE)]
    x = 0.01
    for word, colour in words:
        text = figure.text(x, 1 - 0.5 / height, word, color=colour, fontsize=10, va="center")
        x = text.get_window_extent().x1 / figure.bbox.width + 0.018


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trace")
    parser.add_argument("out")
    parser.add_argument("--title", default="What every rank did")
    parser.add_argument("--from", dest="start", type=float, help="seconds")
    parser.add_argument("--to", dest="end", type=float)
    args = parser.parse_args()
    with open(args.trace, encoding="ascii") as file:
        draw(json.load(file), args.out, args.title, args.start, args.end)


if __name__ == "__main__":
    main()
