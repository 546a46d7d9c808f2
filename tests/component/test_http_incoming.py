"""Components of the proxy world: called, as WSGI applications, and behind the server; what they do wrong, and what clients do."""

from __future__ import annotations

import contextlib
import http.client
import io
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

import wasmrt
from tests.component.http_guests import proxy
from wasmrt import wasi
from wasmrt.component import Component

ENGINE = wasmrt.Engine()


def component(handler: str) -> Component:
    return Component(ENGINE, proxy(handler))


# ---- WSGI -----------------------------------------------------------------------------------------------------------------------------------


def call(app: Any, body: bytes = b"", **more: Any) -> tuple[str, dict[str, str], bytes]:
    """As a server calls an application."""
    environ = {
        "REQUEST_METHOD": "POST", "SCRIPT_NAME": "", "PATH_INFO": "/a b", "QUERY_STRING": "q=1", "SERVER_NAME": "x", "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0), "wsgi.url_scheme": "http", "wsgi.input": io.BytesIO(body), "wsgi.errors": io.StringIO(), "wsgi.multithread": True,
        "wsgi.multiprocess": False, "wsgi.run_once": False, "CONTENT_LENGTH": str(len(body)), **more,
    }  # fmt: skip
    answer: list[Any] = []
    chunks = app(environ, lambda status, headers: answer.extend((status, headers)))
    try:
        return answer[0], dict(answer[1]), b"".join(chunks)
    finally:
        if hasattr(chunks, "close"):
            chunks.close()


def test_wsgi_streams() -> None:
    app = wasi.wsgi(component("echo"))
    sent = bytes(range(256)) * 4000
    status, headers, body = call(app, sent, CONTENT_TYPE="text/plain")
    assert status == "203 Non-Authoritative Information" and body == sent and headers == {}
    assert call(app)[2] == b""
    assert call(app, CONTENT_LENGTH="9x")[0] == "400 Bad Request"
    assert call(app, HTTP_X="a\nb")[0] == "400 Bad Request"


@pytest.mark.parametrize(("handler", "status"), [("silent", 500), ("trap", 500), ("error", 502), ("late headers", 500), ("memory", 500)])
def test_failures_before_a_response(handler: str, status: int, capsys: pytest.CaptureFixture[str]) -> None:
    app = wasi.wsgi(component(handler), max_memory=4 << 20)
    answered = call(app)
    assert answered[0].startswith(str(status)) and b"trap" not in answered[2]
    told = capsys.readouterr().err
    assert "a request failed" in told
    if handler == "late headers":
        assert "dropped before its headers" in told


@pytest.mark.parametrize("handler", ["trap later", "no finish", "late stream"])
def test_failures_within_a_response(handler: str) -> None:
    with pytest.raises(wasmrt.WasmError):
        call(wasi.wsgi(component(handler)))


def test_timeout() -> None:
    began = time.monotonic()
    assert call(wasi.wsgi(component("spin"), timeout=0.1))[0].startswith("500")
    assert time.monotonic() - began < 5


def test_nobody_reads_on() -> None:
    """An endless response whose reader goes: the guest's stream fails, and the guest ends."""
    app = wasi.wsgi(component("endless"), timeout=20.0)
    environ = {"REQUEST_METHOD": "GET", "SERVER_NAME": "x", "SERVER_PORT": "80", "PATH_INFO": "/", "wsgi.input": io.BytesIO()}
    chunks: Any = app(environ, lambda status, headers: None)
    assert next(chunks) == bytes(1000)
    chunks.close()
    until = time.monotonic() + 10
    while any(thread.name == "wasmrt-wsgi" for thread in threading.enumerate()):
        assert time.monotonic() < until
        time.sleep(0.05)


def test_what_is_no_handler() -> None:
    with pytest.raises(wasmrt.LinkError, match="incoming-handler"):
        wasi.wsgi(Component(ENGINE, "(component)"))
    with pytest.raises(TypeError, match="expected a Component"):
        wasi.wsgi("(component)")  # type: ignore[arg-type]


# ---- the server -----------------------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def served(handler: str, **options: Any) -> Iterator[int]:
    with wasi.HttpServer(("127.0.0.1", 0), wasi.HttpComponent(component(handler), timeout=10.0), **options) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def raw(port: int, data: bytes) -> bytes:
    """All that comes back until the connection is closed."""
    with socket.create_connection(("127.0.0.1", port), 10) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        return sock.makefile("rb").read()


def test_server_keeps_connections() -> None:
    with served("echo") as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        for body in (b"one", b"x" * 200_000, b""):
            connection.request("POST", "/", body)
            answer = connection.getresponse()
            assert answer.status == 203 and answer.read() == body and answer.getheader("transfer-encoding") == "chunked"
        sock = connection.sock
        connection.request("PUT", "/", iter([b"in ", b"chunks"]), encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
        assert connection.getresponse().read() == b"in chunks" and connection.sock is sock
        connection.request("HEAD", "/")
        assert connection.getresponse().read() == b""
        connection.close()
        answered = raw(port, b"POST / HTTP/1.0\r\ncontent-length: 3\r\n\r\nold")
        assert b"chunked" not in answered and b"connection: close" in answered and answered.endswith(b"\r\n\r\nold")
        answered = raw(port, b"POST http://other/x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\ncontent-length: 1\r\n\r\ny")
        assert answered.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 203")


BAD_REQUESTS = {
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "a host that is none": b"GET / HTTP/1.1\r\nHost: a/b@c\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "a length with a sign": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na",
    "length and chunks": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and old": b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a folded header": b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
    "a space before the colon": b"GET / HTTP/1.1\r\nHost: a\r\nX : a\r\n\r\n",
    "no colon": b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length\r\nX: y\r\n\r\n",
    "a NUL": b"GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
    "a bare return": b"GET / HTTP/1.1\r\nHost: a\r\nX: a\rb: c\r\n\r\n",
    "another scheme": b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
}


def test_server_refuses() -> None:
    with served("echo", max_body=100) as port:
        for name, sent in BAD_REQUESTS.items():
            answered = raw(port, sent)
            assert answered.startswith(b"HTTP/1.1 400") and answered.count(b"HTTP/1.1") == 1, name
        for status, sent in (
            (501, b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n"),
            (413, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 101\r\n\r\n"),
            (405, b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n"),
            (414, b"GET /" + b"x" * 70000 + b" HTTP/1.1\r\n\r\n"),
            (431, b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 200 + b"\r\n"),
            (505, b"GET / HTTP/3.0\r\nHost: a\r\n\r\n"),
        ):
            assert raw(port, sent).startswith(b"HTTP/1.1 %d" % status), sent[:30]


@pytest.mark.parametrize("sent", [b"5\r\nab", b"zz\r\n", b"5\r\nabcdefg\r\n", b"65\r\n" + b"x" * 101 + b"\r\n0\r\n\r\n", b"1\r\na\r\n0\r\nbad trailer\r\n\r\n"])
def test_bodies_that_break_off(sent: bytes) -> None:
    """The guest's stream fails; here it takes that for the end, and the connection is not used again."""
    with served("echo", max_body=100) as port:
        answered = raw(port, b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + sent + b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert answered.count(b"HTTP/1.1") == 1


def test_a_response_that_breaks_off() -> None:
    with served("trap later") as port:
        answered = raw(port, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"3e8\r\n" in answered and not answered.endswith(b"0\r\n\r\n")
    with served("trap") as port:
        assert raw(port, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").startswith(b"HTTP/1.1 500")


def test_a_client_that_goes() -> None:
    with served("endless") as port:
        with socket.create_connection(("127.0.0.1", port), 10) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert sock.recv(100).startswith(b"HTTP/1.1 203")
        began = time.monotonic()
    assert time.monotonic() - began < 8


def test_many_at_once() -> None:
    found: list[bytes] = []

    def ask(port: int, body: bytes) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("POST", "/", body)
        found.append(connection.getresponse().read())
        connection.close()

    with served("echo", max_connections=3) as port:
        threads = [threading.Thread(target=ask, args=(port, b"%d" % number * 1000)) for number in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(found) == sorted(b"%d" % number * 1000 for number in range(20))
