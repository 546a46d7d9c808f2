"""What crossing the boundary costs: a scalar call, a call back to the host, and bytes through a component.

The core module is written out in bytes here, so that no engine's text parser is needed; the component is the identity
codec, whose `encode` copies its argument once inside the guest.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from bench.engines import Contender, contenders
from bench.interleave import Candidate, Clock, Comparison, interleave
from bench.programs import codec

# (import "h" "id" (func (param i32) (result i32))), exports: add (param i32 i32) (result i32), call (param i32) (result i32)
MODULE = bytes.fromhex(
    "0061736d01000000"
    "010c02"  # types
    "60017f017f"
    "60027f7f017f"
    "020801" "0168" "026964" "0000"  # import h.id: type 0
    "03030201" "00"  # functions: type 1, type 0
    "070e02" "03616464" "0001" "0463616c6c" "0002"  # exports
    "0a10" "02"  # code
    "0700" "2000" "2001" "6a" "0b"
    "0600" "2000" "1000" "0b"
)  # fmt: skip
CALLS = 20_000
BLOCK = bytes(range(256)) * 4096


def core_exports(contender: Contender) -> tuple[Any, Any]:
    package = contender.package
    engine = contender.engine()
    store = contender.store(engine)
    linker = package.Linker(engine)
    i32 = package.ValType.i32()
    linker.define_func("h", "id", package.FuncType([i32], [i32]), lambda value: value)
    return store, linker.instantiate(store, package.Module(engine, MODULE)).exports(store)


def repeat(call: Callable[[], object], times: int) -> Candidate:
    def run(clock: Clock) -> None:
        rounds = range(times)
        with clock:
            for _ in rounds:
                call()

    return run


def scalar_call(contender: Contender) -> Callable[[], object]:
    store, exports = core_exports(contender)
    add = exports["add"]
    assert add(store, 2, 3) == 5
    # the peer wants its store in every call, wasmrt's functions keep theirs
    return (lambda: add(2, 3)) if contender.name == "wasmrt" else (lambda: add(store, 2, 3))


def host_call(contender: Contender) -> Callable[[], object]:
    store, exports = core_exports(contender)
    call = exports["call"]
    assert call(store, 7) == 7
    return (lambda: call(7)) if contender.name == "wasmrt" else (lambda: call(store, 7))


def block_through_component(contender: Contender) -> Callable[[], object]:
    """One MiB of list<u8> into the guest and out again."""
    api, engine = contender.component, contender.engine()
    component = api.Component(engine, codec("identity"))
    linker = api.Linker(engine)
    linker.add_wasip2()
    with linker.root() as root, root.add_instance("wasi:logging/logging") as logging:
        logging.add_func("log", lambda _store, *_message: None)
    store = contender.store(engine)
    if contender.name != "wasmrt":
        store.set_wasi(contender.package.WasiConfig())  # the peer traps without one, wasmrt then grants nothing
    instance = linker.instantiate(store, component)
    interface = component.get_export_index("numcodecs:abc/codec@0.1.1")
    new, encode = (
        instance.get_func(store, component.get_export_index(name, interface))
        for name in ("[static]codec.from-config", "[method]codec.encode")
    )
    handle = new(store, json.dumps({}))
    array = api.Record()
    array.data, array.shape = api.Variant("u8", BLOCK), [len(BLOCK)]

    def call() -> Any:
        return encode(store, handle, array).payload

    assert call().data.payload == BLOCK
    return call


BETWEEN = """(component
  (component $C
    (core module $M
      (memory (export "mem") 2)
      (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536))
      (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
      (func (export "length") (param i32 i32) (result i32) (local.get 1)))
    (core instance $m (instantiate $M))
    (alias core export $m "mem" (core memory $mem))
    (alias core export $m "realloc" (core func $realloc))
    (func (export "add") (param "a" u32) (param "b" u32) (result u32) (canon lift (core func $m "add")))
    (func (export "length") (param "s" string) (result u32) (canon lift (core func $m "length") (memory $mem) (realloc $realloc))))
  (component $D
    (import "add" (func $add (param "a" u32) (param "b" u32) (result u32)))
    (import "length" (func $length (param "s" string) (result u32)))
    (core module $Memory (memory (export "mem") 1))
    (core instance $memory (instantiate $Memory))
    (alias core export $memory "mem" (core memory $mem))
    (core func $add-core (canon lower (func $add)))
    (core func $length-core (canon lower (func $length) (memory $mem)))
    (core module $M
      (import "" "add" (func $add (param i32 i32) (result i32)))
      (import "" "length" (func $length (param i32 i32) (result i32)))
      (func (export "add") (param $n i32) (result i32) (local $sum i32)
        (loop $more
          (local.set $sum (call $add (local.get $sum) (local.get $n)))
          (br_if $more (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
        (local.get $sum))
      (func (export "length") (param $n i32) (result i32) (local $sum i32)
        (loop $more
          (local.set $sum (i32.add (local.get $sum) (call $length (i32.const 0) (i32.const 1024))))
          (br_if $more (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
        (local.get $sum)))
    (core instance $m (instantiate $M (with "" (instance (export "add" (func $add-core)) (export "length" (func $length-core))))))
    (func (export "add") (param "n" u32) (result u32) (canon lift (core func $m "add")))
    (func (export "length") (param "n" u32) (result u32) (canon lift (core func $m "length"))))
  (instance $c (instantiate $C))
  (instance $d (instantiate $D (with "add" (func $c "add")) (with "length" (func $c "length"))))
  (export "add" (func $d "add"))
  (export "length" (func $d "length")))"""


def between_components(contender: Contender, name: str, result: int) -> Callable[[], object]:
    """A thousand calls from one component to another, made inside."""
    api, engine = contender.component, contender.engine()
    store = contender.store(engine)
    instance = api.Linker(engine).instantiate(store, api.Component(engine, BETWEEN))
    func = instance.get_func(store, name)

    def call() -> object:
        found = func(store, 1000)
        if contender.name != "wasmrt" and hasattr(func, "post_return"):
            func.post_return(store)
        return found

    assert call() == result
    return call


CASES: dict[str, tuple[Callable[[Contender], Callable[[], object]], int]] = {
    "scalar call": (scalar_call, CALLS),
    "call with a call back to Python": (host_call, CALLS),
    "1,000 scalar calls between two components": (lambda contender: between_components(contender, "add", 500_500), 100),
    "1,000 strings of 1 KiB between two components": (
        lambda contender: between_components(contender, "length", 1_024_000),
        100,
    ),
    "1 MiB of list<u8> through a component and back": (block_through_component, 3),
}


def compare(rounds: int, seconds: float) -> dict[str, Comparison | str]:
    """Case -> seconds of one call, or why it could not be run; Winch calls as Cranelift does, so it is left out."""
    result: dict[str, Comparison | str] = {}
    present = [contender for contender in contenders().values() if contender.name != "winch"]
    for title, (make, times) in CASES.items():
        try:
            candidates = {contender.name: repeat(make(contender), times) for contender in present}
            result[title] = interleave(candidates, rounds, 1, seconds).each(times)
        except Exception as error:  # one case that fails must not lose the others' results
            result[title] = f"{type(error).__name__}: {error}"
    return result


@pytest.mark.smoke
@pytest.mark.parametrize("name", sorted(contenders()))
@pytest.mark.parametrize("case", ["scalar call", "call with a call back to Python"])
def test_call(benchmark: Any, case: str, name: str) -> None:
    benchmark(CASES[case][0](contenders()[name]))
