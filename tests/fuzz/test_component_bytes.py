"""Prefixes and mutations of real components through decoder, validator and translator: only our errors come out.

Core modules lose their code and data first: this is about the component's own bytes, and the reader of core modules is
fuzzed elsewhere. WASMRT_FUZZ_SECONDS bounds the mutations; a failure prints the seed that repeats it.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.component import builder as b
from tests.component.core_reader import read_core_module
from wasmrt.binary.cursor import Cursor
from wasmrt.errors import DecodeError, LimitError, PlacedError, ValidationError
from wasmrt.spec.features import Features
from wasmrt.translate.translation import CoreModuleView
from wasmrt.translate.whole import translate

SECONDS = float(os.environ.get("WASMRT_FUZZ_SECONDS", "5"))
INTERESTING = (0x00, 0x01, 0x02, 0x0F, 0x3F, 0x40, 0x41, 0x42, 0x60, 0x64, 0x70, 0x7F, 0x80, 0xFF)


def without_code(data: bytes) -> bytes:
    """The component with the code and data sections of its core modules left out, at every depth."""
    c = Cursor(memoryview(data), 8, len(data))
    out = bytearray(data[:8])
    is_component = data[6] == 1
    while c.pos < c.end:
        code, size = c.byte("section"), c.u32("size")
        body = data[c.pos : c.pos + size]
        c.pos += size
        if is_component and code in (1, 4):
            body = without_code(body)
        elif (not is_component and code in (0, 10, 11, 12)) or (is_component and code == 0 and size > 1000):
            continue
        out += b.section(code, body)
    return bytes(out)


def lenient_reader(data: memoryview) -> CoreModuleView:
    """The test's reader assumes good bytes; what a mutation does to a core module is not what is tested here."""
    try:
        return read_core_module(data)
    except PlacedError:
        raise
    except Exception as error:
        raise DecodeError(f"malformed core module: {error!r}") from None


def attempt(data: bytes) -> str:
    try:
        translate(data, Features(), lenient_reader)
    except (DecodeError, ValidationError, LimitError) as error:
        str(error)
        assert error.offset is None or 0 <= error.offset <= len(data), error
        return type(error).__name__
    return "valid"


@pytest.fixture(scope="module")
def seeds(codec: Callable[[str], Path]) -> list[bytes]:
    return [without_code(codec(name).read_bytes()) for name in ("zstd", "pco")]


@pytest.mark.network
def test_prefixes(seeds: list[bytes]) -> None:
    data = seeds[0]
    assert attempt(data) == "valid"
    step = 1 if SECONDS >= 60 else 7
    for length in range(0, len(data), step):
        outcome = attempt(data[:length])
        assert outcome in ("DecodeError", "valid"), length


def mutate(rng: random.Random, data: bytes) -> bytes:
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        at = rng.randrange(8, len(out))
        match rng.randrange(6):
            case 0:
                out[at] = rng.randrange(256)
            case 1:
                out[at] = rng.choice(INTERESTING)
            case 2:
                out[at] = (out[at] + rng.choice((-1, 1))) & 0xFF
            case 3:
                del out[at : at + rng.randrange(1, 9)]
            case 4:
                out[at:at] = bytes(rng.randrange(256) for _ in range(rng.randrange(1, 9)))
            case 5:
                other = rng.randrange(8, len(out))
                length = rng.randrange(1, 33)
                out[at : at + length] = out[other : other + length]
        if len(out) <= 8:
            return data
    return bytes(out)


@pytest.mark.network
def test_mutations(seeds: list[bytes]) -> None:
    outcomes: dict[str, int] = {}
    deadline = time.monotonic() + SECONDS
    first = random.SystemRandom().randrange(1 << 32)
    seed = first
    while time.monotonic() < deadline:
        rng = random.Random(seed)
        data = mutate(rng, rng.choice(seeds))
        try:
            outcome = attempt(data)
        except BaseException as error:
            raise AssertionError(f"seed {seed}: {error!r}") from error
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
        seed += 1
    assert outcomes.get("DecodeError") and outcomes.get("ValidationError"), outcomes
