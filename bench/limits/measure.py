"""Owns how a row is timed: its statements take turns in rounds, each as often as fills a few milliseconds."""

from __future__ import annotations

from bench.interleave import Candidate, Comparison, interleave

from .cases import Case, Work

GUEST_CALL = 25e-9
SPAN = 0.004  # about what one candidate takes in one round


def goal(case: Case, comparison: Comparison) -> float:
    """Seconds that the row may take: 1.5 times the floor, and what calls into the guest cost."""
    return 1.5 * comparison.samples["floor"].median() + GUEST_CALL * case.guest_calls


def measure(case: Case, rounds: int, seconds: float, with_peer: bool) -> Comparison:
    """Seconds of one operation for ours, dropin, floor and peer, as far as the row has them."""
    works: dict[str, Work] = {"ours": case.ours()}
    for name, make in (("dropin", case.dropin), ("floor", case.floor), ("peer", case.peer if with_peer else None)):
        if make is not None:
            works[name] = make()
    candidates: dict[str, Candidate] = {}
    scale: dict[str, int] = {}
    for name, work in works.items():
        work.seconds(1)
        times = max(1, int(SPAN / max(work.seconds(2), 1e-9)))
        times = max(1, int(SPAN / max(work.seconds(times), 1e-9)))
        candidates[name] = work.candidate(times)
        scale[name] = times * work.operations
    comparison = interleave(candidates, rounds, 1, seconds)
    for name, samples in comparison.samples.items():
        samples.wall = [value / scale[name] for value in samples.wall]
        samples.cpu = [value / scale[name] for value in samples.cpu]
    return comparison
