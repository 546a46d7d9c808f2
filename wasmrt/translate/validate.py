"""Validates a decoded component, definition by definition, and makes its ComponentDfg.

The first broken rule raises a ValidationError with its offset and the path of the nested component. Core modules are
given to `decode_core_module`, which decodes and checks them; their function bodies are checked when they are compiled.
"""

from __future__ import annotations

from collections.abc import Callable

from wasmrt.binary import records as r
from wasmrt.binary.records import Sort
from wasmrt.errors import DecodeError, LimitError, PlacedError, ValidationError
from wasmrt.spec import limits
from wasmrt.spec.core_types import VALTYPE_I32, VALTYPE_I64, CoreExternType, CoreFuncType
from wasmrt.spec.features import Features
from wasmrt.spec.types import AbstractResource

from . import canon
from .dfg import (
    ComponentDfg,
    LocalAliasCoreExport,
    LocalAliasExport,
    LocalComponent,
    LocalCoreInstance,
    LocalExport,
    LocalImport,
    LocalInitializer,
    LocalInstance,
    LocalInstantiate,
    LocalInstantiateModule,
    LocalModule,
    LocalOuterAlias,
    LocalResource,
)
from .extern_rules import check_extern_name
from .info import StaticModuleIndex
from .scope import CORE_SORT_TYPES, CoreExports, Names, Scope
from .subtype import Matcher, Mismatch, match_core
from .translation import CoreModuleView, StaticModule
from .type_defs import TypeValidator, match_or_raise, module_node, placed
from .type_nodes import (
    ComponentNode,
    InstanceNode,
    InvalidTypeError,
    Item,
    ResourceNode,
    Substitution,
    TooBigError,
)

DecodeCoreModule = Callable[[memoryview], CoreModuleView]


class Validator(TypeValidator):
    def __init__(self, data: memoryview, features: Features, decode_core_module: DecodeCoreModule) -> None:
        super().__init__(features)
        self.data = data
        self.decode_core_module = decode_core_module
        self.static_modules: list[StaticModule] = []

    def component(self, definition: r.ComponentDef, parent: Scope | None, path: str) -> ComponentDfg:
        scope = Scope("component", parent, path)
        dfg = ComponentDfg(path)
        for d in definition.definitions:
            try:
                local = self._definition(scope, d)
            except (TooBigError, InvalidTypeError, Mismatch) as e:
                raise placed(e, scope, d.offset) from None
            if local is not None:
                dfg.initializers.append(local)
            limits.check("COMPONENT_ITEMS", len(dfg.initializers), offset=d.offset, path=path)
        try:
            dfg.type = ComponentNode(
                scope.imports, scope.exports, frozenset(scope.import_bound), frozenset(scope.defined)
            )
        except TooBigError as e:
            raise placed(e, scope, definition.offset) from None
        return dfg

    def _definition(self, scope: Scope, d: r.Definition) -> LocalInitializer | None:
        match d:
            case r.Import():
                item = self.extern(scope, d.type, d.name.name, scope.import_bound)
                item = self.declare(scope, d.name, item, is_import=True)
                return LocalImport(d.offset, d.name.name, item)
            case r.Export():
                return self._export(scope, d)
            case r.AliasExport():
                item = self.alias_export(scope, d)
                scope.push(item)
                return None if d.sort is Sort.TYPE else LocalAliasExport(d.sort, d.instance, d.name, item)
            case r.AliasCoreExport():
                return self._alias_core_export(scope, d)
            case r.AliasOuter():
                self.alias_outer(scope, d)
                if d.sort in (Sort.CORE_MODULE, Sort.COMPONENT):
                    return LocalOuterAlias(d.sort, d.count, d.index)
                return None
            case r.CoreModuleDef():
                return self._core_module(scope, d)
            case r.CoreInstantiate():
                return self._instantiate_module(scope, d)
            case r.CoreInstanceFromExports():
                return self._core_instance(scope, d)
            case r.ComponentDef():
                part = f"component[{scope.nested}]"
                scope.nested += 1
                dfg = self.component(d, scope, f"{scope.path}.{part}" if scope.path else part)
                assert dfg.type is not None
                scope.components.append(dfg.type)
                return LocalComponent(dfg)
            case r.Instantiate():
                return self._instantiate(scope, d)
            case r.InstanceFromExports():
                return self._instance(scope, d)
            case r.CanonLift():
                return canon.lift(self, scope, d)
            case r.CanonLower():
                return canon.lower(self, scope, d)
            case r.CanonBuiltin():
                return canon.builtin(self, scope, d)
            case r.ResourceDef():
                return self._resource(scope, d)
            case r.CoreRecType() | r.CoreModuleType():
                self.core_type(scope, d)
                return None
            case r.Start() | r.Value():
                raise scope.invalid("support for component model `value`s is not enabled", d.offset)
        scope.types.append(self.type_def(scope, d))
        return None

    # --- core ---

    def _core_module(self, scope: Scope, d: r.CoreModuleDef) -> LocalModule:
        try:
            view = self.decode_core_module(self.data[d.start : d.end])
        except PlacedError as e:
            raise _relocated(e, d.start, scope, len(self.static_modules)) from None
        index = StaticModuleIndex(len(self.static_modules))
        self.static_modules.append(StaticModule(d.start, d.end, view))
        exports = [(name, ty) for name, ty, _ in view.exports]
        scope.modules.append(module_node(scope, list(view.imports), exports, d.start))
        return LocalModule(index)

    def _instantiate_module(self, scope: Scope, d: r.CoreInstantiate) -> LocalInstantiateModule:
        module = scope.get(scope.modules, d.module, "module", d.offset).val
        args: dict[str, int] = {}
        for name, index in d.args:
            scope.get(scope.core_instances, index, "core instance", d.offset)
            if name in args:
                raise scope.invalid(f"duplicate module instantiation argument named `{name}`", d.offset)
            args[name] = index
        for module_name, name, expected in module.imports:
            if module_name not in args:
                raise scope.invalid(f"missing module instantiation argument named `{module_name}`", d.offset)
            found = scope.core_instances[args[module_name]].get(name)
            if found is None:
                raise scope.invalid(
                    f"module instantiation argument `{module_name}` does not export an item named `{name}`", d.offset
                )
            try:
                match_core(expected, found)
            except Mismatch as e:
                raise scope.invalid(
                    f"type mismatch for export `{name}` of module instantiation argument `{module_name}`: {e}",
                    d.offset,
                ) from None
        scope.core_instances.append(dict(module.exports))
        return LocalInstantiateModule(d.offset, d.module, module, args)

    def _core_instance(self, scope: Scope, d: r.CoreInstanceFromExports) -> LocalCoreInstance:
        exports: CoreExports = {}
        for name, item in d.exports:
            if name in exports:
                raise scope.invalid(f"export name `{name}` already defined: duplicate export", item.offset)
            exports[name] = scope.core_item(item.sort, item.index, item.offset)
        scope.core_instances.append(exports)
        return LocalCoreInstance(d.exports)

    def _alias_core_export(self, scope: Scope, d: r.AliasCoreExport) -> LocalAliasCoreExport:
        exports = scope.get(scope.core_instances, d.instance, "core instance", d.offset)
        ty: CoreExternType | None = exports.get(d.name)
        if ty is None:
            raise scope.invalid(f"core instance {d.instance} has no export named `{d.name}`", d.offset)
        if not isinstance(ty, CORE_SORT_TYPES[d.sort]):
            word = d.sort.value.removeprefix("core ")
            raise scope.invalid(f"export `{d.name}` for core instance {d.instance} is not a {word}", d.offset)
        scope.push_core(ty)
        return LocalAliasCoreExport(d.sort, d.instance, d.name)

    def _resource(self, scope: Scope, d: r.ResourceDef) -> LocalResource:
        if d.rep == VALTYPE_I64:
            self.need("memory64", "a resource represented by `i64`", scope, d.offset)
        elif d.rep != VALTYPE_I32:
            raise scope.invalid("resources can only be represented by `i32`", d.offset)
        if d.dtor is not None:
            dtor = scope.get(scope.core_funcs, d.dtor, "function", d.offset)
            if dtor != CoreFuncType((d.rep,), ()):
                raise scope.invalid(f"core function {d.dtor} has wrong signature for a destructor: {dtor}", d.offset)
        resource = self.fresh()
        scope.types.append(ResourceNode(resource))
        scope.local[resource] = d.rep
        scope.defined.add(resource)
        return LocalResource(d.offset, resource, d.rep, d.dtor)

    # --- components ---

    def _instantiate(self, scope: Scope, d: r.Instantiate) -> LocalInstantiate:
        component = scope.get(scope.components, d.component, "component", d.offset)
        args: dict[str, Item] = {}
        for name, ref in d.args:
            if name in args:
                raise scope.invalid(
                    f"instantiation argument `{name}` conflicts with previous argument `{name}`", ref.offset
                )
            args[name] = scope.item(ref.sort, ref.index, ref.offset)
        matcher = Matcher(self.budget, component.import_bound)
        for name, expected in component.imports.items():
            actual = args.get(name)
            if actual is None:
                raise scope.invalid(f"missing import named `{name}`", d.offset)
            context = f"type mismatch for import `{name}` of the component instantiated"
            match_or_raise(matcher, expected, actual, scope, d.offset, context)
        bindings = dict(matcher.substitution.resources)
        fresh: dict[AbstractResource, AbstractResource] = {}
        for old in sorted(component.export_bound, key=lambda a: a.index):
            matcher.substitution.resources[old] = new = self.fresh(old.name)
            fresh[new] = old
        scope.defined.update(fresh)
        # Nodes that mention a resource bound only now may have been visited before.
        substitution = Substitution(self.budget, matcher.substitution.resources)
        substitution.nodes.update(
            (old, new) for old, new in matcher.substitution.nodes.items() if not old.free & component.export_bound
        )
        scope.instances.append(InstanceNode(substitution.items(component.exports)))
        return LocalInstantiate(d.offset, d.component, d.args, bindings, fresh)

    def _instance(self, scope: Scope, d: r.InstanceFromExports) -> LocalInstance:
        names = Names()
        exports: dict[str, Item] = {}
        for name, ref in d.exports:
            item = scope.item(ref.sort, ref.index, ref.offset)
            check_extern_name(scope, names, name, item, "export", self.features)
            exports[name.name] = item
        scope.instances.append(InstanceNode(exports))
        return LocalInstance([(name.name, ref) for name, ref in d.exports], exports)

    def _export(self, scope: Scope, d: r.Export) -> LocalExport:
        item = scope.item(d.item.sort, d.item.index, d.offset)
        renamed: dict[AbstractResource, AbstractResource] = {}
        if d.type is not None:
            bound: set[AbstractResource] = set()
            ascribed = self.extern(scope, d.type, d.name.name, bound)
            scope.defined |= bound
            matcher = Matcher(self.budget, frozenset(bound))
            context = f"ascribed type of export is not compatible with item's type: `{d.name.name}`"
            match_or_raise(matcher, ascribed, item, scope, d.offset, context)
            renamed = dict(matcher.substitution.resources)
            item = ascribed
        item = self.declare(scope, d.name, item, is_import=False)
        return LocalExport(d.offset, d.name.name, d.item, item, renamed)


def _relocated(e: PlacedError, start: int, scope: Scope, module: int) -> PlacedError:
    """An error of the reader of core modules, with its offset and path made those of the component."""
    if not isinstance(e, (DecodeError, ValidationError, LimitError)):
        return e
    part = f"module[{module}]"
    path = f"{scope.path}.{part}" if scope.path else part
    offset = start if e.offset is None else start + e.offset
    return type(e)(e.message, offset=offset, path=path, function=e.function, expected=e.expected)
