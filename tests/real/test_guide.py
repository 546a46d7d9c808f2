"""The guide's examples run in its order, and print what it says; so do the examples of `examples/` that need no network."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BLOCKS = re.findall(r"^```python\n(.*?)^```\n(?:```text\n(.*?)^```\n)?", (ROOT / "docs" / "guide.md").read_text(), re.DOTALL | re.MULTILINE)

pytest.importorskip("wasmrt.component", exc_type=ImportError)


def python(*arguments: str) -> str:
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_guide() -> None:
    assert len(BLOCKS) > 8
    mark = "--- next ---"
    program = f"print({mark!r})\n".join(code for code, _ in BLOCKS)
    assert python("-c", program).split(f"{mark}\n") == [output for _, output in BLOCKS]


def test_the_component_in_text() -> None:
    lines = python("examples/text_component.py").splitlines()
    assert lines[lines.index("the guest says: Hello, Component!") :] == [
        "the guest says: Hello, Component!",
        "Uryyb, Pbzcbarag!",
        "27 bytes, 8 vowels, 6 in all",
        "counted to 42",
        "refused: not a number",
    ]
    assert "  export demo:words/text@1.0.0;" in lines


def test_plugins() -> None:
    out = python("examples/plugins.py")
    assert "import plugin:format/numbers@1.0.0;" in out
    assert out.splitlines()[-2:] == ["[greeter] hello from a guest: 42", "[greeter] closed"]


def test_examples_are_in_the_documentation() -> None:
    readme = (ROOT / "docs" / "README.md").read_text()
    for path in sorted((ROOT / "examples").glob("*.py")):
        assert f"python examples/{path.name}" in readme, path.name
