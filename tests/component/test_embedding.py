"""Components as a program sees them: identity of types, what errors say, and what neither guests nor misuse can do to the process."""

from __future__ import annotations

import copy
import gc
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import wasmrt
from wasmrt.component import Component, ExportIndex, Linker, ResourceHost, ResourceType

SHARES_A_TYPE = """
(component
  (import "x" (type $x (sub resource)))
  (export "y" (type $x))
  (import "f" (func (param "x" (borrow $x)))))
"""

CALLS_THE_HOST = """
(component
  (import "h" (func $h (param "x" u32) (result u32)))
  (core func $h' (canon lower (func $h)))
  (core module $M
    (import "" "h" (func $h (param i32) (result i32)))
    (func $run (export "run") (param i32) (result i32) (call $h (local.get 0))))
  (core instance $m (instantiate $M (with "" (instance (export "h" (func $h'))))))
  (func (export "run") (param "x" u32) (result u32) (canon lift (core func $m "run")))
  (export "h2" (func $h)))
"""


@pytest.fixture(scope="module")
def engine() -> wasmrt.Engine:
    return wasmrt.Engine()


def calls_the_host(store: wasmrt.Store, function: Callable[..., Any]) -> Any:
    linker = Linker(store.engine)
    linker.root().func("h")(function)
    return linker.instantiate(store, Component(store.engine, CALLS_THE_HOST))


# ---- types ------------------------------------------------------------------------------------------------------------------------------------------


def test_abstract_resources_of_two_components_are_unequal(engine: wasmrt.Engine) -> None:
    one, two = Component(engine, SHARES_A_TYPE), Component(engine, SHARES_A_TYPE)
    imported = one.type.imports(engine)["x"]
    assert imported == one.type.exports(engine)["y"] == one.component_type().imports()["x"]
    assert imported == copy.copy(one).type.imports()["x"]
    found = one.export_index(None, "y")
    assert found is not None and found[0] == imported and "x" in str(one.type.imports()["f"])
    assert imported != two.type.imports()["x"] and one.type.imports()["f"] != two.type.imports()["f"]
    again = Component.deserialize(engine, one.serialize())
    assert again.type.imports()["x"] not in (imported, two.type.imports()["x"])
    assert again.type.imports()["x"] == again.type.exports()["y"]


def test_instantiation_substitutes_the_type(engine: wasmrt.Engine) -> None:
    component = Component(engine, SHARES_A_TYPE)
    linker = Linker(engine)
    linker.root().add_resource("x", str)
    linker.root().func("f")(print)
    instance = linker.instantiate(wasmrt.Store(engine), component)
    assert instance.get_resource("y") == ResourceType.host(str) != component.type.exports()["y"].ty


def test_copies_are_handles_on_the_same_code(engine: wasmrt.Engine) -> None:
    component = Component(engine, "(component)")
    module = wasmrt.Module(engine, "(module)")
    for original in (component, module):
        for other in (copy.copy(original), copy.deepcopy(original)):
            assert other is not original and other.image_range() == original.image_range()
    config = wasmrt.Config(consume_fuel=True)
    for made in (copy.copy(config), copy.deepcopy(config)):
        made.consume_fuel = False
        assert config.consume_fuel


def test_indices_that_nobody_gave_out_find_nothing(engine: wasmrt.Engine) -> None:
    component = Component(engine, '(component (component $c) (export "c" (component $c)))')
    instance = Linker(engine).instantiate(wasmrt.Store(engine), component)
    for number in (999, -1):
        index = ExportIndex._of(component.id, number)
        assert component.export_index(index, "c") is None and instance.get_func(index) is None


def test_an_exported_component_is_its_type(engine: wasmrt.Engine) -> None:
    component = Component(engine, '(component (component $c (import "f" (func))) (export "c" (component $c)))')
    instance = Linker(engine).instantiate(wasmrt.Store(engine), component)
    assert list(dict(instance.exports)) == ["c"]
    assert instance.exports["c"] == component.type.exports()["c"]


NAMED_IN_AN_INSTANCE = """
(component
  (component $C
    (core module $M (func (export "make") (result i32) unreachable) (func (export "use") (param i32) (result i32) unreachable))
    (core instance $m (instantiate $M))
    (type $r' (resource (rep i32)))
    (export $r "thing" (type $r'))
    (func (export "make") (result (own $r)) (canon lift (core func $m "make")))
    (func (export "use") (param "self" (borrow $r)) (result bool) (canon lift (core func $m "use"))))
  (instance $c (instantiate $C))
  (export "a:b/things@1.0.0" (instance $c)))
"""


def test_a_function_shows_its_signature(engine: wasmrt.Engine) -> None:
    instance = Linker(engine).instantiate(wasmrt.Store(engine), Component(engine, NAMED_IN_AN_INSTANCE))
    things = instance.exports["a:b/things@1.0.0"]
    assert repr(things.make) == "<wasmrt.component.Func a:b/things@1.0.0#make: func() -> thing>"
    assert repr(things.use) == "<wasmrt.component.Func a:b/things@1.0.0#use: func(self: borrow<thing>) -> bool>"
    assert "defined by a guest" in repr(things.thing) and "thing" in repr(things.thing)


@pytest.mark.parametrize(
    "module",
    [
        '(module (func (export "f") (result i64) (i64.const 1)))',
        '(module (func (export "f") (param i32) (result i32) (i32.const 1)))',
        '(module (memory (export "f") 1))',
        "(module)",
        '(module (import "" "x" (func)) (func (export "f") (result i32) (i32.const 1)))',
    ],
)
def test_a_module_of_another_type_is_refused_when_linking(engine: wasmrt.Engine, module: str) -> None:
    component = Component(
        engine,
        """(component
          (import "m" (core module $m (export "f" (func (result i32)))))
          (core instance $i (instantiate $m))
          (func (export "f") (result u32) (canon lift (core func $i "f"))))""",
    )
    linker = Linker(engine)
    linker.allow_shadowing = True
    linker.root().add_module("m", wasmrt.Module(engine, module))
    with pytest.raises(wasmrt.LinkError, match="module `m`.*of another type"):
        linker.instantiate(wasmrt.Store(engine), component)
    linker.root().add_module("m", wasmrt.Module(engine, '(module (func (export "g")) (func (export "f") (result i32) (i32.const 9)))'))
    assert linker.instantiate(wasmrt.Store(engine), component).exports.f() == 9


# ---- calls ------------------------------------------------------------------------------------------------------------------------------------------


def test_an_import_exported_again_can_be_called(engine: wasmrt.Engine) -> None:
    store = wasmrt.Store(engine)
    linker = Linker(engine)
    stores: list[wasmrt.Store] = []
    linker.root().add_func("h", lambda store, x: stores.append(store) or x)  # type: ignore[func-returns-value]
    again = linker.instantiate(store, Component(engine, CALLS_THE_HOST)).get_func("h2")
    assert again(3) == again(store, 3) == 3 and stores == [store, store] and "func(x: u32) -> u32" in repr(again)
    with pytest.raises(wasmrt.ArgumentTypeError, match="given 2, expected 1"):
        again(1, 2)
    with pytest.raises(wasmrt.WasmError, match="another store"):
        again(wasmrt.Store(engine), 1)


def test_exceptions_of_host_functions_note_the_wasm_frames(engine: wasmrt.Engine) -> None:
    def fails(x: int) -> int:
        raise KeyError(x)

    store = wasmrt.Store(engine)
    inner = calls_the_host(store, fails)
    outer = calls_the_host(store, lambda x: inner.exports.run(x))
    with pytest.raises(KeyError) as caught:
        outer.exports.run(7)
    (note,) = caught.value.__notes__
    assert note.startswith("error while executing at wasm backtrace:") and note.count("M!run") == 2


def test_an_exception_raised_over_and_over_keeps_few_notes(engine: wasmrt.Engine) -> None:
    exception = ValueError("the same")

    def fails(x: int) -> int:
        raise exception

    for _ in range(40):
        with pytest.raises(ValueError, match="the same"):
            calls_the_host(wasmrt.Store(engine), fails).exports.run(1)
    assert 1 <= len(exception.__notes__) <= 16


def test_a_store_cannot_be_closed_while_it_runs(engine: wasmrt.Engine) -> None:
    store = wasmrt.Store(engine)
    instance = calls_the_host(store, lambda x: store.close())
    with pytest.raises(wasmrt.WasmError, match="while it runs"):
        instance.exports.run(1)
    with pytest.raises(wasmrt.Trap, match="cannot enter component instance"):
        instance.exports.run(1)


def test_dropping_in_another_store_is_refused(engine: wasmrt.Engine) -> None:
    store = wasmrt.Store(engine)
    handle = ResourceHost.own(3, 7).to_any(store)
    with pytest.raises(wasmrt.WasmError, match="belongs to another store"):
        handle.drop(wasmrt.Store(engine))
    with pytest.raises(wasmrt.WasmError, match="belongs to another store"):
        handle.to_host(wasmrt.Store(engine))
    with pytest.raises(wasmrt.ArgumentTypeError):
        handle.drop(3)
    handle.drop(store)


def overlapping(ty: str, count: int, size: int) -> str:
    """A guest of 256 pages whose result is `count` lists of `size` bytes, all of them the same place."""
    return f"""
    (component
      (core module $M
        (memory (export "mem") 256)
        (func (export "run") (result i32) (local i32)
          (loop
            (i32.store (i32.add (i32.const 1028) (i32.mul (local.get 0) (i32.const 8))) (i32.const {size}))
            (local.set 0 (i32.add (local.get 0) (i32.const 1)))
            (br_if 0 (i32.lt_u (local.get 0) (i32.const {count}))))
          (i32.store (i32.const 8) (i32.const 1024)) (i32.store (i32.const 12) (i32.const {count})) (i32.const 8)))
      (core instance $m (instantiate $M))
      (func (export "run") (result (list {ty})) (canon lift (core func $m "run") (memory (core memory $m "mem")))))
    """


@pytest.mark.parametrize("ty", ["(list u8)", "string", "(list (tuple u8))"])
def test_lists_that_overlap_do_not_multiply_a_guests_memory(engine: wasmrt.Engine, ty: str) -> None:
    instance = Linker(engine).instantiate(wasmrt.Store(engine), Component(engine, overlapping(ty, 1_000_000, 8_000_000)))
    with pytest.raises(wasmrt.Trap, match="lifted values are too large"):
        instance.exports.run()


def test_lists_that_overlap_a_little_are_fine(engine: wasmrt.Engine) -> None:
    instance = Linker(engine).instantiate(wasmrt.Store(engine), Component(engine, overlapping("(list u8)", 1000, 50_000)))
    assert list(map(len, instance.exports.run())) == [50_000] * 1000


OWNS = """
(component
  (core module $D (func (export "dtor") (param i32) unreachable))
  (core instance $d (instantiate $D))
  (type $r' (resource (rep i32) (dtor (core func $d "dtor"))))
  (export $r "r" (type $r'))
  (core func $new (canon resource.new $r'))
  (core module $M (import "" "new" (func $new (param i32) (result i32))) (func (export "make") (result i32) (call $new (i32.const 7))))
  (core instance $m (instantiate $M (with "" (instance (export "new" (func $new))))))
  (func (export "make") (result (own $r)) (canon lift (core func $m "make"))))
"""


def test_closing_a_store_discards_owned_resources_with_a_warning(engine: wasmrt.Engine) -> None:
    store = wasmrt.Store(engine)
    make = Linker(engine).instantiate(store, Component(engine, OWNS)).exports.make
    held, queued = make(), make()
    del queued
    with pytest.warns(ResourceWarning, match="1 owned resources were not dropped"):
        store.close()
    with pytest.warns(ResourceWarning, match="an owned r was not dropped"):
        del held


def test_a_store_that_nobody_closed_warns_of_owned_resources_too(engine: wasmrt.Engine) -> None:
    store = wasmrt.Store(engine)
    make = Linker(engine).instantiate(store, Component(engine, OWNS)).exports.make
    held = make()
    del held  # its destructor would run at the next call
    with pytest.warns(ResourceWarning, match="1 owned resources were not dropped before their store was freed"):
        del make, store
        gc.collect()


# ---- sources ----------------------------------------------------------------------------------------------------------------------------------------


def test_sources_of_the_wrong_type(engine: wasmrt.Engine) -> None:
    for source in ("(component)", 10**12, None):
        with pytest.raises(wasmrt.ArgumentTypeError, match="expected bytes-like"):
            Component.from_binary(engine, source)
        with pytest.raises(wasmrt.ArgumentTypeError, match="contiguous bytes"):
            Component.deserialize(engine, source)


# ---- the process ------------------------------------------------------------------------------------------------------------------------------------

STRESS = """
(component
  (import "h" (func $h (param "s" string) (result (list u8))))
  (import "t" (type $t (sub resource)))
  (core module $L
    (memory (export "mem") 1) (table 10 funcref)
    (func (export "dtor") (param i32))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024)))
  (core instance $l (instantiate $L))
  (core func $h' (canon lower (func $h) (memory (core memory $l "mem")) (realloc (core func $l "realloc"))))
  (type $r' (resource (rep i32) (dtor (core func $l "dtor"))))
  (export $r "r" (type $r'))
  (core func $new (canon resource.new $r'))
  (core module $M
    (import "" "h" (func $h (param i32 i32 i32)))
    (import "" "new" (func $new (param i32) (result i32)))
    (func (export "run") (param i32 i32) (result i32) (call $h (local.get 0) (local.get 1) (i32.const 8)) (i32.const 8))
    (func (export "make") (result i32) (call $new (i32.const 7)))
    (func (export "hold") (param i32)))
  (core instance $m (instantiate $M (with "" (instance (export "h" (func $h')) (export "new" (func $new))))))
  (func (export "run") (param "s" string) (result (list u8))
    (canon lift (core func $m "run") (memory (core memory $l "mem")) (realloc (core func $l "realloc"))))
  (func (export "make") (result (own $r)) (canon lift (core func $m "make")))
  (func (export "hold") (param "t" (own $t)) (canon lift (core func $m "hold"))))
"""

PROLOGUE = f"""
import gc, sys, threading
import wasmrt
from wasmrt.component import Component, Linker
engine = wasmrt.Engine()
component = Component(engine, '''{STRESS}''')
class Thing: pass
def make():
    store, linker, box = wasmrt.Store(engine), Linker(engine), []
    linker.root().func("h")(lambda text: (box, text.encode())[1])
    linker.root().add_resource("t", Thing)
    instance = linker.instantiate(store, component)
    box.append(instance)  # a host function that captures its instance
    return instance
def use(instance, text):
    assert instance.exports.run(text) == text.encode()
    instance.exports.hold(Thing())
    return instance.exports.make()
def executable():
    lines = [line.split() for line in open("/proc/self/maps")]
    assert not [line for line in lines if "w" in line[1] and "x" in line[1]]
    return {{line[0] for line in lines if "x" in line[1]}}
"""


def run_child(script: str, repository: Path, *flags: str) -> str:
    done = subprocess.run([sys.executable, *flags, "-c", PROLOGUE + script], cwd=repository, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.skipif(os.environ.get("WASMRT_VARIANT") == "asan", reason="the sanitizer keeps freed memory")
def test_ten_thousand_instances_leave_nothing(repository: Path) -> None:
    script = """
def rss_bytes(): return int(open("/proc/self/statm").read().split()[1]) * 4096
def go(count):
    for number in range(count):
        instance = make()
        handle = use(instance, "text")
        if number % 3 == 0: handle.drop()
        if number % 2: instance.store.close()
    gc.collect()
go(500)
before, maps = rss_bytes(), len(open("/proc/self/maps").readlines())
go(9500)
assert rss_bytes() - before < 16 << 20, (before, rss_bytes())
assert len(open("/proc/self/maps").readlines()) - maps < 50
"""
    run_child(script, repository)


def test_no_executable_page_appears_after_a_component_is_made(repository: Path) -> None:
    script = """
use(make(), "warm")  # extension modules that load late
loaded = Component.deserialize(engine, component.serialize())
before = executable()
instance = make()
use(instance, "a").drop()
instance.store.close()
component = loaded
instance = make()
use(instance, "b").drop()
start, end = loaded.image_range()
for name in ("run", "make", "hold"):
    ref = instance.exports[name].func_ref
    assert start <= ref.array_call < end and start <= ref.wasm_call < end
assert executable() == before
"""
    run_child(script, repository)


def test_two_hundred_threads_with_a_store_each(repository: Path) -> None:
    script = """
failures = []
def work(number):
    try:
        instance = make()
        for i in range(20): use(instance, str(number * i))
    except BaseException as error:
        failures.append(repr(error))
threads = [threading.Thread(target=work, args=(number,)) for number in range(200)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert not failures, failures[:3]
"""
    run_child(script, repository)


def test_the_interpreter_ends_with_everything_alive(repository: Path) -> None:
    script = """
import atexit
instance = make()
handle, function = use(instance, "x"), instance.exports.run
atexit.register(lambda: print("at exit", function("a")))
class Late:
    def __del__(self):
        function("late")
cycle = [Late(), instance, handle]
cycle.append(cycle)
sys.kept = (cycle, function)
"""
    assert run_child(script, repository, "-X", "dev") == "at exit b'a'\n"


def test_other_stores_go_on_after_a_trap_on_another_thread(engine: wasmrt.Engine) -> None:
    component = Component(
        engine,
        """(component
          (core module $M (func (export "trap") unreachable) (func (export "ok") (result i32) (i32.const 1)))
          (core instance $m (instantiate $M))
          (func (export "trap") (canon lift (core func $m "trap")))
          (func (export "ok") (result u32) (canon lift (core func $m "ok"))))""",
    )
    good = Linker(engine).instantiate(wasmrt.Store(engine), component)
    traps: list[Any] = []

    def trap() -> None:
        for _ in range(50):
            bad = Linker(engine).instantiate(wasmrt.Store(engine), component)
            try:
                bad.exports.trap()
            except wasmrt.Trap as error:
                traps.append(error.trap_code)

    threads = [threading.Thread(target=trap) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert all(good.exports.ok() == 1 for _ in range(1000))
    for thread in threads:
        thread.join()
    assert traps == [wasmrt.TrapCode.UNREACHABLE] * 200
