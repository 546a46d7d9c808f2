"""Index spaces and names of one component, component type or instance type while it is validated.

A scope's `types` space exists for all three kinds; the others grow only where they can be used. `named` holds the type
nodes that an export may refer to, `named_imports` those that an import may.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeVar

from wasmrt.binary.records import CoreCompositeType, Sort
from wasmrt.errors import ValidationError
from wasmrt.spec.core_types import CoreExternType, CoreFuncType, GlobalType, MemoryType, TableType, TagType
from wasmrt.spec.types import AbstractResource

from .type_nodes import (
    ComponentNode,
    FuncNode,
    InstanceNode,
    Item,
    Items,
    ModuleNode,
    ResourceNode,
    TypeNode,
    ValueNode,
)

T = TypeVar("T")
CoreTypeEntry = CoreFuncType | CoreCompositeType | ModuleNode
CoreExports = dict[str, CoreExternType]
ScopeKind = Literal["component", "component type", "instance type"]


class Names:
    """The names of the imports, or of the exports, of one scope."""

    __slots__ = ("resources", "unique")

    def __init__(self) -> None:
        self.unique: dict[str, str] = {}
        self.resources: dict[TypeNode, str] = {}


class Scope:
    def __init__(self, kind: ScopeKind, parent: Scope | None, path: str) -> None:
        self.kind = kind
        self.parent = parent
        self.path = path
        self.core_funcs: list[CoreFuncType] = []
        self.core_tables: list[TableType] = []
        self.core_memories: list[MemoryType] = []
        self.core_globals: list[GlobalType] = []
        self.core_tags: list[TagType] = []
        self.core_types: list[CoreTypeEntry] = []
        self.core_instances: list[CoreExports] = []
        self.modules: list[ModuleNode] = []
        self.funcs: list[FuncNode] = []
        self.types: list[TypeNode] = []
        self.components: list[ComponentNode] = []
        self.instances: list[InstanceNode] = []
        self.imports: Items = {}
        self.exports: Items = {}
        self.import_names = Names()
        self.export_names = Names()
        self.named_imports: set[TypeNode] = set()
        self.named: set[TypeNode] = set()
        self.import_bound: set[AbstractResource] = set()
        self.defined: set[AbstractResource] = set()  # introduced here by anything but an import
        self.local: dict[AbstractResource, int] = {}  # defined here, with the type of their representation
        self.nested = 0

    def invalid(self, message: str, offset: int) -> ValidationError:
        return ValidationError(message, offset=offset, path=self.path)

    def get(self, space: Sequence[T], index: int, what: str, offset: int) -> T:
        if index >= len(space):
            raise self.invalid(f"unknown {what} {index}: {what} index out of bounds", offset)
        return space[index]

    def type(self, index: int, offset: int) -> TypeNode:
        return self.get(self.types, index, "type", offset)

    def value_type(self, index: int, offset: int) -> ValueNode:
        node = self.type(index, offset)
        if not isinstance(node, ValueNode):
            raise self.invalid(f"type index {index} is not a defined type", offset)
        return node

    def resource(self, index: int, offset: int) -> ResourceNode:
        node = self.type(index, offset)
        if not isinstance(node, ResourceNode):
            raise self.invalid(f"type index {index} is not a resource type", offset)
        return node

    def func_type(self, index: int, offset: int) -> FuncNode:
        node = self.type(index, offset)
        if not isinstance(node, FuncNode):
            raise self.invalid(f"type index {index} is not a function type", offset)
        return node

    def core_func_type(self, index: int, offset: int) -> CoreFuncType:
        entry = self.get(self.core_types, index, "type", offset)
        if not isinstance(entry, CoreFuncType):
            raise self.invalid(f"core type index {index} is not a function type", offset)
        return entry

    def item(self, sort: Sort, index: int, offset: int) -> Item:
        """What an index of a component-level sort refers to."""
        match sort:
            case Sort.CORE_MODULE:
                return Item(sort, self.get(self.modules, index, "module", offset))
            case Sort.FUNC:
                return Item(sort, self.get(self.funcs, index, "function", offset))
            case Sort.TYPE:
                return Item(sort, self.type(index, offset))
            case Sort.COMPONENT:
                return Item(sort, self.get(self.components, index, "component", offset))
            case Sort.INSTANCE:
                return Item(sort, self.get(self.instances, index, "instance", offset))
        raise self.invalid(f"a {sort.value} cannot be imported, exported or passed here", offset)

    def core_item(self, sort: Sort, index: int, offset: int) -> CoreExternType:
        match sort:
            case Sort.CORE_FUNC:
                return self.get(self.core_funcs, index, "function", offset)
            case Sort.CORE_TABLE:
                return self.get(self.core_tables, index, "table", offset)
            case Sort.CORE_MEMORY:
                return self.get(self.core_memories, index, "memory", offset)
            case Sort.CORE_GLOBAL:
                return self.get(self.core_globals, index, "global", offset)
            case Sort.CORE_TAG:
                return self.get(self.core_tags, index, "tag", offset)
        raise self.invalid(f"a {sort.value} cannot be exported from a core instance", offset)

    def push(self, item: Item) -> None:
        """Adds an imported, exported or aliased item to its index space."""
        node = item.node
        match item.sort:
            case Sort.CORE_MODULE:
                assert isinstance(node, ModuleNode)
                self.modules.append(node)
            case Sort.FUNC:
                assert isinstance(node, FuncNode)
                self.funcs.append(node)
            case Sort.TYPE:
                self.types.append(node)
            case Sort.COMPONENT:
                assert isinstance(node, ComponentNode)
                self.components.append(node)
            case Sort.INSTANCE:
                assert isinstance(node, InstanceNode)
                self.instances.append(node)

    def push_core(self, ty: CoreExternType) -> None:
        match ty:
            case CoreFuncType():
                self.core_funcs.append(ty)
            case TableType():
                self.core_tables.append(ty)
            case MemoryType():
                self.core_memories.append(ty)
            case GlobalType():
                self.core_globals.append(ty)
            case TagType():
                self.core_tags.append(ty)


CORE_SORT_TYPES: dict[Sort, type] = {
    Sort.CORE_FUNC: CoreFuncType,
    Sort.CORE_TABLE: TableType,
    Sort.CORE_MEMORY: MemoryType,
    Sort.CORE_GLOBAL: GlobalType,
    Sort.CORE_TAG: TagType,
}
