"""Layouts of component types: alignment, size, discriminants, field offsets, flat core types.

The verbs are the specification's (canonical ABI: despecialize, alignment, elem_size, flatten). A `Layouts` answers for
one pointer size and remembers what it computed, since types share their parts. Sizes are bounded by MAX_VALUE_SIZE:
validation refuses larger types, and a plan never holds one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from wasmrt.errors import LimitError, UnsupportedError

from . import types as t
from .core_types import VALTYPE_I32, VALTYPE_I64
from .flatten import Flattener

MAX_VALUE_SIZE = (1 << 28) - 1

_SCALARS: dict[type, int] = {
    t.Bool: 1,
    t.S8: 1,
    t.U8: 1,
    t.S16: 2,
    t.U16: 2,
    t.S32: 4,
    t.U32: 4,
    t.S64: 8,
    t.U64: 8,
    t.F32: 4,
    t.F64: 8,
    t.Char: 4,
    t.OwnType: 4,
    t.BorrowType: 4,
    t.StreamType: 4,
    t.FutureType: 4,
    t.ErrorContext: 4,
}


class SizeAlign(NamedTuple):
    size: int
    align: int


class VariantLayout(NamedTuple):
    """`cases` are payload types; the payload starts at `payload_offset`, whatever the case."""

    size: int
    align: int
    discriminant_size: int
    payload_offset: int
    cases: tuple[tuple[str, t.AnyValType | None], ...]


class RecordLayout(NamedTuple):
    size: int
    align: int
    offsets: tuple[int, ...]


def align_to(offset: int, align: int) -> int:
    return (offset + align - 1) // align * align


def discriminant_size(num_cases: int) -> int:
    """Bytes of the smallest unsigned integer that numbers this many cases."""
    return 1 if num_cases <= 1 << 8 else 2 if num_cases <= 1 << 16 else 4


def flags_size(num_labels: int) -> int:
    return 1 if num_labels <= 8 else 2 if num_labels <= 16 else 4


def variant_cases(ty: t.AnyValType) -> tuple[tuple[str, t.AnyValType | None], ...]:
    """The cases of a variant, or of what is a variant once despecialized (enum, option, result)."""
    match ty:
        case t.VariantType():
            return ty.cases
        case t.EnumType():
            return tuple((name, None) for name in ty.names)
        case t.OptionType():
            return (("none", None), ("some", ty.payload))
        case t.ResultType():
            return (("ok", ty.ok), ("err", ty.err))
    raise AssertionError(f"no variant: {ty}")


def record_fields(ty: t.AnyValType) -> tuple[t.AnyValType, ...]:
    """The field types of a record or tuple."""
    if isinstance(ty, t.RecordType):
        return tuple(field for _, field in ty.fields)
    assert isinstance(ty, t.TupleType)
    return ty.elements


class Layouts:
    """Layouts for memories whose pointers have `pointer_size` bytes."""

    def __init__(self, pointer_size: int = 4) -> None:
        self.pointer_size = pointer_size
        self._flattener = Flattener(VALTYPE_I64 if pointer_size == 8 else VALTYPE_I32)
        self._memo: dict[t.AnyValType, SizeAlign] = {}

    def elem_size(self, ty: t.AnyValType) -> int:
        return self.of(ty).size

    def alignment(self, ty: t.AnyValType) -> int:
        return self.of(ty).align

    def flatten(self, ty: t.AnyValType) -> tuple[int, ...]:
        """Flat core types, cut off after MAX_FLAT_PARAMS + 1."""
        return self._flattener.type(ty)

    def flatten_all(self, types: Iterable[t.AnyValType]) -> tuple[int, ...]:
        """Of consecutive values, cut off likewise."""
        return self._flattener.types(types)

    def of(self, ty: t.AnyValType) -> SizeAlign:
        scalar = _SCALARS.get(type(ty))
        if scalar is not None:
            return SizeAlign(scalar, scalar)
        found = self._memo.get(ty)
        if found is None:
            found = self._memo[ty] = self._compound(ty)
        return found

    def _compound(self, ty: t.AnyValType) -> SizeAlign:
        match ty:
            case t.ListType(length=int() as length):
                element = self.of(ty.element)
                return _bounded(ty, element.size * length, element.align)
            case t.String() | t.ListType() | t.MapType():
                return SizeAlign(2 * self.pointer_size, self.pointer_size)
            case t.RecordType() | t.TupleType():
                size, align, _ = self.record(record_fields(ty))
                return _bounded(ty, size, align)
            case t.VariantType() | t.OptionType() | t.ResultType() | t.EnumType():
                variant = self.variant(ty)
                return _bounded(ty, variant.size, variant.align)
            case t.FlagsType():
                if not 0 < len(ty.names) <= 32:
                    raise UnsupportedError(f"flags with {len(ty.names)} labels", expected="1 to 32")
                size = flags_size(len(ty.names))
                return SizeAlign(size, size)
        raise AssertionError(f"not a value type: {ty!r}")

    def record(self, fields: tuple[t.AnyValType, ...]) -> RecordLayout:
        """Layout of consecutive fields: a record, a tuple, or spilled parameters."""
        offset, align, offsets = 0, 1, []
        for field in fields:
            part = self.of(field)
            offset = align_to(offset, part.align)
            offsets.append(offset)
            offset += part.size
            align = max(align, part.align)
        return RecordLayout(align_to(offset, align), align, tuple(offsets))

    def variant(self, ty: t.AnyValType) -> VariantLayout:
        cases = variant_cases(ty)
        discriminant = discriminant_size(len(cases))
        payloads = [self.of(payload) for _, payload in cases if payload is not None]
        payload_align = max((part.align for part in payloads), default=1)
        align = max(discriminant, payload_align)
        offset = align_to(discriminant, payload_align)
        size = align_to(offset + max((part.size for part in payloads), default=0), align)
        return VariantLayout(size, align, discriminant, offset, cases)


def _bounded(ty: t.AnyValType, size: int, align: int) -> SizeAlign:
    if size > MAX_VALUE_SIZE:
        raise LimitError(f"a value of type `{str(ty)[:80]}` has {size} bytes", expected=f"at most {MAX_VALUE_SIZE}")
    return SizeAlign(size, align)
