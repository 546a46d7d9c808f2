"""Test scripts: how they are parsed, what counts as passed, and the commands over files."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from wasmrt.cli.main import main
from wasmrt.cli.wast import adaptor_text, run_script
from wasmrt.errors import TextError
from wasmrt.spec import valtypes as vt
from wasmrt.text import encode
from wasmrt.text import script as s


def failures(text: str) -> list[tuple[int, str]]:
    return [(f.line, f.message) for f in run_script(text).failures]


def test_directives_have_lines() -> None:
    text = '(module $m)\n(register "a" $m)\n\n(assert_return (invoke $m "f" (i32.const 1) (ref.null func)) (f32.const nan:canonical))\n(module definition $d)(module instance $i $d)'
    directives = s.parse_script(text)
    assert [(type(d).__name__, d.line) for d in directives] == [
        ("DefineModule", 1), ("Register", 2), ("AssertReturn", 4), ("DefineModule", 5), ("MakeInstance", 5),
    ]  # fmt: skip
    check = directives[2]
    assert isinstance(check, s.AssertReturn)
    assert isinstance(check.action, s.Invoke)
    assert [str(arg) for arg in check.action.args] == ["(i32.const 0x1)", "(ref.null func)"]


def test_bare_fields_are_one_module() -> None:
    (only,) = s.parse_script('(func (export "f"))')
    assert isinstance(only, s.DefineModule)
    assert only.module.encode() == encode('(func (export "f"))')


@pytest.mark.parametrize(
    ("pattern", "bits", "fits"),
    [
        ("f32.const nan:canonical", 0x7FC00000, True),
        ("f32.const nan:canonical", 0xFFC00000, True),
        ("f32.const nan:canonical", 0x7FC00001, False),
        ("f32.const nan:arithmetic", 0x7FE00001, True),
        ("f32.const nan:arithmetic", 0x7F800001, False),
        ("f64.const nan:canonical", 0xFFF8000000000000, True),
        ("f64.const nan:arithmetic", 0x7FF0000000000001, False),
        ("f32.const nan:0x1", 0x7F800001, True),
        ("f32.const 0", 0x80000000, False),
        ("i32.const -1", 0xFFFFFFFF, True),
    ],
)
def test_patterns(pattern: str, bits: int, fits: bool) -> None:
    (check,) = s.parse_script(f'(assert_return (invoke "f") ({pattern}))')
    assert isinstance(check, s.AssertReturn)
    (expected,) = check.results
    assert isinstance(expected, s.Numeric)
    assert expected.matches([bits]) is fits


def test_component_values() -> None:
    text = '(assert_return (invoke "f" (record.const (field "a" u8.const 1) (field "b" (list.const (str.const "x"))))) (variant.const "c" (f32.const 1)))'
    (check,) = s.parse_script(text)
    assert isinstance(check, s.AssertReturn)
    assert str(check.results[0]) == "(variant.const ('c', ComponentConst(kind='f32', value=1065353216)))"


def test_floats_go_through_bit_by_bit() -> None:
    text = """(module (func (export "id") (param f32 f64) (result f64 f32) (local.get 1) (local.get 0)) (global (export "g") f32 (f32.const nan:0x1)))
    (assert_return (invoke "id" (f32.const nan:0x1) (f64.const -nan:0x1)) (f64.const -nan:0x1) (f32.const nan:0x1))
    (assert_return (get "g") (f32.const nan:0x1))"""
    assert failures(text) == []
    assert [
        line
        for line, _ in failures(
            text.replace("(get", "(get").replace('(get "g") (f32.const nan:0x1)', '(get "g") (f32.const nan:0x2)')
        )
    ] == [3]


def test_what_does_not_hold_is_reported() -> None:
    text = """(module (func (export "f") (result i32) (i32.const 1)) (func (export "t") unreachable))
    (assert_return (invoke "f") (i32.const 2))
    (assert_trap (invoke "f") "unreachable")
    (assert_trap (invoke "t") "integer overflow")
    (assert_trap (invoke "t") "unreachable")
    (assert_malformed (module quote "(func)") "x")
    (assert_invalid (module) "x")
    (assert_unlinkable (module) "x")
    (assert_unlinkable (module (import "no" "no" (func))) "unknown import")
    (assert_return (invoke "f") (either (i32.const 0) (i32.const 1)))"""
    found = failures(text)
    assert [line for line, _ in found] == [2, 3, 4, 6, 7, 8]
    assert found[0][1] == "the result of 'f': expected (i32.const 0x2), got 0x1"


def test_a_module_that_failed_is_not_the_current_one() -> None:
    text = '(module (func (export "f"))) (module (import "a" "b" (func)))\n(assert_return (invoke "f"))'
    assert [line for line, _ in failures(text)] == [1, 2]


def test_adaptors_are_modules() -> None:
    words = (vt.VALTYPE_I32, vt.VALTYPE_V128, vt.VALTYPE_F64, vt.VALTYPE_EXTERNREF)
    encode(adaptor_text(words, words))
    encode(adaptor_text((), (vt.VALTYPE_V128,), mutable_global=True))


@pytest.mark.parametrize(
    "text", ["(foo)", "(module", '(assert_return (invoke "f") (i32.const))', "(assert_invalid (func))", "x"]
)
def test_what_is_no_script(text: str) -> None:
    with pytest.raises(TextError):
        s.parse_script(text)


def test_commands(tmp_path: Path) -> None:
    good, bad, script = tmp_path / "good.wat", tmp_path / "bad.wat", tmp_path / "s.wast"
    good.write_text("(module)")
    bad.write_text("(module\n  (fun))")
    script.write_text('(module (func (export "f")))\n(assert_return (invoke "g"))')
    run = CliRunner().invoke
    assert run(main, ["wat2wasm", str(good)]).exit_code == 0
    assert (tmp_path / "good.wasm").read_bytes() == b"\0asm\x01\0\0\0"
    assert run(main, ["print", str(good), str(tmp_path / "good.wasm")]).output == "(module)\n(module)\n"
    result = run(main, ["wat2wasm", str(good), str(bad)])
    assert result.exit_code == 1
    assert f"{bad}:2:4" in result.output
    result = run(main, ["wast", str(script)])
    assert result.exit_code == 1
    assert "1 passed, 1 failed" in result.output
