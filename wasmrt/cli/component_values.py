"""Component-level values of test scripts as the Python values that functions take and give, and back."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Any

from wasmrt.runtime.values import Record, Variant
from wasmrt.spec import types as t
from wasmrt.text.script import ARITHMETIC_NAN, CANONICAL_NAN, ComponentConst

Cases = list[tuple[str, t.AnyValType | None]]
_CLASSES: dict[type, str] = {
    t.Bool: "bool",
    t.F32: "float",
    t.F64: "float",
    t.Char: "str",
    t.String: "str",
    t.EnumType: "str",
}


def cases_of(ty: t.AnyValType) -> Cases:
    match ty:
        case t.OptionType():
            return [("none", None), ("some", ty.payload)]
        case t.ResultType():
            return [("ok", ty.ok), ("err", ty.err)]
        case t.VariantType():
            return list(ty.cases)
    return []


def python_classes(ty: t.AnyValType | None) -> set[str]:
    """The Python classes that values of a type have; those of a variant that is passed bare are its payloads'."""
    if ty is None:
        return {"none"}
    match ty:
        case t.RecordType():
            return {"record"}
        case t.TupleType():
            return {"tuple"}
        case t.ListType():
            return {"bytes"} if isinstance(ty.element, t.U8) else {"list"}
        case t.FlagsType():
            return {"set"}
        case t.OwnType() | t.BorrowType():
            return {"resource"}
    cases = cases_of(ty)
    if cases:
        return {"variant"} if is_tagged(ty) else set().union(*(python_classes(payload) for _, payload in cases))
    return {_CLASSES.get(type(ty), "int")}


def is_tagged(ty: t.AnyValType) -> bool:
    """Whether values of a variant type are `Variant`s: two cases have a class in common."""
    seen: set[str] = set()
    for _, payload in cases_of(ty):
        classes = python_classes(payload)
        if seen & classes:
            return True
        seen |= classes
    return False


def to_python(ty: t.AnyValType, const: ComponentConst) -> Any:
    """The argument that a constant stands for."""
    value = const.value
    match ty:
        case t.F32() | t.F64():
            return _float(const)
        case t.ListType():
            items = [to_python(ty.element, item) for item in value]
            return bytes(items) if isinstance(ty.element, t.U8) else items
        case t.TupleType():
            return tuple(to_python(item, part) for item, part in zip(ty.elements, value, strict=True))
        case t.RecordType():
            given = dict(value)
            return {name: to_python(field, given[name]) for name, field in ty.fields}
        case t.FlagsType():
            return set(value)
    cases = cases_of(ty)
    if not cases:
        return value
    tag, part = value
    payload_type = dict(cases)[tag]
    payload = None if part is None or payload_type is None else to_python(payload_type, part)
    return Variant(tag, payload) if is_tagged(ty) else payload


def _float(const: ComponentConst) -> float:
    if not isinstance(const.value, int):
        return math.nan
    code = "<If" if const.kind == "f32" else "<Qd"
    return float(struct.unpack("<" + code[2], struct.pack("<" + code[1], const.value))[0])


def matches(ty: t.AnyValType, const: ComponentConst, actual: Any) -> bool:
    """Whether a result is what a constant stands for."""
    value = const.value
    match ty:
        case t.F32() | t.F64():
            return _float_matches(const, actual)
        case t.ListType():
            return len(actual) == len(value) and all(
                matches(ty.element, item, part) for item, part in zip(value, actual, strict=True)
            )
        case t.TupleType():
            parts: Sequence[Any] = actual
            return len(parts) == len(value) == len(ty.elements) and all(map(matches, ty.elements, value, parts))
        case t.RecordType():
            given = dict(value)
            return isinstance(actual, Record) and all(
                name in given and matches(field, given[name], getattr(actual, name)) for name, field in ty.fields
            )
        case t.FlagsType():
            return set(actual) == set(value)
    cases = cases_of(ty)
    if not cases:
        return bool(actual == value and isinstance(actual, bool) == isinstance(value, bool))
    tag, part = value
    if is_tagged(ty):
        if not isinstance(actual, Variant) or actual.tag != tag:
            return False
        actual = actual.payload
    payload_type = dict(cases).get(tag)
    if part is None or payload_type is None:
        return actual is None
    return actual is not None and matches(payload_type, part, actual)


def _float_matches(const: ComponentConst, actual: float) -> bool:
    if const.value in (CANONICAL_NAN, ARITHMETIC_NAN):
        return math.isnan(actual)
    wanted = _float(const)
    if math.isnan(wanted):
        return math.isnan(actual)
    return actual == wanted and math.copysign(1, actual) == math.copysign(1, wanted)
