"""Bytes from one thread to another, a bounded number at a time: the bodies of HTTP messages whose two ends are a guest and a program.

The guest's end never blocks (`space` and `write`, `is_readable` and `read`) and can be waited for (`listen`, see waiting.wait_for), so its timeouts hold; the
program's end blocks (`write_all`, `read_all_of`). Either end can give up: then the other one gets an error, or the end of the bytes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

CAPACITY = 1 << 16
Listener = Callable[[], None]


class Listeners:
    """Whom to tell that something happened; they are called with a lock held, and only set events."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> None:
        """Calls `listener` whenever what can be waited for may have come."""
        self._listeners.append(listener)

    def unlisten(self, listener: Listener) -> None:
        self._listeners.remove(listener)

    def tell(self) -> None:
        for listener in tuple(self._listeners):
            listener()


class BytePipe(Listeners):
    """At most `capacity` bytes are on their way."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        super().__init__()
        self._capacity = capacity
        self._data = bytearray()
        self._changed = threading.Condition()
        self._error: BaseException | None = None
        self._is_closed = False  # nobody reads
        self._discard_left: int | None = None  # what comes is counted and forgotten
        self.ended_ns: int | None = None  # when there was all that will be

    def _notify(self) -> None:
        self._changed.notify_all()
        self.tell()

    # -- writing --------------------------------------------------------------------------------------------------------------------------

    def space(self) -> int:
        """How many bytes `write` takes now."""
        with self._changed:
            return self._capacity - len(self._data)

    def is_writable(self) -> bool:
        """Whether writing gets anywhere, be it an error."""
        return self._is_closed or len(self._data) < self._capacity

    def write(self, data: bytes) -> None:
        """Not more than there is space for. Raises BrokenPipeError when nobody reads."""
        with self._changed:
            self._put(data)

    def write_all(self, data: bytes) -> None:
        """Waits for space. Raises BrokenPipeError."""
        left = memoryview(data)
        with self._changed:
            while left:
                space = self._capacity - len(self._data)
                if space or self._is_closed:
                    self._put(left[:space])
                    left = left[space:]
                else:
                    self._changed.wait()

    def _put(self, data: bytes | memoryview) -> None:
        if self._is_closed:
            raise BrokenPipeError("nobody reads on")
        if self._discard_left is not None:
            self._discard_left -= len(data)
            if self._discard_left < 0:
                self._is_closed = True
                raise BrokenPipeError("nobody reads on")
            return
        self._data += data
        self._notify()

    def end(self, error: BaseException | None = None) -> None:
        """That was all, or all that there is before the error. Nothing after the first time."""
        with self._changed:
            if self.ended_ns is None:
                self.ended_ns = time.monotonic_ns()
                self._error = error
                self._notify()

    # -- reading --------------------------------------------------------------------------------------------------------------------------

    def is_readable(self) -> bool:
        """Whether reading gets anywhere: bytes, their end, or an error."""
        return bool(self._data) or self.ended_ns is not None or self._is_closed

    def read(self, length: int) -> bytes | None:
        """What is there; empty: nothing yet; None: nothing more. Raises what `end` was given."""
        with self._changed:
            return self._take(length)

    def read_waiting(self, length: int) -> bytes | None:
        """At least one byte, or None at the end."""
        with self._changed:
            while not self.is_readable():
                self._changed.wait()
            return self._take(length)

    def _take(self, length: int) -> bytes | None:
        data = bytes(self._data[:length])
        if data:
            del self._data[: len(data)]
            self._notify()
        elif self.is_readable() and not self._data:
            if self._error is not None:
                raise self._error
            return None
        return data

    def discard(self, limit: int) -> None:
        """Reads no more, but lets the writer go on to the end, for `limit` more bytes."""
        with self._changed:
            if self._discard_left is None:
                self._discard_left = limit
                self._data.clear()
                self._notify()

    def close(self) -> None:
        """Nobody reads any more."""
        with self._changed:
            if not self._is_closed:
                self._is_closed = True
                self._data.clear()
                self._notify()
