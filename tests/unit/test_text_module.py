"""Core modules in text: what is encoded, what is refused and how it is said."""

from __future__ import annotations

import re
import time

import pytest

from wasmrt.errors import TextError
from wasmrt.text import encode, lexer, possessive

HEAD = b"\0asm\x01\0\0\0"


def sections(data: bytes) -> dict[int, bytes]:
    """The sections of a small module by their code; the name section is -1."""
    assert data[:8] == HEAD
    out, at = {}, 8
    while at < len(data):
        code = data[at]
        size = shift = 0
        while True:
            at += 1
            size |= (data[at] & 0x7F) << shift
            shift += 7
            if data[at] < 0x80:
                break
        at += 1
        body = data[at : at + size]
        out[-1 if code == 0 and body.startswith(b"\x04name") else code] = body
        at += size
    return out


def body(text: str, head: str = "") -> bytes:
    """The code of the one function with these instructions, without size, locals and end."""
    code = sections(encode(f"(module {head} (func {text}))"))[10]
    assert code[0] == 1
    assert code[-1] == 0x0B
    return code[3:-1]


def refused(text: str | bytes) -> TextError:
    with pytest.raises(TextError) as caught:
        encode(text)
    return caught.value


def test_empty_and_bare() -> None:
    assert encode("(module)") == encode("") == encode(b" ;; nothing\n") == HEAD
    assert encode('(func (export "f"))') == encode('(module (func (export "f")))')
    assert encode(bytearray(b"(module)")) == encode(memoryview(b"(module)")) == HEAD


def test_folded_is_flat() -> None:
    flat = body("i32.const 1 i32.const 2 i32.add i32.const 7 i32.store offset=4 align=1")
    assert (
        flat
        == body("(i32.store offset=4 align=1 (i32.add (i32.const 1) (i32.const 2)) (i32.const 7))")
        == bytes.fromhex("410141026a41073600 04".replace(" ", ""))
    )
    both = "(if $l (result i32) (i32.const 1) (then (br $l (i32.const 2))) (else (i32.const 3))) drop"
    assert body(both) == body("i32.const 1 if $l (result i32) i32.const 2 br $l else $l i32.const 3 end $l drop")


def test_labels_count_from_inside() -> None:
    assert body("block $a loop $b block $a br $a br $b br 2 br 3 end end end") == bytes.fromhex(
        "0240034002400c000c010c020c030b0b0b"
    )


def test_try_table_catches_see_the_labels_outside() -> None:
    assert body("block $l try_table $l (catch_all $l) end end") == bytes.fromhex(
        "0240 1f40 01 02 00 0b 0b".replace(" ", "")
    )


def test_implicit_types_come_after_explicit_ones_in_text_order() -> None:
    text = "(func (param i32)) (func (block (param i64) drop (i64.const 0)) (call_indirect (result f32))) (type (func)) (table 0 funcref)"
    types = sections(encode(text))[1]
    assert types == bytes.fromhex("04 600000 60017f00 60017e00 6000017d".replace(" ", ""))


def test_type_use_repeats_a_signature() -> None:
    encode("(type $t (sub (func (param i32)))) (func (type $t) (param $x i32) local.get $x drop)")
    assert "inline function type" in refused("(type $t (func (param i32))) (func (type $t) (param i64))").message


def test_select_ref_test_and_casts_choose_their_opcode() -> None:
    assert body("select") == b"\x1b"
    assert body("select (result i32) (result)") == b"\x1c\x01\x7f"
    assert body("ref.test (ref i31) ref.test i31ref ref.cast (ref null none)") == bytes.fromhex(
        "fb146c fb156c fb1771".replace(" ", "")
    )
    assert body("br_on_cast 0 anyref (ref struct)") == bytes.fromhex("fb18 01 00 6e 6b".replace(" ", ""))


def test_optional_indices() -> None:
    assert body("memory.init 1 memory.init 1 0", '(memory 1) (memory 1) (data "") (data "")') == bytes.fromhex(
        "fc080100 fc080001".replace(" ", "")
    )
    assert body("table.copy table.copy 1 0") == bytes.fromhex("fc0e0000 fc0e0100".replace(" ", ""))
    assert body("i32.load 1 offset=2 v128.load8_lane 1 offset=3 4 v128.load8_lane 5") == bytes.fromhex(
        "28420102 fd5440010304 fd54000005".replace(" ", "")
    )


def test_segments() -> None:
    found = sections(
        encode(
            "(table 2 funcref) (func $f) (elem (i32.const 1) $f) (elem func $f) (elem declare func $f) (elem funcref (ref.func $f))"
        )
    )
    assert found[9] == bytes.fromhex("04 0041010b0100 01000100 03000100 057001d2000b".replace(" ", ""))
    found = sections(encode('(memory (data "ab" "\\63")) (data "x") (func data.drop 1)'))
    assert found[5] == b"\x01\x01\x01\x01"
    assert found[11] == b"\x02\x00\x41\x00\x0b\x03abc\x01\x01x"
    assert found[12] == b"\x02"


def test_limits() -> None:
    found = sections(encode("(memory i64 1 2) (memory 0 0 shared) (memory 7 (pagesize 1)) (table i64 0 funcref)"))
    assert found[5] == bytes.fromhex("03 050102 030000 080700".replace(" ", ""))
    assert found[4] == b"\x01\x70\x04\x00"


def test_strings_and_identifiers() -> None:
    found = sections(encode(r'(memory (export "\t\n\"\'\\\u{1F600}\c3\a9é") 0)'))
    assert found[7][2:-2] == "\t\n\"'\\\U0001f600éé".encode()
    assert encode(r'(func $"\u{41}\42") (func call $"\41B" call $AB)')[-22:].count(b"\x10\x00") == 2


def test_names() -> None:
    names = sections(
        encode('(module $m (@name "M") (func $f (param $p i32) (local $l i32) block $b end) (func (@name "g h")))')
    )[-1]
    assert (
        names
        == b"\x04name"
        + b"\x00\x02\x01M"
        + b"\x01\x09\x02\x00\x01f\x01\x03g h"
        + b"\x02\x09\x01\x00\x02\x00\x01p\x01\x01l"
        + b"\x03\x06\x01\x00\x01\x00\x01b"
    )


def test_custom_sections_and_unknown_annotations() -> None:
    data = encode(
        '(@what (ever) [,;] "x"y) (@custom "a" (before first) "1") (func (@nothing)) (@custom "b" (after code) "2" "3")'
    )
    assert (
        data
        == HEAD
        + b"\x00\x03\x01a1"
        + b"\x01\x04\x01\x60\x00\x00\x03\x02\x01\x00\x0a\x04\x01\x02\x00\x0b"
        + b"\x00\x04\x01b23"
    )


def test_branch_hints_give_the_offset_of_the_branch() -> None:
    data = encode(
        '(func (@metadata.code.branch_hint "\\01") (if (i32.const 0) (then)) (@metadata.code.branch_hint "\\00") (br_if 0 (i32.const 1)))'
    )
    assert b"\x19metadata.code.branch_hint\x01\x00\x02\x03\x01\x01\x08\x01\x00" in data


def test_quoted_and_binary_modules() -> None:
    assert encode('(module binary "\\00asm" "\\01\\00\\00\\00")') == HEAD
    assert encode('(module $m quote "(func" ")")') == encode("(func)")
    assert "in the quoted text" in refused('(module quote "(fun)")').message


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("(module\n  (func i32.foo))", 2, 9, "unknown operator `i32.foo`"),
        ("(module (func $f) (func $f))", 1, 25, "duplicate function identifier"),
        ("(func call $g)", 1, 12, "unknown function `$g`"),
        ("(func br $l)", 1, 10, "unknown label"),
        ("(func local.get $x)", 1, 17, "unknown local"),
        ("(func (param $x i32) (local $x i32))", 1, 29, "duplicate local"),
        ("(func block $a end $b)", 1, 20, "mismatching label"),
        ("(func block)", 1, 12, "expected `end`"),
        ("(func end)", 1, 7, "unexpected token `end`"),
        ("(func (if (i32.const 0)))", 1, 24, "expected `(then`"),
        ("(func (i32.add i32.const 0))", 1, 16, "folded"),
        ("(func i32.const 4294967296)", 1, 17, "constant out of range"),
        ("(func i32.const 0x)", 1, 17, "expected an i32 constant"),
        ("(func i32.load align=3)", 1, 16, "alignment must be a power of two"),
        ("(func i8x16.extract_lane_s 256)", 1, 28, "malformed lane index"),
        ('(func) (import "a" "b" (func))', 1, 8, "import after function"),
        ("(start 0) (start 0)", 1, 11, "multiple start sections"),
        ("(module", 1, 8, "expected `)`"),
        ("(module) x", 1, 10, "expected end of text"),
        ('(memory (export "a', 1, 17, "unclosed string"),
        ('(memory (export "\\zz"))', 1, 17, "invalid string escape"),
        ('(memory (export "\\ff") 0)', 1, 17, "malformed UTF-8"),
        ('(memory (export "a""b") 0)', 1, 17, "space is required"),
        ("(; (; ;)", 1, 1, "unclosed comment"),
        ("(@a (", 1, 1, "unclosed annotation"),
        ("(func $)", 1, 7, "empty identifier"),
        ("(func \x01)", 1, 7, "illegal character"),
        ("é", 1, 1, "illegal character"),
        ("(fun)", 1, 2, "expected a module field"),
        ("\r\n\r  (fun)", 3, 4, "expected a module field"),
    ],
)
def test_errors_have_a_place(text: str, line: int, column: int, message: str) -> None:
    error = refused(text)
    assert message in error.message
    assert (error.line, error.column) == (line, column)
    assert str(error).endswith(" " * (column + 1) + "^")


def test_error_in_bytes_that_are_no_text() -> None:
    error = refused(b"(module\n \xff)")
    assert (error.line, error.column, error.message) == (2, 2, "malformed UTF-8 encoding")
    assert refused("(module \ud800)").message.startswith("lone surrogate")


def test_error_in_a_long_line_shows_its_surroundings() -> None:
    error = refused("(func " + "nop " * 10_000 + "nopp" + " nop" * 10_000 + ")")
    assert len(error.source_line) <= 240
    assert error.source_line[error.column - 1 :].startswith("nopp")


@pytest.mark.parametrize(
    "text", ["(" * 100_000, "(func " + "(block " * 100_000, "(module " * 50_000, "(@a " * 100_000, "(; " * 100_000]
)
def test_deep_nesting_is_an_error(text: str) -> None:
    refused(text)


def test_deep_nesting_that_is_closed_is_read() -> None:
    depth = 100_000
    code = sections(encode("(func " + "(block " * depth + ")" * depth + ")"))[10]
    assert code.endswith(b"\x02\x40" * depth + b"\x0b" * (depth + 1))


@pytest.mark.parametrize(
    "unit",
    [
        " ",
        ";;\n",
        "(;;)",
        "(",
        '"',
        "(;",
        ";",
        '\\"',
        '"\\',
        "$",
        "(func)",
        "(func (block))",
        '(data "\\00")',
        "(@a)",
        "(type (func))",
        "0",
        "a",
    ],
)
def test_time_is_linear(unit: str) -> None:
    """A megabyte of anything is read or refused in a few seconds."""
    start = time.monotonic()
    try:
        encode(unit * (1_000_000 // len(unit)))
    except TextError:
        pass
    assert time.monotonic() - start < 15


def test_modules_that_are_spelled_the_same() -> None:
    same = '(core module (func (export "f") (result i32) i32.const 1))'
    named = '(core module $m (func (export "f") (result i32) i32.const 1))'
    annotated = '(core module (@name "m") (func (export "f") (result i32) i32.const 1))'
    alone = [encode(f"(component {one})") for one in (same, named, annotated)]
    together = encode(f"(component {same} {named} {same} {annotated})")
    assert together.count(alone[0][8:]) == 3  # an annotation there names the definition, not the module
    assert len({bytes(one) for one in alone}) == 3


def test_text_is_cut_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    text = """(module ;; a comment
      (; of (; two
      lines ;) ;)
      (func (export "f;;(;") (result i32) ;; (;
        i32.const 1)
      (@unknown "a"
      )
      (data "x(;y" "\\n"))  \r
      ;; the end
      """
    whole = encode(text)
    with pytest.raises(TextError) as unclosed:
        encode("(module\n(func)\n(; (func)\n")
    for size in range(1, 60):
        monkeypatch.setattr(lexer, "PIECE", size)
        assert encode(text) == whole
        with pytest.raises(TextError) as found:
            encode("(module\n(func)\n(; (func)\n")
        assert str(found.value) == str(unclosed.value)


@pytest.mark.parametrize("is_sound", [True, False], ids=["possessive", "atomic"])
def test_repeated_groups_give_nothing_back(is_sound: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if is_sound and not possessive._IS_SOUND:
        pytest.skip("this CPython has gh-106052")
    monkeypatch.setattr(possessive, "_IS_SOUND", is_sound)
    comment = re.compile(r"\(;" + possessive.many(r"[^;(]++|;(?!\))|\((?!;)") + r";\)")
    ends = [(match.end() if (match := comment.match(text)) else None) for text in ("(;;)", "(;a;b(c;)d", "(;(;;);)", "(;;;)", "(;")]
    assert ends == [4, 9, None, 5, None]
    digits = re.compile(r"[0-9]++" + possessive.many(r"_[0-9]++"))
    assert [bool(digits.fullmatch(text)) for text in ("1", "1_2_34", "1_", "1__2")] == [True, True, False, False]
    assert not re.match(possessive.some("ab|a") + "b", "aab")
