"""`python -m bench.limits`: wasmrt beside its floor and the peer, in interleaved rounds. CPU time of one operation, medians.

The goal of a row is 1.5 times the floor plus 25 ns for each realloc or post-return call of the guest; "least" is how many times faster than the peer it
must be. Exit status 1 with --check when a row misses its least.
"""

from __future__ import annotations

import sys

import click

from bench.interleave import Comparison
from bench.tables import OURS, duration

from .cases import Case, cases
from .cases import peer as peer_guests
from .measure import PEER, goal, measure


def row_of(case: Case, comparison: Comparison) -> tuple[list[str], bool]:
    """The cells of a row, and whether its least was reached."""
    found = {name: samples.median() for name, samples in comparison.samples.items()}
    cells = [case.title, duration(found[OURS]), duration(found["dropin"]) if "dropin" in found else ""]
    fits = True
    if "floor" in found:
        cells += [duration(found["floor"]), f"{found[OURS] / goal(case, comparison):.2f}"]
    else:
        cells += ["", ""]
    if PEER in found:
        ratio = comparison.ratio(PEER, OURS).median
        cells += [duration(found[PEER]), f"{ratio:,.0f}"]
        fits = case.least is None or ratio >= case.least
    else:
        cells += ["", ""]
    cells.append(f"{case.least:,.0f}" if case.least else case.note)
    return cells, fits


HEAD = ["operation", "wasmrt", "as drop-in", "floor", "of goal", "wasmtime-py", "times faster", "at least"]


@click.command(help=__doc__)
@click.option("--only", default="", help="rows whose title contains this")
@click.option("--rounds", default=15, show_default=True)
@click.option("--seconds", default=4.0, show_default=True, help="at most, for each row")
@click.option("--peer/--no-peer", default=True, show_default=True)
@click.option("--check", is_flag=True, help="fail when a row misses its least")
def main(only: str, rounds: int, seconds: float, peer: bool, check: bool) -> None:
    print("| " + " | ".join(HEAD) + " |\n|" + " --- |" * len(HEAD))
    missed: list[str] = []
    for case in cases():
        if only.lower() not in case.title.lower():
            continue
        try:
            cells, fits = row_of(case, measure(case, rounds, seconds, peer))
        except Exception as error:  # one row that cannot run must not hide the others
            cells, fits = [case.title, f"{type(error).__name__}: {error}"[:90]] + [""] * (len(HEAD) - 2), False
        print("| " + " | ".join(cells) + " |", flush=True)
        if not fits:
            missed.append(case.title)
    peer_guests.cache_clear()  # the peer's destructors fail once the interpreter is going down
    if check and missed:
        sys.exit("missed: " + ", ".join(missed))


if __name__ == "__main__":
    main()
