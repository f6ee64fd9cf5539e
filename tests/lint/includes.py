#!/usr/bin/env python3
"""includes.py [ROOT]: the dependency rule of docs/ARCHITECTURE.md, which is read from that page.

The rule is the page's line `main -> app -> ...`. A folder of src includes folders to its right only; folders in
one pair of braces do not include each other. No two modules (a .c file with its header) include each other in a
circle. A third-party library is included in the folder that wraps it. sched/ includes nothing with a clock or I/O.
Only main.c and the watchdog end the program. An exception that nothing needs any more is reported as well.
"""
import os
import re
import sys

# (including file, included header): the reason.
EXCEPTIONS = {
    ("src/cpu/*", "net/backend.h"): "cpu implements this interface",
    ("src/cpu/conv.h", "model/model.h"): "a convolution is packed from a layer of the model",
    ("src/net/select_backend.c", "cpu/dispatch.h"): "the one place that knows the table of CPU backends",
    ("src/net/cuda.c", "../cuda/resr_cuda.h"): "the interface of the shared object that net/cuda.c loads",
}
# Modules that may be in a circle of includes, with the reason.
CIRCLES = {}
# Headers of a library: the files that may include them.
LIBRARIES = [
    (r"libav|libsw|zimg", r"src/media/|tests/media/"),
    (r"png\.h|jpeglib|jerror|tiff|webp/|lcms2", r"src/media/picture_"),
    (r"mpi\.h", r"src/comm/|src/main\.c|tests/mpi/"),
    (r"zip\.h", r"src/model/|tests/unit/"),
    (r"jansson", r"src/model/|src/job/|src/predict/|src/ckpt/|tests/|bench/"),
    (r"hdf5", r"src/ckpt/"),
    (r"popt", r"src/cli\.c"),
    (r"cuda|cublas", r"cuda/|tests/cuda/|bench/cuda_|tools/ptx-emu/"),
]
IN_NO_HEADER = r"libav|zimg|mpi\.|zip|jansson|popt|xxhash|hdf5"
# All that the pure decisions of sched/ may include from base/ and from the C library.
SCHED = r"(base/(error|frame|limits|memory|minmax)|job/(batching|options|plan)|sched/\w+)\.h|" \
        r"(assert|inttypes|limits|math|stdbool|stddef|stdint|stdlib|string)\.h"
INCLUDE = re.compile(r'^\s*#\s*include\s+["<]([^">]+)[">]', re.MULTILINE)
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def files_below(*folders):
    for folder in folders:
        for where, _, names in sorted(os.walk(folder)):
            yield from (os.path.join(where, name) for name in sorted(names) if name.endswith((".c", ".h", ".cpp", ".cu", ".cuh")))


def read_rule():
    """{folder: its place from the left}, from the page."""
    lines = re.findall(r"^ +(main -> app -> .*)$", read("docs/ARCHITECTURE.md"), re.MULTILINE)
    assert len(lines) == 1, f"docs/ARCHITECTURE.md: {len(lines)} lines `main -> app -> ...`, expected one"
    return {folder: place for place, group in enumerate(lines[0].split(" -> "))
            for folder in re.findall(r"\w+", group)}


def folder_of(path):
    """src/run/worker.c: run. src/main.c: main, as every file of src itself."""
    words = path.split("/")
    return words[1] if len(words) > 2 else "main"


def against_rule(places, includes, used):
    # Where an exception allows an include to the left, its counterpart to the right needs one, too.
    reversed_pairs = {(folder_of(path), name.split("/")[0]) for path, name in EXCEPTIONS}
    for path, names in includes.items():
        here = folder_of(path)
        if here not in places:
            yield f"{path}: docs/ARCHITECTURE.md's rule does not name the folder {here}"
            continue
        for name in names:
            there = name.split("/")[0]
            if there == here or ("/" not in name and name != "mpi.h"):
                continue
            if there in places and places[there] > places[here] and (there, here) not in reversed_pairs:
                continue
            if there not in places and not name.startswith("../"):
                continue  # a library's header
            keys = {(path, name), (f"src/{here}/*", name)} & EXCEPTIONS.keys()
            used |= keys
            if not keys:
                yield f"{path}: {here} may not include {name}"


def calls(texts, includes):
    """{module: modules whose header it includes and whose functions it calls}. A header that another one needs for its
    types, as a module's private header needs the public one, makes no edge."""
    declared = {path[4:]: set(re.findall(r"\b(resr_\w+)\(", texts[path])) for path in includes if path.endswith(".h")}
    edges = {path[4:].rsplit(".", 1)[0]: set() for path in includes}
    for path, names in includes.items():
        module = path[4:].rsplit(".", 1)[0]
        words = set(re.findall(r"\bresr_\w+", texts[path])) if path.endswith(".c") else set()
        own = declared.get(module + ".h", set())
        for name in names:
            if name in declared and (declared[name] - own) & words:
                edges[module].add(name.rsplit(".", 1)[0])
    return edges


def circles(modules):
    """Modules that call each other in a circle: a depth-first search."""
    state = {}

    def visit(module, way):
        state[module] = "open"
        for other in sorted(modules[module] & modules.keys() - {module}):
            if state.get(other) == "open":
                yield way[way.index(other):] + [other]
            elif other not in state:
                yield from visit(other, way + [other])
        state[module] = "closed"

    for module in sorted(modules):
        if module not in state:
            yield from visit(module, [module])


def main():
    os.chdir(sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
    texts = {path: COMMENT.sub("", read(path)) for path in files_below("src", "bench", "tests", "cuda", "tools")}
    includes = {path: INCLUDE.findall(text) for path, text in texts.items()}
    ours = {path: names for path, names in includes.items() if path.startswith("src/")}
    assert len(ours) > 100, "src: too few files: the lint runs in another folder"
    used = set()
    found = list(against_rule(read_rule(), ours, used))
    found += [f"exception without a use: {path} includes {name}" for path, name in EXCEPTIONS.keys() - used]
    modules = calls(texts, ours)
    assert sum(map(len, modules.values())) > 200, "too few calls between modules were recognised"
    for circle in circles(modules):
        if " ".join(circle) not in CIRCLES:
            found.append("a circle of modules that call each other: " + " -> ".join(circle))
    for path, names in includes.items():
        for name in names:
            for headers, folders in LIBRARIES:
                if re.match(headers, name) and not re.match(folders, path):
                    found.append(f"{path}: <{name}> belongs to {folders}")
            if path in ours and path.endswith(".h") and not path.startswith("src/media/") and re.match(IN_NO_HEADER, name):
                found.append(f"{path}: a header includes <{name}>")
            if re.match(r"src/(net|cpu)/", path) and re.match(r"media/(decode|sink|encode|mux)", name):
                found.append(f"{path}: net and cpu know no decoder and no sink; they may not include {name}")
            if path.startswith("src/sched/") and not re.fullmatch(SCHED, name):
                found.append(f"{path}: sched has no clock and no I/O; it may not include {name}")
    for path in ours:
        if path not in ("src/main.c", "src/run/watchdog.c"):
            for call in re.findall(r"\b(?:_?exit|abort|MPI_Abort)\(", texts[path]):
                found.append(f"{path}: {call[:-1]} ends the program; only main.c and the watchdog may")
    print("\n".join(found) or f"{len(ours)} files keep the rule")
    return 1 if found else 0


sys.exit(main())
