"""The demo, on every codec of the family: lossless ones give back what went in, lossy ones within their bound."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tools.fetch import CODECS

ROOT = Path(__file__).resolve().parents[2]

pytest.importorskip("wasmrt.component", exc_type=ImportError)


def demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "examples/demo_codec.py", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


@pytest.mark.network
@pytest.mark.parametrize("name", sorted(CODECS))
def test_codec(name: str, codec: Callable[[str], Path]) -> None:
    codec(name)
    done = demo(name, "--megabytes", "0.5")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert done.stdout.splitlines()[-1].startswith("ok: ")


@pytest.mark.network
def test_a_path_will_do(codec: Callable[[str], Path]) -> None:
    done = demo(str(codec("zlib")), "--config", '{"level": 1}', "--dtype", "uint8", "--dtype", "float64", "--megabytes", "0.5")
    assert done.returncode == 0, done.stderr[-4000:]
    assert 'zlib.rs {"level": 1}: equal' in done.stdout.splitlines()[-1]
