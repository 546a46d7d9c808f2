"""What happens to the process around guest code: signals, faulthandler, forks, threads, other runtimes. Each runs in a child process."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

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
  (memory 1)
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


@pytest.mark.parametrize("order", ["before", "after", "both"])
def test_faulthandler(wat: Wat, repository: Path, order: str) -> None:
    head = "faulthandler.enable()\n" if order != "after" else ""
    tail = "faulthandler.enable()\n" if order != "before" else ""
    body = "engine_made_late = None\n" + tail + TRAPS_STILL_WORK + "print('done')"
    program = "import faulthandler\n" + head + PRELUDE + body
    done = subprocess.run(
        [sys.executable, "-c", program, wat(GUEST).hex()],
        capture_output=True,
        text=True,
        timeout=60,
        env=dict(os.environ, PYTHONPATH=str(repository)),
    )
    assert done.returncode == 0 and done.stdout.strip() == "done", done.stderr


def test_a_foreign_fault_still_kills_with_faulthandlers_report(wat: Wat, repository: Path) -> None:
    done = run(wat, TRAPS_STILL_WORK + "faulthandler.enable()\nimport ctypes\nctypes.string_at(16)", repository)
    assert done.returncode == -11
    assert "Fatal Python error: Segmentation fault" in done.stderr


def test_a_foreign_fault_kills_without_any_other_handler(wat: Wat, repository: Path) -> None:
    assert run(wat, TRAPS_STILL_WORK + "import ctypes\nctypes.string_at(16)", repository).returncode == -11


def test_the_peer_in_the_same_process(wat: Wat, repository: Path) -> None:
    pytest.importorskip("wasmtime")
    passes(
        wat,
        """
        import wasmtime
        peer = wasmtime.Engine()
        peer_store = wasmtime.Store(peer)
        peer_exports = wasmtime.Instance(peer_store, wasmtime.Module(peer, wasm), []).exports(peer_store)
        ours = instance(Store(engine))
        for _ in range(3):
            for name in ("oob", "deep"):
                try:
                    peer_exports[name](peer_store)
                    raise SystemExit("no trap")
                except wasmtime.Trap:
                    pass
                try:
                    ours[name]()
                    raise SystemExit("no trap")
                except Trap:
                    pass
        print("done")
        """,
        repository,
    )


def test_ctrl_c_interrupts_a_loop(wat: Wat, repository: Path) -> None:
    passes(
        wat,
        """
        threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        started = time.monotonic()
        exports = instance(Store(engine))
        try:
            exports.spin()
        except KeyboardInterrupt:
            assert time.monotonic() - started < 5
            assert exports.div(1) == 1
            print("done")
        """,
        repository,
    )


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


def test_two_stores_run_on_two_threads(wat: Wat, repository: Path) -> None:
    passes(
        wat,
        """
        results = []
        def work():
            results.append(instance(Store(engine)).count(200_000_000))
        threads = [threading.Thread(target=work) for _ in range(3)]
        [t.start() for t in threads]
        [t.join() for t in threads]
        assert results == [200_000_000] * 3
        print("done")
        """,
        repository,
    )


def test_a_store_is_used_by_one_thread_at_a_time(wat: Wat, repository: Path) -> None:
    passes(
        wat,
        """
        store = Store(engine)
        exports = instance(store)
        exports.spin, exports.div
        store.set_timeout(1)
        def spin():
            try:
                exports.spin()
            except Trap:
                pass
        thread = threading.Thread(target=spin)
        thread.start()
        time.sleep(0.2)
        try:
            exports.div(1)
        except wasmrt.WasmError as error:
            assert "another thread" in str(error), error
        else:
            raise SystemExit("no error")
        thread.join()
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


def test_fork(wat: Wat, repository: Path) -> None:
    passes(
        wat,
        """
        exports = instance(Store(engine))
        assert exports.count(1000) == 1000
        for _ in range(5):
            child = os.fork()
            if child == 0:
                store = Store(engine)
                store.set_timeout(0.2)
                try:
                    exports.oob()
                    os._exit(1)
                except Trap:
                    pass
                try:
                    instance(store).spin()
                except Trap:
                    os._exit(0)
                os._exit(2)
            assert os.waitpid(child, 0)[1] == 0
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
