"""WIT as wasm-tools prints it, and a typed package, of every component there is: real ones, and those of the conformance scripts."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.component.conftest import core_reader, script_commands, scripts_folder  # noqa: F401  (a fixture)
from tests.real import build
from wasmrt.bindgen import generate
from wasmrt.errors import PlacedError
from wasmrt.spec.features import Features
from wasmrt.translate.whole import validate
from wasmrt.wit import skeleton, wit

SCRIPTS = sorted(folder.rglob("*.wast")) if (folder := scripts_folder()) else []


def oracle(path: Path) -> str | None:
    """None when wasm-tools does not print it: it refuses what WIT has no words for, where we say so in a comment."""
    try:
        tool = build.wasm_tools()
    except build.Missing as reason:
        pytest.skip(str(reason))
    done = subprocess.run([tool, "component", "wit", str(path)], capture_output=True, text=True, timeout=60)
    return done.stdout if done.returncode == 0 else None


def compiles(data: bytes) -> None:
    """The typed package of any world is Python."""
    for name, text in generate(data).items():
        compile(text, name, "exec")


@pytest.mark.network
@pytest.mark.parametrize("name", build.ALL)
def test_real_components(name: str) -> None:
    try:
        path = build.ALL[name]()
    except build.Missing as reason:
        pytest.skip(str(reason))
    data = path.read_bytes()
    assert wit(data) == oracle(path)
    assert wit(skeleton(data)) == wit(data)
    compiles(data)


@pytest.mark.skipif(not SCRIPTS, reason="no conformance scripts: set WASMRT_SPEC to their folder")
def test_scripts(script_commands: Callable[[Path], list[tuple[dict[str, Any], bytes]]], tmp_path: Path) -> None:  # noqa: F811
    compared = 0
    for script in SCRIPTS:
        try:
            commands = script_commands(script)
        except pytest.skip.Exception:
            continue  # one that this wasm-tools cannot read
        for command, data in commands:
            if command["type"] not in ("module", "module_definition"):
                continue
            try:
                validate(data, Features(), core_reader()[0])
            except PlacedError:
                continue
            path = tmp_path / "component.wasm"
            path.write_bytes(data)
            theirs = oracle(path)
            ours = wit(data)
            compiles(data)
            if theirs is not None:
                said = [line for line in ours.splitlines() if not line.strip().startswith("// not in WIT")]
                assert said == theirs.splitlines(), f"{script.name}:{command['line']}"
                compared += 1
    assert compared > 250
