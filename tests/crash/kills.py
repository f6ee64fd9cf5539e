"""kill -9 of a worker, of rank 0, of mpirun, of all of them, and several times inside one job, each at
a random moment; then the same command again. The moment is drawn from the time that an undisturbed
run takes after its ranks have started; where the job was done before it, it is begun anew and the
moment drawn from half the time, so that every kill counted came inside a job."""

import signal
import time

import harness
from harness import check, say

ENCODING = ("root", "ranks", "either")
KINDS = ("worker", "root", "mpirun", "all")
TRIES = 6


def victims(rng, kind, job, pids):
    if kind == "worker":
        return [rng.choice(pids[1:])]
    if kind == "root":
        return [pids[0]]
    return [job.process.pid] if kind == "mpirun" else [job.process.pid] + pids


def checkpoint(rng):
    return ["--checkpoint", rng.choice(("auto", "always"))]


def draw(rng, encode, options):
    """Options of the next attempt: whoever encodes, the job is the same."""
    if encode == "ranks" or encode == "either" and rng.random() < 0.5:
        return ["--encode", "ranks"]
    return options + ["--encode", "root"]


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


def one_kill(arena, encode, kind, number):
    def case(rng):
        landed, late = False, 0
        while not landed:
            check(late < TRIES, f"{kind}{number}: {late} jobs were done before the kill")
            options = checkpoint(rng)
            job = harness.Job(arena, f"{kind}{number}", draw(rng, encode, options))
            landed, code = disturb(rng, kind, job, arena.seconds / 2**late)
            late += not landed
            if landed:
                job.options = draw(rng, encode, options)
                job.finish()
            job.verdict()
            job.remove()
        return {f"{kind} kills": 1, f"{kind} late": late, f"{kind} exit {code}": 1}

    return case


def many_kills(arena, encode, number):
    def case(rng):
        wanted, kills, late, kinds = rng.randint(3, 10), 0, 0, []
        while kills < 3:
            check(late < TRIES, f"multi{number}: {late} jobs were done before the third kill")
            options = checkpoint(rng)
            job = harness.Job(arena, f"multi{number}")
            longest = 1.5 * arena.seconds / wanted / 2**late
            landed, kills, kinds = True, 0, []
            while landed and kills < wanted:
                kind = rng.choices(KINDS, (2, 2, 1, 1))[0]
                job.options = draw(rng, encode, options)
                landed, _ = disturb(rng, kind, job, longest)
                kills += landed
                kinds += [kind] * landed
            late += kills < 3
            if landed:
                job.finish()
            job.verdict()
            job.remove()
        return dict({f"multi of {kind}": kinds.count(kind) for kind in KINDS},
                    **{"multi jobs": 1, "multi kills": kills, "multi late": late})

    return case


def main():
    args = harness.parse(__doc__, [
        (f"--{kind}", {"type": int, "default": 0, "metavar": "JOBS"}) for kind in KINDS + ("multi",)] +
                         [("--encode", {"choices": ENCODING, "default": "root"})])
    arena = harness.Arena(240, "rrdb 2 1 16 8 7", [], 4)
    say(f"undisturbed: {arena.seconds:.2f} s from the ranks' start")
    cases = [(f"{kind} {i}", one_kill(arena, args.encode, kind, i)) for kind in KINDS
             for i in range(getattr(args, kind))]
    cases += [(f"multi {i}", many_kills(arena, args.encode, i)) for i in range(args.multi)]
    begun = time.monotonic()
    try:
        counts = harness.run_cases(args, cases)
    finally:
        arena.close()
    for kind in KINDS + ("multi",):
        if counts[f"{kind} kills"]:
            codes = {key.split()[-1]: n for key, n in counts.items()
                     if key.startswith(f"{kind} exit")}
            jobs = ""
            if kind == "multi":
                parts = ", ".join(f"{counts[f'multi of {k}']} {k}" for k in KINDS)
                jobs = f" in {counts['multi jobs']} jobs ({parts})"
            say(f"{kind}: {counts[f'{kind} kills']} kills{jobs}, 0 frames lost or changed; "
                f"{counts[f'{kind} late']} jobs more were done before; exit codes: {codes or '-'}")
    say(f"{time.monotonic() - begun:.0f} s")


main()
