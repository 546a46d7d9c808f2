"""Waiting on behalf of a guest: for a time to come, for descriptors to be ready. Ends early by the guest's timeout or epoch deadline, which raise the
Trap that its code would meet, and by Ctrl-C, as any blocking call of Python does.
"""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from .pipe import Listener

MILLISECOND = 1_000_000
LONGEST = 3600 * 1_000_000_000  # of one system call


def wait(store: Any, until_ns: int | None, descriptors: Mapping[int, int] = {}) -> dict[int, int]:
    """Waits until the monotonic instant, or one of `descriptors` (with the events of `select.poll`) is ready: those that are, with their events."""
    poll = select.poll()
    for fd, events in descriptors.items():
        poll.register(fd, events)
    while True:
        left = LONGEST if until_ns is None else min(max(until_ns - time.monotonic_ns(), 0), LONGEST)
        limit = store.wait_limit_ns()
        if limit is not None and limit < left:
            left = limit
        if descriptors:
            ready = dict(poll.poll(-(-left // MILLISECOND)))
            if ready:
                return ready
        elif left:
            time.sleep(left / 1e9)
        if until_ns is not None and time.monotonic_ns() >= until_ns:
            return {}
        store.check_interrupt()


class Source(Protocol):
    """What another thread makes ready."""

    @property
    def deadline_ns(self) -> int | None:
        """A monotonic instant at which it is ready anyway."""

    def is_ready(self) -> bool: ...
    def listen(self, listener: Listener) -> None: ...
    def unlisten(self, listener: Listener) -> None: ...


def wait_for(store: Any, sources: Sequence[Source], until_ns: int | None = None) -> None:
    """Waits until the monotonic instant, or one of `sources` is ready."""
    if any(source.is_ready() for source in sources):
        return
    woken = threading.Event()
    for source in sources:
        source.listen(woken.set)
    try:
        while not any(source.is_ready() for source in sources):
            deadlines = [source.deadline_ns for source in sources]
            until = min((deadline for deadline in (until_ns, *deadlines) if deadline is not None), default=None)
            left = LONGEST if until is None else min(max(until - time.monotonic_ns(), 0), LONGEST)
            limit = store.wait_limit_ns()
            woken.wait((left if limit is None else min(left, limit)) / 1e9)
            woken.clear()
            store.check_interrupt()
            if until_ns is not None and time.monotonic_ns() >= until_ns:
                return
    finally:
        for source in sources:
            source.unlisten(woken.set)


def descriptor_of(file: Any) -> int | None:
    """The descriptor under a file object, to wait for; None where there is none."""
    try:
        return int(file.fileno())
    except (AttributeError, OSError, ValueError):
        return None


def wait_for_input(store: Any, file: Any) -> None:
    """Before a read that may block: only a guest that has a deadline needs it, the read itself sees to Ctrl-C."""
    if store.wait_limit_ns() is not None:
        fd = descriptor_of(file)
        if fd is not None:
            wait(store, None, {fd: select.POLLIN})
