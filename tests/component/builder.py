"""A tiny writer of component binaries for tests: names follow the binary format's productions."""

from __future__ import annotations

PREAMBLE = b"\0asm\x0d\0\x01\0"
CORE_PREAMBLE = b"\0asm\x01\0\0\0"
BOOL, S8, U8, U32, STRING = b"\x7f", b"\x7e", b"\x7d", b"\x79", b"\x73"
CORE_I32 = 0x7F


def leb(value: int) -> bytes:
    out = bytearray()
    while True:
        byte = value & 0x7F
        value >>= 7
        if not value:
            out.append(byte)
            return bytes(out)
        out.append(byte | 0x80)


def index(value: int) -> bytes:
    """A type index as a value type: a non-negative s33."""
    out = bytearray()
    while True:
        byte = value & 0x7F
        value >>= 7
        if not value and not byte & 0x40:
            out.append(byte)
            return bytes(out)
        out.append(byte | 0x80)


def name(text: str) -> bytes:
    raw = text.encode()
    return leb(len(raw)) + raw


def vec(*items: bytes) -> bytes:
    return leb(len(items)) + b"".join(items)


def section(code: int, body: bytes) -> bytes:
    return bytes([code]) + leb(len(body)) + body


def component(*sections: bytes) -> bytes:
    return PREAMBLE + b"".join(sections)


def core_module(*sections: bytes) -> bytes:
    return section(1, CORE_PREAMBLE + b"".join(sections))


def nested(*sections: bytes) -> bytes:
    return section(4, component(*sections))


def core_instances(*items: bytes) -> bytes:
    return section(2, vec(*items))


def instances(*items: bytes) -> bytes:
    return section(5, vec(*items))


def aliases(*items: bytes) -> bytes:
    return section(6, vec(*items))


def types(*items: bytes) -> bytes:
    return section(7, vec(*items))


def canons(*items: bytes) -> bytes:
    return section(8, vec(*items))


def imports(*items: bytes) -> bytes:
    return section(10, vec(*items))


def exports(*items: bytes) -> bytes:
    return section(11, vec(*items))


# --- core modules ---


def core_func_type(params: int, results: int) -> bytes:
    """All i32."""
    return b"\x60" + vec(*[b"\x7f"] * params) + vec(*[b"\x7f"] * results)


def core_exporting_func(export: str, params: int = 0, results: int = 0) -> bytes:
    """A module with one function, whose body is `unreachable`."""
    return core_module(
        section(1, vec(core_func_type(params, results))),
        section(3, vec(leb(0))),
        section(7, vec(name(export) + b"\0" + leb(0))),
        section(10, vec(name("\0\0\x0b"))),
    )


def core_importing_func(module: str, field: str, params: int = 0, results: int = 0) -> bytes:
    return core_module(
        section(1, vec(core_func_type(params, results))),
        section(2, vec(name(module) + name(field) + b"\0" + leb(0))),
    )


# --- items ---


def instantiate_core(module: int, *args: tuple[str, int]) -> bytes:
    return b"\0" + leb(module) + vec(*[name(n) + b"\x12" + leb(i) for n, i in args])


def core_bag(*items: tuple[str, int, int]) -> bytes:
    """Exports as (name, core sort, index)."""
    return b"\x01" + vec(*[name(n) + bytes([s]) + leb(i) for n, s, i in items])


def instantiate(component_index: int, *args: tuple[str, bytes]) -> bytes:
    return b"\0" + leb(component_index) + vec(*[name(n) + item for n, item in args])


def func_item(i: int) -> bytes:
    return b"\x01" + leb(i)


def type_item(i: int) -> bytes:
    return b"\x03" + leb(i)


def instance_item(i: int) -> bytes:
    return b"\x05" + leb(i)


def alias_core_func(instance: int, export: str) -> bytes:
    return b"\0\0\x01" + leb(instance) + name(export)


def alias_func(instance: int, export: str) -> bytes:
    return b"\x01\0" + leb(instance) + name(export)


def alias_type(instance: int, export: str) -> bytes:
    return b"\x03\0" + leb(instance) + name(export)


def extern(text: str) -> bytes:
    return b"\0" + name(text)


def import_func(text: str, ty: int) -> bytes:
    return extern(text) + b"\x01" + leb(ty)


def import_resource(text: str) -> bytes:
    return extern(text) + b"\x03\x01"


def import_instance(text: str, ty: int) -> bytes:
    return extern(text) + b"\x05" + leb(ty)


def export(text: str, item: bytes) -> bytes:
    return extern(text) + item + b"\0"


def func_type(params: list[tuple[str, bytes]], result: bytes | None = None) -> bytes:
    tail = b"\x01\0" if result is None else b"\0" + result
    return b"\x40" + vec(*[name(n) + ty for n, ty in params]) + tail


RESOURCE = b"\x3f\x7f\0"


def own(i: int) -> bytes:
    return b"\x69" + leb(i)


def lift(core_func: int, ty: int, *options: bytes) -> bytes:
    return b"\0\0" + leb(core_func) + vec(*options) + leb(ty)


def lower(func: int, *options: bytes) -> bytes:
    return b"\x01\0" + leb(func) + vec(*options)
