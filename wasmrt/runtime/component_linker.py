"""Linker of components: a tree of host definitions by name, matched against a component's imports.

A definition is a host function, a host resource, a core module, or an instance (a nested tree, or an instance of another component). Names are matched
exactly first, then by semver-compatible version. `instantiate_pre` does all matching and checking once: it resolves every RuntimeImport of the
component to a definition and reports everything that is missing or of the wrong kind in one LinkError.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from wasmrt._native import hosts
from wasmrt.errors import ArgumentTypeError, LinkError, Trap, WasmError
from wasmrt.spec import types as spec

from . import component_types as types
from . import pickling
from .component import Component
from .component_instance import ComponentExports, ComponentInstance, InstancePre
from .definitions import Definition, HostFunction, HostResource
from .engine import Engine
from .host_objects import Items, Supplied, UnfitError, find_definition, near_names
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

    def __repr__(self) -> str:
        return f"<wasmrt.component.LinkerInstance of {len(self._items)} definitions>"

    def _define(self, name: str, definition: Definition) -> None:
        if not isinstance(name, str):
            raise ArgumentTypeError(f"expected a name, got {type(name).__name__}")
        if name in self._items and not self._linker.allow_shadowing:
            raise WasmError(f"map entry `{name}` defined twice")
        self._items[name] = definition

    def add_instance(self, name: str, instance: ComponentInstance | ComponentExports | None = None) -> LinkerInstance:
        """Opens the instance `name` for definitions, making it when it is new.

        With `instance`, an instance of another component or one that it exports, the name is defined as that: functions are called by values, core modules
        and resource types are the same, and everything is checked against what is imported when a component is linked. Its store is the only one that
        the linker can instantiate such components in.

        >>> linker.root().add_instance("my:pkg/api@1.0.0", other.exports["my:pkg/api@1.0.0"])
        """
        if instance is not None:
            if not isinstance(instance, (ComponentInstance, ComponentExports)):
                raise ArgumentTypeError(f"expected an instance of a component, got {type(instance).__name__}")
            made = Items.of_instance(instance)
            self._define(name, made)
            return LinkerInstance._of(self._linker, made)
        items = self._items.get(name)
        if items is None or not isinstance(items, dict):
            items = Items()
            self._define(name, items)
        return LinkerInstance._of(self._linker, items)

    def add_func(self, name: str, func: Callable[..., Any]) -> None:
        """Defines a host function, called as `func(store, *args)`. Its result must fit the imported type."""
        self._add_func(name, func, pass_store=True)

    def add_func_async(self, name: str, func: Callable[..., Any]) -> None:
        """Defines a host function that is a coroutine function (or returns something else that can be awaited), called as `func(store, *args)`.

        It serves imports of an asynchronous type only. While it waits, other tasks of the guest go on, and so do coroutines of asyncio when the guest is
        called by `call_async`; a synchronous call runs it in an event loop of its own. When the guest cancels the call, the coroutine is cancelled.

        >>> async def fetch(store, url):
        ...     return await client.get(url)
        >>> linker.instance("my:pkg/web").add_func_async("fetch", fetch)
        """
        if not callable(func):
            raise ArgumentTypeError(f"expected a callable, got {type(func).__name__}")
        self._define(name, HostFunction(func, True, is_async=True))

    def _add_func(self, name: str, func: Callable[..., Any], pass_store: bool) -> None:
        if not callable(func):
            raise ArgumentTypeError(f"expected a callable, got {type(func).__name__}")
        if hosts.is_coroutine_function(func):
            raise ArgumentTypeError("a coroutine function cannot be called synchronously by a guest: add_func_async defines it")
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
        """Defines everything that is imported of this instance by a Python object: an instance of a class or of a component, a module, or a mapping.

        Names are looked for as WIT spells them and in snake case; resources are classes, whose methods serve theirs. Functions are called as `f(*args)`;
        raising WitError returns an `err`. When a component is linked, arities and annotations are checked against its types. What `add_*` defines goes first.

        >>> linker.instance("my:pkg/api@1.0.0").define(Api())
        """
        items = self._items
        assert isinstance(items, Items)
        items.objects.append((obj.exports if isinstance(obj, ComponentInstance) else obj, pass_store))

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

    __reduce__ = pickling.refuse("Linker", "host functions do not leave their process; make one where it arrives")

    def __init__(self, engine: Engine) -> None:
        if not isinstance(engine, Engine):
            raise ArgumentTypeError(f"expected an Engine, got {type(engine).__name__}")
        self.engine = engine
        self.allow_shadowing = False
        self._items = Items()

    def __repr__(self) -> str:
        return f"<wasmrt.component.Linker: {', '.join([*self._items, *('...' for _ in self._items.objects)])}>"

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
        """Defines wasi:http 0.2, in which `WasiConfig.http_handler` answers outgoing requests; without one each is `HTTP-request-denied`. What it imports of
        WASI is `add_wasip2`'s."""
        import wasmrt.wasi  # noqa: F401  (registers itself)

        _wasi_providers["http"](self)

    def add_instance(self, name: str, instance: ComponentInstance | ComponentExports) -> None:
        """Defines a top-level import as an instance of another component: composition at run time (see LinkerInstance.add_instance)."""
        self.root().add_instance(name, instance)

    def define_unknown_imports_as_traps(self, component: Component) -> None:
        """Every function that `component` imports and that is not defined traps when it is called; missing resources become inert host resources."""
        made: dict[Any, HostResource] = {}
        for name, index in component._artifacts.component.import_types:
            self._define_trap(self._items, name, component._types[index], name, made)

    def _define_trap(
        self, items: dict[str, Definition], name: str, item: spec.ComponentItem, path: str, made: dict[Any, HostResource]
    ) -> None:
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
                    self._define_trap(nested, inner, inner_item, f"{path}#{inner}", made)
        elif found is None and isinstance(item, spec.FuncType):
            items[name] = HostFunction(_trapping(path), False)
        elif isinstance(item, spec.ResourceItem):
            if found is None:
                found = items[name] = made.get(item.ty) or HostResource.anonymous(name)
            if isinstance(found, HostResource):
                made.setdefault(item.ty, found)

    # -- instantiating ------------------------------------------------------------------------------------------------------------------------

    def instantiate_pre(self, component: Component) -> InstancePre:
        """Checks and looks everything up once; `instantiate(store)` on it is only the run-time work.

        Raises LinkError naming every import that is missing or does not fit, with the type that is wanted, what is there, and names that look alike.
        """
        return InstancePre(component, self._checked(component)[0])

    def instantiate(self, store: Store, component: Component) -> ComponentInstance:
        """An instance of `component` in `store`. Raises LinkError as `instantiate_pre` does, Trap, or what a host function raised in a start function."""
        return self.instantiate_pre(component).instantiate(store)

    def substituted_component_type(self, component: Component) -> types.Component:
        """The type of `component` with the resources that this linker supplies in the place of those that it imports. Raises LinkError when it cannot
        be instantiated with this linker. Resources that it defines stay abstract: each instance has its own.

        >>> linker.root().add_resource("x", MyClass)
        >>> assert linker.substituted_component_type(component).imports()["x"] == ResourceType.host(MyClass)
        """
        _, supplied = self._checked(component)
        whole = component._types[component._artifacts.component.ty]
        return component._described(spec.substitute_resources(whole, lambda r: supplied[r].type if r in supplied else component._abstract(r)))

    def _checked(self, component: Component) -> tuple[list[Definition], dict[Any, HostResource]]:
        if not isinstance(component, Component):
            raise ArgumentTypeError(f"expected a Component, got {type(component).__name__}")
        if component.engine is not self.engine:
            raise WasmError("cross-`Engine` usage is not supported")
        matching = _Matching(self, component)
        return matching.definitions(), matching.resources


class _Matching:
    """The imports of one component matched against a linker's definitions; problems are collected, so that one error has them all."""

    def __init__(self, linker: Linker, component: Component) -> None:
        self.linker = linker
        self.component = component
        self.problems: list[str] = []
        self.supplied = Supplied()
        self.resources = self.supplied.resources

    def definitions(self) -> list[Definition]:
        """The definition of each RuntimeImport, by RuntimeImportIndex. Raises LinkError."""
        records = self.component._artifacts.component
        roots: list[Definition | None] = []
        for name, type_index in records.import_types:
            roots.append(self._match(self.linker._items, (name,), self.component._types[type_index]))
        if self.problems:
            raise LinkError("\n".join(self.problems))
        resolved: list[Definition] = []
        for runtime_import in records.imports:
            definition = roots[runtime_import.import_]
            for name in runtime_import.path:
                assert isinstance(definition, Mapping)
                definition = definition[name]
            assert definition is not None
            resolved.append(definition)
        return resolved

    def _problem(self, item: spec.ComponentItem, path: tuple[str, ...], text: str) -> None:
        kind = _KINDS.get(type(item), ("item", object))[0]
        self.problems.append(f"component imports {kind} {'#'.join(f'`{name}`' for name in path)}, but {text}")

    def _text(self, item: spec.ComponentItem, path: tuple[str, ...]) -> str:
        """The imported type, with the names that the component has for its parts."""
        if isinstance(item, spec.FuncType):
            interface = path[0] if len(path) == 2 else ""
            place = types.Place(self.component._signatures, True, interface, path[-1]) if len(path) <= 2 else None
            return str(types.public_item(self.component._of_this(self.supplied.substituted(item)), place))
        if isinstance(item, spec.ComponentInstanceType):
            names = [f"`{name}`" for name, inner in item.exports if not isinstance(inner, spec.TypeItem)]
            more = f" and {len(names) - 6} more" if len(names) > 6 else ""
            return f"an instance that exports {', '.join(names[:6])}{more}" if names else "an instance"
        return "a resource" if isinstance(item, spec.ResourceItem) else f"a {item}"

    def _match(self, items: Mapping[str, Definition], path: tuple[str, ...], item: spec.ComponentItem) -> Definition | None:
        name = path[-1]
        if isinstance(item, spec.FuncType):
            plain = items.get(name)
            if isinstance(plain, HostFunction):
                return self._function(plain, path, item)
        elif isinstance(item, spec.TypeItem):
            return None  # nobody supplies it
        try:
            definition = find_definition(items, name, item, self.supplied)
        except UnfitError as unfit:
            self._problem(item, path, f"what defines it does not fit: {unfit}")
            return None
        if definition is None and isinstance(item, spec.ResourceItem):
            definition = self.resources.get(item.ty)  # another name of a type that has been supplied
        if definition is None:
            self._missing(items, path, item)
            return None
        if not isinstance(definition, _KINDS.get(type(item), ("type", object))[1]):
            self._problem(item, path, f"the linker has {_describe(definition)} there; expected {self._text(item, path)}")
            return None
        if isinstance(item, spec.FuncType):
            return self._function(definition, path, item)
        if isinstance(item, spec.ResourceItem):
            return self._resource(definition, path, item)
        if isinstance(item, spec.ModuleType):
            return self._module(definition, path, item)
        if isinstance(item, spec.ComponentInstanceType):
            assert isinstance(definition, Mapping)
            matched: dict[str, Definition] = {}
            for inner, inner_item in item.exports:
                found = self._match(definition, (*path, inner), inner_item)
                if found is not None:
                    matched[inner] = found
            return matched
        return definition

    def _function(self, definition: Any, path: tuple[str, ...], item: spec.FuncType) -> Definition | None:
        if definition.is_async and not item.async_:
            self._problem(item, path, "what defines it is a coroutine function, which cannot be called synchronously by a guest")
            return None
        if definition.type is not None:
            item = self.supplied.substituted(item)
            from wasmrt.translate.subtype import Mismatch, match_funcs  # what needs no such check does not pay for it

            try:
                match_funcs(item, definition.type)
            except Mismatch as mismatch:
                found = f"the linker has {definition.type} there"
                self._problem(item, path, f"{found}; expected {self._text(item, path)}: {mismatch}")
                return None
        return definition  # type: ignore[no-any-return]

    def _resource(self, definition: Any, path: tuple[str, ...], item: spec.ResourceItem) -> Definition | None:
        known = self.resources.setdefault(item.ty, definition)
        if known.type != definition.type:
            text = f"the linker has {definition.type!r} there, where {known.type!r} is another name of it: resource types are not the same"
            self._problem(item, path, text)
            return None
        return definition  # type: ignore[no-any-return]

    def _module(self, definition: Any, path: tuple[str, ...], item: spec.ModuleType) -> Definition | None:
        from wasmrt.translate.subtype import Mismatch, match_modules

        given = spec.ModuleType(tuple(definition._info.imports), tuple(definition._info.exports))
        try:
            match_modules(item, given)
        except Mismatch as mismatch:
            self._problem(item, path, f"the linker has one of another type there: {mismatch}; expected {item}, found {given}")
            return None
        return definition  # type: ignore[no-any-return]

    def _missing(self, items: Mapping[str, Definition], path: tuple[str, ...], item: spec.ComponentItem) -> None:
        name = path[-1]
        text = f"a matching implementation was not found in the linker; expected {self._text(item, path)}"
        near = near_names(items, name)
        if name.startswith("wasi:") and len(path) == 1:
            text += f"; {self._wasi_fix(name)}"
        if near:
            text += "; the linker has " + ", ".join(f"`{other}`" for other in near)
        self._problem(item, path, text)

    def _wasi_fix(self, name: str) -> str:
        """The line that defines an interface of WASI."""
        for call in ("add_wasip2", "add_wasi_http"):
            wasi = Linker(self.linker.engine)
            getattr(wasi, call)()
            if find_name(name, wasi._items) is not None:
                return f"`linker.{call}()` defines it"
        return "WASI 0.2 as `linker.add_wasip2()` defines it has no such interface, or none of a compatible version"


_KINDS: dict[type, tuple[str, type]] = {
    spec.FuncType: ("function", HostFunction),
    spec.ComponentInstanceType: ("instance", Mapping),
    spec.ResourceItem: ("resource", HostResource),
    spec.ModuleType: ("module", Module),
}


def _describe(definition: Definition) -> str:
    if isinstance(definition, HostFunction) and definition.type is not None:
        return str(definition.type)
    for kind, cls in _KINDS.values():
        if isinstance(definition, cls):
            return f"a {kind}" if kind != "instance" else "an instance"
    return type(definition).__name__


def _trapping(path: str) -> Callable[..., Any]:
    def unknown_import(*_: Any) -> Any:
        raise Trap(f"unknown import: `{path}` has not been defined", TrapCode.LINKED_AS_TRAP)

    return unknown_import


