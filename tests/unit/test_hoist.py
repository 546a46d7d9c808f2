"""What the compiler computes before a loop: that nobody can tell."""

from __future__ import annotations

import pytest

from wasmrt import Config, Engine, Instance, Module, Store

STEP = "(br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1))))"
HEADER = "(param $n i32) (param $k i32) (param $x i32) (result i32) (local $y i32) (local $sum i32)"
# what stands in the function f(n, k, x) and what it computes
CASES: dict[str, tuple[str, dict[tuple[int, int, int], int]]] = {
    "read before it is set": (
        f"""(loop (local.set $sum (i32.add (local.get $sum) (local.get $x)))
              (local.set $x (i32.mul (local.get $k) (i32.const 7))) {STEP})
            (local.get $sum)""",
        {(1, 3, 100): 100, (3, 3, 100): 142},
    ),
    "left before it is set": (
        f"""(block (loop (br_if 1 (i32.eqz (local.get $n)))
              (local.set $x (i32.mul (local.get $k) (i32.const 7))) {STEP}))
            (local.get $x)""",
        {(0, 3, 100): 100, (1, 3, 100): 21},
    ),
    "set in one arm": (
        f"""(loop (if (i32.and (local.get $n) (i32.const 1)) (then (local.set $x (i32.mul (local.get $k) (i32.const 7)))))
              (local.set $sum (i32.add (local.get $sum) (local.get $x))) {STEP})
            (local.get $sum)""",
        {(1, 3, 100): 21, (2, 3, 100): 121},
    ),
    "set behind a block that may be left": (
        f"""(loop (block (br_if 0 (i32.eq (local.get $n) (i32.const 2))) (local.set $x (i32.mul (local.get $k) (i32.const 7))))
              (local.set $sum (i32.add (local.get $sum) (local.get $x))) {STEP})
            (local.get $sum)""",
        {(1, 3, 100): 21, (2, 3, 100): 121},
    ),
    "set twice to what is invariant": (
        f"""(loop (local.set $x (i32.mul (local.get $k) (i32.const 7)))
              (local.set $sum (i32.add (local.get $sum) (local.get $x)))
              (local.set $x (i32.add (local.get $x) (local.get $k))) {STEP})
            (i32.add (i32.mul (local.get $sum) (i32.const 1000)) (local.get $x))""",
        {(1, 3, 100): 21024, (3, 3, 100): 63024},
    ),
    "set twice, teed in the middle of an expression": (
        f"""(loop (local.set $sum (i32.add (local.get $sum) (i32.mul (local.tee $x (i32.add (local.get $k) (i32.const 1)))
                (i32.add (local.get $x) (local.tee $x (i32.mul (local.get $x) (local.get $k)))))))
              {STEP})
            (i32.add (i32.mul (local.get $sum) (i32.const 1000)) (local.get $x))""",
        {(1, 3, 100): 64012, (2, 3, 100): 128012},
    ),
    "set twice, once to what varies": (
        f"""(loop (local.set $x (i32.mul (local.get $n) (i32.const 7)))
              (local.set $sum (i32.add (local.get $sum) (local.get $x)))
              (local.set $x (i32.mul (local.get $k) (i32.const 5)))
              (local.set $sum (i32.add (local.get $sum) (local.get $x))) {STEP})
            (i32.add (i32.mul (local.get $sum) (i32.const 1000)) (local.get $x))""",
        {(1, 3, 100): 22015, (2, 3, 100): 51015},
    ),
    "a constant, and a copy": (
        f"""(loop (local.set $x (i32.const 5)) (local.set $y (local.get $k))
              (local.set $sum (i32.add (local.get $sum) (i32.add (local.get $x) (local.get $y)))) {STEP})
            (i32.add (i32.mul (local.get $sum) (i32.const 1000)) (i32.add (local.get $x) (local.get $y)))""",
        {(1, 3, 100): 8008, (2, 3, 100): 16008},
    ),
    "the result of the loop": (
        f"""(loop (result i32) (i32.mul (i32.add (local.get $k) (i32.const 5)) (local.get $k)) {STEP})""",
        {(1, 3, 100): 24, (4, 3, 100): 24},
    ),
    "taken out by a branch": (
        f"""(block (result i32) (loop (drop (br_if 1 (i32.mul (i32.add (local.get $k) (i32.const 5)) (local.get $k))
              (i32.eq (local.get $n) (i32.const 2)))) {STEP}) (i32.const 9))""",
        {(1, 3, 100): 9, (4, 3, 100): 24},
    ),
    "in a loop that a branch starts again from inside": (
        f"""(loop $outer (local.set $y (i32.add (local.get $y) (i32.const 1)))
              (loop (local.set $sum (i32.add (local.get $sum) (i32.mul (i32.add (local.get $y) (local.get $k)) (local.get $k))))
                (br_if $outer (i32.lt_u (local.get $y) (i32.const 3))) {STEP}))
            (local.get $sum)""",
        {(1, 2, 0): 24, (2, 2, 0): 34},
    ),
    "set in an inner loop first of all": (
        f"""(loop (loop (local.set $x (i32.mul (local.get $k) (local.get $n)))
                (br_if 0 (i32.lt_u (local.tee $y (i32.add (local.get $y) (i32.const 1))) (i32.const 5))))
              (local.set $sum (i32.add (local.get $sum) (local.get $x))) {STEP})
            (local.get $sum)""",
        {(1, 2, 9): 2, (3, 2, 9): 12},
    ),
}


@pytest.mark.parametrize("checks", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_case(case: str, checks: bool) -> None:
    config = Config()
    config.debug_checks = checks
    body, expected = CASES[case]
    store = Store(Engine(config))
    exports = Instance(store, Module(store.engine, f'(module (func (export "f") {HEADER} {body}))'), []).exports(store)
    assert {given: exports["f"](store, *given) for given in expected} == expected  # type: ignore[operator]
