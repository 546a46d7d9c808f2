"""LEB128 and what is counted by it, as the binary formats have them."""

from __future__ import annotations

_SMALL = [bytes((value,)) for value in range(128)]


def uleb(value: int) -> bytes:
    if value < 0x80:
        return _SMALL[value]
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def sleb(value: int) -> bytes:
    out = bytearray()
    while not -0x40 <= value < 0x40:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value & 0x7F)
    return bytes(out)


def vector(items: list[bytes]) -> bytes:
    count = len(items)
    return (_SMALL[count] if count < 0x80 else uleb(count)) + b"".join(items)


def sized(data: bytes | bytearray) -> bytes:
    size = len(data)
    return (_SMALL[size] if size < 0x80 else uleb(size)) + data
