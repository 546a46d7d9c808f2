"""One field of one record of an artifact is somebody else's, its checksums are right, and nothing crashes: see forged.py, which runs in a child process.

WASMRT_FUZZ_SECONDS (`make fuzz`) runs every boundary value of every field, with seeds that no earlier run has used up, as long as it says.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from . import seeds

ROOT = Path(__file__).resolve().parents[2]
CHILD = Path(__file__).with_name("forged.py")
PEAK_BYTES = 1 << 30

pytest.importorskip("wasmrt.component", exc_type=ImportError)


def run(seed: int, values: int, seconds: float) -> None:
    command = [sys.executable, str(CHILD), str(seed), str(values), str(seconds)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=seconds + 600)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    print(found["outcomes"], f"{found['done']} of {found['cases']}, peak {found['peak_bytes'] >> 20} MiB")
    assert not found["crashes"], f"seed {seed}: {found['crashes']}: {done.stderr[-3000:]}"
    assert not found["strange"], f"seed {seed}: {len(found['strange'])} wrong answers or exceptions that are none of ours: {found['strange'][:5]}"
    assert found["outcomes"]["ArtifactError"] > found["done"] / 10 and found["outcomes"]["used"] > found["done"] / 10
    assert found["peak_bytes"] < PEAK_BYTES or os.environ.get("WASMRT_VARIANT") == "asan"


def test_forged_fields() -> None:
    """A value or two a field: some two thousand cases in a random order."""
    run(seeds.first(0), 1, 40)


@pytest.mark.slow
def test_more_forged_fields() -> None:
    if not seeds.SECONDS:
        pytest.skip("make fuzz runs it")
    run(seeds.first(1), 20, seeds.SECONDS)
