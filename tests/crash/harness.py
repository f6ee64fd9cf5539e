"""What the crash tests share: a folder with a clip, a random network and the undisturbed result; jobs
that are started, disturbed and run again; the verdict. $RESR: the program, $MAKE_MODEL: the writer of
random networks, $SHIM: the built shim.c, all set by CTest.

Every random choice comes from one seed, which is printed; `--seed S --only N` plays case N again.
Processes are killed by the ids that the job itself wrote down or that this script started."""

import argparse
import collections
import concurrent.futures
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time

RESR = os.environ.get("RESR", "")
MAKE_MODEL = os.environ.get("MAKE_MODEL", "")
SHIM = os.environ.get("SHIM", "")
SKIPPED = 77
HUNG = "hung"  # no exit code: mpirun 4.1 hung in its own end when all ranks had gone, and was killed
ALONE_SECONDS = 20
LIMIT_SECONDS = 240  # of one run, on a machine that does other things as well

say_lock = threading.Lock()


class Failure(Exception):
    pass


def say(text):
    with say_lock:
        print(text, flush=True)


def check(condition, text):
    if not condition:
        raise Failure(text)


def environment(temporary):
    env = dict(os.environ, OMP_WAIT_POLICY="passive", OMPI_MCA_mpi_yield_when_idle="1",
               OMPI_MCA_rmaps_base_oversubscribe="1", OMPI_MCA_hwloc_base_binding_policy="none",
               OMPI_MCA_ess_singleton_isolated="1",
               OMPI_MCA_orte_tmpdir_base=temporary)
    if os.geteuid() == 0:
        env.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    return env


def read(path):
    with open(path, "rb") as file:
        return file.read()


def processes_of(folder):
    """Ids of live processes whose command line names the folder or a file in it."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            words = read(f"/proc/{name}/cmdline").replace(b"\0", b"/")
            if f"{folder}/".encode() in words and not is_zombie(int(name)):
                found.append(int(name))
        except OSError:
            pass  # it has just ended
    return found


def stat_fields(pid):
    try:
        return read(f"/proc/{pid}/stat").decode(errors="replace").rsplit(")", 1)[1].split()
    except OSError:
        return None


def describe(pid):
    """A line for a failure's text: what a process that should have ended is doing."""
    try:
        words = read(f"/proc/{pid}/cmdline").split(b"\0")
        name = os.path.basename(words[0].decode(errors="replace"))
        waits = read(f"/proc/{pid}/wchan").decode(errors="replace")
    except OSError:
        return f"{pid} has just ended"
    state = (stat_fields(pid) or ["gone"])[0]
    return f"{pid} {name}, child of {parent_of(pid)}, state {state}, waits in {waits}"


def is_zombie(pid):
    fields = stat_fields(pid)
    return fields is None or fields[0] == "Z"


def dies(pid, seconds=5):
    """SIGKILL takes a moment, and mpirun does not wait for it."""
    end = time.monotonic() + seconds
    while not is_zombie(pid) and time.monotonic() < end:
        time.sleep(0.05)
    return is_zombie(pid)


def parent_of(pid):
    fields = stat_fields(pid)
    return int(fields[1]) if fields else 0


def kill(pid, number=signal.SIGKILL):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


class Arena:
    """A temporary folder with an input, a network and what an undisturbed run makes of them."""

    def __init__(self, frames, model, options, ranks):
        for tool in ("ffmpeg", "ffprobe"):
            if not shutil.which(tool):
                print(f"skipped: {tool} is needed")
                sys.exit(SKIPPED)
        self.folder = tempfile.mkdtemp(prefix="resr-crash.")
        self.input = f"{self.folder}/in.mp4"
        self.model = f"{self.folder}/net.safetensors"
        self.frames, self.ranks, self.options = frames, ranks, options
        source = (f"testsrc2=size=64x36:rate=25,noise=alls=24:allf=t:all_seed=7,"
                  f"trim=end_frame={frames}")
        subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", source, "-pix_fmt", "yuv420p",
                        self.input], check=True)
        subprocess.run([MAKE_MODEL, self.model] + model.split(), check=True)
        self.undisturbed()

    def undisturbed(self):
        """The result to compare with: from two runs, one of them without a checkpoint."""
        for name, checkpoint in (("plain", "off"), ("reference", "always")):
            job = Job(self, name, ["--checkpoint", checkpoint])
            job.start()
            pids = job.wait_for_pids() if checkpoint == "always" and self.ranks > 1 else None
            begun = time.monotonic()
            check(job.wait() == 0, f"the undisturbed run failed:\n{job.messages()}")
            self.seconds = time.monotonic() - begun
            check(pids is not None or checkpoint == "off" or self.ranks == 1,
                  "the undisturbed run wrote no pids")
            job.check_leftovers()
            self.output, self.hashes = read(job.output), read(job.framehash)
            check(name == "plain" or self.output == read(f"{self.folder}/plain/job/out.mp4"),
                  "two undisturbed runs differ: nothing can be compared with them")
        counted = subprocess.run(
            ["ffprobe", "-v", "error", "-count_frames", "-select_streams", "v:0", "-show_entries",
             "stream=nb_read_frames", "-of", "csv=p=0", job.output],
            check=True, capture_output=True, text=True).stdout.strip().strip(",")
        check(int(counted) == self.frames and len(self.hashes.splitlines()) == self.frames,
              f"the undisturbed output has {counted} frames, expected {self.frames}")

    def close(self):
        for pid in processes_of(self.folder):
            kill(pid)
        shutil.rmtree(self.folder, ignore_errors=True)


def small_arena():
    """One process, three segments, six batch files: the shim's jobs."""
    return Arena(24, "rrdb 2 1 8 4 7", ["--segment", "8", "--batch", "4"], 1)


def count_calls(arena, options=("--checkpoint", "always")):
    job = Job(arena, "count", options)
    job.start_shimmed()
    check(job.wait() == 0, f"the counted run failed:\n{job.messages()}")
    job.verdict()
    check(len(job.calls()) > 60, f"only {len(job.calls())} calls were counted")
    return len(job.calls())


class Job:
    """One input to one output in a folder of its own; run as often as it takes."""

    def __init__(self, arena, name, options=(), output="out.mp4"):
        self.arena, self.name = arena, name
        self.folder = f"{arena.folder}/{name}"
        self.work = f"{self.folder}/job"
        os.makedirs(self.work)
        self.output, self.framehash = f"{self.work}/{output}", f"{self.work}/frames.txt"
        self.resr = f"{self.output}.resr"
        self.options = list(options)
        self.process, self.log, self.runs = None, None, 0

    def start(self, extra_env=None, ranks=None):
        ranks = ranks or self.arena.ranks
        command = [RESR, "--progress", "none", "-i", self.arena.input, "-o", self.output, "-m",
                   self.arena.model, "--precision", "exact", "--threads", "1", "--framehash",
                   self.framehash] + self.arena.options + self.options
        if ranks > 1:
            command = ["mpirun", "-n", str(ranks)] + command
        self.runs += 1
        # Open MPI's own files, of which a kill leaves some; isolated processes would share a folder.
        temporary = f"{self.folder}/mpi{self.runs}"
        os.makedirs(temporary)
        self.log = f"{self.folder}/run{self.runs}.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, start_new_session=True,
                                            env=dict(environment(temporary), **(extra_env or {})))

    def start_shimmed(self, number=0, fault="", shadow=None):
        """With `fault` at file-system call `number`; 0: the calls are only counted."""
        env = {"LD_PRELOAD": SHIM, "RESR_SHIM_ROOT": self.work, "RESR_SHIM_AT": str(number),
               "RESR_SHIM_LOG": f"{self.folder}/calls", "RESR_SHIM_FAULT": fault}
        if shadow:
            env["RESR_SHIM_SHADOW"] = shadow
        self.start(env)

    def calls(self):
        return read(f"{self.folder}/calls").decode().splitlines()

    def wait(self):
        """The exit code, or HUNG: see there."""
        end, alone = time.monotonic() + LIMIT_SECONDS, time.monotonic() + ALONE_SECONDS
        while time.monotonic() < end:
            try:
                return self.process.wait(0.5)
            except subprocess.TimeoutExpired:
                pass
            if self.arena.ranks == 1 or processes_of(self.folder) != [self.process.pid]:
                alone = time.monotonic() + ALONE_SECONDS
            elif time.monotonic() > alone:
                kill(self.process.pid)
                self.process.wait()
                return HUNG
        text = "\n".join([self.messages()] + [describe(p) for p in processes_of(self.folder)])
        for pid in processes_of(self.folder):
            kill(pid)
        self.process.wait()
        raise Failure(f"a run did not end within {LIMIT_SECONDS} s:\n{text}")

    def messages(self):
        return read(self.log).decode(errors="replace")

    def wait_for_pids(self):
        """Ids of the ranks as the job wrote them down; None if it ended before."""
        while self.process.poll() is None:
            try:
                lines = read(f"{self.resr}/pids").decode().splitlines()
                pids = [int(line.split()[2]) for line in lines]
            except (OSError, IndexError, ValueError):
                pids = []
            # A file of an earlier attempt names processes that are not children of this mpirun.
            if pids and all(parent_of(pid) == self.process.pid for pid in pids):
                return pids
            time.sleep(0.01)
        return None

    def wait_for_line(self, text, seconds):
        """Seconds until the log has the text, or None."""
        begun = time.monotonic()
        while time.monotonic() - begun < seconds:
            if text in self.messages():
                return time.monotonic() - begun
            time.sleep(0.02)
        return None

    def is_done(self, code):
        """The run finished the job, or found that it had been: a kill that comes after the folder is
        gone leaves a complete output, which the same command refuses to overwrite."""
        if code == HUNG or code == 73 and "exists already" in self.messages():
            return os.path.exists(self.output) and not os.path.exists(self.resr)
        return code == 0

    def finish(self):
        """The same command again, undisturbed: it must end well at once."""
        safe = 0 if os.path.exists(self.output) else frames_in_segments(self.resr)
        self.start()
        code = self.wait()
        check(self.is_done(code), f"run {self.runs} ended with {code}:\n{self.messages()}")
        said = [line for line in self.messages().splitlines() if "are in finished segments" in line]
        found = int(said[0].split(": ")[-1].split()[0]) if said else 0
        finished = "was finished already" in self.messages()  # by ranks that outlived their mpirun
        check(code not in (0, HUNG) or finished or found >= safe,
              f"{safe} frames were in finished segments, {found} were found:\n{self.messages()}")

    def check_leftovers(self):
        names = sorted(os.listdir(self.work))
        check(names == ["frames.txt", "out.mp4"], f"{self.name}: left over: {names}")

    def verdict(self):
        """Nothing lost, nothing changed, nothing left, nobody there."""
        check(read(self.framehash) == self.arena.hashes, f"{self.name}: other frames")
        check(read(self.output) == self.arena.output, f"{self.name}: another output file")
        self.check_leftovers()
        begun = time.monotonic()
        while processes_of(self.folder) and time.monotonic() - begun < 10:
            time.sleep(0.1)
        strays = [describe(pid) for pid in processes_of(self.folder)]
        check(not strays, f"{self.name}: stray processes: {strays}")

    def remove(self):
        shutil.rmtree(self.folder, ignore_errors=True)


def journal_segments(data):
    """Frames in the segments that a journal's bytes vouch for."""
    frames = 0
    for place in range(len(data) // 64):
        magic, kind, _, _, count = struct.unpack_from("<IHHqq", data, 64 * place)
        if magic != 0x4a534552:
            break
        frames += count if kind == 2 else 0
    return frames


def frames_in_segments(resr):
    try:
        return journal_segments(read(f"{resr}/journal"))
    except OSError:
        return 0


def run_cases(args, cases):
    """Runs (name, function(rng)) side by side in `--lanes`; all failures are told; what the functions
    return is counted. Ends the program at a failure."""
    counts, failures = collections.Counter(), []

    def run(number):
        name, function = cases[number]
        try:
            return function(random.Random(f"{args.seed} {name}"))
        except Failure as failure:
            say(f"FAILED: case {number} ({name}), seed {args.seed}: {failure}")
            failures.append(number)
            return {}

    chosen = range(len(cases)) if args.only is None else [args.only]
    with concurrent.futures.ThreadPoolExecutor(args.lanes) as pool:
        for result in pool.map(run, chosen):
            counts.update(result)
    if failures:
        say(f"{len(failures)} of {len(chosen)} cases failed: {failures}")
        sys.exit(1)
    return counts


def parse(description, options=()):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--only", type=int, help="play this case only")
    parser.add_argument("--lanes", type=int, default=2, help="cases side by side")
    for name, settings in options:
        parser.add_argument(name, **settings)
    args = parser.parse_args()
    say(f"seed {args.seed}")
    return args
