"""Layouts and plans against the oracle, and the numbers that the specification's text fixes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from tests.abi import oracle
from tests.abi.strategies import types
from wasmrt.abi.plan import ALLOCATES, NO_NODE, RESOURCES, compile_func
from wasmrt.errors import LimitError, UnsupportedError
from wasmrt.spec import types as t
from wasmrt.spec._gen import abi_ops as ops
from wasmrt.spec.core_types import VALTYPE_F32, VALTYPE_F64, VALTYPE_I32, VALTYPE_I64
from wasmrt.spec.layout import Layouts, discriminant_size

WORDS = {VALTYPE_I32: "i32", VALTYPE_I64: "i64", VALTYPE_F32: "f32", VALTYPE_F64: "f64"}


@given(types)
@settings(max_examples=100, deadline=None)
def test_layout_agrees_with_the_oracle(ty: t.AnyValType) -> None:
    layouts = Layouts()
    assert layouts.of(ty) == (oracle.elem_size(ty), oracle.alignment(ty))
    assert [WORDS[w] for w in layouts.flatten(ty)] == oracle.flatten(ty)[:17]


@given(types)
@settings(max_examples=100, deadline=None)
def test_plan_nodes_have_the_oracles_sizes(ty: t.AnyValType) -> None:
    rows = compile_func(t.FuncType((("a", ty), ("b", t.U8())), ty))
    root = rows.nodes[rows.result]
    assert (root.size, root.align, root.flat) == (
        oracle.elem_size(ty),
        oracle.alignment(ty),
        min(len(oracle.flatten(ty)), 17),
    )
    both = t.TupleType((ty, t.U8()))
    assert (rows.params_size, rows.params_align) == (oracle.elem_size(both), oracle.alignment(both))
    for index, row in enumerate(rows.nodes):
        for field in rows.fields[row.first : row.first + row.num_fields]:
            assert field.node < index or field.node == NO_NODE


@pytest.mark.parametrize(("cases", "size"), [(1, 1), (256, 1), (257, 2), (65536, 2), (65537, 4)])
def test_discriminants(cases: int, size: int) -> None:
    assert discriminant_size(cases) == size


def test_flags_sizes() -> None:
    for count, size in ((1, 1), (8, 1), (9, 2), (16, 2), (17, 4), (32, 4)):
        assert Layouts().of(t.FlagsType(tuple(f"f{i}" for i in range(count)))) == (size, size)
    with pytest.raises(UnsupportedError):
        Layouts().of(t.FlagsType(tuple(f"f{i}" for i in range(33))))


def test_too_large_a_value_is_an_error() -> None:
    ty: t.AnyValType = t.U8()
    for _ in range(6):
        ty = t.ListType(ty, 256)
    with pytest.raises(LimitError, match="bytes"):
        Layouts().of(ty)


def bare(ty: t.AnyValType) -> bool:
    rows = compile_func(t.FuncType((("a", ty),)))
    return rows.nodes[rows.fields[rows.first_param].node].op != ops.ABI_OP_VARIANT


def test_variants_are_bare_when_their_cases_have_disjoint_kinds() -> None:
    u8, u32, f32, string = t.U8(), t.U32(), t.F32(), t.String()
    assert bare(t.OptionType(u32))
    assert not bare(t.OptionType(t.OptionType(u32)))
    assert bare(t.ResultType(u32, f32))
    assert not bare(t.ResultType(u32, u8))
    assert not bare(t.ResultType())
    assert bare(t.ResultType(None, string))
    assert bare(t.VariantType((("a", u32), ("b", t.Bool()))))
    assert not bare(t.VariantType((("a", string), ("b", t.Char()))))
    assert not bare(t.VariantType((("a", string), ("b", t.EnumType(("x",))))))
    assert bare(t.VariantType((("a", t.ListType(u8)), ("b", t.ListType(u32)))))
    assert not bare(t.VariantType((("a", t.OwnType(0)), ("b", t.BorrowType(1)))))
    record = t.RecordType((("x", u32),))
    assert bare(t.VariantType((("a", record), ("b", t.TupleType((u32,))))))
    assert bare(t.OptionType(t.ResultType(u32, u32)))
    assert not bare(t.ResultType(t.OptionType(u32), t.OptionType(string)))


def test_flags_are_inherited() -> None:
    ty = t.RecordType((("a", t.OptionType(t.TupleType((t.OwnType(3), t.U8())))), ("b", t.U8())))
    rows = compile_func(t.FuncType((("a", ty), ("s", t.ListType(t.U8())))))
    assert rows.params_flags == ALLOCATES | RESOURCES
    assert rows.nodes[rows.fields[rows.first_param].node].flags == RESOURCES


@pytest.mark.parametrize("ty", [t.StreamType(t.U8()), t.FutureType(), t.ErrorContext()], ids=str)
def test_ends_of_channels_are_handles(ty: t.AnyValType) -> None:
    rows = compile_func(t.FuncType((("a", ty),), None, True))
    node = rows.nodes[rows.fields[rows.first_param].node]
    assert (node.op, node.flags, rows.params_flat, rows.params_size) == (ops.ABI_OP_CHANNEL, RESOURCES, 1, 4)


def test_a_guest_that_calls_with_the_option_async_passes_four_parameters_and_a_place_for_the_result() -> None:
    ty = t.FuncType(tuple((name, t.U32()) for name in "abcde"), t.U32())
    assert not compile_func(ty).params_spill and not compile_func(ty).result_spills
    lowered = compile_func(ty, async_lower=True)
    assert lowered.params_spill and lowered.result_spills
