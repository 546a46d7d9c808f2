"""The instruction table against an independent encoder: each row's text name and immediates give its prefix and code."""

from __future__ import annotations

from collections.abc import Callable

from wasmrt._native.wasm import FEATURES_ALL, CoreModule
from wasmrt.spec._gen.wasm_imms import WASM_IMM
from wasmrt.spec._gen.wasm_ops import WASM_OP

# immediates in the text format, by kind
TEXT = {
    "NONE": "",
    "ZERO": "",
    "LABEL": "0",
    "LABELS": "0 0",
    "BLOCK": "end",
    "TRY_TABLE": "end",
    "MEMARG": "offset=1",
    "MEMARG_LANE": "offset=1 0",
    "SHUFFLE": "0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15",
    "F32": "1",
    "F64": "1",
    "V128": "i32x4 1 2 3 4",
    "SELECT_TYPES": "(result i32)",
    "CALL_INDIRECT": "0 (type 0)",
    "BR_CAST": "0 anyref anyref",
    "TYPE_FIELD": "0 0",
    "TYPE_COUNT": "0 0",
    "TYPE_TYPE": "0 0",
    "TYPE_DATA": "0 0",
    "TYPE_ELEM": "0 0",
    "DATA_MEMORY": "0",
    "ELEM_TABLE": "0",
    "MEMORY_MEMORY": "",
    "TABLE_TABLE": "",
}
HEAP = {
    "REF_NULL": "any",
    "REF_TEST": "(ref any)",
    "REF_CAST": "(ref any)",
    "REF_TEST_NULL": "(ref null any)",
    "REF_CAST_NULL": "(ref null any)",
}
# not instructions on their own
STRUCTURE = {"ELSE", "END"}


def encoding(prefix: int, code: int) -> bytes:
    if not prefix:
        return bytes([code])
    return bytes([prefix]) + (bytes([code]) if code < 128 else bytes([code & 127 | 128, code >> 7]))


def instruction(row: tuple[object, ...]) -> str:
    name, text, _, _, imm = row[:5]
    if imm == "HEAP_TYPE":
        return f"{text} {HEAP[str(name)]}"
    return f"{text} {TEXT.get(str(imm), '0')}"


def test_encodings(wat: Callable[[str], bytes]) -> None:
    rows = [row for row in WASM_OP if row.name not in STRUCTURE]
    bodies = "\n".join(f"(func (type 0) {instruction(row)})" for row in rows)
    binary = wat(f'(module (type (func)) (memory 1) (table 1 funcref) (data "") (elem funcref)\n{bodies})')
    module = CoreModule(binary, FEATURES_ALL)
    assert module.num_funcs == len(rows)
    for index, row in enumerate(rows):
        start, size = module.func_body(index)
        code = binary[start + 1 : start + size]
        assert code.startswith(encoding(row.prefix, row.code)), (row.name, code.hex())


def test_counts_by_prefix() -> None:
    counts = {prefix: sum(row.prefix == prefix for row in WASM_OP) for prefix in (0, 0xFB, 0xFC, 0xFD, 0xFE)}
    assert sum(row.prefix == 0xFD and row.feature == "SIMD" for row in WASM_OP) == 236
    assert sum(row.feature == "RELAXED_SIMD" for row in WASM_OP) == 20
    assert counts[0xFB] == 31 and counts[0xFC] == 22 and counts[0xFE] == 67


def test_rows_are_in_order_and_unique() -> None:
    codes = [(row.prefix, row.code) for row in WASM_OP]
    assert len(set(codes)) == len(codes)
    assert [row.prefix for row in WASM_OP] == sorted(row.prefix for row in WASM_OP)


def test_letters_and_kinds() -> None:
    kinds = {row.name for row in WASM_IMM}
    for row in WASM_OP:
        assert row.imm in kinds, row
        assert set(row.params) <= set("ilfdva*") and set(row.results) <= set("ilfdva*"), row
        assert (row.params == "*") == (row.results == "*"), row
        if "a" in row.params + row.results:
            assert row.imm in ("MEMARG", "MEMARG_LANE", "MEMORY", "DATA_MEMORY"), row
