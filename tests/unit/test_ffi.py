"""Owns the C API: through `wasmrt.ffi`, and from a C program that is compiled and linked here."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from wasmrt import Engine, Module
from wasmrt.component import Component
from wasmrt.ffi import ffi, header, lib

ROOT = Path(__file__).resolve().parents[2]

TEXT = """(module
  (import "host" "twice" (func $twice (param i32) (result i32)))
  (memory (export "memory") 1)
  (global $starts (mut i32) (i32.const 0))
  (func $start (global.set $starts (call $twice (i32.const 4))))
  (start $start)
  (func (export "starts") (result i32) (global.get $starts))
  (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
  (func (export "poke") (param i32) (i32.store8 (i32.const 7) (local.get 0)))
  (func (export "far") (result i32) (i32.load (i32.const 0x7fffffff)))
  (func (export "twice") (param i32) (result i32) (call $twice (local.get 0)))
  (func $deep (export "deep") (call $deep))
  (func (export "spin") (param i32) (loop (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))))
  (func (export "mixed") (param i64 f32 f64) (result f64 i64) (local.get 2) (local.get 0)))"""


@pytest.fixture(scope="module")
def artifact() -> bytes:
    return Module(Engine(), TEXT).serialize()


def text(error: Any) -> str:
    return ffi.string(error.message).decode()


class Host:
    """An engine, a module, a store and an instance whose `twice` traps for negative numbers."""

    def __init__(self, artifact: bytes) -> None:
        self.error = ffi.new("wasmrt_error *")
        self.engine = lib.wasmrt_engine_new(self.error)
        self.module = lib.wasmrt_module_load(self.engine, artifact, len(artifact), self.error)
        assert self.module, text(self.error)
        self.store = lib.wasmrt_store_new(self.engine, self.error)
        self.handle = ffi.new_handle(self)
        self.seen: list[int] = []
        self.names = [ffi.new("char[]", name) for name in (b"host", b"twice", b"i:i")]
        self.imports = ffi.new("wasmrt_import[1]", [[*self.names, twice, self.handle]])
        self.instance = lib.wasmrt_instance_new(self.store, self.module, self.imports, 1, self.error)

    def call(self, name: str, *values: dict[str, Any], room: int | None = None) -> Any:
        array = ffi.new("wasmrt_value[]", max(room or 0, len(values), 1))
        for i, value in enumerate(values):
            array[i] = value
        func = lib.wasmrt_instance_func(self.instance, name.encode())
        ok = lib.wasmrt_call(self.store, func, array, len(values) if room is None else room, self.error)
        return array if ok else text(self.error)

    def close(self) -> None:
        lib.wasmrt_store_delete(self.store)
        lib.wasmrt_module_delete(self.module)
        lib.wasmrt_engine_delete(self.engine)


@ffi.callback("wasmrt_callback")
def twice(caller: Any, _context: Any, values: Any, _capacity: int) -> bool:
    host = ffi.from_handle(lib.wasmrt_caller_data(caller))
    host.seen.append(values[0].i32)
    if values[0].i32 < 0:
        return bool(lib.wasmrt_trap(caller, b"no negative numbers"))
    values[0].i32 *= 2
    return True


def test_load_instantiate_call(artifact: bytes) -> None:
    host = Host(artifact)
    assert host.instance, text(host.error)
    assert host.call("starts", room=1)[0].i32 == 8 and host.seen == [4]
    assert host.call("add", {"i32": 2}, {"i32": -5})[0].i32 == -3
    found = host.call("mixed", {"i64": 1 << 40}, {"f32": 0.5}, {"f64": 2.25})
    assert found[0].f64 == 2.25 and found[1].i64 == 1 << 40
    base, length = ffi.new("uint8_t **"), ffi.new("size_t *")
    assert lib.wasmrt_instance_memory(host.instance, b"memory", base, length) and length[0] == 65536
    host.call("poke", {"i32": 9})
    assert base[0][7] == 9
    letters = ffi.new("char[16]")
    func = lib.wasmrt_instance_func(host.instance, b"mixed")
    assert lib.wasmrt_func_signature(host.store, func, letters, 16) == 6 and ffi.string(letters) == b"IfF:FI"
    assert lib.wasmrt_func_signature(host.store, func, letters, 3) == 6 and ffi.string(letters) == b"If"
    assert not lib.wasmrt_instance_func(host.instance, b"memory") and not lib.wasmrt_instance_func(
        host.instance, b"none"
    )
    assert not lib.wasmrt_instance_memory(host.instance, b"add", base, length)
    host.close()


def test_traps_have_words(artifact: bytes) -> None:
    host = Host(artifact)
    assert host.call("twice", {"i32": 21})[0].i32 == 42
    assert host.call("twice", {"i32": -1}) == "wasm trap: no negative numbers"
    assert host.call("far", room=1) == "wasm trap: out of bounds memory access"
    assert host.call("deep", room=0) == "wasm trap: call stack exhausted"
    assert (
        host.call("add", {"i32": 1}, room=1)
        == "the function has 2 parameters and 1 results, but there is room for 1 values"
    )
    assert host.call("none", room=0) == "no function was given"
    assert host.call("add", {"i32": 1}, {"i32": 1})[0].i32 == 2
    host.close()


def test_a_long_call_in_a_store_without_python_is_ticked(artifact: bytes) -> None:
    """The ticker interrupts it many times, and there is no Python object behind the store."""
    host = Host(artifact)
    assert host.call("spin", {"i32": 100_000_000})
    host.close()


def test_what_cannot_be_loaded_or_linked(artifact: bytes, tmp_path: Path) -> None:
    error = ffi.new("wasmrt_error *")
    engine = lib.wasmrt_engine_new(error)
    for bad, match in [(b"", "magic"), (artifact[:1000], "truncated"), (artifact[:-9] + bytes(9), "")]:
        loaded = lib.wasmrt_module_load(engine, bad, len(bad), error)
        assert not loaded or match == "", match
        lib.wasmrt_module_delete(loaded)
    component = Component(Engine(), "(component)").serialize()
    assert not lib.wasmrt_module_load(engine, component, len(component), error) and "component" in text(error)
    assert not lib.wasmrt_module_load_file(engine, bytes(tmp_path / "none"), error) and "opened" in text(error)
    path = tmp_path / "m.cwasm"
    path.write_bytes(artifact)
    module = lib.wasmrt_module_load_file(engine, bytes(path), error)
    store = lib.wasmrt_store_new(engine, error)
    assert not lib.wasmrt_instance_new(store, module, ffi.NULL, 0, error) and "host`.`twice" in text(error)
    names = [ffi.new("char[]", name) for name in (b"host", b"twice", b"i")]
    imports = ffi.new("wasmrt_import[1]", [[*names, twice, ffi.NULL]])
    assert not lib.wasmrt_instance_new(store, module, imports, 1, error) and 'form "ii:i"' in text(error)
    wrong = ffi.new("char[]", b"I:i")
    imports[0].signature = wrong
    assert not lib.wasmrt_instance_new(store, module, imports, 1, error) and "incompatible import type" in text(error)
    other = lib.wasmrt_engine_new(ffi.NULL)
    elsewhere = lib.wasmrt_store_new(other, ffi.NULL)
    assert not lib.wasmrt_instance_new(elsewhere, module, imports, 1, error) and "two engines" in text(error)
    for delete, thing in [
        (lib.wasmrt_module_delete, module),
        (lib.wasmrt_engine_delete, engine),
        (lib.wasmrt_store_delete, store),
        (lib.wasmrt_store_delete, elsewhere),
        (lib.wasmrt_engine_delete, other),
    ]:
        delete(thing)


def test_the_example_in_c(tmp_path: Path) -> None:
    """examples/embed.c, by the commands that it begins with."""
    source = (ROOT / "examples" / "embed.c").read_text()
    commands = re.findall(r"^ \*     (.*?)(?: \*/)?$", source, re.MULTILINE)
    assert len(commands) == 4
    script = (
        "\n".join(commands)
        .replace("wasmrt compile", f"{sys.executable} -m wasmrt compile")
        .replace("python -c", f"{sys.executable} -c")
    )
    script = script.replace("examples/", f"{ROOT}/examples/").replace("cc ", "gcc -std=c11 -Wall -Wextra -Werror ", 1)
    done = subprocess.run(
        ["sh", "-ec", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-5:] == [
        "the guest runs",
        "run(20) = 42",
        "the guest runs",
        "run(-1): wasm trap: no negative numbers",
        "grow(1000) = -1",
    ]
    refused = subprocess.run(
        [str(tmp_path / "embed"), str(tmp_path / "wasmrt.h")], capture_output=True, text=True, timeout=60
    )
    assert refused.returncode == 1 and "not an artifact" in refused.stderr


def test_the_header_is_the_one_in_include() -> None:
    path = ROOT / "include" / "wasmrt.h"
    assert header() == path.read_text()
