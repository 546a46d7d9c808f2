"""Guests beside other users of signals, forks and threads: each case is a child process, since what it shows is what a process does.

A case prints what it saw; the test compares. `call(name, *args)` gives the result of an exported function or the name of the trap.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

# (module (import "h" "f" (func $h (param i32) (result i32))) (memory (export "m") 1)
#   (func (export "load") (param i32) (result i32) (i32.load (local.get 0)))
#   (func (export "unreachable") (unreachable))
#   (func (export "div") (param i32) (result i32) (i32.div_u (i32.const 10) (local.get 0)))
#   (func $r (export "recurse") (call $r))
#   (func (export "loop") (loop (br 0)))
#   (func (export "host") (param i32) (result i32) (call $h (local.get 0))))
MODULE = (
    "0061736d0100000001090260017f017f6000000207010168016600000307060001000101000503010001073807016d020004"
    "6c6f616400010b756e726561636861626c65000203646976000307726563757273650004046c6f6f70000504686f73740006"
    "0a2906070020002802000b0300000b0700410a20006e0b040010040b070003400c000b0b0600200010000b000e046e616d65"
    "010702000168040172"
)

PREAMBLE = """
import os, signal, sys, threading, time
from wasmrt.errors import Trap
from wasmrt.runtime.engine import Engine
from wasmrt.runtime.linker import Linker
from wasmrt.runtime.module import Module
from wasmrt.runtime.store import Store
from wasmrt.runtime.types import FuncType, ValType

engine = Engine()
module = Module(engine, bytes.fromhex({module!r}))


class Guest:
    def __init__(self, host=lambda x: 2 * x):
        self.store = Store(engine)
        linker = Linker(engine)
        linker.define_func("h", "f", FuncType([ValType.i32()], [ValType.i32()]), host)
        self.exports = linker.instantiate(self.store, module).exports(self.store)

    def __call__(self, name, *args):
        try:
            return self.exports[name](self.store, *args)
        except Trap as trap:
            return str(trap).rpartition("wasm trap: ")[2].strip()
"""

TRAPS = """
print(guest("load", 65536), guest("unreachable"), guest("div", 0), guest("recurse"), guest("host", 21), sep=", ")
"""
TRAPPED = "out of bounds memory access, wasm `unreachable` instruction executed, integer divide by zero, call stack exhausted, 42\n"


def child(case: str, *, before: str = "", options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    program = textwrap.dedent(before) + PREAMBLE.replace("{module!r}", repr(MODULE)) + textwrap.dedent(case)
    environment = dict(os.environ, PYTHONPATH=str(Path(__file__).resolve().parent.parent.parent))
    return subprocess.run(
        [sys.executable, *options, "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment,
    )


def test_traps() -> None:
    done = child("guest = Guest()" + TRAPS)
    assert (done.stdout, done.stderr, done.returncode) == (TRAPPED, "", 0)


def test_faulthandler_before() -> None:
    done = child("guest = Guest()" + TRAPS, options=("-X", "faulthandler"))
    assert (done.stdout, done.stderr, done.returncode) == (TRAPPED, "", 0)


def test_faulthandler_between_engine_and_store() -> None:
    done = child("import faulthandler; faulthandler.enable()\nguest = Guest()" + TRAPS)
    assert (done.stdout, done.stderr, done.returncode) == (TRAPPED, "", 0)


def test_faulthandler_after_the_store() -> None:
    """It meets the first fault of each kind, and says so; the guest's trap comes out all the same."""
    done = child("guest = Guest()\nimport faulthandler; faulthandler.enable()" + TRAPS + TRAPS)
    assert (done.stdout, done.returncode) == (TRAPPED + TRAPPED, 0)


@pytest.mark.parametrize("when", ["before", "after"])
def test_crashes_still_reach_faulthandler(when: str) -> None:
    enable = "import faulthandler; faulthandler.enable()\n"
    case = "import ctypes\nguest = Guest(lambda x: ctypes.string_at(0))\nprint(guest('load', -1), flush=True)\nguest('host', 1)"
    done = child(case if when == "before" else enable + case, before=enable if when == "before" else "")
    assert done.stdout == "out of bounds memory access\n"
    assert done.returncode == -signal.SIGSEGV
    assert done.stderr.count("Fatal Python error: Segmentation fault") == 1


def test_crashes_without_faulthandler() -> None:
    done = child("import ctypes\nguest = Guest(lambda x: ctypes.string_at(0))\nguest('host', 1)")
    assert (done.stdout, done.stderr, done.returncode) == ("", "", -signal.SIGSEGV)


PEER = """
import wasmtime
peer_store = wasmtime.Store()
peer_module = wasmtime.Module(peer_store.engine, '(module (memory 1) (func (export "load") (param i32) (result i32) (i32.load (local.get 0))))')
peer_load = wasmtime.Instance(peer_store, peer_module, []).exports(peer_store)["load"]
def peer():
    try:
        return peer_load(peer_store, -1)
    except wasmtime.Trap as trap:
        return str(trap).rpartition("wasm trap: ")[2].strip()
print(peer())
"""
PEER_TRAPPED = "out of bounds memory access\n"


@pytest.mark.parametrize("when", ["before", "after"])
def test_wasmtime_in_the_same_process(when: str) -> None:
    pytest.importorskip("wasmtime")
    rounds = TRAPS + "print(peer())\n" + TRAPS + "print(peer())\n"
    done = child(
        "guest = Guest()\n" + (PEER if when == "after" else "") + rounds, before=PEER if when == "before" else ""
    )
    assert (done.stdout, done.stderr, done.returncode) == (PEER_TRAPPED + 2 * (TRAPPED + PEER_TRAPPED), "", 0)


def test_wasmtime_inside_a_host_function() -> None:
    pytest.importorskip("wasmtime")
    done = child(
        "guest = Guest(lambda x: print(peer(), guest2('load', -1)) or x)\nguest2 = Guest()\nprint(guest('host', 3), guest('load', -1))",
        before=PEER,
    )
    assert (
        done.stdout
        == PEER_TRAPPED + "out of bounds memory access out of bounds memory access\n3 out of bounds memory access\n"
    )
    assert done.returncode == 0


def test_ctrl_c() -> None:
    done = child(
        """
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job starts with it ignored
        guest = Guest()
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
        began = time.monotonic()
        try:
            guest("loop")
        except KeyboardInterrupt:
            print("KeyboardInterrupt", time.monotonic() - began < 5)
        print(guest("host", 4))
        """
    )
    assert (done.stdout, done.returncode) == ("KeyboardInterrupt True\n8\n", 0)


def test_fork_inside_and_outside_of_guests() -> None:
    done = child(
        """
        def fork(x):
            child = os.fork()
            if child == 0:
                return x + 1
            return x + os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

        parent = os.getpid()
        guest = Guest(fork)
        result = guest("host", 10)
        if os.getpid() != parent:
            guest.store.set_timeout(0.05)
            os._exit(result - 11 + (guest("loop") != "interrupt"))
        print(result, flush=True)
        child = os.fork()
        guest.store.set_timeout(0.05)
        outcome = guest("loop")
        if child == 0:
            os._exit(0 if outcome == "interrupt" and guest("load", -1) == "out of bounds memory access" else 1)
        print(outcome, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        """
    )
    assert (done.stdout, done.stderr, done.returncode) == ("10\ninterrupt 0\n", "", 0)


def test_guests_of_several_threads() -> None:
    """Each thread traps and loops in a store of its own; a store that is in use says so."""
    done = child(
        """
        results = []
        def work():
            guest = Guest()
            outcome = [guest("load", -1), guest("recurse")]
            guest.store.set_timeout(0.3)
            began = time.monotonic()
            outcome.append(guest("loop"))
            results.append((outcome, time.monotonic() - began < 3))
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        print(len(set(map(str, results))), results[0])
        shared = Guest()
        shared.store.set_timeout(1)
        thread = threading.Thread(target=shared, args=("loop",))
        thread.start()
        time.sleep(0.2)
        try:
            shared("host", 1)
        except Exception as error:
            print(type(error).__name__, "another thread" in str(error))
        thread.join()
        """
    )
    expected = "1 (['out of bounds memory access', 'call stack exhausted', 'interrupt'], True)\nWasmError True\n"
    assert (done.stdout, done.stderr, done.returncode) == (expected, "", 0)
