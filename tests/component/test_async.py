"""The asynchronous ABI from Python: calls, coroutines on both sides, streams and futures as Python objects. What guests do among themselves is in the
conformance scripts."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import wasmrt
from tests.component.async_guests import make, text
from wasmrt.component import Component, FutureReader, Linker, StreamReader


@pytest.fixture(scope="module")
def engine() -> wasmrt.Engine:
    return wasmrt.Engine()


COUNTER = text(
    """(global $left (mut i32) (i32.const 0))
       (func (export "count") (param i32) (result i32) (global.set $left (local.get 0)) (i32.const 1))
       (func (export "count-cb") (param i32 i32 i32) (result i32)
         (if (i32.eqz (global.get $left)) (then (call $task.return (i32.const 7)) (return (i32.const 0))))
         (global.set $left (i32.sub (global.get $left) (i32.const 1))) (i32.const 1))
       (func (export "echo") (param i32 i32) (drop (call $yield)) (call $return-string (local.get 0) (local.get 1)))
       (func (export "sync") (param i32) (result i32) (drop (call $yield)) (i32.add (local.get 0) (i32.const 1)))
       (func (export "forget") (result i32) (i32.const 0))
       (func (export "stuck") (result i32) (i32.or (i32.const 2) (i32.shl (call $set-new) (i32.const 4))))""",
    """(func (export "count") async (param "n" u32) (result u32) (canon lift (core func $i "count") async (callback (core func $i "count-cb"))))
       (func (export "echo") async (param "text" string) (result string) (canon lift (core func $i "echo") async (memory $memory) (realloc $realloc)))
       (func (export "sync") async (param "n" u32) (result u32) (canon lift (core func $i "sync")))
       (func (export "forget") async (result u32) (canon lift (core func $i "forget") async (callback (core func $i "count-cb"))))
       (func (export "stuck") async (result u32) (canon lift (core func $i "stuck") async (callback (core func $i "count-cb"))))""",
)


def test_calls(engine: wasmrt.Engine) -> None:
    instance = make(engine, COUNTER)
    exports = instance.exports
    assert exports.count(100) == 7 == exports.count(instance.store, 3) == exports.count(n=0)
    assert exports.echo("äöü" * 100) == "äöü" * 100
    assert exports.sync(41) == 42
    assert str(exports.echo.type()) == "async func(text: string) -> string"
    with pytest.raises(TypeError):
        exports.count("x")
    with pytest.raises(TypeError):
        exports.count(1, 2)
    assert exports.count(1) == 7
    assert wasmrt.load(COUNTER).count(5) == 7


@pytest.mark.parametrize(
    ("name", "code", "message"), [("forget", 18, "failed to produce a result"), ("stuck", 22, "deadlock detected")]
)
def test_tasks_that_do_not_return(engine: wasmrt.Engine, name: str, code: int, message: str) -> None:
    instance = make(engine, COUNTER)
    with pytest.raises(wasmrt.Trap, match=message) as caught:
        instance.exports[name]()
    assert int(caught.value.trap_code) == code  # type: ignore[arg-type]
    with pytest.raises(wasmrt.Trap, match="cannot enter component instance"):
        instance.exports.count(1)


def test_coroutines_take_turns(engine: wasmrt.Engine) -> None:
    instances = [make(engine, COUNTER) for _ in range(3)]

    async def main() -> list[int]:
        calls = [instance.exports.count.call_async(number) for instance in instances for number in (20, 5)]
        return await asyncio.gather(*calls)

    assert asyncio.run(main()) == [7] * 6

    async def stuck() -> None:
        await instances[0].exports.stuck.call_async()

    with pytest.raises(wasmrt.Trap, match="deadlock"):
        asyncio.run(stuck())


WAITER = text(
    """(func (export "run") (param i32) (result i32) (local $set i32) (local $first i32) (local $second i32) (local $code i32)
         (local.set $set (call $set-new))
         (local.set $first (call $fetch (local.get 0) (i32.const 64)))
         (local.set $second (call $fetch (i32.add (local.get 0) (i32.const 1)) (i32.const 68)))
         (if (i32.eq (local.get $first) (i32.const 2)) (then (return (i32.const 1000))))
         (call $join (i32.shr_u (local.get $first) (i32.const 4)) (local.get $set))
         (call $join (i32.shr_u (local.get $second) (i32.const 4)) (local.get $set))
         (drop (call $wait (local.get $set) (i32.const 32)))
         (call $drop (i32.load (i32.const 32)))
         (drop (call $wait (local.get $set) (i32.const 32)))
         (call $drop (i32.load (i32.const 32)))
         (i32.add (i32.load (i32.const 64)) (i32.load (i32.const 68))))
       (func (export "block") (param i32) (result i32) (call $ask (local.get 0)))
       (func (export "give-up") (param i32) (result i32) (local $task i32)
         (local.set $task (i32.shr_u (call $fetch (local.get 0) (i32.const 64)) (i32.const 4)))
         (if (i32.ne (call $cancel (local.get $task)) (i32.const -1)) (then unreachable))
         (local.set 0 (call $set-new))
         (call $join (local.get $task) (local.get 0))
         (drop (call $wait (local.get 0) (i32.const 32)))
         (i32.load (i32.const 36)))""",
    """(func (export "run") async (param "n" u32) (result u32) (canon lift (core func $i "run")))
       (func (export "block") async (param "n" u32) (result u32) (canon lift (core func $i "block")))
       (func (export "give-up") async (param "n" u32) (result u32) (canon lift (core func $i "give-up")))""",
    {
        "fetch": ('async (param "n" u32) (result u32)', "(param i32 i32) (result i32)", "async (memory $memory)"),
        "ask": ('async (param "n" u32) (result u32)', "(param i32) (result i32)", ""),
    },
)


def test_host_coroutines(engine: wasmrt.Engine) -> None:
    seen: list[Any] = []

    async def fetch(store: Any, n: int) -> int:
        seen.append(n)
        try:
            await asyncio.sleep(0.001 if n < 1000 else 100)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise
        return n * 10

    def define(root: Any) -> None:
        root.add_func_async("fetch", fetch)
        root.add_func_async("ask", fetch)

    instance = make(engine, WAITER, define)
    assert instance.exports.run(1) == 30  # in an event loop of its own
    assert instance.exports.block(4) == 40

    async def main() -> Any:
        return await asyncio.gather(
            instance.exports.run.call_async(2), instance.exports.block.call_async(5), instance.exports.run.call_async(7)
        )

    assert asyncio.run(main()) == [50, 50, 150]
    assert instance.exports["give-up"](1000) == 4


def test_plain_functions_serve_async_imports(engine: wasmrt.Engine) -> None:
    def define(root: Any) -> None:
        root.func("fetch")(lambda n: n)
        root.func("ask")(lambda n: n + 1)

    instance = make(engine, WAITER, define)
    assert instance.exports.run(1) == 1000 and instance.exports.block(1) == 2
    with pytest.raises(TypeError):
        Linker(engine).root().add_func("ask", _later)
    sync = '(component (import "f" (func $f (param "x" u32) (result u32))))'
    linker = Linker(engine)
    linker.root().add_func_async("f", _later)
    with pytest.raises(wasmrt.LinkError, match="coroutine"):
        linker.instantiate(wasmrt.Store(engine), Component(engine, sync))
    loaded = wasmrt.load(WAITER, {"fetch": _plain_later, "ask": lambda n: 1})
    assert loaded.run(3) == 7


async def _later(store: Any, n: int) -> int:
    return n


async def _plain_later(n: int) -> int:
    await asyncio.sleep(0)
    return n


def test_exceptions_of_coroutines(engine: wasmrt.Engine) -> None:
    async def fetch(store: Any, n: int) -> int:
        await asyncio.sleep(0)
        raise LookupError("no such thing")

    def define(root: Any) -> None:
        root.add_func_async("fetch", fetch)
        root.add_func_async("ask", fetch)

    for name in ("run", "block"):
        instance = make(engine, WAITER, define)
        with pytest.raises(LookupError, match="no such thing"):
            instance.exports[name](1)
        with pytest.raises(wasmrt.Trap, match="cannot enter"):
            instance.exports[name](1)

        async def main(func: Any) -> None:
            await func.call_async(1)

        with pytest.raises(LookupError):
            asyncio.run(main(make(engine, WAITER, define).exports[name]))


STREAMS = text(
    """(func (export "produce") (param i32) (result i32) (local $both i64) (local $tx i32)
         (local.set $both (call $new))
         (local.set $tx (i32.wrap_i64 (i64.shr_u (local.get $both) (i64.const 32))))
         (call $return-stream (i32.wrap_i64 (local.get $both)))
         (block $gone (loop $again
           (br_if $gone (i32.eqz (local.get 0)))
           (i32.store8 (i32.const 128) (local.get 0))
           (br_if $gone (i32.eq (i32.const 1) (i32.and (i32.const 15) (call $write (local.get $tx) (i32.const 128) (i32.const 1)))))
           (local.set 0 (i32.sub (local.get 0) (i32.const 1)))
           (br $again)))
         (call $drop-writable (local.get $tx))
         (i32.const 0))
       (func (export "cb") (param i32 i32 i32) (result i32) unreachable)
       (func (export "total") (param i32) (result i32) (local $sum i32) (local $got i32) (local $at i32)
         (block $over (loop $more
           (local.set $got (call $read (local.get 0) (i32.const 1024) (i32.const 100)))
           (local.set $at (i32.const 0))
           (loop $each (if (i32.lt_u (local.get $at) (i32.shr_u (local.get $got) (i32.const 4))) (then
             (local.set $sum (i32.add (local.get $sum) (i32.load8_u offset=1024 (local.get $at))))
             (local.set $at (i32.add (local.get $at) (i32.const 1)))
             (br $each))))
           (br_if $over (i32.and (local.get $got) (i32.const 1)))
           (br $more)))
         (call $drop-readable (local.get 0))
         (local.get $sum))
       (func (export "first") (param i32) (result i32)
         (drop (call $read (local.get 0) (i32.const 1024) (i32.const 1))) (call $drop-readable (local.get 0)) (i32.load8_u (i32.const 1024)))
       (func (export "lengths") (param i32) (result i32) (local $got i32) (local $sum i32)
         (loop $more
           (local.set $got (call $read-texts (local.get 0) (i32.const 1024) (i32.const 1)))
           (if (i32.shr_u (local.get $got) (i32.const 4)) (then
             (local.set $sum (i32.add (i32.mul (local.get $sum) (i32.const 10)) (i32.load (i32.const 1028))))))
           (br_if $more (i32.eqz (i32.and (local.get $got) (i32.const 1)))))
         (local.get $sum))
       (func (export "texts") (result i32) (local $both i64)
         (local.set $both (call $new-texts))
         (i32.store (i32.const 2048) (i32.const 2064)) (i32.store (i32.const 2052) (i32.const 2))
         (i32.store (i32.const 2056) (i32.const 2065)) (i32.store (i32.const 2060) (i32.const 1))
         (i32.store16 (i32.const 2064) (i32.const 0x6968))
         (drop (call $write-texts (i32.wrap_i64 (i64.shr_u (local.get $both) (i64.const 32))) (i32.const 2048) (i32.const 2)))
         (i32.wrap_i64 (local.get $both)))
       (func (export "twice") (param i32) (result i32)
         (if (call $read-future (local.get 0) (i32.const 1024)) (then unreachable))
         (i32.mul (i32.const 2) (i32.load (i32.const 1024))))
       (func (export "promise") (result i32) (local $both i64)
         (local.set $both (call $new-future))
         (i32.store (i32.const 512) (i32.const 99))
         (drop (call $write-future (i32.wrap_i64 (i64.shr_u (local.get $both) (i64.const 32))) (i32.const 512)))
         (i32.wrap_i64 (local.get $both)))
       (func (export "pass") (param i32) (result i32) (local.get 0))""",
    """(func (export "produce") async (param "n" u32) (result $bytes) (canon lift (core func $i "produce") async (callback (core func $i "cb"))))
       (func (export "total") async (param "in" $bytes) (result u32) (canon lift (core func $i "total")))
       (func (export "first") async (param "in" $bytes) (result u32) (canon lift (core func $i "first")))
       (func (export "lengths") async (param "in" $texts) (result u32) (canon lift (core func $i "lengths")))
       (func (export "texts") (result $texts) (canon lift (core func $i "texts")))
       (func (export "twice") async (param "n" $number) (result u32) (canon lift (core func $i "twice")))
       (func (export "promise") (result $number) (canon lift (core func $i "promise")))
       (func (export "pass") (param "in" $bytes) (result $bytes) (canon lift (core func $i "pass")))""",
)


def test_streams_of_guests(engine: wasmrt.Engine) -> None:
    exports = make(engine, STREAMS).exports
    reader = exports.produce(5)
    assert type(reader) is StreamReader
    assert b"".join(reader) == bytes([5, 4, 3, 2, 1])
    assert reader.read() == b""
    with exports.produce(200) as reader:
        assert reader.read(1) == b"\xc8"
    assert exports.texts().read() == ["hi", "i"]

    async def main() -> bytes:
        chunks = [chunk async for chunk in await exports.produce.call_async(4)]
        return b"".join(chunks)

    assert asyncio.run(main()) == bytes([4, 3, 2, 1])
    reader = exports.pass_(reader) if hasattr(exports, "pass_") else exports["pass"](exports.produce(3))
    assert b"".join(reader) == bytes([3, 2, 1])


def test_python_objects_as_streams(engine: wasmrt.Engine) -> None:
    instance = make(engine, STREAMS)
    exports = instance.exports
    others = [make(engine, STREAMS, store=instance.store).exports for _ in range(3)]
    closed: list[str] = []

    def numbers() -> Iterator[int]:
        try:
            yield from range(100)
        finally:
            closed.append("numbers")

    def chunks() -> Iterator[bytes]:
        yield b"\1\2"
        yield b""
        yield bytes(1000)
        yield b"\3"

    async def slow() -> AsyncIterator[int]:
        for number in range(5):
            await asyncio.sleep(0.001)
            yield number

    assert exports.total(b"\1\2\3") == 6 == exports.total([1, 2, 3]) == exports.total(chunks())
    assert exports.total(bytes([1]) * 10000) == 10000
    assert exports.total(numbers()) == 4950 and exports.total(()) == 0
    assert exports.total(slow()) == 10
    assert exports.first(numbers()) == 0
    assert closed == ["numbers", "numbers"]
    assert exports.lengths(["a", "bcd", "ä"]) == 132 and exports.lengths(text for text in ("ab", "c")) == 21
    assert exports.total(others[0].produce(10)) == 55
    with pytest.raises(TypeError):
        exports.total(3)
    with pytest.raises(TypeError):
        exports.lengths(others[1].produce(1))
    reader = others[2].produce(2)
    assert exports.total(reader) == 3
    with pytest.raises(wasmrt.WasmError, match="given away"):
        exports.total(reader)

    async def main() -> list[int]:
        return await asyncio.gather(exports.total.call_async(slow()), exports.total.call_async(numbers()))

    assert asyncio.run(main()) == [10, 4950]


def test_futures(engine: wasmrt.Engine) -> None:
    exports = make(engine, STREAMS).exports
    promise = exports.promise()
    assert type(promise) is FutureReader and promise.result() == 99
    with pytest.raises(wasmrt.WasmError):
        promise.result()
    assert exports.twice(21) == 42

    async def value() -> int:
        await asyncio.sleep(0)
        return 4

    assert exports.twice(value()) == 8
    assert exports.twice(exports.promise()) == 198

    async def main() -> tuple[int, int]:
        return await exports.twice.call_async(value()), await exports.promise()

    assert asyncio.run(main()) == (8, 99)


def test_stores_close_with_tasks_in_the_middle(engine: wasmrt.Engine) -> None:
    for close in (True, False):
        instance = make(engine, STREAMS)
        readers = [instance.exports.produce(100) for _ in range(1)]
        assert readers[0].read(1) == b"d"
        if close:
            instance.store.close()
        del instance, readers
        gc.collect()


def test_what_is_left_of_a_store_is_collected(engine: wasmrt.Engine) -> None:
    """Suspended guests, calls that were given up, readers: in cycles that only the collector finds."""
    gone: list[int] = []

    async def never() -> AsyncIterator[int]:
        await asyncio.sleep(100)
        yield 1

    async def give_up(func: Any) -> None:
        await asyncio.wait_for(func.call_async(never()), 0.001)

    def use(number: int) -> None:
        instance = make(engine, STREAMS)
        reader = instance.exports.produce(100)
        assert reader.read(1) == b"d"
        if number % 2:
            with pytest.raises((asyncio.TimeoutError, wasmrt.Trap)):
                asyncio.run(give_up(make(engine, STREAMS, store=instance.store).exports.total))
        weakref.finalize(instance.store, gone.append, number)

    for number in range(30):
        use(number)
    gc.collect()
    assert len(gone) >= 29


def test_many_tasks(engine: wasmrt.Engine) -> None:
    async def ask(store: Any, n: int) -> int:
        await asyncio.sleep(0)
        return n

    def define(root: Any) -> None:
        root.add_func_async("fetch", ask)
        root.add_func_async("ask", ask)

    instances = [make(engine, WAITER, define) for _ in range(20)]

    async def main() -> int:
        return sum(await asyncio.gather(*(i.exports.block.call_async(n) for i in instances for n in range(10))))

    assert asyncio.run(main()) == 20 * 45


HOSTILE = text(
    """(table 1 funcref) (elem (i32.const 0) func $deep)
       (func $deep (param i32) (result i32) (i32.add (i32.const 1) (call $deep (local.get 0))))
       (func (export "deep") (param i32) (result i32) (call $deep (local.get 0)))
       (func (export "sets") (param i32) (result i32) (loop $again (drop (call $set-new)) (br $again)) unreachable)
       (func (export "loop") (param i32) (result i32) (loop $again (br $again)) unreachable)
       (func (export "tasks") (param i32) (result i32) (loop $again (drop (call $self (i32.const 0) (i32.const 64))) (br $again)) unreachable)""",
    """(func (export "deep") async (param "n" u32) (result u32) (canon lift (core func $i "deep")))
       (func (export "sets") async (param "n" u32) (result u32) (canon lift (core func $i "sets")))
       (func (export "loop") async (param "n" u32) (result u32) (canon lift (core func $i "loop")))
       (func (export "tasks") async (param "n" u32) (result u32) (canon lift (core func $i "tasks")))""",
    {"self": ('async (param "n" u32) (result u32)', "(param i32 i32) (result i32)", "async (memory $memory)")},
)


def test_what_guests_may_use_is_limited(engine: wasmrt.Engine) -> None:
    async def never(store: Any, n: int) -> int:
        raise AssertionError("no coroutine runs while the guest does")

    def define(root: Any) -> None:
        root.add_func_async("self", never)

    with pytest.raises(wasmrt.Trap, match="call stack exhausted"):
        make(engine, HOSTILE, define).exports.deep(1)
    instance = make(engine, HOSTILE, define)
    instance.store.set_timeout(0.2)
    with pytest.raises(wasmrt.Trap, match="interrupt"):
        instance.exports.loop(1)


@pytest.mark.parametrize("name", ["sets", "tasks"])
def test_tables_are_limited(engine: wasmrt.Engine, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wasmrt.spec.limits.TASK_OBJECTS", 500)

    async def never(store: Any, n: int) -> int:
        return n

    def define(root: Any) -> None:
        root.add_func_async("self", never)

    with pytest.raises(wasmrt.Trap, match="no free keys"):
        make(engine, HOSTILE, define).exports[name](1)


def test_timeouts(engine: wasmrt.Engine) -> None:
    async def slow(store: Any, n: int) -> int:
        await asyncio.sleep(100)
        return n

    def define(root: Any) -> None:
        root.add_func_async("fetch", slow)
        root.add_func_async("ask", slow)

    instance = make(engine, WAITER, define)
    func = instance.exports.block.with_options(timeout=0.1)
    with pytest.raises(wasmrt.Trap, match="timeout of 0.1 s"):
        func(1)
    assert not instance.store.tasks.host_tasks
    instance = make(wasmrt.Engine(wasmrt.Config(timeout=0.1)), HOSTILE, lambda root: root.add_func_async("self", slow))
    with pytest.raises(wasmrt.Trap, match="timeout of 0.1 s"):
        instance.exports.loop(1)


FETCHING = """(component
  (import "fetch" (func $fetch async (param "key" u32) (result u32)))
  (core func $fetch (canon lower (func $fetch)))
  (core module $m (import "" "fetch" (func $fetch (param i32) (result i32)))
    (func (export "run") (param i32) (result i32) (call $fetch (local.get 0))))
  (core instance $i (instantiate $m (with "" (instance (export "fetch" (func $fetch))))))
  (func (export "run") async (param "key" u32) (result u32) (canon lift (core func $i "run"))))"""


def test_coroutines_that_somebody_else_cancels() -> None:
    """An error of the call that waits for it, not of the machinery."""

    async def cancelled(key: int) -> int:
        raise asyncio.CancelledError

    async def slow(key: int) -> int:
        await asyncio.sleep(0.02)
        return key

    with pytest.raises(wasmrt.WasmError, match=r"the coroutine that serves the import `fetch` was cancelled"):
        wasmrt.load(FETCHING.encode(), {"fetch": cancelled}).run(1)
    loaded = wasmrt.load(FETCHING.encode(), {"fetch": slow})

    async def given_up() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(loaded.run.call_async(1), 0.001)

    asyncio.run(given_up())
    with pytest.raises(wasmrt.WasmError, match="was cancelled"):
        loaded.run(2)


def test_loaded_components() -> None:
    async def fetch(key: int) -> int:
        await asyncio.sleep(0)
        return key + 1

    async def main() -> list[int]:
        return await asyncio.gather(*(loaded.run.call_async(key) for key in range(3)))

    loaded = wasmrt.load(FETCHING.encode(), {"fetch": fetch})
    assert asyncio.run(main()) == [1, 2, 3] and loaded.run(4) == 5
