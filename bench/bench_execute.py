"""Run time of compiled code: the programs of polybench, libsodium, mibench and ostrich, whole WASI commands whose `_start` is timed.

A program's module is compiled once an engine; each round makes a fresh store and instance (not timed) and runs `_start`
(timed). The programs set up their data inside `_start`; the clock that they read is made up, so timing from outside is
the finest there is. Before anything is timed, each engine runs the program once, and what it
printed and its whole memory at the end are compared with the other engines'.
"""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from bench.engines import Contender, contenders
from bench.interleave import Candidate, Clock, Comparison, geometric_mean, interleave
from bench.programs import SUITES, Command, commands
from bench.tables import Row, Table
from bench.wasi_stub import Exit, Wasi, define

QUICK = ("trisolv", "jacobi-1d", "durbin")
# a program that takes longer is left out of the report
LONGEST_SECONDS = 3.0
# short programs run as often as makes a round this long
ROUND_SECONDS = 0.03


class OutputDiffers(Exception):
    """What an engine printed, or left in memory, is not what it should be: it computes wrongly."""


class Program:
    """One command compiled by one contender."""

    def __init__(self, contender: Contender, command: Command) -> None:
        self._contender = contender
        self._command = command
        self._engine = contender.engine()
        self._module = contender.package.Module(self._engine, command.path.read_bytes())
        self._stdin = command.stdin.read_bytes() if command.stdin else b""

    def run(self, clock: Clock) -> tuple[Wasi, Any, Any]:
        """`_start` in a fresh instance, timed; what it printed, its store and its instance."""
        package = self._contender.package
        store = self._contender.store(self._engine)
        command = self._command
        wasi = Wasi([command.path.stem, *command.arguments], self._stdin, command.folder)
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
        printed = bytes(wasi.output[1] + wasi.output[2]).decode("latin-1")
        if self._command.expected not in printed:
            raise OutputDiffers(f"expected {self._command.expected!r} in what it prints, got {printed[-200:]!r}")
        return printed, hashlib.sha256(memory).hexdigest()

    def seconds(self) -> float:
        """Wall time of one run."""
        clock = Clock()
        self.run(clock)
        return clock.wall


def candidate(program: Program, repeats: int) -> Candidate:
    def run(clock: Clock) -> None:
        for _ in range(repeats):
            program.run(clock)

    return run


def compare_one(command: Command, rounds: int, seconds: float) -> Comparison:
    programs = {name: Program(contender, command) for name, contender in contenders().items()}
    outcomes = {name: program.outcome() for name, program in programs.items()}
    if len(set(outcomes.values())) > 1:
        raise OutputDiffers({name: (printed[-80:], memory[:8]) for name, (printed, memory) in outcomes.items()})
    repeats = max(1, min(50, round(ROUND_SECONDS / max(next(iter(programs.values())).seconds(), 1e-6))))
    candidates = {name: candidate(program, repeats) for name, program in programs.items()}
    return interleave(candidates, rounds, 1, seconds).each(repeats)


def compare(suite: str, names: list[str], rounds: int, seconds: float) -> dict[str, Comparison | str]:
    """Program -> times, or why it could not be run. `names`: none are all but long ones. `seconds` bounds the rounds of each program."""
    result: dict[str, Comparison | str] = {}
    for name, command in commands(suite).items():
        if names and name not in names:
            continue
        try:
            if not names and Program(contenders()["wasmrt"], command).seconds() > LONGEST_SECONDS:
                continue
            result[name] = compare_one(command, rounds, seconds)
        except Exception as error:  # one program that fails must not lose the others' results
            result[name] = f"{type(error).__name__}: {error}"
    return result


def tables(rounds: int, seconds: float, suites: tuple[str, ...] = SUITES, names: tuple[str, ...] = ()) -> list[Table]:
    found = []
    columns = {name: name for name in contenders()}
    for suite in suites:
        results = compare(suite, list(names), rounds, seconds)
        means = []
        for other in columns:
            ratios = [
                1 / result.ratio(other, "wasmrt").median
                for result in results.values()
                if isinstance(result, Comparison) and other != "wasmrt"
            ]
            if ratios:
                means.append(f"{geometric_mean(ratios):.3f} of {other}'s")
        intro = "CPU time of `_start`."
        if means:
            intro += f" Geometric mean of wasmrt's run times over {len(results)} programs: {', '.join(means)}."
        rows = [Row(name, comparison) for name, comparison in results.items()]
        faster = {"cranelift": "times faster than Cranelift", "winch": "than Winch"}
        found.append(Table(f"Running {suite}", intro, rows, columns, faster))
    return found


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(contenders()))
@pytest.mark.parametrize("program", QUICK)
def test_program(benchmark: Any, program: str, name: str) -> None:
    benchmark.group = f"execute: {program}"
    run = Program(contenders()[name], commands("polybench")[program]).run
    benchmark.pedantic(run, args=(Clock(),), rounds=3, warmup_rounds=1)
