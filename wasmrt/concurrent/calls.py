"""Calls of lifted functions: from another component, from a synchronous adapter, from the host (CanonicalABI.md: canon lift, canon lower)."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pickle import PicklingError
from typing import Any, cast

from wasmrt._native import fibers
from wasmrt._native.abi import Plan
from wasmrt._native.core import Store
from wasmrt._native.fibers import HostArguments, Intrinsic, LoanScope
from wasmrt._native.options import CallOptions
from wasmrt._native.resources import ComponentInstance
from wasmrt.abi.plan import compile_func
from wasmrt.errors import ArgumentTypeError, WasmError
from wasmrt.spec import types as t
from wasmrt.spec._gen import traps
from wasmrt.spec.core_types import CoreFuncType
from wasmrt.spec.flatten import MAX_FLAT_PARAMS

from .builtins import wide_params
from .lifts import Elements, Lift, Options
from .streams import add_end, take_readable
from .tasks import Instance, State, Task
from .waitables import ErrorContext, Subtask, SubtaskState


def _instance(state: ComponentInstance, index: int) -> Instance:
    return cast(State, state.tasks).instance(index)


# --- between components --------------------------------------------------------------------------------------------


def task_call(
    signature: CoreFuncType, lower: Options, lift: Lift, num_params: int, params: int, result: int, *, recursive: bool
) -> Intrinsic:
    """What calls an async function of another component. `params` and `result` are the callback slots of its adapters, `num_params` of core values for the
    callee."""
    has_pointer = lift.result is not None and (lower.async_ or not signature.results)
    num_results = 0 if lower.async_ else len(signature.results)

    def call(state: ComponentInstance, *args: int) -> Any:
        caller = _instance(state, lower.instance)
        caller.check_may_leave()
        if recursive:
            raise fibers.trap(traps.CANNOT_ENTER_COMPONENT, "cannot enter component instance")
        thread = caller.current()
        if not lower.async_:
            caller.check_may_block()
        arguments, pointer = (list(args[:-1]), [args[-1]]) if has_pointer else (list(args), [])
        loans = LoanScope(state, lower.instance, lift.options.instance)
        subtask = Subtask(loans)

        def on_start() -> list[int]:
            subtask.progress(SubtaskState.STARTED)
            return fibers.call_core(state, params, arguments, num_params)

        def on_resolve(values: list[int] | None) -> None:
            if values is None:
                subtask.cancelled()
                return
            if lift.result is not None:
                subtask.values = fibers.call_core(state, result, values + pointer, num_results)
            subtask.progress(SubtaskState.RETURNED)

        def finish() -> Any:
            subtask.deliver()
            return subtask.values[0] if subtask.values else None

        task = subtask.task = Task(_instance(state, lift.options.instance), lift, on_start, on_resolve, loans)
        task.start()
        if not lower.async_:
            return finish() if subtask.is_resolved else thread.block(lambda: subtask.is_resolved, finish)
        if subtask.is_resolved:
            subtask.deliver()
            return int(subtask.state)
        subtask.index = caller.add(subtask)
        return subtask.state | subtask.index << 4

    return Intrinsic(call, len(signature.params), bool(signature.results), wide_params(signature))


def task_enter(index: int) -> Intrinsic:
    """Begins a synchronous call."""

    def enter(state: ComponentInstance) -> None:
        _instance(state, index).enter_synchronously()

    return Intrinsic(enter, 0, False)


def task_exit(index: int) -> Intrinsic:
    """Ends it."""

    def exit_(state: ComponentInstance) -> None:
        _instance(state, index).exit_synchronously()

    return Intrinsic(exit_, 0, False)


def task_transfer(ty: t.AnyValType, elements: Elements, src: int, dst: int) -> Intrinsic:
    """Moves the readable end of a stream or future, or an error context, from one table to another."""

    def transfer(state: ComponentInstance, index: int) -> int:
        source, target = _instance(state, src), _instance(state, dst)
        if isinstance(ty, t.ErrorContext):
            return target.add(source.get(index, ErrorContext, ErrorContext.name))
        channel = take_readable(source, index, elements, isinstance(ty, t.FutureType))
        return add_end(target, channel, True)

    return Intrinsic(transfer, 1, True)


# --- of the host ---------------------------------------------------------------------------------------------------


class _HostTask:
    """A coroutine of the host's, as its caller's subtask sees it."""

    def __init__(self, future: Any) -> None:
        self.future = future

    def request_cancellation(self) -> None:
        self.future.cancel()


def task_import(
    plan: Plan, signature: CoreFuncType, func: Callable[..., Any], options: Options, name: str, *, pass_store: bool
) -> Intrinsic:
    """`canon lower` of a host function that may be a coroutine function, or that is called with the option `async`. A function that returns an awaitable
    goes on while its caller does, or waits; any other has returned."""
    result = plan.type.result
    has_pointer = result is not None and (options.async_ or not signature.results)

    def call(state: ComponentInstance, *args: int) -> Any:
        caller = _instance(state, options.instance)
        caller.check_may_leave()
        thread = caller.current()
        loans = LoanScope(state, options.instance, options.instance)
        arguments, pointer = (list(args[:-1]), args[-1]) if has_pointer else (list(args), 0)
        values = fibers.lift_values(state, plan, loans, arguments, options.memory, options.encoding)
        subtask = Subtask(loans)
        subtask.state = SubtaskState.STARTED

        def returned(value: Any) -> None:
            found = fibers.lower_result(
                state, plan, loans, value, pointer, options.memory, options.realloc, options.encoding, name
            )
            if found is not None:
                subtask.values = [found]
            subtask.progress(SubtaskState.RETURNED)

        def finish() -> Any:
            subtask.deliver()
            return subtask.values[0] if subtask.values else None

        found = func(state.store, *values) if pass_store else func(*values)
        if not inspect.isawaitable(found):
            returned(found)
            return finish() if not options.async_ else _delivered(subtask)
        if not options.async_:
            caller.check_may_block()
        future = caller.state.spawn(found, returned)
        future.add_done_callback(lambda task: cancelled(task.cancelled()))

        def cancelled(is_cancelled: bool) -> None:
            if is_cancelled and not subtask.is_resolved:
                caller.loop.completed.append((caller.state, subtask.cancelled if subtask.cancellation_requested else lost))

        def lost() -> None:  # the guest did not ask for it: asyncio did, at its end, or the coroutine itself
            raise WasmError(f"the coroutine that serves the import `{name}` was cancelled")

        subtask.task = _HostTask(future)
        if not options.async_:
            return thread.block(lambda: subtask.is_resolved, finish)
        subtask.index = caller.add(subtask)
        return subtask.state | subtask.index << 4

    return Intrinsic(call, len(signature.params), bool(signature.results), wide_params(signature))


def _delivered(subtask: Subtask) -> int:
    subtask.deliver()
    return int(subtask.state)


# --- from the host -------------------------------------------------------------------------------------------------


class TaskFunc:
    """An exported function of a component with asynchronous parts: `func(*args)`, `func(store, *args)`, or with WIT parameter names as keywords.

    A call returns when the task has returned; until then other tasks of the store go on, too. Raises what calls of other functions raise; a Trap
    (TrapCode.ASYNC_DEADLOCK) when the task waits for something that cannot happen any more.
    """

    def __init__(self, state: ComponentInstance, plan: Plan, lift: Lift, realloc: int | None, name: str) -> None:
        self.store: Store = state.store
        self.__name__ = name
        self._state = state
        self._plan = plan
        self._lift = lift
        self._realloc = realloc
        self._options = store_options(state.store)
        self._type: Any = None
        self._returned: Plan | None = None
        if lift.async_ and lift.result is not None:
            self._returned = Plan(compile_func(t.FuncType((("result", lift.result),), None)))

    def __reduce__(self) -> Any:
        raise PicklingError(
            "a component's Func cannot be pickled: it belongs to a store; pickle the Component and make an instance of it where it arrives"
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with fibers.CallScope(self.store, self._options):
            call = self._start(args, kwargs)
            call.instance.loop.drive(call.is_done, call.instance.state)
        return call.result

    async def call_async(self, *args: Any, **kwargs: Any) -> Any:
        """The same call as a coroutine of asyncio: other coroutines run while the task waits, and the task goes on when those end that it waits for.

        >>> first, second = await asyncio.gather(func.call_async(1), func.call_async(2))
        """
        call = self._start(args, kwargs)
        await call.instance.loop.drive_async(call.is_done, call.instance.state)
        return call.result

    def with_options(self, *, gil: Any = ..., timeout: Any = ...) -> TaskFunc:
        """The same function, called with other options: `gil` and `timeout` as those of other functions; what is not given stays as it is. They hold for
        synchronous calls; limit a coroutine with asyncio.timeout.

        >>> func.with_options(timeout=0.5)(data)
        """
        other = TaskFunc(self._state, self._plan, self._lift, self._realloc, self.__name__)
        other._options = fibers.with_options(self._options, gil, timeout)
        return other

    def _start(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _HostCall:
        call = _HostCall(self, bind_arguments(self.store, self._plan, self.__name__, args, kwargs))
        call.start()
        call.instance.loop.notify()
        return call

    def type(self, store: Any = None) -> Any:
        """Its type, the resources being those of the instance."""
        if self._type is None:
            self._type = self._state.func_type(self._plan.type, self.__name__)
        return self._type

    def post_return(self, store: Any = None) -> None:
        """Nothing to do: it ran at the end of the call."""

    def __repr__(self) -> str:
        return f"<wasmrt.component.Func {self.__name__}: {self.type()}>"


class _HostCall:
    """One call from the host."""

    def __init__(self, func: TaskFunc, args: tuple[Any, ...]) -> None:
        lift, state = func._lift, func._state
        index = lift.options.instance
        self.func = func
        self.state = state
        self.loans = LoanScope(state, index, index)
        options = lift.options
        self.arguments = HostArguments(
            state, func._plan, self.loans, args, options.memory, func._realloc, options.encoding
        )
        self.is_resolved = False
        self.result: Any = None
        self.instance = _instance(state, index)
        self.task = Task(self.instance, lift, self.arguments.commit, self._resolve, self.loans)

    def is_done(self) -> bool:
        return self.is_resolved

    def start(self) -> None:
        try:
            with fibers.Entry(self.state):
                self.task.start()
        except BaseException as error:
            self.arguments.finish()
            if fibers.is_poisoned(self.state):
                self.instance.state.fail(error)
            raise

    def _resolve(self, values: list[int] | None) -> None:
        lift, func = self.func._lift, self.func
        if values is not None and lift.result is not None:
            memory, encoding = lift.options.memory, lift.options.encoding
            if func._returned is not None:
                (self.result,) = fibers.lift_values(self.state, func._returned, self.loans, values, memory, encoding)
            else:
                self.result = fibers.lift_result_of(self.state, func._plan, self.loans, values, memory, encoding)
        self.arguments.finish()
        self.is_resolved = True


class SyncTaskFunc:
    """An exported function with a synchronous type, of an instance that has tasks: `call` is the function itself."""

    def __init__(self, state: ComponentInstance, call: Callable[..., Any], index: int, name: str) -> None:
        self.store: Store = state.store
        self.__name__ = name
        self._state = state
        self._call = call
        self._index = index

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        instance = _instance(self._state, self._index)
        loop, outer = instance.loop, instance.loop.current
        instance.enter_synchronously()
        try:
            return self._call(*args, **kwargs)
        finally:
            instance.exit_synchronously()
            loop.current = outer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)

    def with_options(self, **options: Any) -> SyncTaskFunc:
        """The same function, called with other options."""
        return SyncTaskFunc(self._state, self._call.with_options(**options), self._index, self.__name__)  # type: ignore[attr-defined]

    def __repr__(self) -> str:
        return repr(self._call)


def store_options(store: Store) -> CallOptions | None:
    """What Config says of all functions."""
    options = store.call_options
    return options if isinstance(options, CallOptions) else None


def bind_arguments(
    store: Store, plan: Plan, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Any, ...]:
    """Arguments in the order of parameters, without a leading store."""
    count = len(plan.param_names)
    if len(args) + len(kwargs) == count + 1 and args and isinstance(args[0], Store):
        if args[0] is not store:
            raise WasmError("the function belongs to another store")
        args = args[1:]
    given = len(args) + len(kwargs)
    if given != count and (not kwargs or given > count):
        raise ArgumentTypeError(f"wrong number of parameters provided: given {given}, expected {count}")
    bound = dict(enumerate(args))
    for keyword, value in kwargs.items():
        index = plan.param_lookup.get(keyword)
        if index is None:
            raise ArgumentTypeError(f"{name or 'the function'} has no parameter '{keyword}'")
        if index in bound:
            raise ArgumentTypeError(f"parameter '{keyword}' is given twice")
        bound[index] = value
    for index in range(count):
        if index not in bound:
            raise ArgumentTypeError(f"parameter '{plan.param_names[index]}' is missing")
    return tuple(bound[index] for index in range(count))


def num_core_params(ty: t.FuncType, facts: Any) -> int:
    """Core values that a lifted function gets."""
    words = facts.layouts.flatten_all(tuple(part for _, part in ty.params))
    return len(words) if len(words) <= MAX_FLAT_PARAMS else 1
