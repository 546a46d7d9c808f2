"""Flattening of component types to core signatures (the Canonical ABI's "Flattening").

Only what both validation (the type of a lifted or lowered core function) and the ABI room need. A flat list is cut
off after MAX_FLAT_PARAMS + 1 values: nobody asks for more than "does it fit", and a fixed-length list could claim
millions.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from . import types as t
from .core_types import VALTYPE_F32, VALTYPE_F64, VALTYPE_I32, VALTYPE_I64, CoreFuncType

MAX_FLAT_PARAMS = 16
MAX_FLAT_ASYNC_PARAMS = 4
MAX_FLAT_RESULTS = 1

_CUT = MAX_FLAT_PARAMS + 1

_SCALARS: dict[type, int] = {
    t.Bool: VALTYPE_I32,
    t.U8: VALTYPE_I32,
    t.U16: VALTYPE_I32,
    t.U32: VALTYPE_I32,
    t.S8: VALTYPE_I32,
    t.S16: VALTYPE_I32,
    t.S32: VALTYPE_I32,
    t.Char: VALTYPE_I32,
    t.U64: VALTYPE_I64,
    t.S64: VALTYPE_I64,
    t.F32: VALTYPE_F32,
    t.F64: VALTYPE_F64,
    t.ErrorContext: VALTYPE_I32,
    t.EnumType: VALTYPE_I32,
    t.FlagsType: VALTYPE_I32,
    t.OwnType: VALTYPE_I32,
    t.BorrowType: VALTYPE_I32,
    t.StreamType: VALTYPE_I32,
    t.FutureType: VALTYPE_I32,
}


class Flattener:
    """Flattens types, each distinct one once. `pointer` is the memory's index type."""

    def __init__(self, pointer: int = VALTYPE_I32) -> None:
        self.pointer = pointer
        self._memo: dict[t.AnyValType, tuple[int, ...]] = {}

    def type(self, ty: t.AnyValType) -> tuple[int, ...]:
        """The flat core types of one value type, at most MAX_FLAT_PARAMS + 1 of them."""
        scalar = _SCALARS.get(type(ty))
        if scalar is not None:
            return (scalar,)
        flat = self._memo.get(ty)
        if flat is None:
            flat = self._memo[ty] = self._compound(ty)
        return flat

    def types(self, tys: Iterable[t.AnyValType]) -> tuple[int, ...]:
        """The concatenated flat core types of several, cut off likewise."""
        flat: list[int] = []
        for ty in tys:
            flat += self.type(ty)
            if len(flat) >= _CUT:
                break
        return tuple(flat[:_CUT])

    def _compound(self, ty: t.AnyValType) -> tuple[int, ...]:
        match ty:
            case t.ListType(length=int() as length):
                return (self.type(ty.element) * min(length, _CUT))[:_CUT]
            case t.String() | t.ListType() | t.MapType():
                return (self.pointer, self.pointer)
            case t.RecordType():
                return self.types(field for _, field in ty.fields)
            case t.TupleType():
                return self.types(ty.elements)
            case t.VariantType():
                return self._variant(payload for _, payload in ty.cases)
            case t.OptionType():
                return self._variant((None, ty.payload))
            case t.ResultType():
                return self._variant((ty.ok, ty.err))
        raise AssertionError(f"not a value type: {ty!r}")

    def _variant(self, payloads: Iterable[t.AnyValType | None]) -> tuple[int, ...]:
        joined: list[int] = []
        for payload in payloads:
            if payload is None:
                continue
            flat = self.type(payload)
            for i, word in enumerate(flat[: len(joined)]):
                joined[i] = join(joined[i], word)
            joined += flat[len(joined) :]
        return (VALTYPE_I32, *joined)[:_CUT]


def join(a: int, b: int) -> int:
    """The core type that carries either of two."""
    if a == b:
        return a
    return VALTYPE_I32 if {a, b} == {VALTYPE_I32, VALTYPE_F32} else VALTYPE_I64


def flatten_functype(
    ft: t.FuncType,
    context: Literal["lift", "lower"],
    *,
    async_: bool = False,
    callback: bool = False,
    flattener: Flattener | None = None,
) -> CoreFuncType:
    """The core signature of `canon lift` (what the guest's function must have) or `canon lower` (what it yields)."""
    flattener = flattener or Flattener()
    pointer = flattener.pointer
    params = flattener.types(ty for _, ty in ft.params)
    results = () if ft.result is None else flattener.type(ft.result)
    max_params = MAX_FLAT_ASYNC_PARAMS if async_ and context == "lower" else MAX_FLAT_PARAMS
    if len(params) > max_params:
        params = (pointer,)
    if async_ and context == "lift":
        return CoreFuncType(params, (VALTYPE_I32,) if callback else ())
    if async_:
        return CoreFuncType((*params, pointer) if results else params, (VALTYPE_I32,))
    if len(results) > MAX_FLAT_RESULTS:
        if context == "lift":
            return CoreFuncType(params, (pointer,))
        return CoreFuncType((*params, pointer), ())
    return CoreFuncType(params, results)
