#!/usr/bin/env python3
"""What resources.sh has compiled, as Markdown: a table of resources, and what the inner loops consist of.

    resources.py FOLDER                 FOLDER/NAME.ARCH.{ptxas,ptx,sass}; exits 1 on a spill and on a
                                        convolution's narrow store (least_store)
    resources.py --stores PTX...        only the latter
    resources.py --update README TABLE  puts TABLE between the README's two marks
"""

import glob
import os
import re
import subprocess
import sys

# Of an SM: KiB of shared memory, warps, blocks (CUDA programming guide, compute capabilities). 65,536
# registers everywhere, given to warps in units of 256; 1 KiB of shared memory is the system's, a block.
SM = {"80": (164, 64, 32), "86": (100, 48, 16), "89": (100, 48, 24), "90a": (228, 64, 32),
      "100": (228, 64, 32), "120": (100, 48, 24)}
MARKS = ("<!-- resources.sh begins -->", "<!-- resources.sh ends -->")
COUNTED = ["HMMA", "HGMMA", "LDSM", "LDS", "LDGSTS", "UTMALDG", "BAR", "SYNCS", "LDL", "STL"]


def dynamic_shared(kernel):
    """What the launch asks for, which the compiler cannot know: conv_mma.cu's two stages,
    wgmma_kernel.cuh's SHARED_BYTES."""
    mma = re.match(r"conv_mma_kernel<\w+, (\d+)>", kernel)
    if mma:
        outputs = int(mma.group(1))
        halo = ((16 if outputs == 64 else 32) + 2) * 18
        return 2 * (halo * 48 + 9 * 16 * outputs * 2)
    return 232448 if "wgmma" in kernel else 0


def demangle(names):
    text = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True,
                          check=True).stdout
    plain = [line.replace("(anonymous namespace)::", "").replace("void ", "") for line in text.split("\n")]
    return [re.sub(r"\(int\)|\(bool\)", "", re.sub(r"\((?!int\)|bool\)).*", "", line)) for line in plain]


def read_ptxas(path):
    """{mangled: (registers, static shared bytes, stack, spill bytes)}"""
    found, name, stack, spills = {}, None, 0, 0
    for line in open(path, encoding="utf-8"):
        entry = re.search(r"Compiling entry function '(\S+)'", line)
        frame = re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", line)
        used = re.search(r"Used (\d+) registers", line)
        if entry:
            name, stack, spills = entry.group(1), 0, 0
        elif frame and name and name not in found:
            stack, spills = int(frame.group(1)), int(frame.group(2)) + int(frame.group(3))
        elif used and name:
            shared = re.search(r"(\d+) bytes smem", line)
            found[name] = (int(used.group(1)), int(shared.group(1)) if shared else 0, stack, spills)
            name = None
    return found


def read_threads(path):
    """{mangled: threads of a block}, from the PTX's .maxntid"""
    text = open(path, encoding="utf-8").read()
    pairs = re.findall(r"\.entry (\w+)\((?:[^)]*)\)\s*((?:\.\w+ [^\n]*\n)*)", text)
    return {name: int(m.group(1)) for name, rest in pairs
            if (m := re.search(r"\.maxntid (\d+)", rest))}


def read_stores(path):
    """{mangled: bits of the narrowest store to global memory}, from the PTX"""
    found = {}
    for body in open(path, encoding="utf-8").read().split(".entry ")[1:]:
        widths = [int(vector or 1) * int(bits) for vector, bits in
                  re.findall(r"st\.(?:weak\.)?global(?:\.c[agsv]|\.wb|\.wt)?(?:\.v(\d))?\.[bsuf](\d+)", body)]
        if body.count("st.global") + body.count("st.weak.global") != len(widths):
            raise ValueError(f"{path}: a store that read_stores() does not know")
        if widths:
            found[re.match(r"\w+", body).group()] = min(widths)
    return found


def least_store(kernel):
    """Bits that every store of the kernel must have: a narrower one writes parts of 32-byte sectors. With 16
    outputs a lane of conv_mma.cu has no more than 4 channels."""
    if not kernel.startswith("conv_"):
        return 0
    return 64 if re.match(r"conv_mma_kernel<\w+, 16>", kernel) else 128


def check_stores(paths):
    bad = 0
    for path in paths:
        stores = read_stores(path)
        for kernel, bits in zip(demangle(list(stores)), stores.values()):
            print(f"{os.path.basename(path)}: {kernel}: stores of {bits} bits or more")
            if bits < least_store(kernel):
                print(f"{path}: {kernel}: a store of {bits} bits, not {least_store(kernel)}", file=sys.stderr)
                bad = 1
    return bad


def occupancy(arch, registers, threads, shared):
    kib, warps_max, blocks_max = SM[arch]
    warps = (threads + 31) // 32
    by_registers = 65536 // ((registers * 32 + 255) // 256 * 256) // warps
    by_shared = kib * 1024 // (shared + 1024)
    blocks = min(by_registers, by_shared, warps_max // warps, blocks_max)
    return blocks, 100 * blocks * warps // warps_max


def inner_loop(lines):
    """Counts of the smallest loop that has the most tensor instructions; all of it if it has no loop."""
    labels = {m.group(1): i for i, line in enumerate(lines) if (m := re.match(r"(\.L_x_\d+):", line))}
    best = None
    for end, line in enumerate(lines):
        jump = re.search(r"BRA.*`\((\.L_x_\d+)\)", line)
        if jump and labels.get(jump.group(1), end) < end:
            body = lines[labels[jump.group(1)]:end + 1]
            tensor = sum("HMMA" in x or "HGMMA" in x for x in body)
            if tensor and (best is None or (tensor, -len(body)) > best[0]):
                best = ((tensor, -len(body)), body)
    return count(best[1]) if best else None


def count(lines):
    counts = dict.fromkeys(COUNTED, 0)
    counts["all"] = 0
    for line in lines:
        code = re.match(r"\s*/\*[0-9a-f]+\*/\s+(?:@!?U?P\w+ )?\s*([A-Z][A-Z0-9]*)", line)
        if code and code.group(1) != "NOP":
            counts["all"] += 1
            if code.group(1) in counts:
                counts[code.group(1)] += 1
    return counts


def read_sass(path):
    """{mangled: lines}"""
    found, lines = {}, None
    for line in open(path, encoding="utf-8"):
        section = re.match(r"//-+ \.text\.(\S+)", line)
        if line.startswith("//-"):
            lines = found.setdefault(section.group(1), []) if section else None
        elif lines is not None:
            lines.append(line)
    return found


def by_arch(values):
    """One value where all architectures agree, else "80: a, 86: b, ..." with equal neighbours joined."""
    if len(set(values.values())) == 1:
        return str(next(iter(values.values())))
    groups = {}
    for arch, value in values.items():
        groups.setdefault(value, []).append(arch)
    return ", ".join(f"{value} ({' '.join(archs)})" for value, archs in groups.items())


def read_kernels(folder):
    """{(file, kernel): {arch: (threads, registers, shared, spills, store, blocks, occupancy, loop)}}, and
    what spills or stores too little at once."""
    kernels, bad = {}, []
    for arch in SM:
        for path in sorted(glob.glob(os.path.join(folder, f"*.{arch}.ptxas"))):
            name = os.path.basename(path).split(".")[0]
            found, threads = read_ptxas(path), read_threads(path[:-5] + "ptx")
            stores = read_stores(path[:-5] + "ptx")
            sass = read_sass(path[:-5] + "sass") if os.path.exists(path[:-5] + "sass") else {}
            for mangled, kernel in zip(found, demangle(list(found))):
                registers, static, stack, spills = found[mangled]
                if registers < 10 and "wgmma" in kernel:
                    continue  # the empty body of a kernel for another architecture
                if spills or stack:
                    bad.append(f"{kernel} on sm_{arch}: {spills} bytes of spills, {stack} of stack")
                store = stores.get(mangled, 0)
                if store < least_store(kernel):
                    bad.append(f"{kernel} on sm_{arch}: a store of {store} bits, not {least_store(kernel)}")
                shared, block = static + dynamic_shared(kernel), threads.get(mangled, 256)
                kernels.setdefault((name, kernel), {})[arch] = (
                    block, registers, f"{shared:,}", spills, store, *occupancy(arch, registers, block, shared),
                    inner_loop(sass.get(mangled, [])))
    return kernels, bad


def write_tables(folder):
    kernels, bad = read_kernels(folder)
    print("| kernel | sm | threads | registers | shared bytes | spills | narrowest store, bits | blocks an SM "
          "| occupancy, % |")
    print("|---|---|---|---|---|---|---|---|---|")
    for (_, kernel), archs in sorted(kernels.items()):
        columns = [by_arch({arch: row[i] for arch, row in archs.items()}) for i in range(7)]
        print(f"| `{kernel}` | {' '.join(archs)} | " + " | ".join(columns) + " |")
    loops = [(kernel, arch, row[7]) for (_, kernel), archs in sorted(kernels.items())
             for arch, row in archs.items() if row[7]]
    if loops:
        print("\nInstructions of the innermost loop with tensor products (a warp's, SASS):\n")
        print("| kernel | sm | " + " | ".join(COUNTED) + " | all | all per product |")
        print("|---|---|" + "---|" * (len(COUNTED) + 2))
    for kernel, arch, loop in loops:
        print(f"| `{kernel}` | {arch} | " + " | ".join(str(loop[c]) for c in COUNTED)
              + f" | {loop['all']} | {loop['all'] / (loop['HMMA'] + loop['HGMMA']):.2f} |")
    for line in bad:
        print(line, file=sys.stderr)
    return 1 if bad else 0


def update(readme, table):
    text = open(readme, encoding="utf-8").read()
    begin, end = (text.index(mark) for mark in MARKS)
    inside = open(table, encoding="utf-8").read()
    with open(readme, "w", encoding="utf-8") as out:
        out.write(text[:begin + len(MARKS[0])] + "\n" + inside + text[end:])
    return 0


if __name__ == "__main__":
    if sys.argv[1] == "--stores":
        sys.exit(check_stores(sys.argv[2:]))
    sys.exit(update(*sys.argv[2:]) if sys.argv[1] == "--update" else write_tables(sys.argv[1]))
