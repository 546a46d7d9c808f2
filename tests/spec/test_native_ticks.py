"""A store made through the C API runs in a process whose hooks are Python's: a tick finds no Python side of it."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import pytest

import wasmrt
from tests.spec.native import Runtime

# a loop long enough for several ticks
LOOP = """(module (memory 32) (func (export "run") (result i32) (local $i i32)
  (local.set $i (i32.const 60000000))
  (loop $l (br_if $l (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))
  (memory.fill (i32.const 0) (i32.const 1) (i32.const 2097152))
  (local.get $i)))"""


@pytest.mark.parametrize("python_store", [False, True])
def test_a_tick_in_a_store_without_a_host(wat: Callable[[str], bytes], python_store: bool) -> None:
    # the ticker thread runs from the first store on
    store = wasmrt.Store() if python_store else None
    runtime = Runtime()
    found = runtime.instantiate(wat(LOOP), {}).export("run")
    assert found is not None
    assert runtime.call(ctypes.c_void_p(found.pointer), [], 1)[0][:4] == bytes(4)
    del store
