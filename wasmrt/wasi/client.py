"""An HTTP client for guests, on the standard library: HTTP/1.1, with TLS, to the hosts that a program names and no others.

A guest is not to be trusted with the network that the program is in. So a request is checked against the list first, then the addresses that the name
resolves to have to be public unless the list says otherwise, and the connection is made to one of those addresses: the name is not looked up again.
Redirects are answers like others: the guest follows them if it wants, through the same checks. Every wait, every size and the whole have limits.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import re
import socket
import ssl
import time
from collections.abc import Iterable, Iterator
from typing import Any

from wasmrt.errors import ArgumentTypeError, ArgumentValueError

from .http_fields import MAX_HEADER_BYTES
from .http_messages import READ_BYTES, HttpError, HttpRequest, HttpResponse
from .wire import Wire

PORTS = {"http": 80, "https": 443}
_ENTRY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|\*|(?:\*\.)?[0-9A-Za-z_-]+(?:\.[0-9A-Za-z_-]+)*\.?)(?::([0-9]{1,5}|\*))?")
_FOLD = re.compile(r"\r?\n[ \t]+")


class HttpClient:
    """Answers requests of guests by asking servers: for `WasiConfig.http_handler`. Threads may share it.

    `allow`: entries `host`, `host:port`, `host:*`; without a port 80 and 443 are meant, `*.example.com` is every name below example.com, `*` any host. An
    empty list allows nothing. Names that resolve to addresses which are not public (loopback, private networks, link-local) are refused unless the entry is
    that address or `localhost`, or `private` is true. Times are in seconds: to connect, between any two reads, and for a whole exchange; a guest can ask for
    shorter ones. What is against a limit is the guest's error: `HTTP-request-denied`, `destination-IP-prohibited`, `HTTP-response-body-size` and so on.
    Raises ArgumentValueError for an entry that is malformed.

    >>> config.http_handler = wasmrt.wasi.http_client(allow=["example.com:443", "*.example.org"])
    """

    def __init__(
        self,
        allow: Iterable[str] = (),
        *,
        private: bool = False,
        connect_timeout: float = 10.0,
        read_timeout: float = 60.0,
        total_timeout: float = 300.0,
        max_request_bytes: int = 1 << 26,
        max_response_bytes: int = 1 << 28,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        if isinstance(allow, (str, bytes)):
            raise ArgumentTypeError("allow is a list of hosts, got one string")
        self._allow = [_entry(item) for item in allow]
        self._private = private
        self._connect_timeout = connect_timeout
        self._read_timeout = read_timeout
        self._total_timeout = total_timeout
        self._max_request_bytes = max_request_bytes
        self._max_response_bytes = max_response_bytes
        self._ssl_context = ssl_context

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """One exchange. Raises HttpError, OSError and http.client's exceptions, which have cases of `error-code`."""
        return _Exchange(self, request).response()

    def allows(self, host: str, port: int) -> tuple[bool, bool]:
        """Whether it may be asked, and whether at an address that is not public."""
        host = host.lower().rstrip(".")
        for name, allowed_port in self._allow:
            if allowed_port not in (None, port) or (allowed_port is None and port not in PORTS.values()):
                continue
            if name in ("*", host) or (name.startswith("*.") and host.endswith(name[1:])):
                named = name == host and (host == "localhost" or _address(host) is not None)
                return True, self._private or named
        return False, False

    def connect(self, host: str, port: int, timeout: float) -> socket.socket:
        """To one of the addresses that are allowed. Raises HttpError, OSError."""
        allowed, private = self.allows(host, port)
        if not allowed:
            raise HttpError("HTTP-request-denied")
        found = [info[4][0] for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
        addresses = [item for item in dict.fromkeys(map(str, found)) if private or _is_public(item)]
        if not addresses:
            raise HttpError("destination-IP-prohibited")
        until = time.monotonic() + timeout
        failure: OSError | None = None
        for address in addresses:
            left = until - time.monotonic()
            if left <= 0:
                break
            try:
                return socket.create_connection((address, port), left)
            except TimeoutError:
                break
            except OSError as error:
                failure = error
        raise failure or HttpError("connection-timeout")

    def secured(self, sock: socket.socket, host: str) -> socket.socket:
        """`sock` with TLS, when the certificate is right for `host`. Raises ssl.SSLError."""
        if self._ssl_context is None:
            self._ssl_context = ssl.create_default_context()
        return self._ssl_context.wrap_socket(sock, server_hostname=host)


class _Exchange:
    """One request: a connection of its own."""

    def __init__(self, client: HttpClient, request: HttpRequest) -> None:
        self.client = client
        self.request = request
        self.deadline = time.monotonic() + client._total_timeout
        if request.scheme not in PORTS:
            raise HttpError("HTTP-request-URI-invalid")
        if request.method in ("CONNECT", "TRACE"):
            raise HttpError("HTTP-request-method-invalid")
        host, port = _host_and_port(request.authority)
        self.host = host
        self.port = PORTS[request.scheme] if port is None else port

    def _shorter(self, limit: float, wanted: float | None) -> float:
        return limit if wanted is None else min(limit, wanted)

    def response(self) -> HttpResponse:
        request, client = self.request, self.client
        connect_timeout = self._shorter(client._connect_timeout, request.connect_timeout)
        sock = client.connect(self.host, self.port, connect_timeout)
        try:
            if request.scheme == "https":
                sock.settimeout(connect_timeout)
                try:
                    sock = client.secured(sock, self.host)
                except TimeoutError:
                    raise HttpError("connection-timeout") from None
            wire = Wire(sock, client._read_timeout, self.deadline)
            request.when_cancelled(wire.interrupt)
            connection = http.client.HTTPConnection(self.host, self.port)
            connection.sock = wire
            self._send(connection)
            wire.timeout = self._shorter(client._read_timeout, request.first_byte_timeout)
            answer = self._answer(connection)
            wire.timeout = self._shorter(client._read_timeout, request.between_bytes_timeout)
            trailers: list[tuple[str, str | bytes]] = []
            headers = [(name, _FOLD.sub(" ", value)) for name, value in answer.getheaders()]
            if sum(len(name) + len(value) for name, value in headers) > MAX_HEADER_BYTES:
                raise HttpError("HTTP-response-header-section-size", None)
            return HttpResponse(answer.status, headers, _Contents(self, answer, wire), trailers)
        except BaseException:
            sock.close()
            raise

    def _send(self, connection: http.client.HTTPConnection) -> None:
        request, client = self.request, self.client
        try:
            connection.putrequest(request.method, request.path, skip_host=True, skip_accept_encoding=True)
            connection.putheader("Host", request.authority)
            for name, value in request.headers:
                connection.putheader(name, value)
        except (ValueError, http.client.InvalidURL):
            raise HttpError("HTTP-protocol-error") from None
        has_length = any(name.lower() == "content-length" for name, _ in request.headers)
        first = request.body.read(READ_BYTES)
        is_chunked = bool(first) and not has_length
        if is_chunked and request.body.is_complete and not request.body.trailers:
            rest = request.body.read(READ_BYTES)
            if not rest:
                connection.putheader("Content-Length", str(len(first)))
                is_chunked = False
            first += rest
        elif not first and not has_length and request.method in ("POST", "PUT", "PATCH"):
            connection.putheader("Content-Length", "0")
        if is_chunked:
            connection.putheader("Transfer-Encoding", "chunked")
        try:
            connection.endheaders()
            sent = 0
            while first:
                sent += len(first)
                if sent > client._max_request_bytes:
                    raise HttpError("HTTP-request-body-size", None)
                connection.send(b"%x\r\n%b\r\n" % (len(first), first) if is_chunked else first)
                first = request.body.read(READ_BYTES)
            if is_chunked:
                connection.send(b"0\r\n" + b"".join(b"%b: %b\r\n" % (name.encode(), value) for name, value in request.body.trailers) + b"\r\n")
        except TimeoutError:
            raise HttpError("connection-write-timeout") from None

    def _answer(self, connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
        try:
            answer = connection.getresponse()
        except TimeoutError:
            raise self.late() from None
        if answer.status == 101:
            raise HttpError("HTTP-upgrade-failed")
        coding = answer.getheader("transfer-encoding")
        if coding is not None and coding.strip().lower() != "chunked":
            raise HttpError("HTTP-response-transfer-coding", coding[:100])
        return answer

    def late(self) -> HttpError:
        return HttpError("HTTP-response-timeout" if time.monotonic() >= self.deadline else "connection-read-timeout")


class _Contents:
    """The chunks of an answer's body; closing it closes the connection."""

    def __init__(self, exchange: _Exchange, answer: http.client.HTTPResponse, wire: Wire) -> None:
        self._exchange = exchange
        self._answer = answer
        self._wire = wire

    def __iter__(self) -> Iterator[bytes]:
        answer, exchange = self._answer, self._exchange
        received = 0
        while True:
            try:
                data = answer.read1(READ_BYTES)
            except TimeoutError:
                raise exchange.late() from None
            if not data:
                if answer.length:  # the peer has closed the connection early
                    raise HttpError("HTTP-response-incomplete")
                return
            received += len(data)
            if received > exchange.client._max_response_bytes:
                raise HttpError("HTTP-response-body-size", exchange.client._max_response_bytes)
            yield data

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._answer.close()
        self._wire.shut()


def http_client(allow: Iterable[str] = (), **options: Any) -> HttpClient:
    """A handler of guests' requests that asks real servers: those in `allow`, and no others. See HttpClient for the options.

    >>> config.http_handler = wasmrt.wasi.http_client(allow=["example.com:443"])
    """
    return HttpClient(allow, **options)


def _entry(text: Any) -> tuple[str, int | None | Any]:
    if not isinstance(text, str):
        raise ArgumentTypeError(f"an entry of allow is a str, got {type(text).__name__}")
    found = _ENTRY.fullmatch(text)
    if found is None or (found.group(2) not in (None, "*") and not 0 < int(found.group(2)) < 65536):
        raise ArgumentValueError(f"{text!r} is none of host, host:port, host:*, *.host")
    host = found.group(1).lower().strip("[]")
    port: Any = None if found.group(2) is None else _AnyPort() if found.group(2) == "*" else int(found.group(2))
    return host if host == "*" else host.rstrip("."), port


class _AnyPort:
    """Equal to every port."""

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


def _host_and_port(authority: str) -> tuple[str, int | None]:
    host, separator, port = authority.rpartition(":")
    if not separator or port.endswith("]"):
        return authority.strip("[]"), None
    if not port.isdecimal():
        raise HttpError("HTTP-request-URI-invalid")
    return host.strip("[]"), int(port)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _is_public(text: str) -> bool:
    address = _address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        address = inner if inner is not None else address
    # some addresses that are for many are global, or count as such
    return address is not None and address.is_global and not address.is_multicast
