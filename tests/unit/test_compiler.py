"""The compiler as a whole: the same text whatever the threads, and time linear in the bytes for shapes made to be slow."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.fuzz.programs import F64, I32, Program, sleb, uleb, vector
from tests.machine import compile_module, engine
from wasmrt import Config, Engine, Instance, Module, Store
from wasmrt.errors import LimitError, ValidationError

END = b"\x0b"


def module(*bodies: bytes, locals_: tuple[tuple[int, int], ...] = ()) -> bytes:
    """Functions () -> () with the same locals."""
    coded = [vector([uleb(n) + bytes([t]) for n, t in locals_]) + body + END for body in bodies]
    sections = [
        (1, vector([b"\x60\0\0"])),
        (3, vector([b"\0"] * len(bodies))),
        (5, vector([b"\0\1"])),
        (7, vector([b"\x01f\0\0"])),
        (10, vector([uleb(len(b)) + b for b in coded])),
    ]
    return b"\0asm\1\0\0\0" + b"".join(bytes([kind]) + uleb(len(body)) + body for kind, body in sections)


def get(local: int) -> bytes:
    return b"\x20" + uleb(local)


def put(local: int) -> bytes:
    return b"\x21" + uleb(local)


def test_threads_do_not_change_the_text() -> None:
    add = b"".join(get(i) + b"\x41" + sleb(i * 7) + b"\x6a" + put(i + 1) for i in range(30))
    bodies = [add * (i % 7 + 1) + b"\x10" + uleb(i * 37 % 400) for i in range(400)]
    binary = module(*bodies, locals_=((40, I32),))
    assert len(binary) > 100_000
    made = engine()
    assert compile_module(made, binary, 1) == compile_module(made, binary, 4) == compile_module(made, binary, 3)


@pytest.mark.parametrize("unit", [get(0) + b"\x28\0\0\x1a", get(1) + get(1) + b"\x96" + put(1)], ids=["loads", "float minimum"])
def test_first_memory_of_a_large_module_may_be_outgrown(unit: bytes) -> None:
    """More traps, places and code a byte than is lent: the same text as where shares are too small for that."""
    binary = module(*[unit * 2000] * 40, locals_=((1, I32), (1, 0x7D)))
    assert len(binary) > 400_000
    made = engine()
    assert compile_module(made, binary, 1) == compile_module(made, binary, 8)
    store = Store()
    Instance(store, Module(store.engine, binary), []).exports(store)["f"](store)


def test_the_first_bad_function_is_reported_whatever_the_threads() -> None:
    good = (get(0) + put(1)) * 200
    bodies = [good] * 500
    bodies[300] = bodies[177] = good + b"\x1a"
    binary = module(*bodies, locals_=((2, I32),))
    messages = set()
    for threads in (1, 2, 4, 4, 4):
        with pytest.raises(ValidationError) as caught:
            compile_module(engine(), binary, threads)
        messages.add(str(caught.value))
    assert len(messages) == 1
    assert "function 177" in messages.pop()


def repeat(unit: bytes, head: bytes = b"", tail: bytes = b"", size: int = 2_000_000) -> bytes:
    return head + unit * ((size - len(head) - len(tail)) // len(unit)) + tail


DEEP = 40_000
I32_50000, F64_1 = ((50_000, I32),), ((1, F64),)
SHAPES: dict[str, Callable[[], bytes]] = {
    "blocks over constants": lambda: module(repeat(b"\x02\x40\x0b", b"\x41\x01" * 100_000, b"\x1a" * 100_000)),
    "blocks over aliases": lambda: module(
        repeat(b"\x02\x40\x0b", get(0) * 100_000, b"\x1a" * 100_000), locals_=((1, I32),)
    ),
    "blocks over aliases in a block over an alias": lambda: module(
        repeat(b"\x02\x40\x0b", get(0) + b"\x02\x40" + get(0) * 100_000, b"\x1a" * 100_000 + END + b"\x1a"), locals_=((1, I32),)
    ),
    "nested handlers": lambda: module(b"\x1f\x40\x01\x02\x00" * DEEP + b"\x10\0" + END * DEEP),
    "handlers of merged registers": lambda: module(
        repeat(b"".join(get(i) + b"\x41\x01\x6a" + put(i) for i in range(11)) + b"\x1f\x40\x01\x02\x00\x10\0\x0b", b"\x02\x40", END),
        locals_=((200, I32),),
    ),
    "set under an alias": lambda: module(
        repeat(get(0) + b"\x41\x05" + put(0) + b"\x1a", b"\x41\x01" * 100_000, b"\x1a" * 100_000), locals_=((1, I32),)
    ),
    "a thousand aliases": lambda: module(
        repeat(get(0) * 1000 + b"\x41\x01" + put(0) + b"\x1a" * 1000), locals_=((1, I32),)
    ),
    "blocks with many locals": lambda: module(
        repeat(b"\x02\x40\x41\x01" + put(49_999) + b"\x41\0\x0d\0" + get(3) + b"\x1a\x0b"), locals_=I32_50000
    ),
    "loops with many locals": lambda: module(
        repeat(b"\x03\x40" + b"".join(get(i) + b"\x41\x01\x6a" + put(i) for i in range(0, 49_000, 97)) + END),
        locals_=I32_50000,
    ),
    "loops of invariant expressions": lambda: module(
        repeat(b"\x03\x40" + b"".join(get(i) * 20 + b"\x6c" * 19 + b"\x22" + uleb(i + 20) + b"\x1a" for i in range(15)) + END),
        locals_=((40, I32),),
    ),
    "small loops of tees": lambda: module(
        repeat(b"\x03\x40" + get(0) + b"".join(get(1) + b"\x6c\x22" + uleb(i) for i in range(2, 8)) + b"\x1a" + END),
        locals_=((8, I32),),
    ),
    "nested loops": lambda: module(
        b"".join(b"\x03\x40" + get(i) + b"\x41\x01\x6a" + put(i) for i in range(DEEP)) + END * DEEP, locals_=I32_50000
    ),
    "branches out of nested blocks": lambda: module(
        b"\x02\x40" * DEEP + b"".join(b"\x41\0\x0d" + uleb(i) for i in range(DEEP)) * 5 + END * DEEP
    ),
    "tables to all blocks": lambda: module(
        b"\x02\x40" * DEEP
        + (b"\x02\x40\x41\x03\x0e" + uleb(60_000) + b"".join(uleb(i % DEEP) for i in range(60_001)) + END) * 5
        + END * DEEP
    ),
    "merges of many registers": lambda: module(
        repeat(b"".join(get(i) + b"\x41\x01\x6a" + put(i) for i in range(11)) + b"\x41\0\x0d\x00", b"\x02\x40", END),
        locals_=((200, I32),),
    ),
    "deep operands": lambda: module(repeat(get(0) * 190_000 + b"\x6a" * 189_999 + b"\x1a"), locals_=((1, I32),)),
    "float constants": lambda: module(
        b"".join(get(0) + b"\x44" + i.to_bytes(7, "little") + b"\x3f\xa0" + put(0) for i in range(100_000)),
        locals_=F64_1,
    ),
    "unreachable blocks": lambda: module(repeat(b"\x02\x40\x0b", b"\x00")),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_time_is_linear(shape: str) -> None:
    binary = SHAPES[shape]()
    made = engine()
    before = time.process_time()
    compile_module(made, binary)
    assert time.process_time() - before < 3  # tenths of a second in a release build; quadratic ones take minutes


def test_a_frame_that_is_too_large_is_refused() -> None:
    loads = b"\x41\0\x28\0\0" * 190_000 + b"\x6a" * 189_999 + b"\x1a"
    with pytest.raises(LimitError, match=r"FRAME_BYTES.*function 0"):
        compile_module(engine(), module(loads))


def test_random_programs_pass_the_checks_of_the_allocator() -> None:
    made = engine(debug_checks=True, wasm_memory64=True)
    for seed in range(100, 140):
        compile_module(made, Program(seed).binary)


def test_a_local_that_is_still_zero_is_not_held_by_a_loop() -> None:
    """It is nowhere stored before something after the loop may set it: a register for it would be filled from what an earlier call left there."""
    store = Store(Engine())
    text = """(module
      (func $nothing)
      (func $leave (param i32) (call $nothing) (drop (local.get 0)))
      (func $zero (param $never i32) (result i32) (local $z i32)
        (loop (drop (local.get $z)))
        (if (local.get $never) (then (local.set $z (i32.const 1))))
        (local.get $z))
      (func (export "f") (result i32)
        (call $leave (i32.const 77))
        (call $zero (i32.const 0))))"""
    exports = Instance(store, Module(store.engine, text), []).exports(store)
    assert exports["f"](store) == 0  # type: ignore[operator]


def test_an_entry_below_a_block_stays_where_it_is_in_blocks_inside() -> None:
    """Many aliases go to their slots at a block; those below the block around it must not, since a branch may have left that one before."""
    store = Store(Engine())
    under, over = 60, 10
    text = f"""(module (func (export "f") (param i32 i32) (result i32)
      {"(local.get 0)" * under}
      (block (br_if 0 (local.get 1))
        {"(local.get 0)" * over} (block (br_if 0 (i32.eq (local.get 0) (i32.const 77))) (drop (i32.const 1))) {"drop " * over})
      {"i32.add " * (under - 1)}))"""
    exports = Instance(store, Module(store.engine, text), []).exports(store)
    assert [exports["f"](store, 3, leaves) for leaves in (0, 1)] == [180, 180]  # type: ignore[operator]


@pytest.mark.parametrize("bits", [32, 64])
def test_rotations_by_constants(bits: int) -> None:
    """Into another register than the operand's, which lives on."""
    t, mask = f"i{bits}", (1 << bits) - 1
    value = 0x8123_4567_89AB_CDEF & mask
    cases = [(name, count) for name in ("rotl", "rotr") for count in (0, 1, 7, bits // 2, bits - 1, bits, bits + 3)]
    funcs = "".join(
        f'(func (export "f{n}") (param {t}) (result {t}) ({t}.xor ({t}.{name} (local.get 0) ({t}.const {count})) (local.get 0)))'
        for n, (name, count) in enumerate(cases)
    )
    for config in (Config(), Config(portable=True)):
        store = Store(Engine(config))
        exports = Instance(store, Module(store.engine, f"(module {funcs})"), []).exports(store)
        for n, (name, count) in enumerate(cases):
            left = count % bits if name == "rotl" else -count % bits
            rotated = (value << left | value >> (bits - left)) & mask
            assert exports[f"f{n}"](store, value - (mask + 1)) & mask == rotated ^ value, (name, count)


def test_a_large_loop_of_many_locals() -> None:
    """Long enough that its locals get few registers of their own: rounds of a mixing function over twelve words."""
    words, rounds, times = 12, 40, 5
    body = "".join(
        f"(local.set {i % words} (i32.add (i32.rotl (local.get {(i + 5) % words}) (i32.const {i % 31 + 1}))"
        f" (i32.xor (local.get {(i + 1) % words}) (i32.and (local.get {(i + 3) % words}) (local.get {i % words})))))"
        for i in range(rounds)
    )
    text = f"""(module (func (export "f") (param {"i32 " * words}) (result {"i32 " * words}) (local $n i32)
        (local.set $n (i32.const {times}))
        (loop {body} (br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
        {" ".join(f"(local.get {i})" for i in range(words))}))"""
    state = [(i * 0x9E37_79B9 + 1) & 0xFFFF_FFFF for i in range(words)]
    start = [word - (word >> 31 << 32) for word in state]
    for i in list(range(rounds)) * times:
        word, count = state[(i + 5) % words], i % 31 + 1
        mixed = state[(i + 1) % words] ^ (state[(i + 3) % words] & state[i % words])
        state[i % words] = ((word << count | word >> (32 - count)) + mixed) & 0xFFFF_FFFF
    for config in (Config(), Config(debug_checks=True)):
        store = Store(Engine(config))
        found = Instance(store, Module(store.engine, text), []).exports(store)["f"](store, *start)
        assert [word & 0xFFFF_FFFF for word in found] == state
