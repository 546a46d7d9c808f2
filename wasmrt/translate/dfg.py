"""A validated component, not yet instantiated: what each of its definitions does, with all types resolved.

`validate` makes one ComponentDfg for every component definition; `inline` runs the root's, and the nested ones' as they
are instantiated. Index spaces here hold run-time things only: types have no index space any more, and resources are
named by the AbstractResource that they are inside their component.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from wasmrt.binary.records import CanonBuiltin, CanonOptions, Sort, SortIndex
from wasmrt.spec.core_types import CoreFuncType
from wasmrt.spec.types import AbstractResource, AnyValType, ModuleType

from .info import StaticModuleIndex
from .type_nodes import ComponentNode, FuncNode, Item


@dataclass(slots=True)
class LocalImport:
    offset: int
    name: str
    item: Item


@dataclass(slots=True)
class LocalModule:
    index: StaticModuleIndex


@dataclass(slots=True)
class LocalOuterAlias:
    """A module or component of an enclosing component."""

    sort: Sort
    count: int
    index: int


@dataclass(slots=True)
class LocalComponent:
    component: ComponentDfg


@dataclass(slots=True)
class LocalInstantiateModule:
    offset: int
    module: int
    module_type: ModuleType
    args: dict[str, int]


@dataclass(slots=True)
class LocalCoreInstance:
    exports: list[tuple[str, SortIndex]]


@dataclass(slots=True)
class LocalInstantiate:
    """`bindings`: resources of the callee's imports to ours; `fresh`: ours to the callee's that its exports bring."""

    offset: int
    component: int
    args: list[tuple[str, SortIndex]]
    bindings: dict[AbstractResource, AbstractResource]
    fresh: dict[AbstractResource, AbstractResource]


@dataclass(slots=True)
class LocalInstance:
    exports: list[tuple[str, SortIndex]]
    items: dict[str, Item]


@dataclass(slots=True)
class LocalAliasExport:
    sort: Sort
    instance: int
    name: str
    item: Item


@dataclass(slots=True)
class LocalAliasCoreExport:
    sort: Sort
    instance: int
    name: str


@dataclass(slots=True)
class LocalResource:
    offset: int
    resource: AbstractResource
    rep: int
    dtor: int | None


@dataclass(slots=True)
class LocalLift:
    offset: int
    func: int
    options: CanonOptions
    memory_64: bool
    type: FuncNode
    core_type: CoreFuncType


@dataclass(slots=True)
class LocalLower:
    offset: int
    func: int
    options: CanonOptions
    memory_64: bool
    type: FuncNode
    core_type: CoreFuncType


@dataclass(slots=True)
class LocalResourceBuiltin:
    """resource.new, resource.rep or resource.drop."""

    name: str
    resource: AbstractResource
    core_type: CoreFuncType


@dataclass(slots=True)
class LocalBuiltin:
    """Any other canonical built-in. `type`: the stream or future, or what task.return returns."""

    offset: int
    given: CanonBuiltin
    core_type: CoreFuncType
    type: AnyValType | None = None
    memory_64: bool = False
    start: CoreFuncType | None = None  # of a thread

    @property
    def name(self) -> str:
        return self.given.name


@dataclass(slots=True)
class LocalExport:
    """`renamed`: resources that a type ascription made fresh, to the ones they stand for."""

    offset: int
    name: str
    source: SortIndex
    item: Item
    renamed: dict[AbstractResource, AbstractResource]


LocalInitializer = (
    LocalImport
    | LocalModule
    | LocalOuterAlias
    | LocalComponent
    | LocalInstantiateModule
    | LocalCoreInstance
    | LocalInstantiate
    | LocalInstance
    | LocalAliasExport
    | LocalAliasCoreExport
    | LocalResource
    | LocalLift
    | LocalLower
    | LocalResourceBuiltin
    | LocalBuiltin
    | LocalExport
)


@dataclass(slots=True)
class ComponentDfg:
    path: str
    initializers: list[LocalInitializer] = field(default_factory=list)
    type: ComponentNode | None = None
