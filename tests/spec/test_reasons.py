"""Every module and component that the scripts call malformed or invalid is refused for the reason that they name.

Here every feature is on that was when a script was written, so that none of them being off is the reason.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from wasmrt.cli.wast import CheckError, ScriptRunner
from wasmrt.runtime.config import Config
from wasmrt.spec._gen.features import WASM_FEATURE
from wasmrt.text import script as s

from . import expectations, reasons

SCRIPTS = [*expectations.scripts("core"), *expectations.scripts("component")]
OTHERS = reasons.others()


def config(group: str, name: str) -> Config:
    made = expectations.config(group)
    if "/proposals/" not in name:
        for row in WASM_FEATURE:
            if row.attribute and row.name != "CUSTOM_PAGE_SIZES":  # which gives a flag a meaning
                setattr(made, row.attribute.removeprefix("Config."), True)
    return made


@pytest.mark.skipif(not SCRIPTS, reason=expectations.ABSENT)
@pytest.mark.parametrize(("group", "name"), SCRIPTS, ids=[str(Path(name).with_suffix("")) for _, name in SCRIPTS])
def test_refused_for_the_right_reason(group: str, name: str) -> None:
    runner = ScriptRunner(config(group, name))
    others = OTHERS.get(str(Path(name).with_suffix("")), {})
    wrong = []
    disagreeing = set()
    for directive in s.parse_script((expectations.FOLDER / name).read_bytes(), name):
        if not isinstance(directive, s.AssertRefused) or directive.kind in ("assert_unlinkable", "assert_uninstantiable"):
            continue
        try:
            message = runner.refusal(directive).message
        except CheckError as error:
            message = str(error)
        if reasons.agrees(directive.message, message):
            continue
        disagreeing.add(directive.line)
        if directive.line not in others:
            wrong.append(f"{name}:{directive.line}: expected {directive.message!r}, got {message!r}")
    assert not wrong, "\n".join(wrong)
    assert disagreeing == set(others), f"lines of {reasons.OTHERS.name} that agree: {sorted(set(others) - disagreeing)}"


def test_listed_scripts_exist() -> None:
    if not SCRIPTS:
        pytest.skip(expectations.ABSENT)
    assert set(OTHERS) <= {str(Path(name).with_suffix("")) for _, name in SCRIPTS}


@pytest.mark.parametrize(
    ("theirs", "ours", "same"),
    [
        ("unknown local", "unknown local 3, expected an index below 0", True),
        ("illegal opcode ff", "illegal opcode 0xff, expected an instruction", True),
        ("illegal opcode ff", "illegal opcode 0xfe, expected an instruction", False),
        ("unknown operator get_local", "unknown operator `get_local`", True),
        ("unknown operator get_local", "unknown operator `set_local`", False),
        ("type mismatch", "unknown local 3", False),
        ("integer too large", "integer representation too long, expected a memory's size", False),
    ],
)
def test_agreement(theirs: str, ours: str, same: bool) -> None:
    assert reasons.agrees(theirs, ours) is same
