"""A small oracle of the canonical ABI, written from the specification's text: layouts, storing, loading, flattening, handle tables.

Values are plain Python: records are dicts, variants are (tag, payload), strings are str. It is slow and obvious on
purpose; it only has to be right.
"""

from __future__ import annotations

import math
import struct
from typing import Any

from wasmrt.spec import types as t

I32, I64, F32, F64 = "i32", "i64", "f32", "f64"

_FORMATS: dict[type, str] = {
    t.S8: "b",
    t.U8: "B",
    t.S16: "h",
    t.U16: "H",
    t.S32: "i",
    t.U32: "I",
    t.S64: "q",
    t.U64: "Q",
    t.F32: "f",
    t.F64: "d",
}


def despecialize(ty: Any) -> Any:
    match ty:
        case t.TupleType():
            return t.RecordType(tuple((str(i), e) for i, e in enumerate(ty.elements)))
        case t.EnumType():
            return t.VariantType(tuple((n, None) for n in ty.names))
        case t.OptionType():
            return t.VariantType((("none", None), ("some", ty.payload)))
        case t.ResultType():
            return t.VariantType((("ok", ty.ok), ("err", ty.err)))
        case t.MapType():
            return t.ListType(t.TupleType((ty.key, ty.value)))
    return ty


def up(offset: int, align: int) -> int:
    return math.ceil(offset / align) * align


def disc_bytes(n: int) -> int:
    return {0: 1, 1: 1, 2: 2, 3: 4}[math.ceil(math.log2(n) / 8)]


def alignment(ty: Any) -> int:
    ty = despecialize(ty)
    match ty:
        case t.Bool() | t.S8() | t.U8():
            return 1
        case t.S16() | t.U16():
            return 2
        case t.S64() | t.U64() | t.F64():
            return 8
        case t.ListType(length=int()):
            return alignment(ty.element)
        case t.RecordType():
            return max([alignment(f) for _, f in ty.fields])
        case t.VariantType():
            return max([disc_bytes(len(ty.cases))] + [alignment(c) for _, c in ty.cases if c is not None])
        case t.FlagsType():
            return flags_bytes(ty)
    return 4


def flags_bytes(ty: t.FlagsType) -> int:
    return 1 if len(ty.names) <= 8 else 2 if len(ty.names) <= 16 else 4


def elem_size(ty: Any) -> int:
    ty = despecialize(ty)
    match ty:
        case t.String() | t.ListType(length=None):
            return 8
        case t.ListType():
            return ty.length * elem_size(ty.element)
        case t.RecordType():
            offset = 0
            for _, f in ty.fields:
                offset = up(offset, alignment(f)) + elem_size(f)
            return up(offset, alignment(ty))
        case t.VariantType():
            payload = max([elem_size(c) for _, c in ty.cases if c is not None], default=0)
            return up(payload_offset(ty) + payload, alignment(ty))
    return alignment(ty)


def payload_offset(ty: t.VariantType) -> int:
    return up(disc_bytes(len(ty.cases)), max([alignment(c) for _, c in ty.cases if c is not None], default=1))


def flatten(ty: Any) -> list[str]:
    ty = despecialize(ty)
    match ty:
        case t.S64() | t.U64():
            return [I64]
        case t.F32():
            return [F32]
        case t.F64():
            return [F64]
        case t.String() | t.ListType(length=None):
            return [I32, I32]
        case t.ListType():
            return flatten(ty.element) * ty.length
        case t.RecordType():
            return [w for _, f in ty.fields for w in flatten(f)]
        case t.VariantType():
            joined: list[str] = []
            for _, case in ty.cases:
                for i, word in enumerate([] if case is None else flatten(case)):
                    if i < len(joined):
                        joined[i] = join(joined[i], word)
                    else:
                        joined.append(word)
            return [I32, *joined]
    return [I32]


def join(a: str, b: str) -> str:
    if a == b:
        return a
    return I32 if {a, b} == {I32, F32} else I64


class Memory:
    """Linear memory with a bump allocator that records its calls."""

    def __init__(self, size: int = 1 << 16) -> None:
        self.data = bytearray(size)
        self.next = 16
        self.calls: list[tuple[int, int]] = []

    def allocate(self, align: int, size: int) -> int:
        self.calls.append((align, size))
        self.next = up(self.next, align)
        address = self.next
        self.next += size
        return address


def store(memory: Memory, value: Any, ty: Any, at: int, encoding: str = "utf8") -> None:
    ty = despecialize(ty)

    def put(number: int, size: int) -> None:
        memory.data[at : at + size] = (number & ((1 << (8 * size)) - 1)).to_bytes(size, "little")

    match ty:
        case t.Bool():
            put(int(value), 1)
        case t.Char():
            put(ord(value), 4)
        case t.String():
            address, units = store_string(memory, value, encoding)
            memory.data[at : at + 8] = struct.pack("<II", address, units)
        case t.ListType():
            if ty.length is None:
                address, length = store_list(memory, value, ty, encoding)
                memory.data[at : at + 8] = struct.pack("<II", address, length)
            else:
                assert len(value) == ty.length
                for i, element in enumerate(value):
                    store(memory, element, ty.element, at + i * elem_size(ty.element), encoding)
        case t.RecordType():
            offset = 0
            for name, field in ty.fields:
                offset = up(offset, alignment(field))
                store(memory, value[name], field, at + offset, encoding)
                offset += elem_size(field)
        case t.VariantType():
            tag, payload = value
            index = [name for name, _ in ty.cases].index(tag)
            put(index, disc_bytes(len(ty.cases)))
            if ty.cases[index][1] is not None:
                store(memory, payload, ty.cases[index][1], at + payload_offset(ty), encoding)
        case t.FlagsType():
            put(sum(1 << i for i, name in enumerate(ty.names) if name in value), flags_bytes(ty))
        case _:
            memory.data[at : at + elem_size(ty)] = struct.pack("<" + _FORMATS[type(ty)], value)


def store_string(memory: Memory, value: str, encoding: str) -> tuple[int, int]:
    """One allocation: the host's string is taken to be in the guest's encoding already."""
    if encoding == "utf8":
        raw, align, units = value.encode(), 1, len(value.encode())
    elif encoding == "latin1+utf16" and all(ord(c) < 256 for c in value):
        raw, align, units = value.encode("latin-1"), 2, len(value)
    else:
        raw, align = value.encode("utf-16-le"), 2
        units = len(raw) // 2 | (1 << 31 if encoding == "latin1+utf16" else 0)
    address = memory.allocate(align, len(raw))
    memory.data[address : address + len(raw)] = raw
    return address, units


def store_list(memory: Memory, value: Any, ty: t.ListType, encoding: str) -> tuple[int, int]:
    size = elem_size(ty.element)
    address = memory.allocate(alignment(ty.element), size * len(value))
    for i, element in enumerate(value):
        store(memory, element, ty.element, address + i * size, encoding)
    return address, len(value)


def lower_flat(memory: Memory, value: Any, ty: Any, encoding: str = "utf8") -> list[int]:
    """Core values as unsigned integers (floats as their bits), already coerced to the joined types."""
    ty = despecialize(ty)
    match ty:
        case t.F32():
            return list(struct.unpack("<I", struct.pack("<f", value)))
        case t.F64():
            return list(struct.unpack("<Q", struct.pack("<d", value)))
        case t.S64() | t.U64():
            return [value & 0xFFFFFFFFFFFFFFFF]
        case t.Char():
            return [ord(value)]
        case t.String():
            return list(store_string(memory, value, encoding))
        case t.ListType(length=None):
            return list(store_list(memory, value, ty, encoding))
        case t.ListType():
            return [w for element in value for w in lower_flat(memory, element, ty.element, encoding)]
        case t.RecordType():
            return [w for name, field in ty.fields for w in lower_flat(memory, value[name], field, encoding)]
        case t.VariantType():
            tag, payload = value
            index = [name for name, _ in ty.cases].index(tag)
            case = ty.cases[index][1]
            words = [] if case is None else lower_flat(memory, payload, case, encoding)
            return [index, *words] + [0] * (len(flatten(ty)) - 1 - len(words))
        case t.FlagsType():
            return [sum(1 << i for i, name in enumerate(ty.names) if name in value)]
    return [int(value) & 0xFFFFFFFF]


# ---- lifting ----------------------------------------------------------------------------------------------------------------------------------------


class OracleTrap(Exception):
    """Where the specification says `trap_if`."""


def trap_if(condition: bool) -> None:
    if condition:
        raise OracleTrap


def load(data: bytes | bytearray, ty: Any, at: int, encoding: str = "utf8") -> Any:
    """A value in memory, in the plain form that `store` takes; `at` is aligned and in bounds."""
    ty = despecialize(ty)

    def get(size: int, offset: int = 0) -> int:
        return int.from_bytes(data[at + offset : at + offset + size], "little")

    match ty:
        case t.Bool():
            return get(1) != 0
        case t.Char():
            return to_char(get(4))
        case t.String():
            return load_string(data, get(4), get(4, 4), encoding)
        case t.ListType(length=None):
            return load_list(data, get(4), get(4, 4), ty.element, encoding)
        case t.ListType():
            return [load(data, ty.element, at + i * elem_size(ty.element), encoding) for i in range(ty.length)]
        case t.RecordType():
            value, offset = {}, 0
            for name, field in ty.fields:
                offset = up(offset, alignment(field))
                value[name] = load(data, field, at + offset, encoding)
                offset += elem_size(field)
            return value
        case t.VariantType():
            index = get(disc_bytes(len(ty.cases)))
            trap_if(index >= len(ty.cases))
            tag, case = ty.cases[index]
            return tag, None if case is None else load(data, case, at + payload_offset(ty), encoding)
        case t.FlagsType():
            return to_flags(get(flags_bytes(ty)), ty)
    return struct.unpack_from("<" + _FORMATS[type(ty)], data, at)[0]


def load_tuple(data: bytes | bytearray, types: list[Any], at: int, encoding: str = "utf8") -> list[Any]:
    """Parameters or a result that are in memory, at a pointer that is not to be trusted."""
    ty = t.TupleType(tuple(types))
    trap_if(at != up(at, alignment(ty)))
    trap_if(at + elem_size(ty) > len(data))
    return list(load(data, ty, at, encoding).values())


def to_char(number: int) -> str:
    trap_if(number >= 0x110000 or 0xD800 <= number <= 0xDFFF)
    return chr(number)


def to_flags(bits: int, ty: t.FlagsType) -> set[str]:
    return {name for i, name in enumerate(ty.names) if bits >> i & 1}


def load_string(data: bytes | bytearray, at: int, units: int, encoding: str) -> str:
    if encoding == "utf8":
        align, size, codec = 1, units, "utf-8"
    elif encoding == "utf16":
        align, size, codec = 2, 2 * units, "utf-16-le"
    elif units >> 31:
        align, size, codec = 2, 2 * (units ^ 1 << 31), "utf-16-le"
    else:
        align, size, codec = 2, units, "latin-1"
    trap_if(at != up(at, align))
    trap_if(at + size > len(data))
    try:
        return bytes(data[at : at + size]).decode(codec)
    except UnicodeDecodeError:
        raise OracleTrap from None


def load_list(data: bytes | bytearray, at: int, length: int, element: Any, encoding: str) -> list[Any]:
    size = elem_size(element)
    trap_if(at != up(at, alignment(element)))
    trap_if(at + length * size > len(data))
    return [load(data, element, at + i * size, encoding) for i in range(length)]


def lift_flat(data: bytes | bytearray, words: list[int], ty: Any, encoding: str = "utf8") -> Any:
    """From as many core values as `flatten(ty)` has, given as their bits; reading one of a joined type as a narrower one takes its low bits."""
    ty = despecialize(ty)

    def bits(size: int) -> int:
        return words[0] & ((1 << size) - 1)

    match ty:
        case t.Bool():
            return bits(32) != 0
        case t.Char():
            return to_char(bits(32))
        case t.String():
            return load_string(data, bits(32), words[1] & 0xFFFFFFFF, encoding)
        case t.ListType(length=None):
            return load_list(data, bits(32), words[1] & 0xFFFFFFFF, ty.element, encoding)
        case t.ListType():
            step = len(flatten(ty.element))
            return [lift_flat(data, words[i * step :], ty.element, encoding) for i in range(ty.length)]
        case t.RecordType():
            value, slot = {}, 0
            for name, field in ty.fields:
                value[name] = lift_flat(data, words[slot:], field, encoding)
                slot += len(flatten(field))
            return value
        case t.VariantType():
            trap_if(bits(32) >= len(ty.cases))
            tag, case = ty.cases[bits(32)]
            return tag, None if case is None else lift_flat(data, words[1:], case, encoding)
        case t.FlagsType():
            return to_flags(bits(32), ty)
    size = elem_size(ty)
    return struct.unpack("<" + _FORMATS[type(ty)], bits(8 * size).to_bytes(size, "little"))[0]


class HandleTable:
    """A component instance's handles: index 0 is never valid, freed indices are used again, the last freed first."""

    def __init__(self) -> None:
        self.entries: list[Any] = [None]
        self.free: list[int] = []

    def add(self, entry: Any) -> int:
        if self.free:
            index = self.free.pop()
            self.entries[index] = entry
            return index
        self.entries.append(entry)
        return len(self.entries) - 1

    def get(self, index: int) -> Any:
        trap_if(index >= len(self.entries) or self.entries[index] is None)
        return self.entries[index]

    def remove(self, index: int) -> Any:
        entry = self.get(index)
        self.entries[index] = None
        self.free.append(index)
        return entry
