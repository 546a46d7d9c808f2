"""Vectors through the public API: values, calls in every direction, globals, portable code, what relaxed instructions may do.

What the instructions compute is judged by the conformance scripts (tests/spec) and by random programs (tests/fuzz).
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wasmrt
from tools import gen_tables
from wasmrt import Config, Engine, Func, FuncType, Global, GlobalType, Instance, Module, Store, ValType
from wasmrt.spec._gen.wasm_ops import WASM_OP

V128, I32, F32 = ValType.v128(), ValType.i32(), ValType.f32()
ONES = struct.pack("<4i", 1, 2, 3, 4)


def bits(value: float) -> int:
    return int(struct.unpack("<I", struct.pack("<f", value))[0])


def run(text: str, *args: Any, imports: tuple[Any, ...] = (), config: Config | None = None) -> Any:
    engine = Engine(config)
    store = Store(engine)
    made = [make(store) for make in imports]
    return Instance(store, Module(engine, f"(module {text})"), made).exports(store)["f"](*args)


@pytest.fixture(params=(False, True), ids=("host", "portable"))
def portable(request: pytest.FixtureRequest) -> Config:
    return Config(portable=request.param)


IDENTITY = '(func (export "f") (param v128) (result v128) (local.get 0))'


@pytest.mark.parametrize(
    "value",
    (ONES, bytearray(ONES), memoryview(ONES), int.from_bytes(ONES, "little"), np.array([1, 2, 3, 4], np.int32)),
    ids=lambda v: type(v).__name__,
)
def test_values(value: Any) -> None:
    assert run(IDENTITY, value) == ONES


def test_negative_int() -> None:
    assert run(IDENTITY, -2) == b"\xfe" + b"\xff" * 15


@pytest.mark.parametrize(
    ("value", "error"),
    (
        (1.5, TypeError),
        (None, TypeError),
        (b"short", ValueError),
        (1 << 128, OverflowError),
        (-(1 << 128), OverflowError),
    ),
)
def test_bad_values(value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="v128") as caught:
        run(IDENTITY, value)
    assert isinstance(caught.value, wasmrt.WasmError)


def test_parameters_on_the_stack_and_several_results(portable: Config) -> None:
    """Ten vectors and integers between them: eight in registers, two on the stack behind what does not fit either."""
    params = " ".join(["v128 i32"] * 10)
    text = f"""
      (func $callee (param {params}) (result v128 i32 v128)
        (local.get 18) (i32.add (local.get 17) (local.get 19)) (i32x4.sub (local.get 16) (local.get 0)))
      (func (export "f") (param {params}) (result v128 i32 v128)
        {" ".join(f"(local.get {i})" for i in range(20))} (call $callee))"""
    args: list[Any] = []
    for i in range(10):
        args += [struct.pack("<4i", *range(100 * i, 100 * i + 4)), i]
    first, number, second = run(text, *args, config=portable)
    assert struct.unpack("<4i", first) == (900, 901, 902, 903)
    assert number == 17
    assert struct.unpack("<4i", second) == (800, 800, 800, 800)


def test_host_functions(portable: Config) -> None:
    seen: list[Any] = []

    def host(a: bytes, n: int, b: bytes) -> tuple[bytes, int]:
        seen.append((a, n, b))
        return bytes(x ^ y for x, y in zip(a, b, strict=True)), 5

    text = """(import "" "h" (func $h (param v128 i32 v128) (result v128 v128)))
      (func (export "f") (param v128) (result v128)
        (call $h (local.get 0) (i32.const -7) (v128.const i32x4 1 1 1 1)) (i32x4.add))"""
    found = run(
        text,
        ONES,
        imports=(lambda store: Func(store, FuncType([V128, I32, V128], [V128, V128]), host),),
        config=portable,
    )
    assert seen == [(ONES, -7, struct.pack("<4i", 1, 1, 1, 1))]
    assert struct.unpack("<4i", found) == (0 + 5, 3, 2, 5)


def test_globals() -> None:
    engine = Engine()
    store = Store(engine)
    imported = Global(store, GlobalType(V128, True), ONES)
    text = """(module (import "" "g" (global $g (mut v128)))
      (global $own (export "own") (mut v128) (v128.const i64x2 -1 2)) (global $fixed v128 (v128.const i64x2 3 4))
      (func (export "f") (global.set $own (i64x2.add (global.get $g) (global.get $fixed))) (global.set $g (v128.const i32x4 0 0 0 0))))"""
    exports = Instance(store, Module(engine, text), [imported]).exports(store)
    assert exports["own"].value(store) == struct.pack("<2q", -1, 2)
    exports["f"](store)
    low, high = struct.unpack("<2q", ONES)
    assert exports["own"].value(store) == struct.pack("<2q", low + 3, high + 4)
    assert imported.value(store) == bytes(16)
    imported.set_value(store, 9)
    assert imported.value(store) == (9).to_bytes(16, "little")


def test_more_values_than_registers(portable: Config) -> None:
    """Forty vectors on the operand stack, the last ones added first: they wait in aligned slots."""
    loads = " ".join(f"(i32x4.add (local.get 0) (i32x4.splat (i32.const {i})))" for i in range(40))
    text = f'(func (export "f") (param v128) (result v128) {loads} {"(i32x4.sub) " * 39})'
    stack = [np.array([1, 2, 3, 4], np.int32) + i for i in range(40)]
    while len(stack) > 1:
        top = stack.pop()
        stack.append(stack.pop() - top)
    assert run(text, ONES, config=portable) == stack[0].tobytes()


def test_load_is_an_operand_only_once_it_is_in_range() -> None:
    text = """(memory 1) (func (export "f") (param i32 v128) (result v128) (f32x4.add (local.get 1) (v128.load (local.get 0))))"""
    assert run(text, 65520, ONES) == ONES
    with pytest.raises(wasmrt.Trap, match="out of bounds"):
        run(text, 65521, ONES)


def test_switched_off() -> None:
    with pytest.raises(wasmrt.WasmError, match="wasm_simd"):
        run(IDENTITY, ONES, config=Config(wasm_simd=False))
    relaxed = '(func (export "f") (result v128) (i8x16.relaxed_swizzle (v128.const i64x2 0 0) (v128.const i64x2 0 0)))'
    with pytest.raises(wasmrt.WasmError, match="wasm_relaxed_simd"):
        run(relaxed, config=Config(wasm_relaxed_simd=False))


def _nans(layout: str, *lanes: int) -> bytes:
    """Ones, with the NaN of the default payload in these lanes."""
    return struct.pack(layout, *(float("nan") if lane in lanes else 1.0 for lane in range(int(layout[1]))))


# the first alternative of each relaxed operation (core specification 4.3, relaxed operations): that is what the deterministic profile takes
DETERMINISTIC = (
    ("i8x16.relaxed_swizzle", [bytes(range(1, 17)), b"\x0f\x10\x80\x1f" * 4], b"\x10\0\0\0" * 4),
    (
        "i32x4.relaxed_trunc_f32x4_s",
        [struct.pack("<4f", 1.5, float("nan"), 3e9, -3e9)],
        struct.pack("<4i", 1, 0, 2**31 - 1, -(2**31)),
    ),
    (
        "i32x4.relaxed_trunc_f32x4_u",
        [struct.pack("<4f", 1.5, float("nan"), 5e9, -1.0)],
        struct.pack("<4I", 1, 0, 2**32 - 1, 0),
    ),
    (
        "i32x4.relaxed_trunc_f64x2_s_zero",
        [struct.pack("<2d", 3e9, float("nan"))],
        struct.pack("<4i", 2**31 - 1, 0, 0, 0),
    ),
    ("i32x4.relaxed_trunc_f64x2_u_zero", [struct.pack("<2d", 5e9, -1.0)], struct.pack("<4I", 2**32 - 1, 0, 0, 0)),
    ("i8x16.relaxed_laneselect", [b"\xff" * 16, bytes(16), b"\xf0\x0f" * 8], b"\xf0\x0f" * 8),
    ("i16x8.relaxed_laneselect", [b"\xff" * 16, bytes(16), b"\xf0\x0f" * 8], b"\xf0\x0f" * 8),
    ("i32x4.relaxed_laneselect", [b"\xff" * 16, bytes(16), b"\xf0\x0f" * 8], b"\xf0\x0f" * 8),
    ("i64x2.relaxed_laneselect", [b"\xff" * 16, bytes(16), b"\xf0\x0f" * 8], b"\xf0\x0f" * 8),
    (
        "f32x4.relaxed_min",
        [struct.pack("<4f", 0.0, 1, 2, 3), struct.pack("<4f", -0.0, 5, 1, 3)],
        struct.pack("<4f", -0.0, 1, 1, 3),
    ),
    (
        "f32x4.relaxed_max",
        [struct.pack("<4f", -0.0, 1, 2, 3), struct.pack("<4f", 0.0, 5, 1, 3)],
        struct.pack("<4f", 0.0, 5, 2, 3),
    ),
    ("f64x2.relaxed_min", [struct.pack("<2d", 0.0, 1), struct.pack("<2d", -0.0, 5)], struct.pack("<2d", -0.0, 1)),
    ("f64x2.relaxed_max", [struct.pack("<2d", -0.0, 1), struct.pack("<2d", 0.0, 5)], struct.pack("<2d", 0.0, 5)),
    # as f32x4.min and f64x2.max: a NaN on either side is the result
    ("f32x4.relaxed_min", [_nans("<4f", 0), _nans("<4f", 1)], _nans("<4f", 0, 1)),
    ("f32x4.relaxed_max", [_nans("<4f", 0), _nans("<4f", 1)], _nans("<4f", 0, 1)),
    ("f64x2.relaxed_min", [_nans("<2d", 0), _nans("<2d", 1)], _nans("<2d", 0, 1)),
    ("f64x2.relaxed_max", [_nans("<2d", 0), _nans("<2d", 1)], _nans("<2d", 0, 1)),
    # the second operand is signed
    ("i16x8.relaxed_dot_i8x16_i7x16_s", [b"\x02\x03" * 8, b"\xff\x01" * 8], b"\x01\0" * 8),
    ("i16x8.relaxed_q15mulr_s", [b"\0\x80" * 8, b"\0\x80" * 8], b"\xff\x7f" * 8),
    ("i16x8.relaxed_dot_i8x16_i7x16_s", [b"\x80" * 16, b"\x80" * 16], b"\xff\x7f" * 8),
    (
        "i32x4.relaxed_dot_i8x16_i7x16_add_s",
        [b"\x81" * 16, b"\x82" * 16, ONES],
        struct.pack("<4i", *(4 * 127 * 126 + i for i in (1, 2, 3, 4))),
    ),
    # a product whose rounding the sum shows: (1 + 2^-12)^2 - 1 rounds 2^-24 away
    (
        "f32x4.relaxed_madd",
        [struct.pack("<4f", *[1 + 2**-12] * 4)] * 2 + [struct.pack("<4f", *[-1.0] * 4)],
        struct.pack("<4f", *[2**-11] * 4),
    ),
    (
        "f32x4.relaxed_nmadd",
        [struct.pack("<4f", *[1 + 2**-12] * 4)] * 2 + [struct.pack("<4f", *[1.0] * 4)],
        struct.pack("<4f", *[-(2**-11)] * 4),
    ),
    (
        "f64x2.relaxed_madd",
        [struct.pack("<2d", *[1 + 2**-27] * 2)] * 2 + [struct.pack("<2d", *[-1.0] * 2)],
        struct.pack("<2d", *[2**-26] * 2),
    ),
    (
        "f64x2.relaxed_nmadd",
        [struct.pack("<2d", *[1 + 2**-27] * 2)] * 2 + [struct.pack("<2d", *[1.0] * 2)],
        struct.pack("<2d", *[-(2**-26)] * 2),
    ),
)


@pytest.mark.parametrize(("name", "args", "expected"), DETERMINISTIC, ids=[f"{row[0]}-{number}" for number, row in enumerate(DETERMINISTIC)])
def test_deterministic_relaxed_instructions(name: str, args: list[bytes], expected: bytes, portable: Config) -> None:
    portable.wasm_relaxed_simd_deterministic = True
    # the profile's NaNs are positive and canonical, which is a Config attribute of its own
    portable.cranelift_nan_canonicalization = name.endswith(("_min", "_max"))
    params = " ".join(["v128"] * len(args))
    gets = " ".join(f"(local.get {i})" for i in range(len(args)))
    assert (
        run(f'(func (export "f") (param {params}) (result v128) ({name} {gets}))', *args, config=portable) == expected
    )


@pytest.mark.parametrize("name", ("f32x4.add", "f32x4.sqrt", "f32x4.ceil", "f32x4.div", "f32x4.min"))
def test_canonical_nans(name: str, portable: Config) -> None:
    portable.cranelift_nan_canonicalization = True
    nan = struct.pack("<4I", 0xFFA00001, bits(4.0), 0x7FE12345, bits(0.0))
    count = 1 if name in ("f32x4.sqrt", "f32x4.ceil") else 2
    params, gets = " ".join(["v128"] * count), " ".join(f"(local.get {i})" for i in range(count))
    text = f'(func (export "f") (param {params}) (result v128) ({name} {gets}))'
    found = struct.unpack("<4I", run(text, *[nan] * count, config=portable))
    assert (found[0], found[2]) == (0x7FC00000, 0x7FC00000)
    assert found[1] & 0x7F800000 != 0x7F800000


def test_every_instruction_has_one_strategy() -> None:
    path = Path(__file__).resolve().parents[2] / "csrc" / "compile" / "simd_ops.def"
    rows = [row for row in gen_tables.parse(path).rows if row.macro != "SIMD_RELAXED"]
    assert sorted(row.fields[0] for row in rows) == sorted(row.name for row in WASM_OP if row.prefix == 0xFD)


def test_artifacts_name_the_features_and_the_profile(tmp_path: Any) -> None:
    engine = Engine(Config(wasm_relaxed_simd_deterministic=True))
    artifact = Module(engine, f"(module {IDENTITY})").serialize()
    with pytest.raises(wasmrt.ArtifactError, match="relaxed_simd_deterministic"):
        Module.deserialize(Engine(), artifact)
    store = Store(engine)
    assert Instance(store, Module.deserialize(engine, artifact), []).exports(store)["f"](ONES) == ONES
