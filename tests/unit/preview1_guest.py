"""A guest that calls WASI 0.1 as it is told to: every function of the interface, exported again under its name, over a memory that tests fill."""

from __future__ import annotations

import struct
from typing import Any

from wasmrt.wasi.preview1 import IN_C, MODULE, SIGNATURES
from wasmrt.wasi.preview1_abi import ALL_RIGHTS, ERRNO

NAMES = {number: name for name, number in ERRNO.items()}
WORDS = {"i": "i32", "I": "i64"}
OUT = 64  # where results go
PATHS = 4096


def wat(module: str = MODULE) -> str:
    imports, exports = [], []
    for name, signature in {**SIGNATURES, **IN_C}.items():
        letters = signature.partition(":")[0]
        params = f"(param {' '.join(WORDS[letter] for letter in letters)})" if letters else ""
        result = "" if signature.endswith(":") else "(result i32)"
        imports.append(f'(import "{module}" "{name}" (func ${name} {params} {result}))')
        arguments = " ".join(f"(local.get {index})" for index in range(len(letters)))
        exports.append(f'(func (export "{name}") {params} {result} (call ${name} {arguments}))')
    return f'(module {" ".join(imports)} (memory (export "memory") 2 4) {" ".join(exports)})'


class Guest:
    """An instance in a store of its own; `package` is wasmrt, or the peer."""

    def __init__(self, package: Any, config: Any = None, module: str = MODULE) -> None:
        engine = package.Engine()
        self.store = package.Store(engine)
        linker = package.Linker(engine)
        linker.define_wasi()
        self.store.set_wasi(config or package.WasiConfig())
        self.exports = linker.instantiate(self.store, package.Module(engine, wat(module))).exports(self.store)
        self.memory = self.exports["memory"]
        self._paths = PATHS

    def call(self, name: str, *args: int) -> str:
        """The errno's name."""
        return NAMES[self.exports[name](self.store, *args)]

    def put(self, data: bytes, at: int | None = None) -> int:
        if at is None:
            at = self._paths
            self._paths = PATHS + (self._paths + len(data) + 8 & ~7) % 30000
        self.memory.write(self.store, data, at)
        return at

    def get(self, at: int, length: int) -> bytes:
        return bytes(self.memory.read(self.store, at, at + length))

    def u32(self, at: int = OUT) -> int:
        return int(struct.unpack("<I", self.get(at, 4))[0])

    def u64(self, at: int = OUT) -> int:
        return int(struct.unpack("<Q", self.get(at, 8))[0])

    def path(self, text: str | bytes) -> tuple[int, int]:
        raw = text.encode() if isinstance(text, str) else text
        return self.put(raw), len(raw)

    def open(self, path: str | bytes, oflags: int = 0, fdflags: int = 0, rights: int = ALL_RIGHTS, look: int = 1, fd: int = 3) -> int | str:
        """The descriptor, or the errno's name."""
        error = self.call("path_open", fd, look, *self.path(path), oflags, rights, rights, fdflags, OUT)
        return self.u32() if error == "success" else error

    def write(self, fd: int, data: bytes, offset: int | None = None) -> int | str:
        at = self.put(data)
        vector = self.put(struct.pack("<II", at, len(data)))
        error = self.call("fd_write", fd, vector, 1, OUT) if offset is None else self.call("fd_pwrite", fd, vector, 1, offset, OUT)
        return self.u32() if error == "success" else error

    def read(self, fd: int, length: int, offset: int | None = None) -> bytes | str:
        at = 40000
        vector = self.put(struct.pack("<II", at, length))
        error = self.call("fd_read", fd, vector, 1, OUT) if offset is None else self.call("fd_pread", fd, vector, 1, offset, OUT)
        return self.get(at, self.u32()) if error == "success" else error

    def seek(self, fd: int, offset: int, whence: int) -> int | str:
        error = self.call("fd_seek", fd, offset, whence, OUT)
        return self.u64() if error == "success" else error

    def entries(self, fd: int, cookie: int = 0, size: int = 4096) -> list[tuple[int, bytes, int]] | str:
        """(cookie of the next, name, type) of the whole entries that fit."""
        at = 40000
        error = self.call("fd_readdir", fd, at, size, cookie, OUT)
        if error != "success":
            return error
        data, found = self.get(at, self.u32()), []
        while len(data) >= 24:
            following, _, length, kind = struct.unpack_from("<QQIB", data)
            if len(data) < 24 + length:
                break
            found.append((following, data[24 : 24 + length], kind))
            data = data[24 + length :]
        return found

    def poll(self, *subscriptions: tuple[int, int, int, int]) -> list[tuple[int, int, int, int, int]] | str:
        """Of (kind, clock or descriptor, timeout, flags): (userdata, error, kind, bytes, flags) of each event; userdata is the index."""
        packed = b"".join(struct.pack("<QBxxxxxxxIxxxxQQHxxxxxx", index, kind, which, timeout, 0, flags) for index, (kind, which, timeout, flags) in enumerate(subscriptions))
        error = self.call("poll_oneoff", self.put(packed), 50000, len(subscriptions), OUT)
        if error != "success":
            return error
        return [struct.unpack("<QHBxxxxxQHxxxxxx", self.get(50000 + 32 * index, 32)) for index in range(self.u32())]
