"""What guests wait for: subtasks and ends of streams and futures, alone or in sets (CanonicalABI.md: Waitable State, Subtask State)."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Protocol

from wasmrt._native import fibers
from wasmrt._native.fibers import LoanScope

from .tasks import EVENT_SUBTASK, Event, Instance


class Waitable:
    """Something with an index that events happen to. `event` makes the pending one when it is delivered; there is at most one."""

    name = "a waitable"

    def __init__(self) -> None:
        self._event: Callable[[], Event] | None = None
        self.set: WaitableSet | None = None
        self.has_sync_waiter = False

    @property
    def event(self) -> Callable[[], Event] | None:
        return self._event

    @event.setter
    def event(self, event: Callable[[], Event] | None) -> None:
        if self.set is not None:
            self.set.num_events += (event is not None) - (self._event is not None)
        self._event = event

    def take_event(self) -> Event:
        event = self.event
        assert event is not None
        self.event = None
        return event()

    def join(self, waitables: WaitableSet | None) -> None:
        if self.has_sync_waiter:
            raise self.used_synchronously()
        if self.set is not None:
            self.set.items.remove(self)
            self.set.num_events -= self._event is not None
        self.set = waitables
        if waitables is not None:
            waitables.items.append(self)
            waitables.num_events += self._event is not None

    def check_synchronous_use(self) -> None:
        """Blocking on it alone, while it is in a set, would take the set's event."""
        if self.set is not None:
            raise self.used_synchronously()

    @staticmethod
    def used_synchronously() -> Exception:
        return fibers.handle_trap("waitable cannot be used synchronously while added to a waitable set")


class WaitableSet:
    """Waitables that are waited for together."""

    name = "a waitable set"

    def __init__(self) -> None:
        self.items: list[Waitable] = []
        self.num_waiting = 0
        self.num_events = 0  # of items: whoever looks for a thread that is ready asks every set

    def has_event(self) -> bool:
        return self.num_events > 0

    def take_event(self) -> Event:
        """Of the first that has one; it goes to the end, so that all have their turn."""
        for at, item in enumerate(self.items):
            if item.event is not None:
                self.items.append(self.items.pop(at))
                return item.take_event()
        raise AssertionError("a set without an event was taken for ready")

    def check_drop(self) -> None:
        if self.items:
            raise fibers.handle_trap("cannot drop non-empty waitable set")
        if self.num_waiting:
            raise fibers.handle_trap("cannot drop waitable set with waiters")


class SubtaskState(enum.IntEnum):
    STARTING = 0
    STARTED = 1
    RETURNED = 2
    CANCELLED_BEFORE_STARTED = 3
    CANCELLED_BEFORE_RETURNED = 4


class Cancellable(Protocol):
    """The callee of a subtask: a Task, or a coroutine of the host's."""

    def request_cancellation(self) -> None: ...


class Subtask(Waitable):
    """A call seen from its caller. It gets an index, and so events, only when the call did not return at once."""

    name = "a subtask"

    def __init__(self, loans: LoanScope) -> None:
        super().__init__()
        self.state = SubtaskState.STARTING
        self.task: Cancellable | None = None
        self.index = 0
        self.loans = loans
        self.is_delivered = False
        self.cancellation_requested = False
        self.values: list[int] = []

    @property
    def is_resolved(self) -> bool:
        return self.state >= SubtaskState.RETURNED

    def progress(self, state: SubtaskState) -> None:
        self.state = state
        if self.index:
            self.event = self._make_event

    def _make_event(self) -> Event:
        if self.is_resolved:
            self.deliver()
        return EVENT_SUBTASK, self.index, self.state

    def deliver(self) -> None:
        """The caller learns that it is over, and has back what it lent."""
        self.is_delivered = True
        self.loans.end_loans()

    def cancelled(self) -> None:
        before = self.state is SubtaskState.STARTING
        self.progress(SubtaskState.CANCELLED_BEFORE_STARTED if before else SubtaskState.CANCELLED_BEFORE_RETURNED)

    def cancel(self) -> None:
        """Asks the callee to give up."""
        assert self.task is not None
        self.cancellation_requested = True
        self.task.request_cancellation()

    def drop(self, instance: Instance) -> None:
        if not self.is_delivered:
            raise fibers.handle_trap("cannot drop a subtask which has not yet resolved")
        self.join(None)
        instance.remove(self.index)


class ErrorContext:
    """A message about an error, passed along."""

    name = "an error context"

    def __init__(self, message: str) -> None:
        self.message = message
