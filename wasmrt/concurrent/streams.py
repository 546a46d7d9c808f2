"""Streams and futures (CanonicalABI.md: Stream State, Future State).

The two ends of one share a `Channel`. Whoever copies first waits in it with a buffer, a range of its memory; whoever comes second copies between the two
buffers, and both get their events. Values go from memory to memory as bytes where every pattern of bits is one, else by way of Python, with the plan of a list.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from wasmrt._native import fibers
from wasmrt._native.fibers import LoanScope
from wasmrt.errors import ArgumentTypeError
from wasmrt.spec._gen import traps

from .lifts import Elements, Options
from .tasks import EVENT_FUTURE_READ, EVENT_FUTURE_WRITE, EVENT_STREAM_READ, EVENT_STREAM_WRITE, Event, Instance
from .waitables import Waitable

MAX_LENGTH = (1 << 28) - 1
COMPLETED, DROPPED, CANCELLED = range(3)


class Buffer:
    """Elements in the memory of a guest: `progress` of `length` were copied."""

    def __init__(self, instance: Instance, options: Options, elements: Elements, address: int, length: int) -> None:
        if length > MAX_LENGTH:
            raise fibers.handle_trap("stream read/write count too large")
        if elements.type is not None and length:
            if address % elements.align:
                raise fibers.trap(traps.UNALIGNED_POINTER, "unaligned pointer")
            assert options.memory is not None
            fibers.check_range(instance.native, options.memory, address, length * elements.size)
        self.instance = instance
        self.options = options
        self.elements = elements
        self.address = address
        self.length = length
        self.progress = 0

    @property
    def remain(self) -> int:
        return self.length - self.progress

    def take(self, count: int) -> Any:
        """The next elements, lifted."""
        options = self.options
        loans = LoanScope(self.instance.native, self.instance.index, self.instance.index)
        at = self.address + self.progress * self.elements.size
        (values,) = fibers.lift_values(
            self.instance.native, self.elements.plan, loans, [at, count], options.memory, options.encoding
        )
        return values

    def put(self, values: Any) -> None:
        """Lowers elements to where the next ones go."""
        options, native = self.options, self.instance.native
        assert options.memory is not None
        loans = LoanScope(native, self.instance.index, self.instance.index)
        at = self.address + self.progress * self.elements.size
        plan, memory = self.elements.plan, options.memory
        fibers.lower_elements(native, plan, loans, values, at, memory, options.realloc, options.encoding)


class HostBuffer:
    """Elements that the host writes, or has read: a list, bytes for `stream<u8>`, nothing for a stream of nothing."""

    instance: Instance | None = None

    def __init__(self, length: int, values: Any = None) -> None:
        self.length = length
        self.progress = 0
        self.values: Any = [] if values is None else values

    @property
    def remain(self) -> int:
        return self.length - self.progress

    def take(self, count: int) -> Any:
        return self.values[self.progress : self.progress + count]

    def put(self, values: Any) -> None:
        self.values.append(values)


def _transfer(source: Buffer | HostBuffer, target: Buffer | HostBuffer, elements: Elements, count: int) -> None:
    """The next `count` elements of both."""
    if elements.type is not None and count:
        if elements.is_plain and isinstance(source, Buffer) and isinstance(target, Buffer):
            size = elements.size
            source_memory, target_memory = source.options.memory, target.options.memory
            assert source_memory is not None and target_memory is not None
            fibers.copy_bytes(
                source.instance.native,
                source_memory,
                source.address + source.progress * size,
                target.instance.native,
                target_memory,
                target.address + target.progress * size,
                count * size,
            )
        else:
            values = source.take(count)
            if len(values) != count:
                raise ArgumentTypeError(f"a {type(values).__name__} of {count} elements had {len(values)} when they were read")
            target.put(values)
    source.progress += count
    target.progress += count


@dataclass(slots=True)
class Pending:
    """A copy that waits for the other end. `on_copy`: some was copied, and more may be until it is delivered."""

    buffer: Buffer | HostBuffer
    is_read: bool
    on_copy: Callable[[], None]
    on_done: Callable[[int], None]


class Channel:
    """What the ends of a stream (or future) share."""

    def __init__(self, elements: Elements, is_future: bool) -> None:
        self.elements = elements
        self.is_future = is_future
        self.is_dropped = False
        self.pending: Pending | None = None

    @property
    def word(self) -> str:
        return "future" if self.is_future else "stream"

    def _notify(self, result: int) -> None:
        pending, self.pending = self.pending, None
        assert pending is not None
        pending.on_done(result)

    def cancel(self) -> None:
        self._notify(CANCELLED)

    def drop(self) -> None:
        """One end is gone."""
        if not self.is_dropped:
            self.is_dropped = True
            if self.pending is not None:
                self._notify(DROPPED)

    def copy(self, new: Pending) -> None:
        if self.is_dropped:
            new.on_done(DROPPED)
            return
        old = self.pending
        if old is None:
            self.pending = new
            return
        same = old.buffer.instance is new.buffer.instance and new.buffer.instance is not None
        if same and not self.elements.is_number:
            raise fibers.handle_trap(f"cannot read from and write to intra-component {self.word}")
        ours, theirs = new.buffer, old.buffer
        source, target = (theirs, ours) if new.is_read else (ours, theirs)
        if self.is_future:
            _transfer(source, target, self.elements, 1)
            self._notify(COMPLETED)
            new.on_done(COMPLETED)
        elif theirs.remain > 0:
            if ours.remain > 0:
                _transfer(source, target, self.elements, min(ours.remain, theirs.remain))
                old.on_copy()
            new.on_done(COMPLETED)
        elif not new.is_read and not ours.length and not theirs.length:
            new.on_done(COMPLETED)
        else:
            # they only asked whether we are there, or have all they wanted: it is our turn to wait
            self._notify(COMPLETED)
            self.pending = new

    def forget(self, pending: Pending) -> None:
        """A partial copy was delivered: nothing more comes to its buffer."""
        if self.pending is pending:
            self.pending = None


class EndState(enum.IntEnum):
    IDLE = 0
    COPYING = 1
    CANCELLING = 2
    DONE = 3


class End(Waitable):
    """The readable or writable end of a stream or future in an instance's table."""

    def __init__(self, channel: Channel, is_readable: bool) -> None:
        super().__init__()
        self.channel = channel
        self.is_readable = is_readable
        self.state = EndState.IDLE
        self.is_written = False  # of a future: a value was read or written
        self.index = 0

    @property
    def name(self) -> str:  # type: ignore[override]
        return f"the {'readable' if self.is_readable else 'writable'} end of a {self.channel.word}"

    @property
    def is_copying(self) -> bool:
        return self.state in (EndState.COPYING, EndState.CANCELLING)

    def check_idle(self, verb: str) -> None:
        """`verb`: what shall be done: read, write or lift."""
        word = self.channel.word
        if self.is_copying:
            if verb == "lift":
                raise fibers.handle_trap(f"cannot remove busy {word}")
            raise fibers.handle_trap("cannot have concurrent operations active on a future/stream")
        if self.state is not EndState.DONE:
            return
        where = {"read": f"read from {word}", "write": f"write to {word}", "lift": f"lift {word}"}[verb]
        if self.channel.is_future:
            why = "previous write succeeded or readable end dropped" if verb == "write" else "previous read succeeded"
        else:
            why = f"being notified that the {'readable' if verb == 'write' else 'writable'} end dropped"
        raise fibers.handle_trap(f"cannot {where} after {why}")

    def copy(self, buffer: Buffer) -> None:
        """Begins a copy; there is an event at once if it is complete."""
        is_future = self.channel.is_future
        if self.is_readable:
            code = EVENT_FUTURE_READ if is_future else EVENT_STREAM_READ
        else:
            code = EVENT_FUTURE_WRITE if is_future else EVENT_STREAM_WRITE

        def event(result: int) -> Event:
            self.channel.forget(pending)
            is_over = result == DROPPED or (is_future and result == COMPLETED)
            self.state = EndState.DONE if is_over else EndState.IDLE
            return code, self.index, result if is_future else result | buffer.progress << 4

        def on_copy() -> None:
            self.event = lambda: event(COMPLETED)

        def on_done(result: int) -> None:
            self.event = lambda: event(result)

        pending = Pending(buffer, self.is_readable, on_copy, on_done)
        self.state = EndState.COPYING
        self.channel.copy(pending)

    def cancel(self) -> None:
        """Ends the copy that is under way. What was copied so far is in its event, which may have been there before."""
        self.state = EndState.CANCELLING
        pending = self.channel.pending
        if pending is not None and pending.is_read == self.is_readable:
            self.channel.cancel()

    def drop(self, instance: Instance) -> None:
        word = self.channel.word
        if self.is_copying:
            raise fibers.handle_trap(f"cannot {'remove' if self.is_readable else 'drop'} busy {word}")
        if self.channel.is_future and not self.is_readable and self.state is not EndState.DONE:
            raise fibers.handle_trap("cannot drop future write end without first writing a value")
        self.channel.drop()
        self.event = None
        self.join(None)
        instance.remove(self.index)


def add_end(instance: Instance, channel: Channel, is_readable: bool) -> int:
    end = End(channel, is_readable)
    end.index = instance.add(end)
    return end.index


def take_readable(instance: Instance, index: int, elements: Elements, is_future: bool) -> Channel:
    """Lifts a stream or future out of an instance's table."""
    end = get_end(instance, index, elements, is_future, True)
    end.check_idle("lift")
    if end.set is not None:
        raise fibers.handle_trap(f"cannot lift {end.channel.word} while it's in a waitable set")
    instance.remove(index)
    return end.channel


def get_end(instance: Instance, index: int, elements: Elements, is_future: bool, is_readable: bool) -> End:
    word = "future" if is_future else "stream"
    name = f"the {'readable' if is_readable else 'writable'} end of a {word}"
    end = instance.get(index, End, name)
    channel = end.channel
    if end.is_readable != is_readable or channel.is_future != is_future or channel.elements.type != elements.type:
        raise fibers.handle_trap(f"handle index {index} used with the wrong type, expected {name} but found {end.name}")
    return end
