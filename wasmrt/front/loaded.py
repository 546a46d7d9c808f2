"""`load`, and the objects that it returns: exports by attribute, interfaces by their short or full name.

Everything is made when it is first asked for, so loading costs what instantiation costs. The names that guests export never begin with an underscore,
so whatever is ours does.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import keyword
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wasmrt.errors import ArgumentTypeError
from wasmrt.runtime.component import Component
from wasmrt.runtime.component_instance import ComponentInstance
from wasmrt.runtime.component_linker import Linker
from wasmrt.runtime.engine import Engine
from wasmrt.runtime.names import find_name
from wasmrt.runtime.results import unwrapper
from wasmrt.runtime.store import Store
from wasmrt.runtime.values import ResourceType
from wasmrt.spec import types as spec
from wasmrt.spec.names import parse_name

from .resources import Classes, GuestResource, lifter, lowerer

if TYPE_CHECKING:
    from wasmrt import wit


@dataclass(frozen=True)
class Handle:
    """What is behind a loaded component: the objects of `wasmrt.component`."""

    engine: Engine
    component: Component
    store: Store
    linker: Linker
    instance: ComponentInstance


@functools.cache
def _default_engine() -> Engine:
    return Engine()


def load(
    source: Any, imports: Mapping[str, Any] | None = None, *, wasi: Any = None, engine: Engine | None = None, store: Store | None = None
) -> Loaded:
    """Compiles, links and instantiates a component: `source` is a path, bytes, text, or a Component.

    An artifact (`component.serialize()`) is used as it is, a file of one is mapped: machine code is executed, so it must be from someone you trust.

    `imports` maps names to what serves them: an interface, by full name, without its version or by its short name, to an object, module or mapping with
    its functions and classes (`LinkerInstance.define`); a plain import to a function or class. WASI 0.2 is there, and gives a guest nothing but clocks
    and random numbers unless `wasi` (a WasiConfig) does; sockets are refused, and HTTP requests without its `http_handler`. Raises LinkError naming all that is missing, and what `Component` raises.

    >>> codec = wasmrt.load("codec.wasm", {"logging": logger}).codec
    >>> with codec.Codec.from_config("{}") as c: ...

    Exports are attributes in snake case, with an underscore behind a Python keyword; interfaces by short name, or `loaded["ns:pkg/iface@1.0.0"]`. Guest
    resources are classes. A function whose result is an `err` raises WitError with its value.
    """
    if store is not None:
        engine = store.engine if engine is None else engine
    if isinstance(source, Component):
        component = source
    else:
        component = _component(_default_engine() if engine is None else engine, source)
    engine = component.engine
    store = Store(engine) if store is None else store
    linker = Linker(engine)
    linker.allow_shadowing = True
    given = {} if imports is None else _full_names(imports, component)
    linker.add_wasip2()
    linker.add_wasi_http()
    for name in given:
        # what the program gives goes before WASI
        found = find_name(name, linker._items)
        if found is not None:
            del linker._items[found]
    linker.root().define(given)
    if wasi is not None:
        store.set_wasi(wasi)
    instance = linker.instantiate(store, component)
    return Loaded(Handle(engine, component, store, linker, instance))


def handle(loaded: Loaded) -> Handle:
    """Engine, component, store, linker and low-level instance of what `load` returned."""
    if not isinstance(loaded, Loaded):
        raise ArgumentTypeError(f"expected what wasmrt.load returned, got {type(loaded).__name__}")
    return loaded._handle


def _component(engine: Engine, source: Any) -> Component:
    if isinstance(source, os.PathLike) or (isinstance(source, str) and not source.lstrip().startswith(("(", ";"))):
        if Engine.detect_precompiled_file(source) is not None:
            return Component.deserialize_file(engine, source)
        return Component.from_file(engine, source)
    if isinstance(source, (bytes, bytearray, memoryview)) and Engine.detect_precompiled(source) is not None:
        return Component.deserialize(engine, source)
    return Component(engine, source)


def _full_names(imports: Mapping[str, Any], component: Component) -> dict[str, Any]:
    """Keys as the component has them: `ns:pkg/iface@1.0.0` for `ns:pkg/iface` and `iface`, when they mean one import."""
    if not isinstance(imports, Mapping):
        raise ArgumentTypeError(f"expected a mapping of imports, got {type(imports).__name__}")
    wanted = component.type.imports()
    names: dict[str, Any] = {}
    for key, value in imports.items():
        if not isinstance(key, str):
            raise ArgumentTypeError(f"the name of an import is a str, got {type(key).__name__}")
        found = [key] if find_name(key, wanted) is not None else [n for n in wanted if key in (n.partition("@")[0], _short(n))]
        if len(found) > 1:
            raise ArgumentTypeError(f"import {key!r} can mean {' and '.join(found)}: give its full name")
        names[found[0] if found else key] = value
    return names


def _short(name: str) -> str:
    """`iface` of `ns:pkg/iface@1.0.0`; a plain name is its own."""
    return name.partition("@")[0].rpartition("/")[2]


def _attribute(name: str) -> str:
    """How a WIT name is spelled in Python."""
    snake = name.replace("-", "_")
    return f"{snake}_" if keyword.iskeyword(snake) else snake


class Function(functools.partial[Any]):
    """An exported function: positional arguments, or WIT parameter names as keywords. An `err` raises WitError.

    A partial without arguments, so that calls go straight to the low-level function where nothing is to be converted.
    """

    __name__: str
    __qualname__: str
    _owner: Loaded
    _place: tuple[str, str]
    _func: Any

    def __new__(cls, owner: Loaded, interface: str, name: str, func: Any) -> Function:
        self = super().__new__(cls, _converting(func, owner._classes))
        self._owner = owner
        self._place = interface, name
        self._func = func
        self.__name__ = self.__qualname__ = _attribute(parse_name(name).label or name)
        return self

    def __get__(self, obj: Any, cls: Any = None) -> Any:
        """A method of a resource is bound like any function; through the class it takes the object first."""
        return self if obj is None else functools.partial(self, obj)

    @property
    def __doc__(self) -> str:  # type: ignore[override]
        return self._owner._signatures.func(*self._place) or f"{self._place[1]}: {self._func.type()}"

    @property
    def __signature__(self) -> inspect.Signature:
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        return inspect.Signature([inspect.Parameter(_attribute(name), kind) for name, _ in self._func.type().params])

    def with_options(self, **options: Any) -> Function:
        """The same function, called with other options: `results`, `copy`, `timeout` and `gil`, as `wasmrt.component.Func.with_options` explains them.

        >>> loaded.codec.decode.with_options(results="numpy", timeout=0.5)(data)
        """
        return type(self)(self._owner, *self._place, self._func.with_options(**options))

    def __repr__(self) -> str:
        return f"<wasmrt function {'#'.join(filter(None, self._place))}: {self._func.type()}>"


class AsyncFunction(Function):
    """An exported function whose type is `async`: called like any other, or by `call_async` in a program that uses asyncio."""

    async def call_async(self, *args: Any, **kwargs: Any) -> Any:
        """The same call as a coroutine of asyncio: other coroutines run while the guest's task waits.

        >>> first, second = await asyncio.gather(loaded.fetch.call_async("a"), loaded.fetch.call_async("b"))
        """
        lower, lift = _conversions(self._func, self._owner._classes)
        if lower is not None:
            args, kwargs = lower(args, kwargs)
        value = await self._func.call_async(*args, **kwargs)
        return value if lift is None else lift(value)


def _function(owner: Loaded, interface: str, name: str, func: Any) -> Function:
    return (AsyncFunction if hasattr(func, "call_async") else Function)(owner, interface, name, func)


class Interface:
    """An exported interface (or the functions of a world): functions, resource classes, core modules and types as attributes."""

    _owner: Loaded
    _name: str
    _exports: Mapping[str, Any]
    _names: dict[str, str]

    def __init__(self, owner: Loaded, name: str, exports: Mapping[str, Any]) -> None:
        self._owner = owner
        self._name = name
        self._exports = exports
        self._names = {_attribute(export): export for export in exports if not export.startswith("[")}
        for export in list(self._names.values()):
            if isinstance(exports[export], ResourceType):
                self._names.setdefault(_camel(export), export)

    def _make_class(self, name: str, resource: ResourceType) -> None:
        """The class of a resource, and in it the functions of this interface that belong to it."""
        cls = self._owner._classes.get(resource)
        if cls is None:
            doc = f"Resource `{name}` of {self._name or 'the world'}."
            cls = type(_camel(name), (GuestResource,), {"__doc__": doc, "__module__": "wasmrt.front"})
            self._owner._classes[resource] = cls

    def _fill_class(self, name: str, cls: type[GuestResource]) -> None:
        for export in self._exports:
            if not export.startswith("["):
                continue
            parsed = parse_name(export)
            if parsed.resource != name:
                continue
            function = _function(self._owner, self._name, export, self._exports[export])
            if parsed.kind == "constructor":
                cls.__init__ = _constructor(function)  # type: ignore[method-assign]
            else:
                setattr(cls, function.__name__, staticmethod(function) if parsed.kind == "static" else function)

    def __getattr__(self, name: str) -> Any:
        export = self._names.get(name)
        if export is None:
            export = name if name in self._exports and not name.startswith("[") else None
        if export is None or name.startswith("_"):
            raise AttributeError(_no_such(name, self._name or "the component", self._names))
        item = self._exports[export]
        if isinstance(item, ResourceType):
            item = self._owner._classes.get(item, item)
        elif isinstance(item, Mapping):
            item = Interface(self._owner, export, item)
        elif callable(item):
            item = _function(self._owner, self._name, export, item)
        self.__dict__[name] = item
        return item

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_"):
            raise AttributeError(f"exports cannot be set: {name!r}")
        super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted(self._names)

    def __iter__(self) -> Iterator[str]:
        return iter(self._exports)

    def __repr__(self) -> str:
        return f"<interface {self._name}: {', '.join(sorted(self._names))}>"


_Lowering = Callable[[tuple[Any, ...], dict[str, Any]], tuple[tuple[Any, ...], dict[str, Any]]]


def _converting(func: Any, classes: Classes) -> Callable[..., Any]:
    """`func` with objects for handles, exceptions for errors, and Python's spelling of keywords; itself when it needs none of these."""
    lower, lift = _conversions(func, classes)
    if lower is None and lift is None:
        return func  # type: ignore[no-any-return]

    def call(*args: Any, **kwargs: Any) -> Any:
        if lower is not None:
            args, kwargs = lower(args, kwargs)
        value = func(*args, **kwargs)
        return value if lift is None else lift(value)

    return call


def _conversions(func: Any, classes: Classes) -> tuple[_Lowering | None, Callable[[Any], Any] | None]:
    """What becomes of a function's arguments before a call, and of its result behind it; None: nothing."""
    ty: spec.FuncType = func.type()
    lowers = [lowerer(param) for _, param in ty.params]
    renames = {_attribute(name): name for name, _ in ty.params if keyword.iskeyword(name)}
    by_name = {name: f for (name, _), f in zip(ty.params, lowers, strict=True) if f is not None}
    by_name |= {name.replace("-", "_"): f for name, f in by_name.items()}

    def lower(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if by_name:
            args = tuple(value if f is None else f(value) for f, value in itertools.zip_longest(lowers[: len(args)], args))
        if kwargs:
            kwargs = {renames.get(name, name): value for name, value in kwargs.items()}
            kwargs = {name: by_name[name](value) if name in by_name else value for name, value in kwargs.items()}
        return args, kwargs

    return lower if by_name or renames else None, _lifting(ty.result, classes)


def _lifting(result: spec.ValType | None, classes: Classes) -> Callable[[Any], Any] | None:
    payload = result.ok if isinstance(result, spec.ResultType) else result
    lift = None if payload is None else lifter(payload, classes)
    unwrap = unwrapper(result) if isinstance(result, spec.ResultType) else None
    if unwrap is None or lift is None:
        return unwrap or lift
    unwrapped, lifted = unwrap, lift
    return lambda value: lifted(unwrapped(value))


def _constructor(function: Function) -> Callable[..., None]:
    def __init__(self: GuestResource, *args: Any, **kwargs: Any) -> None:
        self._handle = function(*args, **kwargs)._handle

    __init__.__doc__ = f"See `{function.__name__}` of the component's WIT."
    return __init__


def _camel(name: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in name.split("-"))


def _no_such(name: str, where: str, names: Mapping[str, Any]) -> str:
    import difflib

    near = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    return f"{where} exports no {name!r}" + (f"; did you mean {', '.join(map(repr, near))}?" if near else f"; it has {', '.join(map(repr, sorted(names)[:10]))}")


class Loaded:
    """A component that `load` instantiated: plain exports and interfaces as attributes, `loaded["ns:pkg/iface@1.0.0"]`. Leaving `with` closes its store."""

    _handle: Handle
    _classes: Classes
    _interfaces: dict[str, Interface]
    _plain: Interface
    _short_names: dict[str, list[str]]

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        self._classes = {}
        exports = handle.instance.exports
        items = {name: exports[name] for name in exports}
        self._interfaces = {name: Interface(self, name, item) for name, item in items.items() if _is_interface(item)}
        self._plain = Interface(self, "", {name: item for name, item in items.items() if not _is_interface(item)})
        self._short_names = {}
        for name in self._plain._names:
            self._short_names.setdefault(name, []).append(self._plain._names[name])
        for name in self._interfaces:
            self._short_names.setdefault(_attribute(_short(name)), []).append(name)
        every = [self._plain, *self._interfaces.values()]
        resources = [
            (interface, name, item)
            for interface in every
            for name, item in interface._exports.items()
            if isinstance(item, ResourceType) and not item.is_host
        ]
        # all classes before the first function, since any of them may return any
        for interface, name, item in resources:
            interface._make_class(name, item)
        for interface, name, item in resources:
            interface._fill_class(name, self._classes[item])

    @functools.cached_property
    def _signatures(self) -> wit.Signatures:
        from wasmrt import wit  # what only documentation asks for is imported then

        return wit.Signatures(wit.read_world(self._handle.component._artifacts.skeleton))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        found = self._short_names.get(name) or self._short_names.get(_attribute(name))
        if found is None:
            raise AttributeError(_no_such(name, "the component", self._short_names))
        if len(found) > 1:
            raise AttributeError(f"{name!r} is ambiguous: {' and '.join(found)}; use loaded[full name]")
        item = self._interfaces[found[0]] if found[0] in self._interfaces else getattr(self._plain, name)
        self.__dict__[name] = item
        return item

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_"):
            raise AttributeError(f"exports cannot be set: {name!r}")
        super().__setattr__(name, value)

    def __getitem__(self, name: str) -> Any:
        found = find_name(name, self._interfaces)
        if found is not None:
            return self._interfaces[found]
        if name in self._plain._exports:
            return getattr(self._plain, name)
        raise KeyError(_no_such(name, "the component", {**self._interfaces, **self._plain._exports}))

    def __iter__(self) -> Iterator[str]:
        return iter(self._handle.instance.exports)

    def __dir__(self) -> list[str]:
        return sorted(self._short_names)

    def __enter__(self) -> Loaded:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._handle.store.close()

    def __repr__(self) -> str:
        return f"<wasmrt component: {', '.join(self._handle.instance.exports)}>"


def _is_interface(item: Any) -> bool:
    return isinstance(item, Mapping)
