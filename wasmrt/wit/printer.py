"""Prints a world as WIT: the world first, then the interfaces that it names, package by package."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from wasmrt.binary import records as r
from wasmrt.errors import LimitError
from wasmrt.spec import limits

from .evaluate import Func, Node, Resource, Scope, Type, peel
from .world import Interface, TypeEntry, World

KEYWORDS = frozenset(
    """as async bool borrow char constructor enum error-context export f32 f64 flags float32 float64 from func future import include interface list map option
    own package record resource result s16 s32 s64 s8 static stream string tuple type u16 u32 u64 u8 use variant with world""".split()
)


def escaped(name: str) -> str:
    return f"%{name}" if name in KEYWORDS else name


def print_world(world: World) -> str:
    """The whole text. Deterministic, ends with a newline."""
    return "\n".join([*_Printer(world).lines(), ""])


class Signatures:
    """WIT of single functions and resources, by the name of the interface ("" for the world) and the name in the binary."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._printer = _Printer(world)
        self._interfaces = {name: found for name, found in world.exports if isinstance(found, Interface)}
        self._imports = dict(world.imports)
        self._funcs = {name: found for name, found in world.exports if isinstance(found, Func)}

    def func(self, interface: str, name: str) -> str:
        """`name: func(a: u32) -> string`, below it what the documentation says; "" for a function that WIT has no place for."""
        if interface in self._interfaces:
            inside = self._interfaces[interface]
            text = self._printer.func_line(inside, name, inside.funcs[name])
            docs = self._printer.docs_of(inside, "funcs", name)
        elif not interface and name in self._funcs:
            text = self._printer.func_line(self._world.own, name, self._funcs[name])
            docs = self._printer.docs_of(self._world.own, "func_exports", name)
        else:
            return ""
        return f"{text}\n\n{docs}" if docs else text

    def type_of(self, is_import: bool, interface: str, name: str) -> str:
        """`func(self: borrow<thing>, a: u32) -> string`, all parameters included; "" for a function that WIT has no place for."""
        inside: Interface | None = self._world.own
        if interface:
            inside = (self._imports if is_import else self._interfaces).get(interface)
        func = None if inside is None else (inside.funcs if interface or is_import else self._funcs).get(name)
        return "" if inside is None or func is None else self._printer.func_type(inside, func)


    def line(self, interface: Interface, name: str) -> str:
        """A function as it stands in its interface, without the semicolon."""
        return self._printer.func_line(interface, name, interface.funcs[name] if name in interface.funcs else self._funcs[name])

    def func_docs(self, interface: Interface, name: str) -> str:
        """What the documentation says of a function; "" for nothing."""
        kind = "func_exports" if interface is self._world.own and name in self._funcs else "funcs"
        return self._printer.docs_of(interface, kind, name)

    def type_line(self, interface: Interface, name: str) -> str:
        """A type's definition in one line."""
        return " ".join(line.strip() for line in self._printer.type_lines(interface, name) if not line.strip().startswith("///"))

    def type_docs(self, interface: Interface, name: str) -> str:
        return self._printer.docs_of(interface, "types", name)


class _Printer:
    def __init__(self, world: World) -> None:
        self.world = world
        self._left = limits.COMPONENT_STEPS

    def lines(self) -> Iterator[str]:
        world = self.world
        yield from _docs(world.docs.package)
        yield "package root:component;"
        yield ""
        yield from self._lead(self.world.own)
        yield "world root {"
        yield from _indented(self._world_items())
        yield "}"
        for i, (package, interfaces) in enumerate(_packages(world)):
            if i:
                yield ""
                yield ""
            yield f"package {package} {{"
            for interface in interfaces:
                yield f"  interface {_short(interface.name)} {{"
                yield from _indented(self._interface_items(interface), 2)
                yield "  }"
            yield "}"

    def _world_items(self) -> Iterator[str]:
        world = self.world
        for name, interface in world.imports:
            yield from self._world_interface("import", name, interface)
        types = list(self._types(world.own))
        yield from types
        funcs = [name for name in world.own.funcs if not name.startswith("[")]
        for name in funcs:
            yield from self._lead(world.own, "funcs", name, external_id=world.import_ids.get(name))
            yield f"import {self.func_line(world.own, name, world.own.funcs[name])};"
        if world.exports and (world.imports or types or funcs):
            yield ""
        for name, item in world.exports:
            if isinstance(item, Func):
                yield from self._lead(world.own, "func_exports", name, external_id=world.export_ids.get(name))
                yield f"export {self.func_line(world.own, name, item)};"
            else:
                yield from self._world_interface("export", name, item)
        for other in world.others:
            yield f"// not in WIT: {other}"

    def _world_interface(self, word: str, name: str, interface: Interface) -> Iterator[str]:
        external_id = (self.world.import_ids if word == "import" else self.world.export_ids).get(name)
        if interface.is_named:
            yield from self.world.docs.use_gates(word, interface.name)
            yield from _id_line(external_id)
            yield f"{word} {name};" if interface.name == name else f"{word} {escaped(name)}: {interface.name};"
            return
        yield from self._lead(interface, external_id=external_id)
        yield f"{word} {escaped(name)}: interface {{"
        yield from _indented(self._interface_items(interface))
        yield "}"

    def _interface_items(self, interface: Interface) -> Iterator[str]:
        first = True
        for line in self._types(interface):
            yield line
            first = False
        for name, func in interface.funcs.items():
            if name.startswith("["):
                continue
            if not first:
                yield ""
            first = False
            yield from self._lead(interface, "funcs", name, external_id=interface.ids.get(name))
            yield f"{self.func_line(interface, name, func)};"

    # -- types ------------------------------------------------------------------------------------------------------------------------------

    def _types(self, interface: Interface) -> Iterator[str]:
        """All types of an interface with the functions of its resources; a blank line between two, and behind `use`."""
        uses: list[tuple[Interface, list[str], list[str]]] = []  # only neighbours of one owner with the same attributes are said together
        methods: dict[str, list[str]] = {}
        for full in interface.funcs:
            if full.startswith("["):
                methods.setdefault(_resource_of(full), []).append(full)
        for name, entry in interface.types.items():
            if entry.used is not None:
                owner, original = entry.used
                text = escaped(original) if original == name else f"{escaped(original)} as {escaped(name)}"
                lead = list(self._lead(interface, "types", name, external_id=interface.ids.get(name)))
                if not uses or uses[-1][0] is not owner or uses[-1][2] != lead:
                    uses.append((owner, [], lead))
                uses[-1][1].append(text)
        for owner, names, lead in uses:
            yield from lead
            yield f"use {_reference(owner, interface)}.{{{', '.join(names)}}};"
        own = [(name, entry) for name, entry in interface.types.items() if entry.used is None]
        for i, (name, entry) in enumerate(own):
            if i or uses or (interface is self.world.own and self.world.imports):
                yield ""
            yield from self._lead(interface, "types", name, external_id=interface.ids.get(name))
            yield from self._type(interface, name, entry, methods.get(name, []))

    def _lead(self, interface: Interface, *path: str, external_id: str | None = None) -> Iterator[str]:
        """What stands before an item: documentation, gates, the external id. A package's documentation is of the world and its inline interfaces."""
        docs = self.world.docs
        place = next(filter(docs.has, self._places(interface, path)), None)
        if place is not None:
            yield from _docs(docs.text(*place))
            yield from docs.gates(*place)
        yield from _id_line(external_id)

    def docs_of(self, interface: Interface, *path: str) -> str:
        return next(filter(None, (self.world.docs.text(*place) for place in self._places(interface, path))), "")

    def _places(self, interface: Interface, path: tuple[str, ...]) -> list[tuple[str, ...]]:
        """Where documentation is looked for: what is exported had no place of its own in the first version of the section."""
        if interface.name:
            return [(kind, interface.name, *path) for kind in ("interface_exports", "interfaces")]
        return [path, ("funcs", *path[1:])] if path[:1] == ("func_exports",) else [path]

    def type_lines(self, interface: Interface, name: str) -> Iterator[str]:
        return self._type(interface, name, interface.types[name], [])

    def _type(self, interface: Interface, name: str, entry: TypeEntry, methods: list[str]) -> Iterator[str]:
        definition = entry.definition
        if definition is None:
            yield from self._resource(interface, name, methods)
            return
        if isinstance(definition, str):
            yield f"type {escaped(name)} = {escaped(definition)};"
            return
        match definition.definition:
            case r.RecordDef(fields=fields):
                items = [(n, f"{escaped(n)}: {self._ref(interface, definition.scope, t)}") for n, t in fields]
                yield from self._body("record", interface, name, items)
            case r.VariantDef(cases=cases):
                items = []
                for n, t in cases:
                    items.append((n, escaped(n) + ("" if t is None else f"({self._ref(interface, definition.scope, t)})")))
                yield from self._body("variant", interface, name, items)
            case r.EnumDef(names=names):
                yield from self._body("enum", interface, name, [(n, escaped(n)) for n in names])
            case r.FlagsDef(names=names):
                yield from self._body("flags", interface, name, [(n, escaped(n)) for n in names])
            case _:
                yield f"type {escaped(name)} = {self._structure(interface, definition)};"

    def _body(self, word: str, interface: Interface, name: str, items: list[tuple[str, str]]) -> Iterator[str]:
        yield f"{word} {escaped(name)} {{"
        for item, text in items:
            yield from _indented(_docs(self.docs_of(interface, "types", name, "items", item)))
            yield f"  {text},"
        yield "}"

    def _resource(self, interface: Interface, name: str, methods: list[str]) -> Iterator[str]:
        if not methods:
            yield f"resource {escaped(name)};"
            return
        yield f"resource {escaped(name)} {{"
        for full in methods:
            yield from _indented(self._lead(interface, "funcs", full, external_id=interface.ids.get(full)))
            yield f"  {self.func_line(interface, full, interface.funcs[full])};"
        yield "}"

    def func_type(self, interface: Interface, func: Func) -> str:
        """The type alone, as WIT spells it."""
        definition = func.type.definition
        assert isinstance(definition, r.FuncTypeDef)
        scope = func.type.scope
        params = ", ".join(f"{n}: {self._ref(interface, scope, t)}" for n, t in definition.params)
        result = "" if definition.result is None else f" -> {self._ref(interface, scope, definition.result)}"
        return f"{'async ' if definition.async_ else ''}func({params}){result}"

    def func_line(self, interface: Interface, name: str, func: Func) -> str:
        """Without the semicolon."""
        definition = func.type.definition
        assert isinstance(definition, r.FuncTypeDef)
        scope = func.type.scope
        kind, _, rest = name[1:].partition("]") if name.startswith("[") else ("", "", name)
        skip = 1 if kind == "method" else 0
        params = ", ".join(f"{escaped(n)}: {self._ref(interface, scope, t)}" for n, t in definition.params[skip:])
        result = "" if definition.result is None else f" -> {self._ref(interface, scope, definition.result)}"
        if kind == "constructor":
            return f"constructor({params}){'' if result == f' -> {escaped(rest)}' else result}"
        label = rest.partition(".")[2] if kind else name
        words = f"{'static ' if kind == 'static' else ''}{'async ' if definition.async_ else ''}func"
        return f"{escaped(label)}: {words}({params}){result}"

    def _ref(self, interface: Interface, scope: Scope, ref: r.ValTypeRef) -> str:
        return self._node(interface, scope.types[ref]) if isinstance(ref, int) else str(ref)

    def _node(self, interface: Interface, node: Node) -> str:
        found = self.world.owner(node)
        if found is not None:
            owner, name = found
            if owner is not interface:
                name = interface.uses.get(found, name)
            return escaped(name)
        definition = peel(node)
        return "resource" if isinstance(definition, Resource) else self._structure(interface, definition)

    def _structure(self, interface: Interface, node: Type) -> str:
        self._left -= 1
        if self._left < 0:
            raise LimitError(f"the world is too complex: more than {limits.COMPONENT_STEPS} types without a name to print")

        def ref(t: r.ValTypeRef) -> str:
            return self._ref(interface, node.scope, t)

        match node.definition:
            case r.PrimitiveDef(type=t):
                return str(t)
            case r.ListDef(element=element, length=length):
                return f"list<{ref(element)}>" if length is None else f"list<{ref(element)}, {length}>"
            case r.MapDef(key=key, value=value):
                return f"map<{ref(key)}, {ref(value)}>"
            case r.TupleDef(elements=elements):
                return f"tuple<{', '.join(map(ref, elements))}>"
            case r.OptionDef(payload=payload):
                return f"option<{ref(payload)}>"
            case r.ResultDef(ok=None, err=None):
                return "result"
            case r.ResultDef(ok=ok, err=None) if ok is not None:
                return f"result<{ref(ok)}>"
            case r.ResultDef(ok=ok, err=err) if err is not None:
                return f"result<{'_' if ok is None else ref(ok)}, {ref(err)}>"
            case r.HandleDef(resource=resource, is_own=is_own):
                name = self._node(interface, node.scope.types[resource])
                return name if is_own else f"borrow<{name}>"
            case r.AsyncValueDef(payload=payload, is_stream=is_stream):
                word = "stream" if is_stream else "future"
                return word if payload is None else f"{word}<{ref(payload)}>"
            case r.RecordDef(fields=fields):
                return f"record {{ {', '.join(f'{n}: {ref(t)}' for n, t in fields)} }}"
            case r.VariantDef(cases=cases):
                return f"variant {{ {', '.join(n if t is None else f'{n}({ref(t)})' for n, t in cases)} }}"
            case r.EnumDef(names=names):
                return f"enum {{ {', '.join(names)} }}"
            case r.FlagsDef(names=names):
                return f"flags {{ {', '.join(names)} }}"
        raise AssertionError(f"no value type: {node.definition!r}")


def _resource_of(name: str) -> str:
    return name.partition("]")[2].partition(".")[0]


def _package(name: str) -> str:
    """`ns:pkg@1.0.0` of `ns:pkg/iface@1.0.0`."""
    path, at, version = name.partition("@")
    return path.partition("/")[0] + at + version


def _packages(world: World) -> list[tuple[str, list[Interface]]]:
    """In the order of the world, but a package behind those that it uses."""
    packages: dict[str, list[Interface]] = {}
    for interface in world.interfaces.values():
        packages.setdefault(_package(interface.name), []).append(interface)
    ordered: dict[str, list[Interface]] = {}
    # Each package is opened once; one that is open already is part of a cycle, and stays where it is.
    opened: set[str] = set()

    def used(package: str) -> Iterator[str]:
        opened.add(package)
        return (_package(owner.name) for interface in packages[package] for owner, _ in interface.uses)

    for first in packages:
        path = [] if first in opened else [(first, used(first))]
        while path:
            package, behind = path[-1]
            following = next((other for other in behind if other not in opened), None)
            if following is not None:
                path.append((following, used(following)))
            else:
                ordered[package] = packages[package]
                path.pop()
    return list(ordered.items())


def _short(name: str) -> str:
    return escaped(name.partition("@")[0].partition("/")[2])


def _reference(owner: Interface, user: Interface) -> str:
    """How `user` names `owner`: short within one package."""
    return _short(owner.name) if user.is_named and _package(owner.name) == _package(user.name) else owner.name


_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def _id_line(external_id: str | None) -> Iterator[str]:
    if external_id is not None:
        text = "".join(_ESCAPES.get(c) or (c if (c.isascii() and c.isalnum()) or c in " -./:_" else f"\\u{{{ord(c):x}}}") for c in external_id)
        yield f'@external-id("{text}")'


def _docs(text: str) -> Iterator[str]:
    for line in text.splitlines():
        yield f"/// {line}".rstrip()


def _indented(lines: Iterable[str], depth: int = 1) -> Iterator[str]:
    for line in lines:
        yield "  " * depth + line if line else ""
