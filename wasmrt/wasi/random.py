"""wasi:random: cryptographic and insecure random numbers, both from the operating system."""

from __future__ import annotations

import os
from typing import Any

from wasmrt.errors import Trap
from wasmrt.runtime.component_linker import Linker

MAX_BYTES = 1 << 28  # of one call: what a guest may make the host allocate


def random_bytes(store: Any, length: int) -> bytes:
    if length > MAX_BYTES:
        raise Trap(f"a guest asked for {length} random bytes at once; at most {MAX_BYTES} are given")
    return os.urandom(length)


def random_u64(store: Any) -> int:
    return int.from_bytes(os.urandom(8), "little")


def define(linker: Linker, version: str) -> None:
    secure = linker.instance(f"wasi:random/random@{version}")
    secure.add_func("get-random-bytes", random_bytes)
    secure.add_func("get-random-u64", random_u64)
    insecure = linker.instance(f"wasi:random/insecure@{version}")
    insecure.add_func("get-insecure-random-bytes", random_bytes)
    insecure.add_func("get-insecure-random-u64", random_u64)
    seed = linker.instance(f"wasi:random/insecure-seed@{version}")
    seed.add_func("insecure-seed", lambda store: (random_u64(store), random_u64(store)))
