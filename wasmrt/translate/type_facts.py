"""What adapters ask about value types, answered once for each: types are DAGs, and walking their trees would be without limit."""

from __future__ import annotations

from collections.abc import Callable

from wasmrt.spec import types as t
from wasmrt.spec.flatten import MAX_FLAT_PARAMS
from wasmrt.spec.layout import Layouts, flags_size, record_fields, variant_cases

_PLAIN = (t.U8, t.S8, t.U16, t.S16, t.U32, t.S32, t.U64, t.S64, t.F32, t.F64)
_ASYNC = (t.StreamType, t.FutureType, t.ErrorContext)
_LEAVES = (*_PLAIN, *_ASYNC, t.Bool, t.Char, t.String, t.OwnType, t.BorrowType, t.EnumType, t.FlagsType, t.MapType)


class TypeFacts:
    """What is asked about value types again and again, answered once for each; shared by the adapters of a component."""

    def __init__(self) -> None:
        self.layouts = Layouts()
        self._weights: dict[t.AnyValType, int] = {}
        self._plain: dict[t.AnyValType, bool] = {}
        self._holds: dict[tuple[str, t.AnyValType], bool] = {}
        self.code_bytes = 0  # of all modules so far, against limits.COMPONENT_ADAPTER_BYTES

    def weight(self, ty: t.AnyValType) -> int:
        """How many parts the code for a value has when all of it is written in place, lists and strings being one."""
        if isinstance(ty, _LEAVES):
            return 1
        found = self._weights.get(ty)
        if found is None:
            match ty:
                case t.ListType():
                    found = 1 if ty.length is None else 1 + self.weight(ty.element) * min(ty.length, MAX_FLAT_PARAMS)
                case _:
                    found = 1 + sum(map(self.weight, dict.fromkeys(_parts(ty))))
            found = self._weights[ty] = min(found, 1 << 20)
        return found

    def plain(self, ty: t.AnyValType) -> bool:
        """Whether every pattern of bits in memory is a value that lowers to the same bits."""
        if isinstance(ty, _PLAIN):
            return True
        found = self._plain.get(ty)
        if found is None:
            match ty:
                case t.FlagsType():
                    found = len(ty.names) == 8 * flags_size(len(ty.names))
                case t.ListType():
                    found = ty.length is not None and self.plain(ty.element)
                case t.RecordType() | t.TupleType():
                    found = all(map(self.plain, record_fields(ty)))
                case _:
                    found = False
            self._plain[ty] = found
        return found

    def allocates(self, ty: t.AnyValType) -> bool:
        """Whether lowering a value calls realloc."""

        def test(part: t.AnyValType) -> bool:
            return isinstance(part, (t.String, t.MapType)) or (isinstance(part, t.ListType) and part.length is None)

        return self._any("allocates", ty, test)

    def borrows(self, ty: t.AnyValType) -> bool:
        return self._any("borrows", ty, lambda part: isinstance(part, t.BorrowType))

    def asynchronous(self, ty: t.AnyValType) -> bool:
        """Whether a stream, future or error context is passed."""
        return self._any("asynchronous", ty, lambda part: isinstance(part, _ASYNC))

    def _any(self, name: str, ty: t.AnyValType, test: Callable[[t.AnyValType], bool]) -> bool:
        key = (name, ty)
        found = self._holds.get(key)
        if found is None:
            found = self._holds[key] = test(ty) or any(self._any(name, part, test) for part in _parts(ty))
        return found


def _parts(ty: t.AnyValType) -> tuple[t.AnyValType, ...]:
    """The types that a value's parts have."""
    match ty:
        case t.ListType():
            return (ty.element,)
        case t.MapType():
            return (ty.key, ty.value)
        case t.RecordType() | t.TupleType():
            return record_fields(ty)
        case t.VariantType() | t.OptionType() | t.ResultType():
            return tuple(payload for _, payload in variant_cases(ty) if payload is not None)
    return ()
