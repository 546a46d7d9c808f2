"""`make bench`: runs the comparisons, writes bench/results/<name>.json and .md, and prints the tables.

    python -m bench.report                                everything
    python -m bench.report --only compile --rounds 15
    python -m bench.report --only execute --kernel gemm --kernel lu
"""

from __future__ import annotations

import json
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import click

from bench import bench_calls, bench_compile, bench_execute
from bench.engines import contenders
from bench.interleave import Comparison, geometric_mean
from tools.fetch import FetchError

RESULTS = Path(__file__).resolve().parent / "results"


def machine() -> dict[str, str]:
    model = next(
        (line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "unknown"
    )
    found = {"cpu": model, "cores": str(len(os.sched_getaffinity(0))), "python": platform.python_version()}
    for package in ("wasmrt", "wasmtime"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    return [_row(head), _row(["---"] + ["---:"] * (len(head) - 1)), *map(_row, rows), ""]


def compile_report(rounds: int, seconds: float) -> tuple[dict[str, Any], list[str]]:
    data: dict[str, Any] = {}
    text = ["## Compiling", "", "MB of wasm code section a second; the best of all rounds in brackets.", ""]
    for title, (size, comparison) in bench_compile.compare(rounds, seconds).items():
        measure = "wall" if "all cores" in title else "cpu"
        rows = []
        for name, samples in comparison.samples.items():
            speed, best = (size / 1e6 / value for value in (samples.median(measure), samples.minimum(measure)))
            ratio = str(comparison.ratio("cranelift", name, measure)) if "cranelift" in comparison.samples else ""
            rows.append([name, f"{speed:.2f} ({best:.2f})", f"{samples.median(measure) * 1e3:.0f}", ratio])
        data[title] = {"code_bytes": size, "measure": measure, **comparison.as_json()}
        text += [f"### {title} ({size / 1e6:.2f} MB of code, {measure} time)", ""]
        text += _table(["engine", "MB/s", "ms", "times Cranelift's throughput"], rows)
    return data, text


def execute_report(kernels: list[str], rounds: int, seconds: float) -> tuple[dict[str, Any], list[str]]:
    results = bench_execute.compare(kernels, rounds, seconds)
    names = list(contenders())
    good = {name: value for name, value in results.items() if isinstance(value, Comparison)}
    wanted = [("wasmrt", "cranelift"), ("wasmrt", "winch"), ("winch", "cranelift")]
    pairs = [pair for pair in wanted if set(pair) <= set(names)]
    rows = []
    ratios: dict[tuple[str, str], list[float]] = {pair: [] for pair in pairs}
    for kernel, comparison in good.items():
        cells = [f"{comparison.samples[name].median() * 1e3:.1f}" for name in names]
        for pair in pairs:
            ratio = comparison.ratio(*pair)
            ratios[pair].append(ratio.median)
            cells.append(str(ratio))
        rows.append([kernel, *cells])
    means = {f"{a}/{b}": geometric_mean(values) for (a, b), values in ratios.items() if values}
    rows.append(["**geometric mean**", *["" for _ in names], *[f"**{mean:.3f}**" for mean in means.values()]])
    text = ["## Running polybench", "", "Milliseconds of CPU time of `_start`, and ratios of run times (smaller is faster).", ""]
    text += _table(["kernel", *names, *[f"{a}/{b}" for a, b in pairs]], rows)
    failed = {name: value for name, value in results.items() if isinstance(value, str)}
    text += [f"* {name} failed: {reason}" for name, reason in failed.items()] + ([""] if failed else [])
    data = {name: comparison.as_json() for name, comparison in good.items()}
    return {"kernels": data, "geometric_means": means, "failed": failed}, text


def calls_report(rounds: int, seconds: float) -> tuple[dict[str, Any], list[str]]:
    results = bench_calls.compare(rounds, seconds)
    good = {title: value for title, value in results.items() if isinstance(value, Comparison)}
    failed = {title: value for title, value in results.items() if isinstance(value, str)}
    names = list(dict.fromkeys(name for comparison in good.values() for name in comparison.samples))
    rows = [
        [title, *[f"{comparison.samples[name].median() * 1e6:.3g}" for name in names]]
        for title, comparison in good.items()
    ]
    text = ["## Calling", "", "Microseconds of CPU time of one call.", "", *_table(["call", *names], rows)]
    text += [f"* {title} failed: {reason}" for title, reason in failed.items()] + ([""] if failed else [])
    return {"calls": {title: comparison.as_json() for title, comparison in good.items()}, "failed": failed}, text


@click.command(help=__doc__)
@click.option("--only", type=click.Choice(["compile", "execute", "calls"]), multiple=True)
@click.option("--kernel", "kernels", multiple=True)
@click.option("--rounds", default=7, show_default=True)
@click.option("--seconds", default=20.0, show_default=True, help="about how long for each comparison")
@click.option("--name", default="latest", show_default=True, help="of the files written to bench/results")
def main(only: tuple[str, ...], kernels: tuple[str, ...], rounds: int, seconds: float, name: str) -> None:
    facts = machine()
    data: dict[str, Any] = {"machine": facts}
    text = ["# Benchmark results", "", ", ".join(f"{key} {value}" for key, value in facts.items()) + ".", ""]
    try:
        if not only or "compile" in only:
            data["compile"], lines = compile_report(rounds, seconds)
            text += lines
        if not only or "execute" in only:
            data["execute"], lines = execute_report(list(kernels), rounds, seconds)
            text += lines
        if not only or "calls" in only:
            data["calls"], lines = calls_report(rounds, seconds)
            text += lines
    except FetchError as error:
        sys.exit(str(error))
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(data, indent=1) + "\n")
    (RESULTS / f"{name}.md").write_text("\n".join(text).rstrip() + "\n")
    print("\n".join(text))


if __name__ == "__main__":
    main()
