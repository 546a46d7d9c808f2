"""Owns the package that is written for a world: a module for each interface, and `__init__` with the world, its imports and `load`.

A module has the interface's types, `Exports` (what `load(...).interface` is) and `Imports` (what serves it). Everything is found by the names that WIT
gives, and what is not a type or a function of WIT is under `t`, `abc`, `builtins` and `wasmrt`, which no type's name can be.
"""

from __future__ import annotations

import keyword
from collections.abc import Iterable, Iterator, Sequence

from wasmrt.binary import records as r
from wasmrt.errors import LimitError
from wasmrt.wit import Signatures, World, read_world
from wasmrt.wit.evaluate import Func, Type, peel
from wasmrt.wit.world import Interface, TypeEntry

from .types import Place, Types, camel, snake

# what `wasmrt.load` gives a component by itself
_GIVEN = ("wasi:",)
_WORLD_MODULE = "world"


def generate(data: bytes | bytearray | memoryview, source: str = "component.wasm") -> dict[str, str]:
    """The files of the package for a validated component, or an artifact's skeleton: name to text, `__init__.py` first.

    `source` is named in the docstring and is what `load()` loads by default, relative to the package's folder. Raises LimitError for a world that is too complex.
    """
    try:
        return _Package(read_world(data), source).files()
    except RecursionError:
        raise LimitError("nested too deep for what is left of Python's recursion limit") from None


class _Package:
    def __init__(self, world: World, source: str) -> None:
        self._world = world
        self._source = source
        self._file = source.rpartition("/")[2]
        self._types = Types(world)
        self._signatures = Signatures(world)
        self._exported = {item for _, item in world.exports if isinstance(item, Interface)}
        self._imported = {item for _, item in world.imports}
        self._modules = _module_names(self._wanted())

    def files(self) -> dict[str, str]:
        # the modules first: they find out what is too complex
        modules = {f"{module}.py": "\n".join([*self._module(interface), ""]) for interface, module in self._modules.items()}
        return {"__init__.py": "\n".join([*self._init(), ""]), **modules}

    def _wanted(self) -> list[Interface]:
        """Interfaces that get a module: exported ones, those that the program has to give, and all whose types these use."""
        first = [item for _, item in self._world.exports if isinstance(item, Interface)]
        first += [item for name, item in self._world.imports if not name.startswith(_GIVEN)]
        if self._world.own.types:
            first.append(self._world.own)
        found: list[Interface] = []
        while first:
            interface = first.pop(0)
            if interface not in found:
                found.append(interface)
                first += [owner for owner, _ in interface.uses]
        return found

    # -- a module -----------------------------------------------------------------------------------------------------------------------------

    def _module(self, interface: Interface) -> Iterator[str]:
        title = interface.name or "the world's own types"
        body = [line for name, entry in interface.types.items() for line in self._type(interface, name, entry)]
        for is_import in (False, True):
            if interface in (self._imported if is_import else self._exported):
                body += self._face(interface, is_import)
        used = [owner for owner in self._modules if owner is not interface and f"{self._alias(owner)}." in "\n".join(body)]
        yield from self._head(f"{title[0].upper()}{title[1:]}" if not interface.name else f"Interface `{title}`", used, body)
        yield from body

    def _head(self, title: str, used: Iterable[Interface], body: Sequence[str]) -> Iterator[str]:
        text = "\n".join(body)
        yield f'"""{title}. Written by `wasmrt bindgen {self._file}`: changes are lost when it is run again."""'
        yield ""
        yield "# ruff: noqa"
        yield "from __future__ import annotations"
        yield ""
        if "builtins." in text:
            yield "import builtins"
        yield "import typing as t"
        if "abc." in text:
            yield "from collections import abc"
        if "@dataclass" in text:
            yield "from dataclasses import dataclass"
        yield ""
        yield "import wasmrt.component"
        for owner in used:
            yield f"from . import {self._modules[owner]} as {self._alias(owner)}"
        if "Buffer | " in text:
            yield ""
            yield "if t.TYPE_CHECKING:"
            yield "    from typing_extensions import Buffer"

    def _alias(self, interface: Interface) -> str:
        return f"_{self._modules[interface]}"

    def _place(self, interface: Interface, members: Iterable[str] = ()) -> Place:
        return Place(interface, lambda owner: self._alias(owner) if owner in self._modules else None, frozenset(members))

    def _type(self, interface: Interface, name: str, entry: TypeEntry) -> Iterator[str]:
        python = camel(name)
        yield ""
        if entry.used is not None:
            owner, original = entry.used
            yield f"{python} = {self._alias(owner)}.{camel(original)}"
            return
        definition = entry.definition
        docs = self._signatures.type_docs(interface, name)
        if definition is None:
            yield from self._resource(interface, name, docs)
        elif isinstance(definition, str):
            yield f"{python} = {camel(definition)}"
        elif isinstance(definition.definition, r.RecordDef):
            yield from self._record(interface, name, definition, docs)
        else:
            is_literal = isinstance(definition.definition, (r.EnumDef, r.FlagsDef))
            text = self._types.structure(self._place(interface), definition)
            # at run time only what needs no other name is a value: `typing.get_args` of an enum has its cases
            yield f"{python}: t.TypeAlias = {text if is_literal else repr(text)}"
            yield from _docstring("\n\n".join(filter(None, [f"`{self._signatures.type_line(interface, name)}`", docs])))

    def _record(self, interface: Interface, name: str, definition: Type, docs: str) -> Iterator[str]:
        assert isinstance(definition.definition, r.RecordDef)
        fields = definition.definition.fields
        # a keyword cannot be declared: such a field is there by getattr alone
        declared = [(n, t) for n, t in fields if not keyword.iskeyword(n)]
        place = self._place(interface, (n.replace("-", "_") for n, _ in declared))
        yield "if t.TYPE_CHECKING:"
        yield ""
        yield "    @dataclass"
        yield f"    class {camel(name)}:"
        yield from _indented(_docstring(docs), 2)
        for field_name, ty in declared:
            yield f"        {field_name.replace('-', '_')}: {self._types.ref(place, definition.scope, ty)}"
        if not declared and not docs:
            yield "        pass"
        yield "else:"
        yield f"    {camel(name)} = wasmrt.component.record_class({tuple(n for n, _ in fields)!r})"

    def _resource(self, interface: Interface, name: str, docs: str) -> Iterator[str]:
        funcs = {full: func for full, func in interface.funcs.items() if _resource_of(full) == name}
        if interface not in self._exported:
            yield f"class {camel(name)}(t.Protocol):"
            yield from _indented(_docstring(docs or f"Resource `{name}`: an object of a class of yours."))
            yield from self._methods(interface, name, funcs, True)
            yield ""
            yield f"_{camel(name)} = {camel(name)}"
            return
        yield f"class {camel(name)}(wasmrt.GuestResource):"
        yield from _indented(_docstring(docs or f"Resource `{name}` of the component: objects of `Exports.{camel(name)}`, which is found on what is loaded."))
        if funcs:
            yield ""
            yield "    if t.TYPE_CHECKING:"
            yield from _indented(self._methods(interface, name, funcs, False))
        yield ""
        yield f"_{camel(name)} = {camel(name)}"

    def _methods(self, interface: Interface, resource: str, funcs: dict[str, Func], is_import: bool) -> Iterator[str]:
        """Method, static functions and the constructor of a resource; on imports parameters go by position."""
        place = self._place(interface, (snake(_label(full)) for full in funcs))
        for full, func in funcs.items():
            yield ""
            kind = full[1:].partition("]")[0]
            label = "__init__" if kind == "constructor" else snake(_label(full))
            if kind == "constructor" and is_import:
                continue  # a protocol says nothing of how its objects are made
            if kind == "static":
                yield "    @staticmethod"
            signature = self._signature(place, func, is_import, skip=1 if kind == "method" else 0, self_=kind != "static", makes=kind == "constructor")
            yield from _indented(self._def(label, signature, self._docs(interface, full, is_import)))

    # -- functions ----------------------------------------------------------------------------------------------------------------------------

    def _face(self, interface: Interface, is_import: bool) -> Iterator[str]:
        """The protocol of all of an interface: its functions, and its resources' classes."""
        funcs = {name: func for name, func in interface.funcs.items() if not name.startswith("[")}
        resources = [name for name, entry in interface.types.items() if entry.definition is None and entry.used is None]
        place = self._place(interface, [*map(snake, funcs), *map(camel, resources)])
        yield ""
        yield f"class {'Imports' if is_import else 'Exports'}(t.Protocol):"
        what = f"What serves the import `{interface.name}`: any object or module with these functions." if is_import else f"`{interface.name}` of the component."
        yield from _indented(_docstring(what))
        for name in resources:
            yield ""
            yield "    @property"
            shown = camel(name) if is_import and interface not in self._exported else f"_{camel(name)}"
            if is_import:
                yield f"    def {camel(name)}(self) -> t.Any:"
                yield f'        """The class that serves the resource `{name}`; its objects are `{shown}`."""'
            else:
                yield f"    def {camel(name)}(self) -> {place.builtin('type')}[{shown}]: ..."
        for name, func in funcs.items():
            yield ""
            yield from _indented(self._def(snake(name), self._signature(place, func, is_import), self._docs(interface, name, is_import)))

    def _signature(self, place: Place, func: Func, is_import: bool, *, skip: int = 0, self_: bool = True, makes: bool = False) -> str:
        definition = func.type.definition
        assert isinstance(definition, r.FuncTypeDef)
        scope = func.type.scope
        params = [f"{snake(n)}: {self._types.ref(place, scope, ty, not is_import)}" for n, ty in definition.params[skip:]]
        result = "None"
        if definition.result is not None and not makes:
            result = self._result(place, func, definition.result, is_import)
        if is_import and params:
            params.append("/")
        return f"({', '.join([*(['self'] if self_ else []), *params])}) -> {result}"

    def _result(self, place: Place, func: Func, ref: r.ValTypeRef, is_import: bool) -> str:
        """What a function returns: of a `result` its `ok`, since an `err` is raised."""
        if isinstance(ref, int):
            found = peel(func.type.scope.types[ref])
            if isinstance(found, Type) and isinstance(found.definition, r.ResultDef):
                ok = found.definition.ok
                return "None" if ok is None else self._types.ref(place, found.scope, ok, is_import)
        return self._types.ref(place, func.type.scope, ref, is_import)

    def _docs(self, interface: Interface, name: str, is_import: bool) -> str:
        line = self._signatures.line(interface, name)
        docs = self._signatures.func_docs(interface, name)
        return "\n\n".join(filter(None, [f"`{line}`", docs]))

    def _def(self, name: str, signature: str, docs: str) -> Iterator[str]:
        yield f"def {name}{signature}:"
        yield from _indented(_docstring(docs))
        yield "    ..."

    # -- the world ----------------------------------------------------------------------------------------------------------------------------

    def _plain_exports(self) -> list[tuple[str, Func]]:
        return [(name, item) for name, item in self._world.exports if isinstance(item, Func)]

    def _init(self) -> Iterator[str]:
        body = [*self._world_class(), "", *self._imports(), "", *self._load()]
        used = [owner for owner in self._modules if f"{self._alias(owner)}." in "\n".join(body)]
        yield from self._head(f"The component `{self._file}`, typed", used, body)
        others = [module for owner, module in self._modules.items() if owner not in used]
        if others:
            yield f"from . import {', '.join(sorted(others))}"
        yield ""
        yield "from pathlib import Path"
        yield ""
        yield f"__all__ = {sorted(['Imports', 'World', 'load'])}"
        yield from body

    def _world_class(self) -> Iterator[str]:
        interfaces = [(name, item) for name, item in self._world.exports if isinstance(item, Interface)]
        plain = self._plain_exports()
        place = self._place(self._world.own, [*(snake(n) for n, _ in plain), *(snake(_short(n)) for n, _ in interfaces)])
        if self._world.own in self._modules:
            place.interface = Interface("")  # types of the world are another module's here
        shorts = [_short(name) for name, _ in [*interfaces, *plain]]
        yield ""
        yield "class World(t.Protocol):"
        yield from _indented(_docstring("What `load` returns: interfaces by their short name, and the functions of the world."))
        for name, interface in interfaces:
            if shorts.count(_short(name)) == 1:  # else only by its full name
                yield ""
                yield "    @property"
                yield f"    def {snake(_short(name))}(self) -> {self._alias(interface)}.Exports: ..."
        for name, func in plain:
            yield ""
            yield from _indented(self._def(snake(name), self._signature(place, func, False), self._docs(self._world.own, name, False)))
        yield ""
        yield f"    def __getitem__(self, name: {place.builtin('str')}, /) -> t.Any: ..."
        yield "    def __enter__(self) -> t.Self: ..."
        yield "    def __exit__(self, *exc_info: object) -> None: ..."

    def _imports(self) -> Iterator[str]:
        place = self._place(Interface(""))
        rows = []
        for name, interface in self._world.imports:
            if interface in self._modules:
                given = name.startswith(_GIVEN)
                kind = f"{self._alias(interface)}.Imports"
                rows.append((name, f"t.NotRequired[{kind}]" if given else kind))
        for name, func in self._world.own.funcs.items():
            if not name.startswith("["):
                definition = func.type.definition
                assert isinstance(definition, r.FuncTypeDef)
                params = ", ".join(self._types.ref(place, func.type.scope, ty) for _, ty in definition.params)
                result = "object" if definition.result is None else self._result(place, func, definition.result, True)
                if definition.async_:
                    result = f"{result} | abc.Awaitable[{result}]"
                rows.append((name, f"abc.Callable[[{params}], {result}]"))
        resources = [name for name, entry in self._world.own.types.items() if entry.definition is None and entry.used is None]
        rows += [(name, "t.Any") for name in resources]
        self._needed = any(not kind.startswith("t.NotRequired") for _, kind in rows)
        if not rows:
            yield "Imports = dict[str, t.Any]"
            return
        yield "Imports = t.TypedDict("
        yield '    "Imports",'
        yield "    {"
        for name, kind in rows:
            yield f"        {name!r}: {kind!r},"
        yield "    },"
        yield ")"

    def _load(self) -> Iterator[str]:
        given = "imports: Imports" if self._needed else "imports: Imports | None = None"
        yield f"SOURCE = Path(__file__).parent / {self._source!r}"
        yield ""
        yield f"def load({given}, source: t.Any = SOURCE, *, wasi: wasmrt.WasiConfig | None = None,"
        yield "         engine: wasmrt.Engine | None = None, store: wasmrt.Store | None = None) -> World:"
        yield '    """Loads the component as `wasmrt.load` does; `source` is where it is if not at SOURCE: a path, bytes, or a Component."""'
        yield "    return t.cast(World, wasmrt.load(source, t.cast(t.Any, imports), wasi=wasi, engine=engine, store=store))"


def _module_names(interfaces: Iterable[Interface]) -> dict[Interface, str]:
    """A module's name is the interface's short one; with the package, then with the version, where two are the same."""
    names: dict[Interface, str] = {}
    for interface in interfaces:
        plain, _, version = interface.name.partition("@")
        package, _, short = plain.rpartition("/")
        tries = [short, f"{package}-{short}".replace(":", "-"), f"{package}-{short}-{version}".replace(":", "-").replace(".", "-").replace("+", "-")]
        if not interface.name:
            tries = [_WORLD_MODULE, "world_types"]
        found = next((name for one in tries if (name := snake(one)) not in names.values()), None)
        names[interface] = found if found is not None else f"{snake(tries[-1])}_{len(names)}"
    return names


def _short(name: str) -> str:
    return name.partition("@")[0].rpartition("/")[2]


def _resource_of(name: str) -> str:
    return name.partition("]")[2].partition(".")[0] if name.startswith("[") else ""


def _label(name: str) -> str:
    return name.partition(".")[2]


def _docstring(text: str) -> Iterator[str]:
    if not text:
        return
    lines = text.replace("\\", "\\\\").replace('"""', '\\"\\"\\"').splitlines()
    if lines[-1].endswith('"'):
        lines[-1] += " "
    if len(lines) == 1:
        yield f'"""{lines[0]}"""'
        return
    yield f'"""{lines[0]}'
    yield from lines[1:]
    yield '"""'


def _indented(lines: Iterable[str], depth: int = 1) -> Iterator[str]:
    for line in lines:
        yield "    " * depth + line if line else ""
