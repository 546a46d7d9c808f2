"""Artifacts through the public API: the same bytes always, loadable, refused with a reason when they do not fit or are damaged."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import wasmrt
from wasmrt import ArtifactError, Config, Engine, Instance, Module, Store
from wasmrt.component import Component

Wat = Callable[[str], bytes]

SPINE = Path(__file__).parent.parent / "c" / "spine.wat"
SMALL = """(module (memory (export "m") 1) (data (i32.const 4) "hello")
  (func $add (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
  (func (export "div") (param i32 i32) (result i32) (i32.div_s (local.get 0) (local.get 1))))"""


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine()


@pytest.fixture
def small(engine: Engine, wat: Wat) -> bytes:
    return Module(engine, wat(SMALL)).serialize()


def test_round_trip(engine: Engine, wat: Wat) -> None:
    module = Module(engine, wat(SPINE.read_text()))
    again = Module.deserialize(engine, module.serialize())
    assert again.serialize() == module.serialize()
    assert [(e.name, str(e.type)) for e in again.exports] == [(e.name, str(e.type)) for e in module.exports]
    assert [(i.module, i.name) for i in again.imports] == [(i.module, i.name) for i in module.imports]


def test_a_loaded_module_runs(engine: Engine, small: bytes) -> None:
    store = Store(engine)
    exports: Any = Instance(store, Module.deserialize(engine, small), []).exports
    assert exports.add(store, 40, 2) == 42
    assert bytes(exports.m.read(store, 4, 9)) == b"hello"
    with pytest.raises(wasmrt.Trap, match="integer divide by zero"):
        exports.div(store, 1, 0)


def test_same_input_same_bytes(engine: Engine, wat: Wat) -> None:
    source = wat(SPINE.read_text())
    first = Module(engine, source).serialize()
    config = Config()
    config.parallel_compilation = False
    assert Module(Engine(config), source).serialize() == first
    code = "import sys, wasmrt; sys.stdout.buffer.write(wasmrt.Module(wasmrt.Engine(), sys.stdin.buffer.read()).serialize())"
    environment = {**os.environ, "PYTHONHASHSEED": "1"}
    assert subprocess.run([sys.executable, "-c", code], input=source, stdout=subprocess.PIPE, check=True, timeout=60, env=environment).stdout == first


def test_detect(engine: Engine, small: bytes) -> None:
    assert Engine.detect_precompiled(small) == "module"
    assert Engine.detect_precompiled(b"\0asm\1\0\0\0") is None
    assert Engine.detect_precompiled(small[:100]) is None
    with pytest.raises(ArtifactError, match="holds a module"):
        Component.deserialize(engine, small)


def test_another_configuration_is_refused(small: bytes) -> None:
    config = Config()
    config.consume_fuel = True
    with pytest.raises(ArtifactError) as caught:
        Module.deserialize(Engine(config), small)
    assert (caught.value.reason, caught.value.found, caught.value.wanted) == ("consume_fuel", "0", "1")


def test_reasons(engine: Engine, small: bytes) -> None:
    with pytest.raises(ArtifactError, match=r"not an artifact: no ELF header"):
        Module.deserialize(engine, b"")
    with pytest.raises(ArtifactError, match=rf"size: found {len(small) - 1}, wanted {len(small)}"):
        Module.deserialize(engine, small[:-1])
    with pytest.raises(ArtifactError, match="ELF machine: found 183, wanted 62"):
        Module.deserialize(engine, small[:18] + b"\xb7\0" + small[20:])


def test_truncated(engine: Engine, small: bytes) -> None:
    for length in range(0, len(small), 7):
        with pytest.raises(ArtifactError):
            Module.deserialize(engine, small[:length])


def test_damaged(engine: Engine, small: bytes) -> None:
    """What loading does not read (text, tables of it) loads; nothing crashes, and no other error comes out."""
    rng = random.Random(5)
    refused = 0
    for _ in range(1000):
        damaged = bytearray(small)
        for _ in range(rng.randint(1, 3)):
            damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        try:
            Module.deserialize(engine, bytes(damaged))
        except ArtifactError:
            refused += 1
    assert refused > 100


def executable_pages() -> list[str]:
    """Ranges of anonymous executable memory (test_process.py sees that none is writable too)."""
    rows = [line.split() for line in Path("/proc/self/maps").read_text().splitlines()]
    return [row[0] for row in rows if row[1].startswith("r-x") and len(row) == 5]


def test_no_new_executable_page_after_loading(engine: Engine, small: bytes) -> None:
    """Instantiating, calling and dropping make none (the text is executable once the module is there)."""
    module = Module.deserialize(engine, small)
    before = executable_pages()
    for _ in range(3):
        store = Store(engine)
        exports: Any = Instance(store, module, []).exports
        exports.add(store, 1, 2)
        with pytest.raises(wasmrt.Trap):
            exports.div(store, 1, 0)
        assert set(executable_pages()) <= set(before)
