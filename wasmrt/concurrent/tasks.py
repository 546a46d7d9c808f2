"""Threads and tasks of guests, and the event loop of a store (CanonicalABI.md: Threads, Tasks).

A task is one call of an exported function; it has an implicit thread, and others that the guest makes. Who runs is `Loop.current`. Resuming a thread calls
its `step` on the stack of whoever resumes it: guest code gets a fiber (`_native/fibers.pyx`) for as long as it runs and blocks, while all that the canonical
ABI does around it (lowering arguments, waiting to enter, looking at what a callback returned) needs none. So no frame of Python ever lies on a stack that is
suspended, and a task that waits between callbacks holds no stack at all.

The thread of a synchronous call has no fiber of its own: it is a part of its caller's stack, and so must not be left. When it blocks, it resumes other threads
of its instance right there, until it can go on (`Thread.block_here`); nobody else may run meanwhile.

Instances call each other along edges that instantiation drew, so whether one may be entered needs no look (translate/adapt.py).

asyncio is imported by what has a coroutine at hand: importing it takes longer than all of wasmrt.
"""

from __future__ import annotations

import enum
import sys
import weakref
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, TypeVar

from wasmrt._native import fibers
from wasmrt._native.core import Store
from wasmrt._native.fibers import BLOCKED, Fiber, LoanScope
from wasmrt._native.resources import ComponentInstance
from wasmrt.errors import WasmError
from wasmrt.spec import limits
from wasmrt.spec import types as t
from wasmrt.spec._gen import traps

from .lifts import Elements, Lift

if TYPE_CHECKING:
    import asyncio

    from .waitables import WaitableSet

_T = TypeVar("_T")

EVENT_NONE, EVENT_SUBTASK = 0, 1
EVENT_STREAM_READ, EVENT_STREAM_WRITE, EVENT_FUTURE_READ, EVENT_FUTURE_WRITE, EVENT_TASK_CANCELLED = range(2, 7)
_CODE_EXIT, _CODE_YIELD, _CODE_WAIT = range(3)
_MAX_BACKPRESSURE = 1 << 16

Event = tuple[int, int, int]
Ready = Callable[[], bool]


class Loop:
    """The threads of one store that wait, and the one that runs; coroutines of the host that guests wait for."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.waiting: list[Thread] = []
        self.current: Thread | None = None
        self.switch_to: Thread | None = None  # who runs next, instead of the thread that just blocked
        self.host_tasks: set[asyncio.Future[Any]] = set()
        self.completed: list[tuple[State, Callable[[], None]]] = []  # by coroutines; a guest is told with the next tick
        self._sleepers: set[asyncio.Future[None]] = set()
        self._events: asyncio.AbstractEventLoop | None = None

    @staticmethod
    def of(store: Store) -> Loop:
        if store.tasks is None:
            store.tasks = Loop(store)
        loop: Loop = store.tasks
        return loop

    def tick(self) -> bool:
        """Tells of one coroutine that ended, or resumes one thread that can go on, the one that waited longest; False when there is none."""
        for at, (state, complete) in enumerate(self.completed):
            if fibers.can_run(state.native):
                del self.completed[at]
                state.run(complete)
                return True
        for thread in self.waiting:
            state = thread.instance.state
            if fibers.can_run(state.native) and thread.is_ready():
                state.run(thread.resume)
                return True
        self.waiting = [thread for thread in self.waiting if not fibers.is_poisoned(thread.instance.native)]
        self.completed = [item for item in self.completed if not fibers.is_poisoned(item[0].native)]
        return False

    # --- waiting for something, in Python ---

    def drive(self, is_done: Ready, state: State) -> None:
        """Runs threads until something happened."""
        while not is_done():
            state.check_failure()
            state.check_time()
            if self.tick():
                continue
            with fibers.Nested(state.native):
                pass  # raises while another thread runs the store: nothing is known of a deadlock then
            if not self.host_tasks:
                raise state.deadlock()
            if _running_events() is not None:
                raise WasmError("the call waits for a coroutine: inside of asyncio, functions are called by call_async")
            import asyncio

            ours = {task for task in self.host_tasks if task.get_loop() is self._events}
            if self._events is None or not ours:
                raise WasmError("the call waits for a coroutine of another event loop, which does not run")
            limit = self.store.wait_limit_ns()
            seconds = None if limit is None else limit / 1e9
            self._events.run_until_complete(
                asyncio.wait(ours, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            )

    async def drive_async(self, is_done: Ready, state: State) -> None:
        """The same as a coroutine; other coroutines may do things that it waits for."""
        import asyncio

        while not is_done():
            state.check_failure()
            if self.tick():
                self.notify()
                await asyncio.sleep(0)
                continue
            if not self.host_tasks and not self._sleepers and len(asyncio.all_tasks()) == 1:
                raise state.deadlock()
            sleeper = asyncio.get_running_loop().create_future()
            self._sleepers.add(sleeper)
            try:
                await sleeper
            finally:
                self._sleepers.discard(sleeper)

    def notify(self) -> None:
        """Something happened that a coroutine may wait for."""
        for sleeper in list(self._sleepers):
            if sleeper.get_loop().is_closed():
                self._sleepers.discard(sleeper)
            elif not sleeper.done():
                sleeper.get_loop().call_soon_threadsafe(_wake, sleeper)

    def spawn(self, awaitable: Any, done: Callable[[asyncio.Future[Any]], None]) -> asyncio.Future[Any]:
        """Runs a coroutine of the host's: in asyncio's event loop, or in one of our own while a synchronous call waits."""
        import asyncio

        events = _running_events()
        if events is None:
            if self._events is None:
                self._events = asyncio.new_event_loop()
                weakref.finalize(self, _close_events, self._events)
            events = self._events
        task: asyncio.Future[Any] = asyncio.ensure_future(awaitable, loop=events)
        self.host_tasks.add(task)

        def finished(task: asyncio.Future[Any]) -> None:
            self.host_tasks.discard(task)
            done(task)
            self.notify()

        task.add_done_callback(finished)
        return task


def _settle(events: asyncio.AbstractEventLoop, tasks: Iterable[asyncio.Future[Any]]) -> None:
    """Ends coroutines that nobody waits for any more, if their loop is one of ours."""
    import asyncio

    for task in list(tasks):
        task.cancel()
    if not events.is_closed() and not events.is_running() and _running_events() is None:
        events.run_until_complete(asyncio.sleep(0))
        events.run_until_complete(asyncio.sleep(0))


def _close_events(events: asyncio.AbstractEventLoop) -> None:
    import asyncio

    _settle(events, asyncio.all_tasks(events))
    events.close()


def _wake(sleeper: asyncio.Future[None]) -> None:
    if not sleeper.done():
        sleeper.set_result(None)


def _running_events() -> asyncio.AbstractEventLoop | None:
    if "asyncio" not in sys.modules:
        return None
    import asyncio

    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


class State:
    """What the component instances of one root have (`ComponentInstance.tasks`)."""

    def __init__(self, native: ComponentInstance, elements: Callable[[t.AnyValType | None], Elements]) -> None:
        self.native = native
        self.loop = Loop.of(native.store)
        self.elements = elements
        self.failure: BaseException | None = None
        self.host_tasks: set[asyncio.Future[Any]] = set()
        self._instances: dict[int, Instance] = {}

    def instance(self, index: int) -> Instance:
        """A runtime component instance's."""
        found = self._instances.get(index)
        if found is None:
            found = self._instances[index] = Instance(self, index)
        return found

    def fiber(self) -> Fiber:
        """The stack that has to be suspended: of the thread that just blocked."""
        assert self.loop.current is not None
        fiber = self.loop.current.fiber
        assert fiber is not None
        return fiber

    def resumed(self) -> Any:
        """What the built-in returns whose thread goes on."""
        assert self.loop.current is not None
        return self.loop.current.finish()

    # --- entered by the loop ---

    def run(self, action: Callable[[], None]) -> None:
        """Enters the store for something that may run guest code. What it raises ends everything that goes on in this root."""
        try:
            with fibers.Entry(self.native):
                action()
        except BaseException as error:
            self.fail(error)
            raise

    def fail(self, error: BaseException) -> None:
        """Everything that goes on in this root is over."""
        self.failure = error
        fibers.set_poisoned(self.native)
        for task in list(self.host_tasks):
            task.cancel()
        if self.host_tasks:
            _settle(next(iter(self.host_tasks)).get_loop(), self.host_tasks)

    def unlocked(self) -> AbstractContextManager[object]:
        """For what the host does to a channel, which may lower values into a guest: the store entered, unless guest code of this root runs already."""
        if fibers.can_run(self.native):
            return fibers.Entry(self.native)
        self.check_failure()
        return fibers.Nested(self.native)

    def check_failure(self) -> None:
        if self.failure is not None:
            raise self.failure
        if fibers.is_poisoned(self.native):
            raise fibers.trap(traps.CANNOT_ENTER_COMPONENT, "cannot enter component instance")

    def check_time(self) -> None:
        """The call's timeout, and the store's deadline, hold while guests wait, too."""
        try:
            self.loop.store.check_interrupt()
        except BaseException as error:
            self.fail(error)
            raise

    def deadlock(self) -> Exception:
        error = fibers.trap(traps.ASYNC_DEADLOCK, "deadlock detected: event loop cannot make further progress")
        self.fail(error)
        return error

    def spawn(self, awaitable: Any, done: Callable[[Any], None]) -> asyncio.Future[Any]:
        """Runs a coroutine of the host's; `done` gets its result, with the store entered. What it raises ends the guest."""

        def finished(task: asyncio.Future[Any]) -> None:
            self.host_tasks.discard(task)
            if not task.cancelled():
                task.exception()  # it is raised with the next tick, or the guest is gone: asyncio need not say that nobody asked
                self.loop.completed.append((self, lambda: done(task.result())))

        spawned = self.loop.spawn(awaitable, finished)
        self.host_tasks.add(spawned)
        return spawned


class Instance:
    """One component instance: its handles that are no resources, threads, and who may use its stack."""

    def __init__(self, state: State, index: int) -> None:
        self.state = state
        self.native = state.native
        self.loop = state.loop
        self.index = index
        self.objects: dict[int, Any] = {}
        self.threads: list[Thread | None] = [None]
        self._free_threads: list[int] = []
        self.backpressure = 0
        self.num_waiting = 0
        self.exclusive: Thread | None = None  # whose task needs the instance for itself, and is inside
        self.sync_calls: list[Thread] = []
        self._start: Thread | None = None

    # --- handles ---

    def add(self, item: object) -> int:
        if len(self.objects) >= limits.TASK_OBJECTS:
            raise fibers.handle_trap("resource table has no free keys")
        index = fibers.add_handle_of_object(self.native, self.index)
        self.objects[index] = item
        return index

    def get(self, index: int, kind: type[_T], name: str) -> _T:
        """What an index stands for; a Trap unless it is a `kind`."""
        item = self.objects.get(index)
        if isinstance(item, kind):
            return item
        if item is None and not fibers.handle_in_use(self.native, self.index, index):
            raise fibers.handle_trap(f"unknown handle index {index}")
        found = "a resource" if item is None else getattr(item, "name", "something else")
        raise fibers.handle_trap(f"handle index {index} used with the wrong type, expected {name} but found {found}")

    def remove(self, index: int) -> None:
        del self.objects[index]
        fibers.remove_handle(self.native, self.index, index)

    # --- threads ---

    def add_thread(self, thread: Thread) -> int:
        if self._free_threads:
            index = self._free_threads.pop()
            self.threads[index] = thread
            return index
        if len(self.threads) > limits.TASK_OBJECTS:
            raise fibers.handle_trap("thread table has no free keys")
        self.threads.append(thread)
        return len(self.threads) - 1

    def remove_thread(self, index: int) -> None:
        self.threads[index] = None
        self._free_threads.append(index)

    def thread(self, index: int) -> Thread:
        found = self.threads[index] if index < len(self.threads) else None
        if found is None:
            raise fibers.handle_trap(f"unknown thread index {index}")
        return found

    def current(self) -> Thread:
        """The thread that runs in this instance. Start functions and destructors have one in common."""
        thread = self.loop.current
        if thread is not None and thread.instance is self:
            return thread
        if self._start is None:
            self._start = Thread(Task(self, None), is_synchronous=True)
        return self._start

    def enter_synchronously(self) -> Thread:
        """A synchronous call begins."""
        thread = Thread(Task(self, None), is_synchronous=True)
        thread.index = self.add_thread(thread)
        thread.outer = self.loop.current
        self.loop.current = thread
        self.sync_calls.append(thread)
        return thread

    def exit_synchronously(self) -> None:
        thread = self.sync_calls.pop()
        self.remove_thread(thread.index)
        self.loop.current = thread.outer

    # --- rules ---

    def check_may_leave(self) -> None:
        if not fibers.may_leave(self.native, self.index):
            raise fibers.trap(traps.CANNOT_LEAVE_COMPONENT, "cannot leave component instance")

    def check_may_block(self) -> None:
        """A synchronous call that is under way must be able to go on: a Trap unless another thread of the instance could run."""
        if (self.sync_calls or self.current().is_synchronous) and self.next_ready() is None:
            raise self.cannot_block()

    def cannot_block(self) -> Exception:
        if any(not fibers.is_poisoned(thread.instance.native) for thread in self.loop.waiting):
            return fibers.trap(traps.ASYNC_DEADLOCK, "deadlock detected: event loop cannot make further progress")
        return fibers.trap(traps.CANNOT_BLOCK_SYNC_TASK, "cannot block a synchronous task before returning")

    def next_ready(self) -> Thread | None:
        """The thread that goes on while a synchronous call is under way: of this instance, not one whose task needs the instance for itself."""
        for thread in self.loop.waiting:
            if thread.instance is self and thread.index and not thread.needs_exclusive and thread.is_ready():
                return thread
        return None

    def has_backpressure(self, task: Task) -> bool:
        return self.backpressure > 0 or (task.needs_exclusive and self.exclusive is not None)

    def change_backpressure(self, by: int) -> None:
        self.backpressure += by
        if not 0 <= self.backpressure < _MAX_BACKPRESSURE:
            raise fibers.handle_trap("backpressure counter overflow")


class Thread:
    """A thread of a guest. Not running, it waits (`ready` says until when) or is suspended until somebody resumes it."""

    def __init__(self, task: Task, *, is_synchronous: bool = False) -> None:
        self.task = task
        self.instance = task.instance
        self.loop = task.instance.loop
        self.is_synchronous = is_synchronous
        self.index = 0
        self.storage = [0, 0]
        self.fiber: Fiber | None = None
        self.outer: Thread | None = None  # of a synchronous call: who made it
        self.ready: Ready | None = None
        self.is_running = is_synchronous
        self.cancellable = False
        self.cancelled = False
        self.step: Callable[[], None] = _nothing
        self.finish: Callable[[], Any] = _nothing
        self._after: Callable[[list[int]], None] = _no_results
        self._was_switched_to = False

    @property
    def needs_exclusive(self) -> bool:
        """Whether it is the implicit thread of a task that needs the instance for itself."""
        return self.task.needs_exclusive and self.task.implicit is self

    def is_ready(self) -> bool:
        return self.ready is not None and self.ready()

    @property
    def is_suspended(self) -> bool:
        return not self.is_running and self.ready is None

    # --- waiting and resuming ---

    def wait(self, ready: Ready) -> None:
        self.ready = ready
        self.is_running = False
        self.loop.waiting.append(self)

    def stop_waiting(self) -> None:
        if self.ready is not None:
            self.ready = None
            self.loop.waiting.remove(self)

    def resume(self, cancelled: bool = False) -> None:
        """Runs it until it blocks or ends, and then whoever it switched to."""
        loop = self.loop
        thread: Thread | None = self
        while thread is not None:
            thread.stop_waiting()
            thread.cancelled = cancelled
            thread.cancellable = False
            thread.is_running = True
            if thread.is_synchronous:
                thread._was_switched_to = True  # its frames are below ours
                return
            outer, loop.current = loop.current, thread
            try:
                thread.step()
            except BaseException:
                thread.drop()
                raise
            finally:
                loop.current = outer
            thread, loop.switch_to = loop.switch_to, None
            cancelled = False

    def drop(self) -> None:
        """Its stack goes."""
        if self.fiber is not None:
            self.fiber.release()
            self.fiber = None

    def run(self, begin: Callable[[Fiber], list[int] | None], after: Callable[[list[int]], None]) -> None:
        """Calls guest code on a stack of its own; `after` gets what it returns, now or when it has been resumed."""
        self.fiber = Fiber(self.loop.store)
        self._after = after
        self.step = self._go_on
        self._came_back(begin(self.fiber))

    def _go_on(self) -> None:
        assert self.fiber is not None
        self._came_back(self.fiber.resume())

    def _came_back(self, results: list[int] | None) -> None:
        if results is not None:
            self.drop()
            self._after(results)

    # --- blocking, in a built-in ---

    def block(
        self,
        ready: Ready | None,
        finish: Callable[[], Any],
        *,
        cancellable: bool = False,
        switch_to: Thread | None = None,
    ) -> Any:
        """What the built-in returns: BLOCKED, or what `finish` says once the thread went on. `ready` None: until it is resumed."""
        if cancellable and self.task.take_cancellation():
            self.cancelled = True
            return finish()
        self.cancelled = False
        if ready is not None and ready is not yielding and ready():
            return finish()
        if self.is_synchronous:
            self.block_here(ready, switch_to)
            return finish()
        self.cancellable = cancellable
        self.finish = finish
        if ready is None:
            self.is_running = False
        else:
            self.wait(ready)
        self.loop.switch_to = switch_to
        return BLOCKED

    def block_here(self, ready: Ready | None, switch_to: Thread | None) -> None:
        """A synchronous call's thread: others of the instance run until this one can go on."""
        self._was_switched_to = False
        if ready is None:
            self.is_running = False
        else:
            self.wait(ready)
        if switch_to is not None:
            switch_to.resume()
        while not self._was_switched_to:
            thread = self if self.is_ready() and not self.index else self.instance.next_ready()
            if thread is None:
                self.stop_waiting()
                raise self.instance.cannot_block()
            if thread is self:
                break
            thread.resume()
        self.stop_waiting()
        self.is_running = True

    # --- ends ---

    def register(self) -> None:
        self.task.threads.append(self)
        self.index = self.instance.add_thread(self)

    def exit(self) -> None:
        self.task.threads.remove(self)
        self.instance.remove_thread(self.index)
        if not self.task.threads:
            self.task.ended()


def yielding() -> bool:
    """Ready at once, but others come first."""
    return True


def _nothing() -> None:
    raise AssertionError("a thread that was not started")


def _no_results(results: list[int]) -> None:
    raise AssertionError("nothing was called")


class TaskState(enum.IntEnum):
    INITIAL = 0
    STARTED = 1
    PENDING_CANCEL = 2
    CANCEL_DELIVERED = 3
    RESOLVED = 4


class Task:
    """One call of a lifted function. `on_start` lowers the arguments to the core ones, `on_resolve` gets the core values that were returned, or None for a
    cancelled task. A synchronous function's (`lift` None) is only there for its thread."""

    def __init__(
        self,
        instance: Instance,
        lift: Lift | None,
        on_start: Callable[[], list[int]] = list,
        on_resolve: Callable[[list[int] | None], None] = lambda values: None,
        loans: LoanScope | None = None,
    ) -> None:
        self.instance = instance
        self.lift = lift
        self.on_start = on_start
        self.on_resolve = on_resolve
        self.loans = loans
        self.state = TaskState.INITIAL
        self.threads: list[Thread] = []
        self.implicit: Thread | None = None

    @property
    def needs_exclusive(self) -> bool:
        return self.lift is not None and (not self.lift.async_ or self.lift.callback is not None)

    # --- its course ---

    def start(self) -> None:
        """Runs it until it blocks for the first time."""
        thread = self.implicit = Thread(self)
        thread.step = self._enter
        thread.resume()

    def _enter(self) -> None:
        instance, thread = self.instance, self.implicit
        assert thread is not None
        if not instance.has_backpressure(self) and not instance.num_waiting:
            self._begin()
            return
        instance.num_waiting += 1
        thread.step = self._entered
        thread.wait(lambda: not instance.has_backpressure(self))
        thread.cancellable = True

    def _entered(self) -> None:
        assert self.implicit is not None
        self.instance.num_waiting -= 1
        if self.implicit.cancelled:
            self.cancel()
        else:
            self._begin()

    def _begin(self) -> None:
        instance, thread, lift = self.instance, self.implicit, self.lift
        assert thread is not None and lift is not None
        if self.needs_exclusive:
            instance.exclusive = thread
        thread.register()
        self.state = TaskState.STARTED
        if self.loans is not None:
            self.loans.open()
        arguments = self.on_start()
        thread.run(lambda fiber: fiber.start(instance.native, lift.func, arguments, lift.num_results), self._returned)

    def _returned(self, values: list[int]) -> None:
        lift, native = self.lift, self.instance.native
        assert lift is not None
        if lift.callback is not None:
            self._called_back(values)
            return
        if not lift.async_:
            self.return_(values)
            if lift.post_return is not None:
                fibers.set_may_leave(native, self.instance.index, False)
                fibers.call_post_return(native, lift.post_return, values)
                fibers.set_may_leave(native, self.instance.index, True)
        self._exit()

    def _called_back(self, values: list[int]) -> None:
        """The function or its callback returned: what it asks for."""
        instance, thread = self.instance, self.implicit
        assert thread is not None
        code, index = values[0] & 15, (values[0] & 0xFFFFFFFF) >> 4
        if code == _CODE_EXIT:
            self._exit()
            return
        if code > _CODE_WAIT:
            raise fibers.trap(traps.CANONICAL_ABI, f"unsupported callback code: {code}")
        waitables: WaitableSet | None = None
        if code == _CODE_WAIT:
            from .waitables import WaitableSet

            waitables = instance.get(index, WaitableSet, "a waitable set")
            waitables.num_waiting += 1

        def ready() -> bool:
            return instance.exclusive is None and (waitables is None or waitables.has_event())

        def go_on() -> None:
            if waitables is not None:
                waitables.num_waiting -= 1
            if thread.cancelled:
                event = (EVENT_TASK_CANCELLED, 0, 0)
            else:
                event = (EVENT_NONE, 0, 0) if waitables is None else waitables.take_event()
            self._call_back(event)

        instance.exclusive = None
        if self.take_cancellation():
            thread.cancelled = True
            go_on()
            return
        thread.step = go_on
        thread.wait(ready)
        thread.cancellable = True

    def _call_back(self, event: Event) -> None:
        instance, thread, lift = self.instance, self.implicit, self.lift
        assert thread is not None and lift is not None and lift.callback is not None
        callback = lift.callback
        instance.exclusive = thread
        thread.run(lambda fiber: fiber.start(instance.native, callback, list(event), 1), self._called_back)

    def _exit(self) -> None:
        assert self.implicit is not None
        self.implicit.exit()
        if self.needs_exclusive:
            self.instance.exclusive = None

    def ended(self) -> None:
        """Its last thread is over."""
        if self.lift is None:
            return
        if self.state is not TaskState.RESOLVED:
            raise fibers.trap(traps.NO_ASYNC_RESULT, "async-lifted export failed to produce a result")
        if self.loans is not None:
            self.loans.close()

    # --- results and cancellation ---

    def _check_unresolved(self) -> None:
        if self.state is TaskState.RESOLVED:
            raise fibers.handle_trap("`task.return` or `task.cancel` called more than once for current task")
        if self.loans is not None and self.loans.num_borrows:
            raise fibers.handle_trap("borrow handles still remain at the end of the call")

    def return_(self, values: list[int]) -> None:
        self._check_unresolved()
        self.on_resolve(values)
        self.state = TaskState.RESOLVED

    def cancel(self) -> None:
        if self.state is not TaskState.CANCEL_DELIVERED and self.state is not TaskState.RESOLVED:
            raise fibers.handle_trap("`task.cancel` called by task which has not been cancelled")
        self._check_unresolved()
        self.on_resolve(None)
        self.state = TaskState.RESOLVED

    def take_cancellation(self) -> bool:
        """Whether a request to cancel is delivered now."""
        if self.state is not TaskState.PENDING_CANCEL:
            return False
        self.state = TaskState.CANCEL_DELIVERED
        return True

    def request_cancellation(self) -> None:
        """The caller wants no result any more. The task may give one all the same."""
        instance, implicit = self.instance, self.implicit
        assert implicit is not None
        if self.state is TaskState.INITIAL:
            self.state = TaskState.CANCEL_DELIVERED
            implicit.resume(cancelled=True)
            return
        candidates = [thread for thread in self.threads if thread.cancellable and not thread.is_running]
        if self.needs_exclusive and instance.exclusive not in (None, implicit):
            candidates = [thread for thread in candidates if thread is not implicit]
        if not candidates:
            self.state = TaskState.PENDING_CANCEL
            return
        self.state = TaskState.CANCEL_DELIVERED
        candidates[0].resume(cancelled=True)
