"""A server for `wasmrt serve`: HTTP/1.1 on the threading server of the standard library, one thread a connection, requests of clients that are not to be trusted.

http.server is lenient where an intermediary might read the same bytes as another request; so what is ambiguous is refused here (two lengths, a length beside
chunks, header lines that do not parse), as are sizes beyond the limits. Each wait for a client has an end (`Wire`), also for all of its headers.
"""

from __future__ import annotations

import contextlib
import io
import threading
import time
from email.utils import formatdate
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from .http import HOST_AND_PORT, IncomingRequest
from .http_body import Pairs, ReaderSource
from .http_fields import FORBIDDEN_NAMES, is_name, is_value
from .http_messages import HttpError
from .serving import HttpComponent, LimitedReader, report
from .wire import Wire, WireReader

MAX_LINE_BYTES = 1 << 13  # of a chunk's size or a trailer
MAX_TRAILERS = 100
HEADER_SECONDS = 30.0  # for a whole head, once its connection is there
IDLE_SECONDS = 60.0  # for any one read or write
LEFT_OVER_BYTES = 1 << 16  # of a body that its guest has not read: read, so that the connection can be used again


class BadRequest(Exception):
    """A request that is refused, with its status."""

    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(status.phrase)
        self.status = status


class ChunkedReader:
    """A body in chunks (RFC 9112, section 7.1), up to `limit` bytes. Raises HttpError when it is malformed or too long."""

    def __init__(self, file: Any, limit: int, trailers: Pairs) -> None:
        self._file = file
        self._limit = limit
        self._trailers = trailers
        self._in_chunk = 0
        self.is_over = False

    def _line(self) -> bytes:
        line: bytes = self._file.readline(MAX_LINE_BYTES)
        if not line.endswith(b"\n"):
            raise HttpError("HTTP-protocol-error" if len(line) == MAX_LINE_BYTES else "connection-terminated")
        return line.rstrip(b"\r\n")

    def read(self, size: int) -> bytes:
        if self.is_over:
            return b""
        if not self._in_chunk:
            digits = self._line().partition(b";")[0].strip(b" \t")
            if not digits or len(digits) > 8 or digits.strip(b"0123456789abcdefABCDEF"):
                raise HttpError("HTTP-protocol-error")
            self._in_chunk = int(digits, 16)
            self._limit -= self._in_chunk
            if self._limit < 0:
                raise HttpError("HTTP-request-body-size", None)
            if not self._in_chunk:
                self._read_trailers()
                self.is_over = True
                return b""
        data: bytes = self._file.read1(min(size, self._in_chunk))
        if not data:
            raise HttpError("connection-terminated")
        self._in_chunk -= len(data)
        if not self._in_chunk and self._line():
            raise HttpError("HTTP-protocol-error")
        return data

    def _read_trailers(self) -> None:
        for _ in range(MAX_TRAILERS):
            line = self._line()
            if not line:
                return
            name, colon, value = line.partition(b":")
            text = name.decode("latin-1")
            if not colon or not is_name(text) or not is_value(value.strip(b" \t")):
                raise HttpError("HTTP-protocol-error")
            self._trailers.append((text, value.strip(b" \t")))
        raise HttpError("HTTP-request-trailer-section-size", None)


class _Reader(io.BufferedReader):
    """Remembers lines in which http.client sees more than one: it takes a return alone for the end of a line."""

    has_bare_return = False

    def readline(self, size: int | None = -1) -> bytes:
        line = super().readline(size)
        if b"\r" in line.removesuffix(b"\r\n"):
            self.has_bare_return = True
        return line


class _Requests(BaseHTTPRequestHandler):
    """The requests of one connection."""

    protocol_version = "HTTP/1.1"
    server: HttpServer
    wire: Wire
    rfile: _Reader

    def setup(self) -> None:
        self.wire = Wire(self.request, IDLE_SECONDS)
        self.connection = self.request
        self.rfile = _Reader(WireReader(self.wire))
        self.wfile = _Writer(self.wire)  # type: ignore[assignment]

    def finish(self) -> None:
        self.rfile.close()

    def handle_one_request(self) -> None:
        try:
            self.rfile.peek(1)  # until there is a request, as long as a connection may idle
            self.wire.deadline = time.monotonic() + HEADER_SECONDS
            super().handle_one_request()
        except OSError:
            self.close_connection = True
        finally:
            self.wire.deadline = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):  # any method: the guest says what it thinks of it
            return self._answer
        raise AttributeError(name)

    def log_message(self, format: str, *args: Any) -> None:
        if self.server.logs:
            report(ConnectionError(format % args))

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        self.close_connection = True
        self._refuse(code)

    def _refuse(self, status: int) -> None:
        transport = _Transport(self, "GET", has_chunks=False)
        body = f"{status} {_phrase(status)}\n".encode()
        transport.start(status, [("content-type", b"text/plain")], len(body))
        transport.write(body)

    def _answer(self) -> None:
        try:
            request, body = self._request()
        except BadRequest as bad:
            self.close_connection = True
            self._refuse(bad.status)
            return
        timeout = self.server.component.timeout
        self.wire.deadline = None if timeout is None else time.monotonic() + timeout
        transport = _Transport(self, self.command, has_chunks=self.request_version != "HTTP/1.0")
        error = self.server.component.handle(request, transport)
        if error is not None:
            self.close_connection = True
            if not isinstance(error, ConnectionError):
                report(error)
        elif not self.close_connection:
            self._skip(body)

    def _skip(self, body: Any) -> None:
        """What the guest has not read of the request."""
        self.wire.deadline = time.monotonic() + HEADER_SECONDS
        self.close_connection = True
        left = LEFT_OVER_BYTES
        with contextlib.suppress(HttpError):
            while data := body.read(left):
                left -= len(data)
                if left <= 0:
                    return
            self.close_connection = False

    def _request(self) -> tuple[IncomingRequest, Any]:
        """And the body, to read on from. Raises BadRequest."""
        headers: Pairs = []
        if self.headers.defects or self.headers.get_payload() or self.rfile.has_bare_return:
            raise BadRequest(HTTPStatus.BAD_REQUEST)
        for name, value in self.headers.items():
            headers.append((name, str(value).encode("latin-1", "replace")))
            if not is_name(name) or not is_value(headers[-1][1].strip(b" \t")):
                raise BadRequest(HTTPStatus.BAD_REQUEST)
        hosts = self.headers.get_all("host", [])
        if len(hosts) > 1 or (not hosts and self.request_version == "HTTP/1.1"):
            raise BadRequest(HTTPStatus.BAD_REQUEST)
        authority, path = (hosts or [self.server.authority])[0].strip(), self.path
        if self.command == "CONNECT":
            raise BadRequest(HTTPStatus.METHOD_NOT_ALLOWED)
        if not path.startswith("/") and path != "*":
            url = urlsplit(path)
            if url.scheme != "http" or not url.netloc:
                raise BadRequest(HTTPStatus.BAD_REQUEST)
            authority = url.netloc
            path = (url.path or "/") + (f"?{url.query}" if url.query else "")
        if not HOST_AND_PORT.fullmatch(authority):
            raise BadRequest(HTTPStatus.BAD_REQUEST)
        trailers: Pairs = []
        body = self._body(trailers)
        try:
            return IncomingRequest(self.command, "http", authority, path, headers, ReaderSource(body, trailers)), body
        except ValueError:
            raise BadRequest(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE) from None

    def _body(self, trailers: Pairs) -> Any:
        codings, lengths = self.headers.get_all("transfer-encoding", []), self.headers.get_all("content-length", [])
        limit = self.server.max_body
        if codings:
            if lengths or self.request_version == "HTTP/1.0":
                raise BadRequest(HTTPStatus.BAD_REQUEST)
            if len(codings) > 1 or codings[0].strip().lower() != "chunked":
                raise BadRequest(HTTPStatus.NOT_IMPLEMENTED)
            return ChunkedReader(self.rfile, limit, trailers)
        if len(set(lengths)) > 1 or not all(item.isascii() and item.isdecimal() and len(item) < 19 for item in lengths):
            raise BadRequest(HTTPStatus.BAD_REQUEST)
        length = int(lengths[0]) if lengths else 0
        if length > limit:
            raise BadRequest(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        return LimitedReader(self.rfile, length)


class _Writer:
    """What http.server writes by itself: that a client may go on with its body."""

    def __init__(self, wire: Wire) -> None:
        self.write = wire.sendall

    def flush(self) -> None:
        pass


class _Transport:
    """A response on a connection: with its length, in chunks, or up to the connection's end."""

    def __init__(self, handler: _Requests, method: str, has_chunks: bool) -> None:
        self._handler = handler
        self._is_head = method == "HEAD"
        self._has_chunks = has_chunks
        self._has_body = True
        self._in_chunks = False
        self._left: int | None = None

    def start(self, status: int, headers: Pairs, length: int | None) -> None:
        given = [value for name, value in headers if name.lower() == "content-length"]
        lines = [f"HTTP/1.1 {status} {_phrase(status)}".encode()]
        lines += [b"%b: %b" % (name.encode(), value) for name, value in headers if name.lower() not in FORBIDDEN_NAMES]
        if not any(name.lower() == "date" for name, _ in headers):
            lines.append(b"date: " + formatdate(usegmt=True).encode())
        self._has_body = not self._is_head and status >= 200 and status not in (204, 304)
        if self._has_body:
            if given:
                self._left = int(given[0]) if len(given) == 1 and given[0].isdigit() else -1
                if self._left < 0:
                    raise HttpError("HTTP-protocol-error")
            elif length is not None:
                lines.append(b"content-length: %d" % length)
            elif self._has_chunks:
                self._in_chunks = True
                lines.append(b"transfer-encoding: chunked")
            else:
                self._handler.close_connection = True
        if self._handler.close_connection:
            lines.append(b"connection: close")
        self._send(b"\r\n".join(lines) + b"\r\n\r\n")

    def write(self, data: bytes) -> None:
        if not self._has_body:
            return
        if self._left is not None:
            self._left -= len(data)
            if self._left < 0:
                raise HttpError("HTTP-response-body-size", None)
        self._send(b"%x\r\n%b\r\n" % (len(data), data) if self._in_chunks else data)

    def end(self, trailers: Pairs) -> None:
        if self._in_chunks:
            self._send(b"0\r\n" + b"".join(b"%b: %b\r\n" % (name.encode(), value) for name, value in trailers) + b"\r\n")
        elif self._has_body and self._left:
            raise HttpError("HTTP-response-body-size", None)

    def _send(self, data: bytes) -> None:
        try:
            self._handler.wire.sendall(data)
        except TimeoutError:
            raise HttpError("connection-write-timeout") from None


class HttpServer(ThreadingHTTPServer):
    """Serves a component at (host, port); port 0 is any free one, `server_address` has it. `shutdown()` from another thread ends `serve_forever()`.

    `max_body` bytes of a request are taken, and `max_connections` at a time; more wait to be accepted.

    >>> with HttpServer(("127.0.0.1", 8080), HttpComponent(component)) as server:
    ...     server.serve_forever()
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], component: HttpComponent, *, max_body: int = 1 << 26, max_connections: int = 128, logs: bool = False) -> None:
        import socket

        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        self.component = component
        self.max_body = max_body
        self.logs = logs
        self._places = threading.BoundedSemaphore(max_connections)
        super().__init__(address, _Requests)

    @property
    def authority(self) -> str:
        """`HOST:PORT` that it listens on, with the port that was free where 0 was asked for."""
        host, port = self.server_address[:2]
        return f"[{host!s}]:{port}" if ":" in str(host) else f"{host!s}:{port}"

    def process_request(self, request: Any, client_address: Any) -> None:
        self._places.acquire()
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._places.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        import sys

        error = sys.exc_info()[1]
        if error is not None and not isinstance(error, OSError):
            report(error)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
