"""PTX text: its declarations, functions and statements, and C++ expressions for operands."""
import re

BYTES = {
    "pred": 1, "b8": 1, "u8": 1, "s8": 1,
    "b16": 2, "u16": 2, "s16": 2, "f16": 2, "bf16": 2,
    "b32": 4, "u32": 4, "s32": 4, "f32": 4, "f16x2": 4, "bf16x2": 4, "tf32": 4,
    "b64": 8, "u64": 8, "s64": 8, "f64": 8, "b128": 16,
}
FLOATS = ("f32", "f64", "f16", "bf16")
SPACES = ("param", "global", "shared", "local", "const")
VECTOR_INDEX = {"%tid": "self.tid", "%ntid": "ctx.block", "%ctaid": "ctx.block_index", "%nctaid": "ctx.grid"}
# A cluster is one block.
CLUSTER_INDEX = {
    "%clusterid": "ctx.block_index.{}", "%nclusterid": "ctx.grid.{}",
    "%cluster_ctaid": "0u", "%cluster_nctaid": "1u",
}
SPECIAL = {
    "%laneid": "self.lane", "%warpid": "(self.linear >> 5)", "%nwarpid": "((ctx.n_threads + 31) / 32)",
    "%smid": "0u", "%nsmid": "1u", "%clock": "0u", "%clock64": "0ull", "%globaltimer": "0ull",
    "%dynamic_smem_size": "DYNAMIC_BYTES", "%total_smem_size": "DYNAMIC_BYTES",
    "%lanemask_eq": "(1u << self.lane)", "%lanemask_lt": "((1u << self.lane) - 1)",
    "%lanemask_le": "((2u << self.lane) - 1)", "%lanemask_gt": "(~((2u << self.lane) - 1))",
    "%lanemask_ge": "(~((1u << self.lane) - 1))", "WARP_SZ": "32u",
    "%cluster_ctarank": "0u", "%cluster_nctarank": "1u", "%is_explicit_cluster": "1u",
}


class Unsupported(Exception):
    """An instruction or operand that the emulator does not know."""


def c_type(kind):
    """The unsigned C++ type that holds the bits of a PTX type."""
    return {1: "uint8_t", 2: "uint16_t", 4: "uint32_t", 8: "uint64_t"}[BYTES[kind]]


def int_type(kind):
    """The C++ integer type of a PTX type, signed for sN."""
    return f"{'int' if kind[0] == 's' else 'uint'}{BYTES[kind] * 8}_t"


def c_name(name):
    return re.sub(r"\W", "_", name.replace("%", "r_").replace("$", "L_"))


def align(value, alignment):
    return (value + alignment - 1) // alignment * alignment


def split_operands(text):
    """Splits at commas outside brackets."""
    parts, depth, start = [], 0, 0
    for i, character in enumerate(text):
        depth += (character in "{[(") - (character in "}])")
        if character == "," and depth == 0:
            parts.append(text[start:i].strip())
            start = i + 1
    return parts + ([text[start:].strip()] if text[start:].strip() else [])


def vector(operand):
    """The operands of "{a, b}"; of "a" that one."""
    operand = operand.strip()
    return [x.strip() for x in operand[1:-1].split(",")] if operand.startswith("{") else [operand]


class Variable:
    """A declaration: [.align N] .TYPE NAME[DIMENSIONS] [= INITIALIZER]."""

    def __init__(self, text):
        alignment = re.search(r"\.align\s+(\d+)", text)
        text = re.sub(r"\.align\s+\d+", "", text)
        match = re.search(r"\.(\w+)\s+([\w$%]+)\s*((?:\[[^\]]*\])*)\s*(?:=\s*(.*))?$", text, re.S)
        self.type, self.name, dimensions, self.initializer = match.groups()
        self.is_dynamic, count = False, 1
        for dimension in re.findall(r"\[([^\]]*)\]", dimensions):
            self.is_dynamic |= not dimension.strip()
            count *= int(dimension, 0) if dimension.strip() else 1
        self.alignment = max(int(alignment[1]) if alignment else 1, BYTES[self.type])
        self.bytes = count * BYTES[self.type]


class Layout:
    """Variables one after the other: offsets by name, and the size."""

    def __init__(self):
        self.offsets, self.bytes = {}, 0

    def add(self, variable):
        self.bytes = align(self.bytes, variable.alignment)
        self.offsets[variable.name] = self.bytes
        self.bytes += variable.bytes


class Function:
    """A kernel (.entry), or a function that kernels call (.func), and its scopes of names."""

    def __init__(self, module, name, body, is_kernel):
        self.module, self.name, self.body, self.is_kernel = module, name, body, is_kernel
        self.max_threads = 1024
        self.params, self.shared, self.local = Layout(), Layout(), Layout()
        self.arguments = {}     # of a .func: C++ pointers by name
        self.call_params = {}   # (scope, name): (C++ array, bytes), of calls
        self.registers = {}     # (scope, name): (C++ name, type)
        self.labels = {}        # (scope, name): C++ name
        self.branch_tables = {}  # label: labels
        self.scopes = [0]
        self.lines = []

    def lookup(self, table, name):
        """The entry of the innermost scope, or None."""
        return next((table[s, name] for s in reversed(self.scopes) if (s, name) in table), None)

    def must_find(self, table, what, name):
        found = self.lookup(table, name.strip())
        if not found:
            raise Unsupported(f"unknown {what} {name}")
        return found

    def register(self, name):
        return self.must_find(self.registers, "register", name)

    def target(self, name):
        """The C++ variable of a register."""
        return self.register(name)[0]

    def label(self, name):
        return self.must_find(self.labels, "label", name)

    def symbol(self, name):
        """The address of a variable, or None."""
        if name in self.params.offsets:
            return f"(uint64_t)(params + {self.params.offsets[name]})"
        if name in self.shared.offsets:
            return f"(uint64_t){self.shared.offsets[name]}u"
        if name in self.local.offsets:
            return f"(uint64_t)(local + {self.local.offsets[name]})"
        if name in self.module.dynamic_shared:
            return "(uint64_t)DYNAMIC_OFFSET"
        return f"(uint64_t)G_{c_name(name)}" if name in self.module.variables else None

    def constant(self, operand):
        """A literal or special register as an integer expression, or None."""
        if re.match(r"^-?0[fF][0-9a-fA-F]{8}$", operand):
            return f"0x{operand[-8:]}u"
        if re.match(r"^-?0[dD][0-9a-fA-F]{16}$", operand):
            return f"0x{operand[-16:]}ull"
        if re.match(r"^-?(0[xX][0-9a-fA-F]+|\d+)U?$", operand):
            digits = operand.rstrip("U")
            number = int(digits, 8) if re.match(r"^-?0\d+$", digits) else int(digits, 0)
            return f"{number & 0xFFFFFFFFFFFFFFFF}ull"
        match = re.match(r"^(%\w+)\.([xyz])$", operand)
        if match and match[1] in CLUSTER_INDEX:
            return CLUSTER_INDEX[match[1]].format(match[2])
        if match and match[1] in VECTOR_INDEX:
            return f"{VECTOR_INDEX[match[1]]}.{match[2]}"
        return None

    def raw(self, operand, kind):
        """The operand's bits, of the width of the type."""
        operand = operand.strip()
        if kind == "pred":
            if operand.startswith("!"):
                return "!" + self.raw(operand[1:], kind)
            if re.match(r"^-?\d+$", operand):
                return "true" if int(operand) else "false"
            return self.target(operand)
        value = self.constant(operand)
        if value is None and self.lookup(self.registers, operand):
            value = self.target(operand)
        if value is None:
            value = SPECIAL.get(operand)
        if value is None:
            match = re.match(r"^(?:generic\()?([\w$]+)\)?\s*(?:\+\s*(-?\d+))?$", operand)
            address = match and self.symbol(match[1])
            value = f"({address} + {match[2] or 0})" if address else None
        if value is None:
            raise Unsupported("operand " + operand)
        return value if value.startswith("0x") else f"({c_type(kind)}){value}"

    def value(self, operand, kind):
        """The operand as a number of the type."""
        bits = self.raw(operand, kind)
        if kind == "pred":
            return bits
        if kind[0] == "s":
            return f"({int_type(kind)})({bits})"
        convert = {"f32": "F", "f64": "D", "f16": "half_to_float", "bf16": "bf16_to_float"}
        return f"{convert.get(kind, '')}({bits})"

    def assign(self, operand, kind, number):
        """A statement that stores a number of the type in a register."""
        if operand == "_":
            return f"(void)({number});"
        name, register_kind = self.register(operand)
        if kind == "pred":
            return f"{name} = {number};"
        convert = {"f32": "U", "f64": "U64", "f16": "float_to_half", "bf16": "float_to_bf16"}
        if kind in convert:
            number = f"{convert[kind]}({number})"
        if kind[0] == "s" and BYTES[register_kind] > BYTES[kind]:
            signed = f"(int{BYTES[register_kind] * 8}_t)({int_type(kind)})"
            return f"{name} = ({c_type(register_kind)}){signed}({number});"
        return f"{name} = ({c_type(register_kind)})({c_type(kind)})({number});"

    def param_address(self, base, offset):
        if base in self.params.offsets:
            return f"(params + {self.params.offsets[base]} + {offset})"
        if base in self.arguments:
            return f"({self.arguments[base]} + {offset})"
        array = self.lookup(self.call_params, base)
        if array:
            return f"({array[0]} + {offset})"
        return f"param_at(ctx, (uint64_t){self.target(base)} + (int64_t){offset}, 1, READ, __LINE__)"

    def address(self, operand, space):
        """The address of "[base + offset]": a pointer for parameters, else an integer."""
        match = re.match(r"^\[\s*([\w$%.]+)\s*(?:\+\s*(-?(?:0x)?[0-9a-fA-F]+))?\s*\]$", operand.strip())
        if not match:
            raise Unsupported("address " + operand)
        base, offset = match[1], match[2] or "0"
        if space == "param":
            return self.param_address(base, offset)
        if self.lookup(self.registers, base):
            start = f"(uint64_t){self.target(base)}"
        else:
            start = base if base.isdigit() else self.symbol(base)
        if start is None:
            raise Unsupported("address " + operand)
        return f"({start} + (int64_t){offset})"


def statements(body):
    """[(kind, text)]: "{", "}", "label" and "statement"."""
    found, at = [], 0
    label = re.compile(r"([A-Za-z_$%][\w$]*)\s*:(?!:)")
    while at < len(body):
        match = label.match(body, at)
        if body[at].isspace():
            at += 1
        elif body[at] in "{}":
            found.append((body[at], None))
            at += 1
        elif match:
            found.append(("label", match[1]))
            at = match.end()
        else:
            end = body.index(";", at)
            text = " ".join(body[at:end].split())
            if text:
                found.append(("statement", text))
            at = end + 1
    return found


def block_end(source, start):
    """The place of the brace that closes the one at `start`."""
    depth = 0
    for at in range(start, len(source)):
        depth += (source[at] == "{") - (source[at] == "}")
        if depth == 0:
            return at
    raise ValueError("unbalanced braces")


class Module:
    """A PTX file: its variables and functions."""

    def __init__(self, source):
        source = re.sub(r"/\*.*?\*/", " ", source, flags=re.S)
        self.source = source = re.sub(r"//[^\n]*", "", source)
        match = re.search(r"\.target\s+sm_(\d+)([af]?)", source)
        self.target = int(match[1]) * (-1 if match[2] else 1) if match else 0
        self.uses_bulk_stores = "bulk_group" in source
        self.uses_wgmma = "wgmma" in source
        self.variables, self.visible = {}, set()
        self.shared, self.dynamic_shared = {}, set()
        self.functions, self.kernels = {}, []
        self.unsupported = {}  # how often, by name
        self.find_variables()
        self.find_kernels()
        self.find_functions()

    def add_unsupported(self, name):
        self.unsupported[name] = self.unsupported.get(name, 0) + 1

    def find_variables(self):
        pattern = (r"^\s*((?:\.(?:extern|visible|weak|const|global|shared)\s+)+(?:\.attribute\([^)]*\)\s*)?"
                   r"\.?[^;{()]*?(?:=\s*\{[^}]*\}|=\s*[^;{]*)?);")
        for match in re.finditer(pattern, self.source, re.M):
            text = match[1].strip()
            if ".func" in text:
                continue
            variable = Variable(text)
            if ".shared" not in text:
                self.variables[variable.name] = variable
                if ".visible" in text:
                    self.visible.add(variable.name)
            elif variable.is_dynamic:
                self.dynamic_shared.add(variable.name)
            else:
                self.shared[variable.name] = variable

    def find_kernels(self):
        for match in re.finditer(r"\.entry\s+([\w$]+)\s*(?:\(([^)]*)\))?", self.source):
            start = self.source.index("{", match.end())
            directives = self.source[match.end():start]
            body = self.source[start + 1:block_end(self.source, start)]
            kernel = Function(self, match[1], body, is_kernel=True)
            for text in split_operands(match[2] or ""):
                kernel.params.add(Variable(text))
            threads = re.search(r"\.(?:maxntid|reqntid)\s+([\d, ]+)", directives)
            if threads:
                kernel.max_threads = 1
                for count in threads[1].split(","):
                    kernel.max_threads *= int(count)
            cluster = re.search(r"\.reqnctapercluster\s+([\d, ]+)", directives)
            if cluster and any(int(x) > 1 for x in re.findall(r"\d+", cluster[1])):
                kernel.body = "trap;"
                self.add_unsupported("cluster of several blocks: " + kernel.name)
            self.kernels.append(kernel)

    def find_functions(self):
        pattern = r"\.func\s*(?:\(([^)]*)\)\s*)?([\w$]+)\s*\(([^)]*)\)"
        for match in re.finditer(pattern, self.source):
            start, end = self.source.find("{", match.end()), self.source.find(";", match.end())
            if start < 0 or 0 <= end < start:  # a declaration
                continue
            body = self.source[start + 1:block_end(self.source, start)]
            function = Function(self, match[2], body, is_kernel=False)
            for i, text in enumerate(split_operands(match[3])):
                function.arguments[Variable(text).name] = f"args[{i}]"
            if (match[1] or "").strip():
                function.arguments[Variable(match[1]).name] = "result"
            self.functions[function.name] = function

    def functions_use_shared(self):
        """True if a .func names shared memory, whose place is then the same in all kernels."""
        names = set(self.shared) | self.dynamic_shared
        return any(names & set(re.findall(r"[\w$]+", f.body)) for f in self.functions.values())
