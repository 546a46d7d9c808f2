"""What calls out of a guest cost: host functions in Python and native ones; and handles: resources made, passed and dropped."""

from __future__ import annotations

from typing import Any

import pytest

from bench.limits.cases import Case
from bench.limits.measure import CANDIDATES, PEER, parameters, rows, run
from bench.tables import Table


def tables(rounds: int, seconds: float) -> list[Table]:
    faster = {PEER: "times faster"}
    return [
        Table(
            "Host functions",
            "CPU time of one call, made from a loop in wasm.",
            rows(("host",), rounds, seconds),
            CANDIDATES,
            faster,
        ),
        Table("Resources", "CPU time of one operation.", rows(("resources",), rounds, seconds), CANDIDATES, faster),
    ]


@pytest.mark.smoke
@parameters("host", "resources")
def test_host(benchmark: Any, case: Case, name: str) -> None:
    run(benchmark, case, name)
