"""Owns the little of wasi_snapshot_preview1 that benchmark programs need, on the core `Linker.define_func` alone.

Any engine with wasmtime's Python names can run it. Files and environment do not exist; what is written to the standard
streams is kept, so that the outputs of engines can be compared.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

BADF, INVAL, SPIPE = 8, 28, 70
MODULE = "wasi_snapshot_preview1"


class Exit(Exception):
    """The guest called proc_exit."""

    def __init__(self, code: int) -> None:
        super().__init__(f"exit {code}")
        self.code = code


@dataclass
class Wasi:
    """State of one run: arguments in, output out."""

    arguments: Sequence[str] = ("program",)
    output: dict[int, bytearray] = field(default_factory=lambda: {1: bytearray(), 2: bytearray()})

    def fd_write(self, memory: _View, fd: int, vectors: int, count: int, written: int) -> int:
        if fd not in self.output:
            return BADF
        total = 0
        for index in range(count):
            base, length = struct.unpack("<II", memory.read((vectors + 8 * index) & 0xFFFFFFFF, 8))
            self.output[fd] += memory.read(base, length)
            total += length
        memory.write(written, struct.pack("<I", total))
        return 0

    def fd_read(self, memory: _View, fd: int, _vectors: int, _count: int, read: int) -> int:
        if fd != 0:
            return BADF
        memory.write(read, bytes(4))
        return 0

    def fd_close(self, _memory: _View, fd: int) -> int:
        return 0 if fd in (0, 1, 2) else BADF

    def fd_seek(self, _memory: _View, fd: int, _offset: int, _whence: int, _out: int) -> int:
        return SPIPE if fd in (0, 1, 2) else BADF

    def fd_fdstat_get(self, memory: _View, fd: int, out: int) -> int:
        if fd not in (0, 1, 2):
            return BADF
        # a character device with all rights: a C library then writes by lines
        memory.write(out, struct.pack("<BxHxxxxQQ", 2, 0, 0xFFFFFFFF, 0xFFFFFFFF))
        return 0

    def fd_prestat_get(self, _memory: _View, _fd: int, _out: int) -> int:
        return BADF

    def fd_prestat_dir_name(self, _memory: _View, _fd: int, _path: int, _length: int) -> int:
        return BADF

    def clock_time_get(self, memory: _View, clock: int, _precision: int, out: int) -> int:
        if clock not in (0, 1, 2, 3):
            return INVAL
        now = (time.time_ns, time.monotonic_ns, time.process_time_ns, time.thread_time_ns)[clock]()
        memory.write(out, struct.pack("<Q", now))
        return 0

    def random_get(self, memory: _View, out: int, length: int) -> int:
        memory.write(out, os.urandom(length))
        return 0

    def _encoded(self) -> list[bytes]:
        return [argument.encode() + b"\0" for argument in self.arguments]

    def args_sizes_get(self, memory: _View, count: int, size: int) -> int:
        memory.write(count, struct.pack("<I", len(self.arguments)))
        memory.write(size, struct.pack("<I", sum(map(len, self._encoded()))))
        return 0

    def args_get(self, memory: _View, pointers: int, buffer: int) -> int:
        for index, argument in enumerate(self._encoded()):
            memory.write(pointers + 4 * index, struct.pack("<I", buffer))
            memory.write(buffer, argument)
            buffer += len(argument)
        return 0

    def environ_sizes_get(self, memory: _View, count: int, size: int) -> int:
        memory.write(count, bytes(4))
        memory.write(size, bytes(4))
        return 0

    def environ_get(self, _memory: _View, _pointers: int, _buffer: int) -> int:
        return 0

    def proc_exit(self, _memory: _View, code: int) -> None:
        raise Exit(code)


class _View:
    """The calling instance's memory, by unsigned addresses."""

    def __init__(self, caller: Any) -> None:
        self._caller = caller
        self._memory = caller["memory"]

    def read(self, start: int, length: int) -> bytes:
        start &= 0xFFFFFFFF
        found = bytes(self._memory.read(self._caller, start, start + length))
        if len(found) != length:
            raise IndexError(f"guest passed [{start}, +{length}) outside of its memory")
        return found

    def write(self, start: int, value: bytes) -> None:
        self._memory.write(self._caller, value, start & 0xFFFFFFFF)


SIGNATURES = {
    "fd_write": "iiii:i",
    "fd_read": "iiii:i",
    "fd_close": "i:i",
    "fd_seek": "iIii:i",
    "fd_fdstat_get": "ii:i",
    "fd_prestat_get": "ii:i",
    "fd_prestat_dir_name": "iii:i",
    "clock_time_get": "iIi:i",
    "random_get": "ii:i",
    "args_sizes_get": "ii:i",
    "args_get": "ii:i",
    "environ_sizes_get": "ii:i",
    "environ_get": "ii:i",
    "proc_exit": "i:",
}


def define(package: Any, linker: Any, wasi: Wasi) -> None:
    """Put every function of SIGNATURES into a core linker of `package`."""
    types = {"i": package.ValType.i32(), "I": package.ValType.i64()}

    def host(method: Callable[..., int | None]) -> Callable[..., int | None]:
        return lambda caller, *arguments: method(_View(caller), *arguments)

    for name, signature in SIGNATURES.items():
        parameters, _, results = signature.partition(":")
        function_type = package.FuncType([types[letter] for letter in parameters], [types[letter] for letter in results])
        linker.define_func(MODULE, name, function_type, host(getattr(wasi, name)), access_caller=True)
