"""Translators of instructions: arithmetic, memory, control and warp operations.

A translator gets the function and the instruction and returns C++ statements. Names that end in an
underscore are local to them.
"""
import re

from ptx_parse import BYTES, FLOATS, SPACES, Unsupported, c_name, c_type, int_type, vector

TRANSLATORS = {}


class Instruction:
    """NAME.PART.PART... OPERANDS; `type` is the last part that is one."""

    def __init__(self, text, operands):
        self.text, self.operands = text, operands
        self.parts = text.split(".")
        self.name, self.flags = self.parts[0], set(self.parts[1:])
        self.types = [x for x in self.parts[1:] if x in BYTES]
        self.type = self.types[-1] if self.types else None
        self.is_float = self.type in FLOATS

    def one_of(self, *names):
        """The first part that is one of the names; StopIteration: none."""
        return next(x for x in self.parts[1:] if x in names)

    def space(self):
        """The state space, "generic" if none is named."""
        names = (x.split("::")[0] for x in self.parts[1:])
        return next((x for x in names if x in SPACES), "generic")

    def unsupported(self):
        return Unsupported(self.text)


def translates(*names):
    def register(translator):
        for name in names:
            TRANSLATORS[name] = translator
        return translator
    return register


def translate(f, text, operands):
    i = Instruction(text, operands)
    if i.name not in TRANSLATORS:
        raise i.unsupported()
    return TRANSLATORS[i.name](f, i)


def numbers(f, i, first=1):
    """The operands after the target, as numbers of the instruction's type."""
    return [f.value(x, i.type) for x in i.operands[first:]]


def finish(f, i, number):
    """Assigns a result of the instruction's type, with .relu and .sat."""
    if "relu" in i.flags:
        number = f"fmaxf({number}, 0.f)"
    if "sat" in i.flags and i.is_float:
        number = f"saturate({number})"
    return f.assign(i.operands[0], i.type, number)


PAIRS = {
    "add": "{0} + {1}", "sub": "{0} - {1}", "mul": "{0} * {1}", "fma": "fmaf({0}, {1}, {2})",
    "min": "fminf({0}, {1})", "max": "fmaxf({0}, {1})", "neg": "-({0})", "abs": "fabsf({0})",
}


def pairs(f, i):
    """Both halves of f16x2 and bf16x2."""
    half = i.type[:-2]
    to_float, from_float = {"f16": ("half_to_float", "float_to_half"),
                            "bf16": ("bf16_to_float", "float_to_bf16")}[half]
    results = []
    for shift in (0, 16):
        halves = [f"{to_float}((uint16_t)(({f.raw(x, 'b32')}) >> {shift}))" for x in i.operands[1:]]
        number = PAIRS[i.name].format(*halves)
        if "relu" in i.flags:
            number = f"fmaxf({number}, 0.f)"
        results.append(f"(uint32_t){from_float}({number}) << {shift}")
    return f"{f.target(i.operands[0])} = {results[0]} | {results[1]};"


def is_pair(i):
    return i.type in ("f16x2", "bf16x2")


@translates("mov")
def mov(f, i):
    target, source = i.operands
    if target.startswith("{"):
        registers = vector(target)
        bits = BYTES[i.type] * 8 // len(registers)
        code = f"{c_type(i.type)} bits_ = {f.raw(source, i.type)};"
        for n, register in enumerate(registers):
            if register != "_":
                code += f" {f.target(register)} = (uint{bits}_t)(bits_ >> {n * bits});"
        return code
    if source.startswith("{"):
        parts = vector(source)
        bits = BYTES[i.type] * 8 // len(parts)
        values = [f"(({c_type(i.type)}){f.raw(x, f'b{bits}')} << {n * bits})" for n, x in enumerate(parts)]
        return f"{f.target(target)} = {' | '.join(values)};"
    return f"{f.target(target)} = {f.raw(source, i.type)};"


def checked_address(f, i, operand, count, access):
    """The address of `count` values of the instruction's type, checked when the code runs."""
    space = i.space()
    address = f.address(operand, space)
    return address if space == "param" else (
        f"{space}_at(ctx, {address}, {BYTES[i.type] * count}, {access}, __LINE__)")


@translates("ld", "ldu")
def ld(f, i):
    width, registers = BYTES[i.type], vector(i.operands[0])
    code = f"const char *from_ = (const char *){checked_address(f, i, i.operands[1], len(registers), 'READ')};"
    for n, register in enumerate(registers):
        if register == "_":
            continue
        name, kind = f.register(register)
        value = f"load<{c_type(i.type)}>(from_ + {n * width})"
        if i.type[0] == "s" and BYTES[kind] > width:
            value = f"({c_type(kind)})(int{BYTES[kind] * 8}_t)({int_type(i.type)}){value}"
        code += f" {name} = {value};"
    return code


@translates("st")
def st(f, i):
    width, values = BYTES[i.type], vector(i.operands[1])
    code = f"char *to_ = (char *){checked_address(f, i, i.operands[0], len(values), 'WRITE')};"
    for n, value in enumerate(values):
        code += f" store<{c_type(i.type)}>(to_ + {n * width}, {f.raw(value, f'b{width * 8}')});"
    return code


OPERATORS = {"add": "+", "sub": "-", "and": "&", "or": "|", "xor": "^"}


@translates("add", "sub", "and", "or", "xor")
def binary(f, i):
    if "cc" in i.flags:
        raise i.unsupported()
    if is_pair(i):
        return pairs(f, i)
    a, b = numbers(f, i)
    return finish(f, i, f"{a} {OPERATORS[i.name]} {b}")


@translates("not")
def invert(f, i):
    return f.assign(i.operands[0], i.type, f"{'!' if i.type == 'pred' else '~'}{f.raw(i.operands[1], i.type)}")


@translates("mul", "mad", "mul24", "mad24")
def multiply(f, i):
    if is_pair(i):
        return pairs(f, i)
    if i.is_float:
        values = numbers(f, i)
        return finish(f, i, f"{values[0]} * {values[1]}" if i.name == "mul" else f"FMA({', '.join(values)})")
    a, b = numbers(f, i)[:2]
    width = BYTES[i.type] * 8
    wide = f"{'int' if i.type[0] == 's' else 'uint'}{width * 2}_t"
    if "wide" in i.flags:
        kind = f"{i.type[0]}{width * 2}"
        number = f"({wide})({a}) * ({wide})({b})"
        return f.assign(i.operands[0], kind, number + (f" + {f.value(i.operands[3], kind)}" if i.name == "mad" else ""))
    if "hi" in i.flags:
        if width == 64:
            wide = "__int128" if i.type[0] == "s" else "unsigned __int128"
        number = f"(({wide})({a}) * ({wide})({b}) >> {width})"
    else:
        factor = c_type(i.type) if width > 16 else "uint32_t"
        number = f"(({factor})({a}) * ({factor})({b}))"
    if i.name.startswith("mad"):
        number = f"({c_type(i.type)}){number} + {f.raw(i.operands[3], i.type)}"
    return f.assign(i.operands[0], i.type, number)


@translates("fma")
def fma(f, i):
    return pairs(f, i) if is_pair(i) else finish(f, i, f"FMA({', '.join(numbers(f, i))})")


@translates("div")
def div(f, i):
    a, b = numbers(f, i)
    return f.assign(i.operands[0], i.type, f"{a} / {b}" if i.is_float else f"int_div({a}, {b})")


@translates("rem")
def rem(f, i):
    return f.assign(i.operands[0], i.type, f"int_rem({', '.join(numbers(f, i))})")


@translates("min", "max")
def extreme(f, i):
    if is_pair(i):
        return pairs(f, i)
    a, b = numbers(f, i)
    if i.is_float:
        return f.assign(i.operands[0], i.type, f"{f'{i.name}_nan' if 'NaN' in i.flags else f'f{i.name}'}({a}, {b})")
    return f.assign(i.operands[0], i.type, f"({a} {'<' if i.name == 'min' else '>'} {b} ? {a} : {b})")


@translates("abs")
def absolute(f, i):
    if is_pair(i):
        return pairs(f, i)
    x = f.value(i.operands[1], i.type)
    return f.assign(i.operands[0], i.type, f"fabs({x})" if i.is_float else f"({x} < 0 ? -{x} : {x})")


@translates("neg")
def negate(f, i):
    return pairs(f, i) if is_pair(i) else f.assign(i.operands[0], i.type, f"-({f.value(i.operands[1], i.type)})")


MATHS = {
    "sqrt": "sqrt({})", "rsqrt": "1 / sqrt({})", "rcp": "1 / ({})", "ex2": "exp2({})", "lg2": "log2({})",
    "sin": "sin({})", "cos": "cos({})", "tanh": "tanh({})",
}


@translates(*MATHS)
def maths(f, i):
    return f.assign(i.operands[0], i.type, MATHS[i.name].format(f.value(i.operands[1], i.type)))


@translates("copysign")
def copysign(f, i):
    sign, magnitude = numbers(f, i)
    return f.assign(i.operands[0], i.type, f"copysign({magnitude}, {sign})")


COMPARE = {
    "eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">=",
    "lo": "<", "ls": "<=", "hi": ">", "hs": ">=",
}


def comparison(f, i):
    a, b = f.value(i.operands[1], i.type), f.value(i.operands[2], i.type)
    name, ordered = i.parts[1], f"(!isnan({a}) && !isnan({b}))"
    if i.is_float and name in ("num", "nan"):
        return ordered if name == "num" else f"(!{ordered})"
    if i.is_float and name in ("equ", "neu", "ltu", "leu", "gtu", "geu"):
        return f"(!{ordered} || {a} {COMPARE[name[:-1]]} {b})"
    if i.is_float and name == "ne":
        return f"({ordered} && {a} != {b})"
    return f"({a} {COMPARE[name]} {b})"


@translates("setp")
def setp(f, i):
    targets = i.operands[0].split("|")
    combine = next((x for x in i.parts[2:] if x in ("and", "or", "xor")), None)
    code = f"bool is_ = {comparison(f, i)};"
    suffix = ""
    if combine:
        code += f" bool with_ = {f.raw(i.operands[3], 'pred')};"
        suffix = f" {OPERATORS[combine]} with_"
    code += f" {f.target(targets[0])} = is_{suffix};"
    return code + (f" {f.target(targets[1])} = !is_{suffix};" if len(targets) > 1 else "")


@translates("set")
def set_(f, i):
    kind = i.types[0]
    values = "1.f : 0.f" if kind == "f32" else "0xffffffffu : 0u"
    return f.assign(i.operands[0], kind, f"({comparison(f, i)} ? {values})")


@translates("selp")
def selp(f, i):
    a, b = f.raw(i.operands[1], i.type), f.raw(i.operands[2], i.type)
    return f.assign(i.operands[0], f"b{BYTES[i.type] * 8}", f"({f.raw(i.operands[3], 'pred')} ? {a} : {b})")


@translates("slct")
def slct(f, i):
    kind = i.types[0]
    a, b = f.raw(i.operands[1], kind), f.raw(i.operands[2], kind)
    return f.assign(i.operands[0], f"b{BYTES[kind] * 8}", f"({f.value(i.operands[3], i.type)} >= 0 ? {a} : {b})")


@translates("shl", "shr")
def shift(f, i):
    bits, count = BYTES[i.type] * 8, f.raw(i.operands[2], "u32")
    if i.name == "shr" and i.type[0] == "s":
        number = f"({f.value(i.operands[1], i.type)} >> ({count} >= {bits} ? {bits - 1} : {count}))"
    else:
        operator = "<<" if i.name == "shl" else ">>"
        number = f"({count} >= {bits} ? 0 : ({f.raw(i.operands[1], i.type)} {operator} {count}))"
    return f.assign(i.operands[0], i.type, number)


def words(f, i, *operands):
    return ", ".join(f.raw(i.operands[n], "b32") for n in operands)


def c_bool(condition):
    return "true" if condition else "false"


@translates("shf")
def shf(f, i):
    how = f"{c_bool('l' in i.flags)}, {c_bool('clamp' in i.flags)}"
    return f.assign(i.operands[0], "b32", f"funnel_shift({how}, {words(f, i, 1, 2, 3)})")


@translates("bfe")
def bfe(f, i):
    how = f"{c_type(i.type)}, {c_bool(i.type[0] == 's')}"
    return f.assign(i.operands[0], i.type,
                    f"bit_extract<{how}>({f.raw(i.operands[1], i.type)}, {words(f, i, 2, 3)})")


@translates("bfi")
def bfi(f, i):
    a, b = f.raw(i.operands[1], i.type), f.raw(i.operands[2], i.type)
    return f.assign(i.operands[0], i.type, f"bit_insert<{c_type(i.type)}>({a}, {b}, {words(f, i, 3, 4)})")


@translates("clz", "popc")
def count_bits(f, i):
    function = "__builtin_popcountll" if i.name == "popc" else f"leading_zeros<{c_type(i.type)}>"
    return f.assign(i.operands[0], "u32", f"{function}({f.raw(i.operands[1], i.type)})")


@translates("brev")
def brev(f, i):
    return f.assign(i.operands[0], i.type, f"bit_reverse<{c_type(i.type)}>({f.raw(i.operands[1], i.type)})")


@translates("bfind")
def bfind(f, i):
    how = f"{c_bool(i.type[0] == 's')}, {c_bool('shiftamt' in i.flags)}"
    return f.assign(i.operands[0], "u32", f"bit_find<{c_type(i.type)}>({f.raw(i.operands[1], i.type)}, {how})")


@translates("prmt")
def prmt(f, i):
    if len(i.parts) != 2:
        raise i.unsupported()
    return f.assign(i.operands[0], "b32", f"permute_bytes({words(f, i, 1, 2, 3)})")


@translates("lop3")
def lop3(f, i):
    return f.assign(i.operands[0], "b32", f"logic3({words(f, i, 1, 2, 3)}, {i.operands[4]})")


@translates("dp4a")
def dp4a(f, i):
    how = ", ".join(c_bool(kind == "s32") for kind in i.types)
    return f.assign(i.operands[0], "s32", f"dot_bytes({words(f, i, 1, 2)}, {how}) + {words(f, i, 3)}")


ROUNDING = {"rni": "nearbyint", "rzi": "trunc", "rmi": "floor", "rpi": "ceil"}


def float_to_float(f, i, to, source):
    number = f.value(i.operands[1], source)
    rounding = next((ROUNDING[x] for x in ROUNDING if x in i.flags), "")
    if to in ("f16", "bf16") and i.flags & {"rz", "rm", "rp"}:
        raise i.unsupported()
    number = f"{rounding}({number})"
    if (to, source) == ("f32", "f64"):
        number = f"(float)({number})"
    if "relu" in i.flags:
        number = f"fmaxf({number}, 0.f)"
    return f.assign(i.operands[0], to, f"saturate({number})" if "sat" in i.flags else number)


@translates("cvt")
def cvt(f, i):
    if len(i.types) != 2 or i.flags & {"e4m3x2", "e5m2x2"}:
        raise i.unsupported()
    to, source = i.types
    target = i.operands[0]
    if is_pair_type(to) and source == "f32":
        convert = "float_to_half" if to == "f16x2" else "float_to_bf16"
        high, low = (f"{'fmaxf(0.f, ' if 'relu' in i.flags else '('}{f.value(x, 'f32')})" for x in i.operands[1:3])
        return f"{f.target(target)} = (uint32_t){convert}({high}) << 16 | {convert}({low});"
    if is_pair_type(to) or is_pair_type(source):
        raise i.unsupported()
    if to == "tf32":
        return f.assign(target, "b32", f"float_to_tf32({f.value(i.operands[1], 'f32')})")
    if source in FLOATS and to in FLOATS:
        return float_to_float(f, i, to, source)
    if source in FLOATS:
        rounding = next((ROUNDING[x] for x in ROUNDING if x in i.flags), "trunc")
        number = f"{rounding}((double){f.value(i.operands[1], source)})"
        return f.assign(target, to, f"float_to_int<{int_type(to)}>({number})")
    number = f"({int_type(source)}){f.raw(i.operands[1], source)}"
    if to == "f32" and "rz" in i.flags:
        return f.assign(target, to, f"int_to_float_toward_zero({number})")
    if to in FLOATS:
        return f.assign(target, to, f"({'double' if to == 'f64' else 'float'})({number})")
    if "sat" in i.flags:
        return f.assign(target, to, f"int_saturate<{int_type(to)}>({number})")
    return f.assign(target, to, f"({int_type(to)})({number})")


def is_pair_type(kind):
    return kind in ("f16x2", "bf16x2")


@translates("mapa")
def mapa(f, i):
    return f"{f.target(i.operands[0])} = {f.raw(i.operands[1], i.type)};"


@translates("cvta")
def cvta(f, i):
    address = f.raw(i.operands[1], i.type)
    if i.space() == "shared":  # the only space whose addresses are not host addresses
        address = f"(uint64_t){address} {'-' if 'to' in i.flags else '+'} (uint64_t)ctx.shared"
    return f.assign(i.operands[0], i.type, address)


@translates("call")
def call(f, i):
    operands, result = list(i.operands), "nullptr"
    if operands[0].startswith("("):
        result = f.address(f"[{operands.pop(0)[1:-1]}]", "param")
    name = operands.pop(0)
    names = operands[0].strip()[1:-1].split(",") if operands else []
    args = [f.address(f"[{x}]", "param") for x in names if x.strip()]
    if name == "__assertfail":
        text = "*(const char **)"
        return f"assert_fail({text}{args[0]}, {text}{args[1]}, *(const unsigned *){args[2]});"
    if name == "vprintf":
        text = f"device_printf(*(const char **){args[0]}, *(const char **){args[1]})"
        return f"store<uint32_t>((char *){result}, {text});"
    if name not in f.module.functions:
        raise Unsupported("call of " + name)
    pointers = ", ".join("(char *)" + x for x in args) or "nullptr"
    return f"char *args_[] = {{{pointers}}}; FN_{c_name(name)}((char *){result}, args_);"


@translates("bra")
def bra(f, i):
    return f"goto {f.label(i.operands[0])};"


@translates("brx")
def brx(f, i):
    cases = [f"case {n}: goto {f.label(x)};" for n, x in enumerate(f.branch_tables[i.operands[1]])]
    return f"switch ({f.raw(i.operands[0], 'u32')}) {{ {' '.join(cases)} }}"


@translates("ret", "exit")
def ret(f, _):
    code = ""
    if f.is_kernel and f.module.uses_bulk_stores:
        code += "bulk_check_exit(__LINE__); "
    if f.is_kernel and f.module.uses_wgmma:
        code += "wgmma_check_exit(__LINE__); "
    return code + "return;"


@translates("trap")
def trap(_, __):
    return 'emu::fault("trap", __LINE__, LAUNCH_FAILED);'


@translates("fence", "membar", "prefetch", "prefetchu", "nanosleep", "griddepcontrol", "setmaxnreg", "discard",
            "applypriority", "brkpt")
def hint(_, i):
    """Memory is in order here; only the proxy fence has an effect, on the checks."""
    return "proxy_fence();" if i.name == "fence" and {"proxy", "async"} <= i.flags else ";"


def lanes(f, operand):
    """A mask of lanes; those that do not exist are ignored."""
    return f"{f.raw(operand, 'b32')} & self.warp->exists"


@translates("bar", "barrier")
def barrier(f, i):
    if "warp" in i.flags:
        return f"emu::warp_op(emu::warp_sync, nullptr, {lanes(f, i.operands[0])}, __LINE__);"
    if "cluster" in i.flags:
        return ";" if "arrive" in i.flags else "block_barrier(0, 0u, __LINE__);"
    if "red" in i.flags:
        raise i.unsupported()
    name = f.raw(i.operands[0], "u32")
    count = f.raw(i.operands[1], "u32") if len(i.operands) > 1 else "0u"
    function = "emu::barrier_arrive" if "arrive" in i.flags else "block_barrier"
    return f"{function}({name}, {count}, __LINE__);"


@translates("shfl")
def shfl(f, i):
    mode = {"up": "UP", "down": "DOWN", "bfly": "BUTTERFLY", "idx": "INDEX"}[i.parts[2]]
    targets = i.operands[0].split("|")
    code = (f"ShuffleArg arg_{{{words(f, i, 1, 2, 3)}, ShuffleArg::{mode}}}; "
            f"emu::warp_op(shuffle_lanes, &arg_, {lanes(f, i.operands[4])}, __LINE__); "
            f"{f.target(targets[0])} = arg_.result;")
    return code + (f" {f.target(targets[1])} = arg_.in_range;" if len(targets) > 1 else "")


@translates("vote")
def vote(f, i):
    result = {"ballot": "arg_.ballot", "any": "arg_.ballot != 0", "all": "arg_.ballot == mask_",
              "uni": "(arg_.ballot == mask_ || !arg_.ballot)"}[i.parts[2]]
    return (f"unsigned mask_ = {lanes(f, i.operands[2])}; VoteArg arg_{{{f.raw(i.operands[1], 'pred')}, 0}}; "
            f"emu::warp_op(vote, &arg_, mask_, __LINE__); {f.target(i.operands[0])} = {result};")


@translates("redux")
def redux(f, i):
    return (f"ReduceArg arg_{{{words(f, i, 1)}, 0, ReduceArg::{i.parts[2].upper()}, {c_bool(i.type[0] == 's')}}}; "
            f"emu::warp_op(reduce, &arg_, {lanes(f, i.operands[2])}, __LINE__); "
            f"{f.target(i.operands[0])} = arg_.result;")


@translates("activemask")
def activemask(f, i):
    return f.assign(i.operands[0], "b32", "1u << self.lane")


@translates("elect")
def elect(f, i):
    targets = [x.strip() for x in i.operands[0].split("|")]
    code = f"ElectArg arg_{{}}; emu::warp_op(elect, &arg_, {lanes(f, i.operands[1])}, __LINE__);"
    if targets[0] != "_":
        code += f" {f.target(targets[0])} = arg_.lane;"
    return code + f" {f.target(targets[1])} = arg_.is_elected;"


@translates("atom", "red")
def atom(f, i):
    name = i.one_of("add", "min", "max", "and", "or", "xor", "exch", "cas")
    if i.type in ("f16", "bf16", "f16x2", "bf16x2"):
        raise i.unsupported()
    first = 1 if i.name == "atom" else 0
    values = numbers(f, i, first + 1)
    old = {"f32": "F(old_)", "f64": "D(old_)"}.get(i.type, f"({int_type(i.type)})old_")
    new = {
        "min": f"({old} < {values[0]} ? {old} : {values[0]})",
        "max": f"({old} > {values[0]} ? {old} : {values[0]})",
        "exch": values[0],
        "cas": f"({old} == {values[0]} ? {values[-1]} : {old})",
    }.get(name) or f"{old} {OPERATORS[name]} {values[0]}"
    new = {"f32": f"U({new})", "f64": f"U64({new})"}.get(i.type, new)
    kind, space = c_type(i.type), i.space()
    address = f.address(i.operands[first], space)
    code = (f"char *at_ = {space}_at(ctx, {address}, {BYTES[i.type]}, ATOMIC, __LINE__); "
            f"{kind} old_ = load<{kind}>(at_); store<{kind}>(at_, {new});")
    return code + (f" {f.target(i.operands[0])} = old_;" if first and i.operands[0] != "_" else "")


def shape(i):
    """(M, N, K) of the part "mMnNkK"."""
    return tuple(int(x) for x in next(m for m in (re.match(r"m(\d+)n(\d+)k(\d+)$", x) for x in i.parts) if m).groups())
