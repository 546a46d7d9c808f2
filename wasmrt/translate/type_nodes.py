"""Types as validation needs them: with identity.

The component model compares value types by structure, but its rule of external visibility is about *which* definition a
function refers to: a record is usable in an export only through the index that an import or export of it created. So
every type definition, import and export makes its own node here, and nodes are compared by identity where names
matter, while `val` (the public, structural type) is compared where structure matters. Resource types have two
identities: the AbstractResource says which resource it is, the node which name it was reached by.

Nodes are immutable. Substitution (freshening bound resources, renaming on export, instantiation) rebuilds only what
changes; the total work of one translation is limited by its Budget, since types are DAGs that a hostile binary can make
expand without bound.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeAlias

from wasmrt.binary.records import Sort
from wasmrt.spec import limits
from wasmrt.spec import types as t
from wasmrt.spec.types import AbstractResource

_NO_NODES: frozenset[TypeNode] = frozenset()
_NO_RESOURCES: frozenset[AbstractResource] = frozenset()


class TooBigError(Exception):
    """A type exceeds a limit of ours; the caller, who knows the offset, turns it into a LimitError."""


class InvalidTypeError(Exception):
    """A type breaks a rule; the caller, who knows the offset, turns it into a ValidationError."""


class TypeNode:
    """Base. `size` is the number of nodes of the type as a tree, `free` the resources it refers to without binding."""

    __slots__ = ("depth", "free", "size")

    depth: int
    size: int
    free: frozenset[AbstractResource]

    def _measure(self, parts: Iterable[TypeNode]) -> None:
        depth, size = 0, 1
        free = _NO_RESOURCES
        for part in parts:
            depth = max(depth, part.depth)
            size += part.size
            if part.free and not part.free <= free:
                free = free | part.free
        self.depth, self.size, self.free = depth + 1, size, free
        if depth >= limits.COMPONENT_TYPE_DEPTH:
            raise TooBigError(f"type nesting is too deep, the limit is {limits.COMPONENT_TYPE_DEPTH}")
        if size > limits.COMPONENT_TYPE_SIZE:
            raise TooBigError(f"effective type size exceeds the limit of {limits.COMPONENT_TYPE_SIZE} nodes")


class ResourceNode(TypeNode):
    __slots__ = ("resource",)

    def __init__(self, resource: AbstractResource) -> None:
        self.resource = resource
        self.depth = self.size = 1
        self.free = frozenset((resource,))


class ValueNode(TypeNode):
    """A value type. `parts` are the nodes of its component types in the order of `val`, None for a missing payload."""

    __slots__ = ("align64", "bytes64", "has_borrow", "has_pointer", "inner_refs", "nameable", "parts", "val")

    has_borrow: bool
    has_pointer: bool

    def __init__(self, val: t.AnyValType, parts: tuple[TypeNode | None, ...]) -> None:
        self.val = val
        self.parts = parts
        present = [p for p in parts if p is not None]
        self._measure(present)
        self.nameable = isinstance(val, (t.RecordType, t.VariantType, t.EnumType, t.FlagsType))
        refs = _NO_NODES
        borrow: bool = isinstance(val, t.BorrowType)
        pointer: bool = isinstance(val, (t.String, t.MapType)) or (isinstance(val, t.ListType) and val.length is None)
        for part in present:
            if isinstance(part, ValueNode):
                refs |= part.refs
                borrow |= part.has_borrow
                pointer |= part.has_pointer
            else:
                refs |= {part}
        self.inner_refs = refs
        self.has_borrow = borrow
        # a stream or future is a handle, whatever it carries
        self.has_pointer = pointer and not isinstance(val, (t.StreamType, t.FutureType))
        self.align64, self.bytes64 = _layout64(self)

    @property
    def refs(self) -> frozenset[TypeNode]:
        """The nearest nodes that must have a name where this type is used in an import or export."""
        return frozenset((self,)) if self.nameable else self.inner_refs


class FuncNode(TypeNode):
    __slots__ = ("params", "refs", "result", "val")

    def __init__(self, params: tuple[tuple[str, ValueNode], ...], result: ValueNode | None, async_: bool) -> None:
        self.params = params
        self.result = result
        self.val = t.FuncType(tuple((n, p.val) for n, p in params), None if result is None else result.val, async_)
        parts = [p for _, p in params] + ([] if result is None else [result])
        self._measure(parts)
        refs = _NO_NODES
        for part in parts:
            refs |= part.refs
        self.refs = refs


class Item(NamedTuple):
    """Something with a type in a component index space. `node` is a FuncNode for functions, ModuleNode, ComponentNode,
    InstanceNode, for Sort.TYPE any node, for Sort.VALUE a ValueNode."""

    sort: Sort
    node: TypeNode


class ModuleNode(TypeNode):
    __slots__ = ("val",)

    def __init__(self, val: t.ModuleType) -> None:
        self.val = val
        self.depth = 1
        self.size = 1 + len(val.imports) + len(val.exports)
        self.free = _NO_RESOURCES


Items: TypeAlias = dict[str, Item]


class InstanceNode(TypeNode):
    """`bound` are the resources that the type introduces; each use of the type replaces them by fresh ones."""

    __slots__ = ("bound", "exports")

    def __init__(self, exports: Items, bound: frozenset[AbstractResource] = _NO_RESOURCES) -> None:
        self.exports = exports
        self.bound = bound
        self._measure(item.node for item in exports.values())
        if bound:
            self.free = self.free - bound


class ComponentNode(TypeNode):
    """`import_bound` are resources that its imports introduce, `export_bound` those that its exports do."""

    __slots__ = ("export_bound", "exports", "import_bound", "imports")

    def __init__(
        self,
        imports: Items,
        exports: Items,
        import_bound: frozenset[AbstractResource],
        export_bound: frozenset[AbstractResource],
    ) -> None:
        self.imports = imports
        self.exports = exports
        self.import_bound = import_bound
        self._measure(item.node for items in (imports, exports) for item in items.values())
        self.export_bound = export_bound & self.free
        self.free = self.free - import_bound - export_bound


PRIMITIVE_NODES: Mapping[t.AnyValType, ValueNode] = {}


def primitive_node(ty: t.AnyValType) -> ValueNode:
    return PRIMITIVE_NODES[ty]


# --- the size rule -----------------------------------------------------------------------------------------------

MAX_VALUE_BYTES = 1 << 28

_SCALAR_BYTES: dict[type, int] = {
    t.Bool: 1,
    t.U8: 1,
    t.S8: 1,
    t.U16: 2,
    t.S16: 2,
    t.U32: 4,
    t.S32: 4,
    t.U64: 8,
    t.S64: 8,
    t.F32: 4,
    t.F64: 8,
    t.Char: 4,
    t.ErrorContext: 4,
    t.OwnType: 4,
    t.BorrowType: 4,
    t.StreamType: 4,
    t.FutureType: 4,
}


def _align_to(value: int, alignment: int) -> int:
    return -(-value // alignment) * alignment


def _layout64(node: ValueNode) -> tuple[int, int]:
    """Alignment and elem_size with 64-bit pointers: validation bounds the latter for every type."""
    val = node.val
    scalar = _SCALAR_BYTES.get(type(val))
    if scalar is not None:
        return scalar, scalar
    match val:
        case t.String() | t.MapType() | t.ListType(length=None):
            return 8, 16
        case t.FlagsType():
            size = 1 if len(val.names) <= 8 else 2 if len(val.names) <= 16 else 4
            return size, size
        case t.EnumType():
            size = _discriminant_bytes(len(val.names))
            return size, size
    parts = [p for p in node.parts if isinstance(p, ValueNode)]
    alignment = max((p.align64 for p in parts), default=1)
    if isinstance(val, t.ListType):
        assert val.length is not None
        return alignment, _limited(val.length * parts[0].bytes64)
    if isinstance(val, (t.RecordType, t.TupleType)):
        size = 0
        for part in parts:
            size = _align_to(size, part.align64) + part.bytes64
        return alignment, _limited(_align_to(size, alignment))
    assert isinstance(val, (t.VariantType, t.OptionType, t.ResultType))
    discriminant = _discriminant_bytes(len(val.cases) if isinstance(val, t.VariantType) else 2)
    size = _align_to(discriminant, alignment) + max((p.bytes64 for p in parts), default=0)
    alignment = max(alignment, discriminant)
    return alignment, _limited(_align_to(size, alignment))


def _discriminant_bytes(cases: int) -> int:
    return 1 if cases <= 1 << 8 else 2 if cases <= 1 << 16 else 4


def _limited(size: int) -> int:
    if size >= MAX_VALUE_BYTES:
        raise InvalidTypeError(f"type exceeds maximum byte size of {MAX_VALUE_BYTES - 1}")
    return size


# --- substitution ------------------------------------------------------------------------------------------------


class Budget:
    """Bounds the work of one translation."""

    __slots__ = ("left",)

    def __init__(self, steps: int = limits.COMPONENT_STEPS) -> None:
        self.left = steps

    def spend(self, steps: int = 1) -> None:
        self.left -= steps
        if self.left < 0:
            raise TooBigError(f"component is too complex: more than {limits.COMPONENT_STEPS} steps to check its types")


class Substitution:
    """Replaces resources and nodes, sharing results; what does not change comes back as the same object."""

    __slots__ = ("budget", "nodes", "resources")

    def __init__(self, budget: Budget, resources: dict[AbstractResource, AbstractResource] | None = None) -> None:
        self.budget = budget
        self.resources = {} if resources is None else resources
        self.nodes: dict[TypeNode, TypeNode] = {}

    def item(self, item: Item) -> Item:
        node = self.node(item.node)
        return item if node is item.node else Item(item.sort, node)

    def items(self, items: Items) -> Items:
        return {name: self.item(item) for name, item in items.items()}

    def node(self, node: TypeNode) -> TypeNode:
        new = self.nodes.get(node)
        if new is None:
            self.budget.spend()
            new = self.nodes[node] = self._rebuilt(node)
        return new

    def value(self, node: ValueNode) -> ValueNode:
        new = self.node(node)
        assert isinstance(new, ValueNode)
        return new

    def _rebuilt(self, node: TypeNode) -> TypeNode:
        match node:
            case ResourceNode():
                resource = self.resources.get(node.resource)
                return node if resource is None else ResourceNode(resource)
            case ValueNode():
                if not node.inner_refs and not node.free:
                    return node
                parts = tuple(None if p is None else self.node(p) for p in node.parts)
                if all(new is old for new, old in zip(parts, node.parts, strict=True)):
                    return node
                return ValueNode(rebuild_val(node.val, parts), parts)
            case FuncNode():
                params = tuple((n, self.value(p)) for n, p in node.params)
                result = None if node.result is None else self.value(node.result)
                if result is node.result and all(a[1] is b[1] for a, b in zip(params, node.params, strict=True)):
                    return node
                return FuncNode(params, result, node.val.async_)
            case InstanceNode():
                exports = self.items(node.exports)
                if all(exports[n] is node.exports[n] for n in exports):
                    return node
                return InstanceNode(exports, node.bound)
            case ComponentNode():
                imports, exports = self.items(node.imports), self.items(node.exports)
                if all(imports[n] is node.imports[n] for n in imports) and all(
                    exports[n] is node.exports[n] for n in exports
                ):
                    return node
                return ComponentNode(imports, exports, node.import_bound, node.export_bound)
        return node

    def clone_type(self, node: TypeNode) -> TypeNode:
        """A new identity for an exported or imported type; references to the old node are redirected to it."""
        new = self.node(node)
        match new:
            case ResourceNode():
                copy: TypeNode = ResourceNode(new.resource)
            case ValueNode():
                copy = ValueNode(new.val, new.parts)
            case FuncNode():
                copy = FuncNode(new.params, new.result, new.val.async_)
            case InstanceNode():
                copy = InstanceNode(new.exports, new.bound)
            case ComponentNode():
                copy = ComponentNode(new.imports, new.exports, new.import_bound, new.export_bound)
            case _:
                return new
        self.nodes[node] = copy
        return copy


def rebuild_val(val: t.AnyValType, parts: tuple[TypeNode | None, ...]) -> t.AnyValType:
    """`val` with its component types replaced by those of `parts`."""

    def ref(i: int) -> t.AnyValType:
        part = parts[i]
        assert isinstance(part, ValueNode)
        return part.val

    def optional(i: int) -> t.AnyValType | None:
        return None if parts[i] is None else ref(i)

    match val:
        case t.ListType():
            return t.ListType(ref(0), val.length)
        case t.MapType():
            return t.MapType(ref(0), ref(1))
        case t.RecordType():
            return t.RecordType(tuple((f[0], ref(i)) for i, f in enumerate(val.fields)))
        case t.TupleType():
            return t.TupleType(tuple(ref(i) for i in range(len(parts))))
        case t.VariantType():
            return t.VariantType(tuple((c[0], optional(i)) for i, c in enumerate(val.cases)))
        case t.OptionType():
            return t.OptionType(ref(0))
        case t.ResultType():
            return t.ResultType(optional(0), optional(1))
        case t.StreamType() | t.FutureType():
            return type(val)(optional(0))
        case t.OwnType() | t.BorrowType():
            part = parts[0]
            assert isinstance(part, ResourceNode)
            return type(val)(part.resource)
    return val


PRIMITIVE_NODES = {ty: ValueNode(ty, ()) for ty in t.PRIMITIVES}


# --- to public types -----------------------------------------------------------------------------------------------


def public_item(item: Item) -> t.ComponentItem:
    """The public type of an item; resources stay abstract."""
    node = item.node
    if item.sort is Sort.TYPE:
        if isinstance(node, ResourceNode):
            return t.ResourceItem(node.resource)
        public = public_type(node)
        assert not isinstance(public, t.ModuleType)
        return t.TypeItem(public)
    public = public_type(node)
    assert isinstance(public, (t.FuncType, t.ModuleType, t.ComponentInstanceType, t.ComponentType))
    return public


def public_type(
    node: TypeNode,
) -> t.AnyValType | t.FuncType | t.ModuleType | t.ComponentInstanceType | t.ComponentType:
    match node:
        case ValueNode() | FuncNode() | ModuleNode():
            return node.val
        case InstanceNode():
            return t.ComponentInstanceType(public_items(node.exports))
        case ComponentNode():
            return t.ComponentType(public_items(node.imports), public_items(node.exports))
    raise AssertionError(f"no public type: {node!r}")


def public_items(items: Items) -> tuple[tuple[str, t.ComponentItem], ...]:
    return tuple((name, public_item(item)) for name, item in items.items() if item.sort is not Sort.VALUE)
