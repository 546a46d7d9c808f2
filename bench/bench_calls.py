"""What a call costs: scalars through a component's and a core module's export, and calls that one component makes to another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bench.engines import Contender, contenders
from bench.interleave import interleave, repeat
from bench.limits.cases import Case
from bench.limits.measure import CANDIDATES, PEER, parameters, rows, run
from bench.tables import Row, Table

# the guest asks for the length of the same 1 KiB again and again: an adapter copies it each time
BETWEEN = """(component
  (component $C
    (core module $M
      (memory (export "mem") 2)
      (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536))
      (func (export "length") (param i32 i32) (result i32) (local.get 1)))
    (core instance $m (instantiate $M))
    (alias core export $m "mem" (core memory $mem))
    (alias core export $m "realloc" (core func $realloc))
    (func (export "length") (param "s" string) (result u32) (canon lift (core func $m "length") (memory $mem) (realloc $realloc))))
  (component $D
    (import "length" (func $length (param "s" string) (result u32)))
    (core module $Memory (memory (export "mem") 1))
    (core instance $memory (instantiate $Memory))
    (alias core export $memory "mem" (core memory $mem))
    (core func $length-core (canon lower (func $length) (memory $mem)))
    (core module $M
      (import "" "length" (func $length (param i32 i32) (result i32)))
      (func (export "length") (param $n i32) (result i32) (local $sum i32)
        (loop $more
          (local.set $sum (i32.add (local.get $sum) (call $length (i32.const 0) (i32.const 1024))))
          (br_if $more (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
        (local.get $sum)))
    (core instance $m (instantiate $M (with "" (instance (export "length" (func $length-core))))))
    (func (export "length") (param "n" u32) (result u32) (canon lift (core func $m "length"))))
  (instance $c (instantiate $C))
  (instance $d (instantiate $D (with "length" (func $c "length"))))
  (export "length" (func $d "length")))"""
STRINGS = 1000


def strings_between_components(contender: Contender) -> Callable[[], object]:
    """STRINGS strings of 1 KiB from one component to another, in one call."""
    api, engine = contender.component, contender.engine()
    store = contender.store(engine)
    length = api.Linker(engine).instantiate(store, api.Component(engine, BETWEEN)).get_func(store, "length")

    def call() -> object:
        return length(store, STRINGS)

    assert call() == STRINGS * 1024
    return call


def tables(rounds: int, seconds: float) -> list[Table]:
    # Winch calls as Cranelift does
    present = {PEER if name == "cranelift" else name: c for name, c in contenders().items() if name != "winch"}
    calls = 20
    made = {name: repeat(strings_between_components(contender), calls) for name, contender in present.items()}
    strings = interleave(made, rounds, 1, seconds).each(calls * STRINGS)
    return [
        Table(
            "Calls",
            "CPU time of one call.",
            [*rows(("calls", "between"), rounds, seconds), Row("string of 1 KiB component to component", strings)],
            CANDIDATES,
            {PEER: "times faster"},
        )
    ]


@pytest.mark.smoke
@parameters("calls", "between")
def test_call(benchmark: Any, case: Case, name: str) -> None:
    run(benchmark, case, name)


@pytest.mark.smoke
@pytest.mark.parametrize("name", sorted(contenders()))
def test_strings_between_components(benchmark: Any, name: str) -> None:
    benchmark(strings_between_components(contenders()[name]))
