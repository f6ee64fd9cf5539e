#!/usr/bin/env python3
"""ptx2cpp.py FILE.ptx: translates PTX to C++ on stdout, for ptx_runtime.h.

Each .entry becomes a function that runs one CUDA thread on a fiber. Registers are local variables that
hold raw bits; labels and branches stay labels and gotos. An instruction that is not supported becomes
a fault where it is reached, and is listed on stderr.
"""
import re
import sys

import ptx_instructions
import ptx_tensor  # registers its translators
from ptx_parse import BYTES, Module, Unsupported, Variable, align, c_name, c_type, split_operands, statements

SHARED_ALIGN = 1024  # of dynamic shared memory


def declare_registers(function, scope, text):
    match = re.match(r"\.reg\s+\.(\w+)\s+(.*)$", text)
    for name in match[2].split(","):
        counted = re.match(r"(.*)<(\d+)>$", name.strip())
        names = [counted[1] + str(i) for i in range(int(counted[2]))] if counted else [name.strip()]
        for register in names:
            function.registers[scope, register] = (f"{c_name(register)}_{scope}", match[1])


def declare(function):
    """Fills the function's tables: registers, labels, and variables of its own."""
    scopes, count, label = [0], 0, None
    for kind, text in statements(function.body):
        if kind == "{":
            count += 1
            scopes.append(count)
        elif kind == "}":
            scopes.pop()
        elif kind == "label":
            label = text
            function.labels[scopes[-1], text] = f"{c_name(text)}_{scopes[-1]}"
        elif text.startswith(".reg"):
            declare_registers(function, scopes[-1], text)
        elif text.startswith(".branchtargets"):
            function.branch_tables[label] = split_operands(text[len(".branchtargets"):])
        elif text.startswith(".param"):
            variable = Variable(text)
            array = f"P_{c_name(variable.name)}_{scopes[-1]}"
            function.call_params[scopes[-1], variable.name] = (array, variable.bytes)
        elif text.startswith(".shared"):
            function.shared.add(Variable(text))
        elif text.startswith(".local"):
            function.local.add(Variable(text.split("=")[0]))


def translate_statement(function, text):
    guard = re.match(r"@(!?)([\w$%]+)\s+(.*)$", text)
    condition = ""
    try:
        if guard:
            condition = f"if ({guard[1]}{function.target(guard[2])}) "
            text = guard[3]
        name, operands = re.match(r"(\S+)\s*(.*)$", text).groups()
        code = ptx_instructions.translate(function, name, split_operands(operands))
    except (Unsupported, KeyError, IndexError, ValueError, StopIteration, TypeError):
        function.module.add_unsupported(text.split()[0])
        message = re.sub(r'["\\]', "'", text)
        code = f'emu::fault("unsupported PTX: {message}");'
    return f"{condition}{{ {code} }}"


def translate(function):
    declare(function)
    count, function.scopes = 0, [0]
    for kind, text in statements(function.body):
        if kind == "{":
            count += 1
            function.scopes.append(count)
        elif kind == "}":
            function.scopes.pop()
        elif kind == "label":
            function.lines.append(f"{function.label(text)}: ;")
        elif not text.startswith("."):
            function.lines.append(translate_statement(function, text))


def place_shared(module, function, everywhere):
    """Shared variables of the file: those that the kernel names."""
    words = set(re.findall(r"[\w$]+", function.body))
    for variable in module.shared.values():
        if everywhere or variable.name in words:
            function.shared.add(variable)


def signature(function):
    if function.is_kernel:
        return f"static void K_{c_name(function.name)}(const char *params)"
    return f"static void FN_{c_name(function.name)}(char *result, char *const *args)"


def print_function(function):
    body = "\n".join("  " + line for line in function.lines)
    print(signature(function), "{")
    print("  emu::Context &ctx = emu::context(); emu::Thread &self = *ctx.thread; (void)self;")
    if not function.is_kernel:
        print("  const char *params = nullptr; (void)params; (void)result; (void)args;")
    for array, size in function.call_params.values():
        print(f"  alignas(16) char {array}[{max(size, 1)}];")
    print(f"  enum : unsigned {{ DYNAMIC_OFFSET = {align(function.shared.bytes, SHARED_ALIGN)} }};")
    if function.local.bytes:
        print(f"  alignas(16) char local[{function.local.bytes}]; memset(local, 0xFF, sizeof local);")
    used = set(re.findall(r"\w+", body))
    by_type = {}
    for name, kind in function.registers.values():
        if name in used:
            by_type.setdefault("bool" if kind == "pred" else c_type(kind), []).append(name)
    for kind, names in by_type.items():
        print(f"  {kind} {', '.join(names)};")
    print(body)
    print("}")


def initializer(variable):
    text = (variable.initializer or "").strip()
    if not re.match(r"^\{[-\w\s,]*\}$", text):
        return ""
    # 0fBITS and 0dBITS are floating-point numbers by their bits.
    return " = " + re.sub(r"\b0[fFdD]([0-9a-fA-F]+)", r"0x\1", text)


def print_tables(module):
    print('extern "C" const emu::Kernel emu_kernels[] = {')
    for k in module.kernels:
        offsets = ", ".join(map(str, k.params.offsets.values())) or "0"
        print(f'  {{"{k.name}", K_{c_name(k.name)}, {module.target}, {k.max_threads}, {k.shared.bytes}, '
              f"{k.local.bytes}, {align(k.shared.bytes, SHARED_ALIGN)}, {k.params.bytes}, "
              f"{len(k.params.offsets)}, {{{offsets}}}}},")
    print("  {}};")
    print('extern "C" const emu::Variable emu_variables[] = {')
    for v in module.variables.values():
        print(f'  {{"{v.name}", G_{c_name(v.name)}, {v.bytes}}},')
    print("  {}};")


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        module = Module(file.read())
    functions = list(module.functions.values()) + module.kernels
    everywhere = module.functions_use_shared()
    for function in functions:
        place_shared(module, function, everywhere)
        translate(function)
    if module.uses_bulk_stores or module.uses_wgmma:
        print("#define USES_ASYNC_PROXY 1")
    print('#include "ptx_runtime.h"')
    print("#define DYNAMIC_BYTES (ctx.shared_bytes - DYNAMIC_OFFSET)")
    for v in module.variables.values():
        storage = "" if v.name in module.visible else "static "
        count = max(1, v.bytes // BYTES[v.type])
        print(f"alignas({v.alignment}) {storage}{c_type(v.type)} G_{c_name(v.name)}[{count}]{initializer(v)};")
    for function in module.functions.values():
        print(signature(function) + ";")
    for function in functions:
        print_function(function)
    print_tables(module)
    for name, count in sorted(module.unsupported.items()):
        print(f"ptx2cpp.py: unsupported {name} x{count}", file=sys.stderr)


if __name__ == "__main__":
    main()
