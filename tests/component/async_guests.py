"""Components whose one module has all built-ins of the asynchronous ABI, for tests to write guests in a few lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import wasmrt
from wasmrt.component import Component, Linker

CORE = """
  (core module $libc (memory (export "memory") 2) (global $next (mut i32) (i32.const 4096))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $next) (i32.const 15)) (i32.const -16)))
      (global.set $next (i32.add (local.get $at) (local.get 3)))
      (local.get $at)))
  (core instance $libc (instantiate $libc))
  (alias core export $libc "memory" (core memory $memory))
  (alias core export $libc "realloc" (core func $realloc))
"""
# name: core type, definition
BUILTINS = {
    "task.return": ("(param i32)", "(canon task.return (result u32))"),
    "return-string": ("(param i32 i32)", "(canon task.return (result string) (memory $memory))"),
    "return-stream": ("(param i32)", "(canon task.return (result $bytes))"),
    "yield": ("(result i32)", "(canon thread.yield)"),
    "set-new": ("(result i32)", "(canon waitable-set.new)"),
    "wait": ("(param i32 i32) (result i32)", "(canon waitable-set.wait (memory $memory))"),
    "join": ("(param i32 i32)", "(canon waitable.join)"),
    "drop": ("(param i32)", "(canon subtask.drop)"),
    "cancel": ("(param i32) (result i32)", "(canon subtask.cancel async)"),
    "new": ("(result i64)", "(canon stream.new $bytes)"),
    "read": ("(param i32 i32 i32) (result i32)", "(canon stream.read $bytes (memory $memory))"),
    "write": ("(param i32 i32 i32) (result i32)", "(canon stream.write $bytes (memory $memory))"),
    "drop-readable": ("(param i32)", "(canon stream.drop-readable $bytes)"),
    "drop-writable": ("(param i32)", "(canon stream.drop-writable $bytes)"),
    "read-texts": (
        "(param i32 i32 i32) (result i32)",
        "(canon stream.read $texts (memory $memory) (realloc $realloc))",
    ),
    "new-texts": ("(result i64)", "(canon stream.new $texts)"),
    "write-texts": ("(param i32 i32 i32) (result i32)", "(canon stream.write $texts async (memory $memory))"),
    "read-future": ("(param i32 i32) (result i32)", "(canon future.read $number (memory $memory))"),
    "new-future": ("(result i64)", "(canon future.new $number)"),
    "write-future": ("(param i32 i32) (result i32)", "(canon future.write $number async (memory $memory))"),
}


def text(body: str, lifts: str, imports: dict[str, tuple[str, str, str]] | None = None) -> str:
    """A component of one module with all built-ins; `imports`: name to component type, core type, options."""
    given = imports or {}
    heads = "".join(f'(import "{name}" (func ${name} {ty}))' for name, (ty, _, _) in given.items())
    lowered = "".join(
        f"(canon lower (func ${name}) {options} (core func ${name}-core))" for name, (_, _, options) in given.items()
    )
    core = [(name, ty, f"${name}-core") for name, (_, ty, _) in given.items()]
    defined = "".join(f"(core func $b-{name} {text})" for name, (_, text) in BUILTINS.items())
    core += [(name, ty, f"$b-{name}") for name, (ty, _) in BUILTINS.items()]
    wanted = "".join(f'(import "" "{name}" (func ${name} {ty}))' for name, ty, _ in core)
    passed = "".join(f'(export "{name}" (func {func}))' for name, _, func in core)
    return f"""(component
      (type $bytes (stream u8)) (type $texts (stream string)) (type $number (future u32)) {heads} {CORE} {defined} {lowered}
      (core module $m (import "libc" "memory" (memory 2)) {wanted} {body})
      (core instance $i (instantiate $m (with "libc" (instance $libc)) (with "" (instance {passed}))))
      {lifts})"""


def make(engine: wasmrt.Engine, source: str, define: Callable[[Any], None] | None = None, store: Any = None) -> Any:
    """An instance, of a component that went through its artifact."""
    component = Component.deserialize(engine, Component(engine, source).serialize())
    linker = Linker(engine)
    if define is not None:
        define(linker.root())
    return linker.instantiate(store or wasmrt.Store(engine), component)
