"""What the machine brings: weights that overflow, the CPU quota of a container, programs that a launcher started
without MPI, weight files that are no files."""
import json
import os
import random
import socket
import struct
import subprocess
import time

import play
from play import check, equal, refused


def network(name, gain, blocks=4, nf=16, scale=2):
    """Writes a compact network of random weights, `gain` times as large as weights are."""
    rng, tensors = random.Random(1), {}

    def tensor(key, *shape):
        count = 1
        for length in shape:
            count *= length
        tensors[key] = (shape, [rng.gauss(0, gain) for _ in range(count)])

    for i in range(blocks + 2):
        last = i == blocks + 1
        tensor(f"body.{2 * i}.weight", 3 * scale * scale if last else nf, 3 if i == 0 else nf, 3, 3)
        tensor(f"body.{2 * i}.bias", 3 * scale * scale if last else nf)
        if not last:
            tensor(f"body.{2 * i + 1}.weight", nf)
    header, data = {}, b""
    for key, (shape, values) in tensors.items():
        packed = struct.pack(f"<{len(values)}f", *values)
        header[key] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(packed)]}
        data += packed
    text = json.dumps(header).encode()
    with open(name, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def clip(name, count=20):
    play.ffmpeg(f"-f lavfi -i testsrc2=size=32x24:rate=25 -frames:v {count} -c:v ffv1 {name}")


def case_weights_that_overflow():
    clip("in.mkv")
    network("large.safetensors", 1800, 10)
    said = ("frame ", "large.safetensors", "infinite values or NaN", "use other weights")
    for ranks, options in ((0, ()), (0, ("--precision", "exact")), (0, ("--precision", "exact", "--backend", "c")),
                           (0, ("--precision", "fp32")), (0, ("-t", "12")), (2, ()),
                           (3, ("--encode", "ranks")), (2, ("--root", "dedicated"))):
        result = play.up("in.mkv", "out.mkv", *options, ranks=ranks, model="large.safetensors")
        refused(result, 65, *said)
        for words in ("left out", "tried again"):
            check(words not in result.err, f"{options}: '{words}' in {result.err}")
        check(not os.path.exists("out.mkv"), f"{options}: an output was left")
    for image in ("in.png", "in.jpg"):
        play.ffmpeg(f"-i in.mkv -frames:v 1 -update 1 {image}")
        refused(play.up(image, "out.png", model="large.safetensors"), 65, *said)


def case_large_weights_that_do_not():
    """No false alarm: values far outside 0 to 1 are clamped as ever."""
    clip("in.mkv", 3)
    network("wide.safetensors", 30)
    play.done(play.up("in.mkv", "out.mkv", model="wide.safetensors"))
    equal("frames", play.frames("out.mkv"), 3)


def case_weights_that_are_no_file():
    """Refused at once; nothing waits for a writer."""
    clip("in.mkv", 3)
    os.mkfifo("pipe.safetensors")
    os.mkdir("weights")
    os.mkfifo("weights/RealESRGAN_x4plus.pth")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.pth")
        for path, what, *options in (("pipe.safetensors", "pipe"), ("/dev/null", "device"), ("/dev/zero", "device"),
                                     ("socket.pth", "socket"), ("weights", "pipe", "-s", "4")):
            result = play.up("in.mkv", "out.mkv", *options, model=os.path.abspath(path), timeout=20)
            refused(result, 65, path, what)
    refused(play.up("in.mkv", "out.mkv", model="pipe.safetensors", timeout=30, ranks=2), 65, "pipe")


def case_signal_while_weights_are_opened():
    """The call that it interrupts is repeated, and the program ends with 75."""
    clip("in.mkv", 3)
    env = shim("slow", """
        #define _GNU_SOURCE
        #include <dlfcn.h>
        #include <errno.h>
        #include <fcntl.h>
        #include <poll.h>
        #include <stdarg.h>
        #include <string.h>
        int open(const char *path, int flags, ...)
        {
            static int interrupted;
            va_list arguments;
            va_start(arguments, flags);
            int mode = va_arg(arguments, int);
            va_end(arguments);
            if (strstr(path, "enlarge.safetensors") && !interrupted) {
                creat("opening", 0600);
                while (poll(NULL, 0, -1) == 0) {
                }
                interrupted = 1;
                errno = EINTR;
                return -1;
            }
            return ((int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open"))(path, flags, mode);
        }""", "-ldl")
    with subprocess.Popen([play.RESR, "-i", "in.mkv", "-o", "out.mkv", "-m", "enlarge.safetensors", "--progress", "none"],
                          env={**os.environ, **env}, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 30
        while not os.path.exists("opening") and time.monotonic() < deadline:
            time.sleep(0.02)
        process.terminate()
        err = process.communicate(timeout=30)[1].decode()
    equal(f"exit code ({err})", process.returncode, 75)
    check(not os.path.exists("out.mkv"), "an output was left")


STEP = {"SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0", "SLURM_NTASKS": "4", "SLURM_NPROCS": "4"}


def case_started_without_mpi():
    """Several processes that MPI does not connect would each do all of the work: refused, before a file is opened."""
    for name, env in (("SLURM_STEP_NUM_TASKS", {**STEP, "SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "3"}),
                      ("SLURM_NTASKS", {**STEP, "SLURM_PROCID": "0"}),
                      ("PMI_SIZE", {"PMI_SIZE": "2", "PMI_RANK": "0"}),
                      ("PMI_SIZE", {**STEP, "SLURM_STEP_NUM_TASKS": "4", "PMI_SIZE": "4", "PMI_RANK": "1"}),
                      ("OMPI_COMM_WORLD_SIZE", {"OMPI_COMM_WORLD_SIZE": "16", "OMPI_COMM_WORLD_RANK": "0"}),
                      ("MV2_COMM_WORLD_SIZE", {"MV2_COMM_WORLD_SIZE": "3"}),
                      ("PMIX_RANK", {"PMIX_RANK": "1"})):
        refused(play.up("missing.mkv", "out.mkv", env=env), 64, name, "mpirun", "srun --mpi=pmix")
        check(not os.path.exists("out.mkv.resr"), f"{env}: a folder was made")
    for option in ("--dry-run", "--list-devices"):
        refused(play.up("missing.mkv", "out.mkv", option, env={"PMI_SIZE": "2"}), 64, "PMI_SIZE")
    for option in ("--help", "--list-models"):
        play.done(play.run([play.RESR, option], env={"PMI_SIZE": "2"}))


def case_started_alone_on_purpose():
    """The first words of a batch script, a shell of salloc, a step of one task, mpirun -n 1 in a larger step, and nonsense."""
    shell = {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "8", "SLURM_NPROCS": "8"}
    for env in ({**shell, "SLURM_PROCID": "0", "SLURM_TASK_PID": "1"}, shell,
                {**shell, "SLURM_STEP_ID": "4294967290", "SLURM_STEP_NUM_TASKS": "1"},
                {**shell, "SLURM_STEP_ID": "1", "SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"},
                {**STEP, "SLURM_STEP_NUM_TASKS": "4", "OMPI_COMM_WORLD_SIZE": "1"},
                {**STEP, "SLURM_STEP_NUM_TASKS": "4", "PMI_SIZE": "4", "OMPI_COMM_WORLD_SIZE": "1"},
                {"OMPI_COMM_WORLD_SIZE": "4", "PMI_SIZE": "1"},
                {"PMI_SIZE": "1", "PMI_RANK": "0", "PMIX_RANK": "0"},
                {"PMI_SIZE": "", "OMPI_COMM_WORLD_SIZE": "-3", "PMIX_RANK": "x", "SLURM_STEP_ID": ""}):
        refused(play.up("missing.mkv", "out.mkv", env=env), 66, "missing.mkv")
    refused(play.up("missing.mkv", "out.mkv", ranks=1, env={**STEP, "SLURM_STEP_NUM_TASKS": "4"}), 66, "missing.mkv")
    refused(play.up("missing.mkv", "out.mkv", ranks=2, env={**STEP, "SLURM_STEP_NUM_TASKS": "4"}), 66, "missing.mkv")


def shim(name, text, *libraries):
    """The environment in which a shared object's functions take others' places."""
    with open(f"{name}.c", "w") as file:
        file.write(text)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", f"{name}.so", f"{name}.c", *libraries], check=True)
    asan = os.environ.get("ASAN_OPTIONS", "detect_leaks=0")
    return {"LD_PRELOAD": os.path.abspath(f"{name}.so"), "ASAN_OPTIONS": f"{asan}:verify_asan_link_order=0"}


def case_mpi_without_threads():
    env = shim("single", """
        int PMPI_Init_thread(int *argc, char ***argv, int required, int *provided);
        int MPI_Init_thread(int *argc, char ***argv, int required, int *provided)
        {
            int ret = PMPI_Init_thread(argc, argv, required, provided);
            *provided = 0;
            return ret;
        }""")
    refused(play.up("missing.mkv", "out.mkv", env=env), 69, "MPI_THREAD_FUNNELED")


def case_reading_of_other_processes_is_forbidden():
    """As in many containers: equal frames, and no line of Open MPI's for each message."""
    env = shim("nocma", """
        #include <errno.h>
        long process_vm_readv(int pid, const void *a, unsigned long b, const void *c, unsigned long d, unsigned long e)
        {
            errno = EPERM;
            return -1;
        }
        long process_vm_writev(int pid, const void *a, unsigned long b, const void *c, unsigned long d, unsigned long e)
        {
            errno = EPERM;
            return -1;
        }""")
    play.ffmpeg("-f lavfi -i testsrc2=size=320x240:rate=25 -frames:v 12 -c:v ffv1 in.mkv")
    hashes = []
    for how in ({"ranks": 0}, {"ranks": 2, "env": env}):
        result = play.up("in.mkv", "out.mkv", "--framehash", "hash.txt", "--root", "compute", **how)
        play.done(result)
        check("errno" not in result.err, result.err[:600])
        with open("hash.txt") as file:
            hashes.append(file.read())
    equal("frames", hashes[1], hashes[0])


if __name__ == "__main__":
    play.main(globals())
