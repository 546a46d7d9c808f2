"""Definitions looked up on Python objects: what `LinkerInstance.define(obj)` stands for.

Nothing is known about an object until a component imports something of it: then the import's name is looked for by its WIT spelling (a mapping's key)
and in snake case (a key or an attribute), and what is found is checked against the imported type: arity, annotations, and the whole type where it is a
function of another component. Instances of other components are such objects.
"""

from __future__ import annotations

import inspect
import keyword
from collections.abc import Callable, Iterator, Mapping
from typing import Any

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

_NOT_FOUND = object()


class Items(dict[str, Definition]):
    """The definitions of one instance by name; `objects` are asked, in order, for names that it does not have."""

    def __init__(self, objects: list[tuple[Any, bool]] | None = None) -> None:
        super().__init__()
        self.objects: list[tuple[Any, bool]] = [] if objects is None else objects

    @classmethod
    def of_instance(cls, instance: ComponentInstance | ComponentExports) -> Items:
        """What another component, or an instance that it exports, has."""
        return cls([(instance.exports if isinstance(instance, ComponentInstance) else instance, False)])


class UnfitError(Exception):
    """An object has something under the name, but of another kind, arity or type; the message says what."""


def find_definition(items: Mapping[str, Definition], name: str, item: spec.ComponentItem) -> Definition | None:
    """What serves an import of `item` under `name`. Raises UnfitError."""
    found = find_name(name, items)
    if found is not None:
        return items[found]
    for obj, pass_store in items.objects if isinstance(items, Items) else ():
        definition = _on_object(obj, pass_store, name, item)
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


def python_names(name: str) -> Iterator[str]:
    """The spellings of a WIT name: its own, snake case, and with an underscore behind it where that is a keyword."""
    yield name
    snake = name.replace("-", "_")
    if keyword.iskeyword(snake):
        yield snake + "_"
    elif snake != name:
        yield snake


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


def _on_object(obj: Any, pass_store: bool, name: str, item: spec.ComponentItem) -> Definition | None:
    match item:
        case spec.FuncType():
            function = _function(obj, name, item)
            if function is None:
                return None
            if isinstance(function, (ComponentFunc, ReexportedFunc)):
                return HostFunction(function, False, function.type()._type, function.store)
            is_constructor = name.startswith("[constructor]")
            is_async = hosts.is_coroutine_function(function)
            return HostFunction(_checked(function, item, pass_store, is_constructor), pass_store, is_async=is_async)
        case spec.ComponentInstanceType():
            found = _find(obj, name)
            if isinstance(found, ComponentInstance):
                found = found.exports
            return None if found is _NOT_FOUND else Items([(found, pass_store)])
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
    camel = _find(obj, "".join(part[:1].upper() + part[1:] for part in name.split("-")))
    if isinstance(camel, (type, ResourceType)):
        return camel
    found = _find(obj, name)
    return camel if found is _NOT_FOUND else found


def _function(obj: Any, name: str, ty: spec.FuncType) -> Callable[..., Any] | None:
    parsed = parse_import_name(name)
    if parsed.kind in ("label", "interface") or (isinstance(obj, Mapping) and name in obj):
        function = _find(obj, name)
    else:
        cls = _class(obj, parsed.resource)
        if not isinstance(cls, type):
            return None
        if parsed.kind == "constructor":
            function = cls
        else:
            function = _find(cls, parsed.label)
            if parsed.kind == "method" and function is not _NOT_FOUND:
                attribute = next(n for n in python_names(parsed.label) if hasattr(cls, n))
                function = _method(function, attribute)
    if function is _NOT_FOUND:
        return None
    if not callable(function):
        raise UnfitError(f"a callable is wanted, the object has {function!r:.80} there")
    return function  # type: ignore[no-any-return]


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
