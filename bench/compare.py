"""`python -m bench.compare A.json B.json`: what became slower from A to B. Exit status 1 when something did by more than the threshold.

Times are divided by the peer's of the same run where the peer was measured, so that a slower machine or minute cancels out. A change counts when it is
past the threshold and the middle halves of both measurements do not overlap.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

PEERS = ("wasmtime", "cranelift", "floor")


def costs(data: dict[str, Any]) -> Iterator[tuple[str, str, tuple[float, float, float]]]:
    """Row, what its cost is relative to, and the cost: median, low, high."""
    for group, found in data["groups"].items():
        for rows in found["tables"].values():
            for title, row in rows.items():
                if "seconds" not in row:
                    continue
                ratios = row.get("times_faster_than", {})
                peer = next((name for name in PEERS if ratios.get(name)), None)
                if peer is not None:
                    median, low, high = ratios[peer]
                    yield f"{group}: {title}", peer, (1 / median, 1 / high, 1 / low)
                else:
                    seconds = row["seconds"]["wasmrt"]
                    best, middle = (seconds[f"{row['measure']}_{which}"] for which in ("min", "median"))
                    yield f"{group}: {title}", "seconds", (middle, best, 2 * middle - best)


def changes(before: dict[str, Any], after: dict[str, Any]) -> list[tuple[str, float, bool]]:
    """Row, how many times as long it takes now, and whether the two measurements are apart; the worst first."""
    old = {(title, peer): cost for title, peer, cost in costs(before)}
    found = []
    for title, peer, (median, low, high) in costs(after):
        if (title, peer) not in old:
            continue
        median_before, low_before, high_before = old[title, peer]
        found.append((title, median / median_before, low > high_before or high < low_before))
    return sorted(found, key=lambda change: -change[1])


@click.command(help=__doc__)
@click.argument("before", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("after", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--threshold", default=1.25, show_default=True, help="how many times as long is too long")
def main(before: Path, after: Path, threshold: float) -> None:
    try:
        found = changes(json.loads(before.read_text()), json.loads(after.read_text()))
    except (ValueError, KeyError, TypeError) as error:
        raise click.ClickException(f"not a result of bench.report: {type(error).__name__}: {error}") from None
    if not found:
        raise click.ClickException("the two files have no row in common")
    slower = [title for title, ratio, apart in found if apart and ratio > threshold]
    for title, ratio, apart in found:
        verdict = "slower" if title in slower else "faster" if apart and ratio < 1 / threshold else ""
        print(f"{ratio:7.2f}  {verdict:6}  {title}")
    if slower:
        sys.exit(f"{len(slower)} of {len(found)} rows take more than {threshold} times as long")
    print(f"none of {len(found)} rows takes more than {threshold} times as long")


if __name__ == "__main__":
    main()
