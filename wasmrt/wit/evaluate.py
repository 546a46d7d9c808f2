"""Runs the definitions of a component symbolically, to find what its imports and exports are: types with identity.

`translate` reduces types to their structure, which is what running needs; a world needs their names too: that `list<usize>` says `usize`, and which
interface a type was taken from. So every definition, import and export makes a node, and an import or export of a type is an Alias that knows what it
renames. Nested components are run as often as they are instantiated, which a budget bounds. Only binaries that were validated come here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from wasmrt.binary import records as r
from wasmrt.errors import LimitError
from wasmrt.spec import limits


@dataclass(eq=False, slots=True)
class Type:
    """A value, function, instance or component type as defined: indices in `definition` are of `scope`."""

    definition: r.TypeDef
    scope: Scope


@dataclass(eq=False, slots=True)
class Resource:
    """A resource type."""


@dataclass(eq=False, slots=True)
class Alias:
    """An import or export that is equal to `target`: another name for it."""

    target: Node


Node = Type | Resource | Alias


@dataclass(eq=False, slots=True)
class Instance:
    """`ids`: the `external-id` of exports that have one."""

    exports: dict[str, Item] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, exports: Sequence[tuple[r.ExternName, Item]]) -> Instance:
        ids = {name.name: name.external_id for name, _ in exports if name.external_id is not None}
        return cls({name.name: item for name, item in exports}, ids)


@dataclass(eq=False, slots=True)
class Component:
    """A component, or an imported one's type."""

    definitions: Sequence[Any]
    scope: Scope | None


@dataclass(eq=False, slots=True)
class Func:
    type: Type


@dataclass(eq=False, slots=True)
class Other:
    """Core modules and values, which no world can have: `what` says which."""

    what: str


Item = Node | Instance | Component | Func | Other


class Scope:
    """The index spaces of a component, or of the type of one or of an instance."""

    def __init__(self, parent: Scope | None) -> None:
        self.parent = parent
        self.types: list[Node] = []
        self.funcs: list[Func] = []
        self.instances: list[Instance] = []
        self.components: list[Component] = []
        self.imports: list[tuple[r.ExternName, Item]] = []
        self.exports: list[tuple[r.ExternName, Item]] = []

    def add(self, sort: r.Sort, item: Item) -> None:
        space = self._space(sort)
        if space is not None:
            space.append(item)

    def get(self, sort: r.Sort, index: int) -> Item:
        space = self._space(sort)
        return Other(sort.value) if space is None else space[index]

    def _space(self, sort: r.Sort) -> list[Any] | None:
        match sort:
            case r.Sort.TYPE:
                return self.types
            case r.Sort.FUNC:
                return self.funcs
            case r.Sort.INSTANCE:
                return self.instances
            case r.Sort.COMPONENT:
                return self.components
        return None

    def outer(self, count: int) -> Scope:
        scope = self
        for _ in range(count):
            assert scope.parent is not None, "validated"
            scope = scope.parent
        return scope


class Evaluator:
    def __init__(self) -> None:
        self._left = limits.COMPONENT_STEPS

    def run(self, component: Component, args: Mapping[str, Item]) -> Scope:
        """The scope after all definitions; an import that `args` does not have makes an item of its own."""
        scope = Scope(component.scope)
        for definition in component.definitions:
            self._left -= 1
            if self._left < 0:
                raise LimitError(f"the world is too complex: more than {limits.COMPONENT_STEPS} definitions")
            self._step(scope, definition, args)
        return scope

    def _step(self, scope: Scope, d: Any, args: Mapping[str, Item]) -> None:
        match d:
            case r.ResourceDef():
                scope.types.append(Resource())
            case r.AliasOuter():
                scope.add(d.sort, scope.outer(d.count).get(d.sort, d.index))
            case r.AliasExport():
                scope.add(d.sort, scope.instances[d.instance].exports[d.name])
            case r.Import():
                item = args.get(d.name.name)
                item = self._declared(scope, d.type) if item is None else item
                scope.add(d.type.sort, item)
                scope.imports.append((d.name, item))
            case r.ExportDecl():
                self._export(scope, d.name, d.type.sort, self._declared(scope, d.type))
            case r.Export():
                if d.type is not None and d.type.sort is not r.Sort.INSTANCE:
                    item = self._declared(scope, d.type)
                else:
                    item = scope.get(d.item.sort, d.item.index)
                    item = Alias(item) if isinstance(item, Node) else item
                    if d.type is not None and isinstance(item, Instance):
                        # the type says what is visible; what is, stays what it was
                        shown = self._declared(scope, d.type)
                        assert isinstance(shown, Instance)
                        item = Instance({name: item.exports[name] for name in shown.exports}, shown.ids)
                self._export(scope, d.name, d.item.sort, item)
            case r.ComponentDef():
                scope.components.append(Component(d.definitions, scope))
            case r.Instantiate():
                given = {name: scope.get(arg.sort, arg.index) for name, arg in d.args}
                made = self.run(scope.components[d.component], given)
                scope.instances.append(Instance.of(made.exports))
            case r.InstanceFromExports():
                scope.instances.append(Instance.of([(name, scope.get(item.sort, item.index)) for name, item in d.exports]))
            case r.CanonLift():
                type_ = scope.types[d.type]
                assert isinstance(type_, Type)
                scope.funcs.append(Func(type_))
            case _ if isinstance(d, r.TypeDef):
                scope.types.append(Type(d, scope))

    def _export(self, scope: Scope, name: r.ExternName, sort: r.Sort, item: Item) -> None:
        scope.add(sort, item)
        scope.exports.append((name, item))

    def _declared(self, scope: Scope, declared: r.ExternTypeRef) -> Item:
        if declared.sort is r.Sort.TYPE:
            return Resource() if declared.index is None else Alias(scope.types[declared.index])
        if declared.sort not in (r.Sort.FUNC, r.Sort.INSTANCE, r.Sort.COMPONENT):
            return Other(declared.sort.value)
        assert declared.index is not None
        type_ = peel(scope.types[declared.index])
        assert isinstance(type_, Type)
        if declared.sort is r.Sort.FUNC:
            return Func(type_)
        assert isinstance(type_.definition, (r.InstanceTypeDef, r.ComponentTypeDef))
        component = Component(type_.definition.decls, type_.scope)
        if declared.sort is r.Sort.COMPONENT:
            return component
        return Instance.of(self.run(component, {}).exports)


def peel(node: Node) -> Type | Resource:
    """What a chain of aliases ends in."""
    while isinstance(node, Alias):
        node = node.target
    return node
