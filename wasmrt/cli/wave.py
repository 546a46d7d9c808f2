"""Values of components as people type and read them: the WebAssembly Value Encoding (WAVE), both ways, directed by type.

`true`, `-3`, `1.5e3`, `nan`, `'c'`, `"text"`, `[1, 2]`, `(1, "x")`, `{field: 1}`, `{flag-a, flag-b}`, `some-case`, `some-case(1)`, `some(1)`, `none`,
`ok(1)`, `err("why")`. An option or a result may be given as its payload alone, unless that is one itself. Labels may be escaped with `%`. Values of
core functions are numbers.
"""

from __future__ import annotations

import math
import re
from typing import Any, NoReturn

from wasmrt.errors import WasmError
from wasmrt.runtime.values import Record, Variant
from wasmrt.spec import types as t

from .component_values import cases_of, is_tagged, python_classes

_LABEL = re.compile(r"%?[A-Za-z][A-Za-z0-9]*(?:-[A-Za-z0-9]+)*")
_NUMBER = re.compile(r"[-+]?(?:0[xX][0-9A-Fa-f_]+|(?:[0-9][0-9_]*)(?:\.[0-9_]*)?(?:[eE][-+]?[0-9]+)?)")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "0": "\0", "\\": "\\", '"': '"', "'": "'"}
_BACK = {value: key for key, value in _ESCAPES.items() if key != "0"}
# what a file cannot make deeper than Python's own stack
MAX_DEPTH = 100


class WaveError(WasmError):
    """A value that is not what its type wants; says where in the text."""


class Reader:
    """A cursor over one text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.depth = 0

    def fail(self, wanted: str) -> NoReturn:
        found = self.text[self.at : self.at + 12] or "the end"
        raise WaveError(f"{self.text!r}, at character {self.at + 1}: expected {wanted}, found {found!r}")

    def skip(self) -> None:
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1

    def has(self, token: str) -> bool:
        """Steps over a token if it is next."""
        self.skip()
        if not self.text.startswith(token, self.at):
            return False
        self.at += len(token)
        return True

    def want(self, token: str) -> None:
        if not self.has(token):
            self.fail(repr(token))

    def peek_label(self) -> str | None:
        self.skip()
        found = _LABEL.match(self.text, self.at)
        return found.group().removeprefix("%") if found else None

    def label(self, wanted: str) -> str:
        found = _LABEL.match(self.text, self.at) if self.peek_label() is not None else None
        if found is None:
            self.fail(wanted)
        self.at = found.end()
        return found.group().removeprefix("%")

    def items(self, close: str, item: Any) -> list[Any]:
        """Comma-separated, up to `close`; a comma at the end is fine."""
        found: list[Any] = []
        while not self.has(close):
            if found:
                self.want(",")
                if self.has(close):
                    break
            found.append(item())
        return found

    def end(self) -> None:
        self.skip()
        if self.at < len(self.text):
            self.fail("the end")

    # -- by type --------------------------------------------------------------------------------------------------------------------------

    def value(self, ty: t.AnyValType) -> Any:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self.fail(f"a type of at most {MAX_DEPTH} levels")
        try:
            return self._value(ty)
        finally:
            self.depth -= 1

    def _value(self, ty: t.AnyValType) -> Any:
        match ty:
            case t.Bool():
                found = self.label("true or false")
                if found not in ("true", "false"):
                    self.at -= len(found)
                    self.fail("true or false")
                return found == "true"
            case t.F32() | t.F64():
                return self.float()
            case t.Char():
                found = self.quoted("'")
                if len(found) != 1:
                    self.fail("one character in single quotes")
                return found
            case t.String():
                return self.quoted('"')
            case t.ListType():
                self.want("[")
                items = self.items("]", lambda: self.value(ty.element))
                if isinstance(ty.element, t.U8) and all(0 <= item < 256 for item in items):
                    return bytes(items)
                return items
            case t.TupleType():
                return self.tuple_of(ty)
            case t.RecordType():
                return self.record(ty)
            case t.FlagsType():
                self.want("{")
                return set(self.items("}", lambda: self.choice(ty.names, "a flag")))
            case t.EnumType():
                return self.choice(ty.names, "a case")
            case t.MapType():
                self.want("{")
                return dict(self.items("}", lambda: self.pair(ty)))
            case t.VariantLikeType():
                return self.variant(ty)
            case t.OwnType() | t.BorrowType() | t.StreamType() | t.FutureType() | t.ErrorContext():
                self.fail(f"nothing: values of type {ty} cannot be written")
        return self.integer()

    def integer(self) -> int:
        self.skip()
        found = _NUMBER.match(self.text, self.at)
        if found is None:
            self.fail("an integer")
        try:
            number = int(found.group().replace("_", ""), 0 if "x" in found.group().lower() else 10)
        except ValueError:
            self.fail("an integer")
        self.at = found.end()
        return number

    def float(self) -> float:
        self.skip()
        for word, number in (("nan", math.nan), ("-inf", -math.inf), ("inf", math.inf)):
            if self.has(word):
                return number
        found = _NUMBER.match(self.text, self.at)
        if found is None:
            self.fail("a number")
        try:
            number = float(found.group().replace("_", "")) if "x" not in found.group().lower() else float(int(found.group(), 16))
        except (ValueError, OverflowError):
            self.fail("a number")
        self.at = found.end()
        return number

    def quoted(self, quote: str) -> str:
        self.want(quote)
        out: list[str] = []
        while True:
            if self.at >= len(self.text):
                self.fail(repr(quote))
            char = self.text[self.at]
            self.at += 1
            if char == quote:
                return "".join(out)
            if char != "\\":
                out.append(char)
                continue
            escape = self.text[self.at : self.at + 1]
            unicode = re.compile(r"u\{([0-9A-Fa-f]{1,6})\}").match(self.text, self.at)
            if unicode is not None and int(unicode.group(1), 16) < 0x110000:
                out.append(chr(int(unicode.group(1), 16)))
                self.at = unicode.end()
            elif escape in _ESCAPES:
                out.append(_ESCAPES[escape])
                self.at += 1
            else:
                self.fail("an escape: \\n, \\r, \\t, \\\\, \\\", \\' or \\u{...}")

    def choice(self, names: tuple[str, ...], what: str) -> str:
        start = self.at
        found = self.label(f"{what}, one of {', '.join(names)}")
        if found not in names:
            self.at = start
            self.fail(f"{what}, one of {', '.join(names)}")
        return found

    def tuple_of(self, ty: t.TupleType) -> tuple[Any, ...]:
        self.want("(")
        found = []
        for index, element in enumerate(ty.elements):
            if index:
                self.want(",")
            found.append(self.value(element))
        self.has(",")
        self.want(")")
        return tuple(found)

    def pair(self, ty: t.MapType) -> tuple[Any, Any]:
        key = self.value(ty.key)
        self.want(":")
        return key, self.value(ty.value)

    def record(self, ty: t.RecordType) -> dict[str, Any]:
        self.want("{")
        fields = dict(ty.fields)
        found: dict[str, Any] = {}

        def field() -> None:
            name = self.choice(tuple(fields), "a field")
            if name in found:
                self.fail(f"field {name} once")
            self.want(":")
            found[name] = self.value(fields[name])

        self.items("}", field)
        for name, field_type in ty.fields:
            if name not in found:
                if not isinstance(field_type, t.OptionType):
                    self.fail(f"field {name} too")
                found[name] = None
        return found

    def variant(self, ty: Any) -> Any:
        cases = dict(cases_of(ty))
        start = self.at
        tag = self.peek_label()
        if tag not in cases:
            # a payload alone
            inner = next(iter(cases.values())) if isinstance(ty, t.ResultType) else ty.payload if isinstance(ty, t.OptionType) else None
            if inner is None or isinstance(inner, (t.OptionType, t.ResultType)):
                self.fail(f"a case, one of {', '.join(cases)}")
            tag, payload = ("ok" if isinstance(ty, t.ResultType) else "some"), self.value(inner)
        else:
            self.label("a case")
            payload_type = cases[tag]
            payload = None
            if payload_type is not None:
                self.want("(")
                payload = self.value(payload_type)
                self.want(")")
        assert tag is not None and self.at >= start
        return Variant(tag, payload) if is_tagged(ty) else payload


def parse(text: str, ty: t.AnyValType) -> Any:
    """One value, all of `text`. A string may stand without its quotes. Raises WaveError."""
    if isinstance(ty, t.String) and not text.lstrip().startswith('"'):
        return text
    reader = Reader(text)
    value = reader.value(ty)
    reader.end()
    return value


def parse_call(text: str, params: Any) -> list[Any]:
    """The arguments of `name(a, b)`, from the text between the parentheses."""
    reader = Reader(text)
    found: list[Any] = []
    for index, (_, ty) in enumerate(params):
        if index:
            reader.want(",")
        found.append(reader.value(ty))
    reader.end()
    return found


# ---- values to text -------------------------------------------------------------------------------------------------------------------------


def render(value: Any, ty: t.AnyValType) -> str:
    """A value as `parse` takes it. Handles are shown as what they are."""
    match ty:
        case t.Bool():
            return "true" if value else "false"
        case t.F32() | t.F64():
            return "nan" if math.isnan(value) else repr(float(value)).removesuffix(".0")
        case t.Char():
            return f"'{_escaped(value, chr(39))}'"
        case t.String():
            return f'"{_escaped(value, chr(34))}"'
        case t.ListType():
            return f"[{', '.join(render(item, ty.element) for item in value)}]"
        case t.TupleType():
            return f"({', '.join(render(item, element) for item, element in zip(value, ty.elements, strict=True))})"
        case t.RecordType():
            return "{" + ", ".join(f"{name}: {render(getattr(value, name), field)}" for name, field in ty.fields) + "}"
        case t.FlagsType():
            return "{" + ", ".join(name for name in ty.names if name in value) + "}"
        case t.MapType():
            return "{" + ", ".join(f"{render(key, ty.key)}: {render(item, ty.value)}" for key, item in value.items()) + "}"
        case t.VariantLikeType():
            tag, payload = _case(value, ty)
            payload_type = dict(cases_of(ty))[tag]
            return tag if payload_type is None else f"{tag}({render(payload, payload_type)})"
    return str(value)


def _case(value: Any, ty: Any) -> tuple[str, Any]:
    if is_tagged(ty):
        return value.tag, value.payload
    kind = _python_class(value)
    return next((tag for tag, payload in cases_of(ty) if kind in python_classes(payload)), "?"), value


def _python_class(value: Any) -> str:
    if value is None:
        return "none"
    for kind, name in (
        (bool, "bool"), (int, "int"), (float, "float"), (str, "str"), (bytes, "bytes"), (tuple, "tuple"), (list, "list"), ((set, frozenset), "set"),
        (Record, "record"), (Variant, "variant"),
    ):  # fmt: skip
        if isinstance(value, kind):
            return name
    return "resource"


def _escaped(text: str, quote: str) -> str:
    out = []
    for char in text:
        if (char in _BACK and char not in "\"'") or char == quote:
            out.append("\\" + _BACK[char])
        elif char.isprintable():
            out.append(char)
        else:
            out.append(f"\\u{{{ord(char):x}}}")
    return "".join(out)
