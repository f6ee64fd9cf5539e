"""Forged job folders: records and manifests with good check values and absurd numbers. The job goes on
from what is believable, or says what is wrong; it neither crashes nor eats time or memory."""
import json
import os
import resource
import shutil
import signal
import subprocess
import time

import play

FORGE = play.SHIM.replace("libevil_shim.so", "evil_forge")
FRAME, SEGMENT, BATCH, END, OUTPUT, SOURCE = range(1, 7)
OPTIONS = ("--segment", "24", "--checkpoint", "always", "--framehash", "hash.txt")
LARGE = 2**62
FAR = 2**22 + 1000  # frames, beyond all that can be open
play.ffmpeg("-f lavfi -i testsrc2=s=32x24:r=25 -frames:v 48 -c:v ffv1 clip.mkv")
play.done(play.up("clip.mkv", "o.mkv", "--backend", "simulate:0.01/8", *OPTIONS))
with open("hash.txt", "rb") as right:
    RIGHT = right.read()


def attempt(speed):
    """Kills a job while it stands still with a finished segment and a batch file behind it; False: it ended before."""
    play.remove("o.mkv", "o.mkv.resr")
    process = subprocess.Popen([play.RESR, "-i", "clip.mkv", "-o", "o.mkv", "-m", "enlarge.safetensors", "--threads",
                                "1", "--progress", "none", "--backend", f"simulate:{speed}/8", *OPTIONS],
                               stderr=subprocess.DEVNULL)
    caught = False
    while not caught and play.freeze(process):
        kind, number = (play.records("o.mkv") or [(0, 0)])[-1]
        caught = kind == BATCH and number >= 24 and SEGMENT in play.journal("o.mkv")
        if not caught:
            process.send_signal(signal.SIGCONT)
            time.sleep(0.02)
    process.kill()
    process.wait()
    return caught


def prepare():
    """A job that was killed with frames in segments and in batch files."""
    play.check(any(attempt(speed) for speed in (0.4, 2, 10)), "no job could be killed between two segments")
    os.rename("o.mkv.resr", "killed")


def fresh():
    play.remove("o.mkv", "o.mkv.resr")
    shutil.copytree("killed", "o.mkv.resr")
    os.chmod("o.mkv.resr", 0o700)


def limit():
    resource.setrlimit(resource.RLIMIT_CPU, (20, 20))


def resume(what, codes=(0,)):
    """The next run of the job: right frames, at most 10 s and 1 GiB."""
    command = [play.RESR, "-i", "clip.mkv", "-o", "o.mkv", "-m", "enlarge.safetensors", "--threads", "1",
               "--progress", "none", "--backend", "simulate:0.01/8", "--report", "r.json", *OPTIONS]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=60, check=False,
                          preexec_fn=limit)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    message = done.stderr.decode(errors="replace")
    play.check(done.returncode in codes, f"{what}: exit code {done.returncode}, expected {codes}: {message[-600:]}")
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    play.check(spent < 10, f"{what}: {spent:.1f} s")
    if done.returncode == 0:
        with open("hash.txt", "rb") as file:
            play.check(file.read() == RIGHT, f"{what}: other frames")
        play.equal(f"{what}: frames", play.frames("o.mkv"), 48)
        with open("r.json", encoding="utf-8") as file:
            play.check(json.load(file)["root_peak_bytes"] < 2**30, f"{what}: too much memory")
        play.equal(f"{what}: left over", play.leftovers("o.mkv"), ["o.mkv"])
    return message


def forge(what, *records, junk=(), codes=(0,)):
    """Appends records; the files of `junk` hold four bytes."""
    fresh()
    for name in junk:
        with open(name, "wb") as file:
            file.write(b"junk")
    done = play.run([FORGE, "o.mkv.resr", *records])
    play.equal(f"{what}: forge ({done.err})", done.code, 0)
    return resume(what, codes)


def segment(number, first, count=1):
    """A segment's records with a file that has the hash that they say."""
    path = f"o.mkv.resr/segment-{number:06d}.nut"
    frames = [f"{FRAME}:{first + i}:0:0:0" for i in range(count)]
    return (*frames, f"{SEGMENT}:{number}:{count}:./{path}:0"), [path]


def batch(first, count):
    path = f"o.mkv.resr/batch-{first:08d}.h5"
    return [f"{BATCH}:{first}:{count}:./{path}:0"], [path]


prepare()


def case_frames_far_away():
    for first in (LARGE, -3, -2**63, 2**39, FAR):
        records, junk = segment(99, first)
        forge(f"frame {first}", *records, junk=junk)


def case_batches_of_absurd_sizes():
    for first, count in ((8, 10**9), (2**63 - 8, 100), (40, 65), (40, -1), (-8, 8), (FAR, 8)):
        records, junk = batch(first, count)
        forge(f"batch {first}, {count}", *records, junk=junk, codes=(0,) if first >= 0 else (73,))


def case_numbers_of_other_records():
    for record in (f"{END}:0:{LARGE}:0:0", f"{END}:0:-1:0:0", f"{SOURCE}:{LARGE}:0:0:0",
                   f"{OUTPUT}:0:-1:-1:0", f"{OUTPUT}:{LARGE}:{LARGE}:{LARGE}:0", "0:0:0:0:0",
                   "7:0:0:0:0", "65535:1:2:3:4", f"{SEGMENT}:{LARGE}:1:0:0",
                   f"{SEGMENT}:9:{LARGE}:0:0", f"{SEGMENT}:9:-1:0:0"):
        forge(record, record)


def case_shapes_of_segments():
    """Segments that hold other frames than their number says, overlap, or come twice."""
    for number, first, count in ((1, 36, 12), (1, 24, 8), (1, 0, 24), (5, 24, 24), (0, 24, 24), (1, 25, 23), (7, 7, 1)):
        records, junk = segment(number, first, count)
        forge(f"segment {number} of {count} frames from {first}", *records, junk=junk)


def case_times():
    """Times at the ends of their range and a huge reorder depth; a file that is believed is read, and refused."""
    path = "o.mkv.resr/segment-000001.nut"
    for start, duration, detail, codes in ((2**63 - 1, 2**63 - 1, 0, (0,)), (-2**63, 1, 0, (0,)), (0, -1, 0, (0,)),
                                           (LARGE, 0, 0, (0,)), (0, 1, 65535, (0,)), (2**61, 2**50, 1024, (65,))):
        frames = [f"{FRAME}:{24 + i}:{start}:{duration}:0" for i in range(24)]
        forge(f"time {start}", *frames, f"{SEGMENT}:1:24:./{path}:{detail}", junk=[path], codes=codes)


def case_another_frame_in_a_batch_file():
    """A batch file of other frames under a name and a hash that agree is named, not used."""
    fresh()
    files = sorted(name for name in os.listdir("o.mkv.resr") if name.startswith("batch-"))
    play.check(files, "the killed job has no batch file")
    shutil.copy("o.mkv.resr/" + files[0], "o.mkv.resr/batch-00000040.h5")
    done = play.run([FORGE, "o.mkv.resr", f"{BATCH}:40:8:./o.mkv.resr/batch-00000040.h5:0"])
    play.equal("forge " + done.err, done.code, 0)
    play.check("batch-00000040.h5" in resume("another frame", (65,)), "the file is not named")


def case_files_of_absurd_sizes():
    """Sparse files of a terabyte, where none is larger than a few kilobytes."""
    for name, codes in (("journal", (0,)), ("manifest.json", (0,)), ("status.json", (0,)), ("lock.lease", (0,))):
        fresh()
        with open("o.mkv.resr/" + name, "ab") as file:
            file.truncate(2**40)
        if name != "lock.lease":  # waits until it is stale
            resume(name, codes)


def case_status_of_absurd_values():
    for text in ('{"attempt": 9223372036854775807, "strikes": [1, {}, [], {"host": 3}]}', "[" * 100000, '{"strikes": {}}',
                 '{"attempt": -9223372036854775808}', '{"attempt": 1e300, "strikes": "x"}', "\x00", '{"attempt": 12'):
        fresh()
        with open("o.mkv.resr/status.json", "w", encoding="ascii") as file:
            file.write(text)
        resume(f"status {text[:60]}")


play.main(globals())
