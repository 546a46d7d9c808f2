"""Loops ask every so often whether they are to stop: none that goes on for ever is missed, whatever it does with its locals."""

from __future__ import annotations

import pytest

import wasmrt
from wasmrt import Config, Engine, Instance, Module, Store

NEXT = "(local.set $i (i32.add (local.get $i) (i32.const {step})))"
MANY = "".join(f"(local.set $h{i} (i32.add (local.get $h{i}) (local.get $h{(i + 1) % 14})))" * 3 for i in range(14))
# what is done for ever: $i and $k are 5 where it starts
ENDLESS = {
    **{f"step {step}": f"(loop {NEXT.format(step=step)} (br 0))" for step in (1, -1, 3, 8, 4096, 1 << 22, -(1 << 31), 0)},
    "subtracted": "(loop (local.set $i (i32.sub (local.get $i) (i32.const 6))) (br 0))",
    "of 64 bits": "(loop (local.set $l (i64.add (local.get $l) (i64.const 3))) (br 0))",
    "only above 32 bits": "(loop (local.set $l (i64.add (i64.const 0x500000000) (local.get $l))) (br 0))",
    "only above 32 bits, last": "(loop (local.set $l (i64.add (local.get $l) (i64.const 0x500000000))) (br 0))",
    "compared": "(loop (br_if 0 (i32.ne (local.tee $i (i32.add (local.get $i) (i32.const 2))) (i32.const 0))))",
    "by way of another": f"(loop {NEXT.format(step=4).replace('set $i', 'set $t')} (local.set $i (local.get $t)) (br 0))",
    "by way of another that is set again": f"""(loop {NEXT.format(step=4).replace("set $i", "set $t")}
        (local.set $t (local.get $k)) (local.set $i (local.get $t)) (br 0))""",
    "the other one's sum": f"(loop {NEXT.format(step=4).replace('set $i', 'set $t')} (local.set $k (local.get $t)) (br 0))",
    "set again in an arm": f"(loop {NEXT.format(step=1)} (if (local.get $k) (then (local.set $i (local.get $k)))) (br 0))",
    "behind an arm that goes back": f"(loop (if (local.get $k) (then (br 1))) {NEXT.format(step=1)} (br 0))",
    "in a block that is left": f"(loop (block (br_if 0 (local.get $k)) {NEXT.format(step=1)}) (br 0))",
    "in a block that nobody leaves": f"(loop (block {NEXT.format(step=1)}) (br 0))",
    "from a constant": "(loop (local.set $i (i32.sub (i32.const 3) (local.get $i))) (br 0))",
    "in dead code": f"(loop (br 0) {NEXT.format(step=1)})",
    "behind a dead arm": f"(loop (block (block (br_if 0 (local.get $k)) (br 1)) (br 1)) {NEXT.format(step=1)} (br 0))",
    "in the frame": f"(loop {MANY} {NEXT.format(step=1)} (br 0))",
    "in a loop around": f"(loop (loop {NEXT.format(step=1)} (br_if 0 (i32.and (local.get $i) (i32.const 1)))) (br 0))",
    "of a parameter": f"(i32.const 7) (loop (param i32) {NEXT.format(step=1)} (br 0)) (unreachable)",
    "nothing": "(loop (br 0))",
}
LOCALS = "(local $i i32) (local $t i32) (local $l i64) " + " ".join(f"(local $h{i} i32)" for i in range(14))


def function(name: str, body: str, result: str = "") -> str:
    return f'(func (export "{name}") (param $k i32) {result} {LOCALS} (local.set $i (local.get $k)) {body})'


@pytest.fixture(scope="module", params=["plain", "checked"])
def engine(request: pytest.FixtureRequest) -> Engine:
    return Engine(Config(debug_checks=request.param == "checked"))


@pytest.mark.parametrize("case", ENDLESS)
def test_endless_loops_stop(engine: Engine, case: str) -> None:
    store = Store(engine)
    store.set_timeout(0.03)
    module = Module(engine, f"(module {function('f', ENDLESS[case])})")
    with pytest.raises(wasmrt.Trap) as caught:
        Instance(store, module, []).exports(store)["f"](store, 5)
    assert caught.value.trap_code == wasmrt.TrapCode.INTERRUPT


@pytest.mark.parametrize("fuel", [False, True])
def test_asking_changes_nothing(fuel: bool) -> None:
    """Loops of a few thousand iterations, with ticks in between."""
    engine = Engine(Config(consume_fuel=fuel))
    steps = (1, -1, 3, 8, -4096, 1 << 20)
    text = "".join(
        function(
            f"f{n}",
            f"""(loop {NEXT.format(step=step)} (local.set $t (i32.add (local.get $t) (local.get $i)))
                (br_if 0 (local.tee $k (i32.sub (local.get $k) (i32.const 1))))) (local.get $t)""",
            "(result i32)",
        )
        for n, step in enumerate(steps)
    )
    store = Store(engine)
    if fuel:
        store.set_fuel(1 << 40)
    store.set_timeout(60)
    exports = Instance(store, Module(engine, f"(module {text})"), []).exports(store)
    for n, step in enumerate(steps):
        for count in (1, 2, 255, 256, 257, 1025, 4100):
            total = sum(count + step * (i + 1) for i in range(count)) & 0xFFFF_FFFF
            assert exports[f"f{n}"](store, count) & 0xFFFF_FFFF == total, (step, count)
