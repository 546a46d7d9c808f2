"""Run time of compiled code: the kernels of polybench, each a whole program whose `_start` is timed.

A kernel's module is compiled once an engine; each round makes a fresh store and instance (not timed) and runs `_start`
(timed). The programs set up their arrays inside `_start`, which is small beside the kernel; they read no clock, so that is
the finest that can be measured from outside. Before anything is timed, each engine runs the program once, and what it
printed and its whole memory at the end are compared with the other engines'.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from bench.engines import Contender, contenders
from bench.interleave import Candidate, Clock, Comparison, interleave
from bench.programs import polybench
from bench.wasi_stub import Exit, Wasi, define

QUICK = ("trisolv", "jacobi-1d", "durbin")
# short kernels run as often as makes a round this long
ROUND_SECONDS = 0.03


class OutputDiffers(Exception):
    """Two engines printed, or left in memory, different things: one of them computes wrongly."""


class Program:
    """One module compiled by one contender."""

    def __init__(self, contender: Contender, path: Path) -> None:
        self._contender = contender
        self._engine = contender.engine()
        self._module = contender.package.Module(self._engine, path.read_bytes())
        self._name = path.stem

    def run(self, clock: Clock) -> tuple[Wasi, Any, Any]:
        """`_start` in a fresh instance, timed; what it printed, its store and its instance."""
        package = self._contender.package
        store = self._contender.store(self._engine)
        wasi = Wasi(arguments=[self._name])
        linker = package.Linker(self._engine)
        define(package, linker, wasi)
        instance = linker.instantiate(store, self._module)
        start = instance.exports(store)["_start"]
        clock.start()
        try:
            start(store)
        except Exit as exit_:
            if exit_.code != 0:
                raise
        finally:
            clock.stop()
        return wasi, store, instance

    def outcome(self) -> tuple[str, str]:
        """What was printed, and a digest of the memory, which holds the arrays that were computed."""
        wasi, store, instance = self.run(Clock())
        memory = bytes(instance.exports(store)["memory"].read(store))
        return bytes(wasi.output[1] + wasi.output[2]).decode(), hashlib.sha256(memory).hexdigest()

    def repeats(self) -> int:
        """How many runs fill ROUND_SECONDS."""
        clock = Clock()
        self.run(clock)
        return max(1, min(50, round(ROUND_SECONDS / max(clock.wall, 1e-6))))


def candidate(program: Program, repeats: int) -> Candidate:
    def run(clock: Clock) -> None:
        for _ in range(repeats):
            program.run(clock)

    return run


def compare_one(path: Path, rounds: int, seconds: float) -> Comparison:
    programs = {name: Program(contender, path) for name, contender in contenders().items()}
    outcomes = {name: program.outcome() for name, program in programs.items()}
    if len(set(outcomes.values())) > 1:
        raise OutputDiffers({name: (printed[-80:], memory[:8]) for name, (printed, memory) in outcomes.items()})
    repeats = next(iter(programs.values())).repeats()
    candidates = {name: candidate(program, repeats) for name, program in programs.items()}
    return interleave(candidates, rounds, 1, seconds).each(repeats)


def compare(names: list[str], rounds: int, seconds: float) -> dict[str, Comparison | str]:
    """Kernel -> times, or why it could not be run. `seconds` bounds each kernel."""
    result: dict[str, Comparison | str] = {}
    paths = polybench()
    for name in names or list(paths):
        try:
            result[name] = compare_one(paths[name], rounds, seconds)
        except Exception as error:  # one kernel that fails must not lose the others' results
            result[name] = f"{type(error).__name__}: {error}"
    return result


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(contenders()))
@pytest.mark.parametrize("kernel", QUICK)
def test_kernel(benchmark: Any, kernel: str, name: str) -> None:
    program = Program(contenders()[name], polybench()[kernel])
    benchmark.pedantic(program.run, args=(Clock(),), rounds=3, warmup_rounds=1)
