"""Definitions looked up on Python objects: what `LinkerInstance.define(obj)` stands for.

Nothing is known about an object until a component imports something of it: then the import's name is looked for by its WIT spelling (a mapping's key)
and in snake case (a key or an attribute), and what is found is checked against the imported type: arity, annotations, and the whole type where it is a
function of another component. Instances of other components are such objects.
"""

from __future__ import annotations

import functools
import inspect
import keyword
from collections.abc import Callable, Mapping
from types import MethodType
from typing import Any, TypeVar

from wasmrt._native import hosts
from wasmrt.spec import types as spec
from wasmrt.spec.names import parse_import_name, parse_name

from .annotations import problem
from .component_instance import ComponentExports, ComponentInstance, ReexportedFunc
from .definitions import Definition, HostFunction, HostResource
from .module import Module
from .names import find_name
from .results import wrapper
from .values import ComponentFunc, ResourceType

T = TypeVar("T")
_NOT_FOUND = object()
_MAX_CHECKED = 1024


class Items(dict[str, Definition]):
    """The definitions of one instance by name; `objects` are asked, in order, for names that it does not have."""

    def __init__(self, objects: list[tuple[Any, bool]] | None = None, checked: dict[Any, tuple[Any, HostFunction]] | None = None) -> None:
        super().__init__()
        self.objects: list[tuple[Any, bool]] = [] if objects is None else objects
        # what was found to fit by name and type, and the function that it is: a linker serves many components with the same imports
        self.checked: dict[Any, tuple[Any, HostFunction]] = {} if checked is None else checked

    @classmethod
    def of_instance(cls, instance: ComponentInstance | ComponentExports) -> Items:
        """What another component, or an instance that it exports, has."""
        return cls([(instance.exports if isinstance(instance, ComponentInstance) else instance, False)])


class Supplied:
    """The resources that a linker has supplied for a component's so far, by ResourceIndex; a type is imported before what mentions it."""

    def __init__(self) -> None:
        self.resources: dict[Any, HostResource] = {}
        self._memo: dict[int, Any] = {}
        self._key: tuple[Any, ...] = ()

    @property
    def key(self) -> tuple[Any, ...]:
        """Equal for equal resources under equal numbers."""
        if len(self._key) != len(self.resources):
            self._key = tuple((resource, definition.type) for resource, definition in self.resources.items())
            self._memo = {}
        return self._key

    def substituted(self, ty: spec.FuncType) -> spec.FuncType:
        """A function's type with them."""
        assert self.key is not None
        known = self.resources
        return spec.substitute_resources(ty, lambda r: known[r].type if r in known else r, self._memo)  # type: ignore[no-any-return]


class UnfitError(Exception):
    """An object has something under the name, but of another kind, arity or type; the message says what."""


def find_definition(items: Mapping[str, Definition], name: str, item: spec.ComponentItem, supplied: Supplied | None = None) -> Definition | None:
    """What serves an import of `item` under `name`, whose resources are numbers that `supplied` knows. Raises UnfitError."""
    found = find_name(name, items)
    if found is not None:
        return items[found]
    if not isinstance(items, Items):
        return None
    for obj, pass_store in items.objects:
        definition = _on_object(obj, pass_store, name, item, items.checked, supplied)
        if definition is not None:
            return definition
    return None


def near_names(items: Mapping[str, Definition], name: str) -> list[str]:
    """Names that are there and look like one that is not: of definitions in WIT's spelling, of objects as they have them."""
    import difflib  # wanted for an error only

    parsed = parse_name(name) if name.startswith("[") else None
    found = difflib.get_close_matches(name, list(items), n=3, cutoff=0.6)
    wanted = name if parsed is None else parsed.label or parsed.resource
    for obj, _ in items.objects if isinstance(items, Items) else ():
        owner = obj if parsed is None or not parsed.resource else _class(obj, parsed.resource)
        if parsed is not None and isinstance(obj, ComponentExports):
            owner, wanted = obj, name
        if owner is _NOT_FOUND:
            continue
        names = [key for key in owner if isinstance(key, str)] if isinstance(owner, Mapping) else [n for n in dir(owner) if not n.startswith("_")]
        spellings = {one.replace("_", "-").lower(): one for one in names}
        found += [spellings[near] for near in difflib.get_close_matches(wanted.lower(), list(spellings), n=3, cutoff=0.6)]
    return list(dict.fromkeys(found))[:3]


def _remembered(function: Callable[[str], T]) -> Callable[[str], T]:
    """For names of any length that a program could mean: what a component with longer ones has costs its time and no memory."""
    cached = functools.lru_cache(maxsize=1024)(function)
    return lambda name: cached(name) if len(name) <= 100 else function(name)


_parsed = _remembered(parse_import_name)


@_remembered
def python_names(name: str) -> tuple[str, ...]:
    """The spellings of a WIT name: its own, snake case, and with an underscore behind it where that is a keyword."""
    snake = name.replace("-", "_")
    if keyword.iskeyword(snake):
        return name, snake + "_"
    return (name,) if snake == name else (name, snake)


@_remembered
def _camel(name: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in name.split("-"))


def _find(obj: Any, name: str) -> Any:
    if isinstance(obj, Mapping):
        for spelling in python_names(name):
            if spelling in obj:
                return obj[spelling]
        found = find_name(name, [key for key in obj if isinstance(key, str)])
        return _NOT_FOUND if found is None else obj[found]
    for spelling in python_names(name):
        value = getattr(obj, spelling, _NOT_FOUND)
        if value is not _NOT_FOUND:
            return value
    return _NOT_FOUND


def _on_object(
    obj: Any, pass_store: bool, name: str, item: spec.ComponentItem, checked: dict[Any, tuple[Any, HostFunction]], supplied: Supplied | None
) -> Definition | None:
    match item:
        case spec.FuncType():
            function, attribute = _function(obj, name)
            if function is None:
                return None
            if isinstance(function, (ComponentFunc, ReexportedFunc)):
                return HostFunction(function, False, function.type()._type, function.store)
            key = name, item, pass_store, None if supplied is None else supplied.key
            known = checked.get(key)
            if known is not None and _is_same(known[0], function):
                return known[1]
            if supplied is not None:
                item = supplied.substituted(item)
            called = function if attribute is None else _method(function, attribute)
            is_async = hosts.is_coroutine_function(called)
            fitting = HostFunction(_checked(called, item, pass_store, name.startswith("[constructor]")), pass_store, is_async=is_async)
            if len(checked) >= _MAX_CHECKED:
                checked.clear()
            checked[key] = function, fitting
            return fitting
        case spec.ComponentInstanceType():
            found = _find(obj, name)
            if isinstance(found, ComponentInstance):
                found = found.exports
            return None if found is _NOT_FOUND else Items([(found, pass_store)], checked)
        case spec.ResourceItem():
            found = _class(obj, name)
            if found is _NOT_FOUND:
                return None
            if not isinstance(found, (type, ResourceType)):
                raise UnfitError(f"a class is wanted, the object has {found!r:.80} there")
            return HostResource.of(found, None)
        case spec.ModuleType():
            found = _find(obj, name)
            if found is _NOT_FOUND:
                return None
            if not isinstance(found, Module):
                raise UnfitError(f"a Module is wanted, the object has {found!r:.80} there")
            return found
    return None


def _class(obj: Any, name: str) -> Any:
    """Of a resource: as any name is spelled, or in CamelCase."""
    camel = _find(obj, _camel(name))
    if isinstance(camel, (type, ResourceType)):
        return camel
    found = _find(obj, name)
    return camel if found is _NOT_FOUND else found


def _is_same(one: Any, other: Any) -> bool:
    """One function, or the same method of the same object, which is another object each time that it is looked up."""
    if isinstance(one, MethodType) and isinstance(other, MethodType):
        return one.__self__ is other.__self__ and one.__func__ is other.__func__
    return one is other


def _function(obj: Any, name: str) -> tuple[Callable[..., Any] | None, str | None]:
    """What serves the name; of a method, the attribute besides under which an object has it."""
    attribute = None
    parsed = _parsed(name)
    if parsed.kind in ("label", "interface") or (isinstance(obj, Mapping) and name in obj):
        function = _find(obj, name)
    else:
        cls = _class(obj, parsed.resource)
        if not isinstance(cls, type):
            return None, None
        if parsed.kind == "constructor":
            function = cls
        else:
            function = _find(cls, parsed.label)
            if parsed.kind == "method" and function is not _NOT_FOUND:
                attribute = next(n for n in python_names(parsed.label) if hasattr(cls, n))
    if function is _NOT_FOUND:
        return None, None
    if not callable(function):
        raise UnfitError(f"a callable is wanted, the object has {function!r:.80} there")
    return function, attribute


def _method(function: Any, attribute: str) -> Callable[..., Any]:
    """Looked up on the object itself, so that a subclass may have its own."""

    def call(self: Any, *args: Any) -> Any:
        return getattr(self, attribute)(*args)

    call.__wrapped__ = function  # type: ignore[attr-defined]
    return call


def _checked(function: Callable[..., Any], ty: spec.FuncType, pass_store: bool, is_constructor: bool) -> Callable[..., Any]:
    """The function, once it can be called with what `ty` has; raising WitError is how it returns an `err`."""
    if hosts.is_coroutine_function(function) and not ty.async_:
        raise UnfitError("a coroutine function cannot be called synchronously by a guest")
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        signature = None  # builtins do not all have one
    if signature is not None:
        count = len(ty.params) + pass_store
        try:
            signature.bind(*[None] * count)
        except TypeError:
            raise UnfitError(f"expected {ty}, the object has it as {signature}, which does not take {count} arguments") from None
        reason = problem(function, signature, ty, int(pass_store), is_constructor)
        if reason is not None:
            raise UnfitError(reason)
    return wrapper(ty.result, function) if isinstance(ty.result, spec.ResultType) else function
