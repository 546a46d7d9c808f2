"""Requests of guests as programs see them, and the answers: what is given to `WasiConfig.http_handler`, and what it returns or raises.

HttpRequest and its body belong to the thread that the handler runs in. Errors of Python that say what went wrong with a network have a case of
wasi:http's `error-code` (`error_code`).
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from wasmrt.errors import ArgumentTypeError, ArgumentValueError, WitError
from wasmrt.runtime.values import Variant

from .pipe import BytePipe

MAX_BODY_BYTES = 1 << 24  # that `RequestBody.read()` collects
READ_BYTES = 1 << 16

ERROR_CODES = frozenset(
    """DNS-timeout DNS-error destination-not-found destination-unavailable destination-IP-prohibited destination-IP-unroutable connection-refused
    connection-terminated connection-timeout connection-read-timeout connection-write-timeout connection-limit-reached TLS-protocol-error TLS-certificate-error
    TLS-alert-received HTTP-request-denied HTTP-request-length-required HTTP-request-body-size HTTP-request-method-invalid HTTP-request-URI-invalid
    HTTP-request-URI-too-long HTTP-request-header-section-size HTTP-request-header-size HTTP-request-trailer-section-size HTTP-request-trailer-size
    HTTP-response-incomplete HTTP-response-header-section-size HTTP-response-header-size HTTP-response-body-size HTTP-response-trailer-section-size
    HTTP-response-trailer-size HTTP-response-transfer-coding HTTP-response-content-coding HTTP-response-timeout HTTP-upgrade-failed HTTP-protocol-error
    loop-detected configuration-error internal-error""".split()
)


class HttpError(WitError):
    """A case of wasi:http's `error-code`, for a handler to raise: the guest gets it in the place of an answer.

    `code` is spelled as in WIT, `payload` is what the case has: `HttpError("connection-refused")`, `HttpError("internal-error", "out of order")`. Raises
    ArgumentValueError for a code that there is not.
    """

    def __init__(self, code: str, payload: Any = None) -> None:
        if code not in ERROR_CODES:
            raise ArgumentValueError(f"wasi:http has no error-code {code!r}")
        super().__init__(Variant(code, payload))
        self.code = code


class RequestBody:
    """A binary file of a request's body, as the guest writes it: `read()`, `read(n)`, iteration over chunks; to be used once.

    Reading waits for the guest. It raises HttpError when the guest gives up, and for `read()` when there is more than MAX_BODY_BYTES.
    `trailers` are known at the end.
    """

    def __init__(self, pipe: BytePipe) -> None:
        self._pipe = pipe
        self.trailers: list[tuple[str, bytes]] = []

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes, empty at the end; all when it is negative."""
        if size >= 0:
            return (self._pipe.read_waiting(size) or b"") if size else b""
        collected = bytearray()
        for chunk in self:
            collected += chunk
            if len(collected) > MAX_BODY_BYTES:
                raise HttpError("HTTP-request-body-size", None)
        return bytes(collected)

    def __iter__(self) -> Iterator[bytes]:
        while data := self.read(READ_BYTES):
            yield data

    @property
    def is_complete(self) -> bool:
        """Whether the guest has written all of it."""
        return self._pipe.ended_ns is not None

    def close(self) -> None:
        """Nothing of it is wanted any more: the guest's stream is closed."""
        self._pipe.close()


@dataclass
class HttpRequest:
    """What a guest asks for. `authority` is `host` or `host:port` without user information; `path` begins with `/` and has the query.

    Header values are bytes, names have no fixed case. Timeouts are in seconds, None where the guest says nothing.
    """

    method: str
    scheme: str
    authority: str
    path: str
    headers: list[tuple[str, bytes]]
    body: RequestBody
    connect_timeout: float | None = None
    first_byte_timeout: float | None = None
    between_bytes_timeout: float | None = None
    _is_cancelled: bool = field(default=False, repr=False)
    _callbacks: list[Callable[[], Any]] = field(default_factory=list, repr=False)

    @property
    def url(self) -> str:
        """Scheme, authority and path in one."""
        return f"{self.scheme}://{self.authority}{self.path}"

    @property
    def is_cancelled(self) -> bool:
        """Whether the guest does not want the answer any more."""
        return self._is_cancelled

    def when_cancelled(self, callback: Callable[[], Any]) -> None:
        """Calls it, in another thread, once the guest does not want the answer any more: to end what blocks. It must not raise."""
        self._callbacks.append(callback)
        if self._is_cancelled:
            callback()

    def _cancel(self) -> None:
        self._is_cancelled = True
        self.body.close()
        for callback in list(self._callbacks):
            callback()


@dataclass
class HttpResponse:
    """A handler's answer. `headers`: pairs or a mapping, of str or bytes; `body`: bytes, or an iterable of bytes, which is read as the guest reads.

    An iterable that has `close()` is closed at the end. `trailers` may be filled while the body is read.
    """

    status: int = 200
    headers: Mapping[str, str | bytes] | Iterable[tuple[str, str | bytes]] = ()
    body: bytes | Iterable[bytes] = b""
    trailers: Iterable[tuple[str, str | bytes]] = ()

    @staticmethod
    def of(answer: Any) -> HttpResponse:
        """What a handler may return: one of these, or its first three fields as a tuple. Raises ArgumentTypeError, ArgumentValueError."""
        if isinstance(answer, tuple):
            answer = HttpResponse(*answer)
        if not isinstance(answer, HttpResponse):
            raise ArgumentTypeError(f"a handler of HTTP requests returns an HttpResponse, got {type(answer).__name__}")
        if not isinstance(answer.status, int):
            raise ArgumentTypeError(f"a status is an int, got {type(answer.status).__name__}")
        if not 100 <= answer.status <= 999:
            raise ArgumentValueError(f"a status is 100 to 999, got {answer.status}")
        return answer

    def chunks(self) -> Iterator[bytes]:
        """The body in pieces. Raises what its iterable does, ArgumentTypeError."""
        if isinstance(self.body, (bytes, bytearray, memoryview)):
            yield bytes(self.body)
            return
        for chunk in self.body:
            if not isinstance(chunk, (bytes, bytearray, memoryview)):
                raise ArgumentTypeError(f"a body's chunk is bytes, got {type(chunk).__name__}")
            yield bytes(chunk)

    def close(self) -> None:
        """Closes a body that can be closed: nobody reads it any more."""
        close = getattr(self.body, "close", None)
        if close is not None:
            close()


def header_pairs(headers: Any) -> list[tuple[str, bytes]]:
    """As a list of pairs with values of bytes."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    return [(str(name), value.encode("latin-1", "replace") if isinstance(value, str) else bytes(value)) for name, value in pairs]


_BY_ERRNO = {
    errno.ENETUNREACH: "destination-IP-unroutable",
    errno.EHOSTUNREACH: "destination-IP-unroutable",
    errno.EADDRNOTAVAIL: "destination-unavailable",
    errno.EHOSTDOWN: "destination-unavailable",
    errno.EMFILE: "connection-limit-reached",
    errno.ENFILE: "connection-limit-reached",
}


def error_code(error: BaseException) -> Variant | None:
    """The case of `error-code` for what went wrong with a request; None for what is no error of a network but a program's."""
    import http.client  # where a request fails, they have been imported mostly
    import socket
    import ssl

    match error:
        case WitError():
            return error.value if isinstance(error.value, Variant) and error.value.tag in ERROR_CODES else None
        case socket.gaierror():
            if error.errno == socket.EAI_AGAIN:
                return Variant("DNS-timeout")
            rcode = "NXDOMAIN" if error.errno == socket.EAI_NONAME else error.strerror
            return Variant("DNS-error", {"rcode": rcode, "info-code": None})
        case ssl.SSLCertVerificationError():
            return Variant("TLS-certificate-error")
        case ssl.SSLError():
            reason = getattr(error, "reason", None) or ""
            if "ALERT" in reason:
                return Variant("TLS-alert-received", {"alert-id": None, "alert-message": reason})
            return Variant("TLS-protocol-error")
        case ConnectionRefusedError():
            return Variant("connection-refused")
        case http.client.IncompleteRead():
            return Variant("HTTP-response-incomplete")
        case ConnectionError():
            return Variant("connection-terminated")
        case TimeoutError():
            return Variant("connection-timeout" if error.errno == errno.ETIMEDOUT else "connection-read-timeout")
        case http.client.LineTooLong():
            return Variant("HTTP-response-header-section-size", None)
        case http.client.HTTPException():
            return Variant("HTTP-protocol-error")
        case OSError():
            known = _BY_ERRNO.get(error.errno or 0)
            return Variant(known) if known else Variant("internal-error", error.strerror)
    return None
