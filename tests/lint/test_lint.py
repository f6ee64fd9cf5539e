#!/usr/bin/env python3
"""test_lint.py: each lint passes on a copy of the tree and fails, with its own words, on each fault planted there."""
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TREE = os.path.dirname(os.path.dirname(HERE))
SH = ["sh", f"{HERE}/lint.sh"]
INCLUDES = [sys.executable, "-B", f"{HERE}/includes.py"]
LONG_FUNCTION = ("\nstatic int resr_long(const char *a_name_that_takes_room,\n"
                 "                     const char *another_name_that_takes_room)\n{\n" + "    ;\n" * 80 + "    return 0;\n}\n")
CALL_LOG = "\nstatic void log_it(void)\n{\n    resr_log_info(\"x\");\n}\n"

# The lint, the file, the text added at its start and at its end, words of the complaint.
FAULTS = [
    (INCLUDES, "src/cpu/pack.c", '#include "job/plan.h"\n', "", "cpu may not include job/plan.h"),
    (INCLUDES, "src/net/net.c", '#include "cpu/dispatch.h"\n', "", "net may not include cpu/dispatch.h"),
    (INCLUDES, "src/comm/wire.c", '#include "sched/schedule.h"\n', "", "comm may not include sched/schedule.h"),
    (INCLUDES, "src/model/spec.c", '#include "media/libav.h"\n', "", "model may not include media/libav.h"),
    (INCLUDES, "src/base/text.c", '#include "base/log.h"\n', CALL_LOG, "call each other: base/log -> base/text -> base/log"),
    (INCLUDES, "src/app/session.c", "#include <mpi.h>\n", "", "src/app/session.c: <mpi.h> belongs to"),
    (INCLUDES, "src/sched/schedule.c", '#include "base/clock.h"\n', "", "it may not include base/clock.h"),
    (INCLUDES, "src/sched/liveness.c", "#include <stdio.h>\n", "", "it may not include stdio.h"),
    (INCLUDES, "src/ckpt/journal.h", "#include <hdf5.h>\n", "", "a header includes <hdf5.h>"),
    (INCLUDES, "src/media/decode.c", "", "\nvoid end(void)\n{\n    exit(1);\n}\n", "exit ends the program"),
    (INCLUDES, "src/later/later.c", '#include "base/error.h"\n', "", "does not name the folder later"),
    (SH + ["sizes"], "src/run/worker.c", "", LONG_FUNCTION, "a function of 85 lines"),
    (SH + ["sizes"], "src/run/worker.h", "", "\n" * 600, "more than 600"),
    (SH + ["skips"], "tests/mpi/plan.sh", "", "\ncommand -v x || continue\n", "a case is left out silently"),
    (SH + ["skips"], "tests/mpi/plan.sh", "", '\necho "skipped: no x"\n\n\n\n\n', "a skip is an exit with 77"),
    (SH + ["paths"], "src/main.c", "", "/* TO" "DO */\n", "marks of unfinished work"),
]


def run(command, folder):
    result = subprocess.run(command + [folder], capture_output=True, text=True, check=False)
    return result.returncode, result.stdout + result.stderr


def planted(command, folder, name, start, end):
    """The lint's exit code and words with the fault in the file, which is as before afterwards."""
    path = os.path.join(folder, name)
    before = open(path, encoding="utf-8").read() if os.path.exists(path) else None
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(start + (before or "") + end)
    result = run(command, folder)
    if before is None:
        shutil.rmtree(os.path.dirname(path))
    else:
        with open(path, "w", encoding="utf-8") as file:
            file.write(before)
    return result


def test_language(folder):
    """One marked sentence in a hundred is too many; the tool counts the sentences of the files that it is given."""
    path = os.path.join(folder, "marked.c")
    failed = False
    for text, code in (("/* The queue is full. */\n" * 100, 0), ("/* The queue is full. */\n" * 98 +
                                                                 "/* The frames are under way. */\n", 1)):
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        subprocess.run(["git", "add", "marked.c"], cwd=folder, check=True)
        result = subprocess.run([sys.executable, "-B", f"{HERE}/language.py", "marked.c"], cwd=folder,
                                capture_output=True, text=True, check=False)
        if result.returncode != code or (code and "under way" not in result.stdout):
            print(f"FAILED language: exit {result.returncode}, expected {code}: {result.stdout}{result.stderr}")
            failed = True
    return failed


def main():
    failed = 0
    with tempfile.TemporaryDirectory(prefix="resr-lint.") as folder:
        for name in ("src", "tests", "cuda", "bench", "tools", "jobs", "models", "docs"):
            shutil.copytree(f"{TREE}/{name}", f"{folder}/{name}", ignore=shutil.ignore_patterns("results", "*.pth", "*.bin", "data"))
        subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
        subprocess.run(["git", "add", "."], cwd=folder, check=True)
        for command in (INCLUDES, SH + ["sizes"], SH + ["skips"], SH + ["paths"]):
            code, words = run(command, folder)
            if code != 0:
                print(f"FAILED {command[-1]}: exit {code} without a fault: {words}")
                failed += 1
        for command, name, start, end, expected in FAULTS:
            code, words = planted(command, folder, name, start, end)
            if code != 1 or expected not in words:
                print(f"FAILED {name}: '{expected}' was not found: exit {code}: {words}")
                failed += 1
        failed += test_language(folder)
    print(f"{len(FAULTS) + 1} faults, {failed} failures")
    return 1 if failed else 0


sys.exit(main())
