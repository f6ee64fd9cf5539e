"""Every file-system call of a small job, one after the other: SIGKILL before it, SIGKILL in the middle
of a write, the call fails with ENOSPC, EIO or EINTR, a write is cut short, or the power fails: then
the same command again without a fault.

Power loss is a model of what POSIX promises, built by the shim (see there): after a kill each folder
has the entries that it had at its last fsync, each file the content of its last fsync or fdatasync,
none if there was none. A file's length and content, a rename, a link, a new or removed name are all
lost unless synced; owner and mode are not modelled. `power` drops all that was not synced, `mixed`
keeps each unsynced change or not by chance, 4096-byte blocks of file contents included: disks write
in any order. `newest` keeps the last unsynced change and drops those before it; it is played at the
last calls, where files are removed in an order that a resume depends on."""

import os
import shutil
import signal
import time

import harness
from harness import check, say

FAULTS = ("kill", "torn", "power", "mixed", "newest", "enospc", "eio", "eintr", "short")
POWER_LOSSES = ("power", "mixed", "newest")
BLOCK = 4096


def listing(shadow, inode):
    """Entries of a folder at its last fsync: {name: inode}; empty if there was none."""
    try:
        lines = harness.read(f"{shadow}/dir-{inode}").decode().splitlines()
    except OSError:
        return {}
    return {line.split(" ", 1)[1]: int(line.split(" ", 1)[0]) for line in lines}


def choose_content(rng, synced, current):
    """What a power loss leaves of a file; without `rng` all that was not synced is gone."""
    if rng is None or rng.random() < 0.3:
        return synced
    if rng.random() < 0.3:
        return current
    length = rng.choice((len(synced), len(current)))
    blocks = []
    for at in range(0, length, BLOCK):
        piece = rng.choice((synced, current))[at:at + BLOCK]
        blocks.append(piece.ljust(min(BLOCK, length - at), b"\0"))
    return b"".join(blocks)


def lose_power(rng, newest, folder, shadow, inode, kept):
    """Puts the folder (an empty or dead one) back to what is on disk. `newest`: the path whose last
    change is on disk, or None. `kept`: a path for each inode that still exists, wherever its name has
    gone."""
    durable = listing(shadow, inode)
    current = {entry.name: entry.inode() for entry in os.scandir(folder)}
    chosen = {}
    for name in durable.keys() | current.keys():
        pair = (durable.get(name), current.get(name))
        value = pair[int(f"{folder}/{name}" == newest)] if rng is None else rng.choice(pair)
        if value is not None:
            chosen[name] = value
    for name, old in current.items():
        if chosen.get(name) != old:
            path = f"{folder}/{name}"
            shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
    for name, inode_there in chosen.items():
        path = f"{folder}/{name}"
        if inode_there in kept["folders"]:
            os.makedirs(path, 0o700, exist_ok=True)
            lose_power(rng, newest, path, shadow, inode_there, kept)
            continue
        if current.get(name) != inode_there:
            os.link(kept["files"][inode_there], path)
        synced = f"{shadow}/data-{inode_there}"
        on_disk, current_bytes = harness.read(synced) if os.path.exists(synced) else b"", harness.read(path)
        content = current_bytes if path == newest else choose_content(rng, on_disk, current_bytes)
        with open(path, "r+b") as file:  # the inode stays: the journal knows the output by it
            file.truncate(0)
            file.write(content)


def power_loss(rng, newest, job, shadow):
    """Returns the frames in finished segments that must have outlived it."""
    kept = {"files": {}, "folders": set()}
    vault = f"{job.folder}/vault"
    os.makedirs(vault)
    for parent, folders, files in os.walk(job.work):
        kept["folders"].update(os.stat(f"{parent}/{name}").st_ino for name in folders)
        for name in files:
            inode = os.lstat(f"{parent}/{name}").st_ino
            if inode not in kept["files"]:
                os.link(f"{parent}/{name}", f"{vault}/{inode}")
                kept["files"][inode] = f"{vault}/{inode}"
    for name in os.listdir(shadow):
        kind, inode = name.split("-")
        if kind == "keep":
            kept["files"][int(inode)] = f"{shadow}/{name}"
        elif kind == "dir":
            kept["folders"].add(int(inode))
    safe = max([harness.journal_segments(harness.read(f"{shadow}/{name}"))
                for name in os.listdir(shadow) if name.startswith("data-")] + [0])
    lose_power(rng, newest, job.work, shadow, os.stat(job.work).st_ino, kept)
    return safe


def check_end(fault, call, code, job):
    """How the disturbed run may end."""
    text = job.messages()
    if fault in ("kill", "torn") + POWER_LOSSES:
        check(code == (0 if call is None else -signal.SIGKILL), f"exit {code}:\n{text}")
    elif fault in ("eintr", "short"):
        check(code == 0, f"after {call}: exit {code}, expected 0:\n{text}")
    elif code != 0:
        check(code in (73, 74) and job.work in text, f"after {call}: exit {code}:\n{text}")
        check(fault != "enospc" or code == 73 or "bytes are missing" in text,
              f"after {call}: the missing bytes are not named:\n{text}")


def one_point(arena, options, fault, number):
    def case(rng):
        job = harness.Job(arena, f"{fault}{number}", options)
        shadow = f"{job.folder}/shadow" if fault in POWER_LOSSES else None
        if shadow:
            os.makedirs(shadow)
        job.start_shimmed(number, "kill" if shadow else fault, shadow)
        code = job.wait()
        lines = job.calls()
        call = lines[lines.index("fired") - 1].split(" ", 1)[1] if "fired" in lines else None
        try:
            check_end(fault, call, code, job)
            if shadow and call:
                done = lines[lines.index("fired") - 2].split(" ", 2)[2] if number > 1 else None
                safe = power_loss(rng if fault == "mixed" else None, done if fault == "newest" else None, job,
                                  shadow)
                found = harness.frames_in_segments(job.resr)
                check(os.path.exists(job.output) or found >= safe,
                      f"{safe} frames were on disk for good, {found} are left")
            whole = sorted(os.listdir(job.work)) == ["frames.txt", "out.mp4"]
            if code != 0 or not whole:
                job.finish()
            job.verdict()
        except harness.Failure as failure:
            raise harness.Failure(f"{fault} at call {number}, {call}: {failure}") from None
        job.remove()
        return {f"{fault} points": int(call is not None), f"{fault} without": int(call is None),
                f"{fault} exit {code}": int(call is not None)}

    return case


def last_writes(arena):
    """The last writes of a Matroska file, which closing the file makes, fail on a full disk."""

    def case(rng):
        del rng
        whole = harness.Job(arena, "matroska", ["--checkpoint", "off"], "out.mkv")
        whole.start_shimmed()
        check(whole.wait() == 0, f"the undisturbed Matroska file failed:\n{whole.messages()}")
        writes = [int(line.split()[0]) for line in whole.calls()
                  if "write " in line and ".out.mkv." in line]
        check(len(writes) > 2, f"few writes of the output: {whole.calls()}")
        for number in writes[-3:]:
            job = harness.Job(arena, f"matroska{number}", ["--checkpoint", "off"], "out.mkv")
            job.start_shimmed(number, "enospc")
            code = job.wait()
            check("fired" in job.calls() and code == 74, f"write {number}: exit {code}:\n{job.messages()}")
            check(not os.path.exists(job.output), f"write {number}: a file that lacks bytes was published")
            job.remove()
        whole.remove()
        return {"enospc points": 3, "enospc exit 74": 3}

    return case


def main():
    args = harness.parse(__doc__, [("--every", {"type": int, "default": 5}),
                                   ("--faults", {"default": ",".join(FAULTS)}),
                                   ("--end", {"type": int, "default": 25,
                                              "help": "calls at the end, all of them played with newest"}),
                                   ("--encode", {"default": "root"})])
    arena = harness.small_arena()
    checkpoint = "always" if args.encode == "root" else "auto"
    options = ["--checkpoint", checkpoint, "--encode", args.encode]
    begun = time.monotonic()
    try:
        calls = harness.count_calls(arena, options)
        say(f"{calls} calls; every {args.every}")
        # Two threads write: the number of calls varies by a few from run to run.
        cases = [(f"{fault} {n}", one_point(arena, options, fault, n)) for fault in args.faults.split(",")
                 for n in (range(max(1, calls - args.end), calls + 8) if fault == "newest"
                           else range(1, calls + 8, args.every))]
        if "enospc" in args.faults and args.encode == "root":
            cases.append(("last writes", last_writes(arena)))
        counts = harness.run_cases(args, cases)
    finally:
        arena.close()
    for fault in args.faults.split(","):
        codes = {key.split()[-1]: n for key, n in counts.items()
                 if key.startswith(f"{fault} exit") and n}
        say(f"{fault}: {counts[f'{fault} points']} points ({counts[f'{fault} without']} calls that it "
            f"cannot come at), 0 frames lost or changed; exit codes: {codes}")
    say(f"{time.monotonic() - begun:.0f} s")


main()
