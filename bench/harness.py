"""Shared by the measurements of whole programs: runs with their cost and the machine's other load, verdicts, medians,
the report as JSON."""

import datetime
import json
import os
import resource
import statistics
import subprocess
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
RESULTS = os.path.join(ROOT, "bench", "results")
OTHERS_PERCENT = 5  # of all cores: what other programs may take, as the median over a row's runs
ATTEMPTS = 3  # a run is repeated where others took more; the last attempt counts whatever they took

# More ranks than cores must not spin, and Open MPI refuses root and more ranks than cores unless told.
os.environ.update(OMP_WAIT_POLICY="passive", OMPI_MCA_mpi_yield_when_idle="1", OMPI_MCA_rmaps_base_oversubscribe="1",
                  OMPI_MCA_hwloc_base_binding_policy="none")
if os.getuid() == 0:
    os.environ.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")


def machine_seconds():
    """Seconds since the machine's start in which the cores were busy, and in which a hypervisor withheld them."""
    fields = [int(f) / os.sysconf("SC_CLK_TCK") for f in open("/proc/stat").readline().split()[1:]]
    user, nice, system, _, _, irq, softirq, steal = fields[:8]
    return user + nice + system + irq + softirq, steal


def own_seconds():
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_CHILDREN, resource.RUSAGE_SELF)]
    return sum(u.ru_utime + u.ru_stime for u in usage)


def run(*commands, attempts=ATTEMPTS):
    """Repeats run_once() while other programs disturb it; `repeated` counts the repetitions."""
    for attempt in range(attempts):
        done = run_once(*commands)
        if done["others_percent"] <= OTHERS_PERCENT:
            break
    return dict(done, repeated=attempt)


def run_once(*commands):
    """Runs the commands side by side. {seconds, outputs, others_percent: share of all cores' time that other programs
    or a hypervisor took}."""
    busy, steal = machine_seconds()
    own, start = own_seconds(), time.perf_counter()
    processes = [subprocess.Popen(c, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for c in commands]
    outputs, errors = zip(*[process.communicate() for process in processes])
    seconds = time.perf_counter() - start
    for command, process, error in zip(commands, processes, errors):
        if process.returncode:
            raise SystemExit(f"INVALID: exit {process.returncode} of {' '.join(command)}:\n{error[-2000:]}")
    now, steal_now = machine_seconds()
    others = max(0, now - busy - (own_seconds() - own)) + steal_now - steal
    return dict(seconds=seconds, outputs=outputs, others_percent=100 * others / (seconds * os.cpu_count()))


def ours(build, ranks, folder, options, attempts=ATTEMPTS):
    """One run of the program on `ranks` ranks: run()'s figures, `report`, and `hashes`, the lines of --framehash."""
    report, hashes = os.path.join(folder, "report.json"), os.path.join(folder, "hashes")
    done = run(["mpirun", "-n", str(ranks), os.path.join(build, "realesrgan-mpi"), "--overwrite", "--progress", "none",
                "--report", report, "--framehash", hashes, *options], attempts=attempts)
    return dict(done, report=json.load(open(report)), hashes=open(hashes).read().splitlines())


def count_frames(path):
    out = subprocess.run(["ffprobe", "-v", "error", "-count_frames", "-select_streams", "v:0", "-show_entries",
                          "stream=nb_read_frames", "-of", "csv=p=0", path], check=True, capture_output=True, text=True)
    return int(out.stdout.strip().strip(","))


def spread(values):
    """All values and their median."""
    return dict(median=statistics.median(values), runs=[round(v, 4) for v in values])


def cpu_brand():
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.split(":")[1].strip()
    return "unknown CPU"


class Verdict:
    """VALID until a check fails."""

    def __init__(self):
        self.faults, self.others_percent = [], 0

    def check(self, good, text):
        if not good and text not in self.faults:
            self.faults.append(text)

    def quiet(self, row):
        self.others_percent = max(self.others_percent, row["others_percent"]["median"])

    def valid(self):
        return not self.faults and self.others_percent <= OTHERS_PERCENT

    def __str__(self):
        busy = [f"other programs took up to {self.others_percent:.0f} % of the machine"]
        return "VALID" if self.valid() else "INVALID: " + "; ".join(
            self.faults + (busy if self.others_percent > OTHERS_PERCENT else []))


def report(bench, verdict, rounds, **fields):
    """Prints the verdict; the report as saved."""
    print(verdict, flush=True)
    return dict(bench=bench, verdict=str(verdict), date=datetime.date.today().isoformat(), cpu=cpu_brand(),
                cores=os.cpu_count(), load_average=os.getloadavg()[0], rounds=rounds, **fields)


def save(fields, path):
    with open(path, "w") as file:
        json.dump(fields, file, indent=1)
        file.write("\n")
