"""SIGSTOP: a stopped worker is found within the deadline and the others finish the video; rank 0
stopped: the workers end the job, and the same command goes on; a worker that is woken up again
takes part again, also one that has no work. --deadline 2 in all of them but the last."""

import json
import os
import shutil
import signal
import time

import harness
from harness import check, say

DEADLINE = 2


def finish_status(job):
    """A job that had to leave a rank behind leaves status.json, for a restart loop, and only that. Who is only
    missed at the goodbye, after all frames were made, gets no strike."""
    if os.path.exists(job.resr):
        names = os.listdir(job.resr)
        check(names == ["status.json"], f"{job.name}: left over in the folder: {names}")
        state = json.loads(harness.read(f"{job.resr}/status.json"))
        missed = "and its frames go to others" in job.messages()
        check(state["state"] == "done" and bool(state["strikes"]) == missed, f"{job.name}: status.json: {state}")
        shutil.rmtree(job.resr)


def stop_one(rng, job, chosen):
    """Starts the job and stops one of its ranks early on; the rank and its process."""
    job.start()
    pids = job.wait_for_pids()
    check(pids, f"no pids:\n{job.messages()}")
    rank = chosen if chosen is not None else rng.randrange(1, len(pids))
    time.sleep(rng.uniform(0, 0.25) * job.arena.seconds)
    harness.kill(pids[rank], signal.SIGSTOP)
    return rank, pids[rank]


def stop_worker(arena, number):
    def case(rng):
        job = harness.Job(arena, f"stop{number}", ["--checkpoint", rng.choice(("auto", "always"))])
        rank, pid = stop_one(rng, job, None)
        seconds = job.wait_for_line(f"rank {rank} on ", 10 * DEADLINE)
        text = job.messages()
        check(seconds is not None and "has not been heard of" in text, f"not detected:\n{text}")
        check(seconds < 2 * DEADLINE, f"detected after {seconds:.1f} s")
        code = job.wait()
        check(harness.dies(pid), "the stopped rank still lives")
        finish_status(job)
        job.verdict()
        job.remove()
        return {"stopped": 1, f"exit {code}": 1, "milliseconds": int(1000 * seconds)}

    return case


def stop_root(arena):
    def case(rng):
        job = harness.Job(arena, "root", ["--checkpoint", "always"])
        _, pid = stop_one(rng, job, 0)
        begun = time.monotonic()
        code = job.wait()
        seconds = time.monotonic() - begun
        check("rank 0 has not been heard of" in job.messages(), f"not said:\n{job.messages()}")
        check(code in (75, harness.HUNG), f"exit {code}, expected 75:\n{job.messages()}")
        check(harness.dies(pid), "the stopped rank 0 still lives")
        job.finish()
        job.verdict()
        job.remove()
        return {"root stopped": 1, "root milliseconds": int(1000 * seconds)}

    return case


def wake_worker(arena):
    def case(rng):
        job = harness.Job(arena, "wake", ["--checkpoint", "always"])
        rank, pid = stop_one(rng, job, None)
        check(job.wait_for_line(f"rank {rank} on ", 10 * DEADLINE), f"not found:\n{job.messages()}")
        harness.kill(pid, signal.SIGCONT)
        code = job.wait()
        check("answers again" in job.messages(), f"it was not taken back:\n{job.messages()}")
        check(code == 0, f"exit {code}, expected 0:\n{job.messages()}")
        job.verdict()
        job.remove()
        return {"woken": 1}

    return case


def wake_idle(arena):
    """Five batches for six ranks. After it is woken up, rank 5 would end the job if it heard nothing of rank 0 for two
    deadlines; the other ranks compute for longer."""
    def case(rng):
        job = harness.Job(arena, "idle", ["--checkpoint", "always", "--frames", "40", "--schedule", "static",
                                          "--deadline", "1", "--precision", "auto",
                                          "--backend", "simulate:0.75/1"])
        job.start(ranks=6)
        pids = job.wait_for_pids()
        check(pids, f"no pids:\n{job.messages()}")
        harness.kill(pids[5], signal.SIGSTOP)
        check(job.wait_for_line("rank 5 on ", 10 * DEADLINE), f"not found:\n{job.messages()}")
        harness.kill(pids[5], signal.SIGCONT)
        woken = time.monotonic()
        code = job.wait()
        check(code == 0, f"exit {code}, expected 0:\n{job.messages()}")
        check("answers again" in job.messages(), f"it was not taken back:\n{job.messages()}")
        check(time.monotonic() - woken > 2, "the job was too short to show anything")
        job.remove()
        return {"woken": 1}

    return case


def main():
    args = harness.parse(__doc__, [("--workers", {"type": int, "default": 10})])
    arena = harness.Arena(240, "rrdb 2 1 32 16 7", ["--deadline", str(DEADLINE)], 4)
    say(f"undisturbed: {arena.seconds:.2f} s from the ranks' start")
    begun = time.monotonic()
    cases = [(f"worker {i}", stop_worker(arena, i)) for i in range(args.workers)]
    cases += [("root", stop_root(arena)), ("wake", wake_worker(arena)), ("idle", wake_idle(arena))]
    try:
        counts = harness.run_cases(args, cases)
    finally:
        arena.close()
    codes = {key.split()[-1]: n for key, n in counts.items() if key.startswith("exit")}
    if counts["stopped"]:
        say(f"{counts['stopped']} workers stopped: found after "
            f"{counts['milliseconds'] / counts['stopped'] / 1000:.1f} s on average, 0 frames lost or "
            f"changed; exit codes of mpirun: {codes}")
    if counts["root stopped"]:
        say(f"rank 0 stopped: ended with 75 after {counts['root milliseconds'] / 1000:.1f} s, finished "
            f"by the same command")
    say(f"{counts['woken']} woken up again; {time.monotonic() - begun:.0f} s")


main()
