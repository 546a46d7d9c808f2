"""What loading a compiled component from a file costs, and letting it go again: a tiny one, the zstd codec, the largest codec that both sides compile."""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from bench.engines import Contender, contenders
from bench.interleave import interleave, repeat
from bench.programs import codec
from bench.tables import Row, Table
from tools.fetch import CODECS

TINY = """(component
  (core module $m (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1))))
  (core instance $i (instantiate $m))
  (func (export "add") (param "a" s32) (param "b" s32) (result s32) (canon lift (core func $i "add"))))"""
TIMES = 200


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="wasmrt-bench-")


@cache
def artifact(contender: Contender, name: str) -> tuple[Any, str]:
    """An engine, and the file of what it compiled."""
    engine = contender.engine()
    component = contender.component.Component(engine, TINY if name == "tiny" else codec(name))
    path = Path(_folder().name) / f"{contender.name}-{name}"
    path.write_bytes(component.serialize())
    return engine, str(path)


def load(contender: Contender, name: str) -> Callable[[], object]:
    engine, path = artifact(contender, name)
    deserialize_file = contender.component.Component.deserialize_file
    return lambda: deserialize_file(engine, path)


def file_alone(name: str) -> Callable[[], object]:
    """Opening, mapping and unmapping wasmrt's artifact, touching one page: what no loader can do without."""
    _, path = artifact(contenders()["wasmrt"], name)

    def run() -> None:
        file = os.open(path, os.O_RDONLY)
        try:
            with mmap.mmap(file, 0, access=mmap.ACCESS_READ) as view:
                view[0]
        finally:
            os.close(file)

    return run


@cache
def largest() -> str:
    """The codec with the most code among those that compile."""
    sizes = {}
    for name in CODECS:
        try:
            _, path = artifact(contenders()["wasmrt"], name)
        except Exception as error:  # uses a feature that is not compiled, or cannot be fetched
            print(f"{name} is left out: {error}")
            continue
        sizes[name] = os.path.getsize(path)
    return max(sizes, key=sizes.__getitem__)


def tables(rounds: int, seconds: float) -> list[Table]:
    present = {name: contender for name, contender in contenders().items() if name != "winch"}
    found = []
    tiny = 0.0
    for name in ("tiny", "zstd", largest()):
        made = {who: repeat(load(contender, name), TIMES) for who, contender in present.items()}
        made["file alone"] = repeat(file_alone(name), TIMES)
        comparison = interleave(made, rounds, 1, seconds).each(TIMES)
        ours = comparison.samples["wasmrt"].median("wall")
        tiny = tiny or ours
        _, path = artifact(contenders()["wasmrt"], name)
        cells = {"of our tiny one": f"{ours / tiny:.2f}", "our file": f"{os.path.getsize(path) / 1e3:,.0f} kB"}
        if "cranelift" in present:
            _, other = artifact(contenders()["cranelift"], name)
            cells["size of the peer's"] = f"{os.path.getsize(path) / os.path.getsize(other):.2f}"
        found.append(Row(name, comparison, "wall", cells))
    columns = {"wasmrt": "wasmrt", "cranelift": "wasmtime-py", "file alone": "open, map, unmap alone"}
    intro = "Wall time of `Component.deserialize_file` and of dropping the component."
    return [Table("Loading", intro, found, columns, {"cranelift": "times faster"})]


@pytest.mark.smoke
@pytest.mark.parametrize("name", sorted(contenders()))
def test_load_tiny(benchmark: Any, name: str) -> None:
    benchmark.group = "load a tiny component"
    benchmark(load(contenders()[name], "tiny"))


@pytest.mark.network
@pytest.mark.smoke
@pytest.mark.parametrize("name", sorted(contenders()))
def test_load_codec(benchmark: Any, name: str) -> None:
    benchmark.group = "load the zstd codec"
    benchmark.pedantic(load(contenders()[name], "zstd"), rounds=1 if benchmark.disabled else 50)
