"""Rules for the names and the visibility of what a component, component type or instance type imports and exports."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet

from wasmrt.binary.records import ExternName, Sort
from wasmrt.spec import types as t
from wasmrt.spec.features import Features, off
from wasmrt.spec.names import NameError_, ParsedName, is_dependency_name, parse_import_name, parse_name, parse_semver

from .scope import Names, Scope
from .type_nodes import FuncNode, InstanceNode, Item, ResourceNode, TypeNode, ValueNode


def check_extern_name(
    scope: Scope, names: Names, name: ExternName, item: Item, what: str, features: Features
) -> ParsedName:
    """Grammar, attributes, uniqueness and annotations of one name; adds it to `names`. `what` is import or export."""
    if is_dependency_name(name.name) and what == "import" and not features.dependency_names:
        raise scope.invalid(f"import name `{name.name}` is not a valid extern name: {off('dependency_names', 'this kind of name')}", name.offset)
    try:
        parsed = parse_import_name(name.name) if what == "import" else parse_name(name.name)
    except NameError_ as e:
        raise scope.invalid(f"{what} name `{name.name}` is not a valid extern name: {e}", name.offset) from None
    _check_attributes(scope, name, parsed, item, features)
    if parsed.kind in ("constructor", "method", "static"):
        _check_annotation(scope, names, name, parsed, item, what)
    previous = names.unique.get(parsed.unique_key)
    if previous is not None:
        raise scope.invalid(f"{what} name `{name.name}` conflicts with previous name `{previous}`", name.offset)
    names.unique[parsed.unique_key] = name.name
    return parsed


def _check_attributes(scope: Scope, name: ExternName, parsed: ParsedName, item: Item, features: Features) -> None:
    if not features.implements:
        for given, attribute in ((name.implements, "implements"), (name.external_id, "external-id"), (name.version_suffix, "versionsuffix")):
            if given is not None:
                raise scope.invalid(off("implements", f"`{attribute}`"), name.offset)
    if name.implements is not None:
        if item.sort is not Sort.INSTANCE:
            raise scope.invalid(f"only instances can have an `implements`, found a {item.sort.value}", name.offset)
        if parsed.kind != "label":
            raise scope.invalid(f"name `{name.name}` is not valid with `implements`", name.offset)
        try:
            interface = parse_name(name.implements)
        except NameError_ as e:
            raise scope.invalid(f"`{name.implements}` is not a valid name for `implements`: {e}", name.offset) from None
        if interface.kind != "interface":
            raise scope.invalid(f"`implements` must be an interface name, found `{name.implements}`", name.offset)
    if name.version_suffix is not None:
        _, at, version = name.name.rpartition("@")
        try:
            if not at:
                raise NameError_(f"`{name.name}` has no version")
            parse_semver(version + name.version_suffix)
        except NameError_ as e:
            raise scope.invalid(f"invalid version suffix `{name.version_suffix}`: {e}", name.offset) from None


def _check_annotation(scope: Scope, names: Names, name: ExternName, parsed: ParsedName, item: Item, what: str) -> None:
    def invalid(reason: str) -> Exception:
        return scope.invalid(f"{what} name `{name.name}` is not valid: {reason}", name.offset)

    func = item.node
    if item.sort is not Sort.FUNC or not isinstance(func, FuncNode):
        raise invalid(f"item is not a func, found {item.sort.value}")
    resource: TypeNode | None = None
    if parsed.kind == "constructor":
        result = func.result
        if result is None:
            raise invalid("function should return one value")
        if isinstance(result.val, t.ResultType) and isinstance(result.parts[0], ValueNode):
            result = result.parts[0]
        if not isinstance(result.val, t.OwnType):
            raise invalid("function should return `(own $T)` or `(result (own $T))`")
        resource = result.parts[0]
    elif parsed.kind == "method":
        if not func.params:
            raise invalid("function should have at least one argument")
        first, ty = func.params[0]
        if first != "self":
            raise invalid(f"function should have a first argument called `self`, found `{first}`")
        if not isinstance(ty.val, t.BorrowType):
            raise invalid("function should take a first argument of `(borrow $T)`")
        resource = ty.parts[0]
    if resource is None:
        if parsed.resource not in names.resources.values():
            raise invalid("static resource name is not known in this context")
        return
    found = names.resources.get(resource)
    if found is None:
        raise invalid("resource used in function does not have a name in this context")
    if found != parsed.resource:
        raise invalid(f"function does not match expected resource name `{found}`")


def visible(item: Item, named: AbstractSet[TypeNode]) -> bool:
    """Whether everything that the item's type refers to has a name; an instance's own exports count as named in it."""
    return _visible(item, named, set())


def _visible(item: Item, named: AbstractSet[TypeNode], local: set[TypeNode]) -> bool:
    node = item.node
    match node:
        case ResourceNode():
            return True
        case FuncNode():
            return all(ref in named or ref in local for ref in node.refs)
        case ValueNode():
            refs = node.inner_refs if item.sort is Sort.TYPE else node.refs
            return all(ref in named or ref in local for ref in refs)
        case InstanceNode():
            for export in node.exports.values():
                if not _visible(export, named, local):
                    return False
                local.update(named_by(export))
            return True
    return True  # modules refer to nothing, component types were checked when they were defined


def named_by(item: Item) -> Iterator[TypeNode]:
    """The type nodes that importing or exporting the item gives a name."""
    if item.sort is Sort.TYPE:
        yield item.node
    elif item.sort is Sort.INSTANCE:
        assert isinstance(item.node, InstanceNode)
        for export in item.node.exports.values():
            yield from named_by(export)
