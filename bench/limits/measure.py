"""Owns how a row is timed: its statements take turns in rounds, each as often as fills a few milliseconds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bench.interleave import Candidate, Clock, Comparison, interleave
from bench.tables import OURS, Row

from .cases import Case, Work, cases

GUEST_CALL = 25e-9
SPAN = 0.004  # about what one candidate takes in one round
PEER = "wasmtime"
# candidates of a row: head of their column
CANDIDATES = {OURS: "wasmrt", "dropin": "as drop-in", "floor": "floor", PEER: "wasmtime-py"}


def makers(case: Case) -> dict[str, Callable[[], Work]]:
    """What the row has of CANDIDATES."""
    found = {OURS: case.ours, "dropin": case.dropin, "floor": case.floor, PEER: case.peer}
    return {name: make for name, make in found.items() if make is not None}


def times_of(work: Work) -> int:
    """How often the statement fills SPAN."""
    work.seconds(1)
    times = max(1, int(SPAN / max(work.seconds(2), 1e-9)))
    return max(1, int(SPAN / max(work.seconds(times), 1e-9)))


def goal(case: Case, comparison: Comparison) -> float:
    """Seconds that the row may take: 1.5 times the floor, and what calls into the guest cost."""
    return 1.5 * comparison.samples["floor"].median() + GUEST_CALL * case.guest_calls


def measure(case: Case, rounds: int, seconds: float, with_peer: bool = True) -> Comparison:
    """Seconds of one operation for each candidate."""
    candidates: dict[str, Candidate] = {}
    scale: dict[str, int] = {}
    works = {name: make() for name, make in makers(case).items() if with_peer or name != PEER}
    for name, work in works.items():
        times = times_of(work)
        candidates[name] = work.candidate(times)
        scale[name] = times * work.operations
    comparison = interleave(candidates, rounds, 1, seconds)
    for name, samples in comparison.samples.items():
        samples.wall = [value / scale[name] for value in samples.wall]
        samples.cpu = [value / scale[name] for value in samples.cpu]
    return comparison


def rows(groups: tuple[str, ...], rounds: int, seconds: float) -> list[Row]:
    """The rows of these groups, measured, with how they stand to their goal and their least."""
    found = []
    for case in cases():
        if case.group not in groups:
            continue
        try:
            comparison = measure(case, rounds, seconds)
        except Exception as error:  # one row that cannot run must not lose the others
            found.append(Row(case.title, f"{type(error).__name__}: {error}"))
            continue
        cells = {"of goal": "", "at least": f"{case.least:,.0f}" if case.least else ""}
        if "floor" in comparison.samples:
            cells["of goal"] = f"{comparison.samples[OURS].median() / goal(case, comparison):.2f}"
        found.append(Row(case.title, comparison, cells=cells))
    return found


def parameters(*groups: str) -> Any:
    """Parametrizes a benchmark by the rows of these groups and their candidates."""
    chosen = [case for case in cases() if case.group in groups]
    pairs = [pytest.param(case, name, id=f"{case.title}-{name}") for case in chosen for name in makers(case)]
    return pytest.mark.parametrize(("case", "name"), pairs)


def run(benchmark: Any, case: Case, name: str) -> None:
    """One candidate of a row under pytest-benchmark; with benchmarks disabled its statement runs once."""
    work = makers(case)[name]()
    benchmark.group = case.title
    times = 1 if benchmark.disabled else times_of(work)
    benchmark.extra_info["operations"] = times * work.operations
    benchmark.pedantic(work.candidate(times), args=(Clock(),), rounds=20, warmup_rounds=1)
