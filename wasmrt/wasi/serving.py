"""Components that answer HTTP requests (wasi:http/incoming-handler, the proxy world): called directly, as a WSGI application, or by a server of their own.

Every request gets a store and an instance of its own, so requests share nothing; all that can be done once is done in HttpComponent. A guest runs in the
thread of its request and writes its response to an Exchange, which blocks as the connection does. It can go on after its response is complete, until its time
is over. What fails before a response has begun is a response of status 500; after that the connection is broken off, so that no part is taken for a whole.
"""

from __future__ import annotations

import contextlib
import queue
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, NoReturn, Protocol

from wasmrt.errors import ArgumentTypeError, ExitTrap, LinkError, WasmError
from wasmrt.runtime.component import Component
from wasmrt.runtime.component_linker import Linker
from wasmrt.runtime.names import find_name
from wasmrt.runtime.store import Store
from wasmrt.runtime.values import Variant

from .config import WasiConfig
from .http import IncomingRequest, ResponseOutparam
from .http_body import Pairs, ReaderSource
from .http_messages import HttpError

INTERFACE = "wasi:http/incoming-handler@0.2.0"
GRACE_SECONDS = 5.0  # for what a guest's timeout does not reach: a host function that does not look at it
QUEUED_CHUNKS = 16
CHUNK_BYTES = 1 << 16

STATUSES = {
    "HTTP-request-denied": 403,
    "HTTP-request-method-invalid": 405,
    "HTTP-request-length-required": 411,
    "HTTP-request-body-size": 413,
    "HTTP-request-URI-too-long": 414,
    "HTTP-request-header-section-size": 431,
    "HTTP-request-header-size": 431,
    "internal-error": 500,
    "configuration-error": 500,
    "loop-detected": 508,
    "DNS-timeout": 504,
    "connection-timeout": 504,
    "connection-read-timeout": 504,
    "connection-write-timeout": 504,
    "HTTP-response-timeout": 504,
}


def status_of(code: str) -> int:
    """For an `error-code` that a guest gives in the place of a response."""
    return STATUSES.get(code, 400 if code.startswith("HTTP-request") else 502)


class Transport(Protocol):
    """Where a response goes. Blocks; raises OSError when nobody is there any more."""

    def start(self, status: int, headers: Pairs, length: int | None) -> None:
        """`length` of the body, None: not known yet."""

    def write(self, data: bytes) -> None: ...

    def end(self, trailers: Pairs) -> None:
        """The body was all of it."""


class Exchange:
    """One response on its way to a transport: what a guest's response-outparam is set to."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.is_started = False
        self.is_complete = False
        self.error: BaseException | None = None

    def start(self, status: int, headers: Pairs, length: int | None) -> None:
        try:
            self._transport.start(status, headers, length)
        except OSError as error:
            self.is_started = True
            self._fail(error)
        self.is_started = True

    def write(self, data: bytes) -> None:
        if data:
            try:
                self._transport.write(data)
            except (OSError, HttpError) as error:
                self._fail(error)

    def end(self, trailers: Pairs, error: BaseException | None) -> None:
        if error is not None:
            self.error = self.error or error
        elif not self.is_complete and self.error is None:
            try:
                self._transport.end(trailers)
            except (OSError, HttpError) as broken:
                self._fail(broken)
            self.is_complete = True

    def _fail(self, error: BaseException) -> NoReturn:
        """The guest learns of it, and so does who asked for all this."""
        self.error = self.error or error
        raise error

    def refuse(self, code: Variant) -> None:
        """The guest has given an error."""
        self.error = HttpError(code.tag, code.payload)
        self.fail(status_of(code.tag))

    def fail(self, status: int) -> None:
        """A response that says no more than its status, if none has begun."""
        if not self.is_started:
            body = f"{status} {_reason(status)}\n".encode()
            self.start(status, [("content-type", b"text/plain"), ("content-length", b"%d" % len(body))], len(body))
            self.write(body)
            self._transport.end([])
            self.is_complete = True


class HttpComponent:
    """A component that exports wasi:http/incoming-handler, linked and ready: `handle` answers one request, and threads may share it.

    `wasi` is what guests see, a WasiConfig or a function that makes one for each request; `imports` what they import besides WASI, as `wasmrt.load` takes
    them; `timeout` in seconds and `max_memory` in bytes are for each request, None: no limit. Raises LinkError when the component exports no handler, or
    imports what is not there.
    """

    def __init__(
        self,
        component: Component,
        *,
        wasi: WasiConfig | Callable[[], WasiConfig] | None = None,
        imports: Mapping[str, Any] | None = None,
        timeout: float | None = 30.0,
        max_memory: int | None = None,
    ) -> None:
        if not isinstance(component, Component):
            raise ArgumentTypeError(f"expected a Component, got {type(component).__name__}")
        name = find_name(INTERFACE, component.type.exports(component.engine))
        if name is None:
            raise LinkError("the component exports no wasi:http/incoming-handler, so it answers no requests")
        self._handler = component.get_export_index("handle", component.get_export_index(name))
        linker = Linker(component.engine)
        linker.allow_shadowing = True
        linker.add_wasip2()
        linker.add_wasi_http()
        if imports is not None:
            for given in imports:
                found = find_name(given, linker._items)
                if found is not None:
                    del linker._items[found]
            linker.root().define(imports)
        self._pre = linker.instantiate_pre(component)
        self.component = component
        self.wasi = wasi
        self.timeout = timeout
        self.max_memory = max_memory

    def handle(self, request: IncomingRequest, transport: Transport) -> BaseException | None:
        """Answers it: returns when the guest does. What it failed with, or None; the transport has been given a complete response then."""
        exchange = Exchange(transport)
        try:
            with Store(self.component.engine) as store:
                store.set_wasi(self.wasi() if callable(self.wasi) else self.wasi)
                if self.max_memory is not None:
                    store.set_limits(memory_size=self.max_memory)
                store.set_timeout(self.timeout)
                instance = self._pre.instantiate(store)
                instance.get_func(self._handler)(request, ResponseOutparam(exchange))
        except ExitTrap as leaving:
            if not exchange.is_complete:
                exchange.error = exchange.error or leaving
        except Exception as error:
            exchange.error = exchange.error or error
        if exchange.error is None and not exchange.is_complete:
            exchange.error = WasmError("the guest returned without a complete response")
        if not exchange.is_started:
            try:
                exchange.fail(500)
            except OSError as error:
                return error
            return exchange.error
        return exchange.error


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def report(error: BaseException) -> None:
    """To the standard error of the program: whoever made the request learns nothing of it."""
    text = "".join(traceback.format_exception(error)) if not isinstance(error, (WasmError, OSError)) else f"{type(error).__name__}: {error}\n"
    with contextlib.suppress(Exception):
        sys.stderr.write(f"wasmrt: a request failed: {text}")


# ---- WSGI -----------------------------------------------------------------------------------------------------------------------------------

_END = object()


class _QueueTransport:
    """From the guest's thread to that of the server, which takes chunks as its client does."""

    def __init__(self) -> None:
        self.queue: queue.Queue[Any] = queue.Queue(QUEUED_CHUNKS)
        self.is_abandoned = False

    def _put(self, item: Any) -> None:
        while True:
            if self.is_abandoned:
                raise BrokenPipeError("nobody reads the response")
            with contextlib.suppress(queue.Full):
                self.queue.put(item, timeout=1.0)
                return

    def start(self, status: int, headers: Pairs, length: int | None) -> None:
        if length is not None and not any(name.lower() == "content-length" for name, _ in headers):
            headers = [*headers, ("content-length", b"%d" % length)]
        self._put((status, headers))

    def write(self, data: bytes) -> None:
        for start in range(0, len(data), CHUNK_BYTES):
            self._put(data[start : start + CHUNK_BYTES])

    def end(self, trailers: Pairs) -> None:
        self._put(_END)


class _Chunks:
    """What a WSGI application returns: the body as the guest writes it."""

    def __init__(self, transport: _QueueTransport, timeout: float | None) -> None:
        self._transport = transport
        self._timeout = timeout

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        item = _taken(self._transport, self._timeout)
        if item is _END:
            raise StopIteration
        if isinstance(item, BaseException):
            raise item
        return item  # type: ignore[no-any-return]

    def close(self) -> None:
        self._transport.is_abandoned = True


def _taken(transport: _QueueTransport, timeout: float | None) -> Any:
    try:
        return transport.queue.get(timeout=None if timeout is None else timeout + GRACE_SECONDS)
    except queue.Empty:
        transport.is_abandoned = True
        return TimeoutError("the guest does not answer, nor does its timeout end it")


def wsgi(component: Component, **options: Any) -> Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]:
    """A WSGI application (PEP 3333) of a component that exports wasi:http/incoming-handler. `options` are HttpComponent's.

    A guest runs in a thread of its own beside the server's, and no faster than its client reads. Raises LinkError as HttpComponent does.

    >>> from wsgiref.simple_server import make_server
    >>> application = wasmrt.wasi.wsgi(Component.from_file(engine, "proxy.wasm"), timeout=10.0)
    >>> make_server("127.0.0.1", 8080, application).serve_forever()
    """
    handler = HttpComponent(component, **options)

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        try:
            request = _request_of(environ)
        except ValueError as error:
            return _plain(start_response, 400, str(error))
        transport = _QueueTransport()

        def work() -> None:
            error = handler.handle(request, transport)
            if error is not None:
                if not isinstance(error, ConnectionError):
                    report(error)
                with contextlib.suppress(OSError):
                    transport._put(error)

        threading.Thread(target=work, name="wasmrt-wsgi", daemon=True).start()
        head = _taken(transport, handler.timeout)
        if isinstance(head, BaseException):
            return _plain(start_response, 504 if isinstance(head, TimeoutError) else 500, "the component gave no response")
        status, headers = head
        start_response(f"{status} {_reason(status)}", [(name, value.decode("latin-1")) for name, value in headers])
        return _Chunks(transport, handler.timeout)

    return application


def _plain(start_response: Callable[..., Any], status: int, text: str) -> list[bytes]:
    body = f"{text}\n".encode()
    start_response(f"{status} {_reason(status)}", [("content-type", "text/plain"), ("content-length", str(len(body)))])
    return [body]


def _request_of(environ: dict[str, Any]) -> IncomingRequest:
    """Raises ValueError."""
    headers = []
    for key, value in environ.items():
        if key.startswith("HTTP_"):
            headers.append((key[5:].replace("_", "-").lower(), value.encode("latin-1")))
        elif key in ("CONTENT_TYPE", "CONTENT_LENGTH") and value:
            headers.append((key.replace("_", "-").lower(), value.encode("latin-1")))
    path = _quoted(environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")) or "/"
    if environ.get("QUERY_STRING"):
        path += "?" + environ["QUERY_STRING"]
    authority = environ.get("HTTP_HOST") or f"{environ['SERVER_NAME']}:{environ['SERVER_PORT']}"
    length = environ.get("CONTENT_LENGTH") or ("" if environ.get("wsgi.input_terminated") else "0")
    if length and not length.isdecimal():
        raise ValueError("the content-length is malformed")
    body = environ["wsgi.input"]
    source = ReaderSource(LimitedReader(body, int(length)) if length else body, [])
    return IncomingRequest(environ["REQUEST_METHOD"], environ.get("wsgi.url_scheme"), authority, path, headers, source)


def _quoted(path: str) -> str:
    """PATH_INFO is decoded; a guest wants it as it was on the wire, as far as that is known."""
    from urllib.parse import quote

    return quote(path.encode("latin-1"), safe="/;:@&=+$,!*'()~")


class LimitedReader:
    """So many bytes of a file. Raises HttpError when it ends before."""

    def __init__(self, file: Any, length: int) -> None:
        self._read = file.read1 if hasattr(file, "read1") else file.read
        self.left = length

    def read(self, size: int) -> bytes:
        if not self.left:
            return b""
        data: bytes = self._read(min(size, self.left))
        if not data:
            raise HttpError("connection-terminated")
        self.left -= len(data)
        return data
