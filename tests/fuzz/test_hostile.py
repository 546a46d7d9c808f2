"""Truncated and mutated real binaries get one of our errors, never a crash, a hang or a huge allocation.

The cases run in child processes (hostile.py), two at a time; a child that dies costs the case it was at, which is
counted and named, and the next child goes on after it. WASMRT_FUZZ_SECONDS (`make fuzz`) runs more mutations than the
default ten thousand, from numbers that no earlier run has used up.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from . import seeds

ROOT = Path(__file__).resolve().parents[2]
CHILD = Path(__file__).with_name("hostile.py")
PEAK_BYTES = 1 << 30
CHUNK = 1000

pytest.importorskip("wasmrt.component", exc_type=ImportError)


@dataclass
class Tally:
    outcomes: Counter[str] = field(default_factory=Counter)
    crashes: list[tuple[int, str]] = field(default_factory=list)
    strange: list[tuple[int, str]] = field(default_factory=list)
    unplaced: list[tuple[int, str]] = field(default_factory=list)
    peak_bytes: int = 0

    def add(self, other: Tally) -> None:
        self.outcomes += other.outcomes
        self.crashes += other.crashes
        self.strange += other.strange
        self.unplaced += other.unplaced
        self.peak_bytes = max(self.peak_bytes, other.peak_bytes)


def run_chunk(subject: str, path: Path, kind: str, first: int, count: int, progress: Path) -> Tally:
    tally = Tally()
    end = first + count
    while first < end and len(tally.crashes) < 10:
        progress.write_bytes(struct.pack("<q", first - 1))
        command = [sys.executable, str(CHILD), subject, str(path), kind, str(first), str(end - first), str(progress)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1800)
        if done.returncode == 0:
            found = json.loads(done.stdout)
            tally.outcomes.update(found["outcomes"])
            tally.strange += [tuple(item) for item in found["strange"]]
            tally.unplaced += [tuple(item) for item in found["unplaced"]]
            tally.peak_bytes = max(tally.peak_bytes, found["peak_bytes"])
            break
        (at,) = struct.unpack("<q", progress.read_bytes())
        tally.crashes.append((at, f"exit {done.returncode}: {done.stderr.strip()[-1500:]}"))
        tally.outcomes["crashed"] += 1
        if at < first:
            break  # it died before the first case: nothing would get better
        first = at + 1
    return tally


def run(subject: str, path: Path, kind: str, first: int, count: int, folder: Path) -> Tally:
    total = Tally()
    starts = range(first, first + count, CHUNK)
    with ThreadPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        jobs = [
            pool.submit(run_chunk, subject, path, kind, start, min(CHUNK, first + count - start), folder / str(start))
            for start in starts
        ]
        for job in jobs:
            total.add(job.result())
    return total


def check(tally: Tally, count: int) -> None:
    print(dict(tally.outcomes), f"peak {tally.peak_bytes >> 20} MiB")
    assert not tally.crashes, f"{len(tally.crashes)} crashes or hangs; case {tally.crashes[0][0]}: {tally.crashes[0][1]}"
    assert not tally.strange, f"{len(tally.strange)} exceptions that are not ours: {tally.strange[:5]}"
    assert not tally.unplaced, f"{len(tally.unplaced)} errors without an offset: {tally.unplaced[:5]}"
    assert tally.outcomes.total() == count
    assert tally.peak_bytes < PEAK_BYTES


@pytest.fixture
def component_path(codec: Callable[[str], Path]) -> Path:
    # the smallest of the family
    return codec("fixed-offset-scale")


@pytest.mark.network
@pytest.mark.slow
def test_prefixes_of_a_component(component_path: Path, tmp_path: Path) -> None:
    check(run("component", component_path, "prefix", 0, 3000, tmp_path), 3000)


@pytest.mark.network
@pytest.mark.slow
def test_mutations_of_a_component(component_path: Path, tmp_path: Path) -> None:
    check(run("component", component_path, "mutation", 0, 10_000, tmp_path), 10_000)


@pytest.mark.network
def test_mutated_guests_run(component_path: Path, tmp_path: Path) -> None:
    """What still compiles is instantiated and called: whatever its code does now, the process goes on."""
    check(run("guest", component_path, "mutation", 500_000, 1000, tmp_path), 1000)


SMALL = """
(component
  (core module $M
    (memory (export "mem") 1) (table 4 funcref) (elem (i32.const 0) $two) (data (i32.const 0) "hello") (global $g (mut i32) (i32.const 1))
    (func $two (result i32) (i32.const 2))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
    (func (export "run") (param i32 i32) (result i32) (i32.add (local.get 1) (call_indirect (result i32) (i32.const 0))))
    (func (export "trap") unreachable)
    (func $divide (export "divide") (param i32) (result i32) (i32.div_s (i32.const 1) (local.get 0))))
  (core instance $m (instantiate $M))
  (type $r' (resource (rep i32)))
  (export $r "r" (type $r'))
  (func (export "run") (param "s" string) (result u32)
    (canon lift (core func $m "run") (memory (core memory $m "mem")) (realloc (core func $m "realloc"))))
  (func (export "divide") (param "n" u32) (result u32) (canon lift (core func $m "divide")))
  (func (export "trap") (canon lift (core func $m "trap"))))
"""


@pytest.mark.parametrize("kind", ["prefix", "mutation"])
def test_damaged_artifacts(tmp_path: Path, kind: str) -> None:
    """They are refused, wherever the damage is; who computes checksums anew is trusted."""
    path = tmp_path / "small.wat"
    path.write_text(SMALL)
    first, end = seeds.first(0), time.monotonic() + seeds.SECONDS / 2
    while True:
        tally = run("artifact", path, kind, first, 2000, tmp_path)
        check(tally, 2000)
        assert set(tally.outcomes) <= {"ArtifactError", "accepted"}
        first += 2000
        if kind == "prefix" or time.monotonic() > end:
            break


@pytest.mark.parametrize(
    ("subject", "kind"),
    [
        ("mapped", "prefix"),
        ("mapped", "mutation"),
        ("mapped", "overwriting"),
        ("verified", "prefix"),
        ("verified", "mutation"),
        ("verified", "overwriting"),
        ("forged", "overwriting"),
    ],
)
def test_mapped_artifacts(tmp_path: Path, subject: str, kind: str) -> None:
    """Headers, section table and module records are checked by every load, component records by their first use; `verify` checks the arrays, metas and text too. What is accepted is,
    byte for byte, what was made, which the child asserts. `forged` makes the checksums right: what is refused then is refused by ranges and counts.
    """
    path = tmp_path / "small.wat"
    path.write_text(SMALL)
    tally = run(subject, path, kind, 0, 2000, tmp_path)
    check(tally, 2000)
    assert set(tally.outcomes) <= {"ArtifactError", "accepted"}
    assert tally.outcomes["ArtifactError"] > 500


def test_arrays_that_are_used_unverified(tmp_path: Path) -> None:
    """Their contents are anything, with right checksums, and nothing was verified: what reads them bounds what it reads."""
    path = tmp_path / "small.wat"
    path.write_text(SMALL)
    check(run("used", path, "overwriting", seeds.first(0), 300, tmp_path), 300)


@pytest.mark.network
def test_more_mutations(component_path: Path, tmp_path: Path) -> None:
    seconds = float(os.environ.get("WASMRT_FUZZ_SECONDS", "0"))
    if not seconds:
        pytest.skip("make fuzz runs it")
    deadline = time.monotonic() + seconds
    first = int(time.time()) * 1000
    while time.monotonic() < deadline:
        check(run("component", component_path, "mutation", first, 2 * CHUNK, tmp_path), 2 * CHUNK)
        check(run("guest", component_path, "mutation", first, CHUNK, tmp_path), CHUNK)
        first += 2 * CHUNK
