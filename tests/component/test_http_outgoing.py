"""Requests of guests: what handlers get and give, what the interface says of messages and bodies, the client for real servers, and what goes wrong."""

from __future__ import annotations

import contextlib
import gc
import io
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from http import client as http_client_module
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

import wasmrt
from tests.component.http_guests import ASK, ERRORS
from wasmrt import wasi
from wasmrt.component import Variant
from wasmrt.wasi import http, http_body, http_fields, http_messages, pipe
from wasmrt.wasi import io as wasi_io

ENGINE = wasmrt.Engine()


def asking(handler: Any, **options: Any) -> Callable[[str], tuple[int, bytes]]:
    """The guest of ASK; a status of 0 is an error, whose number is told by name."""
    config = wasmrt.WasiConfig()
    config.http_handler = handler
    ask: Any = wasmrt.load(ASK, wasi=config, engine=ENGINE).ask.with_options(**options)

    def named(authority: str) -> tuple[int, Any]:
        status, data = ask(authority)
        return status, data if status else ERRORS[data[0]]

    return named


# ---- handlers -------------------------------------------------------------------------------------------------------------------------------


def test_a_handler_answers() -> None:
    seen: list[wasi.HttpRequest] = []

    def handler(request: wasi.HttpRequest) -> wasi.HttpResponse:
        seen.append(request)
        return wasi.HttpResponse(201, {"x-a": "b"}, b"hello")

    assert asking(handler)("example.com:99") == (201, b"hello")
    (request,) = seen
    assert (request.method, request.scheme, request.authority, request.path) == ("GET", "https", "example.com:99", "/")
    assert request.url == "https://example.com:99/" and request.headers == [] and request.body.read() == b"" and request.connect_timeout is None
    assert asking(lambda request: (200, {}, iter([b"", b"chunk"])))("a") == (200, b"chunk")
    assert asking(None)("a") == (0, "HTTP-request-denied")
    loaded: Any = wasmrt.load(ASK, engine=ENGINE)
    wasmrt.handle(loaded).store.set_wasi_http(handler)
    assert loaded.ask("b") == (201, b"hello") and seen.pop().authority == "b"
    for bad in ("user@host", "a b", "a:0", "a:99999", "a/b", ""):
        assert asking(handler)(bad) == (0, "HTTP-request-URI-invalid"), bad
    assert len(seen) == 1


def raising(error: BaseException) -> Callable[[Any], Any]:
    def handler(request: Any) -> Any:
        raise error

    return handler


def test_handlers_that_raise() -> None:
    assert asking(raising(wasi.HttpError("DNS-timeout")))("a") == (0, "DNS-timeout")
    assert asking(raising(ConnectionRefusedError()))("a") == (0, "connection-refused")
    assert asking(raising(ConnectionResetError()))("a") == (0, "connection-terminated")
    assert asking(raising(TimeoutError()))("a") == (0, "connection-read-timeout")
    assert asking(raising(OSError(5, "text")))("a") == (0, "internal-error")
    for error in (ZeroDivisionError("mine"), KeyboardInterrupt()):
        with pytest.raises(type(error)) as caught:  # what is no error of a network comes out as itself
            asking(raising(error))("a")
        assert caught.value is error
    for answer, message in ((None, "returns an HttpResponse"), ((200, {}, 5), "not iterable"), ((20, {}, b""), "100 to 999"), (("x", {}, b""), "a status is an int")):
        with pytest.raises((TypeError, ValueError), match=message):
            asking(lambda request, answer=answer: answer)("a")
    for headers in ({"a": "b\r\nc: d"}, {"a b": "c"}, {"x": b"\0"}):
        assert asking(lambda request, headers=headers: (200, headers, b""))("a") == (0, "HTTP-protocol-error")
    assert asking(lambda request: (200, [("x", "y" * 1000)] * 2000, b""))("a") == (0, "HTTP-response-header-section-size")
    with pytest.raises(ValueError, match="no error-code"):
        wasi.HttpError("no-such-code")


def test_an_endless_body_and_one_that_breaks() -> None:
    closed = threading.Event()

    def endless() -> Iterator[bytes]:
        try:
            while True:
                yield bytes(100_000)
        finally:
            closed.set()

    assert asking(lambda request: (200, {}, endless()))("a") == (200, bytes(1000))
    gc.collect()
    assert closed.wait(10)  # the guest is gone, so is its request

    def broken() -> Iterator[bytes]:
        raise ConnectionResetError
        yield b""

    assert asking(lambda request: (200, {}, broken()))("a") == (200, b"")


def test_deadlines_end_waits() -> None:
    stop = threading.Event()
    began = time.monotonic()
    with pytest.raises(wasmrt.Trap, match="timeout"):
        asking(lambda request: stop.wait(20), timeout=0.1)("a")
    assert time.monotonic() - began < 5
    signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    with pytest.raises(KeyboardInterrupt):
        asking(lambda request: stop.wait(20))("a")
    assert time.monotonic() - began < 5
    stop.set()


# ---- messages and bodies, as their methods are called ---------------------------------------------------------------------------------------


class Sent:
    """A request that a guest has made, and its answer."""

    def __init__(self, handler: Any, headers: Any = (), options: Any = None, body: bool = True) -> None:
        self.store = wasmrt.Store(ENGINE)
        config = wasmrt.WasiConfig()
        config.http_handler = handler
        self.store.set_wasi(config)
        request = http.OutgoingRequest(http.Fields.from_list(list(headers)))
        request.set_authority("example.com")
        request.set_method(Variant("post"))
        self.body: Any = request.body() if body else None
        self.stream: Any = self.body.write() if body else None
        self.future = http.handle(self.store, request, options)

    def finish(self, trailers: Any = None) -> None:
        self.stream.close()
        http.OutgoingBody.finish(self.body, trailers)

    def answer(self) -> Any:
        self.future.subscribe().block(self.store)
        found = self.future.get()
        assert found is not None and self.future.get() == Variant("some", None)
        return found.payload

    def read_all(self, stream: Any) -> bytes:
        data = bytearray()
        while chunk := stream.waited_for(self.store, True).read(1 << 16):
            assert isinstance(chunk, bytes)
            data += chunk
        assert chunk is None
        return bytes(data)


def refused(call: Any, *args: Any) -> Any:
    with pytest.raises(wasmrt.WitError) as caught:
        call(*args)
    return caught.value.value


def test_bodies_stream_both_ways() -> None:
    def handler(request: wasi.HttpRequest) -> wasi.HttpResponse:
        def upper() -> Iterator[bytes]:
            for chunk in request.body:
                yield chunk.upper()
            answer.trailers = request.body.trailers

        answer = wasi.HttpResponse(200, request.headers, upper())
        return answer

    sent = Sent(handler, [("X-A", b"1"), ("x-a", b"2")])
    response = sent.answer()  # before the request is complete
    headers = response.headers()
    assert headers.entries() == [("X-A", b"1"), ("x-a", b"2")] and refused(headers.append, "a", b"") == Variant("immutable")
    body = response.consume()
    assert refused(response.consume) is None
    stream = body.stream()
    assert refused(body.stream) is None
    assert stream.read(10) == b"" and not stream.subscribe().ready()
    sent.stream.write_waiting(sent.store, b"ab" * 10)
    assert stream.waited_for(sent.store, True).read(3) == b"ABA"
    sent.stream.write(b"c")
    sent.finish(http.Fields.from_list([("t", b"v")]))
    assert sent.read_all(stream) == b"B" + b"AB" * 8 + b"C"
    with pytest.raises(wasmrt.Trap, match="before its stream"):
        http.IncomingBody.finish(body)
    stream.close()
    trailers = http.IncomingBody.finish(body)
    trailers.subscribe().block(sent.store)
    found: Any = trailers.get()
    assert found.tag == "ok" and found.payload.entries() == [("t", b"v")] and trailers.get() == Variant("err")
    with pytest.raises(wasmrt.Trap, match="before its trailers"):
        trailers.close()
    found.payload.close()
    trailers.close()
    with pytest.raises(wasmrt.Trap, match="before its headers"):
        response.close()
    headers.close()
    response.close()


def test_backpressure_and_permits() -> None:
    go = threading.Event()

    def handler(request: wasi.HttpRequest) -> Any:
        go.wait(20)
        return 200, {}, str(len(request.body.read())).encode()

    sent = Sent(handler)
    total = 0
    while permit := sent.stream.check_write():
        sent.stream.write(bytes(permit))
        total += permit
    assert total == pipe.CAPACITY and not sent.stream.subscribe().ready()
    with pytest.raises(wasmrt.Trap, match="check-write permitted"):
        sent.stream.write(b"x")
    sent.store.set_timeout(0.05)
    with pytest.raises(wasmrt.Trap, match="interrupt"):
        sent.stream.write_waiting(sent.store, b"x")
    sent.store.set_timeout(None)
    go.set()
    sent.stream.write_waiting(sent.store, bytes(200_000))
    sent.finish()
    assert sent.read_all(sent.answer().consume().stream()) == b"%d" % (total + 200_000)


def test_content_length() -> None:
    def handler(request: wasi.HttpRequest) -> Any:
        return 200, {}, request.body.read()

    sent = Sent(handler, [("Content-Length", b"3")])
    sent.stream.write(b"abc")
    failed = sent.stream.write(b"d")
    assert failed.tag == "err" and failed.payload.http_code == Variant("HTTP-request-body-size", 4) and sent.stream.write(b"").payload is None
    sent.stream.close()
    assert refused(http.OutgoingBody.finish, sent.body, None) == Variant("HTTP-request-body-size", 4)
    assert sent.answer() == Variant("HTTP-request-body-size", 4)
    response = http.OutgoingResponse(http.Fields.from_list([("content-length", b"1")]))
    assert refused(http.OutgoingBody.finish, response.body(), None) == Variant("HTTP-response-body-size", 0)


def test_bodies_that_are_given_up() -> None:
    failed: list[Any] = []

    def handler(request: wasi.HttpRequest) -> Any:
        try:
            request.body.read()
        except wasi.HttpError as error:
            failed.append(error.code)
            raise

    sent = Sent(handler)
    with pytest.raises(wasmrt.Trap, match="before its stream"):
        sent.body.close()
    sent.stream.close()
    sent.body.close()
    assert sent.answer() == Variant("connection-terminated") and failed == ["connection-terminated"]
    # a handler that does not read: what is written is forgotten, and the answer arrives
    sent = Sent(lambda request: (204, {}, b""))
    sent.stream.write_waiting(sent.store, bytes(500_000))
    sent.finish()
    assert sent.answer().status() == 204
    # one that is cancelled learns of it
    cancelled = threading.Event()

    def waiting(request: wasi.HttpRequest) -> Any:
        request.when_cancelled(cancelled.set)
        cancelled.wait(20)
        assert request.is_cancelled
        return 200, {}, b""

    Sent(waiting).future.close()
    assert cancelled.wait(10)


def test_endless_requests_are_not_collected() -> None:
    result: list[Any] = []

    def handler(request: wasi.HttpRequest) -> Any:
        try:
            request.body.read()
        except wasi.HttpError as error:
            result.append(error.code)
            raise

    sent = Sent(handler)
    for _ in range(400):
        if sent.stream.write_waiting(sent.store, bytes(1 << 16)).tag == "err":
            break
    assert sent.answer() == Variant("HTTP-request-body-size", None) and result == ["HTTP-request-body-size"]


def test_the_guests_own_timeouts() -> None:
    stop = threading.Event()

    def stalls() -> Iterator[bytes]:
        yield b"x"
        stop.wait(20)

    options = http.RequestOptions()
    options.set_connect_timeout(10_000_000)
    options.set_first_byte_timeout(40_000_000)
    options.set_between_bytes_timeout(50_000_000)
    began = time.monotonic()
    late = Sent(lambda request: stop.wait(20), options=options, body=False)
    assert late.answer() == Variant("connection-read-timeout")
    seen: list[Any] = []
    sent = Sent(lambda request: (seen.append(request), (200, {}, stalls()))[1], options=options, body=False)
    stream = sent.answer().consume().stream()
    assert stream.waited_for(sent.store, True).read(5) == b"x"
    error: Any = stream.waited_for(sent.store, True).read(5)
    assert error.http_code == Variant("connection-read-timeout") and stream.read(1) is None
    assert (seen[0].connect_timeout, seen[0].first_byte_timeout, seen[0].between_bytes_timeout) == (0.01, 0.04, 0.05)
    assert time.monotonic() - began < 5
    stop.set()


def test_poll_mixes_answers_and_time() -> None:
    stop = threading.Event()
    sent = Sent(lambda request: (stop.wait(20), (200, {}, b""))[1], body=False)
    answer, timer = sent.future.subscribe(), wasi_io.Pollable(time.monotonic_ns() + 20_000_000)
    assert wasi_io.poll(sent.store, [answer, timer]) == [1]
    threading.Timer(0.02, stop.set).start()
    assert wasi_io.poll(sent.store, [answer, wasi_io.Pollable(time.monotonic_ns() + 10**10)]) == [0]


def test_too_many_requests() -> None:
    stop = threading.Event()
    first = Sent(lambda request: (stop.wait(20), (200, {}, b""))[1], body=False)
    futures = []
    for _ in range(63):
        request = http.OutgoingRequest(http.Fields())
        request.set_authority("a")
        futures.append(http.handle(first.store, request, None))
    request = http.OutgoingRequest(http.Fields())
    request.set_authority("a")
    assert refused(http.handle, first.store, request, None) == Variant("connection-limit-reached")
    stop.set()
    assert first.answer().status() == 200


def test_what_guests_may_have() -> None:
    """Handles are free, what is behind them is not: it is counted for each store, and given back when it is dropped."""
    store = wasmrt.Store(ENGINE)
    held = [http.charged(store, http.OutgoingRequest(http.Fields())) for _ in range(3000)]
    with pytest.raises(wasmrt.Trap, match="bytes of messages"):
        held += [http.charged(store, http.OutgoingRequest(http.Fields())) for _ in range(3000)]
    held.clear()
    kept = []
    with pytest.raises(wasmrt.Trap, match="bytes of messages"):
        for _ in range(1000):
            fields = http.Fields().charged(store)
            fields.append("x", bytes(b"y" * 1_000_000))
            kept.append(fields)
    assert 200 < len(kept) < 300
    request = http.OutgoingRequest(kept.pop())
    for _ in range(10_000):
        request.headers()  # which share what they are views of
    kept.clear()
    http.Fields().charged(store).append("x", b"y" * 500_000)
    del request, fields
    gc.collect()
    assert http_fields._budgets[store].left == http_fields.BUDGET_BYTES


def test_many_pollables_of_one_answer() -> None:
    stop = threading.Event()
    sent = Sent(lambda request: (stop.wait(20), (200, {}, b""))[1], body=False)
    threading.Timer(0.05, stop.set).start()
    began = time.monotonic()
    assert len(wasi_io.poll(sent.store, [sent.future.subscribe() for _ in range(200_000)])) == 200_000
    assert time.monotonic() - began < 10


def test_streams_splice() -> None:
    sent = Sent(lambda request: (200, {}, request.body))
    stream = sent.answer().consume().stream()
    assert sent.stream.splice(sent.store, wasi_io.InputStream(io.BytesIO(b"x" * 100_000)), 1 << 20, True) == pipe.CAPACITY
    other = Sent(lambda request: (200, {}, request.body.read()))
    assert other.stream.splice(other.store, stream, 50, True) == 50
    other.finish()
    assert other.read_all(other.answer().consume().stream()) == b"x" * 50
    assert sent.stream.write_zeroes_waiting(sent.store, 200).tag == "ok"


def test_trailers_of_a_body_that_nobody_read() -> None:
    """What is left is read and forgotten, but not without end."""
    for size, expected in ((1 << 20, Variant("ok", None)), (1 << 30, Variant("ok", Variant("connection-terminated")))):
        sent = Sent(lambda request, size=size: (200, {}, (bytes(1 << 16) for _ in range(size >> 16))), body=False)
        future = http.IncomingBody.finish(sent.answer().consume())
        future.subscribe().block(sent.store)
        assert future.get() == expected
        future.close()


# ---- the client -----------------------------------------------------------------------------------------------------------------------------


class Site(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/redirect":
            self.send_response(302)
            self.send_header("Location", "http://169.254.169.254/")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if self.path == "/short":
            self.send_response(200)
            self.send_header("Content-Length", "10")
            self.end_headers()
            self.wfile.write(b"abc")
            self.close_connection = True
            return
        if self.path == "/drip":
            self.wfile.write(b"HTTP/1.1 200 OK\r\n")
            with contextlib.suppress(OSError):
                for number in range(200):
                    self.wfile.write(b"X-%d: y\r\n" % number)
                    time.sleep(0.05)
            return
        if self.path == "/noise":
            self.wfile.write(b"this is no HTTP\r\n\r\n")
            self.close_connection = True
            return
        if self.path == "/huge":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n")
            self.close_connection = True
            return
        body = f"{self.command} {self.path} {self.headers['Host']} {self.headers['X-A']} ".encode() + self.contents()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "keep-alive")
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_PUT = do_GET

    def contents(self) -> bytes:
        if self.headers["Transfer-Encoding"] == "chunked":
            data = bytearray()
            while size := int(self.rfile.readline(), 16):
                data += self.rfile.read(size)
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
            return b"chunked " + data
        return self.rfile.read(int(self.headers["Content-Length"] or 0))

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def ask(client: Any, authority: str, path: str = "/", body: bytes = b"", method: str = "get", scheme: str = "http", **headers: bytes) -> Any:
    """(status, body), or the name of the error."""
    store = wasmrt.Store(ENGINE)
    config = wasmrt.WasiConfig()
    config.http_handler = client
    store.set_wasi(config)
    request = http.OutgoingRequest(http.Fields.from_list([(name.replace("_", "-"), value) for name, value in headers.items()]))
    request.set_authority(authority)
    request.set_path_with_query(path)
    request.set_scheme(Variant(scheme.upper()))
    request.set_method(Variant(method))
    sent: Any = Sent.__new__(Sent)
    sent.store = store
    if body:
        sent.body = request.body()
        sent.stream = sent.body.write()
    try:
        sent.future = http.handle(store, request, None)
    except wasmrt.WitError as error:
        return error.value.tag
    if body:
        sent.stream.write_waiting(store, body)
        sent.finish()
    answer = sent.answer()
    if isinstance(answer, Variant):
        return answer.tag
    stream = answer.consume().stream()
    data = bytearray()
    while chunk := stream.waited_for(store, True).read(1 << 16):
        if not isinstance(chunk, bytes):
            return chunk.http_code.tag
        data += chunk
    return answer.status(), bytes(data)


def test_client(port: int) -> None:
    here = f"127.0.0.1:{port}"
    client = wasi.http_client([here])
    assert ask(client, here, "/a?b", X_A=b"c") == (200, f"GET /a?b {here} c ".encode())
    assert ask(client, here, body=b"short", method="post") == (200, f"POST / {here} None short".encode())
    assert ask(client, here, body=b"x" * 300_000, method="put")[1].endswith(b"None chunked " + b"x" * 300_000)
    assert ask(client, here, body=b"x" * 70_000, method="put", content_length=b"70000")[1].endswith(b"None " + b"x" * 70_000)
    assert ask(client, here, "/redirect") == (302, b"")
    assert ask(client, here, "/short") == "HTTP-response-incomplete"
    assert ask(client, here, "/noise") == "HTTP-protocol-error"
    assert ask(client, here, "/huge") == "HTTP-response-header-section-size"
    assert ask(client, here, method="connect") == "HTTP-request-method-invalid"
    assert ask(client, here, scheme="https") in ("TLS-protocol-error", "connection-terminated")
    assert ask(wasi.http_client([here], max_response_bytes=10), here) == "HTTP-response-body-size"
    assert ask(wasi.http_client([here], max_request_bytes=10), here, body=b"x" * 20, method="put") == "HTTP-request-body-size"
    assert ask(wasi.http_client([here], total_timeout=0.3), here, "/drip") == "HTTP-response-timeout"


def test_client_asks_nobody_else(port: int) -> None:
    here = f"127.0.0.1:{port}"
    for allowed in ([], ["example.com"], ["127.0.0.1"], [f"127.0.0.2:{port}"], [f"*.0.0.1:{port + 1}"]):
        assert ask(wasi.http_client(allowed), here) == "HTTP-request-denied", allowed
    for allowed in ([f"*:{port}"], ["*:*"], [f"*.0.0.1:{port}"]):
        assert ask(wasi.http_client(allowed), here) == "destination-IP-prohibited"
        assert ask(wasi.http_client(allowed, private=True), here)[0] == 200
    assert ask(wasi.http_client([f"localhost:{port}"]), f"LOCALHOST:{port}")[0] == 200
    client = wasi.http_client(["*.example.com:443", "example.org"])
    assert client.allows("a.example.com", 443) == (True, False) and client.allows("A.B.EXAMPLE.COM.", 443)[0]
    for host, number in (("example.com", 443), ("aexample.com", 443), ("a.example.com", 80), ("example.org", 8080), ("example.org.evil.com", 443)):
        assert client.allows(host, number) == (False, False)
    assert client.allows("example.org", 80)[0] and client.allows("example.org", 443)[0]
    for bad in ("", "a b", "http://a", "a:0", "a:99999", "a/b", "*.*.com", "a@b"):
        with pytest.raises(ValueError, match="none of host"):
            wasi.http_client([bad])
    with pytest.raises(TypeError, match="a list of hosts"):
        wasi.http_client("example.com")
    for address in ("10.0.0.1", "127.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1", "fe80::1%eth0", "224.0.0.1", "0.0.0.0", "2002:7f00:1::"):
        assert not wasi.client._is_public(address)  # type: ignore[attr-defined]
    assert wasi.client._is_public("1.1.1.1") and wasi.client._is_public("2606:4700::1111")  # type: ignore[attr-defined]


def test_client_without_a_server() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        free = silent.getsockname()[1]
        here = f"127.0.0.1:{free}"
        assert ask(wasi.http_client([here], read_timeout=0.1), here) == "connection-read-timeout"
        # a guest that goes away ends the waiting of its thread
        sent = Sent(lambda request: wasi.http_client([here])(request), body=False)
    assert ask(wasi.http_client([here]), here) == "connection-refused"
    sent.future.close()


def test_error_codes() -> None:
    """Of everything that a network does to a request."""
    client = http_client_module
    verification = ssl.SSLCertVerificationError(1, "x")
    alert = ssl.SSLError(1, "x")
    alert.reason = "TLSV1_ALERT_PROTOCOL_VERSION"
    for error, code in (
        (socket.gaierror(socket.EAI_AGAIN, "x"), "DNS-timeout"), (socket.gaierror(socket.EAI_NONAME, "x"), "DNS-error"), (verification, "TLS-certificate-error"),
        (alert, "TLS-alert-received"), (ssl.SSLError(1, "x"), "TLS-protocol-error"), (OSError(101, "x"), "destination-IP-unroutable"),
        (client.IncompleteRead(b""), "HTTP-response-incomplete"), (client.BadStatusLine("x"), "HTTP-protocol-error"), (BrokenPipeError(), "connection-terminated"),
        (TimeoutError(110, "x"), "connection-timeout"), (OSError(24, "x"), "connection-limit-reached"),
    ):  # fmt: skip
        found = http_messages.error_code(error)
        assert found is not None and found.tag == code and found.tag in http_messages.ERROR_CODES
        assert http_body.http_error(error).http_code == found
    assert http_messages.error_code(ValueError()) is None


def test_a_handler_is_a_callable() -> None:
    config = wasmrt.WasiConfig()
    with pytest.raises(TypeError, match=r"http_handler: expected a callable or None, got str"):
        config.http_handler = "https://example.com"  # type: ignore[assignment]
    config.http_handler = print
    config.http_handler = None
    assert config.http_handler is None
