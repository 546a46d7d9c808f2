"""Validates type definitions and makes their nodes: value, function, component, instance and core module types."""

from __future__ import annotations

from collections.abc import Iterable

from wasmrt.binary import records as r
from wasmrt.binary.records import Sort
from wasmrt.errors import LimitError, ValidationError
from wasmrt.spec import limits
from wasmrt.spec import types as t
from wasmrt.spec.core_types import CoreExternType, CoreFuncType, GlobalType, MemoryType, TableType, TagType
from wasmrt.spec.features import Features, off
from wasmrt.spec.names import is_label
from wasmrt.spec.types import AbstractResource

from .extern_rules import check_extern_name, named_by, visible
from .scope import CoreTypeEntry, Scope
from .subtype import Matcher, Mismatch
from .type_nodes import (
    Budget,
    ComponentNode,
    FuncNode,
    InstanceNode,
    InvalidTypeError,
    Item,
    ModuleNode,
    ResourceNode,
    Substitution,
    TooBigError,
    TypeNode,
    ValueNode,
    primitive_node,
)

_MAP_KEYS = (t.Bool, t.U8, t.S8, t.U16, t.S16, t.U32, t.S32, t.U64, t.S64, t.Char, t.String)


class TypeValidator:
    """State of one translation that all its scopes share."""

    def __init__(self, features: Features) -> None:
        self.features = features
        self.budget = Budget()
        self._resources = 0

    def fresh(self, name: str = "") -> AbstractResource:
        self._resources += 1
        return AbstractResource(self._resources, name)

    # --- value and function types ---

    def need(self, feature: str, what: str, scope: Scope, offset: int) -> None:
        """`feature` is a field of Features."""
        if not getattr(self.features, feature):
            raise scope.invalid(off(feature, what), offset)

    def ref(self, scope: Scope, ref: r.ValTypeRef, offset: int) -> ValueNode:
        if isinstance(ref, int):
            return scope.value_type(ref, offset)
        if isinstance(ref, t.ErrorContext):
            self.need("error_context", "error-context", scope, offset)
        return primitive_node(ref)

    def optional_ref(self, scope: Scope, ref: r.ValTypeRef | None, offset: int) -> ValueNode | None:
        return None if ref is None else self.ref(scope, ref, offset)

    def labels(self, scope: Scope, labels: Iterable[str], what: str, offset: int) -> None:
        seen: dict[str, str] = {}
        for label in labels:
            if not label:
                raise scope.invalid(f"{what} cannot be empty", offset)
            if not is_label(label):
                raise scope.invalid(f"{what} `{label}` is not in kebab case", offset)
            previous = seen.get(label.lower())
            if previous is not None:
                raise scope.invalid(
                    f"{what} `{label}` conflicts with previous {what.split()[-2]} name `{previous}`", offset
                )
            seen[label.lower()] = label

    def value_def(self, scope: Scope, d: r.ValTypeDef) -> ValueNode:
        at = d.offset
        match d:
            case r.PrimitiveDef():
                primitive = self.ref(scope, d.type, at)
                return ValueNode(primitive.val, ())
            case r.RecordDef():
                if not d.fields:
                    raise scope.invalid("record type must have at least one field", at)
                self.labels(scope, (n for n, _ in d.fields), "record field name", at)
                fields = [(n, self.ref(scope, ty, at)) for n, ty in d.fields]
                return ValueNode(t.RecordType(tuple((n, p.val) for n, p in fields)), tuple(p for _, p in fields))
            case r.VariantDef():
                if not d.cases:
                    raise scope.invalid("variant type must have at least one case", at)
                self.labels(scope, (n for n, _ in d.cases), "variant case name", at)
                cases = [(n, self.optional_ref(scope, ty, at)) for n, ty in d.cases]
                val = t.VariantType(tuple((n, None if p is None else p.val) for n, p in cases))
                return ValueNode(val, tuple(p for _, p in cases))
            case r.ListDef():
                element = self.ref(scope, d.element, at)
                if d.length is not None:
                    self.need("fixed_length_lists", "a fixed-length list", scope, at)
                    if d.length == 0:
                        raise scope.invalid("fixed-length lists must have more than zero elements", at)
                return ValueNode(t.ListType(element.val, d.length), (element,))
            case r.MapDef():
                self.need("map", "map", scope, at)
                key, value = self.ref(scope, d.key, at), self.ref(scope, d.value, at)
                if not isinstance(key.val, _MAP_KEYS):
                    raise scope.invalid(f"invalid map key type {key.val}", at)
                return ValueNode(t.MapType(key.val, value.val), (key, value))
            case r.TupleDef():
                if not d.elements:
                    raise scope.invalid("tuple type must have at least one type", at)
                elements = tuple(self.ref(scope, ty, at) for ty in d.elements)
                return ValueNode(t.TupleType(tuple(e.val for e in elements)), elements)
            case r.FlagsDef():
                if not d.names:
                    raise scope.invalid("flags must have at least one entry", at)
                if len(d.names) > 32:
                    raise scope.invalid("cannot have more than 32 flags", at)
                self.labels(scope, d.names, "flag name", at)
                return ValueNode(t.FlagsType(tuple(d.names)), ())
            case r.EnumDef():
                if not d.names:
                    raise scope.invalid("enum type must have at least one variant", at)
                self.labels(scope, d.names, "enum tag name", at)
                return ValueNode(t.EnumType(tuple(d.names)), ())
            case r.OptionDef():
                payload = self.ref(scope, d.payload, at)
                return ValueNode(t.OptionType(payload.val), (payload,))
            case r.ResultDef():
                ok, err = self.optional_ref(scope, d.ok, at), self.optional_ref(scope, d.err, at)
                val_ok, val_err = None if ok is None else ok.val, None if err is None else err.val
                return ValueNode(t.ResultType(val_ok, val_err), (ok, err))
            case r.HandleDef():
                resource = scope.resource(d.resource, at)
                handle = t.OwnType(resource.resource) if d.is_own else t.BorrowType(resource.resource)
                return ValueNode(handle, (resource,))
            case r.AsyncValueDef():
                what = "stream" if d.is_stream else "future"
                self.need("async_", what, scope, at)
                element_or_none = self.optional_ref(scope, d.payload, at)
                if element_or_none is not None:
                    if element_or_none.has_borrow:
                        raise scope.invalid(f"{what} type cannot contain a `borrow` type", at)
                    if d.is_stream and isinstance(element_or_none.val, t.Char):
                        raise scope.invalid("`stream<char>` is not valid at this time", at)
                payload_val = None if element_or_none is None else element_or_none.val
                ty = t.StreamType(payload_val) if d.is_stream else t.FutureType(payload_val)
                return ValueNode(ty, (element_or_none,))

    def func_def(self, scope: Scope, d: r.FuncTypeDef) -> FuncNode:
        if d.async_:
            self.need("async_", "an async function type", scope, d.offset)
        self.labels(scope, (n for n, _ in d.params), "function parameter name", d.offset)
        params = tuple((n, self.ref(scope, ty, d.offset)) for n, ty in d.params)
        result = self.optional_ref(scope, d.result, d.offset)
        if result is not None and result.has_borrow:
            raise scope.invalid("function result cannot contain a `borrow` type", d.offset)
        return FuncNode(params, result, d.async_)

    def type_def(self, scope: Scope, d: r.TypeDef) -> TypeNode:
        try:
            match d:
                case r.FuncTypeDef():
                    return self.func_def(scope, d)
                case r.ComponentTypeDef():
                    return self.component_type(scope, d)
                case r.InstanceTypeDef():
                    return self.instance_type(scope, d)
                case r.ResourceDef():
                    raise scope.invalid("resources can only be defined within a concrete component", d.offset)
                case _:
                    return self.value_def(scope, d)
        except (TooBigError, InvalidTypeError, Mismatch) as e:
            raise placed(e, scope, d.offset) from None

    # --- component and instance types ---

    def component_type(self, parent: Scope, d: r.ComponentTypeDef) -> ComponentNode:
        scope = Scope("component type", parent, parent.path)
        self.declarations(scope, d.decls)
        return ComponentNode(scope.imports, scope.exports, frozenset(scope.import_bound), frozenset(scope.defined))

    def instance_type(self, parent: Scope, d: r.InstanceTypeDef) -> InstanceNode:
        scope = Scope("instance type", parent, parent.path)
        self.declarations(scope, d.decls)
        return InstanceNode(scope.exports, frozenset(scope.defined))

    def declarations(self, scope: Scope, decls: list[r.Declaration]) -> None:
        for d in decls:
            match d:
                case r.CoreRecType() | r.CoreModuleType():
                    self.core_type(scope, d)
                case r.Import():
                    self.declare(
                        scope, d.name, self.extern(scope, d.type, d.name.name, scope.import_bound), is_import=True
                    )
                case r.ExportDecl():
                    item = self.extern(scope, d.type, d.name.name, scope.defined)
                    self.declare(scope, d.name, item, is_import=False)
                case r.AliasExport():
                    if d.sort not in (Sort.TYPE, Sort.INSTANCE):
                        raise scope.invalid("aliases in component types may only refer to types or instances", d.offset)
                    scope.push(self.alias_export(scope, d))
                case r.AliasOuter():
                    if d.sort not in (Sort.TYPE, Sort.CORE_TYPE):
                        raise scope.invalid("aliases in component types may only refer to types or instances", d.offset)
                    self.alias_outer(scope, d)
                case r.AliasCoreExport():
                    raise scope.invalid("aliases in component types may only refer to types or instances", d.offset)
                case _:
                    scope.types.append(self.type_def(scope, d))
            limits.check("COMPONENT_ITEMS", len(scope.types), offset=d.offset, path=scope.path)

    def extern(self, scope: Scope, ref: r.ExternTypeRef, name: str, bound: set[AbstractResource]) -> Item:
        """The item that an import or export declaration of this type adds. Resources that the type introduces are made
        fresh and added to `bound`."""
        index = ref.index
        match ref.sort:
            case Sort.CORE_MODULE:
                assert index is not None
                entry = scope.get(scope.core_types, index, "type", ref.offset)
                if not isinstance(entry, ModuleNode):
                    raise scope.invalid(f"core type index {index} is not a module type", ref.offset)
                return Item(ref.sort, entry)
            case Sort.FUNC:
                assert index is not None
                return Item(ref.sort, scope.func_type(index, ref.offset))
            case Sort.TYPE:
                if index is not None:
                    return Item(ref.sort, scope.type(index, ref.offset))
                resource = self.fresh(name)
                bound.add(resource)
                return Item(ref.sort, ResourceNode(resource))
            case Sort.INSTANCE:
                assert index is not None
                node = scope.type(index, ref.offset)
                if not isinstance(node, InstanceNode):
                    raise scope.invalid(f"type index {index} is not an instance type", ref.offset)
                instance, renamed = self.freshen(node, scope, ref.offset)
                bound.update(renamed.values())
                return Item(ref.sort, instance)
            case Sort.COMPONENT:
                assert index is not None
                node = scope.type(index, ref.offset)
                if not isinstance(node, ComponentNode):
                    raise scope.invalid(f"type index {index} is not a component type", ref.offset)
                return Item(ref.sort, node)
        raise scope.invalid("support for component model `value`s is not enabled", ref.offset)

    def freshen(
        self, node: InstanceNode, scope: Scope, offset: int
    ) -> tuple[InstanceNode, dict[AbstractResource, AbstractResource]]:
        """An instance of an instance type: its bound resources become new ones, mapped from the old."""
        if not node.bound:
            return node, {}
        try:
            # Each resource also grows the sets of free resources of all that mentions it.
            self.budget.spend(8 * len(node.bound))
            renamed = {old: self.fresh(old.name) for old in sorted(node.bound, key=lambda a: a.index)}
            exports = Substitution(self.budget, dict(renamed)).items(node.exports)
            return InstanceNode(exports), renamed
        except (TooBigError, InvalidTypeError) as e:
            raise placed(e, scope, offset) from None

    def declare(self, scope: Scope, name: r.ExternName, item: Item, *, is_import: bool) -> Item:
        """Adds an import or export: its name and the visibility of its type are checked; a type gets a new identity."""
        names = scope.import_names if is_import else scope.export_names
        what = "import" if is_import else "export"
        parsed = check_extern_name(scope, names, name, item, what, self.features)
        named = scope.named_imports if is_import else scope.named
        if scope.kind != "instance type" and not visible(item, named):
            word = item.sort.value
            raise scope.invalid(
                f"{word} not valid to be used as {what}: `{name.name}` refers to unnamed types", name.offset
            )
        if is_import and not item.node.free.isdisjoint(scope.defined):
            raise scope.invalid(f"local resource type found in import `{name.name}`", name.offset)
        try:
            if item.sort is Sort.TYPE:
                item = Item(item.sort, Substitution(self.budget).clone_type(item.node))
            new = set(named_by(item))
            self.budget.spend(len(new))
        except TooBigError as e:
            raise placed(e, scope, name.offset) from None
        scope.named |= new
        if is_import:
            scope.named_imports |= new
        if isinstance(item.node, ResourceNode) and parsed.kind == "label":
            names.resources[item.node] = parsed.label
        (scope.imports if is_import else scope.exports)[name.name] = item
        scope.push(item)
        return item

    # --- aliases ---

    def alias_export(self, scope: Scope, d: r.AliasExport) -> Item:
        instance = scope.get(scope.instances, d.instance, "instance", d.offset)
        item = instance.exports.get(d.name)
        if item is None:
            raise scope.invalid(f"instance {d.instance} has no export named `{d.name}`", d.offset)
        if item.sort is not d.sort:
            word = d.sort.value.removeprefix("core ")
            raise scope.invalid(f"export `{d.name}` of instance {d.instance} is not a {word}", d.offset)
        return item

    def alias_outer(self, scope: Scope, d: r.AliasOuter) -> None:
        target: Scope | None = scope
        crosses_component = False
        for _ in range(d.count):
            assert target is not None
            crosses_component |= target.kind == "component"
            target = target.parent
            if target is None:
                raise scope.invalid(f"invalid outer alias count of {d.count}", d.offset)
        assert target is not None
        match d.sort:
            case Sort.CORE_TYPE:
                entry = scope.get(target.core_types, d.index, "core type", d.offset)
                scope.core_types.append(entry)
            case Sort.CORE_MODULE:
                scope.modules.append(scope.get(target.modules, d.index, "module", d.offset))
            case Sort.COMPONENT:
                component = scope.get(target.components, d.index, "component", d.offset)
                if crosses_component and component.free:
                    raise scope.invalid("cannot alias a component that transitively refers to resources", d.offset)
                scope.components.append(component)
            case Sort.TYPE:
                node = scope.get(target.types, d.index, "type", d.offset)
                if crosses_component and node.free:
                    raise scope.invalid(
                        "cannot alias outer type which transitively refers to resources not defined in the current "
                        "component",
                        d.offset,
                    )
                scope.types.append(node)
            case _:
                raise scope.invalid(f"invalid outer alias of a {d.sort.value}", d.offset)

    # --- core types ---

    def core_type(self, scope: Scope, d: r.CoreType) -> None:
        if isinstance(d, r.CoreModuleType):
            scope.core_types.append(self.module_type(scope, d))
        else:
            scope.core_types.extend(d.types)
        limits.check("TYPES", len(scope.core_types), offset=d.offset, path=scope.path)

    def module_type(self, scope: Scope, d: r.CoreModuleType) -> ModuleNode:
        types: list[CoreTypeEntry] = []
        imports: list[tuple[str, str, CoreExternType]] = []
        exports: list[tuple[str, CoreExternType]] = []
        for decl in d.decls:
            match decl:
                case r.CoreRecType():
                    types.extend(decl.types)
                case r.CoreModuleType():
                    raise scope.invalid("a module type cannot define a module type", decl.offset)
                case r.CoreAliasDecl():
                    types.append(self._core_alias(scope, types, decl))
                case r.CoreImportDecl():
                    imports.append((decl.module, decl.name, _core_extern(scope, types, decl.type, decl.offset)))
                case r.CoreExportDecl():
                    exports.append((decl.name, _core_extern(scope, types, decl.type, decl.offset)))
        return module_node(scope, imports, exports, d.offset)

    def _core_alias(self, scope: Scope, types: list[CoreTypeEntry], d: r.CoreAliasDecl) -> CoreTypeEntry:
        if d.count == 0:
            entry = scope.get(types, d.index, "type", d.offset)
        else:
            target: Scope | None = scope
            for _ in range(d.count - 1):
                target = None if target is None else target.parent
            if target is None:
                raise scope.invalid(f"invalid outer alias count of {d.count}", d.offset)
            entry = scope.get(target.core_types, d.index, "type", d.offset)
        if isinstance(entry, ModuleNode):
            raise scope.invalid("a module type cannot alias a module type", d.offset)
        return entry


def placed(e: Exception, scope: Scope, offset: int) -> ValidationError | LimitError:
    """The user's error for one of the internal ones."""
    if isinstance(e, TooBigError):
        return LimitError(str(e), offset=offset, path=scope.path)
    return ValidationError(str(e), offset=offset, path=scope.path)


def module_node(
    scope: Scope,
    imports: list[tuple[str, str, CoreExternType]],
    exports: list[tuple[str, CoreExternType]],
    offset: int,
) -> ModuleNode:
    seen: set[tuple[str, str]] = set()
    for module, name, _ in imports:
        if (module, name) in seen:
            raise scope.invalid(f"duplicate import name `{module}:{name}`", offset)
        seen.add((module, name))
    exported: set[str] = set()
    for name, _ in exports:
        if name in exported:
            raise scope.invalid(f"export name `{name}` already defined: duplicate export", offset)
        exported.add(name)
    return ModuleNode(t.ModuleType(tuple(imports), tuple(exports)))


def _core_extern(scope: Scope, types: list[CoreTypeEntry], ref: r.CoreExternRef, offset: int) -> CoreExternType:
    match ref:
        case r.CoreFuncRef():
            entry = scope.get(types, ref.type, "type", offset)
            if not isinstance(entry, CoreFuncType):
                raise scope.invalid(f"core type index {ref.type} is not a function type", offset)
            if ref.is_tag and entry.results:
                raise scope.invalid("a tag's type cannot have results", offset)
            return TagType(entry) if ref.is_tag else entry
        case MemoryType():
            pages = (1 << 48 if ref.is_64 else 1 << 16) << 16 - ref.page_size_log2
            if max(ref.min, ref.max or 0) > pages:
                raise scope.invalid(f"memory size must be at most {pages} pages", offset)
            if ref.shared and ref.max is None:
                raise scope.invalid("a shared memory must have a maximum size", offset)
        case TableType() | GlobalType():
            pass
    if not isinstance(ref, GlobalType) and ref.max is not None and ref.min > ref.max:
        raise scope.invalid("size minimum must not be greater than maximum", offset)
    return ref


def match_or_raise(matcher: Matcher, expected: Item, actual: Item, scope: Scope, offset: int, context: str) -> None:
    """Matches, or raises the user's error with `context` in front."""
    try:
        matcher.match(expected, actual)
    except Mismatch as e:
        raise scope.invalid(f"{context}: {e}", offset) from None
    except (TooBigError, InvalidTypeError) as e:
        raise placed(e, scope, offset) from None
