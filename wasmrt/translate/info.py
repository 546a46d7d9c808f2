"""What the translator hands on: a component as a linear program.

The nesting of the binary is gone. `Component.initializers` is run from first to last and every reference in it points
backwards into flat, typed index spaces, so that instantiation is a loop without look-ups by name:

* core instances get a RuntimeInstanceIndex in the order of their InstantiateModule* initializers;
* component instances (the root is 0) exist only as flags and handle tables: RuntimeComponentInstanceIndex;
* everything a core module can import is a CoreDef: an export of an earlier core instance, a trampoline (machine code
  of the component's own image that ends in the host), or the flags of a component instance;
* calls between components are core modules too, made here (adapt.py), and instantiated before what calls them;
* options of lifts and lowers are extracted once (ExtractMemory, ...) into runtime slots that trampolines share.

All records are msgspec Structs, array-like and tagged: `msgspec.msgpack` round-trips them. Types are not inlined but
referred to by TypeIndex into the `ComponentTypes` (type_table.py) that comes with a component.
"""

from __future__ import annotations

import enum
from typing import NewType

import msgspec

from wasmrt.spec.core_types import VALTYPE_I32, CoreFuncType
from wasmrt.spec.types import ResourceIndex

StaticModuleIndex = NewType("StaticModuleIndex", int)
RuntimeInstanceIndex = NewType("RuntimeInstanceIndex", int)
RuntimeComponentInstanceIndex = NewType("RuntimeComponentInstanceIndex", int)
ImportIndex = NewType("ImportIndex", int)
RuntimeImportIndex = NewType("RuntimeImportIndex", int)
ExportIndex = NewType("ExportIndex", int)
TrampolineIndex = NewType("TrampolineIndex", int)
LoweredIndex = NewType("LoweredIndex", int)
OptionsIndex = NewType("OptionsIndex", int)
RuntimeMemoryIndex = NewType("RuntimeMemoryIndex", int)
RuntimeTableIndex = NewType("RuntimeTableIndex", int)
RuntimeReallocIndex = NewType("RuntimeReallocIndex", int)
RuntimeCallbackIndex = NewType("RuntimeCallbackIndex", int)
RuntimePostReturnIndex = NewType("RuntimePostReturnIndex", int)
DefinedResourceIndex = NewType("DefinedResourceIndex", int)
TypeIndex = NewType("TypeIndex", int)

ROOT_INSTANCE = RuntimeComponentInstanceIndex(0)


class Record(msgspec.Struct, frozen=True, array_like=True):
    """Base of the records below."""


class CoreKind(enum.IntEnum):
    """Kinds of core externs, numbered as in csrc/wasm/module.h."""

    FUNC = 0
    TABLE = 1
    MEMORY = 2
    GLOBAL = 3
    TAG = 4


class StringEncoding(enum.IntEnum):
    UTF8 = 0
    UTF16 = 1
    LATIN1_UTF16 = 2


# --- what a core module can be given, and what a lift refers to ------------------------------------------------


class CoreExport(Record, frozen=True, tag="export"):
    """An export of a core instance: by `index` in the index space of its kind, or, when the instance's module is only
    known at run time (an imported one), by `name` alone with index -1."""

    instance: RuntimeInstanceIndex
    kind: CoreKind
    name: str
    index: int = -1


class InstanceFlags(Record, frozen=True, tag="flags"):
    """The i32 global of a component instance that fused adapters read and write: 1 while it may leave, else 0."""

    instance: RuntimeComponentInstanceIndex


class CoreTrampoline(Record, frozen=True, tag="trampoline"):
    index: TrampolineIndex


CoreDef = CoreExport | InstanceFlags | CoreTrampoline


# --- initializers ----------------------------------------------------------------------------------------------


class InstantiateModuleStatic(Record, frozen=True, tag="static"):
    """Instantiates a module of this binary; `args` in the order of its imports."""

    index: RuntimeInstanceIndex
    module: StaticModuleIndex
    args: list[CoreDef]
    component_instance: RuntimeComponentInstanceIndex


class InstantiateModuleImport(Record, frozen=True, tag="import"):
    """Instantiates a module that was imported; `args` by (module, name), in the order of the module type's imports."""

    index: RuntimeInstanceIndex
    module: RuntimeImportIndex
    args: list[tuple[str, str, CoreDef]]
    component_instance: RuntimeComponentInstanceIndex


class LowerImport(Record, frozen=True, tag="lower"):
    """Makes the host function context of a lowered import; its trampoline is the `TrampolineLowerImport` with the same
    LoweredIndex."""

    index: LoweredIndex
    import_: RuntimeImportIndex


class ExtractMemory(Record, frozen=True, tag="memory"):
    index: RuntimeMemoryIndex
    export: CoreExport


class ExtractTable(Record, frozen=True, tag="table"):
    index: RuntimeTableIndex
    export: CoreExport


class ExtractRealloc(Record, frozen=True, tag="realloc"):
    index: RuntimeReallocIndex
    func: CoreDef


class ExtractCallback(Record, frozen=True, tag="callback"):
    index: RuntimeCallbackIndex
    func: CoreDef


class ExtractPostReturn(Record, frozen=True, tag="post-return"):
    index: RuntimePostReturnIndex
    func: CoreDef


class Resource(Record, frozen=True, tag="resource"):
    """Makes a fresh resource type, with its destructor."""

    index: DefinedResourceIndex
    rep: int
    dtor: CoreDef | None
    instance: RuntimeComponentInstanceIndex


GlobalInitializer = (
    InstantiateModuleStatic
    | InstantiateModuleImport
    | LowerImport
    | ExtractMemory
    | ExtractTable
    | ExtractRealloc
    | ExtractCallback
    | ExtractPostReturn
    | Resource
)


# --- canonical options and trampolines -------------------------------------------------------------------------


class CanonicalOptions(Record, frozen=True):
    """Options of one lift, lower or built-in. `core_type` is the signature of the core function."""

    instance: RuntimeComponentInstanceIndex
    string_encoding: StringEncoding
    core_type: CoreFuncType
    memory: RuntimeMemoryIndex | None = None
    realloc: RuntimeReallocIndex | None = None
    callback: RuntimeCallbackIndex | None = None
    post_return: RuntimePostReturnIndex | None = None
    async_: bool = False
    memory_64: bool = False


class TrampolineLowerImport(Record, frozen=True, tag="lower"):
    """Lowered import: core arguments are lifted, the host function is called, its results lowered."""

    index: LoweredIndex
    lower_func: CoreFuncType
    ty: TypeIndex
    options: OptionsIndex


class ResourceNew(Record, frozen=True, tag="resource.new"):
    instance: RuntimeComponentInstanceIndex
    resource: ResourceIndex
    signature: CoreFuncType


class ResourceRep(Record, frozen=True, tag="resource.rep"):
    instance: RuntimeComponentInstanceIndex
    resource: ResourceIndex
    signature: CoreFuncType


class ResourceDrop(Record, frozen=True, tag="resource.drop"):
    instance: RuntimeComponentInstanceIndex
    resource: ResourceIndex
    signature: CoreFuncType


class AdapterTrap(Record, frozen=True, tag="trap"):
    """Traps with the code that it is given."""


class Transcoder(Record, frozen=True, tag="transcode"):
    """Moves a string from one memory to another; `op` is a row of transcode.def."""

    op: int
    src: RuntimeMemoryIndex
    dst: RuntimeMemoryIndex


class ResourceTransferOwn(Record, frozen=True, tag="transfer-own"):
    """Moves a handle from one component instance's table to another's."""

    resource: ResourceIndex
    src: RuntimeComponentInstanceIndex
    dst: RuntimeComponentInstanceIndex


class ResourceTransferBorrow(Record, frozen=True, tag="transfer-borrow"):
    """Lends a handle for the call that is entered; who defines the type gets the representation."""

    resource: ResourceIndex
    src: RuntimeComponentInstanceIndex
    dst: RuntimeComponentInstanceIndex


class ResourceEnterCall(Record, frozen=True, tag="enter-call"):
    """Opens the scope of a call's borrows."""

    caller: RuntimeComponentInstanceIndex
    callee: RuntimeComponentInstanceIndex


class ResourceExitCall(Record, frozen=True, tag="exit-call"):
    """Closes it: traps when the callee still has borrowed handles, ends the caller's loans."""

    caller: RuntimeComponentInstanceIndex
    callee: RuntimeComponentInstanceIndex


class TaskBuiltin(Record, frozen=True, tag="task"):
    """A built-in of the asynchronous ABI (wasmrt/concurrent/builtins.py), by the text format's name. `ty`: the stream or future, or what task.return
    returns; `number`: a context slot; `async_`: whether it may return before it is done."""

    name: str
    instance: RuntimeComponentInstanceIndex
    signature: CoreFuncType
    ty: TypeIndex | None = None
    options: OptionsIndex | None = None
    number: int = 0
    async_: bool = False
    table: RuntimeTableIndex | None = None
    cancellable: bool = False


class TaskCall(Record, frozen=True, tag="task-call"):
    """A call of what another component lifts with an async type. `params` turns the caller's core arguments into the callee's, `result` what the callee
    returned, and the caller's return pointer where it has one, into the caller's core result."""

    signature: CoreFuncType
    ty: TypeIndex
    lower: OptionsIndex
    lift: OptionsIndex
    func: RuntimeCallbackIndex
    params: RuntimeCallbackIndex
    result: RuntimeCallbackIndex
    recursive: bool


class TaskEnter(Record, frozen=True, tag="task-enter"):
    """A synchronous call begins in an instance that has tasks."""

    instance: RuntimeComponentInstanceIndex


class TaskExit(Record, frozen=True, tag="task-exit"):
    instance: RuntimeComponentInstanceIndex


class TaskTransfer(Record, frozen=True, tag="task-transfer"):
    """Moves the readable end of a stream or future, or an error context, from one component instance's table to another's."""

    ty: TypeIndex
    src: RuntimeComponentInstanceIndex
    dst: RuntimeComponentInstanceIndex


Trampoline = (
    TrampolineLowerImport
    | TaskBuiltin
    | TaskCall
    | TaskEnter
    | TaskExit
    | TaskTransfer
    | ResourceNew
    | ResourceRep
    | ResourceDrop
    | AdapterTrap
    | Transcoder
    | ResourceTransferOwn
    | ResourceTransferBorrow
    | ResourceEnterCall
    | ResourceExitCall
)

_I32 = (VALTYPE_I32,)
_SIGNATURES: dict[type, CoreFuncType] = {
    AdapterTrap: CoreFuncType(_I32, ()),
    Transcoder: CoreFuncType(_I32 * 4, _I32),
    ResourceTransferOwn: CoreFuncType(_I32, _I32),
    ResourceTransferBorrow: CoreFuncType(_I32, _I32),
    ResourceEnterCall: CoreFuncType(),
    ResourceExitCall: CoreFuncType(),
    TaskEnter: CoreFuncType(),
    TaskExit: CoreFuncType(),
    TaskTransfer: CoreFuncType(_I32, _I32),
}


def trampoline_signature(trampoline: Trampoline) -> CoreFuncType:
    """The core signature that the trampoline's machine code has."""
    if isinstance(trampoline, TrampolineLowerImport):
        return trampoline.lower_func
    if isinstance(trampoline, (ResourceNew, ResourceRep, ResourceDrop, TaskBuiltin, TaskCall)):
        return trampoline.signature
    return _SIGNATURES[type(trampoline)]


# --- exports ---------------------------------------------------------------------------------------------------


class ExportLiftedFunction(Record, frozen=True, tag="lifted"):
    """`callee`: of an async function, where `func` was extracted to."""

    ty: TypeIndex
    func: CoreDef
    options: OptionsIndex
    callee: RuntimeCallbackIndex | None = None


class ExportImportedFunction(Record, frozen=True, tag="imported"):
    """A function that the component imports and exports again as it is."""

    ty: TypeIndex
    import_: RuntimeImportIndex


class ExportModuleStatic(Record, frozen=True, tag="module"):
    ty: TypeIndex
    index: StaticModuleIndex


class ExportModuleImport(Record, frozen=True, tag="module-import"):
    ty: TypeIndex
    import_: RuntimeImportIndex


class ExportInstance(Record, frozen=True, tag="instance"):
    ty: TypeIndex
    exports: list[tuple[str, ExportIndex]]


class ExportType(Record, frozen=True, tag="type"):
    ty: TypeIndex


class ExportResource(Record, frozen=True, tag="resource"):
    resource: ResourceIndex


class ExportComponent(Record, frozen=True, tag="component"):
    """A component definition: its type can be asked for, but it cannot be instantiated from outside."""

    ty: TypeIndex


Export = (
    ExportLiftedFunction
    | ExportImportedFunction
    | ExportModuleStatic
    | ExportModuleImport
    | ExportInstance
    | ExportType
    | ExportResource
    | ExportComponent
)


# --- the component ---------------------------------------------------------------------------------------------


class RuntimeImport(Record, frozen=True):
    """What is taken from the host: the import's index, and the names to follow through nested instances."""

    import_: ImportIndex
    path: tuple[str, ...]


class ExternAttributes(Record, frozen=True):
    """What a name of the root's imports or exports says besides; it takes no part in linking."""

    implements: str | None = None
    external_id: str | None = None
    version_suffix: str | None = None


class Component(msgspec.Struct, array_like=True):
    """One component binary, flattened. Lists are indexed by the index type their comment names."""

    ty: TypeIndex  # the whole component's ComponentType, resources as ResourceIndex
    import_types: list[tuple[str, TypeIndex]]  # ImportIndex
    imports: list[RuntimeImport]  # RuntimeImportIndex
    exports: list[tuple[str, ExportIndex]]  # of the root, in order
    export_items: list[Export]  # ExportIndex
    initializers: list[GlobalInitializer]
    trampolines: list[Trampoline]  # TrampolineIndex
    options: list[CanonicalOptions]  # OptionsIndex
    num_lowerings: int
    num_runtime_memories: int
    num_runtime_tables: int
    num_runtime_reallocs: int
    num_runtime_callbacks: int
    num_runtime_post_returns: int
    num_runtime_instances: int
    num_runtime_component_instances: int
    imported_resources: list[RuntimeImportIndex]  # ResourceIndex
    defined_resource_instances: list[RuntimeComponentInstanceIndex]  # DefinedResourceIndex
    resource_names: list[str]  # ResourceIndex: the name it was imported or exported under, else ""
    import_attributes: dict[str, ExternAttributes] = {}  # only names that have any
    export_attributes: dict[str, ExternAttributes] = {}

    @property
    def num_resources(self) -> int:
        return len(self.imported_resources) + len(self.defined_resource_instances)

    def resource_index(self, index: DefinedResourceIndex) -> ResourceIndex:
        """Defined resources come after the imported ones."""
        return ResourceIndex(len(self.imported_resources) + index)

    def defined_resource_index(self, index: ResourceIndex) -> DefinedResourceIndex | None:
        defined = index - len(self.imported_resources)
        return DefinedResourceIndex(defined) if defined >= 0 else None
