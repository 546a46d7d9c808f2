"""Compiled functions for `perf`: `Config.profiler = "perfmap"` or `"jitdump"`.

* `perfmap` appends a line a function to `perf-PID.map` in `/tmp`, which `perf report` and others read while or after the process runs.
* `jitdump` writes `jit-PID.dump` there, with the code itself, for `perf record -k mono` and `perf inject --jit`, so that `perf annotate` can show it. `perf` finds the
  file by a page of it that is mapped executable.

The third choice, `"gdb"`, is csrc/code/gdb.c's.

Names are those of the name section, else the function's index. Reading them takes milliseconds a module, only with this option. A forked child writes
a file of its own. Files of another owner, and links, are not written to; what cannot be written is only logged.
"""

from __future__ import annotations

import mmap
import os
import stat
import struct
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any

from wasmrt._native import images
from wasmrt.artifact import reader
from wasmrt.errors import WasmError

from .cache import log

KINDS = ("none", "perfmap", "jitdump")
DIRECTORY = "/tmp"
_EM_X86_64 = 62
_JIT_HEADER = struct.Struct("<IIIIIIQQ")  # magic, version, its size, machine, padding, process, nanoseconds, flags
_JIT_LOAD = struct.Struct("<IIQIIQQQQ")  # record 0, its size, nanoseconds, process, thread, address twice, code bytes, number

_lock = threading.Lock()
_files: dict[str, Any] = {}  # by kind: of this process
_markers: list[mmap.mmap] = []
_known: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()
_number = 0


def register(owner: Any, code: images.CodeMemory, kind: str) -> None:
    """Tells of an image. `owner` lives as long as it and has it as `code`."""
    with _lock:
        _known[owner] = kind
        _write(code, kind)


def symbols(code: images.CodeMemory) -> Iterator[tuple[int, int, str]]:
    """(address, bytes, name) of each function, and of the trampolines between modules."""
    artifact = reader.read(code.image())
    start, end = code.text_range()
    for function in artifact.functions():
        yield start + function.offset, function.size, f"wasm[{function.module}]::{function.name or f'function[{function.func_index}]'}"
    ends = [(m["text_offset"] + m["text_bytes"]) for m in artifact.modules]
    last = max(ends, default=0)
    if start + last < end:
        yield start + last, end - start - last, "wasm::trampolines"


def _write(code: images.CodeMemory, kind: str) -> None:
    try:
        file = _files.get(kind)
        if file is None:
            file = _files[kind] = _open(kind)
        if kind == "perfmap":
            file.write("".join(f"{address:x} {size:x} {_line(name)}\n" for address, size, name in symbols(code)).encode())
        else:
            _dump(file, code)
        file.flush()
    except (OSError, WasmError) as error:
        log("profiler: %s", error)


def _line(name: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in name)


def _open(kind: str) -> Any:
    path = f"{DIRECTORY}/perf-{os.getpid()}.map" if kind == "perfmap" else f"{DIRECTORY}/jit-{os.getpid()}.dump"
    # what a process of the same number left is ours to truncate, unless it is another user's
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
        os.close(handle)
        raise OSError(f"{path} belongs to somebody else")
    os.ftruncate(handle, 0)
    file = os.fdopen(handle, "r+b")
    if kind == "jitdump":
        file.write(_JIT_HEADER.pack(0x4A695444, 1, _JIT_HEADER.size, _EM_X86_64, 0, os.getpid(), time.monotonic_ns(), 0))
        file.flush()
        os.ftruncate(handle, mmap.PAGESIZE)  # mmap of Python wants the page to be there
        _markers.append(mmap.mmap(handle, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_EXEC))
        os.ftruncate(handle, _JIT_HEADER.size)
    return file


def _dump(file: Any, code: images.CodeMemory) -> None:
    global _number
    start, _ = code.text_range()
    text = reader.read(code.image()).section("TEXT")
    for address, size, name in symbols(code):
        encoded = name.encode("utf-8", "replace").replace(b"\0", b"?") + b"\0"
        total = _JIT_LOAD.size + len(encoded) + size
        _number += 1
        file.write(
            _JIT_LOAD.pack(0, total, time.monotonic_ns(), os.getpid(), threading.get_native_id(), address, address, size, _number)
        )
        file.write(encoded)
        file.write(text[address - start : address - start + size])


def _after_fork() -> None:
    """The child is another process to perf: what it inherited is told again, into a file of its own."""
    global _lock
    _lock = threading.Lock()
    _files.clear()  # each write is flushed, so nothing of the parent's is written twice
    for owner, kind in list(_known.items()):
        _write(owner.code, kind)


os.register_at_fork(after_in_child=_after_fork)
