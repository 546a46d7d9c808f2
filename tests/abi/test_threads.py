"""Owns that guests on two stores run at once: they meet in native host functions, turn by turn, while nobody can give them the GIL."""

from __future__ import annotations

import ctypes
import subprocess
import threading
from typing import Any

import pytest

from wasmrt import Engine, FuncType, Linker, Module, Store, Trap, ValType

# A guest says which round it has reached, and asks how far the other is. `hold`, called with the GIL, returns when both have met `rounds` times, which
# nobody helps them with meanwhile: 1; or 0 when that has not happened after some seconds.
SOURCE = """
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <time.h>
static atomic_int reached[2];
void reset(void) { atomic_store(&reached[0], 0); atomic_store(&reached[1], 0); }
int32_t arrive(int32_t who, int32_t round)
{
    atomic_store(&reached[who], round);
    if (atomic_load(&reached[1 - who]) < round) sched_yield(); /* the other may want this core */
    return atomic_load(&reached[1 - who]);
}
int32_t hold(int32_t rounds, int32_t seconds)
{
    struct timespec pause = { 0, 200000 };
    for (long tries = 0; tries <= seconds * 5000L; tries++) {
        if (atomic_load(&reached[0]) >= rounds && atomic_load(&reached[1]) >= rounds) return 1;
        nanosleep(&pause, 0);
    }
    return 0;
}
"""
# In each round a guest waits, in wasm, until the other has come to the same round.
GUEST = """(module (import "" "arrive" (func $arrive (param i32 i32) (result i32)))
  (func (export "meet") (param $who i32) (param $rounds i32) (result i32) (local $round i32) (local $waited i32)
    (loop $next
      (local.set $round (i32.add (local.get $round) (i32.const 1)))
      (loop $wait
        (local.set $waited (i32.add (local.get $waited) (i32.const 1)))
        (br_if $wait (i32.lt_s (call $arrive (local.get $who) (local.get $round)) (local.get $round))))
      (br_if $next (i32.lt_s (local.get $round) (local.get $rounds))))
    (local.get $round)))"""
ROUNDS = 200


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("threads")
    (folder / "meet.c").write_text(SOURCE)
    subprocess.run(
        ["gcc", "-O1", "-shared", "-fPIC", str(folder / "meet.c"), "-o", str(folder / "meet.so")], check=True
    )
    return str(folder / "meet.so")


def guests(library: str) -> tuple[list[Any], Any]:
    """The same function in two stores, and the native library with `hold` keeping the GIL."""
    native, holding = ctypes.CDLL(library), ctypes.PyDLL(library)
    native.arrive.argtypes, native.arrive.restype = [ctypes.c_int32, ctypes.c_int32], ctypes.c_int32
    native.reset()
    engine = Engine()
    module = Module(engine, GUEST)
    i32 = ValType.i32()
    linker = Linker(engine)
    linker.define_func("", "arrive", FuncType([i32, i32], [i32]), native.arrive)
    found = []
    for _ in range(2):
        store = Store(engine)
        found.append(linker.instantiate(store, module).exports(store)["meet"])
    return found, holding


@pytest.mark.parametrize("gil", [None, "release"])
def test_guests_of_two_stores_run_at_once_without_the_gil(library: str, gil: Any) -> None:
    """They meet in the first round only if both are in guest code, and go on meeting while this thread has the GIL and does not give it away."""
    (first, second), native = guests(library)
    results: list[int] = []
    threads = [
        threading.Thread(
            target=lambda who=who, meet=meet: results.append(meet.with_options(gil=gil, timeout=120)(who, ROUNDS))
        )
        for who, meet in enumerate((first, second))
    ]
    for thread in threads:
        thread.start()
    while not native.hold(1, 0):  # both are in guest code
        assert all(thread.is_alive() for thread in threads) or native.hold(1, 0)
        threads[0].join(0.001)
    assert native.hold(ROUNDS, 60), "the guests did not meet while another thread had the GIL"
    for thread in threads:
        thread.join(60)
    assert results == [ROUNDS, ROUNDS]


def test_a_guest_that_keeps_the_gil_waits_for_the_other_in_vain(library: str) -> None:
    """What the test above is worth: it cannot pass when one guest at a time runs."""
    (first, second), native = guests(library)
    ended: list[Any] = []

    def run(who: int, meet: Any) -> None:
        try:
            ended.append(meet.with_options(gil="hold", timeout=0.3)(who, ROUNDS))
        except Trap as trap:
            ended.append("timeout" in str(trap))

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate((first, second))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert True in ended and not native.hold(ROUNDS, 0)
