"""What the tests of odd, damaged and hostile files share.

A test imports this module as its first step: it then works in a new temporary folder, which is removed at the
end, with `enlarge.safetensors` in it: a compact network of zero weights, whose output is exactly the
nearest-neighbour enlargement (2x) of its input. $RESR is the program, $MAKE_MODEL writes networks; CTest sets both.
The functions of a test are its cases: `play.main(globals())` runs every function whose name starts with `case_`, or
those named on the command line, prints a line for each and exits with 1 if one failed. With $RESR_TEST_SHARE=N every
Nth case is run (the build with sanitizers, in which a case takes several times as long).
"""
import atexit
import os
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback

SKIPPED = 77
for tool in ("ffmpeg", "ffprobe"):
    if not shutil.which(tool):
        print(f"skipped: {tool} is needed")
        sys.exit(SKIPPED)

RESR = os.path.abspath(os.environ.get("RESR", "build/realesrgan-mpi"))
MAKE_MODEL = os.path.abspath(os.environ.get("MAKE_MODEL", "build/tools/make_model"))
SHIM = os.path.abspath(os.environ.get("SHIM", "build/tests/evil/libevil_shim.so"))
HERE = os.path.dirname(os.path.abspath(__file__))
WORK = tempfile.mkdtemp(prefix="resr-test.")
atexit.register(shutil.rmtree, WORK, True)
os.chdir(WORK)
os.environ.update(OMP_WAIT_POLICY="passive", OMPI_MCA_mpi_yield_when_idle="1",
                  OMPI_MCA_rmaps_base_oversubscribe="1", OMPI_MCA_hwloc_base_binding_policy="none",
                  OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
subprocess.run([MAKE_MODEL, "enlarge.safetensors", "srvgg", "2", "1", "8", "0", "0"], check=True)


class Run:
    """A finished process: `code` (negative: killed by that signal), `err` (its messages), `seconds`."""

    def __init__(self, code, out, err, seconds):
        self.code, self.out, self.err, self.seconds = code, out, err, seconds


def run(command, timeout=60, env=None, cwd=None):
    """Runs a command (a list) to its end. A process that outlives `timeout` seconds is killed: code -9."""
    start = time.monotonic()
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env={**os.environ, **(env or {})}, cwd=cwd) as process:
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
    return Run(process.returncode, out.decode(errors="replace"), err.decode(errors="replace"),
               time.monotonic() - start)


def up(source, output, *options, clean=True, ranks=0, model="enlarge.safetensors", **how):
    """Upscales SOURCE to OUTPUT by 2 with one thread, after removing what an earlier case left there (`clean`)."""
    if clean:
        remove(output, output + ".resr")
    launch = ["mpirun", "-n", str(ranks)] if ranks else []
    return run([*launch, RESR, "-i", source, "-o", output, "-m", os.path.join(WORK, model), "--progress", "none",
                "--threads", "1", *options], **how)


def start(source, output, *options, env=None):
    """Upscales in the background, as up() does, without removing anything; does not outlive the test."""
    process = subprocess.Popen([RESR, "-i", source, "-o", output, "-m", os.path.join(WORK, "enlarge.safetensors"),
                                "--progress", "none", "--threads", "1", *options], stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env={**os.environ, **(env or {})},
                               text=True)
    atexit.register(process.kill)
    return process


def records(output):
    """Type and number of each record in the journal of a job (src/ckpt/journal.h)."""
    try:
        with open(output + ".resr/journal", "rb") as file:
            data = file.read()
    except OSError:
        data = b""
    return [struct.unpack_from("<4xH2xq", data, at) for at in range(0, len(data) - 63, 64)]


def journal(output):
    """The types of those records: 2 is a segment's, 3 a batch's."""
    return [kind for kind, _ in records(output)]


def wait_for_frames(output, process, kinds=(2, 3)):
    """Until the journal of a background run has a record of these types: a kill does not lose its frames then."""
    wait_for("a finished frame", lambda: any(kind in kinds for kind in journal(output)), process)


def wait_for(what, condition, process, seconds=120):
    """Until `condition()` is true; fails where the background run `process` ends before, or time is up."""
    deadline = time.monotonic() + seconds
    while not condition():
        check(process.poll() is None, f"the program ended ({process.returncode}) before {what}")
        check(time.monotonic() < deadline, f"no {what} in {seconds} s")
        time.sleep(0.02)


def freeze(process):
    """Stops a background run by SIGSTOP and waits until all of its threads stand still. False: it has ended."""
    process.send_signal(signal.SIGSTOP)
    state = os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    return state.si_code == os.CLD_STOPPED


def remove(*paths):
    for path in paths:
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        elif os.path.lexists(path):
            os.unlink(path)


def ffmpeg(arguments, **names):
    """Runs ffmpeg with `arguments`, one string split as a shell does; {name} stands for a name given by keyword."""
    words = [word.format(**names) if names else word for word in shlex.split(arguments)]
    subprocess.run(["ffmpeg", "-hide_banner", "-v", "error", "-y", "-nostdin", *words], check=True)


def probe(path, entries, streams="V:0", *more):
    """ffprobe's values of `entries` ("stream=width,height"), one line each, as a list of strings."""
    done = run(["ffprobe", "-v", "error", *(["-select_streams", streams] if streams else []), *more,
                "-show_entries", entries, "-of", "csv=p=0", path])
    return [line.strip().rstrip(",") for line in done.out.splitlines() if line.strip(" ,")]


def frames(path):
    """Number of frames of the video stream that decode."""
    lines = probe(path, "stream=nb_read_frames", "V:0", "-count_frames")
    return int(lines[0]) if lines and lines[0].isdigit() else 0


def times(path):
    """Presentation times of the video's frames, in seconds."""
    return [float(text.split(",")[0]) for text in probe(path, "frame=best_effort_timestamp_time")
            if text.split(",")[0] not in ("", "N/A")]


def pixels(path, pix_fmt="rgb24", *options):
    """The decoded samples of all frames as one bytes object in `pix_fmt`."""
    return subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-i", path, *options, "-map", "0:V:0", "-vsync",
                           "passthrough", "-pix_fmt", pix_fmt, "-f", "rawvideo", "-"],
                          check=True, stdout=subprocess.PIPE).stdout


def leftovers(output):
    """What stands beside an output that was refused: the output, its job folder, temporary files."""
    folder, name = os.path.split(output)
    return sorted(entry for entry in os.listdir(folder or ".")
                  if entry in (name, name + ".resr", name + ".frames") or
                  (entry.startswith("." + name + ".") and ".tmp" in entry))


def check(condition, message):
    if not condition:
        raise AssertionError(message)


def equal(what, got, expected):
    check(got == expected, f"{what}: {got!r}, expected {expected!r}")


def refused(result, code, *words):
    """The program ended with `code` and its messages contain all of `words`."""
    equal(f"exit code (messages: {result.err.strip()[-600:]})", result.code, code)
    for word in words:
        check(word.lower() in result.err.lower(), f"'{word}' is missing in: {result.err.strip()[-600:]}")


def done(result):
    equal(f"exit code (messages: {result.err.strip()[-600:]})", result.code, 0)


def main(names):
    cases = {name[5:]: call for name, call in names.items() if name.startswith("case_")}
    wanted = sys.argv[1:] or list(cases)[::int(os.environ.get("RESR_TEST_SHARE", "1"))]
    failed = []
    for name in wanted:
        start = time.monotonic()
        try:
            cases[name]()
            print(f"ok {name} ({time.monotonic() - start:.1f} s)", flush=True)
        except Exception:  # every case is played, whatever the others do
            failed.append(name)
            print(f"FAILED {name}", flush=True)
            traceback.print_exc()
            sys.stderr.flush()
    print(f"{len(wanted) - len(failed)} passed, {len(failed)} failed")
    sys.exit(1 if failed else 0)
