#!/usr/bin/env python3
"""check_trace.py TRACE FRAMES RANKS [--partial]: is the trace what it says it is?

Every frame decoded and encoded once and accepted once from one compute; events of a thread in order
and apart; each rank's compute between the send and the receipt of its part, as rank 0 saw them, up
to what is known of the clocks. --partial: the job was stopped, so that only what is there is
judged. Prints what the ranks did; exit 1 with a line for each fault."""
import argparse
import collections
import json
import sys
from decimal import Decimal

faults = []


def check(good, text):
    if not good:
        faults.append(text)


def once(frames, count, what, partial):
    seen = collections.Counter(frames)
    for frame, times in sorted(seen.items()):
        check(times == 1, f"frame {frame}: {what} {times} times")
        check(0 <= frame < count, f"frame {frame}: {what}, of {count}")
    missing = [f for f in range(count) if f not in seen]
    check(partial or not missing, f"frames not {what}: {missing[:10]}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("trace")
    parser.add_argument("frames", type=int)
    parser.add_argument("ranks", type=int)
    parser.add_argument("--partial", action="store_true")
    options = parser.parse_args()
    with open(options.trace, encoding="ascii") as file:
        trace = json.load(file, parse_float=Decimal)  # nanoseconds are exact

    events = [e for e in trace["traceEvents"] if e["ph"] == "X"]
    names = [e for e in trace["traceEvents"] if e["ph"] == "M"]
    check(len(events) + len(names) == len(trace["traceEvents"]), "other kinds of events")
    ranks = trace["otherData"]["ranks"]
    check([r["rank"] for r in ranks] == list(range(options.ranks)), "other ranks")
    for rank in ranks:
        check(rank["complete"] or options.partial, f"rank {rank['rank']}: not complete")
        check(rank["dropped"] == 0, f"rank {rank['rank']}: events dropped")
        count = sum(e["pid"] == rank["rank"] for e in events)
        check(rank["events"] == count, f"rank {rank['rank']}: {count} of {rank['events']} events")
        want = f"rank {rank['rank']} on {rank['host']}"
        check(sum(e["name"] == "process_name" and e["args"]["name"] == want for e in names) == 1,
              f"no process name {want}")
    threads = {(e["pid"], e["tid"]) for e in names if e["name"] == "thread_name"}
    check(threads == {(e["pid"], e["tid"]) for e in events}, "threads without a name, or empty")

    # In the file's order, without sorting.
    last = {}
    for event in events:
        thread = (event["pid"], event["tid"])
        check(event["dur"] >= 0, f"{event['name']} of {thread}: ends before it begins")
        check(event["ts"] >= last.get(thread, event["ts"]),
              f"{event['name']} of {thread}: begins before the event before it has ended")
        last[thread] = event["ts"] + event["dur"]

    by = collections.defaultdict(list)
    for event in events:
        by[event["cat"]].append(event)
    frame = lambda cat: [e["args"]["first"] for e in by[cat]]
    once(frame("decode"), options.frames, "decoded", options.partial)
    once(frame("encode"), options.frames, "encoded", options.partial)
    once(frame("accept"), options.frames, "accepted", options.partial)

    computed = collections.defaultdict(list)  # (rank, frame, attempt) -> computes
    for event in by["compute"]:
        if event["args"].get("failed"):
            continue
        for i in range(event["args"]["frames"]):
            computed[event["pid"], event["args"]["first"] + i, event["args"]["attempt"]].append(event)
    for event in by["accept"]:
        a = event["args"]
        found = computed[a["peer"], a["first"], a["attempt"]]
        whole = ranks[a["peer"]]["complete"]
        check(len(found) == 1 or not whole,
              f"frame {a['first']} of rank {a['peer']}: {len(found)} computes")
        for compute in found:
            check(compute["ts"] + compute["dur"] <= event["ts"] + ranks[a["peer"]]["clock_accuracy_us"],
                  f"frame {a['first']}: accepted before it was computed")

    # Compares rank 0's view of a part in flight with the rank's own view of its work.
    sent = {(e["args"]["peer"], e["args"]["first"], e["args"]["attempt"]): e for e in by["send"]
            if e["pid"] == 0 and "attempt" in e["args"]}
    got = {(e["args"]["peer"], e["args"]["first"], e["args"]["attempt"]): e for e in by["receive"]
           if e["pid"] == 0 and "attempt" in e["args"]}
    # Where ranks encode, rank 0 receives segments, and of parts those of its own segments only.
    elsewhere = any("attempt" not in e["args"] for e in by["receive"] if e["pid"] == 0)
    compared = 0
    for event in by["compute"]:
        rank = event["pid"]
        key = (rank, event["args"]["first"], event["args"]["attempt"])
        if rank == 0 or ((options.partial or elsewhere) and key not in got):
            continue
        check(key in sent and key in got, f"part {key}: computed, but not sent or not received")
        if key in sent and key in got:
            accuracy = ranks[rank]["clock_accuracy_us"]
            compared += 1
            check(event["ts"] >= sent[key]["ts"] - accuracy, f"part {key}: computed before it was sent")
            check(event["ts"] + event["dur"] <= got[key]["ts"] + got[key]["dur"] + accuracy,
                  f"part {key}: received before it was computed")
    check(options.ranks == 1 or elsewhere or compared > 0, "no part of another rank to compare")

    for rank in ranks:
        busy = {c: sum(e["dur"] for e in by[c] if e["pid"] == rank["rank"]) / 1000
                for c in ("decode", "send", "receive", "compute", "idle", "encode")}
        print(f"rank {rank['rank']}: clock {rank['clock_offset_us']} +- "
              f"{rank['clock_accuracy_us']} us, ms: " +
              ", ".join(f"{c} {ms:.1f}" for c, ms in busy.items()))
    for fault in faults[:20]:
        print("FAULT:", fault)
    print(f"{len(events)} events, {len(by['compute'])} parts, {compared} of them elsewhere, "
          f"{len(faults)} faults")
    return 1 if faults else 0


sys.exit(main())
