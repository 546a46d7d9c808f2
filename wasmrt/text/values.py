"""Values of component value definitions, between text and bytes, by the types that the component has defined so far."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from wasmrt.binary import records as r
from wasmrt.binary.cursor import Cursor as Bytes
from wasmrt.binary.type_decoder import type_def, valtype
from wasmrt.spec import limits
from wasmrt.spec import types as t
from wasmrt.spec.leb128 import sized, sleb, uleb, vector

from . import numbers
from .writer import float_text, quoted_name

if TYPE_CHECKING:
    from .component_types import ComponentTypeParser

_INTEGERS: dict[type, tuple[int, bool]] = {
    t.U8: (8, False),
    t.S8: (8, True),
    t.U16: (16, False),
    t.S16: (16, True),
    t.U32: (32, False),
    t.S32: (32, True),
    t.U64: (64, False),
    t.S64: (64, True),
}


def encode_value(p: ComponentTypeParser, ty: bytes) -> bytes:
    """Reads one value of the type with these bytes."""
    return _value(p, valtype(Bytes(memoryview(ty), 0, len(ty))))


def _definition(p: ComponentTypeParser, ty: r.ValTypeRef) -> r.TypeDef:
    if not isinstance(ty, int):
        return r.PrimitiveDef(0, ty)
    body = p.scope.type_defs.get(ty)
    if body is None:
        p.fail("a value's type has to be defined in the same component")
    return type_def(Bytes(memoryview(body), 0, len(body)), 0)


def _value(p: ComponentTypeParser, ty: r.ValTypeRef) -> bytes:
    p.enter()
    definition = _definition(p, ty)
    out = _primitive(p, definition.type) if isinstance(definition, r.PrimitiveDef) else _compound(p, definition)
    p.depth -= 1
    return out


def _primitive(p: ComponentTypeParser, ty: t.AnyValType) -> bytes:
    token = p.toks[p.i]
    if isinstance(ty, t.Bool):
        if token not in ("true", "false"):
            p.unexpected("`true` or `false`")
        p.i += 1
        return b"\x01" if token == "true" else b"\0"
    if type(ty) in _INTEGERS:
        return _integer(p, *_INTEGERS[type(ty)])
    if isinstance(ty, t.F32 | t.F64):
        bits = 32 if isinstance(ty, t.F32) else 64
        try:
            pattern = numbers.float_bits(token, bits)
        except ValueError as error:
            p.fail(f"{error}: not an f{bits}")
        if pattern is None:
            p.unexpected(f"an f{bits}")
        p.i += 1
        return pattern.to_bytes(bits // 8, "little")
    if isinstance(ty, t.Char):
        at = p.i
        data = p.name("a string of one character")
        if len(data.decode()) != 1:
            p.fail("expected a string of one character", at)
        return data
    if isinstance(ty, t.String):
        return sized(p.name("a string"))
    p.fail(f"a {ty} has no values in text")


def _integer(p: ComponentTypeParser, bits: int, signed: bool) -> bytes:
    try:
        value = numbers.integer(p.toks[p.i])
    except ValueError as error:
        p.fail(str(error))
    if value is None:
        p.unexpected("an integer")
    low, high = (-(1 << bits - 1), 1 << bits - 1) if signed else (0, 1 << bits)
    if not low <= value < high:
        p.fail("constant out of range")
    p.i += 1
    if bits == 8:
        return bytes((value & 0xFF,))
    return sleb(value) if signed else uleb(value)


def _compound(p: ComponentTypeParser, definition: r.TypeDef) -> bytes:
    match definition:
        case r.RecordDef():
            return _sequence(p, "record", [ty for _, ty in definition.fields])
        case r.TupleDef():
            return _sequence(p, "tuple", definition.elements)
        case r.ListDef():
            return _list(p, definition)
        case r.VariantDef():
            p.expect_open("variant")
            number = _label(p, [name for name, _ in definition.cases])
            payload = definition.cases[number][1]
            out = uleb(number) + (b"" if payload is None else _value(p, payload))
            p.close()
            return out
        case r.EnumDef():
            p.expect_open("enum")
            number = _label(p, definition.names)
            p.close()
            return uleb(number)
        case r.FlagsDef():
            p.expect_open("flags")
            bits = 0
            while p.at_string():
                bits |= 1 << _label(p, definition.names)
            p.close()
            return bits.to_bytes((len(definition.names) + 7) // 8, "little")
        case r.OptionDef():
            if p.accept("none"):
                return b"\0"
            return b"\x01" + _wrapped(p, "some", definition.payload)
        case r.ResultDef():
            word = "error" if p.toks[p.i] == "error" or p.head() == "error" else "ok"
            payload = definition.ok if word == "ok" else definition.err
            code = b"\0" if word == "ok" else b"\x01"
            if payload is None:
                p.expect(word)
                return code
            return code + _wrapped(p, word, payload)
    p.fail("a value of this type has no text")


def _wrapped(p: ComponentTypeParser, word: str, ty: r.ValTypeRef) -> bytes:
    p.expect_open(word)
    out = _value(p, ty)
    p.close()
    return out


def _sequence(p: ComponentTypeParser, word: str, types: list[r.ValTypeRef]) -> bytes:
    p.expect_open(word)
    out = b"".join([_value(p, ty) for ty in types])
    p.close()
    return out


def _list(p: ComponentTypeParser, definition: r.ListDef) -> bytes:
    at = p.i
    if p.open("binary"):
        data = p.strings()
        p.close()
        if not isinstance(definition.element, t.U8 | t.S8):
            p.fail("`(binary` is a list of bytes", at)
        items = [data[i : i + 1] for i in range(len(data))]
    else:
        p.expect_open("list")
        items = []
        while p.toks[p.i] != ")":
            items.append(_value(p, definition.element))
        p.i += 1
    if definition.length is None:
        return vector(items)
    if len(items) != definition.length:
        p.fail(f"expected {definition.length} elements, got {len(items)}", at)
    return b"".join(items)


def _label(p: ComponentTypeParser, labels: list[str]) -> int:
    at = p.i
    name = p.name("a label in quotes").decode()
    if name not in labels:
        p.fail(f"unknown label, expected one of {', '.join(labels)}", at)
    return labels.index(name)


# --- the way back ---


def print_value(data: Bytes, ty: r.ValTypeRef, definitions: dict[int, r.TypeDef]) -> str:
    """The text of one encoded value. Raises DecodeError where the bytes are no value of the type."""
    out = _printed(data, ty, definitions, 0)
    if data.pos != data.end:
        raise data.error("a value has bytes too many", expected="the value's end")
    return out


def _printed(data: Bytes, ty: r.ValTypeRef, definitions: dict[int, r.TypeDef], depth: int) -> str:
    if depth > limits.COMPONENT_TYPE_DEPTH:
        raise data.error("a value is nested too deeply")
    if not isinstance(ty, int):
        return _printed_primitive(data, ty)
    definition = definitions.get(ty)
    part: Callable[[r.ValTypeRef], str] = lambda inner: _printed(data, inner, definitions, depth + 1)  # noqa: E731
    match definition:
        case r.PrimitiveDef():
            return _printed_primitive(data, definition.type)
        case r.RecordDef():
            return f"(record{''.join([' ' + part(field) for _, field in definition.fields])})"
        case r.TupleDef():
            return f"(tuple{''.join([' ' + part(element) for element in definition.elements])})"
        case r.ListDef():
            count = data.count("elements") if definition.length is None else definition.length
            return f"(list{''.join([' ' + part(definition.element) for _ in range(count)])})"
        case r.VariantDef():
            name, payload = _one_of(data, definition.cases)
            return f"(variant {quoted_name(name)}{'' if payload is None else ' ' + part(payload)})"
        case r.EnumDef():
            return f"(enum {quoted_name(_one_of(data, definition.names))})"
        case r.FlagsDef():
            size = (len(definition.names) + 7) // 8
            bits = int.from_bytes(bytes([data.byte("flags") for _ in range(size)]), "little")
            names = [" " + quoted_name(name) for bit, name in enumerate(definition.names) if bits >> bit & 1]
            return f"(flags{''.join(names)})"
        case r.OptionDef():
            return f"(some {part(definition.payload)})" if data.flag("option") else "none"
        case r.ResultDef():
            word, payload = ("error", definition.err) if data.flag("result") else ("ok", definition.ok)
            return word if payload is None else f"({word} {part(payload)})"
    raise data.error("a value of this type has no text")


Item = TypeVar("Item")


def _one_of(data: Bytes, cases: list[Item]) -> Item:
    at = data.pos
    number = data.u32("case")
    if number >= len(cases):
        raise data.error(f"no case {number}", at=at, expected=f"below {len(cases)}")
    return cases[number]


def _printed_primitive(data: Bytes, ty: t.AnyValType) -> str:
    if isinstance(ty, t.Bool):
        return "true" if data.flag("bool") else "false"
    if isinstance(ty, t.String):
        return quoted_name(data.name("string"))
    if isinstance(ty, t.F32 | t.F64):
        size = 32 if isinstance(ty, t.F32) else 64
        raw = bytes([data.byte("float") for _ in range(size // 8)])
        return float_text(int.from_bytes(raw, "little"), size)
    if isinstance(ty, t.Char):
        raw = bytes((data.byte("char"),))
        while raw[0] >= 0xC0 and len(raw) < (2 if raw[0] < 0xE0 else 3 if raw[0] < 0xF0 else 4):
            raw += bytes((data.byte("char"),))
        try:
            return quoted_name(raw.decode())
        except UnicodeDecodeError:
            raise data.error("malformed UTF-8 encoding", expected="a character") from None
    if type(ty) not in _INTEGERS:
        raise data.error(f"a {ty} has no values in text")
    bits, signed = _INTEGERS[type(ty)]
    if bits == 8:
        value = data.byte("integer")
        return str(value - 256 if signed and value >= 128 else value)
    value = shift = 0
    while True:
        byte = data.byte("integer")
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
        if shift >= bits:
            raise data.error("integer representation too long")
    return str(value - (1 << shift) if signed and byte & 0x40 else value)
