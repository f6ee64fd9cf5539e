"""Translators of matrix products and asynchronous copies: mma, wmma, wgmma, ldmatrix, cp.async, mbarrier."""
import re

from ptx_instructions import c_bool, shape, translates
from ptx_parse import Unsupported, vector

FORMATS = ("f32", "f16", "bf16", "tf32", "s32", "s8", "u8", "f64")
TYPE_NAMES = {"bf16": "BF16", "f16": "FP16", "tf32": "TF32"}


def array(f, name, operand, count=0):
    """An array of the registers of a vector, of at least `count` elements."""
    values = [f.raw(x, "b32") for x in vector(operand)]
    return f"uint32_t {name}[{max(count, len(values))}] = {{{', '.join(values)}}}; "


def from_array(f, name, operand):
    return "".join(f" {f.target(x)} = {name}[{n}];" for n, x in enumerate(vector(operand)))


@translates("ldmatrix")
def ldmatrix(f, i):
    count = int(next(x for x in i.parts if re.match(r"x[124]$", x))[1])
    space = i.space()
    row = f"{space}_at(ctx, {f.address(i.operands[1], space)}, 16, READ, __LINE__)"
    return (f"uint32_t d_[4]; MatrixRow row_{{d_, self.lane < {8 * count} ? {row} : nullptr}}; "
            f"emu::warp_op(load_matrix<{count}, {c_bool('trans' in i.flags)}>, &row_, ~0u, __LINE__);"
            + from_array(f, "d_", i.operands[0]))


MMA_TYPES = {
    ("f32", "bf16", "bf16", "f32"): (8, 16),
    ("f32", "f16", "f16", "f32"): (8, 16),
    ("f16", "f16", "f16", "f16"): (8, 16),
    ("f32", "tf32", "tf32", "f32"): (4, 8),
}


@translates("mma")
def mma(f, i):
    types = tuple(x for x in i.parts if x in FORMATS)
    m, n, k = shape(i)
    if (m, n) != (16, 8) or k not in MMA_TYPES.get(types, ()):
        raise i.unsupported()
    d, a, b, c = i.operands[:4]
    code = array(f, "a_", a) + array(f, "b_", b)
    if types[0] == "f16":
        code += f"float c_[4]; unpack_halves(c_, {', '.join(f.raw(x, 'b32') for x in vector(c))}); "
    else:
        code += f"float c_[4] = {{{', '.join(f.value(x, 'f32') for x in vector(c))}}}; "
    code += (f"float d_[4]; MmaArg arg_{{d_, a_, b_, c_}}; "
             f"emu::warp_op(mma<{k}, {TYPE_NAMES[types[1]]}>, &arg_, ~0u, __LINE__);")
    for number, register in enumerate(vector(d)):
        value = f"U(d_[{number}])"
        if types[0] == "f16":
            value = f"float_to_half(d_[{2 * number}]) | (uint32_t)float_to_half(d_[{2 * number + 1}]) << 16"
        code += f" {f.target(register)} = {value};"
    return code


def wmma_transfer(f, i):
    """wmma.load and wmma.store."""
    m, n, k = shape(i)
    rows, columns = {"a": (m, k), "b": (k, n), "c": (m, n), "d": (m, n)}[i.parts[2]]
    is_load, is_column_major = i.parts[1] == "load", "col" in i.flags
    fragment, memory = (i.operands[0], i.operands[1]) if is_load else (i.operands[1], i.operands[0])
    width = 4 if [x for x in i.parts if x in FORMATS][-1] in ("f32", "tf32") else 2
    space = i.space()
    address = f"{space}_at(ctx, {f.address(memory, space)}, {width}, {'READ' if is_load else 'WRITE'}, __LINE__)"
    stride = f.raw(i.operands[2], "u32") if len(i.operands) > 2 else str(rows if is_column_major else columns)
    how = f"<{rows}, {columns}, {width}, {c_bool(is_column_major)}>"
    if not is_load:
        return array(f, "r_", fragment, 16) + f"store_fragment{how}(self.lane, r_, {address}, {stride});"
    count = len(vector(fragment))
    return (f"uint32_t r_[16]; load_fragment{how}(self.lane, r_, {count}, {address}, {stride});"
            + from_array(f, "r_", fragment))


@translates("wmma")
def wmma(f, i):
    if i.parts[1] in ("load", "store"):
        return wmma_transfer(f, i)
    types = [x for x in i.parts if x in FORMATS]
    # .f16.f32: of d and c; a and b are f16. Else .d.a.b.c.
    operand = "f16" if len(types) == 2 else types[1]
    d, a, b, c = i.operands[:4]
    how = ", ".join([str(x) for x in shape(i)] + [TYPE_NAMES[operand], c_bool(types[-1] == "f32"),
                                                  c_bool(types[0] == "f32")])
    return (array(f, "a_", a) + array(f, "b_", b) + array(f, "c_", c)
            + f"uint32_t d_[8]; WmmaArg arg_{{a_, b_, c_, d_}}; emu::warp_op(wmma<{how}>, &arg_, ~0u, __LINE__);"
            + from_array(f, "d_", d))


@translates("wgmma")
def wgmma(f, i):
    if i.parts[1] == "fence":
        return "wgmma_fence(__LINE__);"
    if i.parts[1] == "commit_group":
        return "wgmma_commit(__LINE__);"
    if i.parts[1] == "wait_group":
        return f"wgmma_wait({i.operands[0]}, __LINE__);"
    types = [x for x in i.parts if x in FORMATS]
    if types not in (["f32", "bf16", "bf16"], ["f32", "f16", "f16"]):
        raise i.unsupported()
    d, a, b, adds, *rest = i.operands
    in_registers = a.startswith("{")
    adds = adds if adds.isdigit() else f.raw(adds, "pred")
    rest = [f"(int){f.raw(x, 's32')}" for x in rest] + ["0"] * 4
    if in_registers:  # no flag says whether A is transposed
        rest.insert(2, "0")
    registers = vector(d)
    code = f"uint32_t *d_[] = {{{', '.join('&' + f.target(x) for x in registers)}}}; "
    if in_registers:
        code += array(f, "a_", a)
    pointer, descriptor = ("a_", "0") if in_registers else ("nullptr", f.raw(a, "u64"))
    code += (f"WgmmaArg arg_{{nullptr, {pointer}, {descriptor}, {f.raw(b, 'u64')}, (bool)({adds}), {rest[0]}, "
             f"{rest[1]}, (bool)({rest[2]}), (bool)({rest[3]})}}; ")
    return code + (f"wgmma_issue(wgmma<{shape(i)[1]}, {TYPE_NAMES[types[1]]}>, arg_, d_, "
                   f"{len(registers)}, __LINE__);")


@translates("mbarrier")
def mbarrier(f, i):
    action, operands = i.parts[1], i.operands
    if action == "init":
        return f"mbarrier_init((uint32_t){f.address(operands[0], 'shared')}, {f.raw(operands[1], 'u32')});"
    if action == "inval":
        return ";"
    if action == "expect_tx":
        return (f"mbarrier_arrive((uint32_t){f.address(operands[0], 'shared')}, 0, "
                f"{f.raw(operands[1], 'u32')}, __LINE__);")
    if action == "arrive":
        result, operands = (None, operands) if operands[0].startswith("[") else (operands[0], operands[1:])
        number = f.raw(operands[1], "u32") if len(operands) > 1 else "1"
        counts = f"1, {number}" if "expect_tx" in i.flags else f"{number}, 0"
        code = f"mbarrier_arrive((uint32_t){f.address(operands[0], 'shared')}, {counts}, __LINE__);"
        return f"{f.target(result)} = {code}" if result and result != "_" else code
    if action in ("test_wait", "try_wait"):
        is_parity = "parity" in i.flags
        state = f.raw(operands[2], "u32" if is_parity else "u64")
        return (f"{f.target(operands[0])} = mbarrier_test((uint32_t){f.address(operands[1], 'shared')}, {state}, "
                f"{c_bool(is_parity)}, __LINE__);")
    raise i.unsupported()


def tensor_operand(f, operand):
    """(map's address, coordinates) of "[map, {x, y, ...}]"."""
    match = re.match(r"\[\s*(%?[\w$]+)(?:\s*\+\s*0)?\s*,\s*(\{.*\})\s*\]$", operand)
    if not match:
        raise Unsupported(operand)
    return f.raw(match[1], "u64"), ", ".join(f"(int){f.raw(x, 's32')}" for x in vector(match[2]))


def bulk(f, i):
    """cp.async.bulk"""
    if "commit_group" in i.flags:
        return "bulk_commit();"
    if "wait_group" in i.flags:
        return f"bulk_wait({i.operands[0]});"
    if "prefetch" in i.flags:
        return ";"
    spaces = [x for x in i.parts if x.split("::")[0] in ("global", "shared")]
    is_store = spaces == ["global", "shared::cta"] and "bulk_group" in i.flags
    if "im2col" in i.flags or "multicast::cluster" in i.flags or not (
            is_store or spaces in (["shared::cluster", "global"], ["shared::cta", "global"])):
        raise i.unsupported()
    is_tensor = "tensor" in i.flags
    far, near = (0, 1) if is_store else (1, 0)
    shared = f.address(i.operands[near], "shared")
    barrier = "0" if is_store else f"(uint32_t){f.address(i.operands[2 if is_tensor else 3], 'shared')}"
    if is_tensor:
        address, coordinates = tensor_operand(f, i.operands[far])
        size = "0"
    else:
        address, coordinates = f.address(i.operands[far], "global"), "0"
        size = f.raw(i.operands[2], "u32")
    code = (f"BulkCopy copy_{{{barrier}, (uint32_t){shared}, (uint64_t){address}, {size}, {c_bool(is_tensor)}, "
            f"{{{coordinates}}}}}; ")
    return code + ("bulk_store(copy_);" if is_store else "bulk_load(copy_, __LINE__);")


@translates("cp")
def cp_async(f, i):
    if "bulk" in i.flags:
        return bulk(f, i)
    if "mbarrier" in i.flags:
        count = 1 if "noinc" in i.flags else 0
        return (f"emu::async_copy_wait_all(); mbarrier_arrive((uint32_t){f.address(i.operands[0], 'shared')}, "
                f"{count}, 0, __LINE__);")
    if "commit_group" in i.flags:
        return "emu::async_copy_commit();"
    if "wait_group" in i.flags:
        return f"emu::async_copy_wait({i.operands[0]});"
    if "wait_all" in i.flags:
        return "emu::async_copy_wait_all();"
    size = i.operands[2]
    filled = f.raw(i.operands[3], "u32") if len(i.operands) > 3 else size
    return (f"async_copy(ctx, {f.address(i.operands[0], 'shared')}, {f.address(i.operands[1], 'global')}, {size}, "
            f"{filled}, __LINE__);")
