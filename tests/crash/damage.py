"""Bits flipped in the files of a killed job's folder, and files cut short: the same command again
refuses them or makes the frames again; it never takes another frame for right."""

import os
import shutil
import time

import harness
from harness import check, say

# How far the jobs are that get damaged, as shares of an undisturbed run's file-system calls.
SHARES = (0.25, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9)


def make_templates(arena, calls):
    """Folders as kills left them: of what is where at the same call, two threads decide anew in
    every run, so those that hold little are made again."""
    found, with_segments = [], 0
    for turn in range(3):
        for share in SHARES:
            job = harness.Job(arena, f"template{turn}-{share}", ["--checkpoint", "always"])
            job.start_shimmed(int(share * calls), "kill")
            job.wait()
            names = os.listdir(job.resr) if os.path.exists(job.resr) else []
            segments = harness.frames_in_segments(job.resr) > 0
            if segments or (turn == 0 and any(name.endswith(".h5") for name in names)):
                found.append(job.resr)
                with_segments += segments
        if with_segments >= 4:
            return found
    raise harness.Failure("no job could be killed between its segments")


def damage(rng, folder):
    """What was done, in words."""
    names = [name for name in sorted(os.listdir(folder)) if os.path.getsize(f"{folder}/{name}")]
    name = rng.choice(names)
    with open(f"{folder}/{name}", "r+b") as file:
        content = file.read()
        at = rng.randrange(len(content))
        if rng.random() < 0.2:
            file.truncate(at)
            return f"{name} cut to {at} bytes"
        bit = rng.randrange(8)
        file.seek(at)
        file.write(bytes([content[at] ^ 1 << bit]))
        return f"bit {bit} of byte {at} of {name}"


def one_damage(arena, templates, number):
    def case(rng):
        job = harness.Job(arena, f"damage{number}", ["--checkpoint", "always"])
        shutil.copytree(rng.choice(templates), job.resr)
        what = damage(rng, job.resr)
        job.start()
        code, text = job.wait(), job.messages()
        try:
            if code == 0:
                job.verdict()
            else:
                check(code in (65, 78) and job.resr in text, f"exit {code}:\n{text}")
                check(not os.path.exists(job.output), "refused, and an output was written")
        except harness.Failure as failure:
            raise harness.Failure(f"{what}: {failure}") from None
        job.remove()
        noticed = "damaged" in text
        return {"cases": 1, "refused": code != 0, "noticed": noticed,
                "cut" if "cut" in what else "flipped": 1}

    return case


def main():
    args = harness.parse(__doc__, [("--cases", {"type": int, "default": 50})])
    arena = harness.small_arena()
    begun = time.monotonic()
    try:
        calls = harness.count_calls(arena)
        templates = make_templates(arena, calls)
        counts = harness.run_cases(args, [(f"damage {i}", one_damage(arena, templates, i))
                                          for i in range(args.cases)])
    finally:
        arena.close()
    say(f"{counts['cases']} jobs: {counts['flipped']} with a flipped bit, {counts['cut']} with a file "
        f"cut short; {counts['noticed']} said so, {counts['refused']} were refused, the others went "
        f"into files that no longer count or lost records at the journal's end; 0 other frames")
    check(args.only is not None or counts["noticed"] > 0, "no damage was noticed in any job")
    say(f"{time.monotonic() - begun:.0f} s")


main()
