"""`make bench`: runs the groups of benchmarks, writes JSON, Markdown and plots to bench/results, and prints the tables.

python -m bench.report                                            everything; 11 minutes on a quiet machine
python -m bench.report --group calls --group data --rounds 15
python -m bench.report --group execute --suite polybench --program gemm
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import click

from bench import (
    bench_calls,
    bench_compile,
    bench_data,
    bench_execute,
    bench_host,
    bench_instantiate,
    bench_load,
    bench_memory,
    bench_objects,
    bench_threads,
    plots,
)
from bench.programs import SUITES
from bench.tables import Table
from tools.fetch import FetchError

RESULTS = Path(__file__).resolve().parent / "results"
GROUPS: dict[str, Callable[[int, float], Iterable[Table]]] = {
    "calls": bench_calls.tables,
    "data": bench_data.tables,
    "host": bench_host.tables,
    "instantiate": bench_instantiate.tables,
    "load": bench_load.tables,
    "compile": bench_compile.tables,
    "execute": bench_execute.tables,
    "memory": bench_memory.tables,
    "objects": bench_objects.tables,
    "threads": bench_threads.tables,
}


def machine() -> dict[str, str]:
    """What the figures depend on, beside the code that is measured."""
    model = next(
        (line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "unknown"
    )
    found = {"cpu": model, "cores": str(len(os.sched_getaffinity(0))), "python": platform.python_version()}
    for package in ("wasmrt", "wasmtime"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    found["commit"] = _git("rev-parse", "--short", "HEAD") or "unknown"
    if _git("status", "--porcelain", "-uno", "--", ":/", ":(exclude,top)bench/results"):
        found["commit"] += " with changes"
    found["date"] = datetime.date.today().isoformat()
    return found


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=RESULTS.parent, capture_output=True, text=True).stdout.strip()


def load_data(path: Path) -> dict[str, Any]:
    """What is there, so that groups measured one by one end in one file."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {"groups": {}}
    return found if isinstance(found.get("groups"), dict) else {"groups": {}}


@click.command(help=__doc__)
@click.option(
    "--group", "groups", type=click.Choice(list(GROUPS)), multiple=True, help="only these; the others' results stay"
)
@click.option("--suite", "suites", type=click.Choice(SUITES), multiple=True, help="of the group execute")
@click.option("--program", "programs", multiple=True, help="of the group execute")
@click.option("--rounds", default=9, show_default=True)
@click.option("--seconds", default=2.0, show_default=True, help="about how long for the rounds of each comparison")
@click.option("--name", default="latest", show_default=True, help="of the files written to bench/results")
def main(
    groups: tuple[str, ...], suites: tuple[str, ...], programs: tuple[str, ...], rounds: int, seconds: float, name: str
) -> None:
    facts = machine()
    RESULTS.mkdir(exist_ok=True)
    data = load_data(RESULTS / f"{name}.json")
    for group in groups or GROUPS:
        try:
            if group == "execute":
                tables: Iterable[Table] = bench_execute.tables(rounds, seconds, suites or SUITES, programs)
            else:
                tables = GROUPS[group](rounds, seconds)
            found: dict[str, Any] = {"machine": facts, "tables": {}, "markdown": []}
            data["groups"][group] = found
            for table in tables:
                lines = table.markdown()
                print("\n".join(lines), flush=True)
                found["tables"][table.title] = table.as_json()
                found["markdown"] += lines
                # after each table: a run that is stopped keeps what it has
                (RESULTS / f"{name}.json").write_text(json.dumps(data, indent=1) + "\n")
        except FetchError as error:
            sys.exit(str(error))
    (RESULTS / f"{name}.md").write_text(markdown(data, name))
    plots.draw(data, RESULTS / name)


def markdown(data: dict[str, Any], name: str) -> str:
    """The whole page, from the JSON alone."""
    text = [
        "# Benchmark results",
        "",
        "Candidates take turns in rounds; times are medians, ratios the median over rounds of the ratio within a round, with the range of the",
        "middle half. Written by `make bench` (`python -m bench.report`).",
        "",
    ]
    for group in GROUPS:
        if group not in data["groups"]:
            continue
        found = data["groups"][group]
        facts = ", ".join(f"{key} {value}" for key, value in found["machine"].items())
        text += [f"## {group.capitalize()}", "", f"{facts}.", ""]
        if (RESULTS / name / f"{group}.svg").exists() or group in plots.drawn(data):
            text += [f"![{group}]({name}/{group}.svg)", ""]
        text += found["markdown"]
    return "\n".join(text).rstrip() + "\n"


if __name__ == "__main__":
    main()
