"""What is valid and what is not, beside wasm-tools: a table of small components with its verdicts, and a few damaged ones compared as the test runs."""

from __future__ import annotations

import random
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from wasmrt.errors import PlacedError, UnsupportedError
from wasmrt.spec.features import Features
from wasmrt.text import encode
from wasmrt.translate.whole import validate

from .conftest import core_reader, wasm_tools

READ, _ = core_reader()
TABLE = Path(__file__).with_name("verdicts.txt")
# wasm-tools' names for what Features() has off
OFF = "--features=all,-cm-values,-cm-nested-names,-cm-gc"


def table() -> Iterator[tuple[str, str]]:
    """(verdict, text)."""
    macros: dict[str, str] = {}
    for line in TABLE.read_text().splitlines():
        definition = re.fullmatch(r"# ([A-Z]+) = (.*)", line)
        if definition:
            macros[definition[1]] = definition[2]
        elif not line.startswith("#"):
            verdict, _, text = line.partition(" ")
            yield verdict, f"(component {re.sub(r'{([A-Z]+)}', lambda match: macros[match[1]], text)})"


CASES = list(table())


def ours(data: bytes) -> str | None:
    """None for a valid component, else the reason."""
    try:
        validate(data, Features(), READ)
    except PlacedError as error:
        assert not isinstance(error, UnsupportedError) and error.offset is not None
        return str(error)
    return None


@pytest.mark.parametrize("part", range(8))
def test_table(part: int) -> None:
    for verdict, text in CASES[part::8]:
        reason = ours(encode(text))
        assert (reason is None) == verdict.startswith("valid"), f"{verdict}: {text}: {reason}"


def theirs(data: bytes) -> bool:
    tool = wasm_tools()
    if tool is None:
        pytest.skip("wasm-tools is not installed (the extra `test` brings it)")
    return subprocess.run([tool, "validate", OFF, "-"], input=data, capture_output=True, timeout=60).returncode == 0


def test_some_beside_wasm_tools() -> None:
    for verdict, text in random.Random(7).sample(CASES, 24):
        if verdict != "valid-by-specification":
            assert theirs(encode(text)) == (verdict == "valid"), text


def test_damaged_ones_beside_wasm_tools() -> None:
    """Bytes outside core modules changed at random."""
    chance = random.Random(11)
    whole = [text for verdict, text in CASES if verdict == "valid" and "core module" not in text]
    for text in chance.sample(whole, 24):
        data = bytearray(encode(text))
        at = chance.randrange(8, len(data))
        data[at] ^= 1 << chance.randrange(8)
        reason = ours(bytes(data))
        assert theirs(bytes(data)) == (reason is None), f"{text}: byte {at} is {data[at]:#x}: {reason}"
