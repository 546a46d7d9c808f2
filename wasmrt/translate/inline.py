"""Runs the validated component symbolically: what is left is the linear Component.

Each instantiation of a component definition is one `_Instance` with its own index spaces of run-time values: core items
are CoreDefs, functions know whether they are imported or lifted, resources are ResourceIndex numbers. Running the root
instantiates everything else. Nothing is checked again here; what is valid but not done yet raises UnsupportedError.

Resources of imports are numbered first, so the root's imports are visited before anything else. The number of
definitions run is limited, since instantiations of components that instantiate components multiply.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from wasmrt.binary.records import CanonOptions, Sort, SortIndex
from wasmrt.errors import LimitError, UnsupportedError
from wasmrt.spec import limits
from wasmrt.spec import types as t
from wasmrt.spec.core_types import VALTYPE_I32, VALTYPE_I64, CoreFuncType, GlobalType, MemoryType, TableType, TagType
from wasmrt.spec.features import SWITCHES
from wasmrt.spec.types import AbstractResource, ResourceIndex, substitute_resources

from . import dfg as l
from . import info as i
from .adapt import Adapters, PendingAdapter
from .adapter_code import Adapter, Side
from .canon import feature_of
from .translation import StaticModule, Translation
from .type_nodes import FuncNode, InstanceNode, Item, Items, ResourceNode, public_item, public_items
from .type_table import AnyType, ComponentTypes

_CORE_KINDS = {
    Sort.CORE_FUNC: i.CoreKind.FUNC,
    Sort.CORE_TABLE: i.CoreKind.TABLE,
    Sort.CORE_MEMORY: i.CoreKind.MEMORY,
    Sort.CORE_GLOBAL: i.CoreKind.GLOBAL,
    Sort.CORE_TAG: i.CoreKind.TAG,
}
_EXTERN_KINDS: dict[type, i.CoreKind] = {
    CoreFuncType: i.CoreKind.FUNC,
    TableType: i.CoreKind.TABLE,
    MemoryType: i.CoreKind.MEMORY,
    GlobalType: i.CoreKind.GLOBAL,
    TagType: i.CoreKind.TAG,
}
_ENCODINGS = {
    None: i.StringEncoding.UTF8,
    "utf8": i.StringEncoding.UTF8,
    "utf16": i.StringEncoding.UTF16,
    "latin1+utf16": i.StringEncoding.LATIN1_UTF16,
}
_NO_BUILTINS = ("thread.spawn-ref", "thread.spawn-indirect", "thread.available-parallelism")
_START_64 = CoreFuncType((VALTYPE_I64,), ())
_RESOURCE_BUILTINS: dict[str, type[i.ResourceNew | i.ResourceRep | i.ResourceDrop]] = {
    "resource.new": i.ResourceNew,
    "resource.rep": i.ResourceRep,
    "resource.drop": i.ResourceDrop,
}


# --- values of the symbolic run ------------------------------------------------------------------------------------


@dataclass(slots=True, frozen=True)
class _Imported:
    """A function, module, component or instance that comes from the root's import, through `path` inside it."""

    import_: i.ImportIndex
    path: tuple[str, ...]
    item: Item


@dataclass(slots=True)
class _Lifted:
    func: i.CoreDef
    options: i.OptionsIndex
    instance: _Instance
    type: FuncNode


@dataclass(slots=True, frozen=True)
class _Unsupported:
    """A function that cannot be run yet: an error once something uses it."""

    message: str
    offset: int
    path: str

    def error(self) -> UnsupportedError:
        return UnsupportedError(self.message, offset=self.offset, path=self.path)


@dataclass(slots=True, frozen=True)
class _StaticModule:
    index: i.StaticModuleIndex


@dataclass(slots=True)
class _Component:
    dfg: l.ComponentDfg
    parent: _Instance


@dataclass(slots=True)
class _CoreInstance:
    """Exports of a core instance, by name."""

    exports: dict[str, _Core]


_Func = _Imported | _Lifted | _Unsupported
_Module = _Imported | _StaticModule


@dataclass(slots=True)
class _ExportedInstance:
    """A component instance seen from outside: its exports that exist at run time (types are known by their Item)."""

    exports: dict[str, Any]
    items: Items


@dataclass(slots=True)
class _Instance:
    """A component instance being run."""

    index: i.RuntimeComponentInstanceIndex
    path: str
    parent: _Instance | None  # where the definition stands: what outer aliases count from
    creator: _Instance | None  # who instantiates it
    args: dict[str, Any]
    core_funcs: list[_Core] = field(default_factory=list)
    core_tables: list[i.CoreDef] = field(default_factory=list)
    core_memories: list[i.CoreDef] = field(default_factory=list)
    core_globals: list[i.CoreDef] = field(default_factory=list)
    core_tags: list[i.CoreDef] = field(default_factory=list)
    core_instances: list[_CoreInstance] = field(default_factory=list)
    modules: list[_Module] = field(default_factory=list)
    funcs: list[_Func] = field(default_factory=list)
    components: list[_Component | _Imported] = field(default_factory=list)
    instances: list[_ExportedInstance | _Imported] = field(default_factory=list)
    resources: dict[AbstractResource, ResourceIndex] = field(default_factory=dict)
    exports: dict[str, Any] = field(default_factory=dict)
    items: Items = field(default_factory=dict)
    memo: dict[int, Any] = field(default_factory=dict)
    has_tasks: bool = False  # it uses the asynchronous ABI, so it has to be known which of its threads runs

    def space(self, sort: Sort) -> list[Any]:
        match sort:
            case Sort.CORE_FUNC:
                return self.core_funcs
            case Sort.CORE_TABLE:
                return self.core_tables
            case Sort.CORE_MEMORY:
                return self.core_memories
            case Sort.CORE_GLOBAL:
                return self.core_globals
            case Sort.CORE_TAG:
                return self.core_tags
            case Sort.CORE_MODULE:
                return self.modules
            case Sort.FUNC:
                return self.funcs
            case Sort.COMPONENT:
                return self.components
            case Sort.INSTANCE:
                return self.instances
        raise AssertionError(f"{sort} has no run-time values")

    def value(self, ref: SortIndex) -> Any:
        """What an index refers to; None for types, which need nothing at run time but their Item."""
        return None if ref.sort is Sort.TYPE else self.space(ref.sort)[ref.index]


_Core = i.CoreDef | PendingAdapter | _Unsupported


class Inliner:
    def __init__(self, static_modules: list[StaticModule]) -> None:
        self.static_modules = static_modules
        self.types = ComponentTypes()
        self.import_types: list[tuple[str, i.TypeIndex]] = []
        self.imports: list[i.RuntimeImport] = []
        self.initializers: list[i.GlobalInitializer] = []
        self.trampolines: list[i.Trampoline] = []
        self.options: list[i.CanonicalOptions] = []
        self.export_items: list[i.Export] = []
        self.imported_resources: list[i.RuntimeImportIndex] = []
        self.defined_resource_instances: list[i.RuntimeComponentInstanceIndex] = []
        self.resource_names: list[str] = []
        self.num_lowerings = 0
        self.num_instances = 0
        self.num_component_instances = 1
        self.steps = 0
        self._runtime_imports: dict[tuple[i.ImportIndex, tuple[str, ...]], i.RuntimeImportIndex] = {}
        self._extracted: dict[tuple[type, i.CoreDef], int] = {}
        self._counts: dict[type, int] = {}
        self._options: dict[i.CanonicalOptions, i.OptionsIndex] = {}
        self._trampolines: dict[i.Trampoline, i.TrampolineIndex] = {}
        self._extracted_values: dict[tuple[type, int], i.CoreDef] = {}
        self._static_exports: dict[int, dict[str, tuple[i.CoreKind, int]]] = {}
        self._adapters = Adapters(self.types.intern)

    # --- the root ---

    def run(self, root: l.ComponentDfg) -> Translation:
        instance = _Instance(i.ROOT_INSTANCE, root.path, None, None, {})
        self._bind_imports(root, instance)
        self._run(root, instance)
        assert root.type is not None
        exports = [
            (name, self._export(name, instance.exports[name], item, instance)) for name, item in instance.items.items()
        ]
        imports = public_items(root.type.imports)
        ty = t.ComponentType(imports, public_items(root.type.exports))
        component = i.Component(
            ty=self._type(ty, instance),
            import_types=self.import_types,
            imports=self.imports,
            exports=exports,
            export_items=self.export_items,
            initializers=self.initializers,
            trampolines=self.trampolines,
            options=self.options,
            num_lowerings=self.num_lowerings,
            num_runtime_memories=self._counts.get(i.ExtractMemory, 0),
            num_runtime_tables=self._counts.get(i.ExtractTable, 0),
            num_runtime_reallocs=self._counts.get(i.ExtractRealloc, 0),
            num_runtime_callbacks=self._counts.get(i.ExtractCallback, 0),
            num_runtime_post_returns=self._counts.get(i.ExtractPostReturn, 0),
            num_runtime_instances=self.num_instances,
            num_runtime_component_instances=self.num_component_instances,
            imported_resources=self.imported_resources,
            defined_resource_instances=self.defined_resource_instances,
            resource_names=self.resource_names,
        )
        return Translation(component, self.types, self.static_modules)

    def _bind_imports(self, root: l.ComponentDfg, instance: _Instance) -> None:
        """Numbers the imports and the resources in them, before any resource of ours."""
        assert root.type is not None
        bound = root.type.import_bound
        for local in root.initializers:
            if isinstance(local, l.LocalImport):
                index = i.ImportIndex(len(instance.args))
                imported = _Imported(index, (), local.item)
                instance.args[local.name] = imported
                self._bind_resources(imported, bound, instance)
        for local in root.initializers:
            if isinstance(local, l.LocalImport):
                self.import_types.append((local.name, self._type(public_item(local.item), instance)))

    def _bind_resources(self, imported: _Imported, bound: frozenset[AbstractResource], instance: _Instance) -> None:
        node = imported.item.node
        if imported.item.sort is Sort.TYPE and isinstance(node, ResourceNode):
            if node.resource in bound and node.resource not in instance.resources:
                instance.resources[node.resource] = ResourceIndex(len(self.imported_resources))
                self.imported_resources.append(self._runtime_import(imported))
                self.resource_names.append(node.resource.name)
        elif imported.item.sort is Sort.INSTANCE:
            assert isinstance(node, InstanceNode)
            for name, item in node.exports.items():
                self._bind_resources(_Imported(imported.import_, (*imported.path, name), item), bound, instance)

    def _runtime_import(self, imported: _Imported) -> i.RuntimeImportIndex:
        key = (imported.import_, imported.path)
        index = self._runtime_imports.get(key)
        if index is None:
            index = self._runtime_imports[key] = i.RuntimeImportIndex(len(self.imports))
            self.imports.append(i.RuntimeImport(imported.import_, imported.path))
        return index

    def _type(self, ty: AnyType, instance: _Instance) -> i.TypeIndex:
        """Interns a type with the instance's resources put in; those bound inside the type stay abstract."""

        def replace(resource: AbstractResource) -> Any:
            return instance.resources.get(resource, resource)

        return self.types.intern(substitute_resources(ty, replace, instance.memo))

    # --- running one instance ---

    def _run(self, dfg: l.ComponentDfg, instance: _Instance) -> None:
        for local in dfg.initializers:
            self.steps += 1
            if self.steps > limits.COMPONENT_STEPS:
                raise LimitError(
                    f"more than {limits.COMPONENT_STEPS} definitions to run: nested instantiations multiply",
                    path=instance.path,
                )
            self._step(local, instance)

    def _step(self, local: l.LocalInitializer, instance: _Instance) -> None:
        match local:
            case l.LocalImport():
                if local.item.sort is not Sort.TYPE:
                    instance.space(local.item.sort).append(instance.args[local.name])
            case l.LocalModule():
                instance.modules.append(_StaticModule(local.index))
            case l.LocalOuterAlias():
                target: _Instance | None = instance
                for _ in range(local.count):
                    assert target is not None
                    target = target.parent
                assert target is not None
                instance.space(local.sort).append(target.space(local.sort)[local.index])
            case l.LocalComponent():
                instance.components.append(_Component(local.component, instance))
            case l.LocalInstantiateModule():
                self._instantiate_module(local, instance)
            case l.LocalCoreInstance():
                exports = {name: instance.value(ref) for name, ref in local.exports}
                instance.core_instances.append(_CoreInstance(exports))
            case l.LocalInstantiate():
                self._instantiate(local, instance)
            case l.LocalInstance():
                values = {name: instance.value(ref) for name, ref in local.exports}
                instance.instances.append(_ExportedInstance(values, local.items))
            case l.LocalAliasExport():
                instance.space(local.sort).append(_project(instance.instances[local.instance], local.name, local.item))
            case l.LocalAliasCoreExport():
                exports = instance.core_instances[local.instance].exports
                instance.space(local.sort).append(exports[local.name])
            case l.LocalResource():
                self._resource(local, instance)
            case l.LocalLift():
                instance.has_tasks = instance.has_tasks or local.type.val.async_
                reason = self._adapters.unsupported(local.memory_64)
                if reason:
                    instance.funcs.append(_Unsupported(f"lifting {reason}", local.offset, instance.path))
                    return
                func = self._core(instance.core_funcs[local.func])
                options = self._canonical_options(local.options, local.core_type, local.memory_64, instance)
                instance.funcs.append(_Lifted(func, options, instance, local.type))
            case l.LocalLower():
                instance.core_funcs.append(self._lower(local, instance))
            case l.LocalResourceBuiltin():
                resource = instance.resources[local.resource]
                trampoline = _RESOURCE_BUILTINS[local.name](instance.index, resource, local.core_type)
                instance.core_funcs.append(self._trampoline(trampoline))
            case l.LocalBuiltin():
                instance.core_funcs.append(self._builtin(local, instance))
            case l.LocalExport():
                for ours, theirs in local.renamed.items():
                    instance.resources[ours] = instance.resources[theirs]
                value = instance.value(local.source)
                if local.item.sort is not Sort.TYPE:
                    instance.space(local.item.sort).append(value)
                instance.exports[local.name] = value
                instance.items[local.name] = local.item

    # --- core ---

    def _core(self, value: _Core) -> i.CoreDef:
        """What a core item is at run time. Adapters become core modules when the first one that waits is wanted."""
        if isinstance(value, _Unsupported):
            raise value.error()
        if isinstance(value, PendingAdapter):
            if value.definition is None:
                self._instantiate_adapters()
            assert value.definition is not None
            return value.definition
        return value

    def _instantiate_adapters(self) -> None:
        for module in self._adapters.take(self._trampoline):
            index = i.RuntimeInstanceIndex(self.num_instances)
            self.num_instances += 1
            static = i.StaticModuleIndex(len(self.static_modules))
            self.static_modules.append(module.static_module())
            self.initializers.append(i.InstantiateModuleStatic(index, static, module.args, i.ROOT_INSTANCE))
            module.define(index)

    def _instantiate_module(self, local: l.LocalInstantiateModule, instance: _Instance) -> None:
        module = instance.modules[local.module]

        def arg(module_name: str, name: str) -> i.CoreDef:
            return self._core(instance.core_instances[local.args[module_name]].exports[name])

        imports = local.module_type.imports
        exports: dict[str, _Core] = {}
        named = [(m, n, arg(m, n)) for m, n, _ in imports]
        # adapters among the arguments have been instantiated by now
        index = i.RuntimeInstanceIndex(self.num_instances)
        self.num_instances += 1
        if isinstance(module, _StaticModule):
            args = [value for _, _, value in named]
            self.initializers.append(i.InstantiateModuleStatic(index, module.index, args, instance.index))
            for name, (kind, item) in self._exports_of(module.index).items():
                exports[name] = i.CoreExport(index, kind, name, item)
        else:
            runtime = self._runtime_import(module)
            self.initializers.append(i.InstantiateModuleImport(index, runtime, named, instance.index))
            for name, ty in local.module_type.exports:
                exports[name] = i.CoreExport(index, _EXTERN_KINDS[type(ty)], name)
        instance.core_instances.append(_CoreInstance(exports))

    def _exports_of(self, module: i.StaticModuleIndex) -> dict[str, tuple[i.CoreKind, int]]:
        exports = self._static_exports.get(module)
        if exports is None:
            view = self.static_modules[module].view
            exports = {name: (_EXTERN_KINDS[type(ty)], index) for name, ty, index in view.exports}
            self._static_exports[module] = exports
        return exports

    def _resource(self, local: l.LocalResource, instance: _Instance) -> None:
        if local.rep != VALTYPE_I32:
            message = f"a resource represented by `i64` (Config.{SWITCHES['memory64'][0]} admits it)"
            raise UnsupportedError(message, offset=local.offset, path=instance.path)
        index = i.DefinedResourceIndex(len(self.defined_resource_instances))
        self.defined_resource_instances.append(instance.index)
        self.resource_names.append("")
        resource = ResourceIndex(len(self.imported_resources) + index)
        instance.resources[local.resource] = resource
        dtor = None if local.dtor is None else self._core(instance.core_funcs[local.dtor])
        self.initializers.append(i.Resource(index, local.rep, dtor, instance.index))

    def _trampoline(self, trampoline: i.Trampoline) -> i.CoreTrampoline:
        index = self._trampolines.get(trampoline)
        if index is None:
            index = self._trampolines[trampoline] = i.TrampolineIndex(len(self.trampolines))
            self.trampolines.append(trampoline)
        return i.CoreTrampoline(index)

    # --- lifting and lowering ---

    def _extract(self, make: Any, value: Any) -> Any:
        """The runtime slot of an option, extracted once for all that use it."""
        key = (make, value)
        index = self._extracted.get(key)
        if index is None:
            index = self._extracted[key] = self._counts.get(make, 0)
            self._counts[make] = index + 1
            self._extracted_values[make, index] = value
            self.initializers.append(make(index, value))
        return index

    def _canonical_options(
        self, given: CanonOptions, core_type: CoreFuncType, memory_64: bool, instance: _Instance
    ) -> i.OptionsIndex:
        def func(make: Any, index: int | None) -> Any:
            return None if index is None else self._extract(make, self._core(instance.core_funcs[index]))

        memory = None if given.memory is None else self._extract(i.ExtractMemory, instance.core_memories[given.memory])
        options = i.CanonicalOptions(
            instance=instance.index,
            string_encoding=_ENCODINGS[given.string_encoding],
            core_type=core_type,
            memory=memory,
            realloc=func(i.ExtractRealloc, given.realloc),
            callback=func(i.ExtractCallback, given.callback),
            post_return=func(i.ExtractPostReturn, given.post_return),
            async_=given.async_,
            memory_64=memory_64,
        )
        index = self._options.get(options)
        if index is None:
            index = self._options[options] = i.OptionsIndex(len(self.options))
            self.options.append(options)
        return index

    def _builtin(self, local: l.LocalBuiltin, instance: _Instance) -> _Core:
        """A built-in of the asynchronous ABI."""
        given, name = local.given, local.name
        if (
            local.memory_64
            or given.shared
            or given.core_valtype == VALTYPE_I64
            or name in _NO_BUILTINS
            or local.start == _START_64
        ):
            message = f"the canonical built-in `{name}` (Config.{SWITCHES[feature_of(name)][0]} admits it)"
            return _Unsupported(message, local.offset, instance.path)
        instance.has_tasks = True
        options = given.options
        if options is None and given.memory is not None:
            options = CanonOptions(local.offset, memory=given.memory)
        builtin = i.TaskBuiltin(
            name,
            instance.index,
            local.core_type,
            ty=None if local.type is None else self._type(local.type, instance),
            options=None if options is None else self._canonical_options(options, local.core_type, False, instance),
            number=given.slot or 0,
            async_=given.async_,
            cancellable=given.cancellable,
            table=None if given.table is None else self._extract(i.ExtractTable, instance.core_tables[given.table]),
        )
        return self._trampoline(builtin)

    def _lower(self, local: l.LocalLower, instance: _Instance) -> _Core:
        func = instance.funcs[local.func]
        if isinstance(func, _Unsupported):
            return func
        reason = self._adapters.unsupported(local.memory_64)
        if reason:
            return _Unsupported(f"lowering {reason}", local.offset, instance.path)
        if isinstance(func, _Lifted):
            return self._adapter(local, func, instance)
        instance.has_tasks = instance.has_tasks or local.type.val.async_
        options = self._canonical_options(local.options, local.core_type, local.memory_64, instance)
        index = i.LoweredIndex(self.num_lowerings)
        self.num_lowerings += 1
        ty = self._type(local.type.val, instance)
        self.initializers.append(i.LowerImport(index, self._runtime_import(func)))
        return self._trampoline(i.TrampolineLowerImport(index, local.core_type, ty, options))

    def _adapter(self, local: l.LocalLower, func: _Lifted, instance: _Instance) -> PendingAdapter:
        """A call of what another component lifts (or this one: such a call traps)."""
        options = self.options[self._canonical_options(local.options, local.core_type, local.memory_64, instance)]
        callee_options = self.options[func.options]
        type_index = self._type(local.type.val, instance)
        ty = self.types.func(type_index)
        callee_instance, caller = func.instance, instance
        caller.has_tasks = caller.has_tasks or ty.async_
        adapter = Adapter(
            name=f"{caller.path or 'root'} to {callee_instance.path or 'root'}",
            type=ty,
            lower=self._side(options),
            lower_type=options.core_type,
            lift=self._side(callee_options),
            lift_type=callee_options.core_type,
            callee=func.func,
            post_return=self._value_of(i.ExtractPostReturn, callee_options.post_return),
            recursive=_inside(caller, callee_instance) or _inside(callee_instance, caller),
            tasks=callee_instance.has_tasks,
            async_lower=options.async_,
            async_lift=callee_options.async_,
            callback=self._value_of(i.ExtractCallback, callee_options.callback),
        )
        if not ty.async_:
            return self._adapters.add(adapter)

        def make(params: i.CoreExport, result: i.CoreExport) -> i.CoreDef:
            callee, first, second = (self._extract(i.ExtractCallback, item) for item in (func.func, params, result))
            call = i.TaskCall(
                options.core_type,
                type_index,
                self._options[options],
                func.options,
                func=callee,
                params=first,
                result=second,
                recursive=adapter.recursive,
            )
            return self._trampoline(call)

        return self._adapters.add(adapter, make)

    def _side(self, options: i.CanonicalOptions) -> Side:
        return Side(
            options.instance,
            options.string_encoding,
            self._value_of(i.ExtractMemory, options.memory),
            options.memory,
            self._value_of(i.ExtractRealloc, options.realloc),
        )

    def _value_of(self, make: type, index: int | None) -> i.CoreDef | None:
        """What was extracted to a runtime slot."""
        return None if index is None else self._extracted_values[make, index]

    # --- components ---

    def _instantiate(self, local: l.LocalInstantiate, instance: _Instance) -> None:
        component = instance.components[local.component]
        if isinstance(component, _Imported):
            raise UnsupportedError("instantiating an imported component", offset=local.offset, path=instance.path)
        index = i.RuntimeComponentInstanceIndex(self.num_component_instances)
        self.num_component_instances += 1
        args = {name: instance.value(ref) for name, ref in local.args}
        callee = _Instance(index, component.dfg.path, component.parent, instance, args)
        for theirs, ours in local.bindings.items():
            callee.resources[theirs] = instance.resources[ours]
        self._run(component.dfg, callee)
        for ours, theirs in local.fresh.items():
            instance.resources[ours] = callee.resources[theirs]
        instance.instances.append(_ExportedInstance(callee.exports, callee.items))

    # --- the root's exports ---

    def _export(self, name: str, value: Any, item: Item, root: _Instance) -> i.ExportIndex:
        export = self._export_item(value, item, root)
        if isinstance(export, i.ExportResource) and not self.resource_names[export.resource]:
            self.resource_names[export.resource] = name
        index = i.ExportIndex(len(self.export_items))
        self.export_items.append(export)
        return index

    def _export_item(self, value: Any, item: Item, root: _Instance) -> i.Export:
        node = item.node
        if item.sort is Sort.TYPE and isinstance(node, ResourceNode):
            resource = root.resources[node.resource]
            self.resource_names[resource] = self.resource_names[resource] or node.resource.name
            return i.ExportResource(resource)
        ty = self._type(public_item(item), root)
        if item.sort is Sort.TYPE:
            return i.ExportType(ty)
        if item.sort is Sort.FUNC:
            if isinstance(value, _Unsupported):
                raise value.error()
            if isinstance(value, _Imported):
                return i.ExportImportedFunction(ty, self._runtime_import(value))
            assert isinstance(node, FuncNode)
            callee = self._extract(i.ExtractCallback, value.func) if node.val.async_ else None
            return i.ExportLiftedFunction(ty, value.func, value.options, callee)
        if item.sort is Sort.CORE_MODULE:
            if isinstance(value, _Imported):
                return i.ExportModuleImport(ty, self._runtime_import(value))
            return i.ExportModuleStatic(ty, value.index)
        if item.sort is Sort.COMPONENT:
            return i.ExportComponent(ty)
        assert isinstance(node, InstanceNode)
        exports = [
            (name, self._export(name, _project(value, name, inner), inner, root))
            for name, inner in node.exports.items()
        ]
        return i.ExportInstance(ty, exports)


def _inside(inner: _Instance, outer: _Instance) -> bool:
    """Whether `outer` is `inner` or one of those that it was instantiated in."""
    found: _Instance | None = inner
    while found is not None and found is not outer:
        found = found.creator
    return found is not None


def _project(instance: _ExportedInstance | _Imported, name: str, item: Item) -> Any:
    """An export of a component instance."""
    if isinstance(instance, _Imported):
        return _Imported(instance.import_, (*instance.path, name), item)
    return instance.exports[name]


def inline(root: l.ComponentDfg, static_modules: list[StaticModule]) -> Translation:
    """The linear component that instantiating `root` amounts to."""
    return Inliner(static_modules).run(root)
