"""Compiles a component function's type into a plan: the flat array of nodes (include/wasmrt/abi.h) that lifts and lowers.

A plan knows layouts, field offsets, case tables and names, and nothing of an instance or a store: resources stay
ResourceIndex numbers. It is compiled once for a function of a component and shared by all instances. Rows are plain
tuples in the order of the C struct, so that `_native.abi.Plan` copies them without knowing a type; equal types of one
function share a node, children come before their parents.

Whether a variant is *bare* (the payload itself stands for it in Python) is decided here: its cases must lift to
disjoint kinds of Python values. Else it is always a `Variant(tag, payload)`.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

from wasmrt.errors import UnsupportedError
from wasmrt.spec import types as t
from wasmrt.spec._gen import abi_ops as ops
from wasmrt.spec.flatten import MAX_FLAT_ASYNC_PARAMS, MAX_FLAT_PARAMS, MAX_FLAT_RESULTS
from wasmrt.spec.layout import Layouts, flags_size

NO_NODE = 0xFFFFFFFF
NO_OBJECT = 0

ALLOCATES = 1
RESOURCES = 2
BORROWS = 4
SCALAR = 8
DOUBLES = 16
_INHERITED = ALLOCATES | RESOURCES | BORROWS

_KIND_BITS = {row.name: 1 << index for index, row in enumerate(ops.ABI_KIND)}
KIND_NONE = _KIND_BITS["NONE"]
KIND_BYTES = _KIND_BITS["BYTES"]


def _mask(kinds: str) -> int:
    return sum(_KIND_BITS[kind] for kind in kinds.split())


_MASKS = [(_mask(row.exact), _mask(row.loose)) for row in ops.ABI_OP]

_PRIMITIVE_OPS: dict[type, int] = {
    t.Bool: ops.ABI_OP_BOOL,
    t.S8: ops.ABI_OP_S8,
    t.U8: ops.ABI_OP_U8,
    t.S16: ops.ABI_OP_S16,
    t.U16: ops.ABI_OP_U16,
    t.S32: ops.ABI_OP_S32,
    t.U32: ops.ABI_OP_U32,
    t.S64: ops.ABI_OP_S64,
    t.U64: ops.ABI_OP_U64,
    t.F32: ops.ABI_OP_F32,
    t.F64: ops.ABI_OP_F64,
    t.Char: ops.ABI_OP_CHAR,
    t.String: ops.ABI_OP_STRING,
}
_BUFFER_ELEMENTS = frozenset(range(ops.ABI_OP_BOOL, ops.ABI_OP_F64 + 1))


class NodeRow(NamedTuple):
    """AbiNode, field by field."""

    op: int
    flags: int = 0
    disc_size: int = 0
    align: int = 1
    size: int = 0
    flat: int = 1
    first: int = 0
    num_fields: int = 0
    payload_offset: int = 0
    length: int = 0
    exact: int = 0
    loose: int = 0
    type: int = NO_OBJECT
    names: int = NO_OBJECT
    lookup: int = NO_OBJECT


class FieldRow(NamedTuple):
    """AbiField without its place, which is the record class's."""

    node: int
    offset: int = 0
    slot: int = 0


@dataclasses.dataclass
class PlanRows:
    """What `_native.abi.Plan` is made of. `objects[0]` is None. Parameters are fields `first_param` and following, laid
    out as the tuple that they become when they spill; `param_names` are WIT names."""

    nodes: list[NodeRow]
    fields: list[FieldRow]
    objects: list[Any]
    type: t.FuncType
    param_names: tuple[str, ...]
    param_lookup: dict[str, int]
    first_param: int
    params_flat: int
    params_size: int
    params_align: int
    params_flags: int
    result: int
    result_flat: int
    max_params: int = MAX_FLAT_PARAMS
    max_results: int = MAX_FLAT_RESULTS

    @property
    def params_spill(self) -> bool:
        return self.params_flat > self.max_params

    @property
    def result_spills(self) -> bool:
        return self.result_flat > self.max_results


def snake(name: str) -> str:
    """The Python spelling of a kebab-case name."""
    return name.replace("-", "_")


def lookup_table(names: tuple[str, ...]) -> dict[str, int]:
    """Index by WIT name, and by its Python spelling where that is free."""
    table = {name: index for index, name in enumerate(names)}
    for index, name in enumerate(names):
        table.setdefault(snake(name), index)
    return table


def compile_func(ty: t.FuncType, pointer_size: int = 4, *, async_lower: bool = False) -> PlanRows:
    """The plan of a function; `async_lower`: of one that a guest calls with the option `async`."""
    rows = _Compiler(pointer_size).func(ty)
    if async_lower:
        rows.max_params, rows.max_results = MAX_FLAT_ASYNC_PARAMS, 0
    return rows


class _Compiler:
    def __init__(self, pointer_size: int) -> None:
        if pointer_size != 4:
            raise UnsupportedError("canonical options with a 64-bit memory")
        self._layouts = Layouts(pointer_size)
        self._nodes: list[NodeRow] = []
        self._fields: list[FieldRow] = []
        self._objects: list[Any] = [None]
        self._memo: dict[t.AnyValType, int] = {}

    def func(self, ty: t.FuncType) -> PlanRows:
        types = tuple(param for _, param in ty.params)
        first, flat, flags = self._record_fields(types)
        layout = self._layouts.record(types)
        result, result_flat = NO_NODE, 0
        if ty.result is not None:
            result = self._node(ty.result)
            result_flat = self._nodes[result].flat
        names = tuple(name for name, _ in ty.params)
        return PlanRows(
            nodes=self._nodes,
            fields=self._fields,
            objects=self._objects,
            type=ty,
            param_names=names,
            param_lookup=lookup_table(names),
            first_param=first,
            params_flat=flat,
            params_size=layout.size,
            params_align=layout.align,
            params_flags=flags,
            result=result,
            result_flat=result_flat,
        )

    def _object(self, value: Any) -> int:
        self._objects.append(value)
        return len(self._objects) - 1

    def _node(self, ty: t.AnyValType) -> int:
        index = self._memo.get(ty)
        if index is None:
            row = self._row(ty)
            size, align = self._layouts.of(ty)
            exact, loose = (row.exact, row.loose) if row.exact else _MASKS[row.op]
            row = row._replace(size=size, align=align, exact=exact, loose=loose, type=self._object(ty))
            index = self._memo[ty] = len(self._nodes)
            self._nodes.append(row)
        return index

    def _row(self, ty: t.AnyValType) -> NodeRow:
        primitive = _PRIMITIVE_OPS.get(type(ty))
        if primitive is not None:
            if primitive == ops.ABI_OP_STRING:
                return NodeRow(primitive, ALLOCATES, flat=2)
            return NodeRow(primitive, SCALAR if primitive in _BUFFER_ELEMENTS else 0)
        match ty:
            case t.ListType():
                return self._list(ty)
            case t.MapType():
                pair = self._node(t.TupleType((ty.key, ty.value)))
                first = self._add_fields([FieldRow(pair)])
                return NodeRow(ops.ABI_OP_MAP, ALLOCATES | self._inherited([pair]), flat=2, first=first, num_fields=1)
            case t.RecordType():
                names = tuple(name for name, _ in ty.fields)
                first, flat, flags = self._record_fields(tuple(field for _, field in ty.fields))
                if all(isinstance(field, t.F64) for _, field in ty.fields):
                    flags |= DOUBLES
                spellings = self._object(names + tuple(map(snake, names)))
                return NodeRow(ops.ABI_OP_RECORD, flags, flat=flat, first=first, num_fields=len(names), names=spellings)
            case t.TupleType():
                first, flat, flags = self._record_fields(ty.elements)
                return NodeRow(ops.ABI_OP_TUPLE, flags, flat=flat, first=first, num_fields=len(ty.elements))
            case t.VariantType() | t.OptionType() | t.ResultType():
                return self._variant(ty)
            case t.EnumType():
                size = self._layouts.variant(ty).discriminant_size
                return self._labels(NodeRow(ops.ABI_OP_ENUM, disc_size=size, length=len(ty.names)), ty.names)
            case t.FlagsType():
                size = flags_size(len(ty.names))
                return self._labels(NodeRow(ops.ABI_OP_FLAGS, disc_size=size, length=len(ty.names)), ty.names)
            case t.OwnType():
                return NodeRow(ops.ABI_OP_OWN, RESOURCES, length=_resource(ty.ty))
            case t.BorrowType():
                return NodeRow(ops.ABI_OP_BORROW, RESOURCES | BORROWS, length=_resource(ty.ty))
            case t.StreamType() | t.FutureType() | t.ErrorContext():
                return NodeRow(ops.ABI_OP_CHANNEL, RESOURCES, length=NO_NODE)
        raise UnsupportedError(f"values of type `{str(ty)[:80]}`")

    def _labels(self, row: NodeRow, names: tuple[str, ...]) -> NodeRow:
        return row._replace(names=self._object(tuple(names)), lookup=self._object(lookup_table(tuple(names))))

    def _list(self, ty: t.ListType) -> NodeRow:
        element = self._node(ty.element)
        node = self._nodes[element]
        first = self._add_fields([FieldRow(element)])
        flags = self._inherited([element])
        is_bytes = node.op == ops.ABI_OP_U8
        if ty.length is None:
            op = ops.ABI_OP_BYTES if is_bytes else ops.ABI_OP_LIST
            return NodeRow(op, ALLOCATES | flags, flat=2, first=first, num_fields=1)
        exact, loose = _MASKS[ops.ABI_OP_BYTES if is_bytes else ops.ABI_OP_FIXED_LIST]
        flat = min(node.flat * ty.length, MAX_FLAT_PARAMS + 1)
        return NodeRow(
            ops.ABI_OP_FIXED_LIST,
            flags,
            flat=flat,
            first=first,
            num_fields=1,
            length=ty.length,
            exact=exact,
            loose=loose,
        )

    def _variant(self, ty: t.VariantType | t.OptionType | t.ResultType) -> NodeRow:
        layout = self._layouts.variant(ty)
        nodes = [NO_NODE if payload is None else self._node(payload) for _, payload in layout.cases]
        first = self._add_fields([FieldRow(node, layout.payload_offset, 1) for node in nodes])
        exact = loose = 0
        bare = True
        for node in nodes:
            kinds = KIND_NONE if node == NO_NODE else self._nodes[node].exact
            bare = bare and not exact & kinds
            exact |= kinds
            loose |= 0 if node == NO_NODE else self._nodes[node].loose
        op = ops.ABI_OP_VARIANT
        if bare:
            op = ops.ABI_OP_OPTION if isinstance(ty, t.OptionType) else ops.ABI_OP_BARE
        else:
            exact, loose = _MASKS[op]
        row = NodeRow(
            op,
            self._inherited(node for node in nodes if node != NO_NODE),
            layout.discriminant_size,
            flat=len(self._layouts.flatten(ty)),
            first=first,
            num_fields=len(nodes),
            payload_offset=layout.payload_offset,
            exact=exact,
            loose=loose & ~exact,
        )
        return self._labels(row, tuple(name for name, _ in layout.cases))

    def _record_fields(self, types: tuple[t.AnyValType, ...]) -> tuple[int, int, int]:
        """Index of the first field, flat count, inherited flags."""
        nodes = [self._node(ty) for ty in types]
        rows, slot = [], 0
        for node, offset in zip(nodes, self._layouts.record(types).offsets, strict=True):
            rows.append(FieldRow(node, offset, slot))
            slot = min(slot + self._nodes[node].flat, MAX_FLAT_PARAMS + 1)
        return self._add_fields(rows), slot, self._inherited(nodes)

    def _add_fields(self, rows: list[FieldRow]) -> int:
        first = len(self._fields)
        self._fields += rows
        return first

    def _inherited(self, nodes: Any) -> int:
        flags = 0
        for node in nodes:
            flags |= self._nodes[node].flags & _INHERITED
        return flags


def _resource(index: Any) -> int:
    assert isinstance(index, int), "a plan is compiled from a type whose resources are indices"
    return index
