"""Records of an image's INFO section: ModuleInfo for a module, ComponentArtifacts for a component. Written and read with msgspec.

An image's text, metadata and data are C's (csrc/code/image.h); this is only what Python needs to link and to introspect. A record that does not
decode is an ArtifactError: the bytes are corrupted, or of another version.
"""

from __future__ import annotations

import threading
from typing import Any, TypeVar

import msgspec

from wasmrt.errors import ArtifactError
from wasmrt.spec.core_types import CoreExternType
from wasmrt.translate import info as records
from wasmrt.translate.info import Component


class ModuleInfo(msgspec.Struct, array_like=True):
    """A core module as linking sees it: names and types, in the order of the binary; initial sizes of the memories (pages) and tables it defines."""

    name: str | None
    imports: list[tuple[str, str, CoreExternType]]
    exports: list[tuple[str, CoreExternType]]
    memories: list[int]
    tables: list[int]


class CompiledComponentInfo(msgspec.Struct, array_like=True):
    """The linear program of a component, and what its world is printed from (wasmrt.wit). Where its trampolines lie is in the image's FUNCS."""

    component: Component
    skeleton: bytes = b""


class ComponentArtifacts(msgspec.Struct, array_like=True):
    """A component: its program, its type rows (`ComponentTypes.rows`), and its core modules by StaticModuleIndex."""

    info: CompiledComponentInfo
    type_rows: list[list[object]]
    static_modules: list[ModuleInfo]

    @property
    def component(self) -> Component:
        return self.info.component

    @property
    def skeleton(self) -> bytes:
        return self.info.skeleton


_OF_RESOURCES = ("own", "borrow", "resource")
# of component instances in one component, far more than a compiler makes
_MAX_INSTANCES = 1 << 20

Info = TypeVar("Info", ModuleInfo, ComponentArtifacts)


def encode(info: ModuleInfo | ComponentArtifacts) -> bytes:
    return msgspec.msgpack.encode(info)


# msgspec resolves the types of a Struct when they are first decoded, which is not safe in two threads at once.
_decoders: dict[type, msgspec.msgpack.Decoder[Any]] = {}
_decoders_lock = threading.Lock()


def _decoder(kind: type) -> msgspec.msgpack.Decoder[Any]:
    with _decoders_lock:
        if kind not in _decoders:
            _decoders[kind] = msgspec.msgpack.Decoder(kind)
        return _decoders[kind]


def decode(data: bytes, kind: type[Info]) -> Info:
    try:
        found: Info = (_decoders.get(kind) or _decoder(kind)).decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ArtifactError(f"the artifact's info section is corrupted ({error})") from None
    return found


def check(found: ComponentArtifacts) -> None:
    """Every index of a component's records is in range and names what it should, so that who makes objects of them need not look.

    Raises ArtifactError. What is in type rows is checked when they are built; what a core instance exports, when it is made.
    """
    component = found.component
    rows = found.type_rows
    imports, items = len(component.imports), len(component.export_items)
    _counts(component)
    _type(rows, component.ty, "component")
    for _, ty in component.import_types:
        _type(rows, ty)
    for imported in component.imports:
        _index(imported.import_, len(component.import_types), "import")
    for runtime_import in component.imported_resources:
        _index(runtime_import, imports, "import")
    for instance in component.defined_resource_instances:
        _index(instance, component.num_runtime_component_instances, "component instance")
    for options in component.options:
        _options(component, options)
    for row in rows:
        if row and row[0] in _OF_RESOURCES and isinstance(row[-1], int):
            _index(row[-1], component.num_resources, "resource")
    lowerings = set()
    for trampoline in component.trampolines:
        signature = records.trampoline_signature(trampoline)
        words = signature.params + signature.results
        if words and not (0 <= min(words) and max(words) < 1 << 32):
            raise ArtifactError("the artifact's records are damaged: a value type of a trampoline")
        if isinstance(trampoline, records.TrampolineLowerImport):
            lowerings.add(trampoline.index)
            _type(rows, trampoline.ty, "func")
            _index(trampoline.options, len(component.options), "options")
        else:
            _task(component, rows, trampoline)
    for initializer in component.initializers:
        if isinstance(initializer, records.LowerImport):
            _index(initializer.import_, imports, "import")
            if initializer.index not in lowerings:
                raise ArtifactError(f"the artifact's records are damaged: lowering {initializer.index} has no trampoline")
        elif isinstance(initializer, records.InstantiateModuleImport):
            _index(initializer.module, imports, "import")
    for _, index in component.exports:
        _index(index, items, "export")
    for export in component.export_items:
        if isinstance(export, records.ExportResource):
            _index(export.resource, component.num_resources, "resource")
            continue
        _type(rows, export.ty, "func" if isinstance(export, (records.ExportLiftedFunction, records.ExportImportedFunction)) else None)
        if isinstance(export, records.ExportLiftedFunction):
            _index(export.options, len(component.options), "options")
            if export.callee is not None:
                _index(export.callee, component.num_runtime_callbacks, "callback")
            elif rows[export.ty][-1] is True:
                raise ArtifactError("the artifact's records are damaged: an asynchronous function without a callee")
            if isinstance(export.func, records.InstanceFlags) or (isinstance(export.func, records.CoreExport) and export.func.kind != records.CoreKind.FUNC):
                raise ArtifactError("the artifact's records are damaged: what is lifted is no function")
        elif isinstance(export, (records.ExportImportedFunction, records.ExportModuleImport)):
            _index(export.import_, imports, "import")
        elif isinstance(export, records.ExportModuleStatic):
            _index(export.index, len(found.static_modules), "module")
        elif isinstance(export, records.ExportInstance):
            for _, index in export.exports:
                _index(index, items, "export")


def _counts(component: Component) -> None:
    """Slots are allocated by these counts: each has an initializer that fills it."""
    kinds = [type(initializer) for initializer in component.initializers]
    _index(component.num_runtime_memories, kinds.count(records.ExtractMemory) + 1, "number of memories")
    _index(component.num_runtime_reallocs, kinds.count(records.ExtractRealloc) + 1, "number of reallocs")
    _index(component.num_runtime_post_returns, kinds.count(records.ExtractPostReturn) + 1, "number of post-returns")
    _index(component.num_runtime_callbacks, kinds.count(records.ExtractCallback) + 1, "number of callbacks")
    _index(component.num_runtime_tables, kinds.count(records.ExtractTable) + 1, "number of tables")
    _index(component.num_runtime_component_instances, _MAX_INSTANCES + 1, "number of component instances")
    if len(component.resource_names) != component.num_resources:
        raise ArtifactError("the artifact's records are damaged: number of names of resources", len(component.resource_names), component.num_resources)


def _options(component: Component, options: records.CanonicalOptions) -> None:
    _index(options.instance, component.num_runtime_component_instances, "component instance")
    for slot, count, what in (
        (options.memory, component.num_runtime_memories, "memory"),
        (options.realloc, component.num_runtime_reallocs, "realloc"),
        (options.post_return, component.num_runtime_post_returns, "post-return"),
        (options.callback, component.num_runtime_callbacks, "callback"),
    ):
        if slot is not None:
            _index(slot, count, what)


def _task(component: Component, rows: list[list[object]], trampoline: records.Trampoline) -> None:
    """A trampoline of the asynchronous ABI."""
    options, callbacks = len(component.options), component.num_runtime_callbacks
    match trampoline:
        case records.TaskBuiltin():
            for index, count, what in (
                (trampoline.ty, len(rows), "type"),
                (trampoline.options, options, "options"),
                (trampoline.table, component.num_runtime_tables, "table"),
                (trampoline.number, 2, "context slot"),
            ):
                if index is not None:
                    _index(index, count, what)
            area, _, verb = trampoline.name.partition(".")
            if area in ("stream", "future"):
                _type(rows, -1 if trampoline.ty is None else trampoline.ty, area)
            wants = verb in ("wait", "poll", "return", "read", "write") or trampoline.name in ("error-context.new", "error-context.debug-message")
            if (wants and trampoline.options is None) or (verb == "new-indirect" and trampoline.table is None):
                raise ArtifactError(f"the artifact's records are damaged: `{trampoline.name}` without its options")
        case records.TaskCall():
            _type(rows, trampoline.ty, "func")
            _index(trampoline.lower, options, "options")
            _index(trampoline.lift, options, "options")
            for slot in (trampoline.func, trampoline.params, trampoline.result):
                _index(slot, callbacks, "callback")
        case records.TaskTransfer():
            _type(rows, trampoline.ty)
            _index(trampoline.dst, component.num_runtime_component_instances, "component instance")


def _index(index: int, count: int, what: str) -> None:
    if not 0 <= index < count:
        raise ArtifactError(f"the artifact's records are damaged: {what} {index} of {count}")


def _type(rows: list[list[object]], index: int, tag: str | None = None) -> None:
    _index(index, len(rows), "type")
    if tag is not None and rows[index][:1] != [tag]:
        raise ArtifactError(f"the artifact's records are damaged: type {index} is no {tag}")
