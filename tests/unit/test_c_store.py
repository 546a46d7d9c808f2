"""A store that was made through the C API, in a process whose hooks are Python's: they find no Python side of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHILD = """
import ctypes, sys
import wasmrt
store = wasmrt.Store()  # whose Python side exists: the hooks are set
data = wasmrt.wat2wasm('''(module (memory 33) (func (export "run") (result i32)
  (memory.fill (i32.const 0) (i32.const 1) (i32.const 0x200000))
  (i32.load8_u (i32.const 0x1fffff))))''')
plain = ctypes.CDLL(sys.argv[1])
message, value = ctypes.create_string_buffer(256), ctypes.c_int32()
failed = plain.plain_store_run(bytes(data), ctypes.c_size_t(len(data)), message, ctypes.byref(value))
print(failed, value.value, message.value.decode())
"""


def test_a_tick_in_a_store_without_a_python_side(tmp_path: Path) -> None:
    compiler = os.environ.get("CC", "gcc").split()
    if shutil.which(compiler[0]) is None:
        pytest.skip(f"no C compiler {compiler[0]}: set CC")
    library = tmp_path / "plain_store.so"
    native = ROOT / "wasmrt" / "_native"
    command = [*compiler, "-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", f"-I{ROOT / 'include'}", f"-I{ROOT / 'csrc'}", "-o", str(library)]
    environment = {name: text for name, text in os.environ.items() if name != "LD_PRELOAD"}
    subprocess.run(
        [*command, str(ROOT / "tests" / "c" / "plain_store.c"), f"-L{native}", "-lwasmrt", f"-Wl,-rpath,{native}"],
        check=True,
        timeout=60,
        env=environment,
    )
    done = subprocess.run([sys.executable, "-c", CHILD, str(library)], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "0 1 \n", "")
