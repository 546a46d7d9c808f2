"""The decoded form of a component: one plain record a definition, in the order of the binary.

Indices are as written, unchecked. Every record knows the absolute byte offset where it starts, for error messages.
A value type in a definition is either a primitive (a type object) or a type index (int).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import NewType

from wasmrt.spec import types as t
from wasmrt.spec.core_types import CoreFuncType, GlobalType, MemoryType, TableType

CoreFuncIndex = NewType("CoreFuncIndex", int)
CoreMemoryIndex = NewType("CoreMemoryIndex", int)
CoreTableIndex = NewType("CoreTableIndex", int)
CoreTypeIndex = NewType("CoreTypeIndex", int)
CoreModuleIndex = NewType("CoreModuleIndex", int)
CoreInstanceIndex = NewType("CoreInstanceIndex", int)
FuncIndex = NewType("FuncIndex", int)
LocalTypeIndex = NewType("LocalTypeIndex", int)
ComponentIndex = NewType("ComponentIndex", int)
InstanceIndex = NewType("InstanceIndex", int)
ValueIndex = NewType("ValueIndex", int)

ValTypeRef = int | t.AnyValType


class Sort(enum.Enum):
    """The kinds of index spaces; the value is the text format's word."""

    CORE_FUNC = "core func"
    CORE_TABLE = "core table"
    CORE_MEMORY = "core memory"
    CORE_GLOBAL = "core global"
    CORE_TAG = "core tag"
    CORE_TYPE = "core type"
    CORE_MODULE = "core module"
    CORE_INSTANCE = "core instance"
    FUNC = "func"
    VALUE = "value"
    TYPE = "type"
    COMPONENT = "component"
    INSTANCE = "instance"


@dataclass(slots=True)
class SortIndex:
    offset: int
    sort: Sort
    index: int


@dataclass(slots=True)
class ExternName:
    """A name of an import or export with its attributes."""

    offset: int
    name: str
    implements: str | None = None
    version_suffix: str | None = None
    external_id: str | None = None


# --- core types ---


@dataclass(slots=True)
class CoreCompositeType:
    """A struct or array type, which no component can use yet: only that it exists."""

    offset: int
    kind: str


@dataclass(slots=True)
class CoreRecType:
    """A recursion group (or a single type): each adds one core type index."""

    offset: int
    types: list[CoreFuncType | CoreCompositeType]


@dataclass(slots=True)
class CoreFuncRef:
    """A function or tag by its type index."""

    type: CoreTypeIndex
    is_tag: bool = False


CoreExternRef = CoreFuncRef | TableType | MemoryType | GlobalType


@dataclass(slots=True)
class CoreImportDecl:
    offset: int
    module: str
    name: str
    type: CoreExternRef


@dataclass(slots=True)
class CoreExportDecl:
    offset: int
    name: str
    type: CoreExternRef


@dataclass(slots=True)
class CoreAliasDecl:
    offset: int
    count: int
    index: CoreTypeIndex


@dataclass(slots=True)
class CoreModuleType:
    offset: int
    decls: list[CoreImportDecl | CoreExportDecl | CoreAliasDecl | CoreRecType | CoreModuleType]


CoreType = CoreRecType | CoreModuleType


# --- component types ---


@dataclass(slots=True)
class PrimitiveDef:
    offset: int
    type: t.AnyValType


@dataclass(slots=True)
class RecordDef:
    offset: int
    fields: list[tuple[str, ValTypeRef]]


@dataclass(slots=True)
class VariantDef:
    offset: int
    cases: list[tuple[str, ValTypeRef | None]]


@dataclass(slots=True)
class ListDef:
    offset: int
    element: ValTypeRef
    length: int | None


@dataclass(slots=True)
class MapDef:
    offset: int
    key: ValTypeRef
    value: ValTypeRef


@dataclass(slots=True)
class TupleDef:
    offset: int
    elements: list[ValTypeRef]


@dataclass(slots=True)
class FlagsDef:
    offset: int
    names: list[str]


@dataclass(slots=True)
class EnumDef:
    offset: int
    names: list[str]


@dataclass(slots=True)
class OptionDef:
    offset: int
    payload: ValTypeRef


@dataclass(slots=True)
class ResultDef:
    offset: int
    ok: ValTypeRef | None
    err: ValTypeRef | None


@dataclass(slots=True)
class HandleDef:
    """`own` or `borrow` of the resource type at an index."""

    offset: int
    resource: LocalTypeIndex
    is_own: bool


@dataclass(slots=True)
class AsyncValueDef:
    """`stream` or `future`."""

    offset: int
    payload: ValTypeRef | None
    is_stream: bool


@dataclass(slots=True)
class FuncTypeDef:
    offset: int
    params: list[tuple[str, ValTypeRef]]
    result: ValTypeRef | None
    async_: bool


@dataclass(slots=True)
class ComponentTypeDef:
    offset: int
    decls: list[Declaration]


@dataclass(slots=True)
class InstanceTypeDef:
    offset: int
    decls: list[Declaration]


@dataclass(slots=True)
class ResourceDef:
    offset: int
    rep: int
    dtor: CoreFuncIndex | None


ValTypeDef = (
    PrimitiveDef
    | RecordDef
    | VariantDef
    | ListDef
    | MapDef
    | TupleDef
    | FlagsDef
    | EnumDef
    | OptionDef
    | ResultDef
    | HandleDef
    | AsyncValueDef
)
TypeDef = ValTypeDef | FuncTypeDef | ComponentTypeDef | InstanceTypeDef | ResourceDef


@dataclass(slots=True)
class ExternTypeRef:
    """The type of an import or export: for Sort.TYPE, `index` None means `(sub resource)`, else `(eq index)`. For
    Sort.VALUE, `value` is a value type, or None and `index` the value it equals."""

    offset: int
    sort: Sort
    index: int | None
    value: ValTypeRef | None = None


# --- definitions ---


@dataclass(slots=True)
class CoreModuleDef:
    """A nested core module: bytes [start, end) of the outermost binary."""

    offset: int
    start: int
    end: int


@dataclass(slots=True)
class CoreInstantiate:
    offset: int
    module: CoreModuleIndex
    args: list[tuple[str, CoreInstanceIndex]]


@dataclass(slots=True)
class CoreInstanceFromExports:
    offset: int
    exports: list[tuple[str, SortIndex]]


@dataclass(slots=True)
class ComponentDef:
    """A component, the outermost or a nested one."""

    offset: int
    end: int
    definitions: list[Definition] = field(default_factory=list)
    customs: list[CustomSection] = field(default_factory=list)


@dataclass(slots=True)
class Instantiate:
    offset: int
    component: ComponentIndex
    args: list[tuple[str, SortIndex]]


@dataclass(slots=True)
class InstanceFromExports:
    offset: int
    exports: list[tuple[ExternName, SortIndex]]


@dataclass(slots=True)
class AliasExport:
    """An export of a component instance."""

    offset: int
    sort: Sort
    instance: InstanceIndex
    name: str


@dataclass(slots=True)
class AliasCoreExport:
    """An export of a core instance."""

    offset: int
    sort: Sort
    instance: CoreInstanceIndex
    name: str


@dataclass(slots=True)
class AliasOuter:
    """An item of an enclosing scope, `count` scopes out."""

    offset: int
    sort: Sort
    count: int
    index: int


@dataclass(slots=True)
class CanonOptions:
    """Options as written; a repeated option is refused by the decoder."""

    offset: int
    string_encoding: str | None = None
    memory: CoreMemoryIndex | None = None
    realloc: CoreFuncIndex | None = None
    post_return: CoreFuncIndex | None = None
    async_: bool = False
    callback: CoreFuncIndex | None = None


@dataclass(slots=True)
class CanonLift:
    offset: int
    func: CoreFuncIndex
    options: CanonOptions
    type: LocalTypeIndex


@dataclass(slots=True)
class CanonLower:
    offset: int
    func: FuncIndex
    options: CanonOptions


@dataclass(slots=True)
class CanonBuiltin:
    """Every other canonical definition: `name` is the text format's word, what it does not have is None."""

    offset: int
    name: str
    type: LocalTypeIndex | None = None
    core_type: CoreTypeIndex | None = None
    core_valtype: int | None = None
    slot: int | None = None
    table: CoreTableIndex | None = None
    memory: CoreMemoryIndex | None = None
    options: CanonOptions | None = None
    result: ValTypeRef | None = None
    async_: bool = False
    cancellable: bool = False
    shared: bool = False


@dataclass(slots=True)
class Start:
    offset: int
    func: FuncIndex
    args: list[ValueIndex]
    results: int


@dataclass(slots=True)
class Import:
    offset: int
    name: ExternName
    type: ExternTypeRef


@dataclass(slots=True)
class Export:
    offset: int
    name: ExternName
    item: SortIndex
    type: ExternTypeRef | None


@dataclass(slots=True)
class ExportDecl:
    """An export in a component or instance type."""

    offset: int
    name: ExternName
    type: ExternTypeRef


@dataclass(slots=True)
class Value:
    """A value definition: its encoded bytes are [start, end)."""

    offset: int
    type: ValTypeRef
    start: int
    end: int


@dataclass(slots=True)
class CustomSection:
    """Contents [start, end), after the name."""

    offset: int
    name: str
    start: int
    end: int


Alias = AliasExport | AliasCoreExport | AliasOuter
Declaration = CoreType | TypeDef | Alias | Import | ExportDecl
Definition = (
    CoreModuleDef
    | CoreInstantiate
    | CoreInstanceFromExports
    | CoreType
    | ComponentDef
    | Instantiate
    | InstanceFromExports
    | Alias
    | TypeDef
    | CanonLift
    | CanonLower
    | CanonBuiltin
    | Start
    | Import
    | Export
    | Value
)
