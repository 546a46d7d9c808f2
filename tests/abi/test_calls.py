"""Calls between Python and real guests: values both ways, traps, exceptions, flags of the canonical ABI."""

from __future__ import annotations

import gc
import math
import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import wasmrt
from tests.abi.conftest import LIBC, MEM
from wasmrt import errors
from wasmrt.component import Record, Variant

Make = Callable[..., Any]

ARITHMETIC = """
(component
  (core module $M
    (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
    (func (export "none"))
    (func (export "trap") unreachable)
    (func (export "raw") (param i32) (result i32) (local.get 0))
    (func (export "raw64") (param i64) (result i64) (local.get 0))
    (func (export "f32") (param f32) (result f32) (local.get 0))
    (func (export "f64") (param f64) (result f64) (local.get 0)))
  (core instance $m (instantiate $M))
  (func (export "add") (param "first-one" s32) (param "b" s32) (result s32) (canon lift (core func $m "add")))
  (func (export "none") (canon lift (core func $m "none")))
  (func (export "trap") (canon lift (core func $m "trap")))
  (func (export "u8-of-u32") (param "a" u32) (result u8) (canon lift (core func $m "raw")))
  (func (export "s8-of-u32") (param "a" u32) (result s8) (canon lift (core func $m "raw")))
  (func (export "bool-of-u32") (param "a" u32) (result bool) (canon lift (core func $m "raw")))
  (func (export "char-of-u32") (param "a" u32) (result char) (canon lift (core func $m "raw")))
  (func (export "s64-of-u64") (param "a" u64) (result s64) (canon lift (core func $m "raw64")))
  (func (export "f32") (param "a" f32) (result f32) (canon lift (core func $m "f32")))
  (func (export "f64") (param "a" f64) (result f64) (canon lift (core func $m "f64"))))
"""


def test_scalars_and_the_ways_to_call(instantiate: Make) -> None:
    instance = instantiate(ARITHMETIC)
    add = instance.get_func("add")
    assert add(1, 2) == add(instance.store, 1, 2) == add(first_one=1, b=2) == add(1, b=2) == add(**{"first-one": 1}, b=2) == 3
    assert instance.exports.none() is None
    assert instance.exports["u8-of-u32"](0x1FF) == 255 and instance.exports["s8-of-u32"](0x1FF) == -1
    assert instance.exports["bool-of-u32"](2) is True
    assert instance.exports["s64-of-u64"]((1 << 64) - 1) == -1
    assert instance.exports.f32(0.1) == np.float32(0.1) and math.isnan(instance.exports.f64(math.nan))
    assert repr(add) == "<wasmrt.component.Func add: func(first-one: s32, b: s32) -> s32>" and add.name == "add"
    assert callable(add) and add.type().params[1][0] == "b" and add.post_return(instance.store) is None


def test_wrong_calls_raise_before_the_guest_and_poison_nothing(instantiate: Make, engine: Any) -> None:
    instance = instantiate(ARITHMETIC)
    add = instance.get_func("add")
    for args, kwargs in (((), {}), ((1,), {}), ((1, 2, 3), {}), ((1,), {"c": 2}), ((1, 2), {"b": 2}), ((1,), {"first_one": 2}), (("x", 2), {}), ((instance.store, 1), {})):
        with pytest.raises(TypeError) as info:
            add(*args, **kwargs)
        assert isinstance(info.value, errors.WasmError)
    with pytest.raises(OverflowError, match="argument 'first-one': 2147483648 is out of range for s32"):
        add(1 << 31, 0)
    with pytest.raises(errors.WasmError, match="another store"):
        add(wasmrt.Store(engine), 1, 2)
    assert add(1, 2) == 3


def test_a_trap_has_code_and_frames_and_poisons_the_instance(instantiate: Make) -> None:
    instance = instantiate(ARITHMETIC)
    with pytest.raises(wasmrt.Trap, match="wasm trap: wasm `unreachable` instruction executed") as info:
        instance.exports.trap()
    assert info.value.trap_code == wasmrt.TrapCode.UNREACHABLE and info.value.frames
    for name in ("trap", "none"):
        with pytest.raises(wasmrt.Trap, match="cannot enter component instance") as info:
            instance.exports[name]()
        assert info.value.trap_code == wasmrt.TrapCode.CANNOT_ENTER_COMPONENT
    with pytest.raises(wasmrt.Trap, match="invalid `char` bit pattern") as info:
        instantiate(ARITHMETIC).exports["char-of-u32"](0xD800)
    assert info.value.trap_code == wasmrt.TrapCode.INVALID_CHAR


# Each type goes to the guest, out to the host, back, and out again: lowered and lifted twice each.
TYPES: list[tuple[str, str, list[Any]]] = [
    ("bool", "i32", [True, False]),
    ("u8", "i32", [0, 255]),
    ("s16", "i32", [-32768, 7]),
    ("u64", "i64", [0, (1 << 64) - 1]),
    ("s64", "i64", [-(1 << 63)]),
    ("f32", "f32", [0.5, -math.inf]),
    ("f64", "f64", [1e300, -0.0]),
    ("char", "i32", ["a", "\U0010ffff"]),
    ("string", "i32 i32", ["", "plain", "grün", "€uro", "𝄞 clef"]),
    ("(list u8)", "i32 i32", [b"", b"abc" * 100]),
    ("(list f64)", "i32 i32", [[], [1.5, 2.5] * 50]),
    ("(list string)", "i32 i32", [["a", "", "ü"] * 20]),
    ("(list (list u16))", "i32 i32", [[[1, 2], [], [3]]]),
    ("(list bool)", "i32 i32", [[True, False, True]]),
    ("(tuple u8 string)", "i32 i32 i32", [(3, "x")]),
    ("(option u32)", "i32 i32", [None, 0, 7]),
    ("(option (option u32))", "i32 i32 i32", [Variant("none"), Variant("some", None), Variant("some", 3)]),
    ("(result u32 (error string))", "i32 i32 i32", [3, "bad"]),
    ("(result u32 (error u32))", "i32 i32", [Variant("ok", 3), Variant("err", 4)]),
    ("(result)", "i32", [Variant("ok"), Variant("err")]),
    ("(result f64 (error (list u8)))", "i32 i64 i32", [2.5, b"xyz"]),
    ("$rec", "f64 f64 i32 i32", [Record(x=1.0, y_pos=2.0, tag="t")]),
    ("(list $rec)", "i32 i32", [[Record(x=float(i), y_pos=-1.0, tag="t" * i) for i in range(20)]]),
    ("$var", "i32 i64 i32", [None, 7, 2.5, "text"]),
    ("$enum", "i32", ["first", "second-one"]),
    ("$flags", "i32", [set(), {"a", "c"}, {"a", "b", "c"}]),
    ("(tuple u64 u64 u64 u64 u64 u64 u64 u64 u64 u64 u64 u64 u64 u64 u64 u64 u64)", "i32", [tuple(range(17))]),
]


def round_trip(ty: str, core: str, encoding: str = "utf8") -> str:
    words = core.split()
    one = len(words) == 1 and "tuple" not in ty
    gets = " ".join(f"(local.get {i})" for i in range(len(words)))
    back = "i32 " * (not one)
    result = f"(result {core})" if one else ""
    body = f"(call $g {gets})" if one else f"(call $g {gets} (i32.const 64)) (i32.const 64)"
    return f"""(component
  (type $rec0 (record (field "x" f64) (field "y-pos" f64) (field "tag" string)))
  (import "rec" (type $rec (eq $rec0)))
  (type $var0 (variant (case "none") (case "int" u32) (case "float" f64) (case "text" string)))
  (import "var" (type $var (eq $var0)))
  (type $enum0 (enum "first" "second-one"))
  (import "enum" (type $enum (eq $enum0)))
  (type $flags0 (flags "a" "b" "c"))
  (import "flags" (type $flags (eq $flags0)))
  (import "g" (func $g (param "v" {ty}) (result {ty})))
  {LIBC}
  (core func $g' (canon lower (func $g) {MEM} string-encoding={encoding}))
  (core module $M
    (import "" "g" (func $g (param {core} {back}) {result}))
    (func (export "f") (param {core}) (result {core if one else "i32"}) {body}))
  (core instance $m (instantiate $M (with "" (instance (export "g" (func $g'))))))
  (func (export "f") (param "v" {ty}) (result {ty}) (canon lift (core func $m "f") {MEM} string-encoding={encoding})))"""


ENCODED = [
    pytest.param(ty, core, values, encoding, id=f"{ty}-{encoding}")
    for ty, core, values in TYPES
    for encoding in ("utf8", "utf16", "latin1+utf16")
    if encoding == "utf8" or "string" in ty or ty in ("$rec", "(list $rec)", "$var")
]


@pytest.mark.parametrize(("ty", "core", "values", "encoding"), ENCODED)
def test_round_trips_through_guest_and_host(instantiate: Make, ty: str, core: str, values: list[Any], encoding: str) -> None:
    seen: list[Any] = []

    def g(value: Any) -> Any:
        seen.append(value)
        return value

    f = instantiate(round_trip(ty, core, encoding), g=g).get_func("f")
    for value in values:
        result = f(value)
        assert result == value and type(result) is type(seen[-1]) and seen[-1] == value
        assert isinstance(result, type(value))


def test_wrong_results_of_host_functions(instantiate: Make) -> None:
    text = round_trip("(list u8)", "i32 i32")
    for bad, error in (("x", TypeError), ([1, 300], OverflowError), (None, TypeError)):
        instance = instantiate(text, g=lambda v, bad=bad: bad)
        with pytest.raises(error, match="result") as info:
            instance.exports.f(b"a")
        assert isinstance(info.value, errors.WasmError)
        with pytest.raises(wasmrt.Trap, match="cannot enter component instance"):
            instance.exports.f(b"a")


def test_exceptions_of_host_functions_come_out_as_themselves(instantiate: Make) -> None:
    class Mine(BaseException):
        pass

    error = Mine("mine")

    def g(value: int) -> int:
        raise error

    instance = instantiate(round_trip("u8", "i32"), g=g)
    with pytest.raises(Mine) as info:
        instance.exports.f(1)
    assert info.value is error
    names = [frame.name for frame in info.traceback]
    assert names[-1] == "g"
    with pytest.raises(wasmrt.Trap, match="cannot enter component instance"):
        instance.exports.f(1)


def test_an_instance_cannot_be_entered_while_it_runs(instantiate: Make) -> None:
    inner: list[BaseException] = []

    def g(value: int) -> int:
        with pytest.raises(wasmrt.Trap, match="cannot enter component instance") as info:
            instance.exports.f(value)
        inner.append(info.value)
        return value + other.exports.f(value)

    text = round_trip("u8", "i32")
    instance = instantiate(text, g=g)
    other = instantiate(text, store=instance.store, g=lambda value: value)
    assert instance.exports.f(1) == 2 and len(inner) == 1
    assert instance.exports.f(3) == 6


def test_a_trap_below_a_host_call_passes_through(instantiate: Make) -> None:
    below = instantiate(ARITHMETIC)
    instance = instantiate(round_trip("u8", "i32"), store=below.store, g=lambda value: below.exports.trap())
    with pytest.raises(wasmrt.Trap, match="unreachable"):
        instance.exports.f(1)
    again = instantiate(round_trip("u8", "i32"), g=lambda value: value)
    assert again.exports.f(5) == 5


POST = f"""(component
  (import "log" (func $log (param "n" u32)))
  {LIBC}
  (core func $log' (canon lower (func $log)))
  (core module $M
    (import "" "log" (func $log (param i32)))
    (import "libc" "mem" (memory 4))
    (global $posted (mut i32) (i32.const 0))
    (func (export "f") (param i32 i32) (result i32)
      (i32.store (i32.const 16) (local.get 0)) (i32.store (i32.const 20) (local.get 1)) (i32.const 16))
    (func (export "post") (param i32) (global.set $posted (i32.add (global.get $posted) (local.get 0))))
    (func (export "post-leaves") (param i32) (call $log (i32.const 1)))
    (func (export "posted") (result i32) (global.get $posted)))
  (core instance $m (instantiate $M (with "" (instance (export "log" (func $log')))) (with "libc" (instance $libc))))
  (func (export "f") (param "s" string) (result string) (canon lift (core func $m "f") {MEM} (post-return (core func $m "post"))))
  (func (export "g") (param "s" string) (result string) (canon lift (core func $m "f") {MEM} (post-return (core func $m "post-leaves"))))
  (func (export "posted") (result u32) (canon lift (core func $m "posted")))
  (func (export "allocations") (result u32) (canon lift (core func $libc "count"))))"""


def test_post_return_runs_once_with_the_core_result(instantiate: Make) -> None:
    instance = instantiate(POST, log=lambda n: None)
    assert instance.exports.f("hello") == "hello" and instance.exports.posted() == 16
    assert instance.exports.f("") == "" and instance.exports.posted() == 32
    assert instance.exports.allocations() == 2


def test_post_return_cannot_leave(instantiate: Make) -> None:
    instance = instantiate(POST, log=lambda n: None)
    with pytest.raises(wasmrt.Trap, match="cannot leave component instance") as info:
        instance.exports.g("x")
    assert info.value.trap_code == wasmrt.TrapCode.CANNOT_LEAVE_COMPONENT and info.value.frames


BAD_REALLOC = """(component
  (core module $M
    (memory (export "mem") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) {body})
    (func (export "f") (param i32 i32)))
  (core instance $m (instantiate $M))
  (func (export "f") (param "a" (list u32)) (canon lift (core func $m "f") (memory (core memory $m "mem")) (realloc (core func $m "realloc")))))"""


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("(i32.const 2)", "realloc return: result not aligned"),
        ("(i32.const 65536)", "realloc return: beyond end of memory"),
        ("(i32.const -4)", "realloc return: beyond end of memory"),
        ("unreachable", "unreachable"),
    ],
)
def test_bad_reallocs_trap(instantiate: Make, body: str, message: str) -> None:
    instance = instantiate(BAD_REALLOC.format(body=body))
    with pytest.raises(TypeError):
        instance.exports.f([1, "x"])
    with pytest.raises(wasmrt.Trap, match=message):
        instance.exports.f([1, 2])
    with pytest.raises(wasmrt.Trap, match="cannot enter component instance"):
        instance.exports.f([1, 2])


def test_memory_may_grow_in_realloc(instantiate: Make) -> None:
    grow = "(i32.shl (memory.grow (i32.const 1)) (i32.const 16))"
    instance = instantiate(BAD_REALLOC.format(body=grow))
    for _ in range(5):
        instance.exports.f(list(range(1000)))


RESULTS = """(component
  (core module $M
    (memory (export "mem") 1)
    (func (export "f") (param i32 i32) (result i32) (i32.store (i32.const 8) (local.get 0)) (i32.store (i32.const 12) (local.get 1)) (i32.const 8))
    (func (export "at") (param i32) (result i32) (local.get 0)))
  (core instance $m (instantiate $M))
  (func (export "string") (param "p" u32) (param "n" u32) (result string) (canon lift (core func $m "f") (memory (core memory $m "mem"))))
  (func (export "list") (param "p" u32) (param "n" u32) (result (list u32)) (canon lift (core func $m "f") (memory (core memory $m "mem"))))
  (func (export "tuple") (param "p" u32) (result (tuple u32 u32)) (canon lift (core func $m "at") (memory (core memory $m "mem")))))"""


@pytest.mark.parametrize(
    ("name", "args", "message", "code"),
    [
        ("string", (65536, 1), "string pointer/length out of bounds of memory", "STRING_OUT_OF_BOUNDS"),
        ("string", (0, 0xFFFFFFFF), "string pointer/length out of bounds of memory", "STRING_OUT_OF_BOUNDS"),
        ("list", (65532, 2), "list pointer/length out of bounds of memory", "LIST_OUT_OF_BOUNDS"),
        ("list", (0, 0x40000001), "list pointer/length out of bounds of memory", "LIST_OUT_OF_BOUNDS"),
        ("list", (2, 0), "unaligned pointer", "UNALIGNED_POINTER"),
        ("tuple", (2,), "unaligned pointer", "UNALIGNED_POINTER"),
        ("tuple", (65532,), "out of bounds of memory", "CANONICAL_ABI"),
    ],
)
def test_hostile_results_trap(instantiate: Make, name: str, args: Any, message: str, code: str) -> None:
    instance = instantiate(RESULTS)
    assert instance.exports.string(0, 0) == "" and instance.exports.list(65536, 0) == []
    with pytest.raises(wasmrt.Trap, match=message) as info:
        instance.exports[name](*args)
    assert info.value.trap_code == wasmrt.TrapCode[code]


def test_host_calls_check_pointers_of_the_guest(instantiate: Make) -> None:
    text = f"""(component
  (import "g" (func $g (param "s" string) (result (tuple u32 u32))))
  {LIBC}
  (core func $g' (canon lower (func $g) {MEM}))
  (core module $M
    (import "" "g" (func $g (param i32 i32 i32)))
    (func (export "f") (param i32 i32 i32) (call $g (local.get 0) (local.get 1) (local.get 2))))
  (core instance $m (instantiate $M (with "" (instance (export "g" (func $g'))))))
  (func (export "f") (param "p" u32) (param "n" u32) (param "r" u32) (canon lift (core func $m "f"))))"""
    called: list[str] = []

    def g(text: str) -> tuple[int, int]:
        called.append(text)
        return (1, 2)

    instantiate(text, g=g).exports.f(0, 4, 64)
    assert called == ["\0\0\0\0"]
    for args, message in (((0xFFFFFF, 1, 0), "string pointer/length"), ((0, 1, 2), "unaligned pointer"), ((0, 1, 0xFFFFFFFC), "out of bounds")):
        with pytest.raises(wasmrt.Trap, match=message) as info:
            instantiate(text, g=g).exports.f(*args)
        assert info.value.frames and info.value.frames[0].func_index == 1


def test_store_is_passed_when_asked_for(engine: Any) -> None:
    linker = wasmrt.component.Linker(engine)
    store = wasmrt.Store(engine, data="mine")
    linker.root().add_func("g", lambda s, value: s.data() and value)
    instance = linker.instantiate(store, wasmrt.component.Component(engine, round_trip("u8", "i32")))
    assert instance.get_func(store, "f")(store, 9) == 9


def test_threads_take_turns_or_get_an_error(instantiate: Make) -> None:
    started, go = threading.Event(), threading.Event()

    def g(value: int) -> int:
        started.set()
        go.wait(10)
        return value

    instance = instantiate(round_trip("u8", "i32"), g=g)
    other = instantiate(ARITHMETIC, store=instance.store)
    results: list[int] = []
    thread = threading.Thread(target=lambda: results.append(instance.exports.f(4)))
    thread.start()
    started.wait(10)
    with pytest.raises(errors.WasmError, match="another thread"):
        other.exports.add(1, 2)
    go.set()
    thread.join(10)
    assert results == [4] and other.exports.add(1, 2) == 3


def test_nothing_leaks(instantiate: Make) -> None:
    class Token:
        pass

    token = Token()
    seen = weakref.ref(token)

    def g(value: Any, token: Token = token) -> Any:
        return value

    instance = instantiate(round_trip("(list string)", "i32 i32"), g=g)
    store = weakref.ref(instance.store)
    instance.exports.f(["a"])
    del token, g, instance
    gc.collect()
    assert seen() is None and store() is None


def test_closed_stores_raise(instantiate: Make) -> None:
    instance = instantiate(ARITHMETIC)
    add = instance.get_func("add")
    instance.store.close()
    with pytest.raises(ValueError, match="closed"):
        add(1, 2)


LONG = f"""(component
  (import "g" (func $g (param "v" string) (result string)))
  {LIBC}
  (core func $g' (canon lower (func $g) {MEM}))
  (core module $M
    (import "" "g" (func $g (param i32 i32 i32)))
    (func (export "f") (param i32 i32) (result i32) (local $n i32)
      (local.set $n (i32.const 60000000))
      (loop $l (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
      (call $g (local.get 0) (local.get 1) (i32.const 64))
      (local.set $n (i32.const 60000000))
      (loop $l (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
      (i32.const 64))
    (func (export "post") (param i32) (local $n i32)
      (local.set $n (i32.const 60000000))
      (loop $l (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))))
  (core instance $m (instantiate $M (with "" (instance (export "g" (func $g'))))))
  (func (export "f") (param "v" string) (result string) (canon lift (core func $m "f") {MEM} (post-return (core func $m "post")))))"""


def test_long_guests_let_the_gil_go_and_host_calls_take_it_back(instantiate: Make) -> None:
    instance = instantiate(LONG, g=lambda text: text + "!")
    stop = threading.Event()
    turns = 0

    def count() -> None:
        nonlocal turns
        while not stop.wait(0.001):
            turns += 1

    thread = threading.Thread(target=count)
    thread.start()
    try:
        for i in range(3):
            assert instance.exports.f(f"text {i}") == f"text {i}!"
    finally:
        stop.set()
        thread.join(10)
    assert turns > 10
