"""Whatever bits a guest gives: what is lifted is what the specification's algorithm lifts, and it traps exactly where that one does.

The oracle is `oracle.py`, written from the specification's text. Values from the host's side are in test_plans.py, calls between components in
tests/component/test_adapters.py.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.abi import oracle
from tests.abi.strategies import types
from tests.abi.test_plans import ENCODINGS, to_python
from tests.abi.test_resources import GUEST
from wasmrt import Engine, Store, errors
from wasmrt._native.abi import Plan, Record, Variant
from wasmrt._native.probe import Probe
from wasmrt.abi.plan import compile_func
from wasmrt.component import Component, Linker
from wasmrt.spec import types as t

SIZE = 320
SMALL = st.integers(0, 12)
POINTER = st.integers(0, SIZE + 8)
WORD = st.one_of(SMALL, SMALL, POINTER, st.integers(0, (1 << 32) - 1), st.integers(0, (1 << 64) - 1))


@st.composite
def memories(draw: Any) -> bytes:
    """Bytes that are small numbers, pointers into themselves, text, and noise."""
    words = draw(st.lists(st.one_of(SMALL, SMALL, POINTER, st.integers(0, (1 << 32) - 1), st.sampled_from([0x64636261, 0xD83D, 0xDE00, 0x80000002])), min_size=8, max_size=40))
    pattern = struct.pack(f"<{len(words)}I", *words)
    return bytes((pattern * (SIZE // len(pattern) + 1))[:SIZE])


def same(a: Any, b: Any) -> bool:
    """Equal, of the same class, and one NaN as good as another."""
    if isinstance(a, Record) and isinstance(b, Record):
        return same(dict(a._items()), dict(b._items()))
    if type(a) is not type(b):
        return False
    match a:
        case float():
            return a == b or (math.isnan(a) and math.isnan(b))
        case list() | tuple():
            return len(a) == len(b) and all(map(same, a, b))
        case dict():
            return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
        case Variant():
            return a.tag == b.tag and same(a.payload, b.payload)
    return bool(a == b)


def outcome(lift: Callable[[], Any], trap: type[Exception]) -> Any:
    try:
        return "value", lift()
    except trap:
        return ("trap",)


@given(st.lists(types, min_size=1, max_size=3), memories(), st.lists(WORD, min_size=17, max_size=17), st.sampled_from(ENCODINGS))
@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
def test_parameters_of_any_bits(tys: list[Any], data: bytes, words: list[int], encoding: str) -> None:
    func = t.FuncType(tuple((f"p{i}", ty) for i, ty in enumerate(tys)))
    p = Probe(Plan(compile_func(func)), bytearray(data), lambda align, size: 0, ENCODINGS.index(encoding))
    flat = [word for ty in tys for word in oracle.flatten(ty)]
    if len(flat) > 16:
        given_words = words[:1]

        def expected() -> Any:
            return oracle.load_tuple(data, tys, words[0] & 0xFFFFFFFF, encoding)
    else:
        given_words = words[: len(flat)]

        def expected() -> Any:
            values, slot = [], 0
            for ty in tys:
                values.append(oracle.lift_flat(data, words[slot:], ty, encoding))
                slot += len(oracle.flatten(ty))
            return values

    ours = outcome(lambda: p.lift_params(given_words), errors.Trap)
    theirs = outcome(lambda: tuple(to_python(v, ty) for v, ty in zip(expected(), tys, strict=True)), oracle.OracleTrap)
    assert same(ours, theirs), (ours, theirs)


@given(types, memories(), WORD, st.sampled_from(ENCODINGS))
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
def test_results_of_any_bits(ty: Any, data: bytes, word: int, encoding: str) -> None:
    p = Probe(Plan(compile_func(t.FuncType((), ty))), bytearray(data), lambda align, size: 0, ENCODINGS.index(encoding))
    if len(oracle.flatten(ty)) > 1:
        theirs = outcome(lambda: to_python(oracle.load_tuple(data, [ty], word & 0xFFFFFFFF, encoding)[0], ty), oracle.OracleTrap)
    else:
        theirs = outcome(lambda: to_python(oracle.lift_flat(data, [word], ty, encoding), ty), oracle.OracleTrap)
    ours = outcome(lambda: p.lift_result(word), errors.Trap)
    assert same(ours, theirs), (ours, theirs)


# ---- handles ----------------------------------------------------------------------------------------------------------------------------------------

OPERATIONS = ("make", "peek", "two", "back", "consume", "handle-of", "host-drop", "rep", "drop", "forge")


class Model:
    """What the specification says of the guest of test_resources.py: its table, and which owned handles the host has."""

    def __init__(self) -> None:
        self.table = oracle.HandleTable()
        self.dropped: list[int] = []

    def lift(self, rep: int) -> int:
        """A guest gives an own: it is in the table until then."""
        return self.table.remove(self.table.add(rep))

    def drop(self, index: int) -> None:
        self.dropped.append(self.table.remove(index))


_ENGINE = Engine()
_COMPONENT = Component(_ENGINE, GUEST)


@given(st.lists(st.tuples(st.sampled_from(OPERATIONS), st.integers(0, 5)), min_size=1, max_size=40))
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_handles_in_any_order(program: list[tuple[str, int]]) -> None:
    dropped: list[int] = []
    linker = Linker(_ENGINE)
    linker.root().func("on-drop")(lambda rep: dropped.append(rep))
    exports: Any = linker.instantiate(Store(_ENGINE), _COMPONENT).exports
    model = Model()
    held: list[tuple[Any, int | None]] = []  # the host's handles; None once they are given away or dropped
    for count, (operation, n) in enumerate(program):
        if operation == "make":
            held.append((exports.make(count), model.lift(count)))
        elif operation in ("rep", "drop", "forge"):
            ours: Any
            try:
                expected = model.table.get(n) if operation != "forge" else model.table.remove(n)
            except oracle.OracleTrap:
                ours = outcome(lambda o=operation, n=n: exports[o](n), errors.Trap)
                assert ours == ("trap",)
                assert outcome(lambda: exports.dropped(), errors.Trap) == ("trap",)  # nothing enters it any more
                break
            ours = exports[operation](n)
            if operation == "drop":
                model.drop(n)
            elif operation == "rep":
                assert ours == expected
            else:
                held.append((ours, expected))
        elif held:
            index = n % len(held)
            handle, rep = held[index]
            if rep is None:
                calls = {"host-drop": handle.drop, "two": lambda h=handle: exports.two(h, h)}
                ours = outcome(calls.get(operation, lambda o=operation, h=handle: exports[o](h)), errors.WasmError)
                assert ours == ("trap",)
            elif operation == "peek":
                assert exports.peek(handle) == rep
            elif operation == "two":
                assert exports.two(handle, handle) == 2 * rep
            else:
                held[index] = handle, None
                if operation == "back":
                    held.append((exports.back(handle), model.lift(rep)))
                elif operation == "handle-of":
                    assert exports["handle-of"](handle) == model.table.add(rep)
                elif operation == "consume":
                    exports.consume(handle)
                    model.drop(model.table.add(rep))
                else:
                    handle.drop()
                    model.dropped.append(rep)
        assert dropped == model.dropped
