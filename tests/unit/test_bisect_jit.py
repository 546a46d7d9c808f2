"""tools/bisect_jit.py finds the function whose plain code is wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tools.bisect_jit import ALL, NotFoundError, bisect

# 40 functions that add their number; what is planted: in the image, the plain code of PLANTED adds something else
CHECK = """
from wasmrt import Engine, Instance, Module, Store, wat2wasm
from tests.machine import compile_module

FUNCS = " ".join(
    f"(func $f{{i}} (param i32) (result i32) (i32.add (local.get 0) (i32.const {{1000 + i}})))" for i in range(40)
)
CALLS = " ".join(f"(call $f{{i}}" for i in reversed(range(40))) + " (i32.const 0)" + ")" * 40
BINARY = wat2wasm(f'(module {{FUNCS}} (func (export "run") (result i32) {{CALLS}}))')

def check(config):
    engine, plain = Engine(config), Engine()
    image = bytearray(Module(engine, BINARY).serialize())
    code = compile_module(plain, BINARY).of({planted})
    at = image.find(code)
    if at >= 0:
        constant = (1000 + {planted}).to_bytes(4, "little")
        image[at : at + len(code)] = code.replace(constant, (7).to_bytes(4, "little"))
    found = Instance(Store(engine), Module.deserialize(engine, bytes(image)), []).exports["run"]()
    return found == sum(range(1000, 1040))
"""


@pytest.mark.parametrize("culprit", [0, 1, 2, 37, 4095, 4096, 100_000])
def test_any_index_is_found(culprit: int) -> None:
    tries = []

    def passes(first: int, end: int) -> bool:
        tries.append((first, end))
        return first <= culprit < end

    assert bisect(passes) == culprit
    assert len(tries) < 50


def test_the_last_of_several_is_found() -> None:
    assert bisect(lambda first, end: first == 0 and end > 9) == 9


def test_what_is_no_miscompile_is_said() -> None:
    with pytest.raises(NotFoundError, match="passes as it is"):
        bisect(lambda first, end: True)
    with pytest.raises(NotFoundError, match="not an optimization"):
        bisect(lambda first, end: False)
    assert ALL > 1_000_000


@pytest.mark.parametrize("planted", [23])
def test_a_planted_miscompile_is_found(planted: int, tmp_path: Path, repository: Path) -> None:
    check = tmp_path / "check.py"
    check.write_text(CHECK.format(planted=planted))
    command = [sys.executable, "-m", "tools.bisect_jit", "--check", str(check)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=repository)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"function {planted}\n" in done.stdout


def test_results_are_compared_with_careful_code(tmp_path: Path, repository: Path) -> None:
    path = tmp_path / "add.wat"
    path.write_text('(module (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1))))')
    command = [sys.executable, "-m", "tools.bisect_jit", str(path), "--invoke", "add", "--arg", "2", "--arg", "0x10"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=repository)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "passes as it is" in done.stdout
    done = subprocess.run([*command, "--expect", "19"], capture_output=True, text=True, timeout=120, cwd=repository)
    assert "careful functions 0..0: 18" in done.stdout
    assert "not an optimization" in done.stdout
