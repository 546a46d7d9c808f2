"""Instances of components: what instantiating needs, made once, and the exports that users call.

`Blueprint` is what instances of one component share, made once: plans by function type, rows for the trampolines, and `Component.initializers` as a flat
array (`_native/instantiate.pyx`). `InstancePre` adds what a linker resolved, host functions bound to it. Instantiating runs the array.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from wasmrt._native import component as native
from wasmrt._native import core, imports, instantiate, resources
from wasmrt._native.abi import Plan
from wasmrt._native.fibers import Intrinsic
from wasmrt.abi.plan import compile_func
from wasmrt.concurrent.bind import Binder
from wasmrt.concurrent.calls import SyncTaskFunc, TaskFunc, task_import
from wasmrt.errors import ArgumentTypeError, ArtifactError, LinkError, WasmError
from wasmrt.spec import types as spec
from wasmrt.translate import info

from . import component_types as types
from . import pickling
from .component import Component, ComponentExportIndex
from .definitions import Definition, HostFunction, HostResource
from .module import Module
from .names import find_name
from .store import Store
from .values import ComponentFunc, ResourceType

_TASKS = (info.TaskBuiltin, info.TaskCall, info.TaskEnter, info.TaskExit, info.TaskTransfer)


def _operands(trampoline: info.Trampoline, options: list[info.CanonicalOptions]) -> tuple[int, int, int]:
    """What a trampoline refers to, as a row of `instantiate.Program` wants it."""
    match trampoline:
        case info.TaskBuiltin() | info.TaskEnter() | info.TaskExit():
            return trampoline.instance, 0, 0
        case info.TaskCall():
            return options[trampoline.lower].instance, 0, 0
        case info.TaskTransfer():
            return trampoline.src, 0, 0
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


def _core_ref(definition: info.CoreDef, modules: list[Module | None]) -> tuple[int, int, int, int]:
    """A CoreDef as (source, at, kind, index). `modules`: of the core instances so far; what one of an imported module exports is known by name alone."""
    match definition:
        case info.CoreTrampoline():
            return instantiate.OF_TRAMPOLINE, definition.index, 0, 0
        case info.InstanceFlags():
            return instantiate.OF_FLAGS, definition.instance, 0, 0
    if not 0 <= definition.instance < len(modules):
        raise ArtifactError("the artifact's initializers are malformed: a core instance that is not made yet")
    index = definition.index
    module = modules[definition.instance]
    if index < 0:  # of an imported module alone, so that other programs depend on nothing but the records
        assert module is not None
        index = module._object.types[module._index].export_index(definition.name)
    return instantiate.OF_INSTANCE, definition.instance, int(definition.kind), index


_Step = tuple[int, int, int, int, int, Any]
_Ref = tuple[int, int, int, int]


def _trampolines(records: info.Component) -> tuple[list[Any], dict[int, tuple[int, info.TrampolineLowerImport]]]:
    """(kind, params, results, operands) of each, and by lowering its trampoline."""
    rows: list[Any] = []
    lowerings: dict[int, tuple[int, info.TrampolineLowerImport]] = {}
    for index, trampoline in enumerate(records.trampolines):
        signature = info.trampoline_signature(trampoline)
        if isinstance(trampoline, info.TrampolineLowerImport):
            lowerings[trampoline.index] = (index, trampoline)
        rows.append((instantiate.KINDS[type(trampoline).__name__], signature.params, signature.results, _operands(trampoline, records.options)))
    return rows, lowerings


class Blueprint:
    """What all instances of a component share: plans by function type, rows for the trampolines, and the program of its initializers."""

    def __init__(self, component: Component) -> None:
        self._contents = contents = component._shared.contents
        records = contents.artifacts.component
        self.component = component
        self.records = records
        self._plans: dict[int, Plan] = contents.plans
        if contents.export_names is None:
            contents.export_names = export_names(records)
        self.export_names = contents.export_names
        if contents.trampolines is None:
            contents.trampolines = _trampolines(records)
        rows, self.lowerings = contents.trampolines
        self._program: tuple[instantiate.Program, list[Module | None]] | None = None
        self.binder: Binder | None = None
        self.task_instances: set[int] = set()
        self.intrinsics: dict[int, Intrinsic] = {}
        register, pointers = component.engine.types.register_func, component._object.code.trampoline
        self._rows: list[tuple[int, int, int, int, int, int]] = [
            (kind, register(params, results), pointers(index, params, results)[0], *operands) for index, (kind, params, results, operands) in enumerate(rows)
        ]
        self._bind_tasks(component)

    def _bind_tasks(self, component: Component) -> None:
        """What the asynchronous ABI needs, in a component that uses it."""
        records, registry = self.records, component.engine.types
        if self._contents.uses_tasks is None:
            self._contents.uses_tasks = self._contents.has_odd_types or any(isinstance(trampoline, _TASKS) for trampoline in records.trampolines)
        if not self._contents.uses_tasks:
            return
        self.binder = Binder(records, component._types, lambda ty: registry.register_func(ty.params, ty.results))
        self.task_instances = self.binder.task_instances()
        for index, trampoline in enumerate(records.trampolines):
            made = self.binder.intrinsic(trampoline)
            if made is not None:
                self.intrinsics[index] = made

    def plan(self, index: info.TypeIndex) -> Plan:
        plan = self._plans.get(index)
        if plan is None:
            plan = self._plans[index] = Plan(compile_func(self.component._types.func(index)))
        return plan

    def program(self, definitions: list[Definition]) -> tuple[instantiate.Program, list[Module | None]]:
        """The initializers as a flat array, and the module of each core instance. One for all linkers, unless a module is imported."""
        if self._program is not None:
            return self._program
        made = self._make_program(definitions)
        if not any(isinstance(initializer, info.InstantiateModuleImport) for initializer in self.records.initializers):
            self._program = made
        return made

    def _make_program(self, definitions: list[Definition]) -> tuple[instantiate.Program, list[Module | None]]:
        records = self.records
        modules: list[Module | None]
        if self._contents.program is None:
            modules, steps, refs = self._steps(definitions)
            if None not in modules and not any(isinstance(initializer, info.InstantiateModuleImport) for initializer in records.initializers):
                self._contents.program = [module if module is None else module._index for module in modules], [(*step[:5], None) for step in steps], refs
        else:
            indices, steps, refs = self._contents.program
            modules = [self.component._modules[index] for index in indices]
            made = iter([module._object.types[module._index] for module in modules if module is not None])
            steps = [(*step[:5], next(made)) if step[0] == instantiate.INSTANTIATE else step for step in steps]
        program = instantiate.Program(
            steps,
            refs,
            self._rows,
            num_instances=records.num_runtime_component_instances,
            num_memories=records.num_runtime_memories,
            num_reallocs=records.num_runtime_reallocs,
            num_post_returns=records.num_runtime_post_returns,
            num_resources=records.num_resources,
            num_core_instances=len(modules),
            num_callbacks=records.num_runtime_callbacks,
            num_tables=records.num_runtime_tables,
        )
        return program, modules

    def _steps(self, definitions: list[Definition]) -> tuple[list[Module | None], list[_Step], list[_Ref]]:
        """The module of each core instance, and steps and references as `instantiate.Program` takes them."""
        records = self.records
        modules: list[Module | None] = []
        refs: list[_Ref] = []
        steps: list[_Step] = []

        def add(op: int, index: int, items: list[info.CoreDef], instance: int = 0, types: Any = None) -> None:
            steps.append((op, index, len(refs), len(items), instance, types))
            refs.extend(_core_ref(item, modules) for item in items)

        for initializer in records.initializers:
            match initializer:
                case info.InstantiateModuleStatic(module=index, args=args):
                    module = self.component._modules[index]
                    add(instantiate.INSTANTIATE, len(modules), args, types=module._object.types[module._index])
                    modules.append(module)
                case info.InstantiateModuleImport(module=imported, args=named):
                    definition = definitions[imported]
                    assert isinstance(definition, Module)
                    given = {(name, field): arg for name, field, arg in named}
                    args = [given[name, field] for name, field, _ in definition._info.imports]
                    add(instantiate.INSTANTIATE, len(modules), args, types=definition._object.types[definition._index])
                    modules.append(definition)
                case info.ExtractMemory():
                    add(instantiate.MEMORY, initializer.index, [initializer.export])
                case info.ExtractRealloc():
                    add(instantiate.REALLOC, initializer.index, [initializer.func])
                case info.ExtractPostReturn():
                    add(instantiate.POST_RETURN, initializer.index, [initializer.func])
                case info.ExtractCallback():
                    add(instantiate.CALLBACK, initializer.index, [initializer.func])
                case info.ExtractTable():
                    add(instantiate.TABLE, initializer.index, [initializer.export])
                case info.Resource():
                    dtor = [] if initializer.dtor is None else [initializer.dtor]
                    add(instantiate.RESOURCE, records.resource_index(initializer.index), dtor, initializer.instance)
                # lowered imports are bound by InstancePre
        return modules, steps, refs

    @staticmethod
    def of(component: Component) -> Blueprint:
        """The component's own, made at the first use. Two threads may make two; either serves."""
        if component._blueprint is None:
            component._blueprint = Blueprint(component)
        return component._blueprint  # type: ignore[no-any-return]


class InstancePre:
    """A component with all its imports resolved, checked and bound; made by `Linker.instantiate_pre`. Immutable, shared between stores and threads.

    >>> pre = linker.instantiate_pre(component)
    >>> instance = pre.instantiate(Store(engine))  # only the run-time work
    """

    __slots__ = ("_bindings", "_blueprint", "_definitions", "_engine", "_modules", "_store", "component")

    def __init__(self, component: Component, definitions: list[Definition]) -> None:
        self.component = component
        self._engine = component.engine
        self._blueprint = blueprint = Blueprint.of(component)
        self._definitions = definitions
        self._store = _store_of(definitions)
        program, self._modules = blueprint.program(definitions)
        records = blueprint.records
        lowered: list[imports.LoweredImport | Intrinsic | None] = [None] * len(records.trampolines)
        for intrinsic_index, intrinsic in blueprint.intrinsics.items():
            lowered[intrinsic_index] = intrinsic
        for initializer in records.initializers:
            if isinstance(initializer, info.LowerImport):
                trampoline_index, trampoline = blueprint.lowerings[initializer.index]
                lowered[trampoline_index] = self._lower(trampoline, initializer.import_)
        resources: list[ResourceType | None] = [None] * records.num_resources
        dtors: list[Any] = [None] * records.num_resources
        for index, runtime_import in enumerate(records.imported_resources):
            definition = definitions[runtime_import]
            assert isinstance(definition, HostResource)
            resources[index], dtors[index] = definition.type, definition.dtor
        make_tasks = None if blueprint.binder is None else blueprint.binder.state
        names = records.resource_names
        self._bindings = instantiate.Bindings(program, lowered, resources, dtors, names, describer(component), make_tasks)

    def _lower(
        self, trampoline: info.TrampolineLowerImport, import_: info.RuntimeImportIndex
    ) -> imports.LoweredImport | Intrinsic:
        records = self._blueprint.records
        definition = self._definitions[import_]
        assert isinstance(definition, HostFunction)
        options = records.options[trampoline.options]
        name = import_name(records, import_)
        # what cannot be called is refused here
        odd = self._blueprint._contents.has_odd_types
        ty = self.component._types.func(trampoline.ty) if odd else None
        if ty is not None and ty.async_ and (options.async_ or definition.is_async):
            binder = self._blueprint.binder
            assert binder is not None
            plan = Plan(compile_func(ty, async_lower=options.async_))
            made = binder.options(trampoline.options)
            return task_import(plan, trampoline.lower_func, definition.func, made, name, pass_store=definition.pass_store)
        return imports.lower_import(
            self._blueprint.plan(trampoline.ty) if odd else functools.partial(self._blueprint.plan, trampoline.ty),
            definition.func,
            pass_store=definition.pass_store,
            instance=options.instance,
            encoding=options.string_encoding,
            memory=options.memory,
            realloc=options.realloc,
            name=name,
        )

    def __repr__(self) -> str:
        return f"<wasmrt.component.InstancePre of {self.component!r}>"

    def instantiate(self, store: Store) -> ComponentInstance:
        """A new instance in `store`. Raises Trap, LimitError, or what a host function raised while start functions ran."""
        if not isinstance(store, core.Store):
            raise ArgumentTypeError(f"expected a Store, got {type(store).__name__}")
        if store.engine is not self._engine:
            raise WasmError("cross-`Engine` usage is not supported")
        if self._store is not None and store is not self._store:
            raise WasmError("the component imports from an instance that belongs to another store")
        return ComponentInstance._make(self, store, instantiate.instantiate(self._bindings, store))


def _store_of(definitions: list[Definition]) -> core.Store | None:
    """The store that instances have to be in because of what they import from another; None when any will do."""
    found: core.Store | None = None
    for definition in definitions:
        store = definition.store if isinstance(definition, (HostFunction, HostResource)) else None
        if store is not None:
            if found is not None and found is not store:
                raise LinkError("the component would import from instances of two stores")
            found = store
    return found


def describer(component: Component) -> Callable[[spec.FuncType, str], types.ComponentFunc]:
    """Makes the public type of the function exported as `interface#name` or `name`."""

    def describe(ty: spec.FuncType, name: str) -> types.ComponentFunc:
        interface, _, last = name.rpartition("#")
        return types.ComponentFunc._of(ty, types.Place(component._signatures, False, interface, last))  # type: ignore[no-any-return]

    return describe


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


class ComponentInstance(native.FuncLookup):
    """An instance of a component; made by `Linker.instantiate`.

    `exports` is a mapping with attributes (`instance.exports.run()`, `instance.exports["ns:pkg/iface@1.0.0"]["f"]`); `get_func` takes a name or an index
    that `Component.get_export_index` returned. A store argument is accepted first wherever the peer has one.
    """

    __reduce__ = pickling.refuse("ComponentInstance", "it is a running program; pickle the Component and make an instance of it where it arrives")

    __slots__ = ("__weakref__", "_items", "_pre", "_root", "_state", "component", "store")

    component: Component
    store: Store
    _pre: InstancePre
    _state: resources.ComponentInstance
    _items: dict[int, Any] | None
    _root: ComponentExports | None

    def __init__(self) -> None:
        raise WasmError("Cannot directly construct an `Instance`: use Linker.instantiate")

    @staticmethod
    def _make(pre: InstancePre, store: Store, state: resources.ComponentInstance) -> ComponentInstance:
        self = ComponentInstance.__new__(ComponentInstance)
        self.component = pre.component
        self.store = store
        self._pre = pre
        self._state = state
        self._items = None
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
            ours = key.component_id == self.component.id and 0 <= key.export < len(self._pre._blueprint.records.export_items)
            index = key if ours else None
        else:
            raise ArgumentTypeError(f"expected a name or a ComponentExportIndex, got {type(key).__name__}")
        item = None if index is None else self._item(index.export)
        return item if isinstance(item, kind) else None

    def _find_func(self, args: tuple[Any, ...]) -> ComponentFunc | ReexportedFunc | TaskFunc | SyncTaskFunc | None:
        """What `get_func` keeps."""
        return self._find(args, _FUNCS)  # type: ignore[no-any-return]

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
            self._root = ComponentExports(self, self._pre._blueprint.records.exports)
        return self._root

    def _item(self, index: int) -> Any:
        if self._items is None:
            self._items = {}
        item = self._items.get(index)
        if item is None:
            blueprint = self._pre._blueprint
            item = self._items[index] = self._make_item(
                blueprint.records.export_items[index], blueprint.export_names.get(index, "")
            )
        return item

    def _make_item(self, export: info.Export, name: str) -> Any:
        blueprint, state = self._pre._blueprint, self._state
        match export:
            case info.ExportLiftedFunction():
                options = blueprint.records.options[export.options]
                plan = blueprint.plan(export.ty)
                if export.callee is not None:
                    assert blueprint.binder is not None
                    lift = blueprint.binder.lift(export.options, export.callee, plan.type.result)
                    return TaskFunc(state, plan, lift, options.realloc, name)
                func = native.lift_func(
                    state,
                    instantiate.core_item(state, *_core_ref(export.func, self._pre._modules)),
                    plan,
                    instance=options.instance,
                    encoding=options.string_encoding,
                    memory=options.memory,
                    realloc=options.realloc,
                    post_return=options.post_return,
                    name=name,
                )
                if options.instance in blueprint.task_instances:
                    return SyncTaskFunc(state, func, options.instance, name)
                return func
            case info.ExportInstance():
                return ComponentExports(self, export.exports)
            case info.ExportModuleStatic():
                return self.component._modules[export.index]
            case info.ExportModuleImport():
                return self._pre._definitions[export.import_]
            case info.ExportImportedFunction():
                definition = self._pre._definitions[export.import_]
                assert isinstance(definition, HostFunction)
                ty = state.func_type(self.component._types.func(export.ty), name)
                return ReexportedFunc(state, blueprint.plan(export.ty), definition, ty, name)
            case info.ExportResource():
                return state.resource(export.resource)
            case info.ExportComponent() | info.ExportType():
                return types.public_item(self._substituted(self.component._types[export.ty]))
        raise AssertionError(export)

    def type(self, store: Any = None) -> types.ComponentInstance:
        """What it exports, its resources being those that the host supplied or that this instance defined."""
        whole = self.component._types[self._pre._blueprint.records.ty]
        exports = self._substituted(spec.ComponentInstanceType(whole.exports))
        return types.ComponentInstance._of(exports, types.Place(self.component._signatures, False, "", ""))  # type: ignore[no-any-return]

    def _substituted(self, ty: Any) -> Any:
        """`ty` with the resources of this instance. Those that are bound inside a component's or an instance's type stay abstract."""
        of_instance, abstract = self._state.resource, self.component._abstract
        return spec.substitute_resources(ty, lambda r: of_instance(r) if isinstance(r, int) else abstract(r))

    def __repr__(self) -> str:
        return f"<wasmrt.component.Instance of {self.component!r}>"


class ReexportedFunc:
    """A host function that a component imports and exports again: called like any export. No guest stands between, so what is passed arrives as it is,
    once it has been checked like any other argument."""

    def __init__(
        self, state: resources.ComponentInstance, plan: Plan, definition: HostFunction, ty: types.ComponentFunc, name: str
    ) -> None:
        self.store: Store = state.store  # type: ignore[assignment]
        self._state = state
        self._plan = plan
        self._definition = definition
        self._type = ty
        self.__name__ = name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        names = [name for name, _ in self._type.params]
        if args and len(args) + len(kwargs) == len(names) + 1 and isinstance(args[0], core.Store):
            if args[0] is not self.store:
                raise WasmError("the function belongs to another store")
            args = args[1:]
        for name in names[len(args) :]:
            if name in kwargs:
                args = (*args, kwargs.pop(name))
        if kwargs or len(args) != len(names):
            given = len(args) + len(kwargs)
            raise ArgumentTypeError(f"wrong number of parameters provided: given {given}, expected {len(names)}")
        native.check_values(self._state, self._plan, args)
        leading = (self.store,) if self._definition.pass_store else ()
        value = self._definition.func(*leading, *args)
        native.check_values(self._state, self._plan, (), value, of_result=True)
        return value

    def type(self, store: Any = None) -> types.ComponentFunc:
        """Its type, the resources being those of the instance."""
        return self._type

    def post_return(self, store: Any = None) -> None:
        """Nothing to do."""

    def __repr__(self) -> str:
        return f"<wasmrt.component.Func {self.__name__}: {self._type}>"


_FUNCS = (ComponentFunc, ReexportedFunc, TaskFunc, SyncTaskFunc)


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
