"""A cgroup's quota of processor time, as containers have it, bounds the threads: in a real cgroup, where one can be made."""
import errno
import json
import os
import sys
import time

import play
from play import check, done, equal


def parents():
    """Folders of cgroups that may hold one with a quota."""
    with open("/proc/self/cgroup") as file:
        for line in file:
            _, controllers, path = line.rstrip("\n").split(":", 2)
            if "cpu" in controllers.split(","):
                for mount in (controllers, "cpu", "cpu,cpuacct"):
                    yield f"/sys/fs/cgroup/{mount}{path}", "cpu.cfs_quota_us"
            elif not controllers:
                yield f"/sys/fs/cgroup{path}", "cpu.max"
                yield "/sys/fs/cgroup", "cpu.max"


def make_groups():
    """A new cgroup and one in it, or None."""
    for parent, name in parents():
        outer = os.path.join(parent, f"resr-test-{os.getpid()}")
        inner = os.path.join(outer, "inner")
        made = []
        try:
            for folder in (outer, inner):
                os.mkdir(folder)
                made.append(folder)
                if name == "cpu.max" and folder == outer:
                    with open(os.path.join(outer, "cgroup.subtree_control"), "w") as file:
                        file.write("+cpu")
            if all(os.path.exists(os.path.join(folder, name)) for folder in made):
                return outer, inner, name
        except OSError:
            pass
        for folder in reversed(made):
            os.rmdir(folder)
    return None


if len(os.sched_getaffinity(0)) < 2:
    print("skipped: one CPU has no use for a quota")
    sys.exit(play.SKIPPED)
groups = make_groups()
if not groups:
    print("skipped: no cgroup with a quota of CPU time can be made here")
    sys.exit(play.SKIPPED)
OUTER, INNER, NAME = groups
CPUS = len(os.sched_getaffinity(0))


def set_quota(folder, cpus):
    with open(os.path.join(folder, NAME), "w") as file:
        quota = str(int(cpus * 100000)) if cpus else "max" if NAME == "cpu.max" else "-1"
        file.write(f"{quota} 100000" if NAME == "cpu.max" else quota)


def upscale(*options, ranks=0):
    """(threads, cpus) of each rank in the inner cgroup."""
    play.remove("out.mkv")
    command = [play.RESR, "-i", "in.mkv", "-o", "out.mkv", "-m", "enlarge.safetensors", "--progress", "none",
               "--report", "report.json", *options]
    if ranks:
        command = ["mpirun", "-n", str(ranks), *command]
    done(play.run(["sh", "-c", f'echo $$ >"{INNER}/cgroup.procs" && exec "$@"', "sh", *command]))
    with open("report.json") as file:
        return [(rank["threads"], rank["cpus"]) for rank in json.load(file)["ranks"]]


def case_threads():
    set_quota(OUTER, 0)
    set_quota(INNER, 0)
    equal("without a quota", upscale(), [(CPUS, CPUS)])
    set_quota(INNER, 1)
    equal("of one CPU", upscale(), [(1, 1)])
    equal("and more threads given", upscale("--threads", "2"), [(2, 1)])
    set_quota(INNER, 0.3)
    equal("of less than one", upscale(), [(1, 1)])
    set_quota(INNER, 1.2)
    equal("rounded up", upscale(), [(2, 2)])
    equal("shared by ranks", upscale(ranks=2), [(1, 2), (1, 2)])


def case_parents():
    set_quota(INNER, 0)
    set_quota(OUTER, 0.5)
    equal("of the parent", upscale(), [(1, 1)])
    result = play.run(["sh", "-c", f'echo $$ >"{INNER}/cgroup.procs" && exec "{play.RESR}" --list-devices'])
    done(result)
    check("1 of its 1 CPUs" in result.out, result.out)


def remove_group(group):
    """Open MPI's daemon of a process without mpirun ends a moment after it."""
    for _ in range(300):
        try:
            os.rmdir(group)
            return
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            time.sleep(0.1)
    os.rmdir(group)


play.ffmpeg("-f lavfi -i testsrc2=size=32x24:rate=25 -frames:v 5 -c:v ffv1 in.mkv")
try:
    play.main(globals())
finally:
    for group in (INNER, OUTER):
        remove_group(group)
