"""What a benchmark run writes, and what comparing two of them says, with made-up times."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bench import compare, plots
from bench.interleave import Comparison, Samples
from bench.tables import Row, Table, duration


def comparison(ours: list[float], peer: list[float]) -> Comparison:
    return Comparison({"wasmrt": Samples(ours, ours), "wasmtime": Samples(peer, peer)}, len(ours), 0)


def table(*rows: Row) -> Table:
    return Table(
        "Calls", "CPU time.", list(rows), {"wasmrt": "wasmrt", "wasmtime": "peer"}, {"wasmtime": "times faster"}
    )


def result(ours: list[float]) -> dict[str, Any]:
    rows = table(Row("scalar", comparison(ours, [30e-6, 30e-6, 33e-6])), Row("broken", "ValueError: no"))
    return json.loads(
        json.dumps(
            {"groups": {"calls": {"machine": {}, "tables": {"Calls": rows.as_json()}, "markdown": rows.markdown()}}}
        )
    )


def test_durations() -> None:
    assert [duration(x) for x in (4.12e-8, 1.35e-6, 0.02, 2.0)] == ["41.2 ns", "1.35 µs", "20 ms", "2 s"]


def test_a_table_shows_times_ratios_and_failures() -> None:
    lines = result([1e-7, 1e-7, 1.1e-7])["groups"]["calls"]["markdown"]
    assert "|  | wasmrt | peer | times faster |" in lines
    assert "| scalar | 100 ns | 30 µs | 300 (300-300) |" in lines
    assert "* broken is left out: ValueError: no" in lines


@pytest.mark.parametrize(
    ("after", "code", "verdict"), [([1e-7] * 3, 0, ""), ([2e-7] * 3, 1, "slower"), ([5e-8] * 3, 0, "faster")]
)
def test_compare_judges_by_threshold_and_spread(tmp_path: Path, after: list[float], code: int, verdict: str) -> None:
    for name, ours in (("a", [1e-7] * 3), ("b", after)):
        (tmp_path / f"{name}.json").write_text(json.dumps(result(ours)))
    done = CliRunner().invoke(compare.main, [str(tmp_path / "a.json"), str(tmp_path / "b.json")])
    assert done.exit_code == code, done.output
    assert verdict in done.output and "calls: scalar" in done.output


def test_compare_lets_overlapping_measurements_pass() -> None:
    found = compare.changes(result([1e-7, 1e-7, 1e-7]), result([0.9e-7, 1.1e-7, 1.5e-7]))
    assert [(title, apart) for title, _, apart in found] == [("calls: scalar", False)]


@pytest.mark.parametrize("text", ["", "[]", '{"groups": {"calls": 3}}', '{"groups": {}}'])
def test_compare_refuses_what_is_no_result(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    done = CliRunner().invoke(compare.main, [str(tmp_path / "a.json")] * 2)
    assert done.exit_code == 1 and done.output.startswith("Error: ")


def test_plots(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    data = result([1e-7] * 3)
    sizes = [Row(f"list<u8>, echoed, {size} bytes", comparison([1e-7] * 3, [1e-6] * 3)) for size in (16, 256)]
    data["groups"]["data"] = {"machine": {}, "tables": {"Data, by size": table(*sizes).as_json()}, "markdown": []}
    plots.draw(data, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["calls.svg", "data.svg", "size.svg"]
