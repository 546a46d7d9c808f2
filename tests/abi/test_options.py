"""Owns `func.with_options`: who holds the GIL, what lists come back as, borrowed results and what they forbid, timeouts."""

from __future__ import annotations

import array
import gc
import sys
import threading
import time
from typing import Any

import numpy
import pytest

import wasmrt
from wasmrt import ArgumentTypeError, ArgumentValueError, Config, Engine, Store, Trap, TrapCode, WasmError
from wasmrt.component import Component, Linker

GUEST = """(component
  (import "call-back" (func $back))
  (core module $Main
    (import "" "back" (func $back))
    (memory (export "memory") 2)
    (global $returned (mut i32) (i32.const 0))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536))
    (func (export "pair") (param i32 i32) (result i32)
      (i32.store (i32.const 16) (local.get 0)) (i32.store (i32.const 20) (local.get 1)) (i32.const 16))
    (func (export "post") (param i32) (global.set $returned (i32.add (global.get $returned) (i32.const 1))))
    (func (export "bad-post") (param i32) unreachable)
    (func (export "returned") (result i32) (global.get $returned))
    (func (export "poke") (param i32) (i32.store8 (i32.const 65536) (local.get 0)))
    (func (export "back") (call $back))
    (func (export "spin") (loop $again (br $again)))
    (func (export "count") (param $n i32) (result i32)
      (loop $again (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1))))) (local.get $n)))
  (core func $back-core (canon lower (func $back)))
  (core instance $m (instantiate $Main (with "" (instance (export "back" (func $back-core))))))
  (alias core export $m "memory" (core memory $memory))
  (alias core export $m "realloc" (core func $realloc))
  (func (export "bytes") (param "v" (list u8)) (result (list u8))
    (canon lift (core func $m "pair") (memory $memory) (realloc $realloc) (post-return (core func $m "post"))))
  (func (export "doubles") (param "v" (list f64)) (result (list f64))
    (canon lift (core func $m "pair") (memory $memory) (realloc $realloc) (post-return (core func $m "post"))))
  (func (export "words") (param "v" (list s16)) (result (list s16))
    (canon lift (core func $m "pair") (memory $memory) (realloc $realloc)))
  (func (export "bools") (param "v" (list u8)) (result (list bool))
    (canon lift (core func $m "pair") (memory $memory) (realloc $realloc)))
  (func (export "bad") (param "v" (list u8)) (result (list u8))
    (canon lift (core func $m "pair") (memory $memory) (realloc $realloc) (post-return (core func $m "bad-post"))))
  (func (export "text") (param "v" string) (result string)
    (canon lift (core func $m "pair") (memory $memory) (realloc $realloc) (post-return (core func $m "post"))))
  (func (export "returned") (result s32) (canon lift (core func $m "returned")))
  (func (export "poke") (param "v" u8) (canon lift (core func $m "poke")))
  (func (export "back") (canon lift (core func $m "back")))
  (func (export "spin") (canon lift (core func $m "spin")))
  (func (export "count") (param "n" s32) (result s32) (canon lift (core func $m "count"))))"""

CORE = """(module (memory (export "memory") 1)
  (func (export "spin") (loop $again (br $again)))
  (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1))))"""


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine()


@pytest.fixture(scope="module")
def component(engine: Engine) -> Component:
    return Component(engine, GUEST)


def instance_of(component: Component, back: Any = lambda _store: None) -> Any:
    linker = Linker(component.engine)
    linker.root().add_func("call-back", back)
    return linker.instantiate(Store(component.engine), component)


@pytest.fixture
def guest(component: Component) -> Any:
    return instance_of(component)


# ---- results ----------------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "given", "letter"),
    [("bytes", b"\x01\x02\xff", "B"), ("doubles", [0.5, -1.0, 1e300], "d"), ("words", [-1, 2, 32767], "h")],
)
@pytest.mark.parametrize("copy", [True, False])
def test_results_as_buffers(guest: Any, name: str, given: Any, letter: str, copy: bool) -> None:
    func = guest.get_func(name)
    view = func.with_options(results="memoryview", copy=copy)(given)
    assert type(view) is memoryview and view.format == letter and list(view) == list(given)
    assert view.readonly is not copy
    view.release()
    found = func.with_options(results="numpy", copy=copy)(given)
    assert type(found) is numpy.ndarray and found.dtype == numpy.dtype(letter) and found.tolist() == list(given)
    assert found.flags.writeable is copy
    del found
    items = func.with_options(results="array")(given)
    assert type(items) is array.array and items.typecode == letter and items.tolist() == list(given)
    assert func(given) == given


@pytest.mark.parametrize("results", ["memoryview", "array", "numpy"])
@pytest.mark.parametrize("copy", [True, False])
def test_empty_results(guest: Any, results: str, copy: bool) -> None:
    if results == "array" and not copy:
        return
    found = guest.get_func("doubles").with_options(results=results, copy=copy)([])
    assert len(found) == 0 and found.itemsize == 8
    del found
    assert guest.get_func("returned")() == 1


@pytest.mark.parametrize("copy", [True, False])
def test_bools_are_copied_and_0_or_1(guest: Any, copy: bool) -> None:
    """A guest may write other bytes for true."""
    func = guest.get_func("bools").with_options(results="memoryview", copy=copy)
    found = func(b"\x00\x01\x02\xff")
    assert found.format == "?" and found.tobytes() == b"\x00\x01\x01\x01"
    assert guest.get_func("bools").with_options(results="numpy")(b"\x07\x00").tolist() == [True, False]
    assert guest.get_func("bools").with_options(results="array")(b"\x07\x00") == [True, False]


def test_results_that_are_no_lists_are_as_always(guest: Any) -> None:
    assert guest.get_func("text").with_options(results="numpy", copy=False)("grün") == "grün"
    assert guest.get_func("returned").with_options(results="array")() == 1


# ---- borrowed results -------------------------------------------------------------------------------------------------------------------------------


def test_a_borrowed_view_is_guest_memory_until_it_is_released(guest: Any) -> None:
    borrowing = guest.get_func("bytes").with_options(copy=False)
    with borrowing(b"abc") as view:
        assert view == b"abc"
        with pytest.raises(WasmError, match="still borrowed"):
            guest.get_func("returned")()
        with pytest.raises(WasmError, match="still borrowed"):
            borrowing(b"x")
        assert view == b"abc"
    with pytest.raises(ValueError, match="released"):
        view[0]
    assert guest.get_func("returned")() == 1
    assert borrowing(b"def").tobytes() == b"def"  # dropped at once, without release
    assert guest.get_func("returned")() == 2


def test_what_was_released_is_not_exported_again(guest: Any) -> None:
    view = guest.get_func("bytes").with_options(copy=False)(b"abc")
    items = view.obj
    view.release()
    for _ in range(2):
        with pytest.raises(BufferError, match="was released"):
            memoryview(items)
        with pytest.raises(ArgumentValueError, match="argument 'v': .* cannot be read: this borrowed result was released"):
            guest.get_func("bytes")(items)
    assert guest.get_func("returned")() == 1


def test_parts_of_a_view_hold_the_borrow(guest: Any) -> None:
    view = guest.get_func("doubles").with_options(copy=False, results="numpy")([1.0, 2.0, 3.0])
    part = view[1:]
    del view
    with pytest.raises(WasmError, match="still borrowed"):
        guest.get_func("poke")(1)
    assert part.tolist() == [2.0, 3.0]
    del part
    assert guest.get_func("returned")() == 1


def test_dropping_a_view_runs_nothing_until_the_next_entry(guest: Any) -> None:
    store = guest.get_func("returned").store
    view = guest.get_func("bytes").with_options(copy=False)(b"abc")
    cycle: list[Any] = [view]
    cycle.append(cycle)
    del view, cycle
    gc.collect()
    store.gc()  # enters and leaves: post-return ran now
    assert guest.get_func("returned")() == 1


def test_a_borrowed_view_refuses_to_be_written(guest: Any) -> None:
    view = guest.get_func("bytes").with_options(copy=False)(b"abc")
    with pytest.raises(TypeError, match="read-only"):
        view[0] = 1
    with pytest.raises((TypeError, BufferError), match="writable|read-only"):
        (numpy.ctypeslib.ctypes.c_char * 3).from_buffer(view.obj)
    with pytest.raises(WasmError, match="construct"):
        type(view.obj)()


def test_views_outlive_store_and_instance(component: Component) -> None:
    guest = instance_of(component)
    view = guest.get_func("bytes").with_options(copy=False)(b"still here")
    store = guest.get_func("bytes").store
    store.close()
    assert view == b"still here"
    del guest, store
    gc.collect()
    assert view == b"still here"
    view.release()
    guest = instance_of(component)
    view = guest.get_func("bytes").with_options(copy=False)(b"and here")
    del guest
    gc.collect()
    assert view == b"and here"
    del view
    gc.collect()


def test_a_post_return_that_traps_late_is_unraisable_and_closes_the_instance(guest: Any) -> None:
    said: list[Any] = []
    hook, sys.unraisablehook = sys.unraisablehook, lambda info: said.append(info.exc_value)
    try:
        guest.get_func("bad").with_options(copy=False)(b"x").release()
        with pytest.raises(Trap, match="cannot enter"):
            guest.get_func("returned")()
    finally:
        sys.unraisablehook = hook
    assert [type(error) for error in said] == [Trap]


def test_a_view_as_argument_of_its_own_instance_is_refused_and_of_another_copied(component: Component) -> None:
    first, second = instance_of(component), instance_of(component)
    with first.get_func("bytes").with_options(copy=False)(b"between") as view:
        assert second.get_func("bytes")(view) == b"between"
        with pytest.raises(WasmError, match="still borrowed"):
            first.get_func("bytes")(view)


# ---- the GIL ----------------------------------------------------------------------------------------------------------------------------------------


class Counter(threading.Thread):
    """Counts how often it ran, and the longest time that it did not."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.stop = False
        self.turns = 0
        self.longest = 0.0
        self.start()
        while self.turns == 0:
            time.sleep(0.001)

    def run(self) -> None:
        last = time.perf_counter()
        while not self.stop:
            time.sleep(0)  # asks for the GIL anew
            now = time.perf_counter()
            self.longest = max(self.longest, now - last)
            last = now
            self.turns += 1


def others_during(call: Any) -> tuple[int, float]:
    """How often another thread ran during the call, and what part of it was the longest time that it did not."""
    other = Counter()
    before, other.longest = other.turns, 0.0
    started = time.perf_counter()
    call()
    duration = time.perf_counter() - started
    turned = other.turns - before
    other.stop = True
    other.join()
    return turned, other.longest / duration


LONG = 150_000_000  # turns of a loop: about a tenth of a second


def test_other_threads_run_during_a_long_call(guest: Any) -> None:
    count = guest.get_func("count")
    assert others_during(lambda: count(LONG))[0] > 5


def test_others_get_the_gil_within_about_a_millisecond(guest: Any) -> None:
    """The best of some calls, on a machine that others use too: one tick may just have passed, the next one is that of the call."""
    count = guest.get_func("count")
    waits: list[float] = []
    for _ in range(20):
        ran: list[float] = []
        wanted = threading.Event()

        def run(wanted: threading.Event = wanted, ran: list[float] = ran) -> None:
            wanted.wait()
            ran.append(time.perf_counter())

        thread = threading.Thread(target=run)
        thread.start()
        time.sleep(0.001)
        started = time.perf_counter()
        wanted.set()
        count(LONG // 5)
        ended = time.perf_counter()
        thread.join()
        if ran[0] < ended:
            waits.append(ran[0] - started)
    assert min(waits) < 0.004


def test_holding_the_gil_keeps_others_out(guest: Any) -> None:
    count = guest.get_func("count").with_options(gil="hold")
    assert others_during(lambda: count(LONG))[1] > 0.7


def test_released_from_the_start(guest: Any) -> None:
    count = guest.get_func("count").with_options(gil="release")
    assert others_during(lambda: count(LONG))[0] > 5
    assert count(1) == 0


@pytest.mark.parametrize("gil", [None, "hold", "release"])
def test_host_functions_have_the_gil_in_every_mode(component: Component, gil: Any) -> None:
    seen: list[str] = []
    guest = instance_of(component, lambda _store: seen.append(threading.current_thread().name))
    back = guest.get_func("back").with_options(gil=gil)
    for _ in range(100):
        back()
    assert len(seen) == 100


# ---- timeouts ---------------------------------------------------------------------------------------------------------------------------------------


def test_timeouts_interrupt_that_call_alone(component: Component, engine: Engine) -> None:
    guest = instance_of(component)
    quick = guest.get_func("count").with_options(timeout=60)
    assert quick(10) == 0
    started = time.monotonic()
    with pytest.raises(Trap, match=r"timeout of 0\.05 s") as trap:
        guest.get_func("spin").with_options(timeout=0.05)()
    assert trap.value.trap_code == TrapCode.INTERRUPT
    assert 0.04 < time.monotonic() - started < 10
    other = instance_of(component)
    assert other.get_func("count")(1000) == 0
    store = Store(engine)
    core = wasmrt.Instance(store, wasmrt.Module(engine, CORE), []).exports(store)
    for _ in range(2):
        with pytest.raises(Trap, match="timeout") as trap:
            core["spin"].with_options(timeout=0.02)()
    assert trap.value.frames
    assert core["add"](2, 3) == 5 and core["add"].with_options(timeout=5)(store, 2, 3) == 5


def test_the_outer_timeout_bounds_calls_inside(component: Component) -> None:
    inner = instance_of(component)

    def back(_store: Any) -> None:
        inner_in_store.get_func("spin").with_options(timeout=60)()

    linker = Linker(component.engine)
    linker.root().add_func("call-back", back)
    store = Store(component.engine)
    outer = linker.instantiate(store, component)
    inner_in_store = linker.instantiate(store, component)
    with pytest.raises(Trap, match="timeout of 0.05 s"):
        outer.get_func("back").with_options(timeout=0.05)()
    assert inner.get_func("returned")() == 0


def test_the_stores_own_limit_still_holds(guest: Any) -> None:
    store = guest.get_func("spin").store
    store.set_timeout(0.02)
    with pytest.raises(Trap) as trap:
        guest.get_func("spin").with_options(timeout=60)()
    assert trap.value.trap_code == TrapCode.INTERRUPT and "timeout of" not in str(trap.value)


# ---- options themselves -----------------------------------------------------------------------------------------------------------------------------


def test_functions_are_immutable_and_options_add_up(guest: Any) -> None:
    func = guest.get_func("doubles")
    viewing = func.with_options(results="memoryview")
    assert viewing is not func and func([1.0]) == [1.0]
    assert type(viewing.with_options(timeout=60)([1.0])) is memoryview
    assert viewing.with_options(results=None)([1.0]) == [1.0]
    assert viewing(v=[2.0]).tolist() == [2.0] and viewing(func.store, [2.0]).tolist() == [2.0]
    assert viewing.type() == func.type() and viewing.func_ref.array_call == func.func_ref.array_call


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"gil": "maybe"}, ArgumentValueError, "gil is one of None, 'hold', 'release'"),
        ({"gil": True}, ArgumentValueError, "gil"),
        ({"results": "list"}, ArgumentValueError, "results is one of"),
        ({"copy": 1}, ArgumentTypeError, "copy is a bool"),
        ({"results": "array", "copy": False}, ArgumentValueError, "owns its items"),
        ({"timeout": 0}, ArgumentValueError, "more than 0"),
        ({"timeout": -1.0}, ArgumentValueError, "more than 0"),
        ({"timeout": float("nan")}, ArgumentValueError, "more than 0"),
        ({"timeout": float("inf")}, ArgumentValueError, "more than 0"),
        ({"timeout": True}, ArgumentTypeError, "number of seconds"),
        ({"timeout": "1"}, ArgumentTypeError, "number of seconds"),
        ({"speed": 1}, TypeError, "speed"),
    ],
)
def test_bad_options(guest: Any, engine: Engine, options: dict[str, Any], error: type, match: str) -> None:
    with pytest.raises(error, match=match):
        guest.get_func("bytes").with_options(**options)
    store = Store(engine)
    add = wasmrt.Instance(store, wasmrt.Module(engine, CORE), []).exports(store)["add"]
    with pytest.raises(error, match=match):
        add.with_options(**options)


def test_config_sets_the_defaults() -> None:
    engine = Engine(Config(results="memoryview", copy_results=False, timeout=0.05, gil="release"))
    guest = instance_of(Component(engine, GUEST))
    with guest.get_func("bytes")(b"abc") as view:
        assert type(view) is memoryview and view.readonly
    assert guest.get_func("bytes").with_options(results=None, copy=True, timeout=None, gil=None)(b"abc") == b"abc"
    with pytest.raises(Trap, match="timeout"):
        guest.get_func("spin")()
    for bad in ({"gil": 1}, {"results": b""}, {"timeout": "1"}, {"copy_results": 0}):
        with pytest.raises(ArgumentTypeError):
            Config(**bad)
    with pytest.raises(ArgumentValueError, match="gil"):
        Engine(Config(gil="sometimes"))


LATE = """
(component
  (import "wait" (func $wait (result u32)))
  (core func $wait' (canon lower (func $wait)))
  (core module $M (import "" "wait" (func $wait (result i32))) (func (export "run") (result i32) (call $wait)))
  (core instance $m (instantiate $M (with "" (instance (export "wait" (func $wait'))))))
  (func (export "run") (result u32) (canon lift (core func $m "run"))))
"""


def test_a_timeout_is_seen_when_a_host_function_returns(engine: Engine) -> None:
    """Even by a guest that does nothing more than return."""
    nap = [0.0]

    def wait(*_: object) -> int:
        time.sleep(nap[0])
        return 7

    linker: Any = wasmrt.component.Linker(engine)
    with linker.root() as root:
        root.add_func("wait", wait)
    instance = linker.instantiate(wasmrt.Store(engine), wasmrt.component.Component(engine, LATE))
    run = instance.get_func("run").with_options(timeout=0.05)
    assert run() == 7
    nap[0] = 0.1
    with pytest.raises(Trap, match=r"timeout of 0\.05 s") as trap:
        run()
    assert trap.value.trap_code == wasmrt.TrapCode.INTERRUPT

    core_linker = wasmrt.Linker(engine)
    core_linker.define_func("", "wait", wasmrt.FuncType([], [wasmrt.ValType.i32()]), wait)
    text = '(module (import "" "wait" (func $w (result i32))) (func (export "run") (result i32) (call $w)))'
    core: Any = core_linker.instantiate(wasmrt.Store(engine), wasmrt.Module(engine, text)).exports()
    assert core["run"]() == 7
    with pytest.raises(Trap, match=r"timeout of 0\.05 s"):
        core["run"].with_options(timeout=0.05)()
