"""kill -9 of a worker, of rank 0, of mpirun, of all of them, and several times inside one job, each at
a random moment; then the same command again. The moment is drawn from the time that an undisturbed
run takes after its ranks have started."""

import collections
import signal
import time

import harness
from harness import check, say

KINDS = ("worker", "root", "mpirun", "all")


def victims(rng, kind, job, pids):
    if kind == "worker":
        return [rng.choice(pids[1:])]
    if kind == "root":
        return [pids[0]]
    return [job.process.pid] if kind == "mpirun" else [job.process.pid] + pids


def disturb(rng, kind, job, longest):
    """Starts the job and kills; False if it was done before."""
    job.start()
    pids = job.wait_for_pids()
    if pids:
        time.sleep(rng.uniform(0, longest))
    landed = pids is not None and job.process.poll() is None
    if landed:
        for pid in victims(rng, kind, job, pids):
            harness.kill(pid, signal.SIGKILL)
    code = job.wait()
    if not landed:
        check(job.is_done(code), f"{job.name}: run {job.runs} ended with {code}:\n{job.messages()}")
    return landed, code


def one_kill(arena, kind, number):
    def case(rng):
        job = harness.Job(arena, f"{kind}{number}",
                          ["--checkpoint", rng.choice(("auto", "always"))])
        landed, code = disturb(rng, kind, job, arena.seconds)
        if landed:
            job.finish()
        job.verdict()
        job.remove()
        return {f"{kind} jobs": 1, f"{kind} kills": landed, f"{kind} exit {code}": landed}

    return case


def many_kills(arena, number):
    def case(rng):
        job = harness.Job(arena, f"multi{number}",
                          ["--checkpoint", rng.choice(("auto", "always"))])
        wanted, landed = rng.randint(3, 10), True
        kills = 0
        while landed and kills < wanted:
            landed, _ = disturb(rng, rng.choice(KINDS), job, 0.5 * arena.seconds)
            kills += landed
        if landed:
            job.finish()
        job.verdict()
        job.remove()
        return {"multi jobs": 1, "multi kills": kills}

    return case


def main():
    args = harness.parse(__doc__, [
        (f"--{kind}", {"type": int, "default": 0, "metavar": "JOBS"}) for kind in KINDS + ("multi",)])
    arena = harness.Arena(240, "rrdb 2 1 16 8 7", [], 4)
    say(f"undisturbed: {arena.seconds:.2f} s from the ranks' start")
    cases = [(f"{kind} {i}", one_kill(arena, kind, i)) for kind in KINDS
             for i in range(getattr(args, kind))]
    cases += [(f"multi {i}", many_kills(arena, i)) for i in range(args.multi)]
    begun = time.monotonic()
    try:
        counts = harness.run_cases(args, cases)
    finally:
        arena.close()
    for kind in KINDS + ("multi",):
        if counts[f"{kind} jobs"]:
            codes = collections.Counter({key.split()[-1]: n for key, n in counts.items()
                                         if key.startswith(f"{kind} exit") and n})
            say(f"{kind}: {counts[f'{kind} jobs']} jobs, {counts[f'{kind} kills']} kills inside, 0 "
                f"frames lost or changed; exit codes of the killed runs: {dict(codes)}")
            check(counts[f"{kind} kills"] * 2 >= counts[f"{kind} jobs"],
                  f"{kind}: most kills came too late to mean anything")
    say(f"{time.monotonic() - begun:.0f} s")


main()
