"""Run time of compiled code: the programs of polybench, libsodium, mibench and ostrich, whole WASI commands whose `_start` is timed.

A program's module is compiled once an engine; each round makes a fresh store and instance (not timed) and runs `_start`
(timed), with each engine's own WASI 0.1, so that calls of the host cost what they cost programs. Before anything is timed,
each engine runs the program once on `wasi_stub`, whose clock and random numbers are the same everywhere: what was printed
and the whole memory at the end are compared with the other engines', and with what the suite expects.

A program that is left out is listed with the reason: it fails, or one run takes longer than LONGEST_SECONDS.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from bench.engines import Contender, contenders
from bench.interleave import Candidate, Clock, Comparison, geometric_mean, interleave
from bench.programs import SUITES, Command, commands
from bench.tables import Row, Table, duration
from bench.wasi_stub import Exit, Wasi, define

QUICK = ("trisolv", "jacobi-1d", "durbin")
# a program that takes longer is left out of the report, unless it is named: three engines run it several times
LONGEST_SECONDS = 4.0
# of a run, from which on it needs no warming up but that of the comparison of outputs
WARM_SECONDS = 0.3
# short programs run as often as makes a round this long
ROUND_SECONDS = 0.03


class OutputDiffers(Exception):
    """What an engine printed, or left in memory, is not what it should be: it computes wrongly."""


class TooLong(Exception):
    """A run takes longer than the report has time for."""


class Program:
    """One command compiled by one contender."""

    def __init__(self, contender: Contender, command: Command) -> None:
        self._contender = contender
        self._command = command
        self._engine = contender.engine()
        self._module = contender.package.Module(self._engine, command.path.read_bytes())
        self._arguments = [command.path.stem, *command.arguments]

    def run(self, clock: Clock, limit_seconds: float | None = None) -> None:
        """`_start` in a fresh instance, timed; what it prints is thrown away. `limit_seconds`, of wall time, is for engines that have timeouts."""
        package = self._contender.package
        store = self._contender.store(self._engine)
        if limit_seconds is not None and hasattr(store, "set_timeout"):
            store.set_timeout(limit_seconds)
        config = package.WasiConfig()
        config.argv = self._arguments
        if self._command.stdin:
            config.stdin_file = str(self._command.stdin)
        config.stdout_file = config.stderr_file = os.devnull
        if self._command.folder:
            config.preopen_dir(str(self._command.folder), "/")
        store.set_wasi(config)
        linker = package.Linker(self._engine)
        linker.define_wasi()
        start = linker.instantiate(store, self._module).exports(store)["_start"]
        clock.start()
        try:
            start(store)
        except package.ExitTrap as exit_:
            if exit_.code != 0:
                raise
        finally:
            clock.stop()

    def outcome(self) -> tuple[str, str]:
        """What was printed, and a digest of the memory, which holds the arrays that were computed."""
        package = self._contender.package
        store = self._contender.store(self._engine)
        stdin = self._command.stdin.read_bytes() if self._command.stdin else b""
        wasi = Wasi(self._arguments, stdin, self._command.folder)
        linker = package.Linker(self._engine)
        define(package, linker, wasi)
        instance = linker.instantiate(store, self._module)
        try:
            instance.exports(store)["_start"](store)
        except Exit as exit_:
            if exit_.code != 0:
                raise
        memory = bytes(instance.exports(store)["memory"].read(store))
        printed = bytes(wasi.output[1] + wasi.output[2]).decode("latin-1")
        if self._command.expected not in printed:
            raise OutputDiffers(f"expected {self._command.expected!r} in what it prints, got {printed[-200:]!r}")
        return printed, hashlib.sha256(memory).hexdigest()

    def seconds(self, longest: float) -> float:
        """CPU time of one run; TooLong when it is more than `longest`, as far as that can be told without waiting for the end."""
        clock = Clock()
        try:
            # the machine is others' too
            self.run(clock, None if longest == float("inf") else 2 * longest)
        except self._contender.package.Trap as trap:
            if trap.trap_code != self._contender.package.TrapCode.INTERRUPT:
                raise
            raise TooLong(f"one run takes more than {longest:g} s") from None
        if clock.cpu > longest:
            raise TooLong(f"one run takes {clock.cpu:.1f} s, more than {longest:g} s")
        return clock.cpu


def candidate(program: Program, repeats: int) -> Candidate:
    def run(clock: Clock) -> None:
        for _ in range(repeats):
            program.run(clock)

    return run


def compare_one(command: Command, rounds: int, seconds: float, longest: float = LONGEST_SECONDS) -> Comparison:
    programs = {name: Program(contender, command) for name, contender in contenders().items()}
    once = next(iter(programs.values())).seconds(longest)
    outcomes = {name: program.outcome() for name, program in programs.items()}
    if len(set(outcomes.values())) > 1:
        raise OutputDiffers({name: (printed[-80:], memory[:8]) for name, (printed, memory) in outcomes.items()})
    repeats = max(1, min(50, round(ROUND_SECONDS / max(once, 1e-6))))
    candidates = {name: candidate(program, repeats) for name, program in programs.items()}
    return interleave(candidates, rounds, 1 if once < WARM_SECONDS else 0, seconds).each(repeats)


def compare(suite: str, names: list[str], rounds: int, seconds: float) -> dict[str, Comparison | str]:
    """Program -> times, or why there are none. `names`: none are all but long ones. `seconds` bounds the rounds of each program."""
    result: dict[str, Comparison | str] = {}
    for name, command in commands(suite).items():
        if names and name not in names:
            continue
        try:
            found = compare_one(command, rounds, seconds, float("inf") if names else LONGEST_SECONDS)
            times = ", ".join(f"{duration(samples.median())} {other}" for other, samples in found.samples.items())
            print(f"{suite} {name}: {times}", file=sys.stderr, flush=True)
            result[name] = found
        except Exception as error:  # one program that fails must not lose the others' results
            # of a trap, the backtrace would fill the page
            result[name] = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
            print(f"{suite} {name}: {result[name]}", file=sys.stderr, flush=True)
    return result


def tables(
    rounds: int, seconds: float, suites: tuple[str, ...] = SUITES, names: tuple[str, ...] = ()
) -> Iterator[Table]:
    """A table a suite, each when it is done."""
    columns = {name: name for name in contenders()}
    for suite in suites:
        results = compare(suite, list(names), rounds, seconds)
        means = []
        compared = sum(isinstance(result, Comparison) for result in results.values())
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
            intro += f" Geometric mean of wasmrt's run times over {compared} of {len(results)} programs: {', '.join(means)}."
        rows = [Row(name, comparison) for name, comparison in results.items()]
        faster = {"cranelift": "times faster than Cranelift", "winch": "than Winch"}
        yield Table(f"Running {suite}", intro, rows, columns, faster)


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(contenders()))
@pytest.mark.parametrize("program", QUICK)
def test_program(benchmark: Any, program: str, name: str) -> None:
    benchmark.group = f"execute: {program}"
    run = Program(contenders()[name], commands("polybench")[program]).run
    benchmark.pedantic(run, args=(Clock(),), rounds=3, warmup_rounds=1)
