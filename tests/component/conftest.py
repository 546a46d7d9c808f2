"""Fixtures of the component tests: conformance scripts as binaries, made by wasm-tools."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wasmrt.translate.validate import DecodeCoreModule


def scripts_folder() -> Path | None:
    """The folder of conformance scripts: $WASMRT_SPEC, else `shared/spec` beside the repository."""
    given = os.environ.get("WASMRT_SPEC")
    folder = Path(given) if given else Path(__file__).resolve().parents[3] / "shared" / "spec"
    return folder / "component" if (folder / "component").is_dir() else None


def core_reader() -> tuple[DecodeCoreModule, bool]:
    """The reader of core modules, and whether it checks all of them: that in C where it is built."""
    try:
        from wasmrt._native import wasm
    except ImportError:
        from .core_reader import read_core_module

        return read_core_module, False

    def read(data: memoryview) -> wasm.CoreModule:
        module = wasm.CoreModule(data, wasm.FEATURES_ALL)
        module.validate()
        return module

    return read, True


def wasm_tools() -> str | None:
    beside = Path(sys.executable).parent / "wasm-tools"
    return str(beside) if beside.exists() else shutil.which("wasm-tools")


@pytest.fixture(scope="session")
def parse_text() -> Callable[[str], bytes]:
    """Text of a component to binary, by wasm-tools."""
    tool = wasm_tools()
    if tool is None:
        pytest.skip("wasm-tools is not installed (the extra `test` brings it)")

    def parse(text: str) -> bytes:
        done = subprocess.run([tool, "parse", "-"], input=text.encode(), capture_output=True, timeout=60)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    return parse


@pytest.fixture(scope="session")
def script_commands(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], list[tuple[dict[str, Any], bytes]]]:
    """The commands of a script that carry a component binary, each with its bytes."""
    tool = wasm_tools()
    if tool is None:
        pytest.skip("wasm-tools is not installed (the extra `test` brings it)")

    def commands(script: Path) -> list[tuple[dict[str, Any], bytes]]:
        folder = tmp_path_factory.mktemp(script.stem)
        out = folder / "script.json"
        done = subprocess.run(
            [tool, "json-from-wast", str(script), "-o", str(out), "--wasm-dir", str(folder)],
            capture_output=True,
            timeout=120,
        )
        if done.returncode != 0:
            pytest.skip(f"wasm-tools cannot read this script: {done.stderr.decode().splitlines()[0]}")
        found = []
        for command in json.loads(out.read_text())["commands"]:
            if command.get("module_type") == "binary" and "filename" in command:
                data = (folder / command["filename"]).read_bytes()
                if data[:8] != b"\0asm\x01\0\0\0":
                    found.append((command, data))
        return found

    return commands
