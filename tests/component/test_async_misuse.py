"""What programs and guests do wrong with asynchronous functions: each an exception or a trap, none a stray read, a hang or the end of the process."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

import wasmrt
from tests.component.async_guests import make, text
from wasmrt.component import StreamReader

GO = '''(func (export "go") async (result u32) (canon lift (core func $i "go") async))'''
WRITER = text(
    """(func (export "make") (local $ends i64)
         (local.set $ends (call $new))
         (call $return-stream (i32.wrap_i64 (local.get $ends)))
         (drop (call $pause))
         (drop (call $write (i32.wrap_i64 (i64.shr_u (local.get $ends) (i64.const 32))) (i32.const 0) (i32.const 60000))))
       (func (export "boom") unreachable)
       (func (export "spin") (local $n i32)
         (local.set $n (i32.const 300000000)) (loop $l (local.set $n (i32.sub (local.get $n) (i32.const 1))) (br_if $l (local.get $n))))""",
    """(func (export "make") async (result $bytes) (canon lift (core func $i "make") async))
       (func (export "boom") async (canon lift (core func $i "boom") async))
       (func (export "spin") async (canon lift (core func $i "spin")))""",
    {"pause": ("async (result u32)", "(result i32)", "")},
)


@pytest.fixture(scope="module")
def engine() -> wasmrt.Engine:
    return wasmrt.Engine()


def writer(engine: wasmrt.Engine, seconds: float = 0.0) -> Any:
    async def pause(_store: Any) -> int:
        await asyncio.sleep(seconds)
        return 0

    return make(engine, WRITER, lambda root: root.add_func_async("pause", pause) if seconds else root.add_func("pause", lambda _store: 0))


def test_a_stream_of_a_guest_that_trapped(engine: wasmrt.Engine) -> None:
    """Its memory is gone with the store."""
    instance = writer(engine)
    reader = instance.exports.make()
    with pytest.raises(wasmrt.Trap, match="unreachable"):
        instance.exports.boom()
    with pytest.raises(wasmrt.Trap, match="unreachable"):
        reader.read(10)
    instance.store.close()
    with pytest.raises(wasmrt.WasmError):
        reader.read(50_000)


def test_a_reader_in_another_thread(engine: wasmrt.Engine) -> None:
    instance = writer(engine)
    reader = instance.exports.make()
    thread = threading.Thread(target=instance.exports.spin.with_options(gil="release"))
    thread.start()
    time.sleep(0.02)
    found = []
    while thread.is_alive():
        try:
            found.append(len(reader.read(10)))
        except wasmrt.WasmError as error:
            assert "in use by another thread" in str(error)
    thread.join()
    assert len(found) <= 1 and instance.exports.spin() is None


def test_reads_that_are_given_up(engine: wasmrt.Engine) -> None:
    instance = writer(engine, 0.1)

    async def main() -> bytes:
        reader = await instance.exports.make.call_async()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(reader.read_async(10), 0.01)
        return await reader.read_async(20)

    assert len(asyncio.run(main())) == 20


@pytest.mark.parametrize(("count", "error"), [(1.5, TypeError), (-1, ValueError), (None, TypeError)])
def test_counts_of_elements(engine: wasmrt.Engine, count: Any, error: type[Exception]) -> None:
    reader = writer(engine).exports.make()
    with pytest.raises(error):
        reader.read(count)
    assert len(reader.read(7)) == 7


def test_a_reader_that_was_never_made() -> None:
    StreamReader.__new__(StreamReader).close()


TAKE = text(
    """(func (export "take") (param i32)
         (drop (call $read (local.get 0) (i32.const 50000) (i32.const 4)))
         (call $task.return (i32.load (i32.const 50004))))""",
    '(func (export "take") async (param "s" $bytes) (result u32) (canon lift (core func $i "take") async))',
)


class Longer(list[int]):
    def __getitem__(self, index: Any) -> Any:
        return [7] * 20_000


def test_no_more_is_written_than_a_guest_asked_for(engine: wasmrt.Engine) -> None:
    instance = make(engine, TAKE)
    assert instance.exports.take(memoryview(b"\x07" * 100)) == 0
    assert instance.exports.take(Longer([1] * 10)) == 0
    with pytest.raises(TypeError, match="one dimension"):
        instance.exports.take(memoryview(b"\x07" * 10_000).cast("B", (100, 100)))


def test_coroutines_of_a_loop_that_does_not_run(engine: wasmrt.Engine) -> None:
    async def wait(_store: Any) -> int:
        await asyncio.sleep(1000)
        return 3

    body = '(func (export "go") (result i32) (call $pause)) (func (export "two") (result i32) (i32.const 2))'
    lifts = "".join(f'(func (export "{name}") async (result u32) (canon lift (core func $i "{name}")))' for name in ("go", "two"))
    instance = make(engine, text(body, lifts, {"pause": ("async (result u32)", "(result i32)", "")}), lambda root: root.add_func_async("pause", wait))
    loop = asyncio.new_event_loop()

    async def begin() -> Any:
        task = asyncio.ensure_future(instance.exports.go.call_async())
        await asyncio.sleep(0.01)
        return task

    task = loop.run_until_complete(begin())
    for _ in range(2):
        with pytest.raises(wasmrt.WasmError, match="another event loop"):
            instance.exports.two()
        loop.close()
    assert not task.done()
    task._log_destroy_pending = False


OTHER = """(module (import "" "h" (func $h (result i32)))
  (func (export "call") (result i32) (call $h))
  (func (export "five") (result i32) (i32.const 5))
  (func $down (export "down") (param i32) (result i32) (i32.add (i32.const 1) (call $down (i32.add (i32.const 1) (local.get 0))))))"""


@pytest.mark.parametrize("in_thread", [False, True], ids=["main thread", "thread"])
def test_other_stores_on_the_stack_of_a_task(engine: wasmrt.Engine, in_thread: bool) -> None:
    """A store that is entered there finds its end; one that was entered on the stack below cannot tell where it is, and is refused."""
    module = wasmrt.Module(engine, OTHER)
    outcomes: list[Any] = []

    def host(_store: Any) -> int:
        fresh = wasmrt.Store(engine)
        exports = wasmrt.Instance(fresh, module, [wasmrt.Func(fresh, kind, lambda: 0)]).exports
        outcomes.append(exports["five"](fresh))
        for exported, store in ((exports, fresh), (outer, below)):
            with pytest.raises(wasmrt.Trap, match="call stack exhausted"):
                exported["down"](store, 0)
        return 3

    task = make(engine, text('(func (export "go") (call $task.return (call $host)))', GO, {"host": ("(result u32)", "(result i32)", "")}), lambda root: root.add_func("host", host))
    kind = wasmrt.FuncType([], [wasmrt.ValType.i32()])
    below = wasmrt.Store(engine)
    outer = wasmrt.Instance(below, module, [wasmrt.Func(below, kind, lambda: task.exports.go())]).exports

    def run() -> None:
        outcomes.append(outer["call"](below))

    if in_thread:
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    else:
        run()
    assert outcomes == [5, 3]


SETS = """(component
  (component $B
    (type $f (future))
    (core func $set (canon waitable-set.new)) (core func $join (canon waitable.join)) (core func $new (canon future.new $f))
    (core module $m (import "" "set" (func $set (result i32))) (import "" "join" (func $join (param i32 i32))) (import "" "new" (func $new (result i64)))
      (global $s (mut i32) (i32.const 0))
      (func $fill (local $n i32) (local.set $n (i32.const 4000)) (global.set $s (call $set))
        (loop $l (call $join (i32.wrap_i64 (call $new)) (global.get $s)) (local.set $n (i32.sub (local.get $n) (i32.const 1))) (br_if $l (local.get $n))))
      (func (export "wait") (result i32)
        (if (i32.eqz (global.get $s)) (then (call $fill)))
        (i32.or (i32.const 2) (i32.shl (global.get $s) (i32.const 4))))
      (func (export "back") (param i32 i32 i32) (result i32) (i32.const 0)))
    (core instance $i (instantiate $m (with "" (instance (export "set" (func $set)) (export "join" (func $join)) (export "new" (func $new))))))
    (func (export "wait") async (canon lift (core func $i "wait") async (callback (core func $i "back")))))
  (component $A (import "wait" (func $wait async))
    (core func $wait-core (canon lower (func $wait) async)) (core func $yield (canon thread.yield))
    (core module $m (import "" "wait" (func $wait (result i32))) (import "" "yield" (func $yield (result i32)))
      (func (export "go") (local $n i32) (local.set $n (i32.const 4000))
        (loop $l (drop (call $wait)) (local.set $n (i32.sub (local.get $n) (i32.const 1))) (br_if $l (local.get $n)))
        (loop $m (drop (call $yield)) (br $m))))
    (core instance $i (instantiate $m (with "" (instance (export "wait" (func $wait-core)) (export "yield" (func $yield))))))
    (func (export "go") async (canon lift (core func $i "go") async)))
  (instance $b (instantiate $B)) (instance $a (instantiate $A (with "wait" (func $b "wait"))))
  (export "go" (func $a "go")))"""


def test_a_timeout_ends_tasks_on_large_sets(engine: wasmrt.Engine) -> None:
    """Who is ready is known without a look at the 4,000 members of the set that 4,000 tasks wait for."""
    started = time.process_time()
    with pytest.raises(wasmrt.Trap, match="interrupt"):
        make(engine, SETS).exports.go.with_options(timeout=0.2)()
    assert time.process_time() - started < 20
