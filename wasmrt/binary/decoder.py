"""Decodes a component binary: `decode_component(data)` gives a ComponentDef, or raises DecodeError or LimitError.

Structure only: that indices exist and types fit is the translator's business. Core modules are not looked into; their
byte ranges are handed on. Counts are checked against a limit and against the bytes that are left before anything is
stored, so memory stays proportional to the input. Nesting is limited (limits.COMPONENT_DEPTH), since components and
component types are decoded by recursion.
"""

from __future__ import annotations

from collections.abc import Callable

from wasmrt.spec import limits

from . import records as r
from .cursor import Cursor
from .type_decoder import (
    CORE_SORTS,
    alias,
    check_depth,
    core_type,
    core_valtype,
    extern_name,
    extern_type,
    result_list,
    sort,
    type_def,
    valtype,
)

MAGIC = b"\0asm"
MODULE_PREAMBLE = MAGIC + b"\x01\0\0\0"
VERSION = 0x0D
LAYER_MODULE, LAYER_COMPONENT = 0, 1

_ENCODINGS = ("utf8", "utf16", "latin1+utf16")


def decode_component(data: bytes | bytearray | memoryview) -> r.ComponentDef:
    """Decodes the whole binary of a component."""
    view = memoryview(data).cast("B")
    limits.check("MODULE_BYTES", len(view))
    return _component(Cursor(view, 0, len(view)), 0)


def _component(c: Cursor, depth: int) -> r.ComponentDef:
    check_depth(c, depth)
    component = r.ComponentDef(c.pos, c.end)
    _preamble(c)
    end = c.end
    nested = 0
    while c.pos < end:
        at = c.pos
        code = c.byte("section")
        if code > 12:
            raise c.error(f"malformed section id {code}", at=at, expected="section 0 to 12")
        size = c.u32("section size")
        if size > end - c.pos:
            raise c.error(
                f"unexpected end-of-file: section {code} of {size} bytes", at=at, expected="at most the bytes left"
            )
        c.end = c.pos + size
        if code == 4:
            inner = Cursor(c.data, c.pos, c.end, _join(c.path, f"component[{nested}]"))
            component.definitions.append(_component(inner, depth + 1))
            c.pos = c.end
            nested += 1
        else:
            _section(c, code, at, component, depth)
        if c.pos != c.end:
            raise c.error(f"section {code} has {c.end - c.pos} bytes too many", expected="end of section")
        c.end = end
    return component


def _join(path: str, part: str) -> str:
    return f"{path}.{part}" if path else part


def _preamble(c: Cursor) -> None:
    start = c.pos
    head = bytes(c.data[start : min(c.end, start + 8)])
    if head[:4] != MAGIC[: len(head)] or not head:
        raise c.error("magic header not detected: bad magic number", at=start, expected="\\0asm")
    if len(head) < 8:
        raise c.error("unexpected end-of-file", at=start + len(head), expected="the 8 bytes of a component's preamble")
    version, layer = int.from_bytes(head[4:6], "little"), int.from_bytes(head[6:8], "little")
    if layer == LAYER_MODULE and version == 1:
        raise c.error(
            "expected a version header for a component", at=start + 4, expected="a component: this is a core module"
        )
    if layer != LAYER_COMPONENT or version != VERSION:
        raise c.error(
            f"unknown binary version {version:#x}, layer {layer:#x}",
            at=start + 4,
            expected=f"version {VERSION:#x}, layer {LAYER_COMPONENT} of a component",
        )
    c.pos = start + 8


def _section(c: Cursor, code: int, at: int, component: r.ComponentDef, depth: int) -> None:
    definitions = component.definitions
    if code == 0:
        name = c.name("custom section name")
        component.customs.append(r.CustomSection(at, name, c.pos, c.end))
        c.pos = c.end
    elif code == 1:
        if bytes(c.data[c.pos : min(c.end, c.pos + 8)]) != MODULE_PREAMBLE:
            raise c.error("bad preamble of a nested core module: expected a version header for a module", expected=MODULE_PREAMBLE.hex(" "))
        definitions.append(r.CoreModuleDef(at, c.pos, c.end))
        c.pos = c.end
    elif code == 9:
        definitions.append(_start(c))
    elif code == 3:
        definitions += [core_type(c, depth) for _ in range(c.count("core types"))]
    elif code == 7:
        definitions += [type_def(c, depth) for _ in range(c.count("types"))]
    else:
        what, decode = _VECTORS[code]
        definitions += [decode(c) for _ in range(c.count(what))]


def _core_instance(c: Cursor) -> r.Definition:
    at = c.pos
    match c.byte("core instance"):
        case 0x00:
            module = r.CoreModuleIndex(c.u32("module index"))
            return r.CoreInstantiate(at, module, [_core_arg(c) for _ in range(c.count("core instantiation arguments"))])
        case 0x01:
            exports = [(c.name("export name"), _core_sort_index(c)) for _ in range(c.count("core instance exports"))]
            return r.CoreInstanceFromExports(at, exports)
        case code:
            raise c.leading(code, "core instance", at=at)


def _core_arg(c: Cursor) -> tuple[str, r.CoreInstanceIndex]:
    name = c.name("argument name")
    c.fixed(0x12, "instantiation arg kind")
    return name, r.CoreInstanceIndex(c.u32("core instance index"))


def _core_sort_index(c: Cursor) -> r.SortIndex:

    at = c.pos
    code = c.byte("core sort")
    if code not in CORE_SORTS:
        raise c.leading(code, "core sort", at=at)
    return r.SortIndex(at, CORE_SORTS[code], c.u32("index"))


def _sort_index(c: Cursor) -> r.SortIndex:
    at = c.pos
    kind = sort(c)
    return r.SortIndex(at, kind, c.u32(f"{kind.value} index"))


def _instance(c: Cursor) -> r.Definition:
    at = c.pos
    match c.byte("instance"):
        case 0x00:
            component = r.ComponentIndex(c.u32("component index"))
            args = [(c.name("argument name"), _sort_index(c)) for _ in range(c.count("instantiation arguments"))]
            return r.Instantiate(at, component, args)
        case 0x01:
            exports = [(extern_name(c), _sort_index(c)) for _ in range(c.count("instance exports"))]
            return r.InstanceFromExports(at, exports)
        case code:
            raise c.leading(code, "instance", at=at)


def _start(c: Cursor) -> r.Start:
    at = c.pos
    func = r.FuncIndex(c.u32("function index"))
    args = [r.ValueIndex(c.u32("value index")) for _ in range(c.count("start arguments"))]
    return r.Start(at, func, args, c.u32("number of results"))


def _import(c: Cursor) -> r.Import:
    at = c.pos
    name = extern_name(c)
    return r.Import(at, name, extern_type(c))


def _export(c: Cursor) -> r.Export:
    at = c.pos
    name = extern_name(c)
    item = _sort_index(c)
    return r.Export(at, name, item, extern_type(c) if c.flag("optional component export type") else None)


def _value(c: Cursor) -> r.Value:
    at = c.pos
    ty = valtype(c)
    size = c.u32("length of a value")
    if size > c.end - c.pos:
        raise c.error(f"unexpected end-of-file: a value of {size} bytes", expected="at most the bytes left")
    start = c.pos
    c.pos += size
    return r.Value(at, ty, start, c.pos)


# --- canonical definitions ---

# Opcode: name and immediates in order. The words are fields of CanonBuiltin; see _IMMEDIATES.
BUILTINS: dict[int, tuple[str, str]] = {
    0x02: ("resource.new", "type"),
    0x03: ("resource.drop", "type"),
    0x04: ("resource.rep", "type"),
    0x05: ("task.cancel", ""),
    0x06: ("subtask.cancel", "async_"),
    0x09: ("task.return", "result options"),
    0x0A: ("context.get", "core_valtype slot"),
    0x0B: ("context.set", "core_valtype slot"),
    0x0C: ("thread.yield", "cancellable"),
    0x0D: ("subtask.drop", ""),
    0x0E: ("stream.new", "type"),
    0x0F: ("stream.read", "type options"),
    0x10: ("stream.write", "type options"),
    0x11: ("stream.cancel-read", "type async_"),
    0x12: ("stream.cancel-write", "type async_"),
    0x13: ("stream.drop-readable", "type"),
    0x14: ("stream.drop-writable", "type"),
    0x15: ("future.new", "type"),
    0x16: ("future.read", "type options"),
    0x17: ("future.write", "type options"),
    0x18: ("future.cancel-read", "type async_"),
    0x19: ("future.cancel-write", "type async_"),
    0x1A: ("future.drop-readable", "type"),
    0x1B: ("future.drop-writable", "type"),
    0x1C: ("error-context.new", "options"),
    0x1D: ("error-context.debug-message", "options"),
    0x1E: ("error-context.drop", ""),
    0x1F: ("waitable-set.new", ""),
    0x20: ("waitable-set.wait", "cancellable memory"),
    0x21: ("waitable-set.poll", "cancellable memory"),
    0x22: ("waitable-set.drop", ""),
    0x23: ("waitable.join", ""),
    0x24: ("backpressure.inc", ""),
    0x25: ("backpressure.dec", ""),
    0x26: ("thread.index", ""),
    0x27: ("thread.new-indirect", "core_type table"),
    0x28: ("thread.resume-later", ""),
    0x29: ("thread.suspend", "cancellable"),
    0x2A: ("thread.suspend-then-resume", "cancellable"),
    0x2B: ("thread.yield-then-resume", "cancellable"),
    0x2C: ("thread.suspend-then-promote", "cancellable"),
    0x2D: ("thread.yield-then-promote", "cancellable"),
    0x40: ("thread.spawn-ref", "shared core_type"),
    0x41: ("thread.spawn-indirect", "shared core_type table"),
    0x42: ("thread.available-parallelism", "shared"),
}

_IMMEDIATES: dict[str, Callable[[Cursor], object]] = {
    "type": lambda c: c.u32("type index"),
    "core_type": lambda c: c.u32("core type index"),
    "core_valtype": core_valtype,
    "slot": lambda c: c.u32("context slot"),
    "table": lambda c: c.u32("core table index"),
    "memory": lambda c: c.u32("core memory index"),
    "options": lambda c: _options(c),
    "result": result_list,
    "async_": lambda c: c.flag("async"),
    "cancellable": lambda c: c.flag("cancellable"),
    "shared": lambda c: c.flag("shared"),
}


def _canon(c: Cursor) -> r.Definition:
    at = c.pos
    code = c.byte("canonical function")
    if code == 0x00:
        c.fixed(0x00, "canonical function lift")
        core_func = r.CoreFuncIndex(c.u32("core function index"))
        options = _options(c)
        return r.CanonLift(at, core_func, options, r.LocalTypeIndex(c.u32("type index")))
    if code == 0x01:
        c.fixed(0x00, "canonical function lower")
        func = r.FuncIndex(c.u32("function index"))
        return r.CanonLower(at, func, _options(c))
    row = BUILTINS.get(code)
    if row is None:
        raise c.leading(code, "canonical function", at=at)
    builtin = r.CanonBuiltin(at, row[0])
    for immediate in row[1].split():
        setattr(builtin, immediate, _IMMEDIATES[immediate](c))
    return builtin


_OPTION_FIELDS = {0x03: "memory", 0x04: "realloc", 0x05: "post_return", 0x07: "callback"}


def _options(c: Cursor) -> r.CanonOptions:
    options = r.CanonOptions(c.pos)
    for _ in range(c.count("canonical options")):
        at = c.pos
        code = c.byte("canonical option")
        if code <= 0x02:
            if options.string_encoding is not None:
                raise c.invalid(
                    f"canonical encoding option `{options.string_encoding.replace('+', '-')}` conflicts with option "
                    f"`{_ENCODINGS[code].replace('+', '-')}`",
                    at=at,
                )
            options.string_encoding = _ENCODINGS[code]
        elif code == 0x06:
            if options.async_:
                raise c.invalid("canonical option `async` is specified more than once", at=at)
            options.async_ = True
        elif code in _OPTION_FIELDS:
            field = _OPTION_FIELDS[code]
            if getattr(options, field) is not None:
                word = field.replace("_", "-")
                raise c.invalid(f"canonical option `{word}` is specified more than once", at=at)
            setattr(options, field, c.u32(f"index of {field}"))
        else:
            raise c.leading(code, "canonical option", at=at)
    return options


_VECTORS: dict[int, tuple[str, Callable[[Cursor], r.Definition]]] = {
    2: ("core instances", _core_instance),
    5: ("instances", _instance),
    6: ("aliases", alias),
    8: ("canonical definitions", _canon),
    10: ("imports", _import),
    11: ("exports", _export),
    12: ("values", _value),
}
