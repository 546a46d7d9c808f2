"""Owns what goes wrong around a call: buffers that do not fit or change, and host functions that raise, exit, or take their store away."""

from __future__ import annotations

import array
import ctypes
import gc
import subprocess
import sys
import textwrap
import threading
from typing import Any

import numpy
import pytest

from tests.abi.conftest import LIBC, MEM
from wasmrt import (
    ArgumentTypeError,
    ArgumentValueError,
    Engine,
    Func,
    FuncType,
    Limits,
    Memory,
    MemoryType,
    Store,
    ValType,
    WasmError,
)
from wasmrt import component as api

TEXT = f"""(component {LIBC}
  (import "back" (func $back (result s32)))
  (import "thing" (type $thing (sub resource)))
  (core func $back-core (canon lower (func $back)))
  (core func $drop (canon resource.drop $thing))
  (core module $M
    (import "" "back" (func $back (result i32)))
    (import "" "mem" (memory 1))
    (import "" "drop" (func $drop (param i32)))
    (func (export "doubles") (param i32 i32) (result i32)
      (drop (call $back)) (i32.trunc_sat_f64_s (f64.load (local.get 0))))
    (func (export "bytes") (param i32 i32) (result i32) (drop (call $back)) (i32.load8_u (local.get 0)))
    (func (export "lent") (param i32 i32 i32) (result i32)
      (drop (call $back)) (call $drop (local.get 0)) (i32.load8_u (local.get 1)))
    (func (export "back") (result i32) (call $back)))
  (core instance $m (instantiate $M (with "" (instance (export "back" (func $back-core)) (export "mem" (memory $libc "mem")) (export "drop" (func $drop))))))
  (func (export "doubles") (param "values" (list f64)) (result s32) (canon lift (core func $m "doubles") {MEM}))
  (func (export "nested") (param "p" (tuple (list s16) (list s16))) (result s32) (canon lift (core func $n "nested") {MEM}))
  (func (export "bytes") (param "v" (list u8)) (result s32) (canon lift (core func $m "bytes") {MEM}))
  (func (export "lent") (param "t" (borrow $thing)) (param "v" (list u8)) (result s32) (canon lift (core func $m "lent") {MEM}))
  (func (export "back") (result s32) (canon lift (core func $m "back"))))"""
TEXT = TEXT.replace(
    '  (func (export "nested")',
    '  (core module $N (func (export "nested") (param i32 i32 i32 i32) (result i32) (local.get 3)))\n'
    '  (core instance $n (instantiate $N))\n  (func (export "nested")',
)


class Thing:
    pass


@pytest.fixture(scope="module")
def component() -> api.Component:
    return api.Component(Engine(), TEXT)


def instance_of(component: api.Component, back: Any = lambda: 0) -> Any:
    linker = api.Linker(component.engine)
    linker.root().func("back")(back)
    linker.root().add_resource("thing", Thing)
    return linker.instantiate(Store(component.engine), component)


# ---- buffers ----------------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "match"),
    [
        (numpy.arange(4, dtype=">f8"), "4 items|format '>d'"),
        (numpy.arange(4, dtype="f4"), "4-byte items of format 'f'"),
        (numpy.arange(4, dtype="i8"), "8-byte items of format 'l'"),
        (numpy.arange(8.0)[::2], "not C-contiguous"),
        (numpy.arange(4.0)[::-1], "not C-contiguous"),
        (memoryview(array.array("d", [1, 2, 3]))[::2], "not C-contiguous"),
        (b"12345678", "1-byte items"),
        (bytearray(16), "1-byte items"),
        (array.array("q", [1]), "8-byte items of format 'q'"),
        (numpy.array([object()]), "format 'O'"),
        (numpy.zeros(2, dtype=[("a", "f8")]), "format 'T"),
        ("12", "got str"),
        (memoryview(b""), "1-byte items"),
    ],
)
def test_buffers_that_do_not_fit_name_the_parameter(component: api.Component, given: Any, match: str) -> None:
    guest = instance_of(component)
    with pytest.raises(ArgumentTypeError, match=f"argument 'values': .*({match})"):
        guest.get_func("doubles")(given)
    assert guest.get_func("doubles")([2.0]) == 2, "nothing of the guest's ran"


@pytest.mark.parametrize(
    ("given", "match"),
    [
        (numpy.arange(4.0), "8-byte items of format 'd'; memoryview"),
        (array.array("H", [7]), "2-byte items of format 'H'; memoryview"),
        (numpy.array([7], dtype="i1"), "1-byte items of format 'b'; memoryview"),
        (numpy.array([True]), "1-byte items of format '[?]'; memoryview"),
        (numpy.zeros(2, dtype=[("a", "u1")]), "1-byte items of format 'T"),
        (numpy.array([object()]), "8-byte items of format 'O'$"),
        (numpy.arange(8, dtype="u1")[::2], "not C-contiguous"),
    ],
)
def test_bytes_are_made_of_buffers_of_bytes_only(component: api.Component, given: Any, match: str) -> None:
    guest = instance_of(component)
    with pytest.raises(ArgumentTypeError, match=f"argument 'v': expected list<u8>, got a buffer .*{match}"):
        guest.get_func("bytes")(given)
    assert guest.get_func("bytes")(b"\x07") == 7, "nothing of the guest's ran"


def test_what_is_cast_to_bytes_passes_as_such(component: api.Component) -> None:
    number = instance_of(component).get_func("bytes")
    assert number(memoryview(array.array("H", [7])).cast("B")) == 7
    assert number(memoryview(b"\x07").cast("c")) == 7
    assert number(memoryview((ctypes.c_uint8 * 1)(7))) == number((ctypes.c_char * 1)(7)) == 7


def test_the_path_of_a_buffer_inside(component: api.Component) -> None:
    guest = instance_of(component)
    with pytest.raises(
        ArgumentTypeError, match=r"argument 'p'\[1\]: expected list<s16>, got a buffer of 2-byte items of format 'H'"
    ):
        guest.get_func("nested")((array.array("h", [1]), array.array("H", [1])))
    assert guest.get_func("nested")((array.array("h", [1]), numpy.arange(3, dtype="i2"))) == 3


def test_buffers_that_fit(component: api.Component) -> None:
    doubles = instance_of(component).get_func("doubles")
    read_only = numpy.array([7.0, 1.0])
    read_only.flags.writeable = False
    for given in (
        read_only,
        array.array("d", [7.0]),
        memoryview(array.array("d", [7.0])),
        numpy.array([[7.0, 1.0], [2.0, 3.0]]),
        (7.0,),
        [7],
    ):
        assert doubles(given) == 7
    number = instance_of(component).get_func("bytes")
    for given in (
        b"\x07",
        bytearray(b"\x07"),
        memoryview(b"\x07"),
        numpy.array([7], dtype="u1"),
        array.array("B", [7]),
        [7],
        (7,),
    ):
        assert number(given) == 7


def test_a_released_view_is_refused(component: api.Component) -> None:
    guest = instance_of(component)
    view = memoryview(b"abc")
    view.release()
    for name in ("bytes", "doubles"):
        with pytest.raises(ArgumentValueError, match="released"):
            guest.get_func(name)(view)


def test_a_buffer_that_its_exporter_refuses_is_refused_with_its_words(component: api.Component) -> None:
    guest = instance_of(component)
    for name in ("bytes", "doubles"):
        with pytest.raises(ArgumentValueError, match="argument '.*': expected list<.*>, got a buffer that cannot be read: cannot include dtype 'M'"):
            guest.get_func(name)(numpy.zeros(1, dtype="M8[s]"))


@pytest.mark.parametrize("name", ["bytes", "lent"])
def test_buffers_may_be_resized_and_released_during_the_call(component: api.Component, name: str) -> None:
    """They were copied before the guest's function started, and are not held."""
    given = bytearray(b"\x07" * 4096)
    view = memoryview(bytearray(b"\x09" * 10))

    def back() -> int:
        given.clear()
        given.extend(b"\x01" * 100_000)
        view.release()
        return 0

    func = instance_of(component, back).get_func(name)
    arguments: tuple[Any, ...] = (Thing(),) if name == "lent" else ()
    assert func(*arguments, given) == 7 and len(given) == 100_000
    view = memoryview(bytearray(b"\x09" * 10))
    assert func(*arguments, view) == 9


def test_a_list_that_changes_while_it_is_read(component: api.Component) -> None:
    values: list[Any] = []

    class Shrinks(float):
        def __float__(self) -> float:
            values.clear()
            return 1.0

    class Index:
        def __float__(self) -> float:
            values.clear()
            return 1.0

    guest = instance_of(component)
    values += [Index(), *[1.0] * 100]
    with pytest.raises(ArgumentValueError, match="changed while it was read"):
        guest.get_func("doubles")(values)


def test_memory_as_a_buffer_keeps_its_length_when_it_grows() -> None:
    store = Store(Engine())
    memory = Memory(store, MemoryType(Limits(1, 4)))
    seen = numpy.frombuffer(memory, dtype="u1")
    memory.write(b"\x05", 10)
    assert seen[10] == 5 and len(seen) == 65536
    memory.grow(1)
    seen[11] = 6
    assert memory.read(10, 12) == b"\x05\x06" and len(seen) == 65536
    longer = memoryview(memory)
    assert len(longer) == 131072 and not longer.readonly
    store.close()
    del memory, store
    gc.collect()
    assert seen[10] == 5 and longer[11] == 6
    with pytest.raises(IndexError):
        longer[131072]


# ---- host functions ---------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error", [KeyError("x"), SystemExit(3), KeyboardInterrupt(), GeneratorExit(), RecursionError("deep"), MemoryError()]
)
def test_what_a_host_function_raises_comes_out_as_it_is(component: api.Component, error: BaseException) -> None:
    def back() -> int:
        raise error

    guest = instance_of(component, back)
    with pytest.raises(type(error)) as raised:
        guest.get_func("back")()
    assert raised.value is error
    with pytest.raises(WasmError, match="cannot enter"):
        guest.get_func("back")()


@pytest.mark.parametrize("result", [None, "1", 1.5, 1 << 31, [1], object()])
def test_a_host_function_that_returns_the_wrong_thing(component: api.Component, result: Any) -> None:
    with pytest.raises((TypeError, OverflowError), match="result of `back`: .*s32"):
        instance_of(component, lambda: result).get_func("back")()


def test_system_exit_ends_the_thread_and_nothing_else(component: api.Component) -> None:
    def back() -> int:
        sys.exit(0)

    guest = instance_of(component, back)
    reached: list[int] = []

    def run() -> None:
        guest.get_func("back")()
        reached.append(1)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(30)
    assert not thread.is_alive() and not reached
    other = instance_of(component)
    assert other.get_func("back")() == 0


def test_a_host_function_cannot_close_the_store_that_runs(component: api.Component) -> None:
    said: list[str] = []
    keep: list[Any] = []

    def back() -> int:
        with pytest.raises(WasmError, match="while it runs guest code") as raised:
            keep[0].store.close()
        said.append(str(raised.value))
        keep.clear()  # the last references but the call's own
        gc.collect()
        return 5

    keep.append(instance_of(component, back))
    assert keep[0].get_func("back")() == 5 and said
    store = Store(component.engine)
    holder: dict[str, Any] = {}

    def drop(value: int) -> int:
        holder.clear()
        gc.collect()
        return value + 1

    holder["func"] = Func(store, FuncType([ValType.i32()], [ValType.i32()]), drop)
    del store
    assert holder.pop("func")(1) == 2


def test_another_thread_cannot_enter_the_store(component: api.Component) -> None:
    errors: list[BaseException] = []

    def back() -> int:
        def enter() -> None:
            try:
                guest.get_func("back")()
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=enter)
        thread.start()
        thread.join(30)
        return 1

    guest = instance_of(component, back)
    assert guest.get_func("back")() == 1
    assert len(errors) == 1 and "another thread" in str(errors[0])


CHILD = """
import ctypes, os, sys, threading, time
from wasmrt import *
engine = Engine()
text = '''(module (import "h" "f" (func $f (param i32) (result i32)))
  (func (export "call") (param i32) (result i32) (call $f (local.get 0)))
  (func (export "spin") (loop (br 0))))'''
store = Store(engine)
linker = Linker(engine)
i32 = ValType.i32()
def host(value):
    inside.set()
    {body}
    return value
inside = threading.Event()
linker.define_func("h", "f", FuncType([i32], [i32]), host)
exports = linker.instantiate(store, Module(engine, text)).exports(store)
"""


def child(body: str, after: str) -> subprocess.CompletedProcess[str]:
    program = CHILD.replace("{body}", body) + textwrap.dedent(after)
    return subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", program], capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize(
    "body",
    ["time.sleep(0.3)", "time.sleep(30)", "[time.sleep(0.001) for _ in range(10**6)]", "threading.Event().wait(0.3)"],
)
def test_a_daemon_thread_inside_a_host_call_at_exit(body: str) -> None:
    done = child(
        body,
        """
        threading.Thread(target=lambda: exports["call"](1), daemon=True).start()
        inside.wait()
        print("bye")
        """,
    )
    assert (done.returncode, done.stdout) == (0, "bye\n"), done.stderr


def test_a_daemon_thread_inside_guest_code_at_exit() -> None:
    done = child(
        "pass",
        """
        threading.Thread(target=exports["spin"], daemon=True).start()
        time.sleep(0.1)
        print("bye")
        """,
    )
    assert (done.returncode, done.stdout) == (0, "bye\n"), done.stderr


def test_a_thread_that_ends_inside_a_host_call_leaves_its_store_claimed() -> None:
    """A native function that calls pthread_exit: the guest's frames are gone, nobody can run that store again, all else goes on."""
    done = child(
        "pass",
        """
        import _thread
        libc = ctypes.CDLL(None)
        end = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_int32)(("pthread_exit", libc))
        native = Linker(engine)
        native.define_func("h", "f", FuncType([i32], [i32]), end)
        its = Store(engine)
        call = native.instantiate(its, Module(engine, text)).exports(its)["call"].with_options(gil="release")
        _thread.start_new_thread(call, (0,))
        for _ in range(3):
            time.sleep(0.1)
            inside.clear()
            results = []
            thread = threading.Thread(target=lambda: results.append(exports["call"](7)))
            thread.start()
            thread.join()
            assert results == [7]
        def enter():
            try:
                call(0)
            except WasmError as error:
                print("another thread" in str(error))
        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
        sys.stdout.flush()
        os._exit(0)
        """,
    )
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr
