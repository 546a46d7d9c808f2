"""Bodies of wasi:http: incoming ones with their streams and trailers, outgoing ones with theirs, and which of these has to outlive which.

An incoming body reads from a BodySource, an outgoing one writes to a BodyTarget. `PipeSource` and `PipeTarget` are the ends of a BytePipe to another thread,
`ReaderSource` is a file that blocks (of a connection, whose timeouts it has). A stream that is dropped late, after its body, is a Trap, as the interface says.
"""

from __future__ import annotations

import time
from typing import Any, Protocol

from wasmrt.errors import Trap, WitError
from wasmrt.runtime.values import Variant

from . import waiting
from .http_fields import Fields
from .http_messages import HttpError, error_code
from .io import CLOSED, MAX_CHUNK, OK, WRITE_BUDGET, InputStream, IoError, OutputStream, Pollable
from .pipe import BytePipe, Listener

MAX_DISCARDED_BYTES = 1 << 24  # of a body whose guest wants its trailers only
Pairs = list[tuple[str, bytes]]


def http_error(error: BaseException) -> IoError:
    """What a stream fails with. Raises what is no error of a network."""
    code = error_code(error)
    if code is None:
        raise error
    made = IoError(f"{code.tag}: {error}" if not isinstance(error, WitError) else code.tag)
    made.http_code = code
    return made


# ---- incoming -------------------------------------------------------------------------------------------------------------------------------


class BodySource(Protocol):
    """Where an incoming body comes from."""

    trailers: Pairs

    def read(self, length: int) -> bytes | None:
        """What is there; empty: nothing yet; None: nothing more. Raises."""

    def is_ready(self) -> bool:
        """Whether `read` gets anywhere."""

    def discard(self) -> None:
        """Only the end is of interest: from now on `is_ready` means that."""

    def listen(self, listener: Listener) -> None: ...
    def unlisten(self, listener: Listener) -> None: ...
    def close(self) -> None: ...


class PipeSource:
    """What another thread writes. Whoever gives it up closes the pipe, so that the thread learns of it."""

    def __init__(self, pipe: BytePipe, trailers: Pairs) -> None:
        self._pipe = pipe
        self._is_discarding = False
        self.trailers = trailers
        self.read, self.listen, self.unlisten, self.close = pipe.read, pipe.listen, pipe.unlisten, pipe.close

    def is_ready(self) -> bool:
        return self._pipe.ended_ns is not None if self._is_discarding else self._pipe.is_readable()

    def discard(self) -> None:
        self._is_discarding = True
        self._pipe.discard(MAX_DISCARDED_BYTES)

    def __del__(self) -> None:
        self._pipe.close()


class ReaderSource:
    """A binary file with `read1` or `read`, which blocks no longer than it sees fit; `trailers` may be filled by it."""

    def __init__(self, file: Any, trailers: Pairs) -> None:
        self._read = file.read1 if hasattr(file, "read1") else file.read
        self.trailers = trailers

    def read(self, length: int) -> bytes | None:
        return (self._read(length) or None) if length else b""

    def is_ready(self) -> bool:
        return True

    def discard(self) -> None:
        left = MAX_DISCARDED_BYTES
        while data := self._read(1 << 16):
            left -= len(data)
            if left < 0:
                raise HttpError("HTTP-request-body-size", None)

    def listen(self, listener: Listener) -> None:
        pass

    def unlisten(self, listener: Listener) -> None:
        pass

    def close(self) -> None:
        self._read = lambda length: b""


class BodyInputStream(InputStream):
    """The contents of an incoming body; `between_ns`: how long it may give nothing."""

    def __init__(self, body: IncomingBody) -> None:
        super().__init__(None)
        self._body = body
        self._source = body.source
        self._between_ns = body.between_ns
        self._is_over = False
        self.deadline_ns = self._next_deadline()
        self.listen, self.unlisten = self._source.listen, self._source.unlisten
        body.has_stream = True

    def _next_deadline(self) -> int | None:
        return None if self._between_ns is None else time.monotonic_ns() + self._between_ns

    def is_ready(self) -> bool:
        return self._is_over or self._source.is_ready() or (self.deadline_ns is not None and self.deadline_ns <= time.monotonic_ns())

    def waited_for(self, store: Any, waits: bool) -> BodyInputStream:
        if waits:
            waiting.wait_for(store, [self])
        return self

    def read(self, length: int) -> bytes | None | IoError:
        if self._is_over:
            return None
        try:
            data = self._source.read(min(length, MAX_CHUNK))
            if data:
                self.deadline_ns = self._next_deadline()
            elif data is None:
                self._is_over = True
            elif length and self.deadline_ns is not None and self.deadline_ns <= time.monotonic_ns():
                self._source.close()
                raise HttpError("connection-read-timeout")
        except Exception as error:
            self._is_over = True
            return http_error(error)
        return data

    def subscribe(self) -> Pollable:
        return Pollable(source=self)

    def close(self) -> None:
        self._body.has_stream = False


class IncomingBody:
    """wasi:http/types incoming-body."""

    def __init__(self, source: BodySource, between_ns: int | None = None) -> None:
        self.source = source
        self.between_ns = between_ns
        self.has_stream = False
        self._was_streamed = False

    def stream(self) -> BodyInputStream:
        if self._was_streamed:
            raise WitError(None)
        self._was_streamed = True
        return BodyInputStream(self)

    @staticmethod
    def finish(this: IncomingBody) -> FutureTrailers:
        this._ensure_no_stream()
        return FutureTrailers(this.source)

    def _ensure_no_stream(self) -> None:
        if self.has_stream:
            raise Trap("an incoming-body was finished or dropped before its stream")

    def close(self) -> None:
        self._ensure_no_stream()
        self.source.close()


class FutureTrailers:
    """wasi:http/types future-trailers: what is left of the body is read and forgotten."""

    deadline_ns = None

    def __init__(self, source: BodySource) -> None:
        self._source = source
        self._error: BaseException | None = None
        self._was_taken = False
        self.children = 0
        self.listen, self.unlisten = source.listen, source.unlisten
        try:
            source.discard()
        except Exception as error:
            self._error = error

    def is_ready(self) -> bool:
        return self._source.is_ready()

    def subscribe(self) -> Pollable:
        return Pollable(source=self)

    def get(self) -> Variant | None:
        """None: not yet; else the outer `result`, in whose `ok` a Variant is an error-code."""
        if not self.is_ready():
            return None
        if self._was_taken:
            return Variant("err")
        self._was_taken = True
        return Variant("ok", self._result())

    def _result(self) -> Fields | Variant | None:
        try:
            if self._error is not None:
                raise self._error
            while self._source.read(MAX_CHUNK):
                pass
            trailers = Fields.received(self._source.trailers)
        except ValueError:
            return Variant("HTTP-protocol-error")
        except Exception as error:
            return http_error(error).http_code
        return trailers.child_of(self) if self._source.trailers else None

    def close(self) -> None:
        if self.children:
            raise Trap("a future-trailers was dropped before its trailers")
        self._source.close()


# ---- outgoing -------------------------------------------------------------------------------------------------------------------------------


class BodyTarget(Protocol):
    """Where an outgoing body goes."""

    def space(self) -> int:
        """How many bytes may be written now."""

    def is_writable(self) -> bool:
        """Whether writing gets anywhere, be it an error."""

    def write(self, data: bytes) -> None: ...

    def end(self, trailers: Pairs, error: BaseException | None) -> None:
        """All is written, or the guest gave up. Nothing after the first time."""

    def listen(self, listener: Listener) -> None: ...
    def unlisten(self, listener: Listener) -> None: ...


class PipeTarget:
    """To another thread, which finds `trailers` filled at the end."""

    def __init__(self, pipe: BytePipe, trailers: Pairs) -> None:
        self._pipe = pipe
        self._trailers = trailers
        self.space, self.is_writable, self.write = pipe.space, pipe.is_writable, pipe.write
        self.listen, self.unlisten = pipe.listen, pipe.unlisten

    def end(self, trailers: Pairs, error: BaseException | None) -> None:
        if self._pipe.ended_ns is None:
            self._trailers += trailers
            self._pipe.end(error)


class BodyOutputStream(OutputStream):
    """The contents of an outgoing body."""

    deadline_ns = None

    def __init__(self, body: OutgoingBody) -> None:
        super().__init__(None)
        self._body = body
        self._target = body.target
        self._is_over = False
        self.listen, self.unlisten = self._target.listen, self._target.unlisten
        body.has_stream = True

    def is_ready(self) -> bool:
        return self._is_over or self._target.is_writable()

    def subscribe(self) -> Pollable:
        return Pollable(source=self)

    def check_write(self) -> int | None:
        return None if self._is_over else min(self._target.space(), WRITE_BUDGET)

    def flush(self) -> Variant:
        return CLOSED if self._is_over else OK

    def write(self, data: bytes) -> Variant:
        if self._is_over:
            return CLOSED
        if len(data) > self._target.space():
            raise Trap("a guest wrote more to a body than check-write permitted")
        body = self._body
        try:
            body.num_written += len(data)
            if body.length is not None and body.num_written > body.length:
                raise HttpError(body.size_error, body.num_written)
            self._target.write(data)
        except Exception as error:
            self._is_over = True
            return Variant("err", http_error(error))
        return OK

    def write_waiting(self, store: Any, data: bytes) -> Variant:
        left = memoryview(data)
        while True:
            waiting.wait_for(store, [self])
            part = bytes(left[: max(1, min(self._target.space(), WRITE_BUDGET))])
            result = self.write(part)
            left = left[len(part) :]
            if result is not OK or not left:
                return result

    def close(self) -> None:
        self._body.has_stream = False


class OutgoingBody:
    """wasi:http/types outgoing-body. `length`: what the message's Content-Length says; `size_error`: the case for another one."""

    def __init__(self, target: BodyTarget, length: int | None, size_error: str) -> None:
        self.target = target
        self.length = length
        self.size_error = size_error
        self.num_written = 0
        self.has_stream = False
        self._was_written = False

    def write(self) -> BodyOutputStream:
        if self._was_written:
            raise WitError(None)
        self._was_written = True
        return BodyOutputStream(self)

    @staticmethod
    def finish(this: OutgoingBody, trailers: Fields | None) -> None:
        this._ensure_no_stream()
        if this.length is not None and this.num_written != this.length:
            error = HttpError(this.size_error, this.num_written)
            this.target.end([], error)
            raise error
        pairs = []
        if trailers is not None:
            pairs = trailers.entries()
            trailers.close()
        try:
            this.target.end(pairs, None)
        except Exception as error:
            raise WitError(http_error(error).http_code) from None

    def _ensure_no_stream(self) -> None:
        if self.has_stream:
            raise Trap("an outgoing-body was finished or dropped before its stream")

    def close(self) -> None:
        self._ensure_no_stream()
        self.__del__()

    def __del__(self) -> None:
        self.target.end([], HttpError("connection-terminated"))
