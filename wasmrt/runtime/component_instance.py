"""Instances of components: the loop over a component's initializers, and the exports that users call.

`Blueprint` is what instances of one component share, made once: plans by function type, rows for the trampolines. `InstancePre` adds what a linker
resolved. Instantiating walks `Component.initializers` from first to last; every reference in it points backwards, so nothing is looked up by name but
core exports.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from wasmrt._native import component as native
from wasmrt._native import core, externs, resources
from wasmrt._native.abi import Plan
from wasmrt.abi.plan import compile_func
from wasmrt.errors import ArgumentTypeError, WasmError
from wasmrt.spec import types as spec
from wasmrt.translate import info

from .component import Component, ComponentExportIndex
from .definitions import Definition, HostFunction, HostResource
from .module import Module
from .names import find_name
from .store import Store
from .values import ComponentFunc, ResourceType

_TRAMPOLINE_KINDS = {
    info.TrampolineLowerImport: native.LOWER,
    info.ResourceNew: native.RESOURCE_NEW,
    info.ResourceRep: native.RESOURCE_REP,
    info.ResourceDrop: native.RESOURCE_DROP,
    info.AdapterTrap: native.ADAPTER_TRAP,
    info.Transcoder: native.TRANSCODER,
    info.ResourceTransferOwn: native.TRANSFER_OWN,
    info.ResourceTransferBorrow: native.TRANSFER_BORROW,
    info.ResourceEnterCall: native.ENTER_CALL,
    info.ResourceExitCall: native.EXIT_CALL,
}


def _operands(trampoline: info.Trampoline, options: list[info.CanonicalOptions]) -> tuple[int, int, int]:
    """What a trampoline refers to, as `native.make_trampolines` wants it."""
    match trampoline:
        case info.TrampolineLowerImport():
            return options[trampoline.options].instance, 0, 0
        case info.ResourceNew() | info.ResourceRep() | info.ResourceDrop():
            return trampoline.instance, trampoline.resource, 0
        case info.AdapterTrap():
            return 0, 0, 0
        case info.Transcoder():
            return trampoline.op, trampoline.src, trampoline.dst
        case info.ResourceTransferOwn() | info.ResourceTransferBorrow():
            return trampoline.resource, trampoline.src, trampoline.dst
        case info.ResourceEnterCall() | info.ResourceExitCall():
            return 0, trampoline.caller, trampoline.callee


class Blueprint:
    """What all instances of a component share."""

    def __init__(self, component: Component) -> None:
        records = component._artifacts.component
        self.component = component
        self.records = records
        self._plans: dict[int, Plan] = {}
        self.export_names = export_names(records)
        self.rows: list[tuple[int, int, int, int, int, int]] = []
        self.lowerings: dict[int, tuple[int, info.TrampolineLowerImport]] = {}
        registry = component.engine.types
        for index, trampoline in enumerate(records.trampolines):
            signature = info.trampoline_signature(trampoline)
            wasm_call, _ = component.trampoline_ptrs(index)
            if isinstance(trampoline, info.TrampolineLowerImport):
                self.lowerings[trampoline.index] = (index, trampoline)
            self.rows.append(
                (
                    _TRAMPOLINE_KINDS[type(trampoline)],
                    registry.register_func(signature.params, signature.results),
                    wasm_call,
                    *_operands(trampoline, records.options),
                )
            )

    def plan(self, index: info.TypeIndex, options: info.CanonicalOptions) -> Plan:
        plan = self._plans.get(index)
        if plan is None or options.memory_64:
            rows = compile_func(self.component._types.func(index), 8 if options.memory_64 else 4)
            plan = self._plans[index] = Plan(rows)
        return plan

    @staticmethod
    def of(component: Component) -> Blueprint:
        """The component's own, made at the first use. Two threads may make two; either serves."""
        if component._blueprint is None:
            component._blueprint = Blueprint(component)
        return component._blueprint  # type: ignore[no-any-return]


class InstancePre:
    """A component with all its imports resolved and checked; made by `Linker.instantiate_pre`. Immutable, shared between stores and threads."""

    def __init__(self, component: Component, definitions: list[Definition]) -> None:
        self.component = component
        self._blueprint = Blueprint.of(component)
        self._definitions = definitions

    def instantiate(self, store: Store) -> ComponentInstance:
        """A new instance in `store`. Raises Trap, LimitError, or what a host function raised while start functions ran."""
        if not isinstance(store, core.Store):
            raise ArgumentTypeError(f"expected a Store, got {type(store).__name__}")
        if store.engine is not self.component.engine:
            raise WasmError("cross-`Engine` usage is not supported")
        return ComponentInstance._make(store, self)


class _Instantiation:
    """One run of the initializers."""

    def __init__(self, store: Store, pre: InstancePre) -> None:
        blueprint = pre._blueprint
        records = blueprint.records
        self.store = store
        self.blueprint = blueprint
        self.records = records
        self.definitions = pre._definitions
        self.core_instances: list[externs.InstanceHandle] = []
        self.state = resources.ComponentInstance(
            store,
            num_instances=records.num_runtime_component_instances,
            num_memories=records.num_runtime_memories,
            num_reallocs=records.num_runtime_reallocs,
            num_post_returns=records.num_runtime_post_returns,
            num_resources=records.num_resources,
        )
        for index, runtime_import in enumerate(records.imported_resources):
            definition = self.definitions[runtime_import]
            assert isinstance(definition, HostResource)
            self.state.set_resource(index, definition.type, definition.dtor)
        self.trampolines = native.make_trampolines(self.state, blueprint.rows)
        for initializer in records.initializers:
            _RUN[type(initializer)](self, initializer)

    def core_def(self, definition: info.CoreDef) -> Any:
        if isinstance(definition, info.CoreTrampoline):
            return self.trampolines[definition.index]
        if isinstance(definition, info.InstanceFlags):
            return self.state.flags(definition.instance)
        assert isinstance(definition, info.CoreExport)
        item = self.core_instances[definition.instance].export(definition.name)
        assert item is not None, "translation checked the export"
        return item

    def module_static(self, initializer: info.InstantiateModuleStatic) -> None:
        module = self.blueprint.component._modules[initializer.module]
        self.core_instances.append(module._instantiate(self.store, [self.core_def(arg) for arg in initializer.args]))

    def module_import(self, initializer: info.InstantiateModuleImport) -> None:
        module = self.definitions[initializer.module]
        assert isinstance(module, Module)
        given = {(name, field): arg for name, field, arg in initializer.args}
        args = [self.core_def(given[name, field]) for name, field, _ in module._info.imports]
        self.core_instances.append(module._instantiate(self.store, args))

    def lower_import(self, initializer: info.LowerImport) -> None:
        trampoline_index, trampoline = self.blueprint.lowerings[initializer.index]
        definition = self.definitions[initializer.import_]
        assert isinstance(definition, HostFunction)
        options = self.records.options[trampoline.options]
        native.set_import(
            self.state,
            trampoline_index,
            self.blueprint.plan(trampoline.ty, options),
            definition.func,
            pass_store=definition.pass_store,
            instance=options.instance,
            encoding=options.string_encoding,
            memory=options.memory,
            realloc=options.realloc,
            name=import_name(self.records, initializer.import_),
        )

    def memory(self, initializer: info.ExtractMemory) -> None:
        self.state.set_memory(initializer.index, self.core_def(initializer.export))

    def realloc(self, initializer: info.ExtractRealloc) -> None:
        self.state.set_realloc(initializer.index, self.core_def(initializer.func))

    def post_return(self, initializer: info.ExtractPostReturn) -> None:
        self.state.set_post_return(initializer.index, self.core_def(initializer.func))

    def resource(self, initializer: info.Resource) -> None:
        index = self.records.resource_index(initializer.index)
        dtor = None if initializer.dtor is None else self.core_def(initializer.dtor)
        self.state.define_resource(index, initializer.instance, dtor, self.records.resource_names[index])

    def async_only(self, initializer: Any) -> None:
        """Tables and callbacks serve async functions only, which cannot be lifted yet."""


_RUN: dict[type, Any] = {
    info.InstantiateModuleStatic: _Instantiation.module_static,
    info.InstantiateModuleImport: _Instantiation.module_import,
    info.LowerImport: _Instantiation.lower_import,
    info.ExtractMemory: _Instantiation.memory,
    info.ExtractRealloc: _Instantiation.realloc,
    info.ExtractPostReturn: _Instantiation.post_return,
    info.Resource: _Instantiation.resource,
    info.ExtractTable: _Instantiation.async_only,
    info.ExtractCallback: _Instantiation.async_only,
}


def export_names(records: info.Component) -> dict[int, str]:
    """`ns:pkg/iface#func` by ExportIndex, for messages."""
    names: dict[int, str] = {}
    open_: list[tuple[str, list[tuple[str, info.ExportIndex]]]] = [("", records.exports)]
    while open_:
        prefix, exports = open_.pop()
        for name, index in exports:
            if index in names:
                continue
            names[index] = prefix + name
            item = records.export_items[index]
            if isinstance(item, info.ExportInstance):
                open_.append((f"{prefix}{name}#", item.exports))
    return names


def import_name(records: info.Component, index: info.RuntimeImportIndex) -> str:
    """`ns:pkg/iface#func`, for messages."""
    runtime_import = records.imports[index]
    return "#".join([records.import_types[runtime_import.import_][0], *runtime_import.path])


class ComponentInstance:
    """An instance of a component; made by `Linker.instantiate`.

    `exports` is a mapping with attributes (`instance.exports.run()`, `instance.exports["ns:pkg/iface@1.0.0"]["f"]`); `get_func` takes a name or an index
    that `Component.get_export_index` returned. A store argument is accepted first wherever the peer has one.
    """

    component: Component
    store: Store
    _pre: InstancePre
    _made: _Instantiation
    _items: dict[int, Any]
    _root: ComponentExports | None

    def __init__(self) -> None:
        raise WasmError("Cannot directly construct an `Instance`: use Linker.instantiate")

    @classmethod
    def _make(cls, store: Store, pre: InstancePre) -> ComponentInstance:
        self = cls.__new__(cls)
        made = _Instantiation(store, pre)
        self.component = pre.component
        self.store = store
        self._pre = pre
        self._made = made
        self._items = {}
        self._root = None
        return self

    def get_export_index(self, *args: Any, instance: ComponentExportIndex | None = None) -> ComponentExportIndex | None:
        """`get_export_index([store,] name, instance=None)`: as `Component.get_export_index`."""
        name, *rest = self._without_store(args)
        return self.component.get_export_index(name, rest[0] if rest else instance)

    def _without_store(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        if args and isinstance(args[0], core.Store):
            if args[0] is not self.store:
                raise WasmError("the instance belongs to another store")
            args = args[1:]
        if not args:
            raise ArgumentTypeError("a name or an export index is missing")
        return args

    def _find(self, args: tuple[Any, ...], kind: type | tuple[type, ...]) -> Any:
        (key,) = self._without_store(args)
        if isinstance(key, str):
            index = self.component.get_export_index(key)
        elif isinstance(key, ComponentExportIndex):
            ours = key.component_id == self.component.id and 0 <= key.export < len(self._made.records.export_items)
            index = key if ours else None
        else:
            raise ArgumentTypeError(f"expected a name or a ComponentExportIndex, got {type(key).__name__}")
        item = None if index is None else self._item(index.export)
        return item if isinstance(item, kind) else None

    def get_func(self, *args: Any) -> ComponentFunc | ReexportedFunc | None:
        """`get_func([store,] name_or_index)`: the function, or None when there is none."""
        return self._find(args, (ComponentFunc, ReexportedFunc))  # type: ignore[no-any-return]

    def get_module(self, *args: Any) -> Module | None:
        """`get_module([store,] name_or_index)`: an exported core module, or None."""
        return self._find(args, Module)  # type: ignore[no-any-return]

    def get_resource(self, *args: Any) -> ResourceType | None:
        """`get_resource([store,] name_or_index)`: an exported resource type, or None."""
        return self._find(args, ResourceType)  # type: ignore[no-any-return]

    @property
    def exports(self) -> ComponentExports:
        """All exports by name."""
        if self._root is None:
            self._root = ComponentExports(self, self._made.records.exports)
        return self._root

    def _item(self, index: int) -> Any:
        item = self._items.get(index)
        if item is None:
            item = self._items[index] = self._make_item(
                self._made.records.export_items[index], self._made.blueprint.export_names.get(index, "")
            )
        return item

    def _make_item(self, export: info.Export, name: str) -> Any:
        made = self._made
        match export:
            case info.ExportLiftedFunction():
                options = made.records.options[export.options]
                return native.lift_func(
                    made.state,
                    made.core_def(export.func),
                    made.blueprint.plan(export.ty, options),
                    instance=options.instance,
                    encoding=options.string_encoding,
                    memory=options.memory,
                    realloc=options.realloc,
                    post_return=options.post_return,
                    name=name,
                )
            case info.ExportInstance():
                return ComponentExports(self, export.exports)
            case info.ExportModuleStatic():
                return self.component._modules[export.index]
            case info.ExportModuleImport():
                return self._pre._definitions[export.import_]
            case info.ExportImportedFunction():
                definition = self._pre._definitions[export.import_]
                assert isinstance(definition, HostFunction)
                ty = spec.substitute_resources(self.component._types.func(export.ty), made.state.resource)
                return ReexportedFunc(self.store, definition, ty, name)
            case info.ExportComponent():
                return self.component._of_this(self.component._types[export.ty])
            case info.ExportResource():
                return made.state.resource(export.resource)
            case info.ExportType():
                return spec.substitute_resources(self.component._types[export.ty], made.state.resource)
        raise AssertionError(export)

    def __repr__(self) -> str:
        return f"<wasmrt.component.Instance of {self.component!r}>"


class ReexportedFunc:
    """A host function that a component imports and exports again: called like any export, but no guest stands between, so values go through as they are."""

    def __init__(self, store: Store, definition: HostFunction, ty: spec.FuncType, name: str) -> None:
        self._store = store
        self._definition = definition
        self._type = ty
        self.__name__ = name

    def __call__(self, *args: Any) -> Any:
        params = len(self._type.params)
        if len(args) == params + 1 and isinstance(args[0], core.Store):
            if args[0] is not self._store:
                raise WasmError("the function belongs to another store")
            args = args[1:]
        if len(args) != params:
            raise ArgumentTypeError(f"wrong number of parameters provided: given {len(args)}, expected {params}")
        leading = (self._store,) if self._definition.pass_store else ()
        return self._definition.func(*leading, *args)

    def type(self, store: Any = None) -> spec.FuncType:
        """The FuncType."""
        return self._type

    def post_return(self, store: Any = None) -> None:
        """Nothing to do."""

    def __repr__(self) -> str:
        return f"<wasmrt.component.Func {self.__name__}: {self._type}>"


class ComponentExports(Mapping[str, Any]):
    """Exports of an instance, or of an instance that it exports: by full name, by a compatible version, or as attributes in snake case."""

    def __init__(self, instance: ComponentInstance, exports: list[tuple[str, info.ExportIndex]]) -> None:
        self._instance = instance
        self._exports = dict(exports)

    def __getitem__(self, name: str) -> Any:
        found = find_name(name, self._exports)
        if found is None:
            raise KeyError(f"no export named {name!r}")
        return self._instance._item(self._exports[found])

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        for candidate in (name, name.replace("_", "-")):
            if candidate in self._exports:
                return self[candidate]
        raise AttributeError(f"no export named {name!r}")

    def __iter__(self) -> Iterator[str]:
        return iter(self._exports)

    def __len__(self) -> int:
        return len(self._exports)

    def __call__(self, store: Any = None) -> ComponentExports:
        """Itself, for programs written for the peer."""
        return self

    def __repr__(self) -> str:
        return f"<exports {', '.join(self._exports)}>"
