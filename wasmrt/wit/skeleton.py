"""The part of a component binary that its world is made of: all of it but core code, data and debug information.

An artifact keeps it, so that a component that was loaded can still print its world. Core modules shrink to their preamble; of custom sections only
`package-docs` stays. Every section keeps its place, so index spaces stay what they were.
"""

from __future__ import annotations

from wasmrt.binary.cursor import Cursor

DOCS_SECTION = "package-docs"
_EMPTY_MODULE = b"\0asm\x01\0\0\0"


def skeleton(data: bytes | bytearray | memoryview) -> bytes:
    """Of a binary that `translate` accepted."""
    view = memoryview(data).cast("B")
    return _component(view, 0, len(view))


def _component(view: memoryview, start: int, end: int) -> bytes:
    out = bytearray(view[start : start + 8])
    c = Cursor(view, start + 8, end)
    while c.pos < end:
        code = c.byte("section")
        size = c.u32("section size")
        body: bytes | memoryview = view[c.pos : c.pos + size]
        if code == 1:
            body = _EMPTY_MODULE
        elif code == 4:
            body = _component(view, c.pos, c.pos + size)
        elif code == 0 and Cursor(view, c.pos, c.pos + size).name("name") != DOCS_SECTION:
            body = b""
        c.pos += size
        if code or body:
            out.append(code)
            out += _leb(len(body)) + body
    return bytes(out)


def _leb(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
