"""Numbers of the text format, exactly: integers, and floats correctly rounded from decimal and hexadecimal.

Functions give None for what is not the syntax and raise ValueError for what does not fit. Digits are bounded by the
text's length only, so nothing here goes through int() of a long decimal string, which is quadratic.
"""

from __future__ import annotations

import re
import struct
from decimal import Decimal

from .possessive import many

_DIGITS = r"[0-9]++" + many(r"_[0-9]++")
_HEX_DIGITS = r"[0-9a-fA-F]++" + many(r"_[0-9a-fA-F]++")
_INT = re.compile(f"([+-]?)(?:0x({_HEX_DIGITS})|({_DIGITS}))")
_DECIMAL = re.compile(rf"[+-]?{_DIGITS}(?:\.(?:{_DIGITS})?)?(?:[eE][+-]?{_DIGITS})?")
_HEX = re.compile(rf"[+-]?0x({_HEX_DIGITS})(?:\.({_HEX_DIGITS})?)?(?:[pP]([+-]?)({_DIGITS}))?")
_NAN = re.compile(f"[+-]?nan(?::0x({_HEX_DIGITS}))?")
# more digits than any number in range can have
_MAX_DIGITS = 40


def integer(token: str) -> int | None:
    """An integer with an optional sign. ValueError if it has more digits than any number here."""
    match = _INT.fullmatch(token)
    if match is None:
        return None
    sign, hexadecimal, decimal = match.groups()
    digits = (hexadecimal or decimal).replace("_", "")
    if len(digits) > _MAX_DIGITS:
        digits = digits.lstrip("0") or "0"
        if len(digits) > _MAX_DIGITS:
            raise ValueError("constant out of range")
    value = int(digits, 16 if hexadecimal else 10)
    return -value if sign == "-" else value


def unsigned(token: str, bits: int) -> int | None:
    """A number without a sign, below 2**bits."""
    if token[:1] in "+-":
        return None
    value = integer(token)
    if value is not None and value >> bits:
        raise ValueError("constant out of range")
    return value


def fixed(token: str, bits: int) -> int | None:
    """A signed or unsigned number of that many bits, as an unsigned one. Signs make it signed."""
    value = integer(token)
    if value is None:
        return None
    if not -(1 << bits - 1) <= value < 1 << bits:
        raise ValueError("constant out of range")
    return value & (1 << bits) - 1


def is_integer(token: str) -> bool:
    return _INT.fullmatch(token) is not None


def is_number(token: str) -> bool:
    """Whether a token is a number of any kind, in range or not."""
    return any(syntax.fullmatch(token) for syntax in (_INT, _DECIMAL, _HEX, _NAN)) or token in ("inf", "+inf", "-inf")


def float_bits(token: str, bits: int) -> int | None:
    """The bit pattern of an f32 (bits 32) or f64 (64), correctly rounded to nearest, ties to even."""
    mantissa = 23 if bits == 32 else 52
    sign = (1 << bits - 1) if token[:1] == "-" else 0
    if _DECIMAL.fullmatch(token):
        magnitude = _from_decimal(token.lstrip("+-").replace("_", ""), bits)
        return sign | magnitude
    match = _HEX.fullmatch(token)
    if match is not None:
        whole, fraction, exponent_sign, exponent = match.groups()
        return sign | _from_hex(whole, fraction or "", exponent_sign or "", exponent or "0", mantissa, bits)
    match = _NAN.fullmatch(token)
    infinity = ((1 << bits - 1 - mantissa) - 1) << mantissa
    if match is not None:
        payload = 1 << mantissa - 1
        if match.group(1) is not None:
            digits = match.group(1).replace("_", "").lstrip("0")
            payload = int(digits or "0", 16) if len(digits) <= 16 else 1 << 64
            if not 0 < payload < 1 << mantissa:
                raise ValueError("constant out of range: a NaN's payload")
        return sign | infinity | payload
    if token.lstrip("+-") == "inf" and len(token) <= 4:
        return sign | infinity
    return None


def _from_decimal(text: str, bits: int) -> int:
    value = float(text)
    if value == float("inf"):
        raise ValueError("constant out of range")
    if bits == 64:
        return int(struct.unpack("<Q", struct.pack("<d", value))[0])
    try:
        rounded: int = struct.unpack("<I", struct.pack("<f", value))[0]
    except OverflowError:
        rounded = 0x7F800000
    # The double is the nearest to the text; rounding it again is wrong only where it lies half way between two f32.
    near = _f32(rounded)
    if value != near:
        other = rounded + (1 if value > near else -1)
        low, high = min(rounded, other), max(rounded, other)
        if (_f32(low) + _f32(high)) / 2 == value:
            exact, middle = _exact(text), Decimal(value)
            if exact != middle:
                rounded = low if exact < middle else high
    if rounded == 0x7F800000:
        raise ValueError("constant out of range")
    return rounded


def _f32(pattern: int) -> float:
    """The value of a finite f32 pattern; the pattern after the last finite one stands for 2**128."""
    return 2.0**128 if pattern >= 0x7F800000 else float(struct.unpack("<f", struct.pack("<I", pattern))[0])


def _exact(text: str) -> Decimal:
    # the exponent is in range here, but its spelling or a long row of zeros may be more than Decimal takes
    number, _, exponent = text.lower().partition("e")
    whole, _, fraction = number.partition(".")
    digits = (whole + fraction).lstrip("0")
    sign, exponent = exponent[:1] == "-", exponent.lstrip("+-").lstrip("0")
    scale = (-1 if sign else 1) * int(exponent or "0") - len(fraction)
    kept = digits.rstrip("0")
    scale += len(digits) - len(kept)
    return Decimal((0, tuple(map(int, kept)) or (0,), scale))


def _from_hex(whole: str, fraction: str, exponent_sign: str, exponent: str, mantissa: int, bits: int) -> int:
    whole, fraction = whole.replace("_", "").lstrip("0"), fraction.replace("_", "").rstrip("0")
    significand = int(whole + fraction or "0", 16)
    if not significand:
        return 0
    digits = exponent.replace("_", "").lstrip("0") or "0"
    # beyond this many digits the exponent outweighs any significand that a text can hold
    power = int(digits) if len(digits) <= 18 else 10**18
    scale = (-power if exponent_sign == "-" else power) - 4 * len(fraction)
    bias = (1 << bits - 2 - mantissa) - 1
    top = significand.bit_length() + scale - 1
    if top > bias + 1:
        raise ValueError("constant out of range")
    lowest = max(top, 1 - bias) - mantissa  # the exponent of the last place kept
    shift = lowest - scale
    if shift <= 0:
        kept = significand << -shift
    elif shift > significand.bit_length() + 1:
        return 0
    else:
        kept, rest = significand >> shift, significand & (1 << shift) - 1
        half = 1 << shift - 1
        if rest > half or (rest == half and kept & 1):
            kept += 1
    if lowest == 1 - bias - mantissa:
        pattern = kept  # subnormal, or the carry made it the least normal number
    else:
        pattern = ((top + bias) << mantissa) + (kept - (1 << mantissa))
    if pattern >= ((1 << bits - 1 - mantissa) - 1) << mantissa:
        raise ValueError("constant out of range")
    return pattern
