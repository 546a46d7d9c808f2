"""Owns calls with records, tuples and variants of scalars, which have a way of their own in C: what comes back is fresh, and what the collector runs in between
does no harm."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest

import wasmrt.component as api
from wasmrt import Engine, Store, Trap, WasmError
from wasmrt.errors import MissingFieldError

PAIRS = {
    "record": "$pair",
    "tuple": "(tuple s32 s32)",
    "variant": "$choice",
    "option": "(option s32)",
    "result": "(result s32 (error bool))",
    "nested": "(tuple (option s32))",
}

TEXT = f"""(component
  (type $pair-type (record (field "first" s32) (field "second-one" s32)))
  (export $pair "pair" (type $pair-type))
  (type $choice-type (variant (case "a" s32) (case "b" u32) (case "c")))
  (export $choice "choice" (type $choice-type))
  (core module $M
    (memory (export "memory") 1)
    (global $where (mut i32) (i32.const 16))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
    (func (export "move") (param i32) (global.set $where (local.get 0)))
    (func (export "pair") (param i32 i32) (result i32)
      (i32.store (global.get $where) (local.get 0)) (i32.store offset=4 (global.get $where) (local.get 1)) (global.get $where))
    (func (export "bad") (result i32) (i32.store (i32.const 16) (i32.const 7)) (i32.const 16)))
  (core instance $m (instantiate $M))
  (alias core export $m "memory" (core memory $memory))
  (alias core export $m "realloc" (core func $realloc))
  (func (export "move") (param "to" u32) (canon lift (core func $m "move")))
  (func (export "bad") (result $choice) (canon lift (core func $m "bad") (memory $memory)))
  {"".join(f'(func (export "{name}") (param "v" {ty}) (result {ty}) (canon lift (core func $m "pair") (memory $memory) (realloc $realloc)))' for name, ty in PAIRS.items())})"""


@pytest.fixture(scope="module")
def component() -> api.Component:
    return api.Component(Engine(), TEXT)


def instance_of(component: api.Component) -> Any:
    return api.Linker(component.engine).instantiate(Store(component.engine), component)


def record(first: Any = 1, second: Any = 2000) -> api.Record:
    made = api.Record()
    made.first = first
    made.second_one = second
    return made


def test_round_trips(component: api.Component) -> None:
    guest = instance_of(component)
    pair = guest.get_func("record")(record())
    assert (pair.first, pair.second_one) == (1, 2000)
    assert guest.get_func("record")(pair) == pair
    assert guest.get_func("tuple")((1, -2000)) == (1, -2000)
    for value in (api.Variant("a", -5), api.Variant("b", 4_000_000_000), api.Variant("c")):
        assert guest.get_func("variant")(value) == value
    for number in (None, 0, -5):
        assert guest.get_func("option")(number) == number
        assert guest.get_func("nested")((number,)) == (number,)
    for either in (7, True, False):
        assert guest.get_func("result")(either) is either


def test_records_made_by_hand_in_every_way(component: api.Component) -> None:
    """Their attributes lie in an array that all share the keys of, or in a dict."""
    echo = instance_of(component).get_func("record")
    turned = api.Record()
    turned.other = 1
    turned.second_one = 2000
    turned.first = 1
    with_dict = record()
    with_dict.__dict__["third"] = 3
    many = api.Record()
    for i in range(40):
        setattr(many, f"a{i}", i)
    many.first, many.second_one = 1, 2000
    late = record(5, 6)
    late.first, late.second_one = 1, 2000
    dashed = api.Record()
    dashed.first = 1
    setattr(dashed, "second-one", 2000)

    class Own(api.Record):
        first = 1

        @property
        def second_one(self) -> int:
            return 2000

    for given in (turned, with_dict, many, late, dashed, Own(), {"first": 1, "second-one": 2000}):
        found = echo(given)
        assert (found.first, found.second_one) == (1, 2000)
    gone = record()
    del gone.second_one
    with pytest.raises(MissingFieldError, match="`second-one` is missing"):
        echo(gone)
    assert echo(record()).first == 1


def test_a_record_is_fresh_though_its_memory_is_not(component: api.Component) -> None:
    echo = instance_of(component).get_func("record")
    gone: list[Any] = []
    for i in range(3):
        made = echo(record(i))
        assert (made.first, made.second_one) == (i, 2000) and made.__dict__ == {}
        with pytest.raises(AttributeError):
            made.extra
        made.extra = [made] if i == 1 else i
        weakref.finalize(made, gone.append, i)
        del made
        gc.collect()
        assert gone == list(range(i + 1))
    kept = [echo(record(i)) for i in range(20)]
    assert [one.first for one in kept] == list(range(20)) and len({id(one) for one in kept}) == 20


@pytest.mark.parametrize(("name", "value"), [("record", record()), ("tuple", (1, 2000)), ("variant", api.Variant("a", 2000)), ("option", 2000)])
def test_the_collector_may_run_anything_while_a_result_is_made(component: api.Component, name: str, value: Any) -> None:
    """It closes the store, or calls the instance again: refused, or too late to matter."""
    guest = instance_of(component)
    func = guest.get_func(name)
    ran = []

    class Garbage:
        def __init__(self) -> None:
            self.self = self

        def __del__(self) -> None:
            ran.append(True)
            for attempt in (lambda: func(value), guest.store.close):
                try:
                    attempt()
                except (Trap, WasmError, ValueError):
                    pass

    expected = func(value)
    thresholds = gc.get_threshold()
    gc.collect()
    try:
        for threshold in range(1, 12):
            gc.set_threshold(threshold)
            Garbage()
            try:
                found = func(value)
            except ValueError:
                break  # closed before the call
            assert found == expected
    finally:
        gc.set_threshold(*thresholds)
    gc.collect()
    assert ran


def test_results_that_are_not_where_they_should_be(component: api.Component) -> None:
    for place, match in ((65532, "out of bounds"), (18, "unaligned")):
        guest = instance_of(component)
        guest.get_func("move")(place)
        with pytest.raises(Trap, match=match):
            guest.get_func("tuple")((1, 2))
        with pytest.raises(Trap, match="cannot enter"):
            guest.get_func("tuple")((1, 2))
    guest = instance_of(component)
    guest.get_func("move")(65528)
    assert guest.get_func("tuple")((1, 2)) == (1, 2), "the last bytes of memory"
    with pytest.raises(Trap, match="discriminant"):
        guest.get_func("bad")()
    with pytest.raises(Trap, match="cannot enter"):
        guest.get_func("option")(1)
