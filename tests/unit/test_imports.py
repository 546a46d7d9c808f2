"""What `import wasmrt` imports: programs that run a compiled component pay for nothing else."""

from __future__ import annotations

import subprocess
import sys

import pytest

LAZY = ("wasmrt.text", "wasmrt.binary", "wasmrt.translate.validate", "wasmrt.translate.inline", "wasmrt.wit", "wasmrt.wasi.io", "wasmrt.cli")
ELSEWHERE = ("click", "rich", "numpy", "difflib", "asyncio", "json", "subprocess", "ctypes")


@pytest.mark.parametrize("imported", ["wasmrt", "wasmrt.component"])
def test_what_is_rarely_needed_is_imported_on_first_use(imported: str) -> None:
    code = f"import {imported}, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {*LAZY, *ELSEWHERE} & set(done.stdout.split())
