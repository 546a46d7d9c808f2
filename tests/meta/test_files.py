"""What every file of the project keeps to: a size one can read, a head that says what it owns, no trace of a machine."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# about 1,000 lines; tables and generated files aside
LONGEST = 1100
SOURCES = {".c", ".h", ".py", ".pyx", ".pxd"}
SKIPPED = {"build", "dist", ".venv", "_gen", "__pycache__"}

# spelled in pieces, so that this file passes its own test
FORBIDDEN = [
    re.compile(pattern)
    for pattern in (
        r"(?<![\w.$}])/" + r"work/",
        r"(?<![\w.$}])/" + r"home/\w",
        r"(?<![\w.$}])/" + r"root/\w",
        r"/" + r"tmp/[a-z]",
        r"(?i)pypi\." + r"org|pythonhosted\." + r"org|registry\.npmjs|crates\." + r"io/api",
        r"(?i)\bas an? (ai|language) " + r"model|\bcla" + r"ude\b|\bchat" + r"gpt\b|\bcopi" + r"lot\b",
    )
]


def tracked() -> list[Path]:
    """What git tracks or would, or else every file outside of build folders."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode == 0 and done.stdout:
        names = [ROOT / name for name in done.stdout.splitlines()]
    else:
        names = [path for path in ROOT.rglob("*") if not SKIPPED & set(path.relative_to(ROOT).parts)]
    return sorted(path for path in names if path.is_file() and ".egg-info" not in str(path))


FILES = tracked()


def head(path: Path, text: str) -> str:
    """The comment or docstring at the top."""
    if path.suffix in (".c", ".h"):
        match = re.match(r"\s*(/\*.*?\*/|(?://[^\n]*\n)+)", text, re.DOTALL)
        return match.group(1) if match else ""
    if path.suffix == ".py":
        return ast.get_docstring(ast.parse(text), clean=False) or ""
    match = re.match(r'(?:\s*#[^\n]*\n)*\s*[rR]?("""|\'\'\')(.*?)\1|((?:\s*#[^\n]*\n)+)', text, re.DOTALL)
    return (match.group(2) or match.group(3) or "") if match else ""


def test_sizes() -> None:
    long = {
        str(path.relative_to(ROOT)): count
        for path in FILES
        if path.suffix in SOURCES and (count := path.read_text().count("\n")) > LONGEST
    }
    assert not long, f"longer than {LONGEST} lines: {long}"


def speaks_through_its_header(path: Path, text: str) -> bool:
    """An implementation whose first #include is a header of its own room, which says it for both."""
    match = re.search(r'^#include "([\w./]+)"', text, re.MULTILINE)
    return path.suffix == ".c" and match is not None and (ROOT / "csrc" / match.group(1)).parent == path.parent


def test_heads() -> None:
    """A source file of a room says what it owns, in at most 25 lines."""
    found = []
    for path in FILES:
        name = str(path.relative_to(ROOT))
        if path.suffix not in SOURCES or not name.startswith(("csrc/", "include/", "wasmrt/", "tools/", "bench/", "examples/")):
            continue
        text = path.read_text()
        if not text.strip():
            continue
        lines = head(path, text).strip().count("\n") + 1 if head(path, text).strip() else 0
        if lines == 0 and speaks_through_its_header(path, text):
            continue
        if not 1 <= lines <= 25:
            found.append(f"{name}: the head has {lines} lines, wanted 1 to 25")
    assert not found, "\n".join(found)


def test_no_trace_of_a_machine() -> None:
    found = []
    for path in FILES:
        try:
            lines = path.read_text().splitlines()
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(lines, 1):
            found += [f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}" for bad in FORBIDDEN if bad.search(line)]
    assert not found, "\n".join(found)


def test_todo_has_a_reason() -> None:
    found = []
    for path in FILES:
        if path.suffix not in SOURCES or path == Path(__file__):
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if re.search(r"\b(TODO|FIXME|XXX)\b(?!: \w+ \w+)", line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()}")
    assert not found, "\n".join(found)


@pytest.mark.parametrize("suffix", [".wasm", ".whl", ".so", ".o", ".cwasm"])
def test_no_binaries(suffix: str) -> None:
    assert not [str(path) for path in FILES if path.suffix == suffix]


def test_make_targets() -> None:
    wanted = "build debug asan ubsan test test-c test-spec test-golden fuzz lint format types bench bench-smoke demo docs clean"
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony is not None
    assert set(wanted.split()) <= set(phony.group(1).split())
