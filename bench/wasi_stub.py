"""Owns the little of wasi_snapshot_preview1 that benchmark programs need to be run for their outcome, on the core `Linker.define_func` alone.

It is there for one reason: its clock and random numbers are the same in every run of every engine, so what programs print, and their memories at the
end, can be compared byte by byte. There is no environment; files of one folder can be read; what is written to the standard streams is kept. Timed runs
use the engines' own `define_wasi`.
"""

from __future__ import annotations

import hashlib
import io
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BADF, INVAL, NOENT, NOSYS, SPIPE = 8, 28, 44, 52, 70
ROOT = 3  # descriptor of the folder
MODULE = "wasi_snapshot_preview1"


class Exit(Exception):
    """The guest called proc_exit."""

    def __init__(self, code: int) -> None:
        super().__init__(f"exit {code}")
        self.code = code


@dataclass
class Wasi:
    """State of one run: arguments, standard input and a folder in, output out."""

    arguments: Sequence[str] = ("program",)
    stdin: bytes = b""
    folder: Path | None = None
    output: dict[int, bytearray] = field(default_factory=lambda: {1: bytearray(), 2: bytearray()})

    def __post_init__(self) -> None:
        self._files: dict[int, io.BytesIO] = {0: io.BytesIO(self.stdin)}
        self._nanoseconds = 0
        self._random = 0

    def fd_write(self, memory: _View, fd: int, vectors: int, count: int, written: int) -> int:
        if fd not in self.output:
            return BADF
        total = 0
        for base, length in memory.vectors(vectors, count):
            self.output[fd] += memory.read(base, length)
            total += length
        memory.write(written, struct.pack("<I", total))
        return 0

    def fd_read(self, memory: _View, fd: int, vectors: int, count: int, read: int) -> int:
        if fd not in self._files:
            return BADF
        total = 0
        for base, length in memory.vectors(vectors, count):
            data = self._files[fd].read(length)
            memory.write(base, data)
            total += len(data)
        memory.write(read, struct.pack("<I", total))
        return 0

    def fd_close(self, _memory: _View, fd: int) -> int:
        return 0 if self._files.pop(fd, None) is not None or fd in (0, 1, 2, ROOT) else BADF

    def fd_seek(self, memory: _View, fd: int, offset: int, whence: int, out: int) -> int:
        if fd in (0, 1, 2):
            return SPIPE
        if fd not in self._files:
            return BADF
        memory.write(out, struct.pack("<Q", self._files[fd].seek(offset, whence)))
        return 0

    def fd_fdstat_get(self, memory: _View, fd: int, out: int) -> int:
        # a C library writes to a character device by lines
        kind = {0: 2, 1: 2, 2: 2, ROOT: 3}.get(fd, 4)
        if kind == 4 and fd not in self._files:
            return BADF
        memory.write(out, struct.pack("<BxHxxxxQQ", kind, 0, 2**64 - 1, 2**64 - 1))
        return 0

    def fd_fdstat_set_flags(self, _memory: _View, _fd: int, _flags: int) -> int:
        return 0

    def fd_prestat_get(self, memory: _View, fd: int, out: int) -> int:
        if fd != ROOT or self.folder is None:
            return BADF
        memory.write(out, struct.pack("<II", 0, 1))
        return 0

    def fd_prestat_dir_name(self, memory: _View, fd: int, path: int, _length: int) -> int:
        if fd != ROOT or self.folder is None:
            return BADF
        memory.write(path, b"/")
        return 0

    def path_open(
        self,
        memory: _View,
        fd: int,
        _look: int,
        path: int,
        length: int,
        _open: int,
        _rights: int,
        _inherited: int,
        _flags: int,
        out: int,
    ) -> int:
        if fd != ROOT or self.folder is None:
            return BADF
        found = (self.folder / memory.read(path, length).decode()).resolve()
        if not found.is_relative_to(self.folder.resolve()) or not found.is_file():
            return NOENT
        opened = max(ROOT, *self._files) + 1
        self._files[opened] = io.BytesIO(found.read_bytes())
        memory.write(out, struct.pack("<I", opened))
        return 0

    def poll_oneoff(self, _memory: _View, _in: int, _out: int, _count: int, _events: int) -> int:
        return NOSYS

    def clock_time_get(self, memory: _View, clock: int, _precision: int, out: int) -> int:
        if clock not in (0, 1, 2, 3):
            return INVAL
        self._nanoseconds += 1_000_000
        memory.write(out, struct.pack("<Q", self._nanoseconds))
        return 0

    def random_get(self, memory: _View, out: int, length: int) -> int:
        self._random += 1
        memory.write(out, hashlib.shake_128(self._random.to_bytes(8, "little")).digest(length))
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

    def vectors(self, start: int, count: int) -> list[tuple[int, int]]:
        """`count` pairs of address and length at `start`."""
        return list(struct.iter_unpack("<II", self.read(start, 8 * count)))

    def write(self, start: int, value: bytes) -> None:
        self._memory.write(self._caller, value, start & 0xFFFFFFFF)


SIGNATURES = {
    "fd_write": "iiii:i",
    "fd_read": "iiii:i",
    "fd_close": "i:i",
    "fd_seek": "iIii:i",
    "fd_fdstat_get": "ii:i",
    "fd_fdstat_set_flags": "ii:i",
    "fd_prestat_get": "ii:i",
    "fd_prestat_dir_name": "iii:i",
    "path_open": "iiiiiIIii:i",
    "poll_oneoff": "iiii:i",
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
        function_type = package.FuncType(
            [types[letter] for letter in parameters], [types[letter] for letter in results]
        )
        linker.define_func(MODULE, name, function_type, host(getattr(wasi, name)), access_caller=True)
