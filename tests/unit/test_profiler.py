"""Files for `perf`: what they say of compiled functions, of children, and whose files are left alone."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from wasmrt import Config

PROGRAM = """
import os, sys
import wasmrt.runtime.profiler as profiler
profiler.DIRECTORY = sys.argv[1]
from wasmrt import Config, Engine, Instance, Module, Store
engine = Engine(Config(profiler=sys.argv[2]))
module = Module(engine, '(module (func $first (export "f") (result i32) (i32.const 42)) (func (result i32) (i32.const 1)))')
assert Instance(Store(engine), module, []).exports.f() == 42
again = Module.deserialize(engine, module.serialize())
child = os.fork() if len(sys.argv) > 3 else -1
if child == 0:
    os._exit(0)
if child > 0:
    assert os.waitpid(child, 0)[1] == 0
print(os.getpid(), child, *module.image_range(), *again.image_range())
"""


def run(folder: Path, kind: str, *more: str) -> list[int]:
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder), kind, *more], capture_output=True, text=True, timeout=60, env=environment
    )
    assert done.returncode == 0, done.stderr
    return [int(word) for word in done.stdout.split()]


def test_perfmap(tmp_path: Path) -> None:
    pid, child, *ranges = run(tmp_path, "perfmap", "fork")
    for number in (pid, child):
        path = tmp_path / f"perf-{number}.map"
        assert path.stat().st_mode & 0o777 == 0o600
        rows = [line.split(" ", 2) for line in path.read_text().splitlines()]
        for start, end in (ranges[:2], ranges[2:]):
            inside = [(int(at, 16), int(size, 16), name) for at, size, name in rows if start <= int(at, 16) < end]
            assert [name for _, _, name in inside] == ["wasm[0]::first", "wasm[0]::function[1]", *[name for *_, name in inside[2:]]]
            assert all(size > 0 and at + size <= end for at, size, _ in inside)


GDB = """
import ctypes, signal
from wasmrt import Config, Engine, Func, FuncType, Instance, Module, Store
engine = Engine(Config(profiler="gdb"))
gone = Module(engine, '(module (func $gone))')
module = Module(engine, '''(module (import "" "stop" (func $stop))
  (func $inner_one (param i32) (if (local.get 0) (then (call $inner_one (i32.sub (local.get 0) (i32.const 1)))) (else (call $stop))))
  (func $outer_one (export "f") (call $inner_one (i32.const 2))))''')
del gone
store = Store(engine)
Instance(store, module, [Func(store, FuncType([], []), lambda: signal.raise_signal(signal.SIGTRAP))]).exports.f()
"""


@pytest.mark.skipif(shutil.which("gdb") is None or os.environ.get("WASMRT_VARIANT") == "asan", reason="needs gdb, and a library that it can read in time")
def test_gdb(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(GDB)
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path), DEBUGINFOD_URLS="")
    command = ["gdb", "-nx", "-batch", "-ex", "set debuginfod enabled off", "-ex", "run", "-ex", "bt", "-ex", "info address gone", "--args", sys.executable, str(program)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)
    if "SIGTRAP" not in done.stdout:
        pytest.skip(f"gdb cannot run programs here: {done.stdout[-200:]} {done.stderr[-200:]}")
    frames = [line.split(" in ")[1].split(" ")[0] for line in done.stdout.splitlines() if line.startswith("#") and " in " in line]
    first = frames.index("inner_one")
    assert frames[first : first + 4] == ["inner_one", "inner_one", "inner_one", "outer_one"]
    assert frames[first - 1] == "wasm-to-host"
    assert any("quick_vectorcall" in name or "Py" in name for name in frames[first + 5 :]), frames  # unwound through the guest
    assert 'No symbol "gone"' in done.stderr + done.stdout


def test_jitdump(tmp_path: Path) -> None:
    pid, *_ = run(tmp_path, "jitdump")
    data = (tmp_path / f"jit-{pid}.dump").read_bytes()
    magic, version, size, machine, _, process = struct.unpack_from("<6I", data)
    assert (magic, version, size, machine, process) == (0x4A695444, 1, 40, 62, pid)
    at, names = size, []
    while at < len(data):
        record, total, _, process, _, address, again, length, number = struct.unpack_from("<IIQIIQQQQ", data, at)
        name, _, code = data[at + 56 : at + total].partition(b"\0")
        assert record == 0 and process == pid and address == again and len(code) == length
        names.append(name.decode())
        assert number == len(names)
        if name == b"wasm[0]::first":
            assert code.endswith(b"\xc3") or b"\xc3" in code
        at += total
    assert names.count("wasm[0]::first") == 2


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    """A link, planted under the name that the process will have, is not followed; the program runs."""
    program = PROGRAM.replace("from wasmrt import", "os.symlink('/etc/passwd', f'{sys.argv[1]}/perf-{os.getpid()}.map')\nfrom wasmrt import")
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path), "perfmap"], capture_output=True, text=True, timeout=60, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert next(tmp_path.iterdir()).is_symlink()


def test_the_option() -> None:
    for name in ("none", "perfmap", "jitdump", "vtune"):
        assert Config(profiler=name).profiler == name
    assert Config().profiler == "none"
    with pytest.raises(ValueError):
        Config(profiler="gprof")
    with pytest.raises(TypeError):
        Config(profiler=True)
