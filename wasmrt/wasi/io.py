"""wasi:io: errors, pollables and streams, as host resources that are plain Python objects.

How results are returned follows the rule of the low-level API: `result<_, stream-error>` needs a Variant, because both a missing payload and the error
`closed` are None; `result<list<u8>, stream-error>` and `result<u64, stream-error>` are bare: the value itself, None for `closed`, or an IoError.
"""

from __future__ import annotations

import select
import time
from typing import Any

from wasmrt.errors import Trap
from wasmrt.runtime.component_linker import Linker
from wasmrt.runtime.values import Variant

from . import waiting
from .config import Sink, pipe_to_wait_for
from .paths import error_code

MAX_CHUNK = 1 << 20
ZEROES_CHUNK = 4096
WRITE_BUDGET = 1 << 16

OK = Variant("ok")
CLOSED = Variant("err")


class IoError:
    """wasi:io/error: an opaque error with a text; `code` is wasi:filesystem's, for one that an operation on a file caused."""

    def __init__(self, message: str, code: str | None = None) -> None:
        self.message = message
        self.code = code
        self.http_code: Variant | None = None  # wasi:http's, for one that a body caused

    @classmethod
    def of(cls, error: OSError) -> IoError:
        return cls(error.strerror or "input or output failed", error_code(error))

    def to_debug_string(self) -> str:
        return self.message


class Pollable:
    """Ready at a monotonic instant in nanoseconds; 0: always. Or when its source is."""

    def __init__(self, deadline_ns: int = 0, source: waiting.Source | None = None) -> None:
        self.deadline_ns = deadline_ns
        self.source = source

    def ready(self) -> bool:
        return self.deadline_ns <= time.monotonic_ns() if self.source is None else self.source.is_ready()

    def block(self, store: Any) -> None:
        if not self.ready():
            poll(store, [self])


class InputStream:
    """Reads from a binary file object, or from what has its `read1` or `read`; None is an empty stream."""

    def __init__(self, file: Any) -> None:
        self.file = file

    def waited_for(self, store: Any, waits: bool) -> InputStream:
        """Itself, when it can be read; without `waits` that is at once, but for files, whose reads may block."""
        waiting.wait_for_input(store, self.file)
        return self

    def subscribe(self) -> Pollable:
        return Pollable()

    def read(self, length: int) -> bytes | None | IoError:
        if self.file is None:
            return None
        if length == 0:
            return b""
        try:
            data = self.file.read1(min(length, MAX_CHUNK)) if hasattr(self.file, "read1") else self.file.read(min(length, MAX_CHUNK))
        except OSError as error:
            return IoError.of(error)
        return data or None

    def skip(self, length: int) -> int | None | IoError:
        data = self.read(length)
        return len(data) if isinstance(data, bytes) else data


class OutputStream:
    """Hands every chunk to a callable; None is a stream whose other end is closed."""

    def __init__(self, sink: Sink | None) -> None:
        self.sink = sink

    def write(self, data: bytes) -> Variant:
        if self.sink is None:
            return CLOSED
        try:
            self.sink(data)
        except OSError as error:
            return Variant("err", IoError.of(error))
        return OK

    def write_for(self, store: Any, data: bytes) -> Variant:
        """As write; a pipe that nobody reads is waited for no longer than the guest may run."""
        pipe = pipe_to_wait_for(store, self.sink)
        if pipe is None:
            return self.write(data)
        for start in range(0, len(data), select.PIPE_BUF):
            waiting.wait(store, None, {pipe: select.POLLOUT})
            result = self.write(data[start : start + select.PIPE_BUF])
            if result is not OK:
                return result
        return OK

    def write_zeroes(self, store: Any, length: int) -> Variant:
        while length > 0:
            result = self.write_for(store, bytes(min(length, ZEROES_CHUNK)))
            if result is not OK:
                return result
            length -= ZEROES_CHUNK
        return OK

    def write_waiting(self, store: Any, data: bytes) -> Variant:
        """All of it, when it may take any time."""
        return self.write_for(store, data)

    def write_zeroes_waiting(self, store: Any, length: int) -> Variant:
        while length > 0:
            result = self.write_waiting(store, bytes(min(length, ZEROES_CHUNK)))
            if result is not OK:
                return result
            length -= ZEROES_CHUNK
        return OK

    def check_write(self) -> int | None:
        return None if self.sink is None else WRITE_BUDGET

    def subscribe(self) -> Pollable:
        return Pollable()

    def flush(self) -> Variant:
        return CLOSED if self.sink is None else OK

    def splice(self, store: Any, source: InputStream, length: int, waits: bool) -> int | None | IoError:
        if waits:
            self.subscribe().block(store)
        budget = self.check_write()
        if budget is None:
            return None
        data = source.waited_for(store, waits).read(min(length, budget))
        if not isinstance(data, bytes):
            return data
        written = self.write_for(store, data)
        return len(data) if written is OK else written.payload


def poll(store: Any, pollables: list[Pollable]) -> list[int]:
    """Waits until at least one is ready; the indices of those that are. An empty list is a trap, as the interface says."""
    if not pollables:
        raise Trap("poll was called with no pollables")
    timers = [pollable.deadline_ns for pollable in pollables if pollable.source is None]
    until = min(timers, default=None)
    sources = list({id(pollable.source): pollable.source for pollable in pollables if pollable.source is not None}.values())
    if sources:
        waiting.wait_for(store, sources, until)
    elif until is not None and until > time.monotonic_ns():
        waiting.wait(store, until)
    return [index for index, pollable in enumerate(pollables) if pollable.ready()]


def define(linker: Linker, version: str) -> None:
    errors = linker.instance(f"wasi:io/error@{version}")
    errors.add_resource("error", IoError)
    errors.add_func("[method]error.to-debug-string", lambda store, self: self.to_debug_string())

    polls = linker.instance(f"wasi:io/poll@{version}")
    polls.add_resource("pollable", Pollable)
    polls.add_func("[method]pollable.ready", lambda store, self: self.ready())
    polls.add_func("[method]pollable.block", lambda store, self: self.block(store))
    polls.add_func("poll", poll)

    streams = linker.instance(f"wasi:io/streams@{version}")
    streams.add_resource("error", IoError)
    streams.add_resource("pollable", Pollable)
    streams.add_resource("input-stream", InputStream)
    streams.add_resource("output-stream", OutputStream)
    for prefix, waits in (("", False), ("blocking-", True)):
        streams.add_func(f"[method]input-stream.{prefix}read", lambda store, self, length, waits=waits: self.waited_for(store, waits).read(length))
        streams.add_func(f"[method]input-stream.{prefix}skip", lambda store, self, length, waits=waits: self.waited_for(store, waits).skip(length))
        streams.add_func(f"[method]output-stream.{prefix}flush", lambda store, self: self.flush())
        streams.add_func(
            f"[method]output-stream.{prefix}splice",
            lambda store, self, source, length, waits=waits: self.splice(store, source, length, waits),
        )
    streams.add_func("[method]output-stream.write", lambda store, self, data: self.write_for(store, data))
    streams.add_func("[method]output-stream.blocking-write-and-flush", lambda store, self, data: self.write_waiting(store, data))
    streams.add_func("[method]output-stream.write-zeroes", lambda store, self, length: self.write_zeroes(store, length))
    streams.add_func(
        "[method]output-stream.blocking-write-zeroes-and-flush", lambda store, self, length: self.write_zeroes_waiting(store, length)
    )
    streams.add_func("[method]output-stream.check-write", lambda store, self: self.check_write())
    streams.add_func("[method]input-stream.subscribe", lambda store, self: self.subscribe())
    streams.add_func("[method]output-stream.subscribe", lambda store, self: self.subscribe())
