"""Binary to text: what is printed is encoded to the same again."""

from __future__ import annotations

import time

import pytest

from tests.spec import expectations
from wasmrt.errors import LimitError, WasmError
from wasmrt.text import encode, print_wasm
from wasmrt.text import script as s

EVERYTHING = r"""(module $m
  (type $t (func (param i32) (result i32))) (rec (type $s (sub (struct (field $x (mut i8)) (field (ref null $s))))) (type (sub final $s (struct))))
  (import "a" "é\n" (func $imported (type $t) (param $p i32) (result i32)))
  (table $tab i64 1 2 (ref null func) (ref.func $imported)) (memory $mem 1 2 shared) (memory (pagesize 1) (data "xyz\00\ff"))
  (tag $tag (param i32)) (global $g (mut f32) (f32.const nan:0x1)) (export "m" (memory $mem)) (start $go)
  (elem $e (table $tab) (offset i64.const 0) funcref (ref.func $imported) (item ref.null func)) (elem declare func $go) (elem func)
  (@custom "c" (before first) "1") (@custom "c" (after code) "\00") (@custom "c" "3")
  (func $go (local $l i32) (local i64 i64) (local $"odd name" f64)
    block $b (result i32) i32.const -1 end
    (@metadata.code.branch_hint "\01") if $b nop else nop end
    try_table (catch $tag 0) (catch_all_ref 0) end
    i32.load 1 offset=3 align=1 drop v128.const i8x16 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 drop
    f64.const 0x1.8p-1000 drop f32.const 0.1 drop f32.const -inf drop
    br_table 0 1 0 call_indirect $tab (type $t) select (result i32) ref.test (ref null $s) br_on_cast 0 anyref (ref i31)
    struct.get $s $x table.copy 0 0 memory.init 1 0 i8x16.shuffle 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 31
    v128.load8_lane offset=1 3 i32.atomic.rmw.add i64.mul_wide_s call $imported)
  (func (@name "go")) (data $d "passive"))"""


def test_everything_round_trips() -> None:
    data = encode(EVERYTHING)
    text = print_wasm(data)
    assert encode(text) == data
    assert print_wasm(encode(text)) == text


def test_how_it_looks() -> None:
    text = print_wasm(
        encode(
            '(module $m (func $f (export "f") (param $x i32) (result i32) (block $b (br $b)) (i32.add (local.get $x) (i32.const 1))))'
        )
    )
    assert text == """(module $m
  (type (;0;) (func (param i32) (result i32)))
  (export "f" (func $f))
  (func $f (;0;) (type 0) (param $x i32) (result i32)
    block $b
      br 0
    end
    local.get $x
    i32.const 1
    i32.add)
)
"""  # fmt: skip


COMPONENT = """(component $C
  (core module $M (func $f (export "f") (param i32) (result i32) local.get 0) (memory (export "mem") 1) (tag (export "t")))
  (core instance $i (instantiate $M)) (core instance $j (export "g" (func $i "f")) (export "t" (tag $i "t")))
  (core type $mt (module (type $ft (func)) (import "a" "b" (func (type $ft))) (export "m" (memory 1)) (alias outer 1 0 (type))))
  (type $r (resource (rep i32))) (type $rec (record (field "a" u8) (field "b" (list string)) (field "c" (own $r))))
  (type $v (variant (case "x") (case "y" (option char)))) (type (result (error $v))) (type (stream u8)) (type (func async (param "p" $rec) (result $v)))
  (import "n:p/i@1.0.0" (instance $imp (export "t" (type $t (sub resource))) (export "f" (func (param "x" (borrow $t))))))
  (import "m" (external-id "id") (core module (type $mt)))
  (func $lifted (export "f") (param "x" u32) (result u32) (canon lift (core func $i "f")))
  (core func $drop (canon resource.drop $r)) (core func (canon task.return (result u8) (memory (core memory $i "mem"))))
  (core func (canon context.get i32 0)) (canon lower (func $imp "f") (core func))
  (component $N (import "f" (func)) (type (component (import "x" (func)) (export "y" (type (sub resource))))) (@custom "c" "x"))
  (instance $ni (instantiate $N (with "f" (func $lifted)))) (instance (export "f" (func $lifted)))
  (value $val $v2 (record 1 "x")) (export $e "g" (func $lifted) (func (param "x" u32) (result u32))))"""
COMPONENT = COMPONENT.replace(
    '(value $val $v2 (record 1 "x"))',
    '(type $v2 (record (field "a" s16) (field "b" string))) (value $val $v2 (record -300 "x"))',
)


def test_components_round_trip() -> None:
    data = encode(COMPONENT)
    text = print_wasm(data)
    assert encode(text) == data
    assert print_wasm(encode(text)) == text


SCRIPTS = [name for _, name in (*expectations.scripts("core"), *expectations.scripts("component"))]


@pytest.mark.skipif(not SCRIPTS, reason=expectations.ABSENT)
def test_scripts_round_trip() -> None:
    """Every module and component of the conformance scripts."""
    count = 0
    for name in SCRIPTS:
        for directive in s.parse_script((expectations.FOLDER / name).read_bytes(), name):
            module = getattr(directive, "module", None)
            if not isinstance(module, s.ModuleText) or module.form != "text":
                continue
            try:
                data = module.encode()
                text = print_wasm(data)
            except WasmError:
                assert not isinstance(directive, s.DefineModule), f"{name}:{directive.line}"
                continue
            again = encode(text)
            # options of canonical definitions are printed in one order
            assert again == data or print_wasm(again) == text, f"{name}:{directive.line}"
            count += 1
    assert count > 4000


def test_what_is_no_binary() -> None:
    for data in (
        b"",
        b"\0asm",
        b"\0asm\x02\0\0\0",
        b"\0asm\x01\0\0\0\x01",
        b"\0asm\x01\0\0\0\x01\x05\x01\x60",
        b"\0asm\x0d\0\x01\0\x05",
    ):
        with pytest.raises(WasmError):
            print_wasm(data)


def test_few_bytes_do_not_become_much_text() -> None:
    """Fifty thousand locals take three bytes; a thousand parameters are spelled where they are defined only."""
    bodies = 4000
    body = b"\x06\x01\xd0\x86\x03\x7f\x0b"
    code = bytes((bodies & 0x7F | 0x80, bodies >> 7)) + body * bodies
    head = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03"
    types = bytes((bodies & 0x7F | 0x80, bodies >> 7)) + b"\0" * bodies

    def sized(data: bytes) -> bytes:
        return bytes((len(data) & 0x7F | 0x80, len(data) >> 7 & 0x7F | 0x80, len(data) >> 14)) + data

    start = time.monotonic()
    with pytest.raises(LimitError, match="locals"):
        print_wasm(head + sized(types) + b"\x0a" + sized(code))
    assert time.monotonic() - start < 30


def test_deep_blocks_are_indented_so_far_only() -> None:
    depth = 20_000
    data = encode("(func " + "(block " * depth + ")" * depth + ")")
    text = print_wasm(data)
    assert len(text) < 200 * depth
    assert encode(text) == data
