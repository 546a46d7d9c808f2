"""The Python view of core modules: records, names, buffers, and the places of errors."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from wasmrt._native.wasm import FEATURES_ALL, FEATURES_DEFAULT, CoreModule
from wasmrt.errors import DecodeError, LimitError, ValidationError
from wasmrt.spec._gen.features import WASM_FEATURE
from wasmrt.spec.core_types import CoreFuncType, GlobalType, MemoryType, TableType, TagType
from wasmrt.spec.valtypes import VALTYPE_F64, VALTYPE_FUNCREF, VALTYPE_I32, VALTYPE_I64

Wat = Callable[[str], bytes]
EMPTY = b"\0asm\1\0\0\0"


def test_records(wat: Wat) -> None:
    module = CoreModule(
        wat(
            """(module $m
            (import "a" "f" (func $f (param i32 f64) (result i64)))
            (import "a" "\\c3\\a9" (global (mut i64)))
            (import "" "" (table 1 2 funcref))
            (memory (export "mem") 1 3)
            (memory (export "big") i64 5)
            (tag (export "tag") (param i32))
            (global (export "g") i32 (i32.const 1))
            (func $main (export "main"))
            (start $main))"""
        ),
        FEATURES_ALL,
    )
    f = CoreFuncType((VALTYPE_I32, VALTYPE_F64), (VALTYPE_I64,))
    assert module.imports == (
        ("a", "f", f),
        ("a", "é", GlobalType(VALTYPE_I64, True)),
        ("", "", TableType(VALTYPE_FUNCREF, 1, 2)),
    )
    assert module.exports == (
        ("mem", MemoryType(1, 3), 0),
        ("big", MemoryType(5, None, is_64=True), 1),
        ("tag", TagType(CoreFuncType((VALTYPE_I32,))), 0),
        ("g", GlobalType(VALTYPE_I32), 1),
        ("main", CoreFuncType(), 1),
    )
    assert (module.name, module.func_name(0), module.func_name(1), module.func_name(2)) == ("m", "f", "main", None)
    assert (module.num_funcs, module.num_imported_funcs, module.start_func) == (2, 1, 1)
    assert module.func_signature(0) == f and module.types[0] == f
    assert [name for name, _ in module.custom_sections] == ["name"]
    with pytest.raises(IndexError):
        module.func_signature(2)
    with pytest.raises(IndexError):
        module.func_body(0)
    module.validate()


def test_buffer_is_held() -> None:
    data = bytearray(EMPTY)
    module = CoreModule(memoryview(data)[:])
    with pytest.raises(BufferError):
        data.append(0)
    del module
    data.append(0)


def test_defaults() -> None:
    assert FEATURES_DEFAULT == sum(1 << row.bit for row in WASM_FEATURE if row.default_on)
    assert len({row.bit for row in WASM_FEATURE}) == len(WASM_FEATURE)


@pytest.mark.parametrize(
    ("data", "offset", "words"),
    [
        (b"", 0, "unexpected end, expected 4 bytes of the magic header"),
        (b"\0as", 3, "unexpected end"),
        (b"\0asn\1\0\0\0", 0, "magic header not detected"),
        (b"\0asm\2\0\0\0", 4, "unknown binary version"),
        (b"\0asm\x0d\0\1\0", 4, "this is a component, expected a core module"),
        (EMPTY + b"\x0e\0", 8, "malformed section id 14"),
        (EMPTY + b"\x01\x05\0", 11, "expected 5 bytes of the type section"),
        (EMPTY + b"\x03\x01\0\x01\x01\0", 11, "the type section does not belong after the function section"),
        (EMPTY + b"\x01\x02\0\0", 11, "section size mismatch"),
        (EMPTY + b"\0\x02\x01\xff", 11, "malformed UTF-8"),
        (EMPTY + b"\x01\x04\x01\x60\x01\x78", 13, "malformed value type 0x78"),
        (EMPTY + b"\x03\x06\x80\x80\x80\x80\x80\0", 10, "integer representation too long"),
        (EMPTY + b"\x01\x04\x01\x60\0\0\x03\x02\x01\0", 18, "inconsistent lengths"),
    ],
)
def test_malformed(data: bytes, offset: int, words: str) -> None:
    with pytest.raises(DecodeError, match=words) as caught:
        CoreModule(data, FEATURES_ALL)
    assert caught.value.offset == offset
    assert f"offset {offset:#x}" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("(func (result i32) (i64.const 1))", "expected i32, found i64"),
        ("(func (i32.add (i32.const 1)) drop)", "expected i32, found no operand"),
        ("(func (i32.const 1))", "values remaining on stack"),
        ("(func (drop (local.get 3)))", "unknown local 3, expected an index below 0"),
        ("(func (br 2))", "unknown label 2"),
        ("(func (call 7))", "unknown function 7"),
        ("(func (drop (i32.load (i32.const 0))))", "unknown memory 0"),
        ("(memory 1) (func (drop (i32.load align=8 (i32.const 0))))", "alignment must not be larger than natural"),
        ("(global i32 (i32.const 0)) (func (global.set 0 (i32.const 1)))", "immutable global 0"),
        (
            "(func (param externref) (drop (select (local.get 0) (local.get 0) (i32.const 1))))",
            "needs its type annotated",
        ),
        (
            "(func (block (result i32) (br_table 0 1 (i32.const 1) (i32.const 1))) drop)",
            "br_table target 1 takes 0 operands, expected 1",
        ),
        ("(func (if (result i32) (i32.const 1) (then (i32.const 1))) drop)", "if without else"),
        ("(func $f) (func (drop (ref.func $f)))", "undeclared function reference"),
    ],
)
def test_invalid_bodies(wat: Wat, text: str, words: str) -> None:
    data = wat(f"(module {text})")
    module = CoreModule(data, FEATURES_ALL)
    with pytest.raises(ValidationError, match=words) as caught:
        module.validate()
    start, size = module.func_body(caught.value.function)
    assert start < caught.value.offset < start + size
    assert caught.value.function == module.num_funcs - 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('(func (export "a")) (memory (export "a") 1)', 'duplicate export name "a"'),
        ("(memory 65537)", "memory size must be at most 65536 pages"),
        ("(memory 2 1)", "size minimum must not be greater than maximum"),
        ("(func (param i32)) (start 0)", "must have no parameters"),
        ("(global i32 (i64.const 1))", "expected i32, found i64"),
        ("(global i32 (i32.popcnt (i32.const 1)))", "constant expression required"),
        ("(global (mut i32) (i32.const 1)) (global i32 (global.get 0))", "global 0 is mutable"),
        ("(table 1 (ref func))", "needs an initializer"),
        ("(tag (result i32))", "non-empty tag result type"),
    ],
)
def test_invalid_modules(wat: Wat, text: str, words: str) -> None:
    with pytest.raises(ValidationError, match=words) as caught:
        CoreModule(wat(f"(module {text})"), FEATURES_ALL)
    assert caught.value.offset is not None and caught.value.function is None


def leb(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes(out) + bytes([number])


def section(number: int, contents: bytes) -> bytes:
    return bytes([number]) + leb(len(contents)) + contents


def with_body(body: bytes) -> bytes:
    return EMPTY + section(1, b"\1\x60\0\0") + section(3, b"\1\0") + section(10, b"\1" + leb(len(body)) + body)


def test_limits() -> None:
    for data, name in [
        (EMPTY + section(1, leb(1_000_001)), "TYPES"),
        (EMPTY + section(1, b"\1\x60" + leb(1001) + b"\x7f" * 1001 + b"\0"), "FUNCTION_PARAMS"),
        (EMPTY + section(4, leb(101) + b"\x70\0\0" * 101), "TABLES"),
        (EMPTY + section(5, leb(101) + b"\0\0" * 101), "MEMORIES"),
        (EMPTY + section(0, leb(100_001) + b"a" * 100_001), "STRING_BYTES"),
        (EMPTY + section(6, b"\1\x7f\0" + b"\x41\0" * 10_001 + b"\x0b"), "CONST_EXPR_OPERANDS"),
    ]:
        with pytest.raises(LimitError, match=name):
            CoreModule(data, FEATURES_ALL)
    for body, name in [
        (b"\2" + leb(40_000) + b"\x7f" + leb(20_000) + b"\x7e\x0b", "FUNCTION_LOCALS"),
        (b"\0" + b"\2\x40" * 50_001 + b"\x0b" * 50_002, "BLOCK_DEPTH"),
        (b"\0" + b"\x41\0" * 200_001 + b"\0\x0b", "OPERAND_DEPTH"),
        (b"\0\x41\0\x0e" + leb(65_521) + b"\0" * 65_522 + b"\x0b", "BR_TABLE_TARGETS"),
    ]:
        module = CoreModule(with_body(body), FEATURES_ALL)
        with pytest.raises(LimitError, match=name) as caught:
            module.validate()
        assert caught.value.function == 0


def test_deep_nesting_is_no_recursion() -> None:
    CoreModule(with_body(b"\0" + b"\2\x40" * 49_000 + b"\x0b" * 49_001), FEATURES_ALL).validate()


def test_malformed_name_section_is_ignored(wat: Wat) -> None:
    names = b"\4name" + b"\1\7\2\0\1a\0\1b"  # function 0 named twice: reading stops at the second
    module = CoreModule(with_body(b"\0\x0b") + section(0, names) + section(0, b"\4name\0\xff"), FEATURES_ALL)
    assert module.func_name(0) == "a" and module.name is None
    module.validate()
