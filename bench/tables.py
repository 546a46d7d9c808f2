"""Owns what a group of benchmarks hands to the report: tables whose rows are comparisons, as Markdown and as JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.interleave import Comparison

OURS = "wasmrt"


def duration(seconds: float) -> str:
    """`41.2 ns`, `1.35 µs`, `20 ms`."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


@dataclass(frozen=True)
class Row:
    """One operation: times of each candidate (wasmrt among them), or why there are none. `cells`: further columns."""

    title: str
    comparison: Comparison | str
    measure: str = "cpu"
    cells: Mapping[str, str] = field(default_factory=dict)

    def times_faster(self, other: str) -> tuple[float, float, float] | None:
        """How many times as long as wasmrt `other` takes: median, and the quartiles."""
        if isinstance(self.comparison, str) or other not in self.comparison.samples:
            return None
        ratio = self.comparison.ratio(other, OURS, self.measure)
        return ratio.median, ratio.low, ratio.high

    def as_json(self) -> dict[str, Any]:
        if isinstance(self.comparison, str):
            return {"failed": self.comparison}
        others = [name for name in self.comparison.samples if name != OURS]
        ratios = {name: self.times_faster(name) for name in others}
        return {"measure": self.measure, "times_faster_than": ratios, **self.comparison.as_json(), **self.cells}


@dataclass(frozen=True)
class Table:
    """Rows that are read side by side. `candidates`: columns of times, then of how many times faster wasmrt is, by name in the samples."""

    title: str
    intro: str
    rows: list[Row]
    candidates: Mapping[str, str]
    faster_than: Mapping[str, str]
    show: Callable[[float], str] = duration

    def markdown(self) -> list[str]:
        good = [row for row in self.rows if isinstance(row.comparison, Comparison)]
        extra = list(dict.fromkeys(name for row in good for name in row.cells))
        present = {name for row in good for name in row.comparison.samples}
        times = {name: head for name, head in self.candidates.items() if name in present}
        ratios = {name: head for name, head in self.faster_than.items() if name in present}
        head = ["", *times.values(), *ratios.values(), *extra]
        lines = [f"### {self.title}", "", self.intro, "", _line(head), _line(["---"] + ["---:"] * (len(head) - 1))]
        for row in good:
            cells = [row.title]
            for name in times:
                samples = row.comparison.samples.get(name)
                cells.append(self.show(samples.median(row.measure)) if samples else "")
            for name in ratios:
                found = row.times_faster(name)
                cells.append(_ratio(*found) if found else "")
            lines.append(_line([*cells, *[row.cells.get(name, "") for name in extra]]))
        failed = [f"* {row.title} is left out: {row.comparison}" for row in self.rows if isinstance(row.comparison, str)]
        return [*lines, "", *failed, *([""] if failed else [])]

    def as_json(self) -> dict[str, Any]:
        return {row.title: row.as_json() for row in self.rows}


def _ratio(median: float, low: float, high: float) -> str:
    """The median and the range of its middle half."""
    if median >= 100:
        return f"{median:,.0f} ({low:,.0f}-{high:,.0f})"
    return f"{median:.3g} ({low:.3g}-{high:.3g})"


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
