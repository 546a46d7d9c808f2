"""Strings against CPython's codecs: whatever bytes a guest gives are text there and here, or nowhere; whatever str is given, the guest gets its encoding."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator

import pytest

from tests.abi import oracle
from tests.abi.test_plans import ENCODINGS
from wasmrt import errors
from wasmrt._native.abi import Plan
from wasmrt._native.probe import Probe
from wasmrt.abi.plan import compile_func
from wasmrt.spec import types as t

PLAN = Plan(compile_func(t.FuncType((("v", t.String()),), t.String())))
AT = 16  # where the text lies; its address and length lie at 0

# well-formed sequences of every length at the ends of their ranges, and what is wrong in each way
GOOD = [
    b"\x00",
    b"a",
    b"\x7f",
    b"\xc2\x80",
    b"\xc3\xbf",
    b"\xc4\x80",
    b"\xdf\xbf",
    b"\xe0\xa0\x80",
    b"\xed\x9f\xbf",
    b"\xee\x80\x80",
    b"\xef\xbf\xbf",
    b"\xf0\x90\x80\x80",
    b"\xf3\xbf\xbf\xbf",
    b"\xf4\x8f\xbf\xbf",
]
BAD = [
    b"\x80",
    b"\xbf",
    b"\xc0\x80",
    b"\xc1\xbf",
    b"\xc2",
    b"\xc2a",
    b"\xe0\x80\x80",
    b"\xe0\x9f\xbf",
    b"\xe0\xa0",
    b"\xe2\x28\xa1",
    b"\xed\xa0\x80",
    b"\xed\xbf\xbf",
    b"\xef\xbf",
    b"\xf0\x80\x80\x80",
    b"\xf0\x8f\xbf\xbf",
    b"\xf0\x90\x80",
    b"\xf0\x90",
    b"\xf0",
    b"\xf4\x90\x80\x80",
    b"\xf5\x80\x80\x80",
    b"\xf8\x88\x80\x80\x80",
    b"\xfe",
    b"\xff",
]


def utf8_samples() -> Iterator[bytes]:
    random_ = random.Random(20)
    for piece in GOOD + BAD:  # across every border of 16 bytes, before and after text of every width
        for before in range(36):
            for filler, after in (
                (b"x", b""),
                (b"x", b"y"),
                (b"\xc3\xa9", b"z" * 17),
                (b"\xe2\x82\xac", b"\xc3\xa9" * 9),
                (b"\xf0\x9f\x98\x80", b""),
            ):
                yield (
                    (filler * 36)[: before // len(filler) * len(filler)] + b"-" * (before % len(filler)) + piece + after
                )
    for _ in range(8000):
        pieces = random_.choices(GOOD, k=random_.randrange(24))
        if random_.random() < 0.5:
            pieces.insert(random_.randrange(len(pieces) + 1), random_.choice(BAD))
        yield b"".join(pieces)
    for _ in range(4000):
        yield random_.randbytes(random_.randrange(40))
        yield bytes(
            random_.choices(
                b"\x41\x80\x8f\x90\x9f\xa0\xbf\xc2\xdf\xe0\xe1\xed\xef\xf0\xf1\xf4", k=random_.randrange(1, 36)
            )
        )


def utf16_samples() -> Iterator[bytes]:
    random_ = random.Random(16)
    units = [0, 0x41, 0x7F, 0x80, 0xFF, 0x100, 0x20AC, 0xD7FF, 0xD800, 0xDBFF, 0xDC00, 0xDFFF, 0xE000, 0xFFFF]
    for _ in range(6000):
        chosen = random_.choices(units if random_.random() < 0.5 else units[:8], k=random_.randrange(20))
        if random_.random() < 0.7:
            chosen += [0xD83D, 0xDE00]
        yield struct.pack(f"<{len(chosen)}H", *chosen)


def lifted(probe: Probe, text: bytes, units: int) -> str | None:
    struct.pack_into("<II", probe.memory, 0, AT, units)
    probe.memory[AT : AT + len(text)] = text
    try:
        return probe.lift_result(0)
    except errors.Trap:
        return None


def decoded(text: bytes, codec: str) -> str | None:
    try:
        return text.decode(codec)
    except UnicodeDecodeError:
        return None


def nowhere(align: int, size: int) -> int:
    raise AssertionError("lifting allocates nothing")


@pytest.mark.parametrize("size", [4096, None], ids=["room after it", "at the end of the memory"])
def test_utf8_is_what_cpython_says(size: int | None) -> None:
    for text in utf8_samples():
        probe = Probe(PLAN, bytearray(size or AT + len(text)), nowhere, 0)
        assert lifted(probe, text, len(text)) == decoded(text, "utf-8"), text


def test_utf16_is_what_cpython_says() -> None:
    for text in utf16_samples():
        for encoding, tag in ((1, 0), (2, 1 << 31)):
            probe = Probe(PLAN, bytearray(AT + len(text)), nowhere, encoding)
            assert lifted(probe, text, len(text) // 2 | tag) == decoded(text, "utf-16-le"), text


def test_latin1_is_any_bytes() -> None:
    random_ = random.Random(1)
    for length in range(70):
        text = random_.randbytes(length)
        assert lifted(Probe(PLAN, bytearray(AT + length), nowhere, 2), text, length) == text.decode("latin-1")


def strings() -> Iterator[str]:
    random_ = random.Random(4)
    alphabets = [
        "abc\x00\x7f",
        "ab\x7f\x80\xff",
        "aé\u0100€\ud7ff\ue000\uffff",
        "aé€\U00010000\U0010ffff😀",
        "aé\ud800\udfff",
        "a😀\udc00",
    ]
    for alphabet in alphabets:
        for length in (*range(40), 63, 64, 65):
            yield "".join(random_.choices(alphabet, k=length))
            yield "a" * length + random_.choice(alphabet)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_strings_are_encoded_as_cpython_does(encoding: str) -> None:
    for text in strings():
        memory = oracle.Memory(1 << 12)
        probe = Probe(PLAN, memory.data, memory.allocate, ENCODINGS.index(encoding))
        tag = 0
        try:
            expected = text.encode("utf-8" if encoding == "utf8" else "utf-16-le")
        except UnicodeEncodeError:
            with pytest.raises(errors.ArgumentValueError, match="surrogates"):
                probe.lower_params(text)
            continue
        units = len(expected) if encoding == "utf8" else len(expected) // 2
        if encoding == "latin1+utf16":
            tag = 1 << 31
            if max(text, default="") < "\u0100":
                expected, tag = text.encode("latin-1"), 0
                units = len(expected)
        address, count = probe.lower_params(text)
        assert (bytes(memory.data[address : address + len(expected)]), count) == (expected, units | tag), text
        assert not any(memory.data[address + len(expected) :])  # and nothing after it


def test_the_same_text_in_other_clothes() -> None:
    """A str that is made in another way than by a literal, and a subclass, give the same bytes."""

    class Text(str):
        __slots__ = ()

    for encoding in range(3):
        for text in ("", "plain", "Grüße", "€uro", "😀"):
            found = []
            for value in (text, "".join(list(text)), Text(text)):
                memory = oracle.Memory(1 << 10)
                found.append(
                    (
                        Probe(PLAN, memory.data, memory.allocate, encoding).lower_params(value),
                        bytes(memory.data),
                        memory.calls,
                    )
                )
            assert found[0] == found[1] == found[2]
