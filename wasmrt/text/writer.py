"""Spellings that both printers share: strings, identifiers, numbers, and lines with their indentation."""

from __future__ import annotations

import re
import struct

_PLAIN_ID = re.compile(r"[!#-'*+\--:<-Z\\^-z|~]+")
_ESCAPES = {0x09: "\\t", 0x0A: "\\n", 0x0D: "\\r", 0x22: '\\"', 0x5C: "\\\\"}
_BYTES = [_ESCAPES.get(b) or (chr(b) if 0x20 <= b < 0x7F else f"\\{b:02x}") for b in range(256)]
# deeper lines are not indented further, so that output stays in proportion to input
_MAX_INDENT = 40


def quoted(data: bytes) -> str:
    """Any bytes as a string; what is not printable ASCII is escaped."""
    return '"' + "".join([_BYTES[b] for b in data]) + '"'


def quoted_name(name: str) -> str:
    """A name as a string, readable where it is printable."""
    out = []
    for char in name:
        code = ord(char)
        out.append(_BYTES[code] if code < 0x80 else char if char.isprintable() else f"\\u{{{code:x}}}")
    return '"' + "".join(out) + '"'


def identifier(name: str) -> str:
    """`$name`, quoted where its characters need it."""
    return "$" + name if _PLAIN_ID.fullmatch(name) else "$" + quoted_name(name)


class Names:
    """What the items of one index space are called. A name that two share identifies the first; an empty one none."""

    __slots__ = ("ids", "names")

    def __init__(self, names: dict[int, str] | None = None) -> None:
        self.names = names or {}
        self.ids: dict[int, str] = {}
        seen: set[str] = set()
        for index, name in self.names.items():
            if name and name not in seen:
                seen.add(name)
                self.ids[index] = identifier(name)

    def ref(self, index: int) -> str:
        return self.ids.get(index) or str(index)

    def binder(self, index: int) -> str:
        """Identifier, index and name of an item where it is defined."""
        if index in self.ids:
            return f"{self.ids[index]} (;{index};)"
        return f"(;{index};){self.annotation(index)}"

    def annotation(self, index: int) -> str:
        """` (@name "...")` for a name that could not be the identifier."""
        return f" (@name {quoted_name(self.names[index])})" if index in self.names and index not in self.ids else ""


class Lines:
    """Text under construction."""

    __slots__ = ("depth", "out")

    def __init__(self, depth: int = 0) -> None:
        self.out: list[str] = []
        self.depth = depth

    def add(self, text: str) -> None:
        self.out.append("  " * min(self.depth, _MAX_INDENT) + text)

    def text(self) -> str:
        return "\n".join(self.out)


def float_text(bits: int, size: int) -> str:
    """The shortest decimal that is read as this pattern again, or what a NaN is called."""
    mantissa = 23 if size == 32 else 52
    sign = "-" if bits >> size - 1 else ""
    magnitude = bits & (1 << size - 1) - 1
    infinity = ((1 << size - 1 - mantissa) - 1) << mantissa
    if magnitude > infinity:
        payload = magnitude - infinity
        return sign + ("nan" if payload == 1 << mantissa - 1 else f"nan:{payload:#x}")
    if magnitude == infinity:
        return sign + "inf"
    if size == 64:
        return sign + repr(struct.unpack("<d", struct.pack("<Q", magnitude))[0])
    value = struct.unpack("<f", struct.pack("<I", magnitude))[0]
    for digits in range(6, 9):
        text = f"{value:.{digits}g}"
        try:
            if struct.pack("<f", float(text)) == struct.pack("<I", magnitude):
                return sign + text
        except OverflowError:
            continue
    return f"{sign}{value:.9g}"
