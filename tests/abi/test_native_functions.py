"""Owns host functions given as C function pointers: cffi and ctypes, core modules and components, signatures that fit and that do not, traps, lifetimes."""

from __future__ import annotations

import ctypes
import gc
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import cffi
import pytest

from tests.abi.conftest import LIBC, MEM
from wasmrt import ArgumentTypeError, Engine, Func, FuncType, Instance, Linker, Module, Store, Trap, ValType, WasmError
from wasmrt import component as api
from wasmrt.ffi import ffi as wasmrt_ffi
from wasmrt.ffi import header, library_path

SOURCE = """
#include "wasmrt.h"
int32_t next_of(int32_t value) { return value + 1; }
int64_t join(int32_t a, int64_t b, float c, double d) { return a + b + (int64_t)c + (int64_t)d; }
float half(float value) { return value / 2; }
double many(int32_t a, double b, int64_t c, float d, int32_t e, int32_t f, int32_t g, int32_t h, int64_t i, double j, double k, double l, double m,
            double n, double o, double p, double q, float r, int64_t s)
{ return a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f + 7 * g + 8 * h + 9 * i + 10 * j + 11 * k + 12 * l + 13 * m + 14 * n + 15 * o + 16 * p + 17 * q + 18 * r + 19 * s; }
static int32_t seen;
void note(int32_t value) { seen = value; }
int32_t noted(void) { return seen; }
int8_t low(uint8_t a, int8_t b, uint16_t c, int16_t d) { return (int8_t)(a + b + c + d); }
bool even(uint32_t value) { return value % 2 == 0; }
uint32_t shout(uint32_t letter) { return letter - 32; }
uint32_t surrogate(uint32_t letter) { (void)letter; return 0xD800; }
bool swap(wasmrt_caller *caller, wasmrt_context *context, wasmrt_value *values, size_t capacity)
{
    if (capacity < 2 || values[0].i32 < 0) return wasmrt_trap(caller, "negative numbers are not swapped");
    uint8_t *base; size_t length;
    if (wasmrt_context_memory(context, &base, &length)) base[0] = 42;
    int32_t first = values[0].i32; values[0].i32 = values[1].i32; values[1].i32 = first;
    return true;
}
"""
DECLARATIONS = """
int32_t next_of(int32_t); int64_t join(int32_t, int64_t, float, double); float half(float);
double many(int32_t, double, int64_t, float, int32_t, int32_t, int32_t, int32_t, int64_t, double, double, double, double, double, double, double, double, float, int64_t);
void note(int32_t); int32_t noted(void); int8_t low(uint8_t, int8_t, uint16_t, int16_t); bool even(uint32_t);
uint32_t shout(uint32_t); uint32_t surrogate(uint32_t); int printf(const char *, ...); void *pointer(void *);
"""
I32, I64, F32, F64 = (getattr(ValType, name)() for name in ("i32", "i64", "f32", "f64"))


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("native")
    (folder / "wasmrt.h").write_text(header())
    (folder / "native.c").write_text(SOURCE)
    product = folder / "native.so"
    command = [
        "gcc",
        "-O1",
        "-shared",
        "-fPIC",
        f"-I{folder}",
        str(folder / "native.c"),
        library_path(),
        "-o",
        str(product),
    ]
    subprocess.run([*command, f"-Wl,-rpath,{Path(library_path()).parent}"], check=True)
    return product


@pytest.fixture(scope="module")
def lib(library: Path) -> Any:
    ffi = cffi.FFI()
    ffi.cdef(DECLARATIONS)
    return ffi.dlopen(str(library))


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine()


def forward(engine: Engine, params: str, results: str, function: Any) -> Any:
    """A guest's function that calls `function` and returns what it returned."""
    kinds = {"i32": I32, "i64": I64, "f32": F32, "f64": F64}
    ty = FuncType([kinds[name] for name in params.split()], [kinds[name] for name in results.split()])
    gets = "".join(f"(local.get {i})" for i in range(len(params.split())))
    signature = f"(param {params}) (result {results})"
    text = f'(module (import "h" "f" (func $f {signature})) (func (export "f") {signature} (call $f {gets})))'
    linker = Linker(engine)
    linker.define_func("h", "f", ty, function)
    store = Store(engine)
    return linker.instantiate(store, Module(engine, text)).exports(store)["f"]


def test_functions_of_cffi(engine: Engine, lib: Any) -> None:
    assert forward(engine, "i32", "i32", lib.next_of)(-2) == -1
    assert forward(engine, "i32 i64 f32 f64", "i64", lib.join)(1, 1 << 40, 3.5, 4.5) == 1 + (1 << 40) + 7
    assert forward(engine, "f32", "f32", lib.half)(3.0) == 1.5
    note, noted = forward(engine, "i32", "", lib.note), forward(engine, "", "i32", lib.noted)
    assert note(77) is None and noted() == 77


def test_arguments_beyond_the_registers(engine: Engine, lib: Any) -> None:
    types = "i32 f64 i64 f32 i32 i32 i32 i32 i64 f64 f64 f64 f64 f64 f64 f64 f64 f32 i64"
    values = list(range(1, 20))
    assert forward(engine, types, "f64", lib.many)(*values) == sum((i + 1) * value for i, value in enumerate(values))


def test_functions_of_ctypes(engine: Engine, library: Path) -> None:
    native = ctypes.CDLL(str(library))
    with pytest.raises(ArgumentTypeError, match="has no argtypes"):
        forward(engine, "f32", "f32", native.half)
    native.half.argtypes, native.half.restype = [ctypes.c_float], ctypes.c_float
    assert forward(engine, "f32", "f32", native.half)(5.0) == 2.5
    back = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_int32)(lambda value: value * 2)
    assert forward(engine, "i32", "i32", back)(21) == 42
    held = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_int)(lambda value: value * 3)
    assert forward(engine, "i32", "i32", held)(7) == 21


def test_callbacks_of_cffi_run_python_with_the_gil(engine: Engine) -> None:
    ffi = cffi.FFI()
    seen: list[int] = []

    @ffi.callback("int(int)")
    def back(value: int) -> int:
        seen.append(value)
        return value + 1

    func = forward(engine, "i32", "i32", back)
    assert func(1) == 2 and func.with_options(gil="release")(2) == 3 and seen == [1, 2]


def test_a_native_callback_that_enters_the_store_again_after_the_gil_was_let_go(engine: Engine) -> None:
    """The callback takes the GIL by itself, and calls a guest that lets go of it anew."""
    ffi = cffi.FFI()
    store = Store(engine)
    inner = Func(store, FuncType([I32], [I32]), lambda value: value + 1)

    @ffi.callback("int(int)")
    def back(value: int) -> int:
        return int(inner(value)) + int(spin.exports(store)["spin"](3_000_000))

    spin = Instance(
        store,
        Module(
            engine,
            '(module (func (export "spin") (param i32) (result i32) (loop (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))) (i32.const 5)))',
        ),
        [],
    )
    linker = Linker(engine)
    linker.define_func("h", "f", FuncType([I32], [I32]), back)
    text = """(module (import "h" "f" (func $f (param i32) (result i32))) (func (export "f") (param i32) (result i32) (local i32)
      (local.set 1 (i32.const 3000000)) (loop (br_if 0 (local.tee 1 (i32.sub (local.get 1) (i32.const 1)))))
      (call $f (call $f (local.get 0)))))"""
    func = linker.instantiate(store, Module(engine, text)).exports(store)["f"]
    for gil in (None, "release", "hold"):
        assert func.with_options(gil=gil)(1) == 13


def test_the_owner_is_kept_alive(engine: Engine) -> None:
    ffi = cffi.FFI()
    func = forward(engine, "i32", "i32", ffi.callback("int(int)", lambda value: value + 5))
    other = forward(engine, "i32", "i32", ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(lambda value: value + 6))
    gc.collect()
    assert func(1) == 6 and other(1) == 7
    store = Store(engine)
    direct = Func(store, FuncType([I32], [I32]), ffi.callback("int(int)", lambda value: value + 7))
    gc.collect()
    assert direct(1) == 8


@pytest.mark.parametrize(
    ("params", "results", "name", "match"),
    [
        ("i64", "i32", "next_of", "parameter 0 is int32_t, expected an 8-byte integer"),
        ("f32", "i32", "next_of", "parameter 0 is int32_t, expected a 4-byte float"),
        ("i32", "i64", "next_of", "the result is int32_t"),
        ("i32", "", "next_of", "its result is int32_t"),
        ("i32", "i32", "note", "it has no result"),
        ("i32 i32", "i32", "next_of", "it has 1 parameter"),
        ("", "i32", "next_of", "it has 1 parameter"),
        ("i32", "i32 i32", "next_of", "one result at most"),
        ("i32 i32 i32 i32", "i32", "low", "parameter 0 is uint8_t"),
        ("i64", "i64", "pointer", "parameter 0 is void"),
        ("i32", "i32", "printf", "any number of arguments"),
    ],
)
def test_signatures_are_checked_when_linked(
    engine: Engine, lib: Any, params: str, results: str, name: str, match: str
) -> None:
    function = cffi.FFI().cast("void *(*)(void *)", 1) if name == "pointer" else getattr(lib, name)
    with pytest.raises(ArgumentTypeError, match=match):
        forward(engine, params, results, function)


def test_what_cannot_be_called_natively(engine: Engine, lib: Any) -> None:
    with pytest.raises(ArgumentTypeError, match=r"expected a callable, got a cffi value of type `int \*`"):
        forward(engine, "i32", "i32", cffi.FFI().cast("int *", 8))
    with pytest.raises(ArgumentTypeError, match=r"does not fit \(externref\) -> \(i32\): parameter 0 is no number"):
        Func(Store(engine), FuncType([ValType.externref()], [I32]), lib.next_of)
    with pytest.raises(ArgumentTypeError, match="null pointer"):
        forward(engine, "i32", "i32", cffi.FFI().cast("int(*)(int)", 0))
    with pytest.raises(ArgumentTypeError, match="gets no Caller"):
        Func(Store(engine), FuncType([I32], [I32]), lib.next_of, access_caller=True)


def test_a_callback_of_the_c_api_takes_any_type_and_can_trap(engine: Engine, library: Path) -> None:
    native = wasmrt_ffi.dlopen(str(library))
    swap = wasmrt_ffi.cast("wasmrt_callback", ctypes.cast(ctypes.CDLL(str(library)).swap, ctypes.c_void_p).value)
    assert native is not None
    linker = Linker(engine)
    linker.define_func("h", "f", FuncType([I32, I32], [I32, I32]), swap)
    text = """(module (import "h" "f" (func $f (param i32 i32) (result i32 i32))) (memory (export "memory") 1)
      (func (export "f") (param i32 i32) (result i32 i32) (call $f (local.get 0) (local.get 1))))"""
    store = Store(engine)
    exports = linker.instantiate(store, Module(engine, text)).exports(store)
    assert exports["f"](1, 2) == [2, 1] and exports["memory"].read(0, 1) == b"\x2a"
    with pytest.raises(Trap, match="negative numbers are not swapped") as trap:
        exports["f"](-1, 2)
    assert trap.value.frames
    assert exports["f"](3, 4) == [4, 3]
    linker = api.Linker(engine)
    linker.root().add_func("f", swap)
    with pytest.raises(WasmError, match="serves core modules only"):
        linker.instantiate_pre(api.Component(engine, component_of("f", "s32 s32", "s32")))


# ---- components -------------------------------------------------------------------------------------------------------------------------------------


def component_of(name: str, params: str, result: str) -> str:
    """A component that imports `name` and exports it through a core function."""
    flat = {"s64": "i64", "u64": "i64", "f32": "f32", "f64": "f64"}
    core = " ".join(flat.get(ty, "i32") for ty in params.split())
    gets = "".join(f"(local.get {i})" for i in range(len(params.split())))
    listed = " ".join(f'(param "p{i}" {ty})' for i, ty in enumerate(params.split()))
    returned = f"(result {result})" if result else ""
    core_result = f"(result {flat.get(result, 'i32')})" if result else ""
    return f"""(component {LIBC}
      (import "{name}" (func $f {listed} {returned}))
      (core func $lowered (canon lower (func $f) {MEM}))
      (core module $M (import "" "f" (func $f (param {core}) {core_result}))
        (func (export "f") (param {core}) {core_result} (call $f {gets})))
      (core instance $m (instantiate $M (with "" (instance (export "f" (func $lowered))))))
      (func (export "f") {listed} {returned} (canon lift (core func $m "f"))))"""


def linked(engine: Engine, text: str, name: str, function: Any) -> Any:
    linker = api.Linker(engine)
    linker.root().add_func(name, function)
    return linker.instantiate(Store(engine), api.Component(engine, text)).get_func("f")


def test_scalars_of_components(engine: Engine, lib: Any) -> None:
    assert linked(engine, component_of("n", "s32", "s32"), "n", lib.next_of)(5) == 6
    assert linked(engine, component_of("n", "f32", "f32"), "n", lib.half)(5.0) == 2.5
    assert linked(engine, component_of("n", "s32 s64 f32 f64", "s64"), "n", lib.join)(1, 2, 3.0, 4.0) == 10
    assert (
        linked(engine, component_of("n", "u8 s8 u16 s16", "s8"), "n", lib.low)(255, -128, 65535, -32768)
        == 126  # 32894, its low byte
    )
    even = linked(engine, component_of("n", "u32", "bool"), "n", lib.even)
    assert even(2) is True and even(3) is False
    assert linked(engine, component_of("n", "char", "char"), "n", lib.shout)("a") == "A"
    assert linked(engine, component_of("n", "", "s32"), "n", lib.noted)() == 77
    with pytest.raises(Trap, match="invalid `char`"):
        linked(engine, component_of("n", "char", "char"), "n", lib.surrogate)("a")


@pytest.mark.parametrize(
    ("params", "result", "name", "match"),
    [
        ("u32", "s32", "next_of", "parameter `p0` is int32_t, expected a 4-byte unsigned integer for u32"),
        ("s32", "u32", "next_of", "the result is int32_t"),
        ("s16", "s32", "next_of", "2-byte signed integer for s16"),
        ("s32 s32", "s32", "next_of", "it has 1 parameter"),
        ("s32", "", "next_of", "its result is int32_t"),
    ],
)
def test_component_signatures_are_checked_when_linked(
    engine: Engine, lib: Any, params: str, result: str, name: str, match: str
) -> None:
    linker = api.Linker(engine)
    linker.root().add_func("n", getattr(lib, name))
    text = component_of("n", params, result)
    with pytest.raises((ArgumentTypeError, WasmError), match=match):
        linker.instantiate(Store(engine), api.Component(engine, text))


def test_only_scalars_are_passed_natively(engine: Engine, lib: Any) -> None:
    text = f"""(component {LIBC}
      (import "n" (func $f (param "p0" string) (result s32)))
      (core func $lowered (canon lower (func $f) {MEM}))
      (core module $M (import "" "f" (func $f (param i32 i32) (result i32))) (func (export "f") (result i32) (call $f (i32.const 0) (i32.const 0))))
      (core instance $m (instantiate $M (with "" (instance (export "f" (func $lowered))))))
      (func (export "f") (result s32) (canon lift (core func $m "f"))))"""
    with pytest.raises(ArgumentTypeError, match="parameter `p0` is no scalar"):
        linked(engine, text, "n", lib.next_of)


def test_leaving_is_refused_during_realloc(engine: Engine, lib: Any) -> None:
    text = """(component (import "n" (func $n (param "a" s32) (result s32)))
      (core func $lowered (canon lower (func $n)))
      (core module $M (import "" "n" (func $n (param i32) (result i32))) (memory (export "memory") 1)
        (func (export "realloc") (param i32 i32 i32 i32) (result i32) (call $n (i32.const 1023)))
        (func (export "f") (param i32 i32) (result i32) (local.get 1)))
      (core instance $m (instantiate $M (with "" (instance (export "n" (func $lowered))))))
      (func (export "f") (param "v" string) (result u32)
        (canon lift (core func $m "f") (memory (core memory $m "memory")) (realloc (core func $m "realloc")))))"""
    with pytest.raises(Trap, match="cannot leave component instance"):
        linked(engine, text, "n", lib.next_of)("x")


def test_guests_run_native_functions_without_the_gil(engine: Engine, lib: Any) -> None:
    """A long loop of native calls does not keep other Python threads out."""
    text = """(module (import "h" "f" (func $f (param i32) (result i32))) (func (export "run") (param i32)
      (loop (drop (call $f (local.get 0))) (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))))"""
    linker = Linker(engine)
    linker.define_func("h", "f", FuncType([I32], [I32]), lib.next_of)
    store = Store(engine)
    run = linker.instantiate(store, Module(engine, text)).exports(store)["run"]
    turns = 0
    stop = threading.Event()

    def count() -> None:
        nonlocal turns
        while not stop.is_set():
            time.sleep(0.0005)
            turns += 1

    thread = threading.Thread(target=count)
    thread.start()
    while turns == 0:
        time.sleep(0.001)
    before = turns
    run(20_000_000)
    ran = turns - before
    stop.set()
    thread.join()
    assert ran > 3
