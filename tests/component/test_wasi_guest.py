"""A guest that imports what command-line code imports of WASI 0.2, at an older patch version than the host defines."""

from __future__ import annotations

import wasmrt
from wasmrt.component import Component, Linker

# environment, directories and terminal: 100 for each variable, 10 for each directory, 1 for a terminal
GUEST = """(component
 (import "wasi:cli/environment@0.2.3" (instance $e (export "get-environment" (func (result (list (tuple string string)))))))
 (import "wasi:cli/terminal-input@0.2.3" (instance $ti (export "terminal-input" (type (sub resource)))))
 (alias export $ti "terminal-input" (type $tin))
 (import "wasi:cli/terminal-stdin@0.2.3" (instance $ts (alias outer 1 $tin (type $o)) (export "terminal-input" (type $t (eq $o))) (export "get-terminal-stdin" (func (result (option (own $t)))))))
 (import "wasi:filesystem/types@0.2.3" (instance $ft (export "descriptor" (type (sub resource)))))
 (alias export $ft "descriptor" (type $d))
 (import "wasi:filesystem/preopens@0.2.3" (instance $fp (alias outer 1 $d (type $o)) (export "descriptor" (type $t (eq $o))) (export "get-directories" (func (result (list (tuple (own $t) string)))))))
 (core module $libc (memory (export "m") 1) (global $p (mut i32) (i32.const 1024))
  (func (export "realloc") (param i32 i32 i32 i32) (result i32) (local $r i32)
   (local.set $r (i32.and (i32.add (global.get $p) (i32.const 7)) (i32.const -8))) (global.set $p (i32.add (local.get $r) (local.get 3))) (local.get $r)))
 (core instance $l (instantiate $libc))
 (core func $env (canon lower (func $e "get-environment") (memory (core memory $l "m")) (realloc (core func $l "realloc"))))
 (core func $dirs (canon lower (func $fp "get-directories") (memory (core memory $l "m")) (realloc (core func $l "realloc"))))
 (core func $term (canon lower (func $ts "get-terminal-stdin") (memory (core memory $l "m"))))
 (core module $m (import "" "env" (func $env (param i32))) (import "" "dirs" (func $dirs (param i32))) (import "" "term" (func $term (param i32))) (import "l" "m" (memory 1))
  (func (export "run") (result i32) (call $env (i32.const 0)) (call $dirs (i32.const 16)) (call $term (i32.const 32))
   (i32.add (i32.mul (i32.load (i32.const 4)) (i32.const 100)) (i32.add (i32.mul (i32.load (i32.const 20)) (i32.const 10)) (i32.load8_u (i32.const 32))))))
 (core instance $i (instantiate $m (with "" (instance (export "env" (func $env)) (export "dirs" (func $dirs)) (export "term" (func $term)))) (with "l" (instance $l))))
 (func (export "run") (result u32) (canon lift (core func $i "run"))))"""


def test_environment_directories_terminal() -> None:
    engine = wasmrt.Engine()
    component = Component(engine, GUEST)
    linker = Linker(engine)
    linker.add_wasip2()
    config = wasmrt.WasiConfig()
    config.env = {"A": "b", "C": "d"}
    given = wasmrt.Store(engine)
    given.set_wasi(config)
    assert linker.instantiate(given, component).exports.run() == 200
    assert linker.instantiate(wasmrt.Store(engine), component).exports.run() == 0
