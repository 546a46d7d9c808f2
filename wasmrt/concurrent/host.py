"""Streams, futures and error contexts that cross to Python, and back.

A readable end that a guest gives away becomes a StreamReader or FutureReader. What Python gives is one of those, or where its elements come from: for a stream a
buffer, a list, an iterable or an async iterable, for a future a value or an awaitable. The host then holds the writable end and writes as the guest reads.
"""

from __future__ import annotations

import collections.abc
import inspect
import operator
from collections.abc import AsyncIterator, Generator, Iterator
from typing import Any

from wasmrt._native.abi import Resource
from wasmrt.errors import ArgumentTypeError, WasmError
from wasmrt.spec import types as t

from .lifts import Elements
from .streams import COMPLETED, DROPPED, MAX_LENGTH, Channel, HostBuffer, Pending, add_end, take_readable
from .tasks import State
from .waitables import ErrorContext

CHUNK = 1 << 16


class Reader(Resource):
    """The readable end of a stream or future that a guest gave to the host."""

    _channel: Channel | None = None

    def __init__(self, state: State, channel: Channel) -> None:
        self._state = state
        self._channel = channel
        self._buffer: HostBuffer | None = None
        self._pending: Pending | None = None  # what a read waits for; none: its elements have come, and nobody took them
        self._result: int | None = None

    @property
    def _open(self) -> Channel:
        if self._channel is None:
            raise WasmError(f"the {type(self).__name__} was closed or given away")
        return self._channel

    def give(self) -> Channel:
        """The end goes to a guest."""
        channel = self._open
        if self._buffer is not None:
            raise WasmError("the stream is being read")
        self._channel = None
        return channel

    def take_back(self, channel: Channel) -> None:
        self._channel = channel

    def close(self) -> None:
        """Drops the end: who writes learns that nobody reads. Idempotent."""
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.drop()
            self._state.loop.notify()

    def _begin(self, count: int) -> HostBuffer:
        channel = self._open
        if self._buffer is not None:
            if self._pending is not None or self._result is None:
                raise WasmError("the stream is being read already")
            return self._buffer  # of a read that was given up when its elements had come
        buffer = self._buffer = HostBuffer(count)
        self._result = None

        def on_copy() -> None:
            channel.forget(pending)
            self._result = COMPLETED

        def on_done(result: int) -> None:
            self._result = result

        pending = self._pending = Pending(buffer, True, on_copy, on_done)
        try:
            with self._state.unlocked():
                channel.copy(pending)
        except BaseException:
            self._give_up()
            raise
        self._state.loop.notify()
        return buffer

    def _give_up(self) -> None:
        """Nobody waits for the read any more. Elements that have come are the next one's."""
        pending, self._pending = self._pending, None
        if self._result is None and pending is not None:
            self._buffer = None
            if self._channel is not None:
                self._channel.forget(pending)

    def _wait(self) -> None:
        try:
            self._state.loop.drive(self._is_done, self._state)
        except BaseException:
            self._give_up()
            raise

    async def _wait_async(self) -> None:
        try:
            await self._state.loop.drive_async(self._is_done, self._state)
        except BaseException:
            self._give_up()
            raise

    def _is_done(self) -> bool:
        return self._result is not None

    def _end(self, buffer: HostBuffer) -> HostBuffer:
        self._buffer = self._pending = None
        if self._result == DROPPED and not buffer.progress:
            self._channel = None
        return buffer

    def __del__(self) -> None:
        if self._channel is not None and not self._state.loop.store.closed:
            self._channel.drop()

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


class StreamReader(Reader):
    """A guest's stream, to be read. Iterating (`for`, or `async for` in a coroutine) gives chunks of bytes of a `stream<u8>`, elements of any other.

    >>> for chunk in reader:
    ...     out.write(chunk)
    """

    def read(self, count: int = CHUNK) -> Any:
        """Up to `count` elements: bytes of a `stream<u8>`, a list of others (of a stream without elements, their number). Nothing means its end.

        Raises WasmError when it is being read already, and inside of asyncio where it would wait for a coroutine; a Trap when nothing more can come.
        """
        if self._channel is None:
            return self._joined(HostBuffer(0))
        buffer = self._begin(_count(count))
        self._wait()
        return self._joined(self._end(buffer))

    async def read_async(self, count: int = CHUNK) -> Any:
        """The same in a coroutine of asyncio."""
        if self._channel is None:
            return self._joined(HostBuffer(0))
        buffer = self._begin(_count(count))
        await self._wait_async()
        return self._joined(self._end(buffer))

    def _joined(self, buffer: HostBuffer) -> Any:
        element = self._elements.type
        if element is None:
            return buffer.progress
        if isinstance(element, t.U8):
            return b"".join(bytes(chunk) for chunk in buffer.values)
        return [value for chunk in buffer.values for value in chunk]

    def __init__(self, state: State, channel: Channel) -> None:
        super().__init__(state, channel)
        self._elements = channel.elements

    def __iter__(self) -> Iterator[Any]:
        while found := self.read():
            yield from self._items(found)

    async def __aiter__(self) -> AsyncIterator[Any]:
        while found := await self.read_async():
            for item in self._items(found):
                yield item

    def _items(self, found: Any) -> Any:
        if isinstance(found, int):
            return [None] * found
        return [found] if isinstance(found, bytes) else found

    def __repr__(self) -> str:
        return f"<wasmrt.component.StreamReader of {self._elements.type or 'nothing'}>"


def _count(count: int) -> int:
    found = operator.index(count)
    if found < 0:
        raise ValueError(f"a number of elements to read is not negative: {found}")
    return min(found, MAX_LENGTH)


class FutureReader(Reader):
    """A guest's future: `result()` waits for its value, and so does `await`."""

    def result(self) -> Any:
        """The value. Raises WasmError when it was asked for before, a Trap when it cannot come any more."""
        buffer = self._begin(1)
        self._wait()
        return self._value(buffer)

    def __await__(self) -> Generator[Any, None, Any]:
        buffer = self._begin(1)
        yield from self._wait_async().__await__()
        return self._value(buffer)

    def _value(self, buffer: HostBuffer) -> Any:
        self._buffer = self._channel = None
        if self._result != COMPLETED:
            raise WasmError("the future's writable end was dropped")
        return buffer.values[0][0] if buffer.values else None

    def __repr__(self) -> str:
        return "<wasmrt.component.FutureReader>"


class _Writer:
    """The writable end that the host holds: it writes the next chunk when the one before was read."""

    def __init__(self, state: State, channel: Channel, source: Source) -> None:
        self.state = state
        self.channel = channel
        self.source = source
        self.is_pumping = False
        self.is_free = True

    def pump(self) -> None:
        if self.is_pumping:
            return
        self.is_pumping = True
        try:
            while self.is_free:
                chunk = self.source.next(self)
                if chunk is _LATER:
                    return
                if chunk is None:
                    self.channel.drop()
                    return
                self.is_free = False
                self._write(chunk)
        finally:
            self.is_pumping = False

    def _write(self, chunk: Any) -> None:
        count = chunk if isinstance(chunk, int) else len(chunk)
        buffer = HostBuffer(count, chunk)

        def over() -> None:
            self.is_free = True
            self.pump()

        def on_copy() -> None:
            if not buffer.remain:
                self.channel.forget(pending)
                over()

        def on_done(result: int) -> None:
            if result == DROPPED:
                self.source.close()
            elif buffer.remain:
                self._write(chunk if isinstance(chunk, int) else chunk[buffer.progress :])
            else:
                over()

        pending = Pending(buffer, False, on_copy, on_done)
        self.channel.copy(pending)


_LATER = object()


class Source:
    """Where the elements of a stream, or a future's value, come from: `next` returns a chunk of them, None at the end, or _LATER."""

    def __init__(self, elements: Elements, is_future: bool, value: Any) -> None:
        self.elements = elements
        self.is_future = is_future
        self.chunk: Any = None
        self.items: Any = None
        self.awaited: Any = None
        self.is_async = False
        if is_future:
            if inspect.isawaitable(value):
                self.awaited = value
            else:
                self.chunk = self._one(value)
        elif isinstance(value, (bytes, bytearray, memoryview, list, tuple)):
            self.chunk = self._sequence(value)
        elif isinstance(value, collections.abc.AsyncIterable):
            self.items, self.is_async = aiter(value), True
        elif isinstance(value, collections.abc.Iterable) and not isinstance(value, (str, dict)):
            self.items = iter(value)
        else:
            raise ArgumentTypeError(f"expected a stream or an iterable, got {type(value).__name__}")

    def _one(self, value: Any) -> Any:
        if self.elements.type is None:
            return 1
        return bytes([value]) if isinstance(self.elements.type, t.U8) and isinstance(value, int) else [value]

    def _chunk(self, item: Any) -> Any:
        """What an iterator gives: an element, or of a `stream<u8>` a chunk of bytes too."""
        if isinstance(self.elements.type, t.U8) and isinstance(item, (bytes, bytearray, memoryview)):
            return self._sequence(item)
        return self._one(item)

    @staticmethod
    def _sequence(value: Any) -> Any:
        """What can be cut: of one dimension, and with the slices of its own type."""
        if isinstance(value, memoryview):
            if value.ndim != 1:
                raise ArgumentTypeError(f"expected a buffer of one dimension, got one of {value.ndim}")
            return value
        if type(value) in (bytes, bytearray, list, tuple):
            return value
        return memoryview(value) if isinstance(value, (bytes, bytearray)) else list(value)

    def next(self, writer: _Writer) -> Any:
        chunk, self.chunk = self.chunk, None
        if chunk is not None:
            if isinstance(chunk, (list, tuple)) and self.elements.type is None:
                return len(chunk) or None
            return chunk if isinstance(chunk, int) or len(chunk) else None
        if self.awaited is not None:
            awaited, self.awaited = self.awaited, None
            writer.state.spawn(awaited, lambda value: self._came(writer, self._one(value)))
            return _LATER
        if self.items is None:
            return None
        if self.is_async:
            writer.state.spawn(self._next_async(), lambda found: self._came(writer, found))
            return _LATER
        for item in self.items:
            found = self._chunk(item)
            if isinstance(found, int) or len(found):
                return found
        return None

    async def _next_async(self) -> Any:
        async for item in self.items:
            found = self._chunk(item)
            if isinstance(found, int) or len(found):
                return found
        return None

    def _came(self, writer: _Writer, chunk: Any) -> None:
        self.chunk = chunk
        if chunk is None:
            self.items = None
        writer.pump()

    def close(self) -> None:
        if not self.is_async and hasattr(self.items, "close"):
            self.items.close()
        if inspect.iscoroutine(self.awaited):
            self.awaited.close()
        self.items = self.awaited = self.chunk = None


class Staged:
    """A value on its way to a guest."""

    def __init__(self, reader: Reader | None, item: Channel | ErrorContext | Source) -> None:
        self.reader = reader
        self.item = item

    def give_back(self) -> None:
        if self.reader is not None and isinstance(self.item, Channel):
            self.reader.take_back(self.item)
        if isinstance(self.item, Source):
            self.item.close()


class HostState(State):
    """A State whose values cross to Python."""

    def stage(self, ty: t.AnyValType, value: Any) -> Staged:
        if isinstance(ty, t.ErrorContext):
            if not isinstance(value, ErrorContext):
                raise ArgumentTypeError(f"expected an ErrorContext, got {type(value).__name__}")
            return Staged(None, value)
        assert isinstance(ty, (t.StreamType, t.FutureType))
        is_future = isinstance(ty, t.FutureType)
        if isinstance(value, FutureReader if is_future else StreamReader):
            channel = value._open
            if channel.elements.type != ty.payload or value._state.loop is not self.loop:
                raise ArgumentTypeError(f"expected {ty} of this store, got {value!r}")
            return Staged(value, value.give())
        return Staged(None, Source(self.elements(ty.payload), is_future, value))

    def lower(self, index: int, staged: Staged) -> int:
        instance, item = self.instance(index), staged.item
        if isinstance(item, ErrorContext):
            return instance.add(item)
        if isinstance(item, Source):
            channel = Channel(item.elements, item.is_future)
            handle = add_end(instance, channel, True)
            _Writer(self, channel, item).pump()
            return handle
        return add_end(instance, item, True)

    def lift(self, index: int, ty: t.AnyValType, handle: int) -> Any:
        instance = self.instance(index)
        if isinstance(ty, t.ErrorContext):
            return instance.get(handle, ErrorContext, ErrorContext.name)
        assert isinstance(ty, (t.StreamType, t.FutureType))
        is_future = isinstance(ty, t.FutureType)
        channel = take_readable(instance, handle, self.elements(ty.payload), is_future)
        return FutureReader(self, channel) if is_future else StreamReader(self, channel)
