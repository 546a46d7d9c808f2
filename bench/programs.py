"""Owns finding the programs that benchmarks run, and reading from their bytes how much code they have."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.fetch import WASURE, codec_path, fetch_package

SUITES = ("polybench", "libsodium", "mibench", "ostrich")
# arguments that the package leaves to whoever runs it: sizes at which a run takes a noticeable part of a second
ARGUMENTS: dict[tuple[str, str], str] = {}


def codec(name: str = "zstd") -> bytes:
    return codec_path(name).read_bytes()


@dataclass(frozen=True)
class Command:
    """A WASI 0.1 command and what it is run with; `expected` stands in its output, `folder` is what it sees as `/`."""

    path: Path
    arguments: tuple[str, ...] = ()
    stdin: Path | None = None
    folder: Path | None = None
    expected: str = ""


def commands(suite: str) -> dict[str, Command]:
    """The programs of one of SUITES, by name."""
    folder = fetch_package(*WASURE) / "wasure" / "benchmarks" / suite
    found = {}
    for item in json.loads((folder / "benchmarks.json").read_text())["benchmarks"]:
        words = item.get("args", ARGUMENTS.get((suite, item["name"]), "")).split()
        stdin = None
        if "<" in words:
            stdin = folder / words[words.index("<") + 1].removeprefix("{path}/")
            words = words[: words.index("<")]
        arguments = tuple(word.replace("{path}/", "/") for word in words)
        found[item["name"]] = Command(folder / item["path"], arguments, stdin, folder, item.get("output-validator", ""))
    return found


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
