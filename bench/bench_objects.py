"""Objects that guests make: trees and lists that live shortly, items of an array read and written. A call each on one store, so that collections are in it."""

from __future__ import annotations

from typing import Any

import pytest

from bench.engines import Contender, contenders
from bench.interleave import Candidate, Clock, interleave
from bench.tables import Row, Table

TREES = """(module
 (type $t (struct (field (ref null $t)) (field (ref null $t))))
 (func $make (param $d i32) (result (ref $t))
  (if (i32.eqz (local.get $d)) (then (return (struct.new $t (ref.null $t) (ref.null $t)))))
  (local.set $d (i32.sub (local.get $d) (i32.const 1)))
  (struct.new $t (call $make (local.get $d)) (call $make (local.get $d))))
 (func $check (param $t (ref null $t)) (result i32)
  (if (ref.is_null (local.get $t)) (then (return (i32.const 0))))
  (i32.add (i32.const 1) (i32.add (call $check (struct.get $t 0 (local.get $t))) (call $check (struct.get $t 1 (local.get $t))))))
 (func (export "run") (param $n i32) (param $d i32) (result i32) (local $sum i32) (local $long (ref null $t))
  (local.set $long (call $make (local.get $d)))
  (loop $l (local.set $sum (i32.add (local.get $sum) (call $check (call $make (i32.const 8)))))
    (local.set $n (i32.sub (local.get $n) (i32.const 1))) (br_if $l (local.get $n)))
  (i32.add (local.get $sum) (call $check (local.get $long)))))"""
LISTS = """(module
 (type $n (struct (field $next (mut (ref null $n))) (field $v i64)))
 (type $a (array (mut i32)))
 (func (export "run") (param $rounds i32) (param $n i32) (result i64) (local $i i32) (local $l (ref null $n)) (local $s i64)
  (loop $r
   (local.set $l (ref.null $n)) (local.set $i (local.get $n))
   (loop $c (local.set $l (struct.new $n (local.get $l) (i64.extend_i32_u (local.get $i)))) (local.set $i (i32.sub (local.get $i) (i32.const 1))) (br_if $c (local.get $i)))
   (loop $w (local.set $s (i64.add (local.get $s) (struct.get $n $v (local.get $l)))) (local.set $l (struct.get $n $next (local.get $l))) (br_if $w (i32.eqz (ref.is_null (local.get $l)))))
   (local.set $rounds (i32.sub (local.get $rounds) (i32.const 1))) (br_if $r (local.get $rounds)))
  (local.get $s)))"""
ITEMS = """(module
 (type $a (array (mut i32)))
 (func (export "run") (param $rounds i32) (param $n i32) (result i32) (local $i i32) (local $a (ref $a)) (local $s i32)
  (local.set $a (array.new_default $a (local.get $n)))
  (loop $r (local.set $i (i32.const 0))
   (loop $c (array.set $a (local.get $a) (local.get $i) (i32.add (local.get $i) (array.get $a (local.get $a) (local.get $i)))) (local.set $i (i32.add (local.get $i) (i32.const 1))) (br_if $c (i32.lt_u (local.get $i) (array.len (local.get $a)))))
   (local.set $rounds (i32.sub (local.get $rounds) (i32.const 1))) (br_if $r (local.get $rounds)))
  (array.get $a (local.get $a) (i32.const 7))))"""
# what it is called, its text, arguments, those of a quick run
PROGRAMS = (
    ("2,000 binary trees of 511 nodes", TREES, (2_000, 16), (50, 8)),
    ("200 lists of 10,000 nodes", LISTS, (200, 10_000), (5, 1_000)),
    ("an array of 100,000 items, 300 times", ITEMS, (300, 100_000), (3, 1_000)),
)


def caller(contender: Contender, text: str, arguments: tuple[int, int]) -> Candidate:
    package, config = contender.package, contender.package.Config()
    contender.configure(config)
    config.wasm_gc = config.wasm_function_references = True
    engine = package.Engine(config)
    store = contender.store(engine)
    call = package.Instance(store, package.Module(engine, text), []).exports(store)["run"]

    def run(clock: Clock) -> None:
        with clock:
            call(store, *arguments)

    return run


def engines() -> dict[str, Contender]:
    return {name: contender for name, contender in contenders().items() if name != "winch"}  # which has no objects


def tables(rounds: int, seconds: float) -> list[Table]:
    found = []
    for title, text, arguments, _ in PROGRAMS:
        made = {name: caller(contender, text, arguments) for name, contender in engines().items()}
        found.append(Row(title, interleave(made, rounds, 1, seconds), "wall"))
    columns = {"wasmrt": "wasmrt", "cranelift": "wasmtime-py"}
    return [
        Table(
            "Objects",
            "Wall time of a call that makes or uses objects.",
            found,
            columns,
            {"cranelift": "than wasmtime-py"},
        )
    ]


@pytest.mark.smoke
@pytest.mark.parametrize("name", sorted(engines()))
@pytest.mark.parametrize("program", PROGRAMS, ids=["trees", "lists", "items"])
def test_objects(benchmark: Any, program: tuple[str, str, Any, Any], name: str) -> None:
    title, text, arguments, quick = program
    benchmark.group = title
    run = caller(engines()[name], text, quick if benchmark.disabled else arguments)
    benchmark.pedantic(run, args=(Clock(),), rounds=1 if benchmark.disabled else 10)
