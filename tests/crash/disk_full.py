"""A disk that is really full: jobs on small file systems in memory end with 74 and name the missing
bytes; after the file system has grown the same command finishes. Needs the right to mount."""

import subprocess
import sys
import time

import harness
from harness import check, say

# Sizes as shares of the output's, which segments and output together need twice.
SHARES = (0.1, 0.3, 0.6, 0.9, 1.2, 1.5, 1.8)


def mount(*arguments):
    return subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)


def one_size(arena, share, checkpoint):
    def case(rng):
        del rng
        name = f"{checkpoint}{share}"
        job = harness.Job(arena, name, ["--checkpoint", checkpoint])
        kilobytes = max(32, int(share * len(arena.output)) // 4096 * 4)
        result = mount("-t", "tmpfs", "-o", f"size={kilobytes}k", "resr-crash", job.work)
        check(result.returncode == 0, f"mount: {result.stderr}")
        try:
            job.start()
            code, text = job.wait(), job.messages()
            check(code == 74, f"{name}, {kilobytes} KiB: exit {code}, expected 74:\n{text}")
            check("bytes are missing" in text, f"{name}: the missing bytes are not named:\n{text}")
            safe = harness.frames_in_segments(job.resr)
            result = mount("-o", "remount,size=64m", job.work)
            check(result.returncode == 0, f"remount: {result.stderr}")
            job.finish()
            job.verdict()
        finally:
            subprocess.run(["umount", job.work], check=False)
        say(f"ok --checkpoint {checkpoint}, {kilobytes} KiB: 74 with {safe} frames in segments")
        job.remove()
        return {"jobs": 1, "resumed": safe > 0}

    return case


def main():
    args = harness.parse(__doc__)
    arena = harness.Arena(240, "rrdb 2 1 8 4 7", [], 2)
    begun = time.monotonic()
    try:
        probe = harness.Job(arena, "probe")
        result = mount("-t", "tmpfs", "-o", "size=64k", "resr-crash", probe.work)
        if result.returncode != 0:
            print(f"skipped: nothing can be mounted here: {result.stderr.strip()}")
            sys.exit(harness.SKIPPED)
        subprocess.run(["umount", probe.work], check=True)
        cases = [(f"auto {share}", one_size(arena, share, "auto")) for share in SHARES]
        cases += [(f"always {share}", one_size(arena, share, "always")) for share in (0.6, 1.5)]
        counts = harness.run_cases(args, cases)
    finally:
        arena.close()
    check(args.only is not None or counts["resumed"] > 0, "no job had a finished segment to go on from")
    say(f"{counts['jobs']} full disks, {counts['resumed']} with finished segments kept, 0 frames lost "
        f"or changed; {time.monotonic() - begun:.0f} s")


main()
