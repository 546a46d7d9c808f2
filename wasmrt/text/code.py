"""Instructions, from text to bytes: function bodies and constant expressions, folded and flat, in one loop.

Spellings, encodings and kinds of immediates come from the table of instructions alone (`wasm_ops.def`). What is open (a
folded instruction waiting for its operands, a block) is on a list, not on Python's stack, so nesting costs no recursion
and any depth is read. An operator's bytes are made when it is read and written when its operands are done.

The commonest immediates are handled in the loop itself, with a dictionary an index space from token to bytes; everything
else is a method `_imm_<kind>`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from wasmrt.spec._gen.wasm_ops import WASM_OP, WasmOpRow
from wasmrt.spec.leb128 import sleb, uleb, vector

from . import lexer, numbers
from .core_types import TYPE_USE_WORDS, TypeParser
from .parser import ID, Space

if TYPE_CHECKING:
    from .module import ModuleEncoder

# how the loop treats an instruction; what is not named here has a method by its kind of immediate
NONE, INDEX, I32, MEMARG, LABEL, BLOCK, OTHER, I64 = range(8)
_CLASSES = {"NONE": NONE, "I32": I32, "I64": I64, "MEMARG": MEMARG, "LABEL": LABEL, "BLOCK": BLOCK, "TRY_TABLE": BLOCK}
_INDEX_SPACES = {"LOCAL": "locals", "GLOBAL": "globals", "FUNC": "funcs", "TYPE": "types", "TAG": "tags"}


class Operator(NamedTuple):
    kind: int
    code: bytes
    imm: str
    row: WasmOpRow


def opcode(row: WasmOpRow) -> bytes:
    return bytes((row.prefix,)) + uleb(row.code) if row.prefix else bytes((row.code,))


def _operators() -> dict[str, Operator]:
    """By spelling; where two rows share one, the first, whose method chooses."""
    out: dict[str, Operator] = {}
    for row in WASM_OP:
        kind = INDEX if row.imm in _INDEX_SPACES else _CLASSES.get(row.imm, OTHER)
        if row.text == "select":
            kind = OTHER
        out.setdefault(row.text, Operator(kind, opcode(row), row.imm, row))
    return out


OPERATORS = _operators()
ROWS = {row.name: row for row in WASM_OP}
_END, _ELSE = ROWS["END"].code, ROWS["ELSE"].code
_HINTED = frozenset((opcode(ROWS["IF"]), opcode(ROWS["BR_IF"])))
# `end` and `else` close what is open; the loop knows them
_CLOSERS = frozenset(("end", "else"))
_CATCHES = {"catch": 0, "catch_ref": 1, "catch_all": 2, "catch_all_ref": 3}

# kinds of frames: up to FLAT any instruction may follow, in the others only folded ones
TOP, FOLDED_BLOCK, THEN, ELSE_ARM, FLAT, FLAT_IF, PLAIN, IF, AFTER_THEN, AFTER_ELSE = range(10)

# words that stand before instructions, or in a head of one
_NO_INSTRUCTIONS = frozenset((*TYPE_USE_WORDS, "local", *_CATCHES))

_LANES = {"i8x16": (16, 8), "i16x8": (8, 16), "i32x4": (4, 32), "i64x2": (2, 64), "f32x4": (4, 32), "f64x2": (2, 64)}
# small constants repeat in every program
_CACHE_SIZE = 1 << 14
_SMALL = {str(number): uleb(number) for number in range(128)}
_i32_cache: dict[str, bytes] = {}


class Frame:
    """Something open: `code` is what to write when it closes, `label` its identifier."""

    __slots__ = ("code", "hint", "kind", "label")

    def __init__(self, kind: int, code: bytes = b"", label: ID | None = None, hint: int | None = None) -> None:
        self.kind = kind
        self.code = code
        self.label = label
        self.hint = hint


class CodeParser(TypeParser):
    """Reads instructions with the index spaces of `module`, starting at its position."""

    __slots__ = ("hints", "label_names", "labels", "leb", "local_space", "module", "names", "out")

    def __init__(self, module: ModuleEncoder) -> None:
        super().__init__(module.source, module.i)
        self.module = module
        # encoded indices by index space and token
        self.leb: defaultdict[str, dict[str, bytes]] = defaultdict(dict)
        self.out = bytearray()
        self.leb["locals"] = {}
        self.local_space = Space("local")
        self.labels: list[ID | None] = []
        self.names: dict[ID, list[int]] = {}
        self.label_names: list[tuple[int, bytes]] = []
        self.hints: dict[int, int] = {}

    def begin(self) -> None:
        """A new body: no locals, no labels. What the last one left empty serves again."""
        self.out = bytearray()
        self.local_space.count = 0
        if self.leb["locals"]:
            self.leb["locals"] = {}
        if self.local_space.ids:
            self.local_space.ids = {}
        if self.labels:
            self.labels = []
        if self.names:
            self.names = {}
        if self.label_names:
            self.label_names = []
        if self.hints:
            self.hints = {}

    def type_index(self) -> int:
        return self.module.types.index(self)

    # --- the loop ---

    def instructions(self, *, single: bool = False) -> None:
        """Instructions up to the `)` that closes what they are in (not taken), or one folded instruction if `single`."""
        toks, out, ops, leb = self.toks, self.out, OPERATORS, self.leb
        local_leb = leb["locals"]
        stack: list[Frame] = []
        i = self.i
        hint: int | None = None
        hints = self.hints
        blocks = 0
        only_folded = single
        while True:
            token = toks[i]
            if token == ")":
                if not stack:
                    if single:
                        self.i = i
                        self.unexpected("a folded instruction")
                    break
                frame = stack[-1]
                kind = frame.kind
                if kind == PLAIN:
                    if frame.hint is not None:
                        hints[len(out)] = frame.hint
                    out += frame.code
                    stack.pop()
                elif kind == FOLDED_BLOCK or kind >= AFTER_THEN:
                    out.append(_END)
                    stack.pop()
                    self._pop_label(frame.label)
                elif kind == THEN or kind == ELSE_ARM:
                    stack.pop()
                    stack[-1].kind = AFTER_THEN if kind == THEN else AFTER_ELSE
                else:
                    self.i = i
                    self.unexpected("`(then`" if kind == IF else "`end`")
                i += 1
                if single and not stack:
                    break
                only_folded = bool(stack) and stack[-1].kind >= PLAIN
                continue
            at = i
            folded = token == "("
            if folded:
                i += 1
                token = toks[i]
            elif only_folded:
                self.i = i
                self.unexpected(
                    "`(` of an operand, or `)`: operands of a folded instruction are folded"
                    if stack
                    else "a folded instruction"
                )
            op = ops.get(token)
            if op is None or token in _CLOSERS:
                self.i = i
                if folded and token in ("then", "else") and stack and stack[-1].kind >= IF:
                    self._arm(stack, token)
                    only_folded = False
                elif not folded and token in _CLOSERS:
                    self._close_flat(stack, token)
                    only_folded = bool(stack) and stack[-1].kind >= PLAIN
                elif not folded and token == lexer.BRANCH_HINT:
                    if hint is not None:
                        self.fail("@metadata.code.branch_hint annotation: duplicate annotation")
                    hint = self._branch_hint()
                else:
                    self._no_operator(token)
                i = self.i
                continue
            i += 1
            kind = op.kind
            if kind == NONE:
                code = op.code
            elif kind == INDEX:
                if op.imm == "LOCAL":
                    found = local_leb.get(toks[i])
                else:
                    found = leb[_INDEX_SPACES[op.imm]].get(toks[i])
                if found is None:
                    self.i = i
                    found = self._index(_INDEX_SPACES[op.imm])
                code = op.code + found
                i += 1
            elif kind == I32:
                found = _i32_cache.get(toks[i])
                if found is None:
                    self.i = i
                    found = self._int_const(32)
                code = op.code + found
                i += 1
            elif kind == BLOCK:
                self.i = i
                label, name, code = self._block_head(op)
                i = self.i
                blocks += 1
                if name is not None:
                    self.label_names.append((blocks - 1, name))
                if folded and op.code[0] == 0x04:
                    stack.append(Frame(IF, code, label, hint))
                    only_folded = True
                else:
                    if hint is not None:
                        hints[len(out)] = hint
                    out += code
                    self._push_label(label)
                    stack.append(
                        Frame(FOLDED_BLOCK if folded else FLAT_IF if op.code[0] == 0x04 else FLAT, code, label)
                    )
                    only_folded = False
                if hint is not None:
                    self._check_hint(op, at)
                    hint = None
                continue
            else:
                self.i = i
                if kind == MEMARG:
                    code = op.code + self._imm_MEMARG(op)
                elif kind == LABEL:
                    code = op.code + self._label()
                elif kind == I64:
                    code = op.code + self._int_const(64)
                    self.i += 1
                else:
                    code = _IMMEDIATES[op.imm](self, op)
                i = self.i
            if hint is not None:
                self._check_hint(op, at)
                used, hint = hint, None
            else:
                used = None
            if not folded:
                if used is not None:
                    hints[len(out)] = used
                out += code
            elif toks[i] == ")":
                i += 1
                if used is not None:
                    hints[len(out)] = used
                out += code
                if single and not stack:
                    break
            else:
                stack.append(Frame(PLAIN, code, hint=used))
                only_folded = True
        if stack:
            self.i = i
            self.unexpected("`end`")
        if hint is not None:
            self.i = i
            self.fail("@metadata.code.branch_hint annotation: invalid target")
        self.i = i

    def constant(self, *, single: bool = False) -> bytes:
        """A constant expression with its `end`: instructions up to `)`, or one folded instruction."""
        self.begin()
        self.instructions(single=single)
        self.out.append(_END)
        return bytes(self.out)

    def _no_operator(self, token: str) -> None:
        if not token or token in "()" or token[0] in '"$' or token in lexer.ANNOTATIONS or not token[0].isalnum():
            self.unexpected("an instruction or `)`")
        if token[0].isdigit() or token in _NO_INSTRUCTIONS:
            self.unexpected("an instruction")
        self.fail(f"unknown operator {lexer.shown(token)}")

    # --- blocks and labels ---

    def _push_label(self, label: ID | None) -> None:
        if label is not None:
            self.names.setdefault(label, []).append(len(self.labels))
        self.labels.append(label)

    def _pop_label(self, label: ID | None) -> None:
        self.labels.pop()
        if label is not None:
            self.names[label].pop()

    def _label(self) -> bytes:
        token = self.toks[self.i]
        if token[:1] == "$":
            at = self.i
            found = self.names.get(self.ident())
            if not found:
                self.fail(f"unknown label {lexer.shown(token)}", at)
            return uleb(len(self.labels) - 1 - found[-1])
        plain = _SMALL.get(token)
        if plain is not None:
            self.i += 1
            return plain
        return uleb(self.u32("a label"))

    def _block_head(self, op: Operator) -> tuple[ID | None, bytes | None, bytes]:
        """Label, its name, and what begins the block: opcode, type and catches."""
        label = self.optional_id()
        name = None if label is None else label[1:].encode()
        if self.toks[self.i] == lexer.NAME:
            name = self.name_annotation()
        use = self.type_use(named=False)
        code = op.code + (b"\x40" if use.type_index is None and not use.inline else self.module.block_type(use))
        if op.imm == "TRY_TABLE":
            catches = []
            while self.head() in _CATCHES:
                kind = _CATCHES[self.toks[self.i + 1]]
                self.i += 2
                tag = b"" if kind >= 2 else uleb(self.module.spaces["tags"].index(self))
                catches.append(bytes((kind,)) + tag + self._label())
                self.close()
            code += vector(catches)
        return label, name, code

    def _arm(self, stack: list[Frame], token: str) -> None:
        """`(then` or `(else` of a folded if."""
        frame = stack[-1]
        if token == "then" and frame.kind == IF:
            if frame.hint is not None:
                self.hints[len(self.out)] = frame.hint
            self.out += frame.code
            self._push_label(frame.label)
            stack.append(Frame(THEN))
        elif token == "else" and frame.kind == AFTER_THEN:
            self.out.append(_ELSE)
            stack.append(Frame(ELSE_ARM))
        else:
            self.unexpected("`(then`" if frame.kind == IF else "`)`")
        self.i += 1

    def _close_flat(self, stack: list[Frame], token: str) -> None:
        """A flat `end` or `else`."""
        frame = stack[-1] if stack else None
        if frame is None or frame.kind not in ((FLAT_IF,) if token == "else" else (FLAT_IF, FLAT)):
            self.unexpected("an instruction or `)`")
        self.i += 1
        if self.at_id():
            at = self.i
            name = self.ident()
            if name != frame.label:
                self.fail(f"mismatching label {lexer.shown(name)}: expected {lexer.shown(frame.label or 'none')}", at)
        if token == "else":
            self.out.append(_ELSE)
            frame.kind = FLAT
        else:
            self.out.append(_END)
            stack.pop()
            self._pop_label(frame.label)

    def _branch_hint(self) -> int:
        self.i += 1
        at = self.i
        value = self.string()
        if value not in (b"\0", b"\1"):
            self.fail('@metadata.code.branch_hint annotation: invalid value, expected "\\00" or "\\01"', at)
        self.close()
        return value[0]

    def _check_hint(self, op: Operator, at: int) -> None:
        if op.code not in _HINTED:
            self.fail("@metadata.code.branch_hint annotation: invalid target, expected `if` or `br_if`", at)

    # --- immediates ---

    def _index(self, space: str) -> bytes:
        """Reads the index at the position, which stays: the caller goes on."""
        at = self.i
        token = self.toks[at]
        table = self.local_space if space == "locals" else self.module.spaces[space]
        if not (token[:1] == "$" or "0" <= token[:1] <= "9"):
            self.unexpected(f"the index of a {table.word}")
        found = uleb(table.index(self))
        self.i = at
        cache = self.leb[space]
        if len(cache) < _CACHE_SIZE:
            cache[token] = found
        return found

    def index(self, space: str) -> bytes:
        found = self._index(space)
        self.i += 1
        return found

    def at_index(self) -> bool:
        first = self.toks[self.i][:1]
        return first == "$" or "0" <= first <= "9"

    def optional_index(self, space: str) -> bytes:
        return self.index(space) if self.at_index() else b"\0"

    def _int_const(self, bits: int) -> bytes:
        token = self.toks[self.i]
        try:
            value = numbers.fixed(token, bits)
        except ValueError as error:
            self.fail(f"{error}: not an i{bits}")
        if value is None:
            self.unexpected(f"an i{bits} constant")
        code = sleb(value - (1 << bits) if value >> bits - 1 else value)
        if bits == 32 and len(_i32_cache) < _CACHE_SIZE:
            _i32_cache[token] = code
        return code

    def _float(self, bits: int) -> bytes:
        token = self.toks[self.i]
        try:
            value = numbers.float_bits(token, bits)
        except ValueError as error:
            self.fail(f"{error}: not an f{bits}")
        if value is None:
            self.unexpected(f"an f{bits} constant")
        self.i += 1
        return value.to_bytes(bits // 8, "little")

    def _lane(self) -> bytes:
        at = self.i
        token = self.toks[at]
        value = numbers.integer(token) if "0" <= token[:1] <= "9" and len(token) < 40 else None
        if value is None:
            self.unexpected("a lane index")
        if value > 255:
            self.fail("i8 constant out of range: malformed lane index, expected a number up to 255", at)
        self.i += 1
        return bytes((value,))

    def _imm_MEMARG(self, op: Operator) -> bytes:
        return self._memarg(op, self.optional_index("memories"))

    def _memarg(self, op: Operator, memory: bytes) -> bytes:
        offset = 0
        align = op.row.align_log2
        token = self.toks[self.i]
        if token.startswith("offset="):
            offset = self._field(token, 7, 64)
            token = self.toks[self.i]
        if token.startswith("align="):
            value = self._field(token, 6, 64)
            if value == 0 or value & (value - 1):
                self.fail("alignment must be a power of two", self.i - 1)
            align = value.bit_length() - 1
        if memory == b"\0":
            return bytes((align,)) + uleb(offset)
        return bytes((align | 0x40,)) + memory + uleb(offset)

    def _field(self, token: str, skip: int, bits: int) -> int:
        try:
            value = numbers.unsigned(token[skip:], bits)
        except ValueError:
            self.fail(f"{token[: skip - 1]} out of range: constant out of range")
        if value is None:
            self.fail(f"unknown operator {lexer.shown(token)}, expected a number after `{token[:skip]}`")
        self.i += 1
        return value

    def _imm_MEMARG_LANE(self, op: Operator) -> bytes:
        # a single number is the lane; with another number, or a memarg, after it, it is the memory
        after = self.toks[self.i + 1]
        memory = b"\0"
        if self.at_id() or (self.at_number() and ("0" <= after[:1] <= "9" or after.startswith(("offset=", "align=")))):
            memory = self.index("memories")
        return op.code + self._memarg(op, memory) + self._lane()

    def _imm_LABELS(self, op: Operator) -> bytes:
        labels = [self._label()]
        while self.at_index():
            labels.append(self._label())
        return op.code + uleb(len(labels) - 1) + b"".join(labels)

    def _imm_TABLE(self, op: Operator) -> bytes:
        return op.code + self.optional_index("tables")

    def _imm_CALL_INDIRECT(self, op: Operator) -> bytes:
        table = self.optional_index("tables")
        return op.code + uleb(self.module.resolve(self.type_use(named=False))) + table

    def _imm_MEMORY(self, op: Operator) -> bytes:
        return op.code + self.optional_index("memories")

    def _imm_LANE(self, op: Operator) -> bytes:
        return op.code + self._lane()

    def _imm_SHUFFLE(self, op: Operator) -> bytes:
        out = op.code
        for _ in range(16):
            if not self.at_number() or not numbers.is_integer(self.toks[self.i]):
                self._lanes_wanted()
            out += self._lane()
        if self.at_number():
            self._lanes_wanted()
        return out

    def _lanes_wanted(self) -> NoReturn:
        token = self.toks[self.i]
        if numbers.is_number(token) and not token.isdigit():
            self.fail(f"i8 constant out of range: {lexer.shown(token)} is no lane index, expected a number up to 255")
        self.fail(f"invalid lane length: unexpected token {lexer.shown(self.toks[self.i])}, expected 16 lane indices")

    def _imm_F32(self, op: Operator) -> bytes:
        return op.code + self._float(32)

    def _imm_F64(self, op: Operator) -> bytes:
        return op.code + self._float(64)

    def _imm_V128(self, op: Operator) -> bytes:
        return op.code + self.v128()

    def v128(self) -> bytes:
        """A vector's shape and lanes."""
        shape = self.toks[self.i]
        if shape not in _LANES:
            self.unexpected("the shape of a v128: i8x16, i16x8, i32x4, i64x2, f32x4 or f64x2")
        self.i += 1
        count, bits = _LANES[shape]
        out = b""
        lanes = self.toks[self.i : self.i + count]
        if ")" in lanes or "(" in lanes:
            self.fail(f"wrong number of lane literals: expected {count}")
        for _ in range(count):
            out += self._float(bits) if shape[0] == "f" else self._lane_value(bits)
        if self.at_number():
            self.fail(f"wrong number of lane literals: expected {count}")
        return out

    def _lane_value(self, bits: int) -> bytes:
        try:
            value = numbers.fixed(self.toks[self.i], bits)
        except ValueError as error:
            self.fail(f"{error}: not an i{bits}")
        if value is None:
            self.unexpected(f"an i{bits} lane")
        self.i += 1
        return value.to_bytes(bits // 8, "little")

    def _imm_select(self, op: Operator) -> bytes:
        if self.head() != "result":
            return op.code
        types = []
        while self.open("result"):
            types += self.valtypes()
        return opcode(ROWS["SELECT_T"]) + vector(types)

    def _imm_HEAP_TYPE(self, op: Operator) -> bytes:
        if op.row.name == "REF_NULL":
            return op.code + self.heap_type()
        nullable, heap = self.ref_parts()
        return (opcode(ROWS[op.row.name + "_NULL"]) if nullable else op.code) + heap

    def _imm_DATA(self, op: Operator) -> bytes:
        self.module.needs_data_count = True
        return op.code + self.index("datas")

    def _imm_ELEM(self, op: Operator) -> bytes:
        return op.code + self.index("elems")

    def _imm_DATA_MEMORY(self, op: Operator) -> bytes:
        """The memory stands first in text and may be left out."""
        self.module.needs_data_count = True
        memory, segment = self._optional_pair("memories", "datas")
        return op.code + segment + memory

    def _imm_ELEM_TABLE(self, op: Operator) -> bytes:
        table, segment = self._optional_pair("tables", "elems")
        return op.code + segment + table

    def _optional_pair(self, first: str, second: str) -> tuple[bytes, bytes]:
        after = self.toks[self.i + 1][:1]
        two = self.at_index() and (after == "$" or "0" <= after <= "9")
        return (self.index(first) if two else b"\0"), self.index(second)

    def _imm_MEMORY_MEMORY(self, op: Operator) -> bytes:
        return op.code + self._both_or_none("memories")

    def _imm_TABLE_TABLE(self, op: Operator) -> bytes:
        return op.code + self._both_or_none("tables")

    def _both_or_none(self, space: str) -> bytes:
        return self.index(space) + self.index(space) if self.at_index() else b"\0\0"

    def _imm_TYPE_FIELD(self, op: Operator) -> bytes:
        type_index = self.module.types.index(self)
        out = op.code + uleb(type_index)
        if not self.at_id():
            return out + uleb(self.u32("a field"))
        at = self.i
        field = self.ident()
        found = self.module.field_ids.get(type_index, {}).get(field)
        if found is None:
            self.fail(f"unknown field {lexer.shown(field)}", at)
        return out + uleb(found)

    def _imm_TYPE_COUNT(self, op: Operator) -> bytes:
        return op.code + self.index("types") + uleb(self.u32("a number of elements"))

    def _imm_TYPE_TYPE(self, op: Operator) -> bytes:
        return op.code + self.index("types") + self.index("types")

    def _imm_TYPE_DATA(self, op: Operator) -> bytes:
        self.module.needs_data_count = True
        return op.code + self.index("types") + self.index("datas")

    def _imm_TYPE_ELEM(self, op: Operator) -> bytes:
        return op.code + self.index("types") + self.index("elems")

    def _imm_BR_CAST(self, op: Operator) -> bytes:
        label = self._label()
        from_null, source = self.ref_parts()
        to_null, target = self.ref_parts()
        return op.code + bytes((from_null | to_null << 1,)) + label + source + target

    def _imm_ZERO(self, op: Operator) -> bytes:
        return op.code + b"\0"


_IMMEDIATES: dict[str, Callable[[CodeParser, Operator], bytes]] = {
    op.imm: getattr(CodeParser, "_imm_" + op.imm)
    for op in OPERATORS.values()
    if op.kind == OTHER and op.row.text != "select"
}
_IMMEDIATES["NONE"] = CodeParser._imm_select
