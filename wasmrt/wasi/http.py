"""wasi:http: types of both directions, and outgoing requests, which `WasiConfig.http_handler` answers. `Linker.add_wasi_http()` defines it.

Without a handler a request is `HTTP-request-denied`. Requests that come in are made by `serving.py`, which calls what a component exports. Here is what
messages may look like, what may be done with them and in which order; `http_fields.py`, `http_body.py` and `http_sending.py` have the parts.
"""

from __future__ import annotations

import re
from typing import Any

from wasmrt.errors import Trap, WitError
from wasmrt.runtime.component_linker import Linker
from wasmrt.runtime.values import Variant

from .config import config_of
from .http_body import BodySource, BodyTarget, FutureTrailers, IncomingBody, OutgoingBody, PipeSource, PipeTarget
from .http_fields import TOKEN, Charge, Fields
from .http_messages import HttpError, HttpRequest, RequestBody
from .http_sending import DEFAULT_TIMEOUT_NS, Sending, code_of, send
from .io import InputStream, IoError, OutputStream, Pollable
from .pipe import CAPACITY, BytePipe

VERSION = "0.2.6"
MAX_URI_BYTES = 1 << 16
MESSAGE_BYTES = CAPACITY + (1 << 13)  # what one that is made by a guest is charged with

METHODS = ("get", "head", "post", "put", "delete", "connect", "options", "trace", "patch")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
_PATH = re.compile(r"[!\"$-~]*")  # neither spaces nor a fragment
_AUTHORITY = re.compile(r"[!$-.0-9:;=A-Z_a-z~@%\[\]]+")
HOST_AND_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[!$&-.0-9;=A-Z_a-z~%]+)(?::([0-9]{1,5}))?")  # without user information


def method_of(name: str) -> Variant:
    """The case of `method` for a method as it is on the wire."""
    return Variant(name.lower()) if name.isupper() and name.lower() in METHODS else Variant("other", name)


class _Message:
    """What has headers, whose handles have to be dropped before it."""

    def __init__(self, headers: Fields) -> None:
        self._headers = headers
        self._charge: Charge | None = None
        self.children = 0

    def headers(self) -> Fields:
        return self._headers.child_of(self)

    def _ensure_no_children(self) -> None:
        if self.children:
            raise Trap("a message was dropped before its headers")


# ---- incoming -------------------------------------------------------------------------------------------------------------------------------


class _IncomingMessage(_Message):
    def __init__(self, headers: Fields, source: BodySource, between_ns: int | None) -> None:
        super().__init__(headers)
        self._body: IncomingBody | None = IncomingBody(source, between_ns)

    def consume(self) -> IncomingBody:
        body, self._body = self._body, None
        if body is None:
            raise WitError(None)
        return body

    def close(self) -> None:
        self._ensure_no_children()
        if self._body is not None:
            self._body.close()


class IncomingRequest(_IncomingMessage):
    """wasi:http/types incoming-request. Raises ValueError for headers that are malformed, or too many."""

    def __init__(
        self, method: str, scheme: str | None, authority: str | None, path: str | None, headers: list[tuple[str, bytes]], source: BodySource
    ) -> None:
        super().__init__(Fields.received(headers), source, None)
        self._method = method_of(method)
        self._scheme = None if scheme is None else _scheme_of(scheme)
        self._authority = authority
        self._path = path

    def method(self) -> Variant:
        return self._method

    def path_with_query(self) -> str | None:
        return self._path

    def scheme(self) -> Variant | None:
        return self._scheme

    def authority(self) -> str | None:
        return self._authority


class IncomingResponse(_IncomingMessage):
    """wasi:http/types incoming-response. Raises ValueError as IncomingRequest does."""

    def __init__(self, status: int, headers: list[tuple[str, bytes]], source: BodySource, between_ns: int | None) -> None:
        super().__init__(Fields.received(headers), source, between_ns)
        self._status = status

    def status(self) -> int:
        return self._status


class FutureIncomingResponse:
    """wasi:http/types future-incoming-response."""

    def __init__(self, sending: Sending, between_ns: int) -> None:
        self._sending = sending
        self._between_ns = between_ns
        self._was_taken = False

    def subscribe(self) -> Pollable:
        return Pollable(source=self._sending)

    def get(self) -> Variant | None:
        """In `some`, None is the outer `err` (taken already), and a Variant is an error-code."""
        if not self._sending.is_ready():
            return None
        if self._was_taken:
            return Variant("some", None)
        self._was_taken = True
        return Variant("some", self._result())

    def _result(self) -> IncomingResponse | Variant:
        sending = self._sending
        if sending.error is not None:
            return code_of(sending.error)
        source = CancellingSource(sending)
        try:
            return IncomingResponse(sending.status, sending.headers, source, self._between_ns)
        except ValueError as error:
            too_many = "too many" in str(error)
            return Variant("HTTP-response-header-section-size", None) if too_many else Variant("HTTP-protocol-error")

    def close(self) -> None:
        if not self._was_taken:
            self._sending.cancel()

    __del__ = close


class CancellingSource(PipeSource):
    """The body of an answer: who gives it up cancels the request."""

    def __init__(self, sending: Sending) -> None:
        super().__init__(sending.pipe, sending.trailers)
        self.close = sending.cancel

    def __del__(self) -> None:
        self.close()


# ---- outgoing -------------------------------------------------------------------------------------------------------------------------------


class _OutgoingMessage(_Message):
    size_error = ""

    def __init__(self, headers: Fields, target: BodyTarget) -> None:
        super().__init__(headers.frozen())
        headers.close()
        self.target = target
        self._body: OutgoingBody | None = None
        self.has_body = False

    def content_length(self) -> int | None:
        values = {value for item in self._headers.get("content-length") for value in item.split(b",")}
        if len(values) != 1:
            return None
        (value,) = values
        return int(value) if re.fullmatch(rb" *[0-9]{1,18} *", value) else None

    def body(self) -> OutgoingBody:
        if self.has_body:
            raise WitError(None)
        self.has_body = True
        return OutgoingBody(self.target, self.content_length(), self.size_error)

    def entries(self) -> list[tuple[str, bytes]]:
        return self._headers.entries()

    def close(self) -> None:
        self._ensure_no_children()


class OutgoingRequest(_OutgoingMessage):
    """wasi:http/types outgoing-request."""

    size_error = "HTTP-request-body-size"

    def __init__(self, headers: Fields) -> None:
        self.pipe = BytePipe()
        self.trailers: list[tuple[str, bytes]] = []
        super().__init__(headers, PipeTarget(self.pipe, self.trailers))
        self._method = Variant("get")
        self._path: str | None = None
        self._scheme: Variant | None = None
        self._authority: str | None = None

    def method(self) -> Variant:
        return self._method

    def set_method(self, method: Any) -> None:
        if method.tag == "other" and not TOKEN.fullmatch(method.payload):
            raise WitError(None)
        self._method = method

    def path_with_query(self) -> str | None:
        return self._path

    def set_path_with_query(self, path: str | None) -> None:
        if path is not None and not _PATH.fullmatch(path):
            raise WitError(None)
        self._path = path

    def scheme(self) -> Variant | None:
        return self._scheme

    def set_scheme(self, scheme: Any) -> None:
        if scheme is not None and scheme.tag == "other" and not _SCHEME.fullmatch(scheme.payload):
            raise WitError(None)
        self._scheme = scheme

    def authority(self) -> str | None:
        return self._authority

    def set_authority(self, authority: str | None) -> None:
        if authority is not None and not _AUTHORITY.fullmatch(authority):
            raise WitError(None)
        self._authority = authority

    def sent(self, options: RequestOptions | None) -> HttpRequest:
        """For a handler. Raises HttpError when it is none that can be sent."""
        scheme = "https" if self._scheme is None else str(self._scheme.payload or self._scheme.tag).lower()
        authority, path = self._authority or "", self._path or "/"
        if not authority and scheme in ("http", "https"):
            raise HttpError("HTTP-request-URI-invalid")
        if authority:
            # who compares hosts, or joins the parts, is to see the same host as who connects
            found = HOST_AND_PORT.fullmatch(authority)
            if found is None or int(found.group(2) or 1) not in range(1, 65536):
                raise HttpError("HTTP-request-URI-invalid")
        if path.startswith("?"):
            path = "/" + path
        if not path.startswith("/") and not (path == "*" and self._method.tag == "options"):
            raise HttpError("HTTP-request-URI-invalid")
        if len(authority) + len(path) > MAX_URI_BYTES:
            raise HttpError("HTTP-request-URI-too-long")
        method = self._method.payload if self._method.tag == "other" else self._method.tag.upper()
        body = RequestBody(self.pipe)
        body.trailers = self.trailers
        times = RequestOptions() if options is None else options
        connect, first_byte, between_bytes = map(_seconds, (times.connect_timeout(), times.first_byte_timeout(), times.between_bytes_timeout()))
        return HttpRequest(method, scheme, authority, path, self.entries(), body, connect, first_byte, between_bytes)


class OutgoingResponse(_OutgoingMessage):
    """wasi:http/types outgoing-response. Where it is sent is known when it is given to a `response-outparam`."""

    size_error = "HTTP-response-body-size"

    def __init__(self, headers: Fields) -> None:
        self.pending = PendingBody()
        super().__init__(headers, self.pending)
        self._status = 200

    def status_code(self) -> int:
        return self._status

    def set_status_code(self, status: int) -> None:
        if not 100 <= status <= 999:
            raise WitError(None)
        self._status = status


class PendingBody:
    """The target of a response's body: a pipe until there is an exchange, to which all is passed on then."""

    def __init__(self) -> None:
        self._pipe = BytePipe()
        self._exchange: Any = None
        self._trailers: list[tuple[str, bytes]] = []
        self._error: BaseException | None = None
        self.space, self.listen, self.unlisten = self._pipe.space, self._pipe.listen, self._pipe.unlisten

    @property
    def length(self) -> int | None:
        """Of a body that is complete."""
        return CAPACITY - self.space() if self._pipe.ended_ns is not None and self._error is None else None

    def attach(self, exchange: Any) -> None:
        """Passes on what has been written."""
        self._exchange = exchange
        if self.space() < CAPACITY:
            exchange.write(self._pipe.read(CAPACITY))
        if self._pipe.ended_ns is not None:
            exchange.end(self._trailers, self._error)

    def is_writable(self) -> bool:
        return self._exchange is not None or self._pipe.is_writable()

    def write(self, data: bytes) -> None:
        (self._pipe if self._exchange is None else self._exchange).write(data)

    def end(self, trailers: list[tuple[str, bytes]], error: BaseException | None) -> None:
        if self._pipe.ended_ns is None:
            self._trailers, self._error = trailers, error
            self._pipe.end()
            if self._exchange is not None:
                self._exchange.end(trailers, error)


class ResponseOutparam:
    """wasi:http/types response-outparam. `exchange` is where the response goes (`serving.Exchange`)."""

    def __init__(self, exchange: Any) -> None:
        self._exchange = exchange

    @staticmethod
    def send_informational(this: ResponseOutparam, status: int, headers: Fields) -> None:
        raise HttpError("internal-error", "informational responses are not sent")

    @staticmethod
    def set(param: ResponseOutparam, response: Any) -> None:
        exchange = param._exchange
        if isinstance(response, Variant) and response.tag in ("ok", "err"):
            response = response.payload
        if isinstance(response, Variant):
            exchange.refuse(response)
            return
        pending = response.pending
        if not response.has_body:
            pending.end([], None)
        exchange.start(response.status_code(), response.entries(), pending.length)
        pending.attach(exchange)


class RequestOptions:
    """wasi:http/types request-options; durations in nanoseconds."""

    def __init__(self) -> None:
        self._connect: int | None = None
        self._first_byte: int | None = None
        self._between_bytes: int | None = None

    def connect_timeout(self) -> int | None:
        return self._connect

    def set_connect_timeout(self, duration: int | None) -> None:
        self._connect = duration

    def first_byte_timeout(self) -> int | None:
        return self._first_byte

    def set_first_byte_timeout(self, duration: int | None) -> None:
        self._first_byte = duration

    def between_bytes_timeout(self) -> int | None:
        return self._between_bytes

    def set_between_bytes_timeout(self, duration: int | None) -> None:
        self._between_bytes = duration

    def total_ns(self) -> int:
        """Until the first byte of an answer."""
        return _or_default(self._connect) + _or_default(self._first_byte)


def _or_default(duration: int | None) -> int:
    return DEFAULT_TIMEOUT_NS if duration is None else duration


def _seconds(duration: int | None) -> float | None:
    return None if duration is None else duration / 1e9


def _scheme_of(scheme: str) -> Variant:
    return Variant(scheme.upper()) if scheme in ("http", "https") else Variant("other", scheme)


# ---- the interface --------------------------------------------------------------------------------------------------------------------------

RESOURCES = {
    "fields": Fields,
    "incoming-request": IncomingRequest,
    "incoming-response": IncomingResponse,
    "incoming-body": IncomingBody,
    "future-trailers": FutureTrailers,
    "future-incoming-response": FutureIncomingResponse,
    "outgoing-request": OutgoingRequest,
    "outgoing-response": OutgoingResponse,
    "outgoing-body": OutgoingBody,
    "response-outparam": ResponseOutparam,
    "request-options": RequestOptions,
    "pollable": Pollable,
    "input-stream": InputStream,
    "output-stream": OutputStream,
    "io-error": IoError,
    "error": IoError,
    "headers": Fields,
    "trailers": Fields,
}


def handle(store: Any, request: OutgoingRequest, options: RequestOptions | None) -> FutureIncomingResponse:
    handler = store.wasi_http or config_of(store).http_handler
    if handler is None:
        raise HttpError("HTTP-request-denied")
    sent = request.sent(options)
    if not request.has_body:
        request.pipe.end()
    times = RequestOptions() if options is None else options
    sending = send(store, handler, sent, request.pipe, times.total_ns())
    return FutureIncomingResponse(sending, _or_default(times.between_bytes_timeout()))


def charged(store: Any, message: Any) -> Any:
    message._charge = Charge(store, MESSAGE_BYTES)
    return message


def define(linker: Linker) -> None:
    types = linker.instance(f"wasi:http/types@{VERSION}")
    types.define({"[static]fields.from-list": lambda store, entries: Fields.from_list(entries).charged(store)}, pass_store=True)
    types.define(RESOURCES)
    types.add_func("[constructor]fields", lambda store: Fields().charged(store))
    types.add_func("[method]fields.clone", lambda store, self: self.clone().charged(store))
    types.add_func("[constructor]outgoing-request", lambda store, headers: charged(store, OutgoingRequest(headers)))
    types.add_func("[constructor]outgoing-response", lambda store, headers: charged(store, OutgoingResponse(headers)))
    types.add_func("http-error-code", lambda store, error: error.http_code)
    handler = linker.instance(f"wasi:http/outgoing-handler@{VERSION}")
    handler.define({"handle": handle}, pass_store=True)
    handler.define(RESOURCES)
