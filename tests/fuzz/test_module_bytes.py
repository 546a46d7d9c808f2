"""Damaged core modules: decoding, validating and compiling end in a module or one of our errors. `make fuzz TARGET=module` goes on for a while."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from . import seeds
from .programs import Program
from .test_hostile import CHUNK, check, run
from .vectors import VectorProgram

CASES = 400


@pytest.mark.parametrize("program", [Program, VectorProgram])
def test_damaged_modules(program: type[Program], tmp_path: Path) -> None:
    path = tmp_path / "program.wasm"
    number = seeds.first(1)
    print("WASMRT_FUZZ_SEED", number)
    path.write_bytes(program(number).binary)
    check(run("module", path, "prefix", 0, CASES, tmp_path), CASES)
    end = time.monotonic() + seeds.SECONDS / 2
    while True:
        check(run("module", path, "mutation", number, CASES, tmp_path), CASES)
        number += CHUNK
        if time.monotonic() > end:
            break
        path.write_bytes(program(number).binary)
