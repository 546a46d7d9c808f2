"""Mutated texts and binaries of the conformance scripts: encoding and printing give a result or one of our errors, in time
that goes with their size."""

from __future__ import annotations

import itertools
import random
import re
import time

import pytest

from tests.spec import expectations
from wasmrt.errors import TextError, WasmError
from wasmrt.text import encode, print_wasm
from wasmrt.text import script as s

from . import seeds

SCRIPTS = [name for _, name in (*expectations.scripts("core"), *expectations.scripts("component"))]
SECONDS = (seeds.SECONDS or 6) / 2
WORDS = ["(", ")", "(@", "(@name", "(;", ";)", ";;", '"', "\\", "$", "0x", "nan:0x", "(type", "(func", "end", "else", "async", "\0", "é", "-", "_", "9" * 40, "block", "(component", "(instance", "(alias outer 1 0"]  # fmt: skip


def corpus(size: int) -> list[bytes]:
    """Scripts of moderate size, as text."""
    texts = [(expectations.FOLDER / name).read_bytes() for name in SCRIPTS]
    return [text for text in texts if len(text) < size]


def mutated(rng: random.Random, data: bytes) -> bytes:
    out = bytearray(data)
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(out) + 1)
        match rng.randrange(5):
            case 0:
                out[at:at] = rng.choice(WORDS).encode()
            case 1:
                del out[at : at + rng.choice((1, 2, 9, 100))]
            case 2:
                out[at : at + 1] = bytes((rng.randrange(256),))
            case 3:
                size = rng.randint(1, 60)
                out[at:at] = out[max(0, at - size) : at] * rng.choice((1, 1, 2, 50))
            case _:
                other = rng.randrange(len(out) + 1)
                out[at:at] = out[other : other + rng.randint(1, 80)]
    return bytes(out)


@pytest.mark.skipif(not SCRIPTS, reason=expectations.ABSENT)
def test_texts() -> None:
    seed = seeds.first(1)
    print("WASMRT_FUZZ_SEED", seed)
    rng = random.Random(seed)
    texts = corpus(20_000)
    pieces: list[bytes] = []
    for text in texts:
        try:
            directives = s.parse_script(text)
        except TextError:
            continue
        lines = text.split(b"\n")
        places = [d.line for d in directives]
        pieces += [b"\n".join(lines[a - 1 : b - 1]) for a, b in itertools.pairwise(places) if a < b]
    counts = {"encoded": 0, "refused": 0}
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        text = mutated(rng, rng.choice(pieces))
        start = time.monotonic()
        for read in (encode, s.parse_script):
            try:
                read(text)
                counts["encoded"] += 1
            except TextError as error:
                counts["refused"] += 1
                assert error.line >= 1
                assert error.column >= 1
            except WasmError:
                counts["refused"] += 1
        assert time.monotonic() - start < 5, text
    assert counts["encoded"]
    assert counts["refused"]


@pytest.mark.skipif(not SCRIPTS, reason=expectations.ABSENT)
def test_binaries() -> None:
    seed = seeds.first(2)
    print("WASMRT_FUZZ_SEED", seed)
    rng = random.Random(seed)
    binaries = []
    for text in corpus(20_000):
        for directive in s.parse_script(text):
            if isinstance(directive, s.DefineModule) and directive.module.form == "text":
                binaries.append(directive.module.encode())
    end = time.monotonic() + SECONDS
    printed = 0
    while time.monotonic() < end:
        data = bytearray(rng.choice(binaries))
        for _ in range(rng.randint(1, 3)):
            data[rng.randrange(8, len(data) + 1) - 1] = rng.randrange(256)
        start = time.monotonic()
        try:
            text = print_wasm(data)
            printed += 1
        except WasmError:
            continue
        try:
            encode(text)
        except TextError:
            pass  # what is invalid may have no text
        assert time.monotonic() - start < 5, bytes(data)
    assert printed


@pytest.mark.skipif(not SCRIPTS, reason=expectations.ABSENT)
def test_texts_cut_short() -> None:
    """Between any two tokens the text may end: parsers look ahead."""
    rng = random.Random(seeds.first(3))
    texts = corpus(8_000)
    end = time.monotonic() + SECONDS
    refused = 0
    while time.monotonic() < end:
        text = rng.choice(texts).decode(errors="replace")
        start = rng.choice([at.start() for at in re.finditer(r"^\((?:module|component)", text, re.MULTILINE)] or [0])
        piece = text[start : start + 600]
        for cut in re.finditer(r"[\s()]+", piece):
            try:
                encode(piece[: cut.end()])
            except WasmError:
                refused += 1
    assert refused
