"""Throughput of compiling, in bytes of wasm code section a second of CPU time, on the zstd codec.

Compilation is single-threaded for all (parallel_compilation off), so that CPU time is comparable; the second table is the
wall time of a default engine with all cores.
"""

from __future__ import annotations

from typing import Any

import pytest

from bench.engines import Contender, contenders
from bench.interleave import Candidate, Clock, Comparison, interleave
from bench.programs import code_bytes, codec, core_modules
from bench.tables import Row, Table


def compile_component(contender: Contender, data: bytes, parallel: bool) -> Candidate:
    engine = contender.engine(parallel)

    def run(clock: Clock) -> Any:
        with clock:
            return contender.component.Component(engine, data)

    return run


def compile_module(contender: Contender, data: bytes, parallel: bool) -> Candidate:
    engine = contender.engine(parallel)

    def run(clock: Clock) -> Any:
        with clock:
            return contender.package.Module(engine, data)

    return run


def compare(rounds: int, seconds: float) -> dict[str, tuple[int, Comparison]]:
    """What is compiled -> (bytes of its code sections, times)."""
    component = codec()
    largest = max(core_modules(component), key=len)
    present = contenders().values()
    return {
        "zstd component, one thread": (
            code_bytes(component),
            interleave({c.name: compile_component(c, component, False) for c in present}, rounds, 1, seconds),
        ),
        "zstd core module, one thread": (
            code_bytes(largest),
            interleave({c.name: compile_module(c, largest, False) for c in present}, rounds, 1, seconds),
        ),
        "zstd component, all cores": (
            code_bytes(component),
            interleave({c.name: compile_component(c, component, True) for c in present}, rounds, 1, seconds),
        ),
    }


def tables(rounds: int, seconds: float) -> list[Table]:
    found = []
    for title, (size, comparison) in compare(rounds, seconds).items():
        measure = "wall" if "all cores" in title else "cpu"
        speed = size / 1e6 / comparison.samples["wasmrt"].median(measure)
        found.append(Row(f"{title}, {size / 1e6:.2f} MB", comparison, measure, {"wasmrt, MB/s": f"{speed:.1f}"}))
    columns = {name: name for name in contenders()}
    faster = {"cranelift": "times faster than Cranelift", "winch": "than Winch"}
    intro = "From bytes to runnable machine code; CPU time with one thread, wall time with all cores; the size is that of the wasm code sections."
    return [Table("Compiling", intro, found, columns, faster)]


@pytest.mark.smoke
@pytest.mark.network
@pytest.mark.parametrize("name", sorted(contenders()))
def test_compile_component(benchmark: Any, name: str) -> None:
    data = codec()
    run = compile_component(contenders()[name], data, False)
    benchmark.extra_info["code_bytes"] = code_bytes(data)
    benchmark.pedantic(run, args=(Clock(),), rounds=5, warmup_rounds=1)


@pytest.mark.network
@pytest.mark.parametrize("name", sorted(contenders()))
def test_compile_core_module(benchmark: Any, name: str) -> None:
    data = max(core_modules(codec()), key=len)
    run = compile_module(contenders()[name], data, False)
    benchmark.extra_info["code_bytes"] = code_bytes(data)
    benchmark.pedantic(run, args=(Clock(),), rounds=5, warmup_rounds=1)
