"""What a program may give as a guest's standard streams."""

from __future__ import annotations

import io
from typing import Any

import pytest

import wasmrt
from tests.unit.preview1_guest import OUT, Guest
from wasmrt.wasi.io import InputStream, OutputStream


def read_by_both(source: Any, again: Any) -> tuple[bytes, bytes]:
    """Of WASI 0.1 and 0.2, in pieces of three bytes."""
    config = wasmrt.WasiConfig()
    config.stdin_custom = source
    stream, first = InputStream(config.stdin), bytearray()
    while data := stream.read(3):
        assert isinstance(data, bytes) and len(data) <= 3
        first += data
    config.stdin_custom = again
    guest, second = Guest(wasmrt, config), bytearray()
    at = guest.put(bytes(3))
    vector = guest.put(at.to_bytes(4, "little") + (3).to_bytes(4, "little"))
    while guest.call("fd_read", 0, vector, 1, OUT) == "success" and guest.u32():
        second += guest.get(at, guest.u32())
    return bytes(first), bytes(second)


class OnlyRead:
    def __init__(self, data: bytes) -> None:
        self.read = io.BytesIO(data).read


def test_standard_input() -> None:
    chunks = [b"0123", b"45", "åä", b""] * 2
    for make, expected in (
        (lambda: b"0123456789", b"0123456789"),
        (lambda: bytearray(b"01"), b"01"),
        (lambda: io.BytesIO(b"0123"), b"0123"),
        (lambda: io.StringIO("åäö"), "åäö".encode()),
        (lambda: io.TextIOWrapper(io.BytesIO("åäö".encode())), "åäö".encode()),
        (lambda: OnlyRead(b"0123"), b"0123"),
        (lambda: lambda size: chunks.pop(0), "012345åä".encode()),
        (lambda: b"", b""),
    ):
        assert read_by_both(make(), make()) == (expected, expected)
    config = wasmrt.WasiConfig()
    with pytest.raises(TypeError, match="expected bytes"):
        config.stdin_custom = 5
    config.stdin_custom = lambda size: 5
    with pytest.raises(TypeError, match="the function returned int"):
        InputStream(config.stdin).read(1)


def test_standard_output() -> None:
    config = wasmrt.WasiConfig()
    config.stdout_custom = collected = bytearray()
    config.stderr_custom = text = io.StringIO()
    assert OutputStream(config.stdout).write(b"ab").tag == OutputStream(config.stderr).write(b"cd").tag == "ok"
    assert collected == b"ab" and text.getvalue() == "cd"
    with pytest.raises(TypeError, match="a bytearray, got int"):
        config.stdout_custom = 5
