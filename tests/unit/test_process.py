"""What happens to the process around guest code: threads, exits, executable pages (test_signals.py has more of signals). Each runs in a child process."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

Wat = Callable[[str], bytes]

PRELUDE = """
import faulthandler, os, signal, sys, threading, time
import wasmrt
from wasmrt import Engine, Func, FuncType, Instance, Module, Store, Trap, ValType
wasm = bytes.fromhex(sys.argv[1])
engine = Engine()
def instance(store):
    return Instance(store, Module(engine, wasm), []).exports
"""

GUEST = """(module
  (memory (export "memory") 1) (table (export "table") 2 funcref) (global (export "number") (mut i32) (i32.const 0))
  (func (export "spin") (loop (br 0)))
  (func (export "count") (param i64) (result i64) (local i64)
    (loop (local.set 1 (i64.add (local.get 1) (i64.const 1))) (br_if 0 (i64.lt_u (local.get 1) (local.get 0)))) (local.get 1))
  (func (export "oob") (result i32) (i32.load (i32.const 65536)))
  (func $deep (export "deep") (call $deep))
  (func (export "div") (param i32) (result i32) (i32.div_u (i32.const 1) (local.get 0))))"""


def run(wat: Wat, body: str, repository: Path, *, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    program = PRELUDE + textwrap.dedent(body)
    environment = dict(os.environ, PYTHONPATH=str(repository))
    return subprocess.run(
        [sys.executable, "-c", program, wat(GUEST).hex()], capture_output=True, text=True, timeout=timeout, env=environment
    )


def passes(wat: Wat, body: str, repository: Path) -> None:
    done = run(wat, body, repository)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip().endswith("done"), done.stdout + done.stderr


TRAPS_STILL_WORK = """
exports = instance(Store(engine))
for name in ("oob", "deep"):
    try:
        exports[name]()
        raise SystemExit("no trap")
    except Trap as trap:
        pass
"""


def test_other_threads_run_while_a_guest_loops(wat: Wat, repository: Path) -> None:
    passes(
        wat,
        """
        ticks = 0
        stop = False
        def count():
            global ticks
            while not stop:
                ticks += 1
                time.sleep(0.001)
        thread = threading.Thread(target=count)
        thread.start()
        store = Store(engine)
        store.set_timeout(0.5)
        try:
            instance(store).spin()
        except Trap:
            pass
        stop = True
        thread.join()
        assert ticks > 50, ticks
        print("done")
        """,
        repository,
    )


def test_a_store_is_used_by_one_thread_at_a_time(wat: Wat, repository: Path) -> None:
    passes(
        wat,
        """
        import wasmrt.component
        component = wasmrt.component.Component(engine, "(component (core module $m (memory 1)) (core instance (instantiate $m)))")
        store = Store(engine)
        exports = instance(store)
        exports.spin, exports.div, exports["memory"], exports["table"], exports["number"]
        store.set_timeout(1)
        def spin():
            try:
                exports.spin()
            except Trap:
                pass
        thread = threading.Thread(target=spin)
        thread.start()
        time.sleep(0.2)
        module, memory = Module(engine, wasm), exports["memory"]
        table, number = exports["table"], exports["number"]
        i32 = FuncType([ValType.i32()], [])
        linker = wasmrt.Linker(engine)
        for use in (
            lambda: exports.div(1),
            lambda: Instance(store, module, []),
            lambda: linker.instantiate(store, module),
            lambda: linker.instantiate_pre(module).instantiate(store),
            lambda: Func(store, i32, print),
            lambda: memory.grow(store, 1),
            lambda: table.grow(store, 1, None),
            lambda: table.set(store, 0, None),
            lambda: wasmrt.Memory(store, wasmrt.MemoryType(wasmrt.Limits(1, None))),
            lambda: wasmrt.Global(store, wasmrt.GlobalType(ValType.i32(), True), wasmrt.Val.i32(1)),
            lambda: wasmrt.component.Linker(engine).instantiate(store, component),
        ):
            try:
                use()
            except wasmrt.WasmError as error:
                assert "another thread" in str(error), error
            else:
                raise SystemExit("no error")
        thread.join()
        assert memory.grow(store, 1) == 1
        assert exports.div(1) == 1
        print("done")
        """,
        repository,
    )


def test_deep_recursion_on_a_thread(wat: Wat, repository: Path) -> None:
    passes(
        wat,
        """
        seen = []
        def deep():
            try:
                instance(Store(engine)).deep()
            except Trap as trap:
                seen.append(str(trap.trap_code))
        threading.stack_size(256 * 1024)
        thread = threading.Thread(target=deep)
        thread.start()
        thread.join()
        assert len(seen) == 1, seen
        print("done")
        """,
        repository,
    )


def test_exit_with_a_guest_on_a_daemon_thread(wat: Wat, repository: Path) -> None:
    done = run(
        wat,
        """
        threading.Thread(target=lambda: instance(Store(engine)).spin(), daemon=True).start()
        time.sleep(0.2)
        print("done", flush=True)
        """,
        repository,
    )
    assert done.returncode == 0, done.stderr


def test_no_page_is_writable_and_executable(wat: Wat, repository: Path) -> None:
    """In a process of its own: libffi, which other tests load, makes such pages."""
    passes(
        wat,
        """
        def pages():
            with open("/proc/self/maps") as maps:
                return [line for line in maps if "wx" in line.split()[1]]
        exports = instance(Store(engine))
        double = Func(Store(engine), FuncType([ValType.i32()], [ValType.i32()]), lambda n: 2 * n)
        assert exports.div(1) == 1 and double(2) == 4
        assert not pages(), pages()
        print("done")
        """,
        repository,
    )


def test_the_gil_is_back_after_large_data_segments(wat: Wat, repository: Path) -> None:
    """They are copied without it; whoever makes the instance goes on as Python code."""
    passes(
        wat,
        """
        module = Module(engine, '(module (memory (export "m") 64) (data (i32.const 0) "' + "x" * (2 << 20) + '"))')
        for _ in range(3):
            store = Store(engine)
            assert Instance(store, module, []).exports["m"].read(store, (2 << 20) - 1, (2 << 20) + 1) == b"x\\0"
        print("done")
        """,
        repository,
    )
