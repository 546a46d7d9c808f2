"""`wasmrt serve` as a process: it says where it listens, answers, and ends on a signal."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.component.http_guests import proxy


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_serve(tmp_path: Path, ending: signal.Signals) -> None:
    (tmp_path / "app.wat").write_text(proxy("echo"))
    command = [sys.executable, "-m", "wasmrt", "serve", str(tmp_path / "app.wat"), "--addr", "127.0.0.1:0", "--timeout", "5", "--max-memory", "1"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert line.startswith("serving on http://127.0.0.1:"), line
        connection = http.client.HTTPConnection("127.0.0.1", int(line.rstrip("/\n").rpartition(":")[2]), timeout=10)
        connection.request("POST", "/", b"hello")
        assert connection.getresponse().read() == b"hello"
        connection.close()
        process.send_signal(ending)
        assert process.wait(10) == 0


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--addr", "nonsense"], 2, "expected HOST:PORT"),
        (["--addr", "127.0.0.1:99999"], 2, "expected HOST:PORT"),
        (["--allow-host", "http://a"], 2, "--allow-host"),
        ([], 1, "exports no wasi:http/incoming-handler"),
    ],
)
def test_wrong_usage(tmp_path: Path, arguments: list[str], status: int, message: str) -> None:
    (tmp_path / "none.wat").write_text("(component)")
    done = subprocess.run([sys.executable, "-m", "wasmrt", "serve", str(tmp_path / "none.wat"), *arguments], capture_output=True, text=True, timeout=30)
    assert done.returncode == status and message in done.stderr


def test_a_module(tmp_path: Path) -> None:
    (tmp_path / "module.wat").write_text("(module)")
    done = subprocess.run([sys.executable, "-m", "wasmrt", "serve", str(tmp_path / "module.wat")], capture_output=True, text=True, timeout=30)
    assert done.returncode == 1 and "core module" in done.stderr
