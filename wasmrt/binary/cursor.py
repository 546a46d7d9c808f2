"""A cursor over a range of bytes: the primitive encodings, each checked against the range's end before it is read.

Offsets are absolute in the outermost binary, so an error needs no translation.
"""

from __future__ import annotations

from wasmrt.errors import DecodeError, ValidationError
from wasmrt.spec import limits


class Cursor:
    __slots__ = ("data", "end", "path", "pos")

    def __init__(self, data: memoryview, pos: int, end: int, path: str = "") -> None:
        self.data = data
        self.pos = pos
        self.end = end
        self.path = path

    def error(self, message: str, *, at: int | None = None, expected: str | None = None) -> DecodeError:
        return DecodeError(message, offset=self.pos if at is None else at, path=self.path, expected=expected)

    def leading(self, code: int, what: str, *, at: int) -> DecodeError:
        return self.error(f"invalid leading byte ({code:#x}) for {what}", at=at)

    def invalid(self, message: str, *, at: int) -> ValidationError:
        """For what is well formed but forbidden, where the decoder is the one to see it."""
        return ValidationError(message, offset=at, path=self.path)

    def byte(self, expected: str) -> int:
        if self.pos >= self.end:
            raise self.error("unexpected end-of-file", expected=expected)
        value = self.data[self.pos]
        self.pos += 1
        return value

    def u32(self, expected: str) -> int:
        start = self.pos
        value = shift = 0
        while True:
            byte = self.byte(expected)
            if shift == 28:
                if byte & 0x80:
                    raise self.error("integer representation too long", at=start, expected=f"{expected} (u32)")
                if byte > 0x0F:
                    raise self.error("integer too large", at=start, expected=f"{expected} (u32)")
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def u64(self, expected: str) -> int:
        start = self.pos
        value = shift = 0
        while True:
            byte = self.byte(expected)
            if shift == 63:
                if byte & 0x80:
                    raise self.error("integer representation too long", at=start, expected=f"{expected} (u64)")
                if byte > 1:
                    raise self.error("integer too large", at=start, expected=f"{expected} (u64)")
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def s33(self, expected: str) -> int:
        start = self.pos
        value = shift = 0
        while True:
            byte = self.byte(expected)
            if shift == 28:
                if byte & 0x80:
                    raise self.error("integer representation too long", at=start, expected=f"{expected} (s33)")
                # Five payload bits, then copies of the sign.
                if (byte & 0x70) != (0x70 if byte & 0x10 else 0):
                    raise self.error("integer too large", at=start, expected=f"{expected} (s33)")
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value - (1 << shift) if byte & 0x40 else value

    def count(self, expected: str, maximum: int = limits.COMPONENT_ITEMS) -> int:
        """The length of a vector, each of whose elements takes at least a byte."""
        start = self.pos
        value = self.u32(f"number of {expected}")
        if value > maximum:
            raise limits.exceeded(value, expected, maximum, offset=start, path=self.path)
        if value > self.end - self.pos:
            raise self.error(f"unexpected end-of-file: {value} {expected}, {self.end - self.pos} bytes left", at=start)
        return value

    def name(self, expected: str) -> str:
        start = self.pos
        length = self.u32(f"length of {expected}")
        if length > self.end - self.pos:
            raise self.error(f"unexpected end-of-file: a name of {length} bytes", at=start, expected=expected)
        if length > limits.STRING_BYTES:
            raise limits.exceeded(length, "bytes of a name", limits.STRING_BYTES, offset=start, path=self.path)
        raw = bytes(self.data[self.pos : self.pos + length])
        try:
            text = raw.decode()
        except UnicodeDecodeError as e:
            raise self.error("malformed UTF-8 encoding", at=self.pos + e.start, expected=expected) from None
        self.pos += length
        return text

    def fixed(self, value: int, expected: str) -> None:
        at = self.pos
        got = self.byte(expected)
        if got != value:
            raise self.error(f"invalid leading byte ({got:#x}) for {expected}", at=at, expected=f"{value:#04x}")

    def flag(self, expected: str) -> bool:
        at = self.pos
        value = self.byte(expected)
        if value > 1:
            raise self.error(f"invalid leading byte ({value:#x}) for {expected}: invalid boolean value", at=at, expected="0x00 or 0x01")
        return value == 1
