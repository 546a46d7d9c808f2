"""The pass for plain values (plain.h) against the general path: other spellings of a value, which only the general path knows, give the same bits."""

from __future__ import annotations

import gc
import struct
import sys
import weakref
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.abi import oracle
from tests.abi.strategies import types, values
from tests.abi.test_plans import ENCODINGS, is_tagged, probe, to_python
from wasmrt import errors
from wasmrt._native.abi import Record, Variant, record_class
from wasmrt.spec import types as t


class Int(int):
    pass


class Float(float):
    pass


class Text(str):
    pass


class Labels(set[str]):
    pass


class Tagged(Variant):
    pass


class Fields:
    """Attributes, as a dataclass has them."""


def rare(value: Any, ty: Any) -> Any:
    """The Python value for an oracle value, spelled so that nothing of it is plain."""
    match ty:
        case t.Bool():
            return value
        case t.F32() | t.F64():
            return Float(value)
        case t.Char() | t.String():
            return Text(value)
        case t.ListType():
            return tuple(rare(v, ty.element) for v in value)
        case t.MapType():
            return [(rare(pair["0"], ty.key), rare(pair["1"], ty.value)) for pair in value]
        case t.RecordType():
            fields = Fields()
            for name, field in ty.fields:
                setattr(fields, name.replace("-", "_"), rare(value[name], field))
            return fields
        case t.TupleType():
            return [rare(value[str(i)], e) for i, e in enumerate(ty.elements)]
        case t.EnumType():
            return Text(value[0])
        case t.FlagsType():
            return Labels(map(Text, value))
        case t.VariantType() | t.OptionType() | t.ResultType():
            tag, payload = value
            if not is_tagged(ty):
                return to_python(value, ty)  # which case it is depends on the spelling
            cases = (
                dict(oracle.despecialize(ty).cases)
                if not isinstance(ty, t.ResultType)
                else {"ok": ty.ok, "err": ty.err}
            )
            made = Tagged(tag, None if cases[tag] is None else rare(payload, cases[tag]))
            made.tag = Text(tag)
            return made
    return Int(value)


pairs = types.flatmap(lambda ty: st.tuples(st.just(ty), values(ty)))


@given(pairs, st.sampled_from(ENCODINGS))
@settings(max_examples=120, deadline=None)
def test_spellings_give_the_same_bits(pair: Any, encoding: str) -> None:
    ty, value = pair
    found = []
    lifted = None
    for spelled in (to_python(value, ty), rare(value, ty), None):
        memory = oracle.Memory()
        p = probe(ty, memory, encoding)
        words = p.lower_params(spelled if spelled is not None or lifted is None else lifted[0])
        found.append((words, memory.calls, bytes(memory.data)))
        if lifted is None:
            lifted = p.lift_params(words)  # third: what a component returned, with records of the plan's own class
    assert found[0] == found[1] == found[2]


POINT = t.RecordType((("x", t.F64()), ("the-y", t.S32())))
CLASS = record_class(("x", "the-y"))


def point(kind: str, x: Any, y: Any) -> Any:
    made: Any
    match kind:
        case "dict":
            return {"x": x, "the-y": y}
        case "snake dict":
            return {"x": x, "the_y": y}
        case "reversed dict":
            return {"the-y": y, "x": x}
        case "larger dict":
            return {"x": x, "the-y": y, "z": 0}
        case "record":
            return Record(x=x, the_y=y)
        case "own class":
            made = CLASS()
        case _:
            made = Fields()
    made.x, made.the_y = x, y
    return made


KINDS = ["dict", "snake dict", "reversed dict", "larger dict", "record", "own class", "object"]
WRAPPERS: dict[str, tuple[Any, Any, str]] = {
    "alone": (POINT, lambda v: v, ""),
    "in a list": (t.ListType(POINT), lambda v: [point("own class", 0.5, 1), v], "[1]"),
    "in a tuple": (t.TupleType((t.U8(), POINT)), lambda v: (1, v), "[1]"),
    "in an option": (t.OptionType(POINT), lambda v: v, ""),
    "in a variant": (t.VariantType((("a", POINT), ("b", POINT))), lambda v: Variant("b", v), ".b"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("where", WRAPPERS)
@pytest.mark.parametrize(
    ("x", "y", "error", "text"),
    [
        ("1", 2, errors.ArgumentTypeError, r"{}.x: expected f64, got str"),
        (1.0, 1 << 31, errors.ArgumentOverflowError, r"{}.the-y: 2147483648 is out of range for s32"),
        (1.0, None, errors.ArgumentTypeError, r"{}.the-y: expected s32, got NoneType"),
    ],
)
def test_errors_do_not_depend_on_the_spelling(
    kind: str, where: str, x: Any, y: Any, error: type[Exception], text: str
) -> None:
    ty, wrap, path = WRAPPERS[where]
    with pytest.raises(error) as caught:
        probe(ty).lower_params(wrap(point(kind, x, y)))
    assert str(caught.value) == "argument 'v'" + text.format(path)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("where", WRAPPERS)
def test_every_spelling_of_a_record(kind: str, where: str) -> None:
    ty, wrap, _ = WRAPPERS[where]
    memory, theirs = oracle.Memory(), oracle.Memory()
    words = probe(ty, memory).lower_params(wrap(point(kind, 2.5, -7)))
    assert words == probe(ty, theirs).lower_params(wrap(point("object", 2.5, -7)))
    assert memory.data == theirs.data


@pytest.mark.parametrize("kind", ["dict", "record", "own class"])
def test_a_field_that_is_missing(kind: str) -> None:
    value = point(kind, 1.0, 2)
    if kind == "dict":
        del value["the-y"]
    else:
        del value.the_y
    with pytest.raises(errors.MissingFieldError, match="the-y"):
        probe(POINT).lower_params(value)


def test_what_was_staged_is_let_go_of_when_the_rest_is_not_plain() -> None:
    text = "".join(["held ", "by its step"])
    before = sys.getrefcount(text)
    p = probe(t.TupleType((t.String(), t.String(), t.U8())))
    for last in (Int(3), 256, "x"):
        try:
            p.lower_params((text, text, last))
        except errors.WasmError:
            assert last != Int(3)
        assert sys.getrefcount(text) == before


def test_rows_of_doubles() -> None:
    ty = t.ListType(t.RecordType((("x", t.F64()), ("the-y", t.F64()))))
    rows = [point(KINDS[i % len(KINDS)] if i % 3 else "own class", i + 0.5, float(-i)) for i in range(40)]
    memory = oracle.Memory()
    address, count = probe(ty, memory).lower_params(rows)
    assert count == 40
    assert struct.unpack_from("<80d", memory.data, address) == tuple(n for i in range(40) for n in (i + 0.5, float(-i)))
    rows[18] = point("own class", 1.0, "?")
    with pytest.raises(errors.ArgumentTypeError, match=r"\[18\].the-y: expected f64"):
        probe(ty).lower_params(rows)


class Late(str):
    """A key that clears the list that is being read when it is compared."""

    items: list[Any]

    def __hash__(self) -> int:
        return hash("the_y")

    def __eq__(self, other: object) -> bool:
        self.items.clear()
        return False


@pytest.mark.parametrize("wrap", [lambda row: row, lambda row: (row, 1.0), lambda row: {"a": row, "b": 1.0}], ids=["row", "tuple", "dict"])
def test_attributes_of_a_record_may_change_the_list_it_is_in(wrap: Any) -> None:
    items: list[Any] = []
    for _ in range(100):
        row = Record()
        key = Late("z")
        key.items = []
        vars(row)[key] = 1
        row.x, row.the_y = 1.0, 2.0  # type: ignore[attr-defined]
        key.items = items
        items.append(wrap(row))
    del row
    element: Any = {Record: POINT, tuple: t.TupleType((POINT, t.F64())), dict: t.RecordType((("a", POINT), ("b", t.F64())))}[type(items[0])]
    with pytest.raises(errors.ArgumentValueError, match="changed while it was read"):
        probe(t.ListType(element)).lower_params(items)


@pytest.mark.parametrize("before", range(6))
def test_a_missing_attribute_may_start_the_collector(before: int) -> None:
    """Whose callbacks change the list: before it is read, or in the middle."""
    items: list[Any] = [Record(x=1.0) for _ in range(100)]
    function = probe(t.ListType(POINT))
    calls: list[str] = []

    def clear(phase: str, info: Any) -> None:
        calls.append(phase)
        if len(calls) > before:
            items.clear()

    thresholds = gc.get_threshold()
    gc.collect()
    gc.callbacks.append(clear)
    gc.set_threshold(1)
    try:
        function.lower_params(items)
    except (errors.ArgumentValueError, errors.MissingFieldError):
        pass
    finally:
        gc.set_threshold(*thresholds)
        gc.callbacks.remove(clear)
    assert calls


def test_a_changed_record_class_runs_its_own_code() -> None:
    """A property that a program puts on Record is asked, and may change what is being read."""
    items: list[Any] = [Record(x=1.0, the_y=i) for i in range(3)]

    def read(self: Any) -> float:
        items.clear()
        return 2.0

    Record.x = property(read)  # type: ignore[attr-defined]
    try:
        with pytest.raises(errors.ArgumentValueError, match="changed while it was read"):
            probe(t.ListType(POINT)).lower_params(items)
    finally:
        del Record.x  # type: ignore[attr-defined]


# ---- instances of record classes ----------------------------------------------------------------------------------------------------------------------


def test_records_are_freed_with_what_they_hold() -> None:
    class Held:
        pass

    held = Held()
    gone = weakref.ref(held)
    record: Any = CLASS()
    record.x, record.the_y, record.more = held, [1], held
    seen: list[str] = []
    dead = weakref.ref(record, lambda _: seen.append("dead"))
    del held
    assert gone() is not None
    del record
    assert gone() is None and dead() is None and seen == ["dead"]


def test_records_in_cycles_are_collected() -> None:
    record: Any = CLASS()
    record.x, record.more = record, [record]
    gone = weakref.ref(record)
    del record
    gc.collect()
    assert gone() is None


def test_a_class_derived_from_a_record_class() -> None:
    log: list[Any] = []

    class Mine(CLASS):  # type: ignore[misc, valid-type]
        def __del__(self) -> None:
            log.append(self.x)

    class Slotted(CLASS):  # type: ignore[misc, valid-type]
        __slots__ = ("extra",)

    for cls in (Mine, Slotted):
        made: Any = cls()
        made.x, made.the_y, made.extra = object(), 2, object()
        gone = weakref.ref(made)
        del made
        assert gone() is None
    assert len(log) == 1


def test_a_finalizer_put_on_a_record_class_may_bring_it_back() -> None:
    cls: Any = record_class(("brought-back",))
    back: list[Any] = []
    cls.__del__ = lambda self: back.append(self)
    made = cls()
    made.brought_back = "here"
    del made
    assert back[0].brought_back == "here"
    del cls.__del__
    gone = weakref.ref(back[0])
    back.clear()
    assert gone() is None


def test_a_long_chain_of_records_is_freed() -> None:
    chain: Any = None
    for _ in range(200_000):
        link = CLASS()
        link.x = chain
        chain = link
    del chain, link
