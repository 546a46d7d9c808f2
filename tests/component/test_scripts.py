"""Every component of the conformance scripts: the valid ones validate, the others are refused with the reason named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.spec import reasons
from wasmrt.errors import DecodeError, LimitError, PlacedError, UnsupportedError, ValidationError
from wasmrt.spec.features import Features
from wasmrt.translate.whole import translate, validate

from .conftest import core_reader, scripts_folder

FOLDER = scripts_folder()
SCRIPTS = sorted(FOLDER.rglob("*.wast")) if FOLDER else []

read_core_module, READS_BODIES = core_reader()

# Only the reader in C checks all of a core module.
CORE_ONLY = set() if READS_BODIES else {"section out of order", "type mismatch"}


@pytest.mark.skipif(not SCRIPTS, reason="no conformance scripts: set WASMRT_SPEC to their folder")
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_script(script: Path, script_commands: Callable[[Path], list[tuple[dict[str, Any], bytes]]]) -> None:
    for command, data in script_commands(script):
        where = f"{script.name}:{command['line']}"
        expected = command["text"] if command["type"] in ("assert_invalid", "assert_malformed") else None
        try:
            validate(data, Features(), read_core_module)
        except PlacedError as error:
            assert type(error) in (DecodeError, ValidationError, LimitError), where
            assert expected is not None, f"{where} is valid, but: {error}"
            assert reasons.agrees(expected, str(error)), f"{where}: {expected!r} is not in {str(error)!r}"
            assert error.offset is not None and error.offset <= len(data), where
            if command["type"] == "assert_malformed" and "a module type" not in str(error):
                assert isinstance(error, DecodeError), f"{where}: {error!r}"
        else:
            assert expected is None or expected in CORE_ONLY, f"{where} should fail: {expected}"
            try:
                translate(data, Features(), read_core_module)
            except UnsupportedError as error:
                assert error.offset is not None, where
