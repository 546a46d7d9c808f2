"""Owns the pictures of a report: how many times faster each operation is, by group, and cost against size for strings and lists."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

PEERS = ("wasmtime", "cranelift")
LONGEST = 40  # bars in one picture


def _ratios(group: dict[str, Any]) -> list[tuple[str, float, float, float]]:
    """Title, and median and quartiles of how many times faster wasmrt is than the peer."""
    found = []
    for rows in group["tables"].values():
        for title, row in rows.items():
            ratios = row.get("times_faster_than", {})
            ratio = next((ratios[peer] for peer in PEERS if ratios.get(peer)), None)
            if ratio:
                found.append((title, *ratio))
    return found


def drawn(data: dict[str, Any]) -> list[str]:
    """The groups that have a picture."""
    return [name for name, group in data["groups"].items() if _ratios(group)]


def _by_size(group: dict[str, Any]) -> Iterator[tuple[str, dict[str, dict[int, float]]]]:
    """Shape -> candidate -> bytes -> seconds."""
    shapes: dict[str, dict[str, dict[int, float]]] = {}
    for title, row in group["tables"].get("Data, by size", {}).items():
        shape, _, size = title.removesuffix(" bytes").rpartition(", ")
        if "," in size or not size:
            continue
        for name, seconds in row.get("seconds", {}).items():
            shapes.setdefault(shape, {}).setdefault(name, {})[int(size)] = seconds["cpu_median"]
    yield from shapes.items()


def draw(data: dict[str, Any], folder: Path) -> None:
    """One SVG a group; nothing without matplotlib."""
    try:
        import matplotlib
    except ImportError:
        print("matplotlib is not installed: no plots")
        return
    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "wasmrt"  # the same picture for the same figures
    from matplotlib import pyplot

    folder.mkdir(parents=True, exist_ok=True)
    saved = {"format": "svg", "bbox_inches": "tight", "metadata": {"Date": None}}
    for name in drawn(data):
        ratios = _ratios(data["groups"][name])[:LONGEST]
        figure, axes = pyplot.subplots(figsize=(8, 0.6 + 0.28 * len(ratios)))
        titles = [title for title, *_ in ratios]
        values = [median for _, median, _, _ in ratios]
        spread = [[median - low for _, median, low, _ in ratios], [high - median for _, median, _, high in ratios]]
        axes.barh(titles, values, xerr=spread, color="#3b6ea5", ecolor="#888888", height=0.7)
        axes.axvline(1, color="black", linewidth=0.8)
        axes.set_xscale("log")
        axes.invert_yaxis()
        axes.set_xlabel("times faster than wasmtime-py (1: the same)")
        axes.set_title(name)
        figure.savefig(folder / f"{name}.svg", **saved)
        pyplot.close(figure)
    if "data" in data["groups"]:
        shapes = list(_by_size(data["groups"]["data"]))
        if shapes:
            figure, grid = pyplot.subplots(1, len(shapes), figsize=(4 * len(shapes), 3.2), sharey=True)
            for axes, (shape, lines) in zip([grid] if len(shapes) == 1 else grid, shapes, strict=True):
                for label, points in lines.items():
                    axes.loglog(list(points), [seconds * 1e6 for seconds in points.values()], marker="o", label=label)
                axes.set_title(shape)
                axes.set_xlabel("bytes")
                axes.legend()
            figure.axes[0].set_ylabel("µs a call")
            figure.savefig(folder / "size.svg", **saved)
            pyplot.close(figure)
