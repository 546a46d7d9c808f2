"""Test scripts (.wast): directives into records, each with its line. Running them is the command line's business.

Modules in a script are kept as their place in the text and encoded when asked, since many are there to be refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from . import numbers
from .code import CodeParser
from .core_types import HEAP_BYTES
from .encoder import encode, encode_component_fields, encode_component_form, encode_module_form
from .lexer import Source
from .module import EXTERNS, ModuleEncoder, encode_module
from .parser import ID, Cursor

CANONICAL_NAN, ARITHMETIC_NAN = "nan:canonical", "nan:arithmetic"
Lane = int | str
"""The bits of a number, or the name of a set of NaNs."""


# --- values ---


@dataclass(slots=True)
class Numeric:
    """A core number or a pattern of one: `type` is i32, i64, f32, f64 or a vector's shape, with one lane or the shape's."""

    type: str
    bits: int
    lanes: list[Lane]

    def matches(self, lanes: list[int]) -> bool:
        """Whether actual bits are among those meant."""
        return len(lanes) == len(self.lanes) and all(map(self._lane_matches, self.lanes, lanes))

    def _lane_matches(self, wanted: Lane, actual: int) -> bool:
        if isinstance(wanted, int):
            return wanted == actual
        mantissa = 23 if self.bits == 32 else 52
        quiet = ((1 << self.bits - mantissa) - 1) << mantissa - 1  # exponent and the first bit of the payload
        magnitude = actual & ~(1 << self.bits - 1)
        quiet &= ~(1 << self.bits - 1)
        return magnitude == quiet if wanted == CANONICAL_NAN else magnitude & quiet == quiet

    def __str__(self) -> str:
        return f"({self.type}.const {' '.join(x if isinstance(x, str) else hex(x) for x in self.lanes)})"


@dataclass(slots=True)
class Reference:
    """A reference or a pattern of one: `(ref.null heap?)`, `(ref.extern n?)`, `(ref.host n)`, `(ref.func)`, `(ref.struct)`, ..."""

    word: str
    heap: str | None = None
    number: int | None = None

    def __str__(self) -> str:
        return f"({' '.join(str(x) for x in (self.word, self.heap, self.number) if x is not None)})"


@dataclass(slots=True)
class Either:
    alternatives: list[Any]

    def __str__(self) -> str:
        return f"(either {' '.join(map(str, self.alternatives))})"


@dataclass(slots=True)
class ComponentConst:
    """A component-level value: `kind` is the word before `.const` (or option, result), `value` a number, str or what it is made of.

    list, tuple: list of values. record: list of (name, value). variant, enum: (case, value or None). flags: list of names.
    option, result: ("none" or "some", "ok" or "err", and the value or None). f32 and f64: the bits, or the name of a set of NaNs.
    """

    kind: str
    value: Any

    def __str__(self) -> str:
        match self.kind:
            case "list" | "tuple":
                return f"({self.kind}.const {' '.join(map(str, self.value))})"
            case "record":
                return f"(record.const {' '.join(f'{name}: {value}' for name, value in self.value)})"
        return f"({self.kind}.const {self.value})"


Value = Numeric | Reference | Either | ComponentConst


# --- directives ---


@dataclass(slots=True)
class ModuleText:
    """A module or component in a script: `kind` says which, `form` is text, binary, quote or bare."""

    line: int
    kind: str
    name: ID | None
    form: str
    source: Source = field(repr=False)
    at: int = 0

    def encode(self) -> bytes:
        """The binary. Raises TextError for text that is refused."""
        if self.form == "bare":
            return encode_module(self.source, 0, end="")[0]
        cursor = Cursor(self.source, self.at)
        if self.form == "quote":
            cursor.optional_id()
            cursor.i += 1
            return encode(cursor.strings()) if self.kind == "module" else encode_component_fields(cursor.strings())
        return encode_module_form(cursor) if self.kind == "module" else encode_component_form(cursor)


@dataclass(slots=True)
class DefineModule:
    """`(module ...)`: defined and, unless it is only a definition, instantiated."""

    line: int
    module: ModuleText
    instantiate: bool


@dataclass(slots=True)
class MakeInstance:
    """`(module instance $i $m)` or `(component instance $i $m)`."""

    line: int
    kind: str
    name: ID | None
    of: ID | None


@dataclass(slots=True)
class Register:
    line: int
    name: str
    instance: ID | None


@dataclass(slots=True)
class Invoke:
    line: int
    instance: ID | None
    name: str
    args: list[Value]


@dataclass(slots=True)
class Get:
    line: int
    instance: ID | None
    name: str


Action = Invoke | Get


@dataclass(slots=True)
class AssertReturn:
    line: int
    action: Action
    results: list[Value]


@dataclass(slots=True)
class AssertFails:
    """`assert_trap`, `assert_exhaustion`, `assert_exception` of an action, or `assert_trap` of a module."""

    line: int
    kind: str
    subject: Action | ModuleText | MakeInstance
    message: str


@dataclass(slots=True)
class AssertRefused:
    """`assert_malformed`, `assert_invalid`, `assert_unlinkable`, `assert_uninstantiable`, and `..._custom` of the first two."""

    line: int
    kind: str
    module: ModuleText
    message: str


Directive = DefineModule | MakeInstance | Register | Invoke | Get | AssertReturn | AssertFails | AssertRefused

_FAILS = {"assert_trap", "assert_exhaustion", "assert_exception"}
_REFUSED = {
    "assert_malformed",
    "assert_invalid",
    "assert_unlinkable",
    "assert_uninstantiable",
    "assert_malformed_custom",
    "assert_invalid_custom",
}
_MODULES = ("module", "component")
_MODULE_FIELDS = {*EXTERNS, "type", "rec", "import", "export", "start", "elem", "data"}
_SHAPES = ("i8x16", "i16x8", "i32x4", "i64x2", "f32x4", "f64x2")
_NUMBERS = {"i32.const": 32, "i64.const": 64, "f32.const": 32, "f64.const": 64}
_COMPONENT_INTEGERS = {"u8": 8, "s8": 8, "u16": 16, "s16": 16, "u32": 32, "s32": 32, "u64": 64, "s64": 64}


def parse_script(text: str | bytes, filename: str | None = None) -> list[Directive]:
    """The directives of a script, in order. Raises TextError with the place of what is no directive."""
    return list(_Script(Source(text, filename)).directives())


class _Script(CodeParser):
    """Borrows the readers of types and lanes from the instruction parser."""

    __slots__ = ("lines",)

    def __init__(self, source: Source) -> None:
        super().__init__(ModuleEncoder(source, 0))
        self.lines = source.lines()

    def directives(self) -> Iterator[Directive]:
        if self.head() in _MODULE_FIELDS:
            yield DefineModule(1, ModuleText(1, "module", None, "bare", self.source), True)
            return
        while self.toks[self.i]:
            self.expect("(")
            directive = self._directive()
            self.close()
            yield directive

    def _directive(self) -> Directive:
        line = self.lines[self.i]
        word = self.toks[self.i]
        self.i += 1
        if word in _MODULES:
            if self.accept("instance"):
                return self._make_instance(line, word)
            instantiate = not self.accept("definition")
            return DefineModule(line, self._module(line, word), instantiate)
        if word == "register":
            name = self.name().decode()
            return Register(line, name, self.optional_id())
        if word in ("invoke", "get"):
            return self._action(line, word)
        if word == "assert_return":
            action = self._paren_action()
            results = []
            while self.toks[self.i] == "(":
                results.append(self._value())
            return AssertReturn(line, action, results)
        if word in _FAILS:
            subject = self._subject()
            message = "" if word == "assert_exception" else self.name().decode()
            return AssertFails(line, word, subject, message)
        if word in _REFUSED:
            module = self._paren_module()
            return AssertRefused(line, word, module, self.name().decode())
        self.i -= 1
        self.unexpected("a directive: module, component, register, invoke, get or assert_...")

    def _make_instance(self, line: int, kind: str) -> MakeInstance:
        first, second = self.optional_id(), self.optional_id()
        # a single identifier is the definition's
        return MakeInstance(line, kind, first if second is not None else None, second or first)

    def _module(self, line: int, kind: str) -> ModuleText:
        """After `(module`, up to its `)`."""
        at = self.i
        name = self.optional_id()
        form = self.toks[self.i]
        module = ModuleText(line, kind, name, form if form in ("binary", "quote") else "text", self.source, at)
        self.skip()
        self.i -= 1
        return module

    def _paren_module(self) -> ModuleText:
        word = self.head()
        if word not in _MODULES:
            self.unexpected("`(module` or `(component`")
        line = self.lines[self.i]
        self.i += 2
        module = self._module(line, word)
        self.close()
        return module

    def _paren_action(self) -> Action:
        word = self.head()
        if word not in ("invoke", "get"):
            self.unexpected("`(invoke` or `(get`")
        line = self.lines[self.i]
        self.i += 2
        action = self._action(line, word)
        self.close()
        return action

    def _subject(self) -> Action | ModuleText | MakeInstance:
        word = self.head()
        if word not in _MODULES:
            return self._paren_action()
        if self.toks[self.i + 2] != "instance":
            return self._paren_module()
        line = self.lines[self.i]
        self.i += 3
        made = self._make_instance(line, word)
        self.close()
        return made

    def _action(self, line: int, word: str) -> Action:
        instance = self.optional_id()
        name = self.name().decode()
        if word == "get":
            return Get(line, instance, name)
        args = []
        while self.toks[self.i] == "(":
            args.append(self._value())
        return Invoke(line, instance, name, args)

    # --- values ---

    def _value(self) -> Value:
        self.expect("(")
        out = self._bare_value()
        self.close()
        return out

    def _bare_value(self) -> Value:
        word = self.toks[self.i]
        self.i += 1
        if word in _NUMBERS:
            return self._number(word)
        if word == "v128.const":
            return self._vector()
        if word == "either":
            alternatives = []
            while self.toks[self.i] == "(":
                alternatives.append(self._value())
            return Either(alternatives)
        if word.startswith("ref."):
            return self._reference(word)
        kind, _, suffix = word.partition(".")
        if kind in ("option", "result") or (suffix == "const" and (kind in _COMPOUND or kind in _COMPONENT_INTEGERS)):
            return self._component_value(kind, suffix)
        self.i -= 1
        self.unexpected("a value such as `i32.const`, `ref.null` or `u8.const`")

    def _number(self, word: str) -> Numeric:
        bits = _NUMBERS[word]
        return Numeric(word[:3], bits, [self._float_lane(bits) if word[0] == "f" else self._int_lane(bits)])

    def _int_lane(self, bits: int) -> int:
        return int.from_bytes(self._lane_value(bits), "little")

    def _float_lane(self, bits: int) -> Lane:
        if self.toks[self.i] in (CANONICAL_NAN, ARITHMETIC_NAN):
            self.i += 1
            return self.toks[self.i - 1]
        return int.from_bytes(self._float(bits), "little")

    def _vector(self) -> Numeric:
        shape = self.toks[self.i]
        if shape not in _SHAPES:
            self.unexpected("the shape of a v128")
        self.i += 1
        bits, count = (int(part) for part in shape[1:].split("x"))
        lanes = [self._float_lane(bits) if shape[0] == "f" else self._int_lane(bits) for _ in range(count)]
        return Numeric(shape, bits, lanes)

    def _reference(self, word: str) -> Reference:
        heap = number = None
        if self.toks[self.i] in HEAP_BYTES or self.at_id():
            heap = self.toks[self.i]
            self.i += 1
        elif self.at_number():
            number = self.u32()
        return Reference(word, heap, number)

    def _component_value(self, kind: str, suffix: str) -> ComponentConst:
        if kind in ("option", "result"):
            payload = self._payload()
            return ComponentConst(kind, (suffix, payload))
        if kind in _COMPONENT_INTEGERS:
            value = numbers.integer(self.toks[self.i])
            if value is None:
                self.unexpected("an integer")
            self.i += 1
            return ComponentConst(kind, value)
        return ComponentConst(kind, _COMPOUND[kind](self))

    def _nested(self) -> ComponentConst:
        """A value in parentheses, or its words alone where only one can stand."""
        at = self.i
        value = component_const(self._value() if self.toks[at] == "(" else self._bare_value())
        if value is None:
            self.unexpected("a value of a component, such as `u32.const`", at)
        return value

    def _payload(self) -> ComponentConst | None:
        return None if self.toks[self.i] == ")" else self._nested()

    def _const_list(self) -> list[ComponentConst]:
        out = []
        while self.toks[self.i] == "(":
            out.append(self._nested())
        return out

    def _const_record(self) -> list[tuple[str, ComponentConst]]:
        out = []
        while self.open("field"):
            name = self.name().decode()
            out.append((name, self._nested()))
            self.close()
        return out

    def _const_variant(self) -> tuple[str, ComponentConst | None]:
        return self.name().decode(), self._payload()

    def _const_flags(self) -> list[str]:
        out = []
        while self.at_string():
            out.append(self.name().decode())
        return out

    def _const_bool(self) -> bool:
        if self.toks[self.i] not in ("true", "false"):
            self.unexpected("`true` or `false`")
        self.i += 1
        return self.toks[self.i - 1] == "true"


_COMPOUND: dict[str, Callable[[_Script], Any]] = {
    "bool": _Script._const_bool,
    "char": lambda p: p.name().decode(),
    "str": lambda p: p.name().decode(),
    "list": _Script._const_list,
    "tuple": _Script._const_list,
    "record": _Script._const_record,
    "variant": _Script._const_variant,
    "enum": lambda p: p.name().decode(),
    "flags": _Script._const_flags,
}


def component_const(value: Value) -> ComponentConst | None:
    """A value as one of a component, where f32 and f64 are spelled as in core; None for other core values."""
    if isinstance(value, Numeric):
        return ComponentConst(value.type, value.lanes[0]) if value.type in ("f32", "f64") else None
    return value if isinstance(value, ComponentConst) else None
