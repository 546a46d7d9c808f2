"""Every conformance script, core and component, on the public API through our own text format and script runner."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from wasmrt.cli.wast import run_script

from . import expectations

SCRIPTS = [*expectations.scripts("core"), *expectations.scripts("component")]
LISTED = expectations.expected_failures()


@pytest.mark.skipif(not SCRIPTS, reason=expectations.ABSENT)
@pytest.mark.parametrize(("group", "name"), SCRIPTS, ids=[str(Path(name).with_suffix("")) for _, name in SCRIPTS])
def test_script(group: str, name: str, bless: bool) -> None:
    path = expectations.FOLDER / name
    start = time.monotonic()
    outcome = run_script(path.read_bytes(), name, expectations.config(group))
    seconds = time.monotonic() - start
    failures = [f"{name}:{failure.line}: {failure.message}" for failure in outcome.failures]
    listed = str(Path(name).with_suffix("")) in LISTED
    if listed and failures:
        pytest.xfail(LISTED[str(Path(name).with_suffix(""))])
    if listed and bless:
        expectations.forget(str(Path(name).with_suffix("")))
    assert not listed or bless, f"{name} passes: take it out of {expectations.EXPECTED_FAILURES.name} (BLESS=1 does)"
    assert not failures, "\n".join(failures[:20])
    assert seconds < 60


def test_listed_scripts_exist() -> None:
    if not SCRIPTS:
        pytest.skip(expectations.ABSENT)
    known = {str(Path(name).with_suffix("")) for _, name in SCRIPTS}
    assert set(LISTED) <= known
