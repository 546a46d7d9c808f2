"""A reader of core modules for tests of the translator: imports and exports with their types, nothing else checked.

The product's reader is in C; this one lets the translator be tested without a build.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from wasmrt.binary import type_decoder as td
from wasmrt.binary.cursor import Cursor
from wasmrt.binary.records import CoreFuncRef
from wasmrt.spec.core_types import CoreExternType, CoreFuncType, GlobalType, TagType

_CONST_IMMEDIATES = {0x41: 1, 0x42: 1, 0xD2: 1, 0x23: 1, 0xD0: 1}


@dataclass
class View:
    imports: list[tuple[str, str, CoreExternType]] = field(default_factory=list)
    exports: list[tuple[str, CoreExternType, int]] = field(default_factory=list)


def read_core_module(data: memoryview) -> View:
    view = View()
    c = Cursor(data, 8, len(data))
    types: list[object] = []
    spaces: dict[int, list[CoreExternType]] = {k: [] for k in range(5)}

    def func(index: int) -> CoreFuncType:
        ty = types[index]
        assert isinstance(ty, CoreFuncType)
        return ty

    while c.pos < c.end:
        code = c.byte("section")
        size = c.u32("size")
        end = c.pos + size
        if code == 1:
            for _ in range(c.u32("types")):
                if c.data[c.pos] == 0x4E:
                    c.pos += 1
                    types += [td._core_subtype(c) for _ in range(c.u32("types"))]
                else:
                    types.append(td._core_subtype(c))
        elif code == 2:
            for _ in range(c.u32("imports")):
                module, name = c.name("module"), c.name("name")
                kind = c.data[c.pos]
                ty = td._core_extern(c)
                if isinstance(ty, CoreFuncRef):
                    signature = func(ty.type)
                    ty = TagType(signature) if ty.is_tag else signature
                view.imports.append((module, name, ty))
                spaces[kind].append(ty)
        elif code == 3:
            spaces[0] += [func(c.u32("type")) for _ in range(c.u32("functions"))]
        elif code == 4:
            for _ in range(c.u32("tables")):
                init = c.data[c.pos] == 0x40
                if init:
                    c.pos += 2
                element = td._reftype(c)
                minimum, maximum, is_64, shared, _ = td._limits(c, memory=False)
                spaces[1].append(td.TableType(element, minimum, maximum, is_64, shared))
                if init:
                    _skip_const(c)
        elif code == 5:
            spaces[2] += [td.MemoryType(*td._limits(c, memory=True)) for _ in range(c.u32("memories"))]
        elif code == 6:
            for _ in range(c.u32("globals")):
                content = td.core_valtype(c)
                spaces[3].append(GlobalType(content, c.flag("mutable")))
                _skip_const(c)
        elif code == 13:
            for _ in range(c.u32("tags")):
                c.byte("attribute")
                spaces[4].append(TagType(func(c.u32("type"))))
        elif code == 7:
            for _ in range(c.u32("exports")):
                name = c.name("name")
                kind = c.byte("kind")
                index = c.u32("index")
                view.exports.append((name, spaces[kind][index], index))
        c.pos = end
    return view


def _skip_const(c: Cursor) -> None:
    while (op := c.byte("opcode")) != 0x0B:
        if op == 0x43:
            c.pos += 4
        elif op == 0x44:
            c.pos += 8
        elif op in _CONST_IMMEDIATES:
            while c.byte("immediate") & 0x80:
                pass
