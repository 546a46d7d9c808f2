"""Whether the annotations of a Python function fit the WIT type of what it serves.

Only what is certainly wrong is reported: an annotation that no value of the WIT type has (a parameter), or none of whose values the WIT type takes (a
result). What cannot be resolved, type variables, protocols and classes of the program's own in the place of records say nothing. Which Python values a
type lifts to and takes is read off its plan (include/wasmrt/abi.def), so there is no second list of that.
"""

from __future__ import annotations

import collections.abc
import inspect
import types as python_types
import typing
from collections.abc import Callable, Mapping
from typing import Any

from wasmrt._native.abi import Record, Resource, Variant
from wasmrt.abi.plan import compile_func
from wasmrt.spec import types as spec
from wasmrt.spec._gen import abi_ops as ops

from .values import ResourceType

_KINDS: dict[str, type] = {
    "NONE": type(None),
    "BOOL": bool,
    "INT": int,
    "OTHER_INT": int,
    "FLOAT": float,
    "OTHER_FLOAT": float,
    "STR": str,
    "BYTES": bytes,
    "LIST": list,
    "TUPLE": tuple,
    "SET": set,
    "FROZENSET": frozenset,
    "DICT": dict,
    "RECORD": Record,
    "VARIANT": Variant,
    "RESOURCE": Resource,
}
# Values of these are never an object with attributes of the program's own.
_PLAIN = (bool, int, float, complex, str, bytes, bytearray, memoryview, list, tuple, set, frozenset, type(None))


def problem(function: Callable[..., Any], signature: inspect.Signature, ty: spec.FuncType, skip: int, is_constructor: bool) -> str | None:
    """What of the annotations contradicts `ty`, whose resources are ResourceType where they are known; `skip` leading parameters are not WIT's."""
    hints = _hints(function, is_constructor)
    if not hints:
        return None
    bound = signature.bind(*range(skip + len(ty.params)))
    for name, index in bound.arguments.items():
        if not isinstance(index, int) or index < skip or name not in hints:
            continue
        label, param = ty.params[index - skip]
        if not _Fit(False).fits(param, hints[name]):
            return f"parameter `{label}` is {param}, the object has it as {_text(hints[name])}"
    if "return" in hints and not is_constructor:
        result = ty.result.ok if isinstance(ty.result, spec.ResultType) else ty.result
        given = hints["return"]
        fits = given in (None, type(None)) or not isinstance(given, type) if result is None else _Fit(True).fits(result, given)
        if not fits:
            return f"its result is {'nothing' if result is None else result}, the object returns {_text(given)}"
    return None


def _hints(function: Callable[..., Any], is_constructor: bool) -> dict[str, Any]:
    target: Any = function.__init__ if is_constructor and isinstance(function, type) else inspect.unwrap(function)  # type: ignore[misc]
    if not inspect.isroutine(target) and not isinstance(target, type):
        target = type(target).__call__
    try:
        return typing.get_type_hints(target)
    except Exception:  # a name that only a type checker knows, or whatever evaluating an annotation raises
        return {}


def _text(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) and not typing.get_args(annotation) else str(annotation).replace("typing.", "")


class _Fit:
    def __init__(self, returned: bool) -> None:
        self.returned = returned

    def fits(self, ty: spec.AnyValType, annotation: Any) -> bool:
        """Whether a value of the type can be one of the annotation's, or the other way round."""
        if annotation is None:
            annotation = type(None)
        if isinstance(annotation, typing.NewType):
            return self.fits(ty, annotation.__supertype__)
        origin, args = typing.get_origin(annotation), typing.get_args(annotation)
        if origin is typing.Annotated:
            return self.fits(ty, args[0])
        if origin is typing.Literal:
            return any(self.fits(ty, type(value)) for value in args)
        if origin in (typing.Union, python_types.UnionType):
            some = [arg for arg in args if arg is not type(None)]
            if isinstance(ty, spec.OptionType) and 0 < len(some) < len(args):  # None is fine, so the rest decides
                return any(self.fits(ty, arg) for arg in some)
            return any(self.fits(ty, arg) for arg in args)
        cls = annotation if origin is None else origin
        if cls is Any or not isinstance(cls, type) or cls is object or getattr(cls, "_is_protocol", False):
            return True
        return self._fits_class(ty, cls) and self._fits_parts(ty, cls, args)

    def _fits_class(self, ty: spec.AnyValType, cls: type) -> bool:
        match ty:
            case spec.OwnType() | spec.BorrowType():
                resource = ty.ty
                if isinstance(resource, ResourceType):
                    return _related(cls, resource.key if isinstance(resource.key, type) else Resource)
                return cls not in _PLAIN
            case spec.RecordType():
                return cls not in _PLAIN
            case spec.VariantType() | spec.OptionType() | spec.ResultType():
                row = _row(ty)
                if row.op == ops.ABI_OP_VARIANT:
                    return _related(cls, Variant)
                cases: tuple[spec.AnyValType | None, ...]
                if isinstance(ty, spec.OptionType):
                    cases = (None, ty.payload)
                else:
                    cases = (ty.ok, ty.err) if isinstance(ty, spec.ResultType) else tuple(payload for _, payload in ty.cases)
                return any(_related(cls, type(None)) if case is None else self._fits_class(case, cls) for case in cases)
        row = _row(ty)
        kinds = row.exact | row.loose if self.returned else row.exact
        return any(self._has(cls, kind.name) for index, kind in enumerate(ops.ABI_KIND) if kinds >> index & 1)

    def _has(self, cls: type, kind: str) -> bool:
        """Whether a value of that kind can be an instance of the class."""
        if kind == "BUFFER":
            return cls not in _PLAIN or cls in (bytearray, memoryview)
        one = _KINDS.get(kind)
        if one is None:
            return False
        if not self.returned:  # an int goes where a float is wanted
            return issubclass(one, cls) or (one in (int, float) and issubclass(cls, (float, complex)) and (one is int or cls in (float, complex)))
        if kind == "BOOL":
            return issubclass(cls, bool) or (cls not in _PLAIN and issubclass(bool, cls))
        if kind.startswith("OTHER_"):
            return hasattr(cls, "__index__" if one is int else "__float__")
        return _related(cls, one)

    def _fits_parts(self, ty: spec.AnyValType, cls: type, args: tuple[Any, ...]) -> bool:
        if not args:
            return True
        if isinstance(ty, spec.ListType) and len(args) == 1 and issubclass(cls, collections.abc.Iterable):
            return self.fits(ty.element, args[0])
        if isinstance(ty, spec.TupleType) and cls is tuple:
            if len(args) == 2 and args[1] is Ellipsis:
                return all(self.fits(element, args[0]) for element in ty.elements)
            return len(args) == len(ty.elements) and all(map(self.fits, ty.elements, args))
        if isinstance(ty, spec.MapType) and len(args) == 2 and issubclass(cls, Mapping):
            return self.fits(ty.key, args[0]) and self.fits(ty.value, args[1])
        if isinstance(ty, spec.OptionType):
            return self._fits_parts(ty.payload, cls, args)
        return True


def _related(one: type, other: type) -> bool:
    return issubclass(one, other) or issubclass(other, one)


def _row(ty: spec.AnyValType) -> Any:
    rows = compile_func(spec.FuncType((), spec.substitute_resources(ty, lambda _: 0)))
    return rows.nodes[rows.result]
