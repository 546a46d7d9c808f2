"""Whether two threads use two cores: a long call each, on a store each, beside the same two calls in one thread. Wall time."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from bench.engines import Contender, contenders
from bench.interleave import Candidate, Clock, interleave
from bench.tables import Row, Table

SPIN = """(module (func (export "spin") (param $n i32) (result i32) (local $x i32)
  (loop $more
    (local.set $x (i32.add (i32.mul (local.get $x) (i32.const 1664525)) (i32.const 1013904223)))
    (br_if $more (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
  (local.get $x)))"""
LONG = 60_000_000  # turns of the loop in one call: some 60 ms
SHORT = 100  # and in a call too short for letting the GIL go to pay
CALLS = 5_000


def spinners(contender: Contender) -> list[Any]:
    """The same function in two stores, called with a number of turns."""
    package, engine = contender.package, contender.engine()
    module = package.Module(engine, SPIN)
    found = []
    for _ in range(2):
        store = contender.store(engine)
        spin = package.Instance(store, module, []).exports(store)["spin"]
        found.append(lambda turns, spin=spin, store=store: spin(store, turns))
    return found


def in_threads(contender: Contender, threads: int, turns: int, calls: int) -> Candidate:
    """`calls` calls on each of two stores, by one thread or by two."""
    first, second = spinners(contender)

    def calling(spin: Any) -> None:
        for _ in range(calls):
            spin(turns)

    def run(clock: Clock) -> None:
        with clock:
            if threads == 1:
                calling(first)
                calling(second)
                return
            other = threading.Thread(target=calling, args=(second,))
            other.start()
            calling(first)
            other.join()

    return run


def tables(rounds: int, seconds: float) -> list[Table]:
    found = []
    for title, turns, calls in (("two long calls", LONG, 1), (f"two times {CALLS:,} short calls", SHORT, CALLS)):
        made: dict[str, Candidate] = {}
        for name, contender in contenders().items():
            if name == "winch":
                continue
            made[name] = in_threads(contender, 2, turns, calls)
            made[f"{name} alone"] = in_threads(contender, 1, turns, calls)
        comparison = interleave(made, rounds, 1, seconds)
        found.append(Row(title, comparison, "wall"))
    columns = {
        "wasmrt": "two threads",
        "wasmrt alone": "one thread",
        "cranelift": "wasmtime-py, two",
        "cranelift alone": "one",
    }
    faster = {"wasmrt alone": "times faster by two threads", "cranelift": "than wasmtime-py"}
    return [Table("Threads", "Wall time of all calls; each thread has a store of its own.", found, columns, faster)]


@pytest.mark.smoke
@pytest.mark.parametrize("name", sorted(contenders()))
@pytest.mark.parametrize("threads", [1, 2])
def test_threads(benchmark: Any, threads: int, name: str) -> None:
    benchmark.group = "two long calls"
    run = in_threads(contenders()[name], threads, LONG // 10 if benchmark.disabled else LONG, 1)
    benchmark.pedantic(run, args=(Clock(),), rounds=1 if benchmark.disabled else 10)
