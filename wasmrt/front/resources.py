"""Guest resources as Python classes, and values that hold them: from handles to objects of these classes, and back.

Conversion is compiled from a type, once for a function; a type without guest resources needs none, and its values pass untouched.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Self

from wasmrt.errors import ArgumentTypeError
from wasmrt.runtime.results import case_classes, is_one
from wasmrt.runtime.values import Record, ResourceAny, ResourceType, Variant
from wasmrt.spec import types as spec

Convert = Callable[[Any], Any]
Classes = dict[ResourceType, type["GuestResource"]]
_MISSING = object()


class GuestResource:
    """Base of the classes that stand for a component's resources: the handle, `with`, and the guest's methods.

    Leaving `with` drops it. One that nobody holds any more is dropped at the next call into its store. `with` is not needed for that, only for when.
    """

    _handle: ResourceAny

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise ArgumentTypeError(f"resource {type(self).__name__} has no constructor")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._handle.__exit__(*exc_info)

    def __reduce__(self) -> Any:
        raise ArgumentTypeError("a resource cannot be copied or pickled")

    def __repr__(self) -> str:
        state = "owned" if self._handle.owned else "borrowed"
        return f"<{type(self).__name__} {state}>"


def lifter(ty: Any, classes: Classes) -> Convert | None:
    """Turns a lifted value's handles into objects; None when there is nothing to turn. Records change in place, they are fresh."""
    match ty:
        case spec.OwnType() | spec.BorrowType():
            cls = classes.get(ty.ty)
            return None if cls is None else _wrap(cls)
        case spec.ListType():
            element = lifter(ty.element, classes)
            return None if element is None else lambda value: [element(item) for item in value]
        case spec.MapType():
            of_value = lifter(ty.value, classes)
            return None if of_value is None else lambda value: {k: of_value(v) for k, v in value.items()}
        case spec.TupleType():
            return _tuple([lifter(t, classes) for t in ty.elements])
        case spec.RecordType():
            return _record([(name.replace("-", "_"), lifter(t, classes)) for name, t in ty.fields])
        case spec.OptionType():
            return _variant(ty, {"some": lifter(ty.payload, classes)}, ("none", "some"))
        case spec.ResultType():
            cases = {"ok": lifter(ty.ok, classes), "err": lifter(ty.err, classes)}
            return _variant(ty, cases, ("ok", "err"))
        case spec.VariantType():
            return _variant(ty, {n: lifter(t, classes) for n, t in ty.cases}, tuple(n for n, _ in ty.cases))
    return None


def _wrap(cls: type[GuestResource]) -> Convert:
    def wrap(handle: Any) -> Any:
        made = cls.__new__(cls)
        made._handle = handle
        return made

    return wrap


def _tuple(elements: list[Convert | None]) -> Convert | None:
    if not any(elements):
        return None
    return lambda value: tuple(v if f is None else f(v) for f, v in zip(elements, value, strict=True))


def _record(fields: list[tuple[str, Convert | None]]) -> Convert | None:
    converted = [(name, f) for name, f in fields if f is not None]
    if not converted:
        return None

    def convert(value: Any) -> Any:
        for name, f in converted:
            setattr(value, name, f(getattr(value, name)))
        return value

    return convert


def _variant(
    ty: spec.VariantType | spec.OptionType | spec.ResultType, cases: dict[str, Convert | None], names: tuple[str, ...]
) -> Convert | None:
    if not any(cases.values()):
        return None
    classes = case_classes(ty)
    if classes is None:

        def tagged(value: Any) -> Any:
            f = cases.get(value.tag)
            return value if f is None else Variant(value.tag, f(value.payload))

        return tagged
    table = [(classes[i], cases[name]) for i, name in enumerate(names) if cases.get(name) is not None]

    def bare(value: Any) -> Any:
        for accepted, f in table:
            if f is not None and is_one(value, accepted):
                return f(value)
        return value

    return bare


def lowerer(ty: Any) -> Convert | None:
    """Turns objects of resource classes in an argument of this type into their handles; None for a type without resources.

    What is not of the type's shape passes as it is: lowering says what is wrong with it.
    """
    match ty:
        case spec.OwnType() | spec.BorrowType():
            return lambda value: value._handle if isinstance(value, GuestResource) else value
        case spec.ListType():
            element = lowerer(ty.element)
            return None if element is None else lambda value: [element(v) for v in value] if isinstance(value, (list, tuple)) else value
        case spec.MapType():
            of_value = lowerer(ty.value)
            return None if of_value is None else lambda value: {k: of_value(v) for k, v in value.items()} if isinstance(value, Mapping) else value
        case spec.TupleType():
            elements = [lowerer(t) for t in ty.elements]
            if not any(elements):
                return None
            return lambda value: (
                tuple(v if f is None else f(v) for f, v in zip(elements, value, strict=True))
                if isinstance(value, (list, tuple)) and len(value) == len(elements)
                else value
            )
        case spec.RecordType():
            fields = [(name, name.replace("-", "_"), lowerer(t)) for name, t in ty.fields]
            return _record_lowerer(fields) if any(f for _, _, f in fields) else None
        case spec.OptionType():
            payload = lowerer(ty.payload)
            if payload is None:
                return None
            if case_classes(ty) is None:
                return lambda value: Variant(value.tag, payload(value.payload)) if isinstance(value, Variant) and value.tag == "some" else value
            return lambda value: None if value is None else payload(value)
        case spec.ResultType():
            return _variant_lowerer({"ok": lowerer(ty.ok), "err": lowerer(ty.err)})
        case spec.VariantType():
            return _variant_lowerer({name: lowerer(t) for name, t in ty.cases})
    return None


def _record_lowerer(fields: list[tuple[str, str, Convert | None]]) -> Convert:
    def convert(value: Any) -> Any:
        made = {}
        for name, attribute, f in fields:
            if isinstance(value, Mapping):
                found = value.get(name, value.get(attribute, _MISSING))
            else:
                found = getattr(value, attribute, getattr(value, name, _MISSING))
            if found is _MISSING:
                continue  # lowering says so
            made[name] = found if f is None else f(found)
        return made or value

    return convert


def _variant_lowerer(cases: dict[str, Convert | None]) -> Convert | None:
    if not any(cases.values()):
        return None

    def convert(value: Any) -> Any:
        if isinstance(value, Variant):
            f = cases.get(value.tag)
            return value if f is None else Variant(value.tag, f(value.payload))
        return to_handles(value)  # which case it is shows in the payload's class, and only lowering knows

    return convert


def to_handles(value: Any) -> Any:
    """An argument with objects of resource classes in it, as the handles that lowering takes."""
    if isinstance(value, GuestResource):
        return value._handle
    if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
        return type(value)(map(to_handles, value))
    if isinstance(value, Mapping):
        return {key: to_handles(item) for key, item in value.items()}
    if isinstance(value, Variant):
        return Variant(value.tag, to_handles(value.payload))
    if isinstance(value, Record):
        return {name: to_handles(item) for name, item in value._items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_handles(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return {name: to_handles(getattr(value, name)) for name in value._fields}  # type: ignore[attr-defined]
    return value
