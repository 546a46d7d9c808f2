"""The types that a component's records refer to by TypeIndex.

A table is a list of rows; a row is a tag and, for each part, a name, a number or the index of an *earlier* row, so
equal subtrees are stored once and a type of a million tree nodes stays as small as it was in the binary. Rows are
plain lists for msgpack. They are built into type objects only when asked for: loading an artifact costs nothing for
types that nobody looks at.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wasmrt.errors import ArtifactError
from wasmrt.spec import types as t
from wasmrt.spec.core_types import CoreFuncType, GlobalType, MemoryType, TableType, TagType

from .info import TypeIndex

AnyType = t.AnyValType | t.ComponentItem | TableType | MemoryType | GlobalType | TagType
Row = list[Any]

_PRIMITIVES: dict[str, t.AnyValType] = {str(ty): ty for ty in t.PRIMITIVES}
_OPTIONAL: dict[str, Any] = {"result": t.ResultType, "stream": t.StreamType, "future": t.FutureType}
_CORE: dict[str, Any] = {"table": TableType, "memory": MemoryType, "global": GlobalType}


class ComponentTypes:
    """`types[index]` is the type object, `types.intern(ty)` the index of a type, `types.rows` what to serialize."""

    def __init__(self, rows: list[Row] | None = None) -> None:
        self.rows: list[Row] = [] if rows is None else rows
        self._objects: list[Any] = [None] * len(self.rows)
        self._indices: dict[Any, int] = {}

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: TypeIndex) -> Any:
        found = self._objects[index]
        if found is None:
            try:
                found = self._objects[index] = self._build(self.rows[index], index)
            except (LookupError, TypeError, ValueError, RecursionError) as error:
                raise ArtifactError(f"type row {index} is damaged ({error})") from None
        return found

    def func(self, index: TypeIndex) -> t.FuncType:
        ty = self[index]
        assert isinstance(ty, t.FuncType)
        return ty

    def intern(self, ty: AnyType) -> TypeIndex:
        index = self._indices.get(ty)
        if index is None:
            row = self._row(ty)
            index = len(self.rows)
            self.rows.append(row)
            self._objects.append(ty)
            self._indices[ty] = index
        return TypeIndex(index)

    def _optional(self, ty: AnyType | None) -> int:
        return -1 if ty is None else self.intern(ty)

    def _pairs(self, pairs: tuple[tuple[str, Any], ...]) -> list[list[Any]]:
        return [[name, self._optional(ty)] for name, ty in pairs]

    def _row(self, ty: AnyType) -> Row:
        match ty:
            case t.ListType():
                return ["list", self.intern(ty.element), ty.length]
            case t.MapType():
                return ["map", self.intern(ty.key), self.intern(ty.value)]
            case t.RecordType():
                return ["record", self._pairs(ty.fields)]
            case t.TupleType():
                return ["tuple", [self.intern(e) for e in ty.elements]]
            case t.VariantType():
                return ["variant", self._pairs(ty.cases)]
            case t.EnumType():
                return ["enum", list(ty.names)]
            case t.FlagsType():
                return ["flags", list(ty.names)]
            case t.OptionType():
                return ["option", self.intern(ty.payload)]
            case t.ResultType():
                return ["result", self._optional(ty.ok), self._optional(ty.err)]
            case t.StreamType():
                return ["stream", self._optional(ty.payload)]
            case t.FutureType():
                return ["future", self._optional(ty.payload)]
            case t.OwnType():
                return ["own", _resource_row(ty.ty)]
            case t.BorrowType():
                return ["borrow", _resource_row(ty.ty)]
            case t.ResourceItem():
                return ["resource", _resource_row(ty.ty)]
            case t.FuncType():
                return ["func", self._pairs(ty.params), self._optional(ty.result), ty.async_]
            case t.TypeItem():
                return ["type", self.intern(ty.ty)]
            case t.ComponentInstanceType():
                return ["instance", self._pairs(ty.exports)]
            case t.ComponentType():
                return ["component", self._pairs(ty.imports), self._pairs(ty.exports)]
            case t.ModuleType():
                imports = [[module, name, self.intern(item)] for module, name, item in ty.imports]
                return ["module", imports, self._pairs(ty.exports)]
            case CoreFuncType():
                return ["core-func", list(ty.params), list(ty.results)]
            case TableType():
                return ["table", ty.element, ty.min, ty.max, ty.is_64, ty.shared]
            case MemoryType():
                return ["memory", ty.min, ty.max, ty.is_64, ty.shared, ty.page_size_log2]
            case GlobalType():
                return ["global", ty.content, ty.mutable]
            case TagType():
                return ["tag", self.intern(ty.signature)]
        return [str(ty)]

    def _build(self, row: Row, bound: int) -> Any:
        tag = row[0]
        plain = _PRIMITIVES.get(tag)
        if plain is not None:
            return plain

        def part(index: int) -> Any:
            if not 0 <= index < bound:
                raise ArtifactError(f"type row {bound} refers to row {index}")
            return self[TypeIndex(index)]

        def optional(index: int) -> Any:
            return None if index == -1 else part(index)

        def pairs(rows: list[list[Any]], each: Callable[[int], Any] = part) -> tuple[tuple[str, Any], ...]:
            return tuple((name, each(index)) for name, index in rows)

        match tag:
            case "list":
                return t.ListType(part(row[1]), row[2])
            case "map":
                return t.MapType(part(row[1]), part(row[2]))
            case "record":
                return t.RecordType(pairs(row[1]))
            case "tuple":
                return t.TupleType(tuple(map(part, row[1])))
            case "variant":
                return t.VariantType(pairs(row[1], optional))
            case "enum":
                return t.EnumType(tuple(row[1]))
            case "flags":
                return t.FlagsType(tuple(row[1]))
            case "option":
                return t.OptionType(part(row[1]))
            case "result" | "stream" | "future":
                return _OPTIONAL[tag](*map(optional, row[1:]))
            case "own":
                return t.OwnType(_resource(row[1]))
            case "borrow":
                return t.BorrowType(_resource(row[1]))
            case "resource":
                return t.ResourceItem(_resource(row[1]))
            case "func":
                return t.FuncType(pairs(row[1]), optional(row[2]), row[3])
            case "type":
                return t.TypeItem(part(row[1]))
            case "instance":
                return t.ComponentInstanceType(pairs(row[1]))
            case "component":
                return t.ComponentType(pairs(row[1]), pairs(row[2]))
            case "module":
                return t.ModuleType(tuple((m, n, part(i)) for m, n, i in row[1]), pairs(row[2]))
            case "core-func":
                return CoreFuncType(tuple(row[1]), tuple(row[2]))
            case "table" | "memory" | "global":
                return _CORE[tag](*row[1:])
            case "tag":
                return TagType(part(row[1]))
        raise ArtifactError(f"type row {bound} has the unknown tag {tag!r}")


def _resource_row(resource: Any) -> Any:
    if isinstance(resource, t.AbstractResource):
        return [resource.index, resource.name]
    assert isinstance(resource, int), "only the translator's own references are stored"
    return resource


def _resource(row: Any) -> Any:
    return t.ResourceIndex(row) if isinstance(row, int) else t.AbstractResource(row[0], row[1])
