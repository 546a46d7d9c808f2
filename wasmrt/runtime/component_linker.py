"""Linker of components: a tree of host definitions by name, matched against a component's imports.

A definition is a host function, a host resource, a core module, or an instance (a nested tree, or an instance of another component). Names are matched
exactly first, then by semver-compatible version. `instantiate_pre` does all matching and checking once: it resolves every RuntimeImport of the
component to a definition and reports everything that is missing or of the wrong kind in one LinkError.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from wasmrt.errors import ArgumentTypeError, LinkError, Trap, WasmError
from wasmrt.spec import types as spec

from .component import Component
from .component_instance import ComponentInstance, InstancePre
from .definitions import Definition, HostFunction, HostResource
from .engine import Engine
from .host_objects import Items, UnfitError, find_definition
from .module import Module
from .names import find_name
from .store import Store
from .types import TrapCode

# Fills a linker with WASI; registered by wasmrt.wasi, which is built on this file.
_wasi_providers: dict[str, Callable[[Linker], None]] = {}


def register_wasi(name: str, provider: Callable[[Linker], None]) -> None:
    """Called by `wasmrt.wasi` when it is imported."""
    _wasi_providers[name] = provider


class LinkerInstance:
    """The root of a linker or one instance in it; usable as a context manager.

    >>> with linker.root() as root:
    ...     root.add_func("log", lambda store, text: print(text))
    ...     with root.add_instance("my:pkg/api@1.0.0") as api:
    ...         api.add_func("now", lambda store: 0)
    """

    _linker: Linker
    _items: dict[str, Definition]

    def __init__(self) -> None:
        raise WasmError("Cannot directly construct a `LinkerInstance`: use Linker.root or Linker.instance")

    @classmethod
    def _of(cls, linker: Linker, items: dict[str, Definition]) -> LinkerInstance:
        self = cls.__new__(cls)
        self._linker = linker
        self._items = items
        return self

    def _define(self, name: str, definition: Definition) -> None:
        if not isinstance(name, str):
            raise ArgumentTypeError(f"expected a name, got {type(name).__name__}")
        if name in self._items and not self._linker.allow_shadowing:
            raise WasmError(f"map entry `{name}` defined twice")
        self._items[name] = definition

    def add_instance(self, name: str) -> LinkerInstance:
        """Opens the instance `name` for definitions, making it when it is new."""
        items = self._items.get(name)
        if items is None or not isinstance(items, dict):
            items = Items()
            self._define(name, items)
        return LinkerInstance._of(self._linker, items)

    def add_func(self, name: str, func: Callable[..., Any]) -> None:
        """Defines a host function, called as `func(store, *args)`. Its result must fit the imported type."""
        self._add_func(name, func, pass_store=True)

    def _add_func(self, name: str, func: Callable[..., Any], pass_store: bool) -> None:
        if not callable(func):
            raise ArgumentTypeError(f"expected a callable, got {type(func).__name__}")
        if inspect.iscoroutinefunction(func):
            raise ArgumentTypeError("a coroutine function cannot be called synchronously by a guest")
        self._define(name, HostFunction(func, pass_store))

    def func(self, name: str, *, pass_store: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Decorator: defines a host function, called as `f(*args)`; `pass_store=True` puts the store first."""

        def define(function: Callable[..., Any]) -> Callable[..., Any]:
            self._add_func(name, function, pass_store)
            return function

        return define

    def add_resource(self, name: str, ty: Any, dtor: Callable[..., Any] | None = None) -> None:
        """Defines a host resource: `ty` is a ResourceType or a Python class; `dtor(store, rep)` runs when an owned handle is dropped."""
        self._define(name, HostResource.of(ty, dtor))

    def define(self, obj: Any, *, pass_store: bool = False) -> None:
        """Defines everything that is imported of this instance by a Python object: an instance of a class, a module, or a mapping.

        Names are looked for as WIT spells them and in snake case; resources are classes, whose methods serve theirs. Functions are called as `f(*args)`;
        raising WitError returns an `err`. When a component is linked, arities are checked against its types. What `add_*` defines goes first.

        >>> linker.instance("my:pkg/api@1.0.0").define(Api())
        """
        items = self._items
        assert isinstance(items, Items)
        items.objects.append((obj, pass_store))

    def add_module(self, name: str, module: Module) -> None:
        """Defines a core module."""
        if not isinstance(module, Module):
            raise ArgumentTypeError(f"expected a Module, got {type(module).__name__}")
        self._define(name, module)

    def close(self) -> None:
        """Nothing to release; as the peer has it."""

    def __enter__(self) -> LinkerInstance:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


class Linker:
    """`Linker(engine)`: what components import.

    >>> linker = Linker(engine)
    >>> linker.add_wasip2()
    >>> linker.root().add_func("log", lambda store, text: print(text))
    >>> instance = linker.instantiate(store, component)
    """

    def __init__(self, engine: Engine) -> None:
        if not isinstance(engine, Engine):
            raise ArgumentTypeError(f"expected an Engine, got {type(engine).__name__}")
        self.engine = engine
        self.allow_shadowing = False
        self._items = Items()

    def root(self) -> LinkerInstance:
        """The top level of definitions."""
        return LinkerInstance._of(self, self._items)

    def instance(self, path: str) -> LinkerInstance:
        """The instance of that name at the top level, opened for definitions."""
        return self.root().add_instance(path)

    def add_wasip2(self) -> None:
        """Defines WASI 0.2. Raises WasmError when it is defined already, unless `allow_shadowing`."""
        import wasmrt.wasi  # noqa: F401  (registers itself)

        _wasi_providers["p2"](self)

    def add_wasi_http(self) -> None:
        """Defines wasi:http 0.2, in which every outgoing request is `HTTP-request-denied`; what it imports of WASI is `add_wasip2`'s."""
        import wasmrt.wasi  # noqa: F401  (registers itself)

        _wasi_providers["http"](self)

    def define_unknown_imports_as_traps(self, component: Component) -> None:
        """Every function that `component` imports and that is not defined traps when it is called; missing resources become inert host resources."""
        for name, index in component._artifacts.component.import_types:
            self._define_trap(self._items, name, component._types[index], name)

    def _define_trap(self, items: dict[str, Definition], name: str, item: spec.ComponentItem, path: str) -> None:
        try:
            found = find_definition(items, name, item)
        except UnfitError:
            return  # linking says what is wrong
        if isinstance(item, spec.ComponentInstanceType):
            nested = Items() if found is None else found
            if isinstance(nested, dict):
                if find_name(name, items) is None:
                    items[name] = nested
                for inner, inner_item in item.exports:
                    self._define_trap(nested, inner, inner_item, f"{path}#{inner}")
        elif found is None and isinstance(item, spec.FuncType):
            items[name] = HostFunction(_trapping(path), False)
        elif found is None and isinstance(item, spec.ResourceItem):
            items[name] = HostResource.anonymous(name)

    # -- instantiating ------------------------------------------------------------------------------------------------------------------------

    def instantiate_pre(self, component: Component) -> InstancePre:
        """Checks and looks everything up once; `instantiate(store)` on it is only the run-time work."""
        if not isinstance(component, Component):
            raise ArgumentTypeError(f"expected a Component, got {type(component).__name__}")
        if component.engine is not self.engine:
            raise WasmError("cross-`Engine` usage is not supported")
        return InstancePre(component, self._resolve(component))

    def instantiate(self, store: Store, component: Component) -> ComponentInstance:
        """An instance of `component` in `store`. Raises LinkError naming every import that is missing or does not fit."""
        return self.instantiate_pre(component).instantiate(store)

    def _resolve(self, component: Component) -> list[Definition]:
        """The definition of each RuntimeImport, by RuntimeImportIndex."""
        records = component._artifacts.component
        problems: list[str] = []
        roots: list[Definition | None] = []
        for name, type_index in records.import_types:
            roots.append(self._match(self._items, name, component._types[type_index], f"`{name}`", problems))
        if problems:
            raise LinkError("\n".join(problems))
        resolved: list[Definition] = []
        for runtime_import in records.imports:
            definition = roots[runtime_import.import_]
            for name in runtime_import.path:
                assert isinstance(definition, Mapping)
                definition = definition[name]
            assert definition is not None
            resolved.append(definition)
        return resolved

    def _match(
        self, items: Mapping[str, Definition], name: str, item: spec.ComponentItem, path: str, problems: list[str]
    ) -> Definition | None:
        try:
            definition = find_definition(items, name, item)
        except UnfitError as unfit:
            problems.append(f"component imports {_KINDS[type(item)][0]} {path}, but what defines it does not fit: {unfit}")
            return None
        if definition is None:
            if not isinstance(item, spec.TypeItem):
                problems.append(_missing(item, path, name, items))
            return None
        wanted, fits = _KINDS.get(type(item), ("type", object))
        if not isinstance(definition, fits):
            problems.append(f"component imports {wanted} {path}, but the linker has {_describe(definition)} there")
            return None
        if isinstance(item, spec.ModuleType):
            from wasmrt.translate.subtype import Mismatch, match_modules

            assert isinstance(definition, Module)
            given = spec.ModuleType(tuple(definition._info.imports), tuple(definition._info.exports))
            try:
                match_modules(item, given)
            except Mismatch as mismatch:
                problems.append(f"component imports module {path}, but the linker has one of another type there: {mismatch}")
                return None
        if isinstance(item, spec.ComponentInstanceType):
            assert isinstance(definition, Mapping)
            matched: dict[str, Definition] = {}
            for inner, inner_item in item.exports:
                found = self._match(definition, inner, inner_item, f"{path}#`{inner}`", problems)
                if found is not None:
                    matched[inner] = found
            return matched
        return definition


_KINDS: dict[type, tuple[str, type]] = {
    spec.FuncType: ("function", HostFunction),
    spec.ComponentInstanceType: ("instance", Mapping),
    spec.ResourceItem: ("resource", HostResource),
    spec.ModuleType: ("module", Module),
}


def _describe(definition: Definition) -> str:
    for kind, cls in _KINDS.values():
        if isinstance(definition, cls):
            return f"a {kind}" if kind != "instance" else "an instance"
    return type(definition).__name__


def _missing(item: spec.ComponentItem, path: str, name: str, items: Mapping[str, Definition]) -> str:
    kind = _KINDS.get(type(item), ("item", object))[0]
    text = f"component imports {kind} {path}, but a matching implementation was not found in the linker"
    if isinstance(item, spec.FuncType):
        text += f"; expected {item}"
    import difflib

    near = difflib.get_close_matches(name, list(items), n=3, cutoff=0.6)
    if near:
        text += "; the linker has " + ", ".join(f"`{other}`" for other in near)
    elif name.startswith("wasi:") and not any(other.startswith("wasi:") for other in items):
        text += "; Linker.add_wasip2() defines WASI 0.2"
    if name.startswith("wasi:http/"):
        text += "; Linker.add_wasi_http() defines wasi:http"
    return text


def _trapping(path: str) -> Callable[..., Any]:
    def unknown_import(*_: Any) -> Any:
        raise Trap(f"unknown import: `{path}` has not been defined", TrapCode.LINKED_AS_TRAP)  # type: ignore[attr-defined]

    return unknown_import


