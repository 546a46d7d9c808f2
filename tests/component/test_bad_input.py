"""What guests and callers get wrong: lengths beyond the ABI's maxima, reallocs that lie, handles that are not there, arguments with a wrong leaf."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import wasmrt
from wasmrt.component import Component, Linker, ResourceHost, Variant

MAX_BYTES = (1 << 28) - 1  # MAX_STRING_BYTE_LENGTH, MAX_LIST_BYTE_LENGTH


@pytest.fixture(scope="module")
def engine() -> wasmrt.Engine:
    return wasmrt.Engine()


def exports(engine: wasmrt.Engine, text: str, **functions: Callable[..., Any]) -> Any:
    linker = Linker(engine)
    linker.root().define(functions)
    return linker.instantiate(wasmrt.Store(engine), Component(engine, text)).exports


# A memory that has room for strings and lists of more than the maxima: only lengths are looked at.
LONG = """(component
  {imported}
  (core module $L (memory (export "m") 8200)
    (func (export "f") (param i32 i32) (result i32) (i32.store (i32.const 8) (local.get 0)) (i32.store (i32.const 12) (local.get 1)) (i32.const 8))
    (func (export "r") (param i32 i32 i32 i32) (result i32) (i32.const 16)))
  (core instance $l (instantiate $L))
  {rest})"""
LIFTED = """(func (export "f") (param "p" u32) (param "n" u32) (result {ty}) (canon lift (core func $l "f") (memory (core memory $l "m")) {encoding}))"""


@pytest.mark.parametrize(
    ("ty", "encoding", "size", "message"),
    [
        ("string", "", 1, "string"),
        ("string", "string-encoding=utf16", 2, "string"),
        ("string", "string-encoding=latin1+utf16", 1, "string"),
        ("(list u8)", "", 1, "list"),
        ("(list u16)", "", 2, "list"),
        ("(list (tuple u8 u32))", "", 8, "list"),
    ],
)
def test_lengths_beyond_the_maxima_trap_when_lifted(engine: wasmrt.Engine, ty: str, encoding: str, size: int, message: str) -> None:
    text = LONG.format(imported="", rest=LIFTED.format(ty=ty, encoding=encoding))
    assert len(exports(engine, text).f(16, 4)) == 4
    with pytest.raises(wasmrt.Trap, match=message) as caught:
        exports(engine, text).f(16, MAX_BYTES // size + 1)
    assert caught.value.trap_code in (wasmrt.TrapCode.STRING_OUT_OF_BOUNDS, wasmrt.TrapCode.LIST_OUT_OF_BOUNDS)  # type: ignore[attr-defined]


CALLS = """(core func $f (canon lower (func $f) (memory (core memory $l "m"))))
  (core module $M (import "" "f" (func $f (param i32 i32) (result i32)))
    (func (export "f") (param i32 i32) (result i32) (call $f (local.get 0) (local.get 1))))
  (core instance $m (instantiate $M (with "" (instance (export "f" (func $f))))))
  (func (export "f") (param "p" u32) (param "n" u32) (result u32) (canon lift (core func $m "f")))"""


@pytest.mark.parametrize(("ty", "size"), [("string", 1), ("(list u8)", 1), ("(list u64)", 8)])
def test_lengths_beyond_the_maxima_trap_between_components(engine: wasmrt.Engine, ty: str, size: int) -> None:
    callee = f"""(core module $N (func (export "n") (param i32 i32) (result i32) (local.get 1))) (core instance $n (instantiate $N))
      (func (export "f") (param "x" {ty}) (result u32) (canon lift (core func $n "n") (memory (core memory $l "m")) (realloc (core func $l "r"))))"""
    inside = LONG.format(imported="", rest=callee).replace("(component", "(component $Callee", 1)
    caller = LONG.format(imported=f'(import "f" (func $f (param "x" {ty}) (result u32)))', rest=CALLS).replace("(component", "(component $Caller", 1)
    text = f"""(component {inside} {caller} (instance $callee (instantiate $Callee))
      (instance $caller (instantiate $Caller (with "f" (func $callee "f")))) (export "f" (func $caller "f")))"""
    assert exports(engine, text).f(16, 4) == 4
    with pytest.raises(wasmrt.Trap, match="string content out-of-bounds|list content out-of-bounds"):
        exports(engine, text).f(16, MAX_BYTES // size + 1)


def test_lengths_beyond_the_maxima_trap_on_the_way_to_the_host(engine: wasmrt.Engine) -> None:
    rest = """(core func $f (canon lower (func $f) (memory (core memory $l "m"))))
      (core module $M (import "" "f" (func $f (param i32 i32))) (func (export "f") (param i32 i32) (call $f (local.get 0) (local.get 1))))
      (core instance $m (instantiate $M (with "" (instance (export "f" (func $f))))))
      (func (export "f") (param "p" u32) (param "n" u32) (canon lift (core func $m "f")))"""
    text = LONG.format(imported='(import "f" (func $f (param "x" (list u8))))', rest=rest)
    seen: list[int] = []
    exports(engine, text, f=lambda x: seen.append(len(x))).f(16, 4)
    with pytest.raises(wasmrt.Trap, match="list"):
        exports(engine, text, f=lambda x: seen.append(len(x))).f(16, MAX_BYTES + 1)
    assert seen == [4]


def test_arguments_beyond_the_maxima_never_reach_the_guest(engine: wasmrt.Engine) -> None:
    rest = """(func (export "f") (param "x" (list u64)) (result u32) (canon lift (core func $n "n") (memory (core memory $l "m")) (realloc (core func $l "r"))))"""
    text = LONG.format(imported="", rest='(core module $N (func (export "n") (param i32 i32) (result i32) (local.get 1))) (core instance $n (instantiate $N))' + rest)
    e = exports(engine, text)
    zeros = memoryview(bytearray(8 * (MAX_BYTES // 8 + 1))).cast("Q")
    with pytest.raises((wasmrt.WasmError, wasmrt.Trap)):
        e.f(zeros)
    assert e.f([1, 2]) == 2  # nothing was entered, nothing is poisoned


# ---- reallocs ---------------------------------------------------------------------------------------------------------------------------------------

REALLOC = """(component
  {imported}
  (core module $M
    (memory (export "mem") 1)
    (global $n (mut i32) (i32.const 0))
    (func (export "realloc") (param $old i32) (param $old-size i32) (param $align i32) (param $size i32) (result i32)
      (global.set $n (i32.add (global.get $n) (i32.const 1)))
      {body})
    (func (export "f") (param i32 i32)))
  (core instance $m (instantiate $M))
  {rest})"""
TAKES = """(func (export "f") (param "a" {ty}) (canon lift (core func $m "f") (memory (core memory $m "mem")) (realloc (core func $m "realloc")) {encoding}))"""
LIES = [
    ("(i32.const 1)", "not aligned"),
    ("(i32.const 65536)", "beyond end of memory"),
    ("(i32.const -8)", "beyond end of memory"),
    ("(i32.sub (i32.const 65536) (i32.const 8))", "beyond end of memory"),
]


@pytest.mark.parametrize(("body", "message"), LIES)
def test_reallocs_that_lie_to_the_host(engine: wasmrt.Engine, body: str, message: str) -> None:
    e = exports(engine, REALLOC.format(imported="", body=body, rest=TAKES.format(ty="(list u64)", encoding="")))
    with pytest.raises(wasmrt.Trap, match=message):
        e.f([1, 2])
    with pytest.raises(wasmrt.Trap, match="cannot enter component instance"):
        e.f([])


CALLER = """(component $Caller
    (import "f" (func $f (param "a" {ty})))
    (core module $L (memory (export "mem") 1) (data (i32.const 16) "{data}"))
    (core instance $l (instantiate $L))
    (core func $f' (canon lower (func $f) (memory (core memory $l "mem")) {encoding}))
    (core module $M (import "" "f" (func $f (param i32 i32))) (func (export "run") (param i32) (call $f (i32.const 16) (local.get 0))))
    (core instance $m (instantiate $M (with "" (instance (export "f" (func $f'))))))
    (func (export "run") (param "n" u32) (canon lift (core func $m "run"))))"""


def composed(callee: str, caller: str) -> str:
    return f"""(component {callee.replace("(component", "(component $Callee", 1)} {caller} (instance $callee (instantiate $Callee))
      (instance $caller (instantiate $Caller (with "f" (func $callee "f")))) (export "run" (func $caller "run")))"""


@pytest.mark.parametrize(("body", "message"), [(body, "unaligned pointer" if "align" in message else "content out-of-bounds") for body, message in LIES])
def test_reallocs_that_lie_to_a_component(engine: wasmrt.Engine, body: str, message: str) -> None:
    callee = REALLOC.format(imported="", body=body, rest=TAKES.format(ty="(list u64)", encoding=""))
    text = composed(callee, CALLER.format(ty="(list u64)", data="", encoding=""))
    with pytest.raises(wasmrt.Trap, match=message):
        exports(engine, text).run(2)


SHRINKS = "(if (result i32) (i32.eq (global.get $n) (i32.const {call})) (then (i32.const {lie})) (else (i32.const 1024)))"


@pytest.mark.parametrize(
    ("source", "target", "data", "count", "call"),
    [
        # guessed too large, then shrunk: Latin-1 from UTF-16, UTF-16 from UTF-8, and a tag that is UTF-16 on its way to Latin-1
        ("utf8", "utf16", "\\c3\\a9\\c3\\a9", 4, 2),
        ("utf16", "utf8", "a\\00\\e9\\00", 2, 2),
        ("utf8", "latin1+utf16", "\\c3\\a9a", 3, 2),
    ],
)
@pytest.mark.parametrize("lie", [65535, -2])
def test_reallocs_that_lie_when_they_shrink_or_grow(engine: wasmrt.Engine, source: str, target: str, data: str, count: int, call: int, lie: int) -> None:
    """A string is first given room for the worst case; what the second call of realloc returns is checked too."""
    takes = TAKES.format(ty="string", encoding=f"string-encoding={target}")
    caller = CALLER.format(ty="string", data=data, encoding=f"string-encoding={source}")
    exports(engine, composed(REALLOC.format(imported="", body="(i32.const 1024)", rest=takes), caller)).run(count)
    text = composed(REALLOC.format(imported="", body=SHRINKS.format(call=call, lie=lie), rest=takes), caller)
    with pytest.raises(wasmrt.Trap, match="out-of-bounds|unaligned|out of bounds"):
        exports(engine, text).run(count)


# ---- handles ----------------------------------------------------------------------------------------------------------------------------------------

BORROWS = """(component
  (import "x" (type $x (sub resource)))
  (import "keep" (func $keep (param "it" (borrow $x))))
  (core func $keep' (canon lower (func $keep))) (core func $drop (canon resource.drop $x))
  (core module $M
    (import "" "keep" (func $keep (param i32))) (import "" "drop" (func $drop (param i32)))
    (global $kept (mut i32) (i32.const 0))
    (func (export "lend") (param i32) (call $keep (local.get 0)) (call $drop (local.get 0)))
    (func (export "leak") (param i32) (global.set $kept (local.get 0)))
    (func (export "twice") (param i32) (call $drop (local.get 0)) (call $drop (local.get 0))))
  (core instance $m (instantiate $M (with "" (instance (export "keep" (func $keep')) (export "drop" (func $drop))))))
  (export $y "x" (type $x))
  (func (export "lend") (param "it" (borrow $y)) (canon lift (core func $m "lend")))
  (func (export "leak") (param "it" (borrow $y)) (canon lift (core func $m "leak")))
  (func (export "twice") (param "it" (own $y)) (canon lift (core func $m "twice"))))"""


def test_borrows_end_with_their_call(engine: wasmrt.Engine) -> None:
    kept: list[Any] = []

    def borrowing() -> tuple[Any, wasmrt.Store]:
        linker = Linker(engine)
        linker.root().add_resource("x", c_type := 7)
        linker.root().func("keep")(kept.append)
        assert c_type == 7
        store = wasmrt.Store(engine)
        return linker.instantiate(store, Component(engine, BORROWS)).exports, store

    e, _ = borrowing()
    e.lend(ResourceHost.borrow(5, 7))
    assert not kept[0].owned
    for use in (kept[0].to_host, lambda: e.lend(kept[0])):
        with pytest.raises(wasmrt.WasmError, match="a borrowed handle cannot be used after its call"):
            use()
    with pytest.raises(TypeError, match="expected a handle of resource .7., got one of host type 8"):
        e.lend(ResourceHost.borrow(5, 8))
    with pytest.raises(TypeError, match="expected a handle"):
        e.lend("x")
    mine = ResourceHost.own(5, 7).to_any(wasmrt.Store(engine))
    with pytest.raises(wasmrt.WasmError, match="belongs to another store"):
        e.lend(mine)
    e.lend(ResourceHost.borrow(6, 7))  # what was refused changed nothing
    with pytest.raises(wasmrt.Trap, match="borrow handles still remain at the end of the call"):
        e.leak(ResourceHost.borrow(5, 7))
    e, _ = borrowing()
    with pytest.raises(wasmrt.Trap, match="unknown handle index 1"):
        e.twice(ResourceHost.own(5, 7))


# ---- arguments --------------------------------------------------------------------------------------------------------------------------------------

ARGUMENTS = """(component
  (type $point' (record (field "x" f64) (field "y" f64)))
  (export $point "point" (type $point'))
  (type $shape' (variant (case "points" (list $point)) (case "named" (tuple string u8))))
  (export $shape "shape" (type $shape'))
  (core module $M (memory (export "m") 1) (func (export "r") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
    (func (export "f") (param i32 i32)) (func (export "g") (param i32 i32 i32 i32)))
  (core instance $m (instantiate $M))
  (func (export "plot") (param "points" (list $point)) (canon lift (core func $m "f") (memory (core memory $m "m")) (realloc (core func $m "r"))))
  (func (export "draw") (param "shape" (option $shape)) (canon lift (core func $m "h") (memory (core memory $m "m")) (realloc (core func $m "r")))))"""


def test_errors_have_the_path_of_the_wrong_leaf(engine: wasmrt.Engine) -> None:
    text = ARGUMENTS.replace('(func (export "g") (param i32 i32 i32 i32))', '(func (export "h") (param i32 i32 i32 i32 i32))')
    e = exports(engine, text)
    good = {"x": 1.0, "y": 2}
    for call, error, message in [
        (lambda: e.plot([good, good, good, {"x": "a", "y": 1}]), TypeError, r"argument 'points'\[3\]\.x: expected f64, got str"),
        (lambda: e.plot([{"x": 1.0}]), AttributeError, r"argument 'points'\[0\]"),
        (lambda: e.plot(3), TypeError, r"argument 'points': expected"),
        (lambda: e.draw([good, 3]), TypeError, r"argument 'shape'.*\[1\]"),
        (lambda: e.draw(("a", 256)), OverflowError, r"argument 'shape'.*\.1|argument 'shape'.*\[1\]"),
        (lambda: e.draw(Variant("points", [good, 3])), TypeError, r"argument 'shape'.*\.points\[1\]: expected"),
    ]:
        with pytest.raises(error, match=message) as caught:
            call()
        assert isinstance(caught.value, wasmrt.WasmError)
    e.plot([good])
    e.draw([good])
    e.draw(("a", 255))
    e.draw(None)
