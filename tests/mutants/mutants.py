#!/usr/bin/env python3
"""mutants.py [--seed S] [--count N] [--only I,...] [--json FILE]: plants faults in src and reports which ones the tests see.

A copy of the tree is built once and must pass the tests. Then N faults are chosen by the seed, spread over the folders of
src. Each is planted alone in the copy, built, and the labels of ORDER run until a test fails (killed) or the time per
fault is over (survived). A fault that does not compile, or that leaves the object code as it was, is replaced by another.
The table gives both counts and the rate by folder; the exit code is 1 below --rate. Hours for hundreds of faults: a
campaign, not part of CI.
"""
import argparse
import collections
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ORDER = ["unit", "check", "reference", "media", "mpi", "jobs", "crash"]
CONFIGURE = ["-G", "Ninja", "-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_C_FLAGS=-O1", "-DRESR_CUDA=OFF", "-DBUILD_TESTING=ON"]
WORD = r"[A-Za-z_][\w.>\[\]-]*"
# Kind of fault, where it is planted, the new text. Applied to code without comments and strings. Calls that free memory
# stay: their loss is seen by sanitizers only, which no label of ORDER runs.
FAULTS = [
    ("boundary", r"(?<=[\w\])] )(<=|>=|<|>)(?= [\w(\-])", lambda m: {"<": "<=", "<=": "<", ">": ">=", ">=": ">"}[m[0]]),
    ("comparison", r"(?<= )(==|!=)(?= )", lambda m: {"==": "!=", "!=": "=="}[m[0]]),
    ("logic", r"&&|\|\|", lambda m: {"&&": "||", "||": "&&"}[m[0]]),
    ("off by one", r"(?<=[\w\])]) ([+-]) 1\b(?![\w.])", lambda m: ""),
    ("arithmetic", r"(?<=[\w\])] )([+*-])(?= [\w(])", lambda m: {"+": "-", "-": "+", "*": "+"}[m[0]]),
    ("accumulation", r"(\+=|-=)", lambda m: {"+=": "-=", "-=": "+="}[m[0]]),
    ("negation", r"(?<=\()!(?=\w)", lambda m: ""),
    ("constant", r"\b(true|false)\b", lambda m: {"true": "false", "false": "true"}[m[0]]),
    ("dropped call", r"(?m)^ +(?!\w*free|assert)[a-z]\w*\([^;{}=]*\);$", lambda m: ";".rjust(len(m[0]), " ")),
    ("dropped return", r"(?m)^ {8,}return[^;{}]*;$", lambda m: ";".rjust(len(m[0]), " ")),
    ("error as success", r"\breturn ret;", lambda m: "return 0;"),
    ("swapped arguments", rf"(?<=\w\()({WORD}), ({WORD})(?=[,)])", lambda m: f"{m[2]}, {m[1]}"),
]
QUOTED = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'|^[ \t]*#[^\n]*(?:\\\n[^\n]*)*', re.DOTALL | re.MULTILINE)

Mutant = collections.namedtuple("Mutant", "path line kind start end text")


def find_mutants(tree, path):
    """All faults that can be planted in the bodies of a file's functions."""
    with open(f"{tree}/{path}", encoding="utf-8") as file:
        source = file.read()
    code = QUOTED.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), source)
    for body in re.finditer(r"(?ms)^\{$.*?^\}$", code):
        for kind, pattern, change in FAULTS:
            for match in re.compile(pattern).finditer(code, body.start(), body.end()):
                yield Mutant(path, code.count("\n", 0, match.start()) + 1, kind, match.start(), match.end(), change(match))


def choose(tree, rng):
    """Endless: a folder in turn, in it a kind of fault, and one of that kind's places."""
    places = collections.defaultdict(lambda: collections.defaultdict(list))
    for where, _, names in sorted(os.walk(f"{tree}/src")):
        for name in sorted(names):
            if name.endswith(".c"):
                path = os.path.relpath(os.path.join(where, name), tree)
                folder = path.split("/")[1] if path.count("/") > 1 else "main"
                for mutant in find_mutants(tree, path):
                    places[folder][mutant.kind].append(mutant)
    chosen = set()
    while True:
        for folder in rng.sample(sorted(places), len(places)):
            mutant = rng.choice(places[folder][rng.choice(sorted(places[folder]))])
            if mutant not in chosen:
                chosen.add(mutant)
                yield folder, mutant


def shell(command, limit, folder):
    """The exit code and output; None where it did not end in time. The command and all that it started are ended then."""
    with subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors="replace", start_new_session=True) as process:
        try:
            output, _ = process.communicate(timeout=limit)
            return process.returncode, output
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.communicate()
            return None, ""


def object_of(build, path):
    for where, _, names in os.walk(f"{build}/src"):
        if os.path.basename(path) + ".o" in names and where.endswith(os.path.dirname(path)[4:] or ".dir"):
            with open(os.path.join(where, os.path.basename(path) + ".o"), "rb") as file:
                return file.read()
    raise FileNotFoundError(f"no object file of {path} in {build}")


def first_failure(build, args):
    """The name of the first test that fails, or None; tests run by label in order until the time is over."""
    end = time.monotonic() + args.seconds
    for label in args.labels.split(","):
        left = end - time.monotonic()
        if left <= 0:
            break
        code, output = shell(["ctest", "--test-dir", build, "-L", f"^{label}$", "-j", "2", "--stop-on-failure", "--timeout",
                              str(args.timeout), "-E", args.exclude], left, build)
        if code:
            failed = re.search(r"Test +#\d+: (\S+) \.*\*\*\*(?!Skipped)", output)
            return failed[1] if failed else label
    return None


def plant(tree, mutant):
    path = f"{tree}/{mutant.path}"
    with open(path, encoding="utf-8") as file:
        source = file.read()
    with open(path, "w", encoding="utf-8") as file:
        file.write(source[:mutant.start] + mutant.text + source[mutant.end:])
    return path, source


def try_mutant(tree, build, mutant, args):
    """'killed', 'survived', or None for a fault that does not count, and the test that failed."""
    before = object_of(build, mutant.path)
    path, source = plant(tree, mutant)
    try:
        code, _ = shell(["ninja", "-C", build, "-j2"], 1800, tree)
        if code != 0 or object_of(build, mutant.path) == before:
            return None, None
        test = first_failure(build, args)
        return ("killed" if test else "survived"), test
    finally:
        with open(path, "w", encoding="utf-8") as file:
            file.write(source)


def report(results):
    """The table, and the rate in percent."""
    print(f"{'folder':10} {'killed':>7} {'survived':>9} {'rate':>6}")
    total = collections.Counter()
    for folder in sorted({result["folder"] for result in results}) + ["all"]:
        counts = collections.Counter(r["verdict"] for r in results if folder in (r["folder"], "all"))
        print(f"{folder:10} {counts['killed']:7} {counts['survived']:9} "
              f"{100 * counts['killed'] / sum(counts.values()):5.0f} %")
        total = counts
    return 100 * total["killed"] / max(1, sum(total.values()))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--only", help="numbers of faults, as printed before each")
    parser.add_argument("--labels", default=",".join(ORDER), help="labels of CTest in the order of running")
    parser.add_argument("--exclude", default="endpoint_large", help="tests that are not run, a regular expression")
    parser.add_argument("--seconds", type=int, default=1200, help="for the tests of one fault")
    parser.add_argument("--timeout", type=int, default=300, help="seconds for one test; a fault may make it hang")
    parser.add_argument("--rate", type=float, default=85, help="percent of the faults that the tests must see")
    parser.add_argument("--json", default="mutants.json")
    parser.add_argument("--folder", help="of the copy and its build; kept, and used again")
    args = parser.parse_args()
    folder = args.folder or tempfile.mkdtemp(prefix="resr-mutants.")
    tree, build = f"{folder}/tree", f"{folder}/tree/build"
    listed = subprocess.run(["git", "ls-files"], cwd=TREE, check=True, capture_output=True, text=True).stdout.splitlines()
    for name in listed:
        if os.path.isfile(f"{TREE}/{name}"):
            os.makedirs(os.path.dirname(f"{tree}/{name}"), exist_ok=True)
            if not os.path.exists(f"{tree}/{name}") or open(f"{tree}/{name}", "rb").read() != open(f"{TREE}/{name}", "rb").read():
                shutil.copy(f"{TREE}/{name}", f"{tree}/{name}")
    subprocess.run(["cmake", "-S", tree, "-B", build] + CONFIGURE, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["ninja", "-C", build, "-j2"], check=True, stdout=subprocess.DEVNULL)
    test = first_failure(build, args)
    if test:
        sys.exit(f"{test} fails without any fault: nothing can be measured")
    results, number = [], 0
    only = [int(word) for word in args.only.split(",")] if args.only else None
    for name, mutant in choose(tree, random.Random(args.seed)):
        if len(results) == (len(only) if only else args.count):
            break
        number += 1
        if only and number not in only:
            continue
        verdict, test = try_mutant(tree, build, mutant, args)
        if verdict:
            results.append({"number": number, "folder": name, "path": mutant.path, "line": mutant.line, "kind": mutant.kind,
                            "verdict": verdict, "test": test})
            print(f"{number} {mutant.path}:{mutant.line}: {mutant.kind}: {verdict} {test or ''}", flush=True)
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump({"seed": args.seed, "results": results}, file, indent=1)
    rate = report(results)
    if not args.folder:
        shutil.rmtree(folder)
    print(f"seed {args.seed}: {rate:.0f} % of {len(results)} faults were seen")
    sys.exit(rate < args.rate)


if __name__ == "__main__":
    main()
