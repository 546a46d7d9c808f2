"""The canonical built-ins of the asynchronous ABI, by the text format's names (CanonicalABI.md: Canonical Built-ins).

Each is a function of (`Spec`, `Instance`, core arguments) that returns the core result, None without one, or BLOCKED. They raise Traps; the messages are those
that the conformance scripts know.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from wasmrt._native import fibers
from wasmrt._native.abi import Plan
from wasmrt._native.fibers import HostArguments, Intrinsic, LoanScope, ThreadStart
from wasmrt._native.resources import ComponentInstance
from wasmrt.abi.plan import compile_func
from wasmrt.errors import ArtifactError
from wasmrt.spec import types as t
from wasmrt.spec._gen import traps
from wasmrt.spec.core_types import VALTYPE_F64, VALTYPE_I64, CoreFuncType

from .lifts import Elements, Options
from .streams import Buffer, Channel, End, EndState, add_end, get_end
from .tasks import EVENT_NONE, EVENT_TASK_CANCELLED, Event, Instance, State, Thread, yielding
from .waitables import ErrorContext, Subtask, Waitable, WaitableSet

_BLOCKED = 0xFFFFFFFF  # what guests see


@dataclass(frozen=True, slots=True)
class Spec:
    """One built-in as it was defined. `type`: the stream or future, or what task.return returns; `start`: the engine-wide id of a thread function's type."""

    name: str
    instance: int
    signature: CoreFuncType
    type: t.AnyValType | None = None
    elements: Elements | None = None
    options: Options | None = None
    number: int = 0
    async_: bool = False
    cancellable: bool = False
    table: int | None = None
    start: int = 0

    @property
    def is_future(self) -> bool:
        return isinstance(self.type, t.FutureType)

    @property
    def memory(self) -> int:
        assert self.options is not None and self.options.memory is not None
        return self.options.memory


Body = Callable[..., Any]
_BODIES: dict[str, Body] = {}
# may be called while the instance may not leave
_ALWAYS = {"context.get", "context.set", "backpressure.inc", "backpressure.dec"}


def _body(*names: str) -> Callable[[Body], Body]:
    def register(body: Body) -> Body:
        for name in names:
            _BODIES[name] = body
        return body

    return register


def wide_params(signature: CoreFuncType) -> int:
    """Which parameters have 64 bits, as Intrinsic wants it."""
    return sum(1 << at for at, word in enumerate(signature.params) if word in (VALTYPE_I64, VALTYPE_F64))


def intrinsic(spec: Spec) -> Intrinsic:
    """The function that core code gets."""
    body = _BODIES.get(spec.name)
    if body is None:
        raise ArtifactError(f"the artifact's records are damaged: no built-in `{spec.name}`")
    checks = spec.name not in _ALWAYS

    def call(state: ComponentInstance, *args: int) -> Any:
        instance = cast(State, state.tasks).instance(spec.instance)
        if checks:
            instance.check_may_leave()
        return body(spec, instance, *args)

    return Intrinsic(call, len(spec.signature.params), bool(spec.signature.results), wide_params(spec.signature))


# --- tasks ---------------------------------------------------------------------------------------------------------


@_body("context.get")
def _context_get(spec: Spec, instance: Instance) -> int:
    return instance.current().storage[spec.number]


@_body("context.set")
def _context_set(spec: Spec, instance: Instance, value: int) -> None:
    instance.current().storage[spec.number] = value


@_body("backpressure.inc")
def _backpressure_inc(spec: Spec, instance: Instance) -> None:
    instance.change_backpressure(1)


@_body("backpressure.dec")
def _backpressure_dec(spec: Spec, instance: Instance) -> None:
    instance.change_backpressure(-1)


@_body("task.return")
def _task_return(spec: Spec, instance: Instance, *values: int) -> None:
    task = instance.current().task
    lift, options = task.lift, spec.options
    if lift is None or not lift.async_:
        raise fibers.trap(
            traps.CANONICAL_ABI, "invalid `task.return` call: the current task was not lifted with `async`"
        )
    assert options is not None
    same = lift.options.memory == options.memory and lift.options.encoding == options.encoding
    if spec.type != lift.result or not (same or spec.type is None):
        raise fibers.trap(traps.CANONICAL_ABI, "invalid `task.return` signature and/or options for current task")
    task.return_(list(values))


@_body("task.cancel")
def _task_cancel(spec: Spec, instance: Instance) -> None:
    task = instance.current().task
    if task.lift is None or not task.lift.async_:
        raise fibers.trap(
            traps.CANONICAL_ABI, "invalid `task.cancel` call: the current task was not lifted with `async`"
        )
    task.cancel()


# --- waitables -----------------------------------------------------------------------------------------------------


def _set(instance: Instance, index: int) -> WaitableSet:
    return instance.get(index, WaitableSet, WaitableSet.name)


@_body("waitable-set.new")
def _set_new(spec: Spec, instance: Instance) -> int:
    return instance.add(WaitableSet())


@_body("waitable-set.wait")
def _set_wait(spec: Spec, instance: Instance, index: int, address: int) -> Any:
    waitables = _set(instance, index)
    thread = instance.current()
    waitables.num_waiting += 1

    def finish() -> int:
        waitables.num_waiting -= 1
        event = (EVENT_TASK_CANCELLED, 0, 0) if thread.cancelled else waitables.take_event()
        return _deliver(spec, instance, address, event)

    return thread.block(waitables.has_event, finish, cancellable=spec.cancellable)


@_body("waitable-set.poll")
def _set_poll(spec: Spec, instance: Instance, index: int, address: int) -> int:
    waitables = _set(instance, index)
    event: Event = (EVENT_NONE, 0, 0)
    if spec.cancellable and instance.current().task.take_cancellation():
        event = (EVENT_TASK_CANCELLED, 0, 0)
    elif waitables.has_event():
        event = waitables.take_event()
    return _deliver(spec, instance, address, event)


def _deliver(spec: Spec, instance: Instance, address: int, event: Event) -> int:
    if address % 4:
        raise fibers.trap(traps.UNALIGNED_POINTER, "unaligned pointer")
    fibers.write_u32(instance.native, spec.memory, address, event[1:])
    return event[0]


@_body("waitable-set.drop")
def _set_drop(spec: Spec, instance: Instance, index: int) -> None:
    _set(instance, index).check_drop()
    instance.remove(index)


@_body("waitable.join")
def _join(spec: Spec, instance: Instance, index: int, set_index: int) -> None:
    waitable = instance.get(index, Waitable, Waitable.name)
    waitable.join(_set(instance, set_index) if set_index else None)


def _wait_for(thread: Thread, waitable: Waitable) -> Any:
    """The payload of the waitable's event, once there is one."""
    if waitable.event is not None:
        return waitable.take_event()[2]
    waitable.has_sync_waiter = True

    def finish() -> int:
        waitable.has_sync_waiter = False
        return waitable.take_event()[2]

    return thread.block(lambda: waitable.event is not None, finish)


# --- subtasks ------------------------------------------------------------------------------------------------------


@_body("subtask.cancel")
def _subtask_cancel(spec: Spec, instance: Instance, index: int) -> Any:
    if not spec.async_:
        instance.check_may_block()
    subtask = instance.get(index, Subtask, Subtask.name)
    if subtask.is_delivered or subtask.cancellation_requested:
        raise fibers.handle_trap("`subtask.cancel` called after terminal status delivered")
    if not spec.async_:
        subtask.check_synchronous_use()
    thread = instance.current()
    if not subtask.is_resolved:
        subtask.cancel()
        if not subtask.is_resolved:
            return _BLOCKED if spec.async_ else _wait_resolved(thread, subtask)
    return subtask.take_event()[2]


def _wait_resolved(thread: Thread, subtask: Subtask) -> Any:
    """A synchronous cancellation passes over events of a subtask that goes on."""
    subtask.event = None
    subtask.has_sync_waiter = True

    def finish() -> int:
        subtask.has_sync_waiter = False
        return subtask.take_event()[2]

    return thread.block(lambda: subtask.is_resolved, finish)


@_body("subtask.drop")
def _subtask_drop(spec: Spec, instance: Instance, index: int) -> None:
    instance.get(index, Subtask, Subtask.name).drop(instance)


# --- streams and futures -------------------------------------------------------------------------------------------


def _end(spec: Spec, instance: Instance, index: int, is_readable: bool) -> End:
    assert spec.elements is not None
    return get_end(instance, index, spec.elements, spec.is_future, is_readable)


@_body("stream.new", "future.new")
def _new(spec: Spec, instance: Instance) -> int:
    assert spec.elements is not None
    channel = Channel(spec.elements, spec.is_future)
    readable = add_end(instance, channel, True)
    return readable | add_end(instance, channel, False) << 32


@_body("stream.read", "stream.write", "future.read", "future.write")
def _copy(spec: Spec, instance: Instance, index: int, address: int, count: int = 1) -> Any:
    verb = spec.name.partition(".")[2]
    assert spec.options is not None and spec.elements is not None
    is_async = spec.options.async_
    if not is_async:
        instance.check_may_block()
    end = _end(spec, instance, index, verb == "read")
    end.check_idle(verb)
    if not is_async:
        end.check_synchronous_use()
    end.copy(Buffer(instance, spec.options, spec.elements, address, count))
    if is_async and end.event is None:
        return _BLOCKED
    return _wait_for(instance.current(), end)


@_body("stream.cancel-read", "stream.cancel-write", "future.cancel-read", "future.cancel-write")
def _cancel_copy(spec: Spec, instance: Instance, index: int) -> Any:
    if not spec.async_:
        instance.check_may_block()
    end = _end(spec, instance, index, spec.name.endswith("-read"))
    if end.state is not EndState.COPYING or end.has_sync_waiter:
        raise fibers.handle_trap(f"`{spec.name}` called while no operation is active")
    if not spec.async_:
        end.check_synchronous_use()
    end.cancel()
    return _wait_for(instance.current(), end)


@_body("stream.drop-readable", "stream.drop-writable", "future.drop-readable", "future.drop-writable")
def _drop(spec: Spec, instance: Instance, index: int) -> None:
    _end(spec, instance, index, spec.name.endswith("-readable")).drop(instance)


# --- threads -------------------------------------------------------------------------------------------------------


@_body("thread.index")
def _thread_index(spec: Spec, instance: Instance) -> int:
    return instance.current().index


@_body("thread.new-indirect")
def _thread_new(spec: Spec, instance: Instance, element: int, context: int) -> int:
    assert spec.table is not None
    start = ThreadStart(instance.native, spec.table, element, context, spec.start)
    thread = Thread(instance.current().task)
    thread.step = lambda: thread.run(lambda fiber: fiber.start_thread(start), lambda values: thread.exit())
    thread.register()
    return thread.index


def _suspended(instance: Instance, index: int) -> Thread:
    thread = instance.thread(index)
    if not thread.is_suspended:
        raise fibers.handle_trap("cannot resume thread which is not suspended")
    return thread


@_body("thread.resume-later")
def _resume_later(spec: Spec, instance: Instance, index: int) -> None:
    _suspended(instance, index).wait(yielding)


def _block(spec: Spec, instance: Instance, ready: Callable[[], bool] | None, switch_to: Thread | None = None) -> Any:
    thread = instance.current()
    return thread.block(ready, lambda: int(thread.cancelled), cancellable=spec.cancellable, switch_to=switch_to)


@_body("thread.suspend")
def _suspend(spec: Spec, instance: Instance) -> Any:
    return _block(spec, instance, None)


@_body("thread.yield")
def _yield(spec: Spec, instance: Instance) -> Any:
    return _block(spec, instance, yielding)


@_body("thread.suspend-then-resume")
def _suspend_then_resume(spec: Spec, instance: Instance, index: int) -> Any:
    return _block(spec, instance, None, _suspended(instance, index))


@_body("thread.yield-then-resume")
def _yield_then_resume(spec: Spec, instance: Instance, index: int) -> Any:
    return _block(spec, instance, yielding, _suspended(instance, index))


def _promoted(instance: Instance, index: int) -> Thread | None:
    thread = instance.thread(index)
    return thread if not thread.is_running and thread.is_ready() else None


@_body("thread.suspend-then-promote")
def _suspend_then_promote(spec: Spec, instance: Instance, index: int) -> Any:
    return _block(spec, instance, None, _promoted(instance, index))


@_body("thread.yield-then-promote")
def _yield_then_promote(spec: Spec, instance: Instance, index: int) -> Any:
    return _block(spec, instance, yielding, _promoted(instance, index))


# --- error contexts ------------------------------------------------------------------------------------------------

_MESSAGE_CHARS = 1024  # the specification lets hosts shorten messages; guests keep as many as they like
_MESSAGE = Plan(compile_func(t.FuncType((("message", t.String()),), None)))


@_body("error-context.new")
def _error_new(spec: Spec, instance: Instance, address: int, units: int) -> int:
    assert spec.options is not None
    loans = LoanScope(instance.native, instance.index, instance.index)
    values = [address, units]
    (message,) = fibers.lift_values(instance.native, _MESSAGE, loans, values, spec.memory, spec.options.encoding)
    return instance.add(ErrorContext(message[:_MESSAGE_CHARS]))


@_body("error-context.debug-message")
def _error_message(spec: Spec, instance: Instance, index: int, address: int) -> None:
    options = spec.options
    assert options is not None
    error = instance.get(index, ErrorContext, ErrorContext.name)
    loans = LoanScope(instance.native, instance.index, instance.index)
    arguments = HostArguments(
        instance.native, _MESSAGE, loans, (error.message,), options.memory, options.realloc, options.encoding
    )
    pointer, length = arguments.commit()
    arguments.finish()
    if address % 4:
        raise fibers.trap(traps.UNALIGNED_POINTER, "unaligned pointer")
    fibers.write_u32(instance.native, spec.memory, address, (pointer & 0xFFFFFFFF, length & 0xFFFFFFFF))


@_body("error-context.drop")
def _error_drop(spec: Spec, instance: Instance, index: int) -> None:
    instance.get(index, ErrorContext, ErrorContext.name)
    instance.remove(index)
