"""What looking into a guest's memory from Python costs: copies out and in, a view without a copy, growing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bench.engines import Contender, contenders
from bench.interleave import Candidate, Clock, interleave, repeat
from bench.tables import Row, Table

BLOCK = bytes(range(256)) * 256
VIEW = 1 << 20
GROWTHS = 64


def memory_of(contender: Contender, pages: int = 16, maximum: int = 4096) -> tuple[Any, Any]:
    package = contender.package
    store = contender.store(contender.engine())
    return store, package.Memory(store, package.MemoryType(package.Limits(pages, maximum)))


def read(contender: Contender) -> Callable[[], object]:
    store, memory = memory_of(contender)
    return lambda: memory.read(store, 4096, 4096 + len(BLOCK))


def write(contender: Contender) -> Callable[[], object]:
    store, memory = memory_of(contender)
    return lambda: memory.write(store, BLOCK, 4096)


def view(contender: Contender) -> Callable[[], object]:
    """A numpy array over VIEW bytes of the memory, made and looked at."""
    numpy = pytest.importorskip("numpy")
    store, memory = memory_of(contender)
    if contender.name == "wasmrt":
        return lambda: numpy.frombuffer(memory, numpy.float64, VIEW // 8)[-1]
    return lambda: numpy.frombuffer(memory.get_buffer_ptr(store, VIEW), numpy.float64)[-1]


CASES = {"read 64 KiB": read, "write 64 KiB": write, "numpy view of 1 MiB": view}


def growing(contender: Contender) -> Candidate:
    """GROWTHS pages, one by one, in a memory of a new store."""

    def run(clock: Clock) -> None:
        store, memory = memory_of(contender)
        with clock:
            for _ in range(GROWTHS):
                memory.grow(store, 1)

    return run


def tables(rounds: int, seconds: float) -> list[Table]:
    present = {name: contender for name, contender in contenders().items() if name != "winch"}
    found = []
    for title, make in CASES.items():
        times = 300
        made = {name: repeat(make(contender), times) for name, contender in present.items()}
        found.append(Row(title, interleave(made, rounds, 1, seconds).each(times)))
    grown = {name: growing(contender) for name, contender in present.items()}
    found.append(Row("grow by a page", interleave(grown, rounds, 1, seconds).each(GROWTHS)))
    columns = {"wasmrt": "wasmrt", "cranelift": "wasmtime-py"}
    return [Table("Memory", "CPU time of one operation.", found, columns, {"cranelift": "times faster"})]


@pytest.mark.smoke
@pytest.mark.parametrize("name", sorted(contenders()))
@pytest.mark.parametrize("case", CASES)
def test_memory(benchmark: Any, case: str, name: str) -> None:
    benchmark.group = case
    benchmark(CASES[case](contenders()[name]))


@pytest.mark.smoke
@pytest.mark.parametrize("name", sorted(contenders()))
def test_grow(benchmark: Any, name: str) -> None:
    benchmark.pedantic(growing(contenders()[name]), args=(Clock(),), rounds=1 if benchmark.disabled else 20)
