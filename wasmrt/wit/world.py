"""The world of a component: its interfaces, and which of them own which types.

A type belongs to the interface that exports it first. A later export of an alias of it is `use`, or `type a = b` within one interface. An interface that
is imported and exported is one interface, with the items of both.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from wasmrt.binary import records as r
from wasmrt.binary.decoder import decode_component

from .docs import Docs, read_docs
from .evaluate import Alias, Component, Evaluator, Func, Instance, Item, Node, Other, Resource, Type, peel
from .skeleton import DOCS_SECTION


@dataclass(slots=True)
class TypeEntry:
    """A type of an interface: `used` when it is another's, else a resource (`definition` None), or a definition or another name (`Alias`)."""

    definition: Type | str | None
    used: tuple[Interface, str] | None = None


@dataclass(eq=False, slots=True)
class Interface:
    """`name` is "" for the world itself, a plain name for an inline interface."""

    name: str
    types: dict[str, TypeEntry] = field(default_factory=dict)
    funcs: dict[str, Func] = field(default_factory=dict)
    uses: dict[tuple[Interface, str], str] = field(default_factory=dict)  # another's type: its name here
    ids: dict[str, str] = field(default_factory=dict)  # the `external-id` of types and functions

    @property
    def is_named(self) -> bool:
        return "/" in self.name


@dataclass(slots=True)
class World:
    """Imports and exports that are interfaces or functions; `others` are lines about what WIT has no words for."""

    own: Interface = field(default_factory=lambda: Interface(""))
    imports: list[tuple[str, Interface]] = field(default_factory=list)
    exports: list[tuple[str, Interface | Func]] = field(default_factory=list)
    interfaces: dict[str, Interface] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)
    owners: dict[Node, tuple[Interface, str]] = field(default_factory=dict)
    docs: Docs = field(default_factory=Docs)
    import_ids: dict[str, str] = field(default_factory=dict)
    export_ids: dict[str, str] = field(default_factory=dict)

    def owner(self, node: Node) -> tuple[Interface, str] | None:
        """Which interface named it, following aliases."""
        while True:
            found = self.owners.get(node)
            if found is not None or not isinstance(node, Alias):
                return found
            node = node.target

    def _interface(self, name: r.ExternName, instance: Instance) -> Interface:
        full = name.implements or name.name
        interface = self.interfaces.get(full) if "/" in full else None
        if interface is None:
            interface = Interface(full)
            if interface.is_named:
                self.interfaces[full] = interface
        interface.ids.update(instance.ids)
        for item_name, item in instance.exports.items():
            if isinstance(item, Node):
                self._add_type(interface, item_name, item)
            elif isinstance(item, Func):
                interface.funcs.setdefault(item_name, item)
            else:
                self.others.append(f"`{item_name}` of {full} is {_kind(item)}")
        return interface

    def _add_type(self, interface: Interface, name: str, node: Node) -> None:
        if name not in interface.types:
            entry = interface.types[name] = self._entry(interface, node)
            if entry.used is not None:
                interface.uses.setdefault(entry.used, name)
        self.owners[node] = interface, name
        definition = peel(node)
        # Structures have no name of their own, and `type a = b` is only said where the binary says it.
        if isinstance(definition, Resource) or isinstance(definition.definition, _NOMINAL):
            while isinstance(node, Alias):
                node = node.target
                self.owners.setdefault(node, (interface, name))

    def _entry(self, interface: Interface, node: Node) -> TypeEntry:
        found = self.owner(node)
        if found is not None and found[0] is interface:
            return TypeEntry(found[1])
        if found is not None and found[0].is_named:
            return TypeEntry(None, found)
        definition = peel(node)
        return TypeEntry(None if isinstance(definition, Resource) else definition)

    def _import(self, name: r.ExternName, item: Item) -> None:
        if name.external_id is not None:
            self.import_ids[name.name] = name.external_id
            if not isinstance(item, Instance):
                self.own.ids[name.name] = name.external_id
        match item:
            case Instance():
                self.imports.append((name.name, self._interface(name, item)))
            case Func():
                self.own.funcs[name.name] = item
            case Alias() | Resource() | Type():
                self._add_type(self.own, name.name, item)
            case _:
                self.others.append(f"import `{name.name}` is {_kind(item)}")

    def _export(self, name: r.ExternName, item: Item) -> None:
        if name.external_id is not None:
            self.export_ids[name.name] = name.external_id
        match item:
            case Instance():
                self.exports.append((name.name, self._interface(name, item)))
            case Func() if not name.name.startswith("["):
                self.exports.append((name.name, item))
            case Alias() | Resource() | Type():
                self.owners.setdefault(item, (self.own, name.name))
                self.owners.setdefault(peel(item), (self.own, name.name))
                self.others.append(f"export `{name.name}` is {_kind(item)}")
            case _:
                self.others.append(f"export `{name.name}` is {_kind(item)}")


_NOMINAL = (r.RecordDef, r.VariantDef, r.EnumDef, r.FlagsDef)


def _kind(item: Item) -> str:
    match item:
        case Other():
            return f"a {item.what}"
        case Component():
            return "a component"
        case Instance():
            return "an instance"
        case Func():
            return "a function of a resource"
        case Resource():
            return "a resource"
        case Alias():
            return _kind(peel(item))
        case Type():
            return "a type"


def read_world(data: bytes | bytearray | memoryview) -> World:
    """The world of a component that was validated, from its binary or its skeleton."""
    view = memoryview(data).cast("B")
    definition = decode_component(view)
    scope = Evaluator().run(Component(definition.definitions, None), {})
    world = World()
    for name, item in scope.imports:
        world._import(name, item)
    for name, item in scope.exports:
        world._export(name, item)
    for custom in definition.customs:
        if custom.name == DOCS_SECTION:
            world.docs = read_docs(bytes(view[custom.start : custom.end]))
    return world
