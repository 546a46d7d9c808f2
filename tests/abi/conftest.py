"""Components from text, instantiated with Python functions as imports."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests import machine
from wasmrt import Engine, Store
from wasmrt.component import Component, Linker

# A memory and a bump allocator that starts over when it runs out, for guests that hold nothing between calls.
LIBC = """
  (core module $Libc
    (memory (export "mem") 4)
    (global $next (mut i32) (i32.const 1024))
    (global $count (mut i32) (i32.const 0))
    (func (export "realloc") (param $old i32) (param $old_size i32) (param $align i32) (param $size i32) (result i32)
      (local $at i32)
      (global.set $count (i32.add (global.get $count) (i32.const 1)))
      (local.set $at (i32.and (i32.add (global.get $next) (i32.sub (local.get $align) (i32.const 1))) (i32.sub (i32.const 0) (local.get $align))))
      (if (i32.gt_u (i32.add (local.get $at) (local.get $size)) (i32.const 262144)) (then (local.set $at (i32.const 1024))))
      (global.set $next (i32.add (local.get $at) (local.get $size)))
      (local.get $at))
    (func (export "count") (result i32) (global.get $count))
    (func (export "take") (param $address i32) (result i32) (i32.load (local.get $address))))
  (core instance $libc (instantiate $Libc))
"""
MEM = '(memory (core memory $libc "mem")) (realloc (core func $libc "realloc"))'


@pytest.fixture(scope="session")
def engine() -> Engine:
    return Engine(machine.everything())


@pytest.fixture
def instantiate(engine: Engine) -> Callable[..., Any]:
    """`instantiate(text, name=function, ...)`: a new instance in a new store; functions are called without it."""
    compiled: dict[str, Component] = {}

    def make(text: str, store: Store | None = None, resources: dict[str, Any] | None = None, **imports: Any) -> Any:
        if text not in compiled:
            compiled[text] = Component(engine, text)
        linker = Linker(engine)
        root = linker.root()
        for name, (ty, dtor) in (resources or {}).items():
            root.add_resource(name, ty, dtor)
        for name, function in imports.items():
            root.func(name.replace("_", "-"))(function)
        return linker.instantiate(store or Store(engine), compiled[text])

    return make
