"""Numbers of the text format: exact rounding, ranges, syntax."""

from __future__ import annotations

import struct
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wasmrt.spec import leb128
from wasmrt.text import numbers


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("0", 0),
        ("-0", 0x80000000),
        ("1.", 0x3F800000),
        ("1e-45", 1),
        ("0x1p-149", 1),
        ("0x1p-150", 0),
        ("0x1.8p-150", 1),
        ("0x1.000001p+0", 0x3F800000),
        ("0x1.000003p+0", 0x3F800002),
        ("0x1.fffffep127", 0x7F7FFFFF),
        ("0x1.fffffe8p127", 0x7F7FFFFF),
        ("340282356779733661637539395458142568447.9", 0x7F7FFFFF),
        # the nearest double lies half way between two f32: only the text tells which way
        ("16777217", 0x4B800000),
        ("16777217.000000000000000000000000000001", 0x4B800001),
        ("16777216.999999999999999999999999999999", 0x4B800000),
        ("16777219", 0x4B800002),
        ("16777218.999999999999999999999999999999", 0x4B800001),
        ("7.006492321624085354618e-46", 0),
        ("7.006492321624085354619e-46", 1),
        ("nan", 0x7FC00000),
        ("-nan:0x1", 0xFF800001),
        ("inf", 0x7F800000),
        ("1_000.5_0e+0_1", 0x461C5400),
    ],
)
def test_f32(text: str, pattern: int) -> None:
    assert numbers.float_bits(text, 32) == pattern


@pytest.mark.parametrize(
    "text",
    [
        "340282356779733661637539395458142568448",
        "0x1.ffffffp127",
        "0x1p128",
        "1e39",
        "nan:0x0",
        "nan:0x800000",
        "1e99999999999999999999",
        "0x1p99999999999999999999",
    ],
)
def test_f32_out_of_range(text: str) -> None:
    with pytest.raises(ValueError, match="out of range"):
        numbers.float_bits(text, 32)


@pytest.mark.parametrize(
    "text", ["", "1e", "0x", "_1", "1_", "1__0", "0x1_p0", ".5", "nan:1", "+-1", "infinity", "0x1.p", "--inf"]
)
def test_not_floats(text: str) -> None:
    assert numbers.float_bits(text, 64) is None


def test_tiny_and_long() -> None:
    assert numbers.float_bits("0x1p-99999999999999999999", 64) == 0
    assert numbers.float_bits("1e-99999999999999999999", 64) == 0
    assert numbers.float_bits("0." + "0" * 50_000 + "1e50001", 32) == 0x3F800000
    assert numbers.float_bits("0x" + "0" * 50_000 + "1", 32) == 0x3F800000
    assert numbers.float_bits("16777217." + "0" * 50_000 + "1e+" + "0" * 5_000 + "0", 32) == 0x4B800001
    assert numbers.integer("0" * 50_000 + "7") == 7


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_f64_from_decimal_and_hex(value: float) -> None:
    want = struct.unpack("<Q", struct.pack("<d", value))[0]
    assert numbers.float_bits(repr(value), 64) == want
    assert numbers.float_bits(value.hex(), 64) == want


@given(st.integers(0, 0x7F7FFFFE), st.sampled_from([-1, 0, 1]))
def test_f32_around_midpoints(pattern: int, side: int) -> None:
    low, high = (struct.unpack("<f", struct.pack("<I", p))[0] for p in (pattern, pattern + 1))
    exact = (Fraction(low) + Fraction(high)) / 2 + Fraction(side, 10**300)
    scaled = exact * 10**300
    # enough decimals that the text is exactly what is meant
    text = f"{scaled.numerator * 10**160 // scaled.denominator}e-460"
    want = pattern + (side > 0 or (side == 0 and pattern & 1))
    assert numbers.float_bits(text, 32) == want


@pytest.mark.parametrize(
    ("text", "bits", "value"),
    [
        ("4294967295", 32, 0xFFFFFFFF),
        ("-2147483648", 32, 0x80000000),
        ("+0x7f", 32, 127),
        ("-1", 64, 2**64 - 1),
        ("-128", 8, 128),
    ],
)
def test_integers(text: str, bits: int, value: int) -> None:
    assert numbers.fixed(text, bits) == value


@pytest.mark.parametrize(
    ("text", "bits"), [("4294967296", 32), ("-2147483649", 32), ("256", 8), ("9" * 5000, 64), ("0x" + "f" * 5000, 64)]
)
def test_integers_out_of_range(text: str, bits: int) -> None:
    with pytest.raises(ValueError, match="out of range"):
        numbers.fixed(text, bits)


@given(st.integers(-(2**63), 2**63 - 1))
def test_leb(value: int) -> None:
    out, shift = 0, 0
    for byte in leb128.sleb(value):
        out |= (byte & 0x7F) << shift
        shift += 7
    assert (out - (1 << shift) if out >> shift - 1 else out) == value
