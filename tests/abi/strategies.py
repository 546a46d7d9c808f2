"""Hypothesis strategies: component types, and values of a type in the oracle's plain form."""

from __future__ import annotations

import struct
from typing import Any

from hypothesis import strategies as st

from wasmrt.spec import types as t

PRIMITIVES = [ty for ty in t.PRIMITIVES if not isinstance(ty, t.ErrorContext)]

KEYS = [t.Bool(), t.S8(), t.U32(), t.S64(), t.Char(), t.String()]

_RANGES: dict[type, tuple[int, int]] = {
    t.S8: (-(1 << 7), (1 << 7) - 1),
    t.U8: (0, (1 << 8) - 1),
    t.S16: (-(1 << 15), (1 << 15) - 1),
    t.U16: (0, (1 << 16) - 1),
    t.S32: (-(1 << 31), (1 << 31) - 1),
    t.U32: (0, (1 << 32) - 1),
    t.S64: (-(1 << 63), (1 << 63) - 1),
    t.U64: (0, (1 << 64) - 1),
}

_labels = st.lists(
    st.from_regex(r"[a-z][a-z0-9]{0,3}(-[a-z][a-z0-9]{0,3})?", fullmatch=True), min_size=1, max_size=20, unique=True
)


def _compound(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    optional = st.none() | inner
    names = st.lists(st.sampled_from([f"f-{c}" for c in "abcdefghijklmnopqrs"]), min_size=1, max_size=6, unique=True)
    return st.one_of(
        st.builds(t.ListType, inner),
        st.builds(t.ListType, inner, st.integers(1, 4)),
        names.flatmap(lambda ns: st.tuples(*[st.tuples(st.just(n), inner) for n in ns])).map(t.RecordType),
        st.lists(inner, min_size=1, max_size=5).map(lambda es: t.TupleType(tuple(es))),
        names.flatmap(lambda ns: st.tuples(*[st.tuples(st.just(n), optional) for n in ns])).map(t.VariantType),
        _labels.map(lambda ns: t.EnumType(tuple(ns))),
        _labels.map(lambda ns: t.FlagsType(tuple(ns))),
        st.builds(t.MapType, st.sampled_from(KEYS), inner),
        st.builds(t.OptionType, inner),
        st.builds(t.ResultType, optional, optional),
    )


types = st.recursive(st.sampled_from(PRIMITIVES), _compound, max_leaves=10)


def values(ty: Any) -> st.SearchStrategy[Any]:
    match ty:
        case t.Bool():
            return st.booleans()
        case t.F32():
            return st.floats(width=32, allow_nan=False)
        case t.F64():
            return st.floats(allow_nan=False)
        case t.Char():
            return st.characters(exclude_categories=("Cs",))
        case t.String():
            ascii_text = st.text(st.characters(max_codepoint=127), max_size=20)
            latin = st.text(st.characters(max_codepoint=255), max_size=20)
            return st.one_of(ascii_text, latin, st.text(st.characters(exclude_categories=("Cs",)), max_size=20))
        case t.ListType():
            size = {"max_size": 5} if ty.length is None else {"min_size": ty.length, "max_size": ty.length}
            return st.lists(values(ty.element), **size)
        case t.MapType():
            # pairs as the list that a map is; their keys differ
            pair = st.fixed_dictionaries({"0": values(ty.key), "1": values(ty.value)})
            return st.lists(pair, max_size=4, unique_by=lambda pair: pair["0"])
        case t.RecordType():
            return st.fixed_dictionaries({n: values(f) for n, f in ty.fields})
        case t.TupleType():
            return st.tuples(*map(values, ty.elements)).map(lambda v: {str(i): e for i, e in enumerate(v)})
        case t.VariantType():
            cases: Any = ty.cases
        case t.OptionType():
            cases = (("none", None), ("some", ty.payload))
        case t.ResultType():
            cases = (("ok", ty.ok), ("err", ty.err))
        case t.EnumType():
            return st.sampled_from(ty.names).map(lambda n: (n, None))
        case t.FlagsType():
            return st.sets(st.sampled_from(ty.names))
        case _:
            return st.integers(*_RANGES[type(ty)])
    return st.one_of([st.just((n, None)) if p is None else values(p).map(lambda v, n=n: (n, v)) for n, p in cases])


def float32(value: float) -> float:
    return float(struct.unpack("<f", struct.pack("<f", value))[0])
