"""Plans against the oracle: what is lowered, allocated, lifted; what is refused, and in which words."""

from __future__ import annotations

import array
import collections
import dataclasses
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.abi import oracle
from tests.abi.strategies import types, values
from wasmrt import errors
from wasmrt._native.abi import Plan, Record, Variant
from wasmrt._native.probe import Probe
from wasmrt.abi.plan import compile_func
from wasmrt.spec import types as t
from wasmrt.spec._gen import abi_ops as ops

ENCODINGS = ("utf8", "utf16", "latin1+utf16")


def probe(ty: Any, memory: oracle.Memory | None = None, encoding: str = "utf8", **hooks: Any) -> Probe:
    """A probe of `func(v: ty) -> ty`."""
    memory = memory or oracle.Memory()
    return probe_func(t.FuncType((("v", ty),), ty), memory, encoding, **hooks)


def probe_func(ty: t.FuncType, memory: oracle.Memory, encoding: str = "utf8", **hooks: Any) -> Probe:
    return Probe(Plan(compile_func(ty)), memory.data, memory.allocate, ENCODINGS.index(encoding), **hooks)


def is_tagged(ty: Any) -> bool:
    rows = compile_func(t.FuncType((("a", ty),)))
    return rows.nodes[rows.fields[rows.first_param].node].op == ops.ABI_OP_VARIANT


def to_python(value: Any, ty: Any) -> Any:
    """The Python value of wasmrt's API for an oracle value."""
    match ty:
        case t.ListType():
            items = [to_python(v, ty.element) for v in value]
            return bytes(items) if isinstance(ty.element, t.U8) else items
        case t.MapType():
            return {pair["0"]: to_python(pair["1"], ty.value) for pair in value}
        case t.RecordType():
            record = Record()
            for name, field in ty.fields:
                setattr(record, name, to_python(value[name], field))
            return record
        case t.TupleType():
            return tuple(to_python(value[str(i)], e) for i, e in enumerate(ty.elements))
        case t.EnumType():
            return value[0]
        case t.VariantType() | t.OptionType() | t.ResultType():
            tag, payload = value
            cases = dict(oracle.despecialize(ty).cases) if not isinstance(ty, t.ResultType) else {"ok": ty.ok, "err": ty.err}
            payload = None if cases[tag] is None else to_python(payload, cases[tag])
            return Variant(tag, payload) if is_tagged(ty) else payload
        case t.FlagsType():
            return set(value)
    return value


pairs = types.flatmap(lambda ty: st.tuples(st.just(ty), values(ty)))


@given(pairs, st.sampled_from(ENCODINGS))
@settings(max_examples=150, deadline=None)
def test_lowering_and_lifting_agree_with_the_oracle(pair: Any, encoding: str) -> None:
    ty, value = pair
    mine, theirs = oracle.Memory(), oracle.Memory()
    p = probe(ty, mine, encoding)
    python = to_python(value, ty)
    flat = len(oracle.flatten(ty))
    words = p.lower_params(python)
    if flat > 16:
        at = theirs.allocate(oracle.alignment(t.TupleType((ty,))), oracle.elem_size(t.TupleType((ty,))))
        oracle.store(theirs, value, ty, at, encoding)
        assert words == [at]
    else:
        assert words == oracle.lower_flat(theirs, value, ty, encoding)
    assert mine.calls == theirs.calls
    assert mine.data[: mine.next] == theirs.data[: mine.next]
    assert p.lift_params([w | 0xDEAD << 32 if i32 else w for w, i32 in garbage(words, ty, flat)]) == (python,)


def garbage(words: list[int], ty: Any, flat: int) -> list[tuple[int, bool]]:
    kinds = ["i32"] if flat > 16 else oracle.flatten(ty)
    return [(word, kind in ("i32", "f32")) for word, kind in zip(words, kinds, strict=True)]


@given(pairs, st.sampled_from(ENCODINGS))
@settings(max_examples=100, deadline=None)
def test_results_through_memory_agree_with_the_oracle(pair: Any, encoding: str) -> None:
    ty, value = pair
    mine, theirs = oracle.Memory(), oracle.Memory()
    size, align = oracle.elem_size(ty), oracle.alignment(ty)
    p = probe(ty, mine, encoding)
    python = to_python(value, ty)
    place = 0
    for memory in (mine, theirs):
        memory.next = oracle.up(memory.next, align)
        place = memory.next
        memory.next += size
    if len(oracle.flatten(ty)) > 1:
        assert p.lower_result(python, place) is None
        oracle.store(theirs, value, ty, place, encoding)
        assert mine.calls == theirs.calls
        assert mine.data[: mine.next] == theirs.data[: mine.next]
        assert p.lift_result(place) == python
    else:
        assert p.lift_result(p.lower_result(python)) == python


# ---- scalars ----------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ty", "low", "high"),
    [
        (t.S8(), -(1 << 7), (1 << 7) - 1),
        (t.U8(), 0, (1 << 8) - 1),
        (t.S16(), -(1 << 15), (1 << 15) - 1),
        (t.U16(), 0, (1 << 16) - 1),
        (t.S32(), -(1 << 31), (1 << 31) - 1),
        (t.U32(), 0, (1 << 32) - 1),
        (t.S64(), -(1 << 63), (1 << 63) - 1),
        (t.U64(), 0, (1 << 64) - 1),
    ],
)
def test_integers_are_exact(ty: Any, low: int, high: int) -> None:
    p = probe(ty)
    bits = 64 if high >> 32 or low < -(1 << 31) else 32
    for number in (low, low + 1, 0, 1, high - 1, high):
        assert p.lower_params(number) == [number & ((1 << bits) - 1)]
        assert p.lift_params([number & ((1 << 64) - 1)]) == (number,)
    for number in (low - 1, high + 1, 1 << 64, -(1 << 64), 1 << 200):
        with pytest.raises(OverflowError, match=rf"argument 'v': .*out of range for {ty}"):
            p.lower_params(number)
    assert p.lower_params(True) == [1]
    assert p.lower_params(np.int8(5)) == [5]
    for bad in (1.0, "1", None, b"1", [1]):
        with pytest.raises(TypeError, match=rf"argument 'v': expected {ty}, got {type(bad).__name__}"):
            p.lower_params(bad)


def test_small_integers_truncate_when_lifted() -> None:
    assert probe(t.U8()).lift_params([0x1FF]) == (255,)
    assert probe(t.S8()).lift_params([0x1FF]) == (-1,)
    assert probe(t.S16()).lift_params([0xFFFF8000]) == (-0x8000,)


def test_bool_is_only_bool() -> None:
    p = probe(t.Bool())
    assert p.lower_params(True) == [1] and p.lower_params(False) == [0]
    assert p.lift_params([2]) == (True,) and p.lift_params([1 << 32]) == (False,)
    for bad in (1, 0, None, np.True_, "x"):
        with pytest.raises(TypeError, match="expected bool"):
            p.lower_params(bad)


def test_floats_take_int_and_keep_nan_bits() -> None:
    p = probe(t.F64())
    assert p.lower_params(3) == p.lower_params(3.0) == list(struct.unpack("<Q", struct.pack("<d", 3.0)))
    nan = struct.unpack("<d", struct.pack("<Q", 0x7FF8000000001234))[0]
    assert p.lower_params(nan) == [0x7FF8000000001234]
    assert struct.pack("<d", p.lift_params([0xFFF8000000000001])[0]) == struct.pack("<Q", 0xFFF8000000000001)
    assert p.lower_params(np.float32(0.5)) == p.lower_params(0.5)
    with pytest.raises(OverflowError):
        p.lower_params(10**400)
    for bad in ("1", None, b"", [1.0], 1j, np.zeros(3)):
        with pytest.raises(TypeError, match="expected f64"):
            p.lower_params(bad)
    single = probe(t.F32())
    assert single.lower_params(1e300) == [0x7F800000]
    assert single.lower_params(0.1) == list(struct.unpack("<I", struct.pack("<f", 0.1)))


def test_chars() -> None:
    p = probe(t.Char())
    assert p.lower_params("€") == [0x20AC]
    for point in (0xD7FF, 0xE000, 0x10FFFF):
        assert p.lift_params([point]) == (chr(point),)
    for point in (0xD800, 0xDFFF, 0x110000, 0xFFFFFFFF):
        with pytest.raises(errors.Trap, match="invalid `char` bit pattern"):
            p.lift_params([point])
    with pytest.raises(TypeError, match="length 2"):
        p.lower_params("ab")
    with pytest.raises(ValueError, match="surrogate"):
        p.lower_params("\ud800")


def test_enums_and_flags() -> None:
    enum = probe(t.EnumType(("a-b", "c")))
    assert enum.lower_params("a-b") == [0] == enum.lower_params("a_b")
    assert enum.lift_params([1]) == ("c",)
    with pytest.raises(errors.WasmError, match="unknown name 'x', expected one of a-b, c"):
        enum.lower_params("x")
    with pytest.raises(TypeError):
        enum.lower_params(1)
    with pytest.raises(errors.Trap, match="invalid variant discriminant"):
        enum.lift_params([2])
    flags = probe(t.FlagsType(("a", "b-c", "d")))
    for value in ({"a", "b-c"}, frozenset(["a", "b_c"]), ["a", "b-c", "a"], ("b-c", "a"), (n for n in ("a", "b-c"))):
        assert flags.lower_params(value) == [3]
    assert flags.lift_params([0xFFFFFFFC]) == ({"d"},)
    with pytest.raises(errors.WasmError, match="unknown name"):
        flags.lower_params({"x"})
    for bad in ("a", {"a": 1}, 3, None, {1}):
        with pytest.raises(TypeError):
            flags.lower_params(bad)


# ---- strings ----------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("text", ["", "a", "a" * 100, "é" * 33, "a" * 50 + "é", "€", "x" * 40 + "€uro", "𝄞", "a𝄞b" * 20])
def test_strings_allocate_once_and_exactly(text: str, encoding: str) -> None:
    memory, expected = oracle.Memory(), oracle.Memory()
    p = probe(t.String(), memory, encoding)
    assert p.lower_params(text) == list(oracle.store_string(expected, text, encoding))
    assert memory.calls == expected.calls and len(memory.calls) == 1
    assert memory.data == expected.data
    assert p.lift_params(p.lower_params(text)) == (text,)


def test_surrogates_are_refused_before_anything_is_allocated() -> None:
    for encoding in ENCODINGS:
        memory = oracle.Memory()
        with pytest.raises(ValueError, match="argument 'v': a string cannot hold surrogates"):
            probe(t.String(), memory, encoding).lower_params("ab\udc00")
        assert memory.calls == []


BAD_UTF8 = [b"\xff", b"a\x80", b"\xc0\x80", b"\xc1\xbf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xf5", b"\xe2\x28\xa1", b"\xf0\x80\x80\x80", b"\xe0\x9f\xbf"]
CUT_UTF8 = [b"\xe2\x82", b"a\xc3", b"\xf0\x9f\x98", b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\xe2"]


@pytest.mark.parametrize("raw", BAD_UTF8)
def test_ill_formed_utf8_traps(raw: bytes) -> None:
    with pytest.raises(errors.Trap, match="invalid utf-8"):
        lift_raw(raw)


@pytest.mark.parametrize("raw", CUT_UTF8)
def test_cut_off_utf8_traps(raw: bytes) -> None:
    with pytest.raises(errors.Trap, match="incomplete utf-8 byte sequence"):
        lift_raw(raw)


def lift_raw(raw: bytes, encoding: str = "utf8", units: int | None = None) -> Any:
    memory = oracle.Memory(256)
    memory.data[64 : 64 + len(raw)] = raw
    return probe(t.String(), memory, encoding).lift_params([64, len(raw) if units is None else units])[0]


@given(st.binary(max_size=60))
@settings(max_examples=100, deadline=None)
def test_utf8_decoder_agrees_with_python(raw: bytes) -> None:
    try:
        expected = raw.decode()
    except UnicodeDecodeError as error:
        words = "incomplete" if error.reason == "unexpected end of data" else "invalid"
        with pytest.raises(errors.Trap, match=words):
            lift_raw(raw)
        return
    assert lift_raw(raw) == expected


@given(st.lists(st.one_of(st.integers(0, 0xFFFF), st.integers(0xD7FE, 0xE001)), max_size=30))
@settings(max_examples=150, deadline=None)
def test_utf16_decoder_agrees_with_python(units: list[int]) -> None:
    raw = struct.pack(f"<{len(units)}H", *units)
    try:
        expected = raw.decode("utf-16-le")
    except UnicodeDecodeError:
        with pytest.raises(errors.Trap, match="unpaired surrogate"):
            lift_raw(raw, "utf16", len(units))
        return
    assert lift_raw(raw, "utf16", len(units)) == expected
    assert lift_raw(raw, "latin1+utf16", len(units) | 1 << 31) == expected


def test_string_pointers_are_checked() -> None:
    memory = oracle.Memory(256)
    p = probe(t.String(), memory)
    assert p.lift_params([256, 0]) == ("",)
    assert p.lift_params([250, 6]) == ("\0" * 6,)
    for pointer, units in ((257, 0), (250, 7), (0xFFFFFFFF, 0), (0xFFFFFFFF, 0xFFFFFFFF), (0, 257)):
        with pytest.raises(errors.Trap, match="string pointer/length out of bounds of memory"):
            p.lift_params([pointer, units])
    for encoding in ("utf16", "latin1+utf16"):
        with pytest.raises(errors.Trap, match="unaligned pointer"):
            probe(t.String(), memory, encoding).lift_params([1, 0])
        with pytest.raises(errors.Trap, match="out of bounds"):
            probe(t.String(), memory, encoding).lift_params([0, 0x80000081 if encoding != "utf16" else 129])


# ---- lists ------------------------------------------------------------------------------------------------------------------------------------


def test_bytes_take_any_contiguous_buffer() -> None:
    raw = bytes(range(200))
    grid = np.arange(25, dtype="u1").reshape(5, 5)
    for value in (raw, bytearray(raw), memoryview(raw), array.array("B", raw), list(raw), tuple(raw), np.frombuffer(raw, "u1")):
        memory = oracle.Memory()
        p = probe(t.ListType(t.U8()), memory)
        assert p.lift_params(p.lower_params(value)) == (raw,)
        assert memory.calls == [(1, 200)]
    p = probe(t.ListType(t.U8()))
    assert p.lift_params(p.lower_params(grid)) == (grid.tobytes(),)
    for bad in ("abc", 3, None, grid[:, 1], grid.T, memoryview(raw)[::2], np.array([None]), grid.astype("f8"), {1: 2}):
        with pytest.raises(TypeError, match="argument 'v': expected"):
            p.lower_params(bad)
    with pytest.raises(OverflowError, match=r"argument 'v'\[1\]: 256 is out of range for u8"):
        p.lower_params([1, 256])


@pytest.mark.parametrize(
    ("ty", "dtype"),
    [(t.S8(), "i1"), (t.U16(), "u2"), (t.S16(), "i2"), (t.U32(), "u4"), (t.S32(), "i4"), (t.U64(), "u8"), (t.S64(), "i8"), (t.F32(), "f4"), (t.F64(), "f8"), (t.Bool(), "?")],
)
def test_lists_of_scalars_take_buffers_of_their_item(ty: Any, dtype: str) -> None:
    data = np.array([0, 1, 1, 0, 1], dtype)
    memory = oracle.Memory()
    p = probe(t.ListType(ty), memory)
    words = p.lower_params(data)
    assert words[1] == 5 and p.lift_params(words) == (data.tolist(),)
    assert memory.calls == [(data.itemsize, data.nbytes)]
    assert p.lift_params(p.lower_params(tuple(data.tolist()))) == (data.tolist(),)
    others = [other for other in ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8", "?", "f2") if other != dtype]
    for other in [*others, data.dtype.newbyteorder(">") if data.itemsize > 1 else "c16"]:
        with pytest.raises(TypeError, match="expected list<"):
            p.lower_params(np.array([0, 1, 1], other))


def test_bool_buffers_are_lowered_as_one() -> None:
    odd = np.array([0, 2, 255], "u1").view("?")
    memory = oracle.Memory()
    words = probe(t.ListType(t.Bool()), memory).lower_params(odd)
    assert memory.data[words[0] : words[0] + 3] == b"\0\1\1"


def test_list_pointers_are_checked() -> None:
    memory = oracle.Memory(256)
    p = probe(t.ListType(t.U32()), memory)
    assert p.lift_params([256, 0]) == ([],)
    for pointer, count in ((260, 0), (252, 2), (0, 0xFFFFFFFF), (0xFFFFFFFC, 1)):
        with pytest.raises(errors.Trap, match="list pointer/length out of bounds of memory"):
            p.lift_params([pointer, count])
    with pytest.raises(errors.Trap, match="unaligned pointer"):
        p.lift_params([2, 0])


def test_empty_lists_and_strings_call_realloc_too() -> None:
    memory = oracle.Memory()
    probe(t.TupleType((t.String(), t.ListType(t.U64()), t.ListType(t.U8()))), memory).lower_params(("", [], b""))
    assert memory.calls == [(1, 0), (8, 0), (1, 0)]


def test_a_list_that_changes_while_it_is_read() -> None:
    class Shrinks:
        def __index__(self) -> int:
            items.clear()
            return 1

    items: list[Any] = [Shrinks(), 2, 3]
    with pytest.raises(ValueError, match="changed"):
        probe(t.ListType(t.U32())).lower_params(items)


def test_fixed_lists() -> None:
    p = probe(t.ListType(t.U16(), 3))
    assert p.lower_params([1, 2, 3]) == [1, 2, 3] == p.lower_params(array.array("H", [1, 2, 3]))
    with pytest.raises(ValueError, match="expected 3 elements, got 2"):
        p.lower_params([1, 2])
    assert probe(t.ListType(t.U8(), 3)).lift_params([1, 2, 3]) == (b"\1\2\3",)


def test_maps() -> None:
    p = probe(t.MapType(t.String(), t.U32()))
    for value in ({"a": 1, "b": 2}, [("a", 1), ("b", 2)], collections.OrderedDict(a=1, b=2)):
        assert p.lift_params(p.lower_params(value)) == ({"a": 1, "b": 2},)


# ---- what the guest's realloc gets wrong ----------------------------------------------------------------------------------------------------------


def test_realloc_results_are_checked_alignment_first() -> None:
    data = bytearray(256)
    plan = Plan(compile_func(t.FuncType((("v", t.ListType(t.U32())),))))
    for address, text in ((2, "not aligned"), (0xFFFFFFFD, "not aligned"), (256, "beyond end"), (252, "beyond end")):
        with pytest.raises(errors.Trap, match=f"realloc return: .*{text}"):
            Probe(plan, data, lambda align, size, a=address: a).lower_params([1, 2])
    with pytest.raises(errors.Trap, match="realloc return: beyond end of memory"):
        Probe(plan, data, lambda align, size: 260).lower_params([])
    Probe(plan, data, lambda align, size: 256).lower_params([])


def test_nothing_is_allocated_before_everything_is_checked() -> None:
    memory = oracle.Memory()
    p = probe_func(t.FuncType((("a", t.String()), ("b", t.ListType(t.String())), ("c", t.U8()))), memory)
    with pytest.raises(OverflowError, match="argument 'c'"):
        p.lower_params("x", ["y"], 256)
    with pytest.raises(TypeError, match=r"argument 'b'\[1\]: expected string, got int"):
        p.lower_params("x", ["y", 3], 256)
    assert memory.calls == []


# ---- records ----------------------------------------------------------------------------------------------------------------------------------

POINT = t.RecordType((("x", t.F64()), ("y-pos", t.F64())))


@dataclasses.dataclass
class Point:
    x: float
    y_pos: float


class Slots:
    __slots__ = ("x", "y_pos")


def test_records_by_attribute_key_and_spelling() -> None:
    p = probe(POINT)
    expected = p.lower_params({"x": 1.0, "y-pos": 2.0})
    kebab = Record()
    kebab.x = 1.0
    setattr(kebab, "y-pos", 2.0)
    slots = Slots()
    slots.x, slots.y_pos = 1.0, 2.0
    named = collections.namedtuple("named", ["x", "y_pos"])(1.0, 2.0)
    mapping = collections.UserDict({"x": 1.0, "y_pos": 2.0})
    lifted = p.lift_params(expected)[0]
    for value in ({"x": 1.0, "y_pos": 2.0}, kebab, slots, named, mapping, Record(x=1.0, y_pos=2.0), Point(1.0, 2.0), lifted):
        assert p.lower_params(value) == expected
    assert lifted == kebab and lifted == Point(1.0, 2.0) and kebab == lifted and lifted != Record(x=1.0)
    assert lifted.y_pos == getattr(lifted, "y-pos") == 2.0
    assert repr(lifted) == "Record(x=1.0, y_pos=2.0)"
    assert type(lifted) is type(p.lift_params(expected)[0]) and isinstance(lifted, Record)


def test_missing_fields_name_the_path() -> None:
    p = probe(t.ListType(POINT))
    with pytest.raises(AttributeError, match=r"argument 'v'\[1\]: field `y-pos` is missing in the dict given"):
        p.lower_params([{"x": 1, "y-pos": 2}, {"x": 1}])
    with pytest.raises(errors.MissingFieldError):
        p.lower_params([object()])
    with pytest.raises(TypeError, match=r"argument 'v'\[3\].x: expected f64, got str"):
        p.lower_params([Point(0, 0)] * 3 + [Point("a", 0)])  # type: ignore[arg-type]
    for bad in (1, None, "x", b"", [1, 2], (1, 2)):
        with pytest.raises(TypeError, match=r"argument 'v'\[0\]: expected record"):
            p.lower_params([bad])


def test_exceptions_of_user_code_come_out_as_themselves() -> None:
    class Broken:
        @property
        def x(self) -> float:
            raise ZeroDivisionError("mine")

    class Index:
        def __index__(self) -> int:
            raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="^mine$"):
        probe(POINT).lower_params(Broken())
    with pytest.raises(ZeroDivisionError, match="^mine$"):
        probe(t.ListType(t.U32())).lower_params([1, Index()])


def test_tuples() -> None:
    p = probe(t.TupleType((t.U8(), t.String())))
    assert p.lower_params((1, "a"))[0] == 1 == p.lower_params([1, "a"])[0]
    with pytest.raises(TypeError, match="expected a tuple of 2 elements, got 3"):
        p.lower_params((1, "a", 2))
    with pytest.raises(TypeError, match=r"argument 'v'\[1\]: expected string, got bytes"):
        p.lower_params((1, b"a"))


# ---- variants ---------------------------------------------------------------------------------------------------------------------------------


def test_bare_variants_pick_by_exact_type_first() -> None:
    p = probe(t.VariantType((("a", t.U32()), ("b", t.Bool()), ("c", t.F64()), ("d", t.String()), ("e", None))))
    for value, case in ((7, 0), (True, 1), (1.5, 2), ("x", 3), (None, 4)):
        words = p.lower_params(value)
        assert words[0] == case and p.lift_params(words) == (value,)
        named = p.lower_params(Variant("abcde"[case], value))  # said by name, as it may be for any variant
        assert named[0] == case and p.lift_params(named) == (value,)
    with pytest.raises(ValueError, match="value not valid for this variant"):
        p.lower_params([])
    with pytest.raises(ValueError, match="unknown name 'f', expected one of a, b"):
        p.lower_params(Variant("f", 7))
    with pytest.raises(TypeError, match="`e` has no payload"):
        p.lower_params(Variant("e", 7))
    with pytest.raises(TypeError, match="expected u32, got str"):
        p.lower_params(Variant("a", "7"))
    floats = probe(t.ResultType(t.F64(), t.String()))
    assert floats.lower_params(1) == floats.lower_params(1.0)
    never = probe(t.ResultType(t.U32(), t.F32()))
    with pytest.raises(ValueError, match="no case for bool"):
        never.lower_params(True)
    lists = probe(t.VariantType((("a", t.ListType(t.U8())), ("b", t.ListType(t.U32())))))
    assert [lists.lower_params(v)[0] for v in (b"", [], bytearray(), (1,))] == [0, 1, 0, 0]


def test_tagged_variants_want_variant() -> None:
    p = probe(t.ResultType(t.U32(), t.U32()))
    assert p.lower_params(Variant("ok", 3)) == [0, 3]
    assert p.lift_params([1, 4]) == (Variant("err", 4),)
    with pytest.raises(TypeError, match="expected Variant"):
        p.lower_params(3)
    with pytest.raises(ValueError, match="unknown name 'no'"):
        p.lower_params(Variant("no", 3))
    with pytest.raises(TypeError, match=r"argument 'v'.err: expected u32, got str"):
        p.lower_params(Variant("err", "x"))
    unit = probe(t.ResultType())
    assert unit.lift_params([0]) == (Variant("ok"),)
    with pytest.raises(TypeError, match="no payload"):
        unit.lower_params(Variant("ok", 1))
    nested = probe(t.OptionType(t.OptionType(t.U32())))
    assert nested.lift_params([1, 0, 0]) == (Variant("some", None),)
    with pytest.raises(errors.Trap, match="invalid variant discriminant"):
        nested.lift_params([2, 0, 0])


def test_options() -> None:
    p = probe(t.OptionType(t.U32()))
    assert p.lower_params(None) == [0, 0] and p.lower_params(3) == [1, 3]
    with pytest.raises(TypeError, match="argument 'v': expected u32, got str"):
        p.lower_params("x")


def test_joined_payloads_carry_their_bits() -> None:
    p = probe(t.VariantType((("a", t.F32()), ("b", t.S64()), ("c", t.S8()))))
    assert p.lower_params(Variant("b", -1)) == [1, 0xFFFFFFFFFFFFFFFF]
    assert p.lower_params(Variant("c", -1)) == [2, 0xFFFFFFFF]
    mixed = probe(t.VariantType((("a", t.F32()), ("b", t.S64()))))
    assert mixed.lower_params(1.0) == [0, 0x3F800000]
    assert mixed.lift_params([0, 0xFFFFFFFF3F800000]) == (1.0,)


def test_variant_and_record_objects() -> None:
    import copy
    import pickle

    value = Variant("a", 1)
    assert value == Variant("a", 1) != Variant("b", 1) and Variant("a") != "a"
    assert repr(value) == "Variant(tag='a', payload=1)"
    match value:
        case Variant("a", payload):
            assert payload == 1
    record = probe(POINT).lift_params([0, 0])[0]
    for thing in (value, record, Record(a=1)):
        assert pickle.loads(pickle.dumps(thing)) == thing and copy.copy(thing) == thing
    with pytest.raises(TypeError):
        hash(record)


# ---- parameters, results, resources -------------------------------------------------------------------------------------------------------------


def test_seventeen_parameters_spill() -> None:
    memory = oracle.Memory()
    names = tuple(f"p{i}" for i in range(17))
    p = probe_func(t.FuncType(tuple((n, t.U32()) for n in names)), memory)
    words = p.lower_params(*range(17))
    assert memory.calls == [(4, 68)] and words == [16]
    assert p.lift_params(words) == tuple(range(17))
    for pointer, text in ((2, "unaligned pointer"), (0xFFFFFFF0, "out of bounds")):
        with pytest.raises(errors.Trap, match=text):
            p.lift_params([pointer])


def test_result_pointers_are_checked() -> None:
    memory = oracle.Memory(256)
    p = probe(t.TupleType((t.U32(), t.U32())), memory)
    p.lower_result((1, 2), 248)
    assert memory.data[248:] == struct.pack("<II", 1, 2)
    for pointer, text in ((250, "unaligned pointer"), (252, "out of bounds"), (0xFFFFFFFC, "out of bounds")):
        with pytest.raises(errors.Trap, match=text):
            p.lower_result((1, 2), pointer)
        with pytest.raises(errors.Trap, match=text):
            p.lift_result(pointer)
    with pytest.raises(TypeError, match=r"result\[1\]: expected u32, got str"):
        p.lower_result((1, "x"), 248)
    nothing = probe_func(t.FuncType(()), memory)
    assert nothing.lower_result(None) is None and nothing.lift_result() is None
    with pytest.raises(TypeError, match="expected None"):
        nothing.lower_result(1)


def test_resources_are_staged_then_committed_in_order() -> None:
    ty = t.TupleType((t.OwnType(0), t.String(), t.ListType(t.BorrowType(1))))
    calls: list[Any] = []
    memory = oracle.Memory()

    def lower(index: int, own: bool, value: int) -> int:
        calls.append((index, own, value, len(memory.calls)))
        return value + 100

    p = probe_func(t.FuncType((("v", ty), ("n", t.U8()))), memory, lower_handle=lower, lift_handle=lambda i, own, h: (i, own, h))
    words = p.lower_params((7, "s", [8, 9]), 1)
    assert calls == [(0, True, 7, 0), (1, False, 8, 2), (1, False, 9, 2)]
    assert words[0] == 107 and p.log[-3:] == [("committed", 7), ("committed", 8), ("committed", 9)]
    assert p.lift_params(words) == (((0, True, 107), "s", [(1, False, 108), (1, False, 109)]), 1)
    p.log.clear()
    with pytest.raises(TypeError):
        p.lower_params((7, "s", [8, "x"]), 1)
    assert p.log == [("undone", 7), ("undone", 8)]
    with pytest.raises(OverflowError):
        p.lower_params((7, "s", []), 300)


def test_many_steps_and_large_blocks() -> None:
    p = probe(t.ListType(t.String()), oracle.Memory(1 << 20))
    texts = [f"text {i} é"[: 5 + i % 5] for i in range(3000)]
    assert p.lift_params(p.lower_params(texts)) == (texts,)
    q = probe(t.ListType(t.TupleType((t.U8(), t.F64()))), oracle.Memory(1 << 20))
    rows = [(i % 256, i / 3) for i in range(20000)]
    assert q.lift_params(q.lower_params(rows)) == (rows,)


def test_staged_padding_is_zero() -> None:
    memory = oracle.Memory()
    memory.data[:] = b"\xee" * len(memory.data)
    words = probe(t.ListType(t.TupleType((t.U8(), t.U32()))), memory).lower_params([(1, 2)])
    assert memory.data[words[0] : words[0] + 8] == b"\1\0\0\0\2\0\0\0"


def test_references_are_balanced() -> None:
    import gc
    import sys

    ty = t.RecordType((("a", t.ListType(t.String())), ("b", t.OptionType(t.ListType(t.U8()))), ("c", t.ResultType(t.U32(), t.U32()))))
    text, blob, variant = "x" * 50, b"y" * 50, Variant("ok", 3)
    value = {"a": [text, text], "b": blob, "c": variant}
    bad = {"a": [text, 3], "b": blob, "c": variant}
    p = Probe(Plan(compile_func(t.FuncType((("v", ty),), ty))), bytearray(1 << 16), lambda align, size: 64)
    before = None
    for i in range(60):
        p.lift_params(p.lower_params({"a": [], "b": blob, "c": variant}))
        p.lower_params(value)
        with pytest.raises(TypeError):
            p.lower_params(bad)
        p.log.clear()
        gc.collect()
        counts = [sys.getrefcount(o) for o in (text, blob, variant, value, None)][:4]
        if i > 5:
            assert before is None or counts == before
            before = counts


@given(types, st.binary(min_size=64, max_size=256), st.lists(st.one_of(st.integers(0, 80), st.integers(0, (1 << 64) - 1)), min_size=16, max_size=16), st.sampled_from(ENCODINGS))
@settings(max_examples=300, deadline=None)
def test_hostile_values_lift_or_trap(ty: Any, raw: bytes, words: list[int], encoding: str) -> None:
    p = Probe(
        Plan(compile_func(t.FuncType((("v", ty),), ty))), bytearray(raw), lambda align, size: 0, ENCODINGS.index(encoding)
    )
    flat = min(len(oracle.flatten(ty)), 17)
    for lift in (lambda: p.lift_params(words[:1] if flat > 16 else words[:flat])[0], lambda: p.lift_result(words[0])):
        try:
            value = lift()
        except errors.Trap:
            continue
        if flat > 1:
            p.lower_result(value, 0) if len(raw) >= oracle.elem_size(ty) else None
        else:
            p.lower_result(value)


@given(types, st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(), lambda v: st.lists(v) | st.dictionaries(st.text(), v) | st.tuples(v, v), max_leaves=6))
@settings(max_examples=300, deadline=None)
def test_any_python_value_lowers_or_raises_an_argument_error(ty: Any, value: Any) -> None:
    memory = oracle.Memory()
    try:
        probe(ty, memory).lower_params(value)
    except errors.WasmError as error:
        assert isinstance(error, (TypeError, ValueError, OverflowError)) and str(error).startswith("argument 'v'")
        assert memory.calls == []
