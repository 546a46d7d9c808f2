"""Types of core WebAssembly as Python sees them: value types are packed 32-bit words, the same words that the C
side uses (`wr_valtype` in include/wasmrt/wasmrt.h): {kind, nullable, heap type or type index}.
"""

from __future__ import annotations

import msgspec

from .valtypes import VALTYPE_F32, VALTYPE_F64, VALTYPE_I32, VALTYPE_I64, valtype_str

__all__ = [
    "VALTYPE_F32",
    "VALTYPE_F64",
    "VALTYPE_I32",
    "VALTYPE_I64",
    "CoreExternType",
    "CoreFuncType",
    "GlobalType",
    "MemoryType",
    "TableType",
    "TagType",
    "core_extern_str",
    "valtype_str",
]


class CoreFuncType(msgspec.Struct, frozen=True, cache_hash=True, tag="core-func"):
    """A core signature: packed value type words."""

    params: tuple[int, ...] = ()
    results: tuple[int, ...] = ()

    def __str__(self) -> str:
        params = " ".join(map(valtype_str, self.params))
        results = " ".join(map(valtype_str, self.results))
        return f"[{params}] -> [{results}]"


class TableType(msgspec.Struct, frozen=True, tag="table"):
    """`element` is a packed reference type; `max` is None when there is none."""

    element: int
    min: int
    max: int | None = None
    is_64: bool = False
    shared: bool = False


class MemoryType(msgspec.Struct, frozen=True, tag="memory"):
    """Limits in pages of `1 << page_size_log2` bytes."""

    min: int
    max: int | None = None
    is_64: bool = False
    shared: bool = False
    page_size_log2: int = 16


class GlobalType(msgspec.Struct, frozen=True, tag="global"):
    content: int
    mutable: bool = False


class TagType(msgspec.Struct, frozen=True, tag="tag"):
    """An exception tag; its signature has no results."""

    signature: CoreFuncType


CoreExternType = CoreFuncType | TableType | MemoryType | GlobalType | TagType

CORE_KIND_NAMES = {CoreFuncType: "func", TableType: "table", MemoryType: "memory", GlobalType: "global", TagType: "tag"}


def core_extern_str(ty: CoreExternType) -> str:
    """One line for error messages and for printing a module's type."""
    if isinstance(ty, CoreFuncType):
        return f"func {ty}"
    if isinstance(ty, GlobalType):
        return f"global {'mut ' if ty.mutable else ''}{valtype_str(ty.content)}"
    if isinstance(ty, TagType):
        return f"tag {ty.signature}"
    limits = f"{ty.min}" if ty.max is None else f"{ty.min} {ty.max}"
    flags = (" i64" if ty.is_64 else "") + (" shared" if ty.shared else "")
    if isinstance(ty, MemoryType):
        page = "" if ty.page_size_log2 == 16 else f" (pagesize {1 << ty.page_size_log2})"
        return f"memory{flags} {limits}{page}"
    return f"table{flags} {limits} {valtype_str(ty.element)}"
