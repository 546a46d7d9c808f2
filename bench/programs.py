"""Owns finding the programs that benchmarks run, and reading from their bytes how much code they have."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from tools.fetch import POLYBENCH, codec_path, fetch_package


def codec(name: str = "zstd") -> bytes:
    return codec_path(name).read_bytes()


def polybench() -> dict[str, Path]:
    """The kernels of polybench by name."""
    folder = fetch_package(*POLYBENCH) / "wasure" / "benchmarks" / "polybench"
    listed = json.loads((folder / "benchmarks.json").read_text())["benchmarks"]
    return {item["name"]: folder / item["path"] for item in listed}


def _leb128(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, position


def _sections(data: bytes) -> Iterator[tuple[int, bytes]]:
    position = 8
    while position < len(data):
        kind = data[position]
        size, position = _leb128(data, position + 1)
        yield kind, data[position : position + size]
        position += size


def core_modules(data: bytes) -> list[bytes]:
    """The core modules of a component, nested ones included; a core module is its own only one."""
    if data[4:8] == b"\x01\x00\x00\x00":
        return [data]
    found = []
    for kind, body in _sections(data):
        # 1: core module, 4: component
        if kind in (1, 4):
            found += core_modules(body)
    return found


def code_bytes(data: bytes) -> int:
    """Bytes of the code sections of all core modules."""
    return sum(len(body) for module in core_modules(data) for kind, body in _sections(module) if kind == 10)
