"""Guests that import sockets and HTTP link; what they ask for is refused with the error that the interface has for it, and never reaches a network."""

from __future__ import annotations

from typing import Any

import pytest

import wasmrt
from wasmrt.component import Component, Linker, Variant
from wasmrt.wasi import http

SOCKETS = """(component
  (import "wasi:sockets/network@0.2.0" (instance $network
    (export "network" (type (sub resource)))
    (type $f (enum "ipv4" "ipv6")) (export "ip-address-family" (type (eq $f)))
    (type $e (enum "unknown" "access-denied" "not-supported")) (export "error-code" (type (eq $e)))))
  (import "wasi:sockets/tcp@0.2.0" (instance $tcp (export "tcp-socket" (type $s (sub resource)))
    (type $b (borrow $s)) (export "[method]tcp-socket.is-listening" (func (param "self" $b) (result bool)))))
  (alias export $network "network" (type $net)) (alias export $network "ip-address-family" (type $family))
  (alias export $network "error-code" (type $code)) (alias export $tcp "tcp-socket" (type $socket))
  (import "wasi:sockets/instance-network@0.2.0" (instance $instance (alias outer 1 $net (type $n)) (export "network" (type $n' (eq $n)))
    (type $own (own $n')) (export "instance-network" (func (result $own)))))
  (import "wasi:sockets/tcp-create-socket@0.2.0" (instance $create
    (alias outer 1 $family (type $f)) (export "ip-address-family" (type $f' (eq $f)))
    (alias outer 1 $code (type $e)) (export "error-code" (type $e' (eq $e)))
    (alias outer 1 $socket (type $s)) (export "tcp-socket" (type $s' (eq $s)))
    (type $own (own $s'))
    (export "create-tcp-socket" (func (param "address-family" $f') (result (result $own (error $e')))))))
  (core module $Libc (memory (export "m") 1))
  (core instance $libc (instantiate $Libc))
  (core func $create' (canon lower (func $create "create-tcp-socket") (memory (core memory $libc "m"))))
  (core func $network' (canon lower (func $instance "instance-network")))
  (core func $drop' (canon resource.drop $net))
  (core module $M
    (import "" "create" (func $create (param i32 i32))) (import "" "network" (func $network (result i32))) (import "" "drop" (func $drop (param i32)))
    (import "l" "m" (memory 1))
    (func (export "run") (result i32)
      (call $drop (call $network))
      (call $create (i32.const 0) (i32.const 0))
      (i32.add (i32.mul (i32.load8_u (i32.const 0)) (i32.const 100)) (i32.load8_u (i32.const 4)))))
  (core instance $m (instantiate $M (with "l" (instance $libc)) (with "" (instance
    (export "create" (func $create')) (export "network" (func $network')) (export "drop" (func $drop'))))))
  (func (export "run") (result u32) (canon lift (core func $m "run"))))"""

HTTP = """(component
  (import "wasi:http/types@0.2.4" (instance $types
    (export "fields" (type $fields (sub resource))) (export "outgoing-request" (type $request (sub resource)))
    (export "request-options" (type (sub resource))) (export "future-incoming-response" (type (sub resource)))
    (type $e (variant (case "DNS-timeout") (case "HTTP-request-denied"))) (export "error-code" (type (eq $e)))
    (type $of (own $fields)) (type $or (own $request))
    (export "[constructor]fields" (func (result $of)))
    (export "[constructor]outgoing-request" (func (param "headers" $of) (result $or)))))
  (alias export $types "outgoing-request" (type $request)) (alias export $types "request-options" (type $options))
  (alias export $types "future-incoming-response" (type $future)) (alias export $types "error-code" (type $code))
  (import "wasi:http/outgoing-handler@0.2.4" (instance $handler
    (alias outer 1 $request (type $r)) (export "outgoing-request" (type $r' (eq $r)))
    (alias outer 1 $options (type $o)) (export "request-options" (type $o' (eq $o)))
    (alias outer 1 $future (type $f)) (export "future-incoming-response" (type $f' (eq $f)))
    (alias outer 1 $code (type $e)) (export "error-code" (type $e' (eq $e)))
    (type $or (own $r')) (type $oo (own $o')) (type $of (own $f'))
    (export "handle" (func (param "request" $or) (param "options" (option $oo)) (result (result $of (error $e')))))))
  (core module $Libc (memory (export "m") 1))
  (core instance $libc (instantiate $Libc))
  (core func $fields' (canon lower (func $types "[constructor]fields")))
  (core func $request' (canon lower (func $types "[constructor]outgoing-request")))
  (core func $handle' (canon lower (func $handler "handle") (memory (core memory $libc "m"))))
  (core module $M
    (import "" "fields" (func $fields (result i32))) (import "" "request" (func $request (param i32) (result i32)))
    (import "" "handle" (func $handle (param i32 i32 i32 i32)))
    (import "l" "m" (memory 1))
    (func (export "run") (result i32)
      (call $handle (call $request (call $fields)) (i32.const 0) (i32.const 0) (i32.const 0))
      (i32.add (i32.mul (i32.load8_u (i32.const 0)) (i32.const 100)) (i32.load8_u (i32.const 4)))))
  (core instance $m (instantiate $M (with "l" (instance $libc)) (with "" (instance
    (export "fields" (func $fields')) (export "request" (func $request')) (export "handle" (func $handle'))))))
  (func (export "run") (result u32) (canon lift (core func $m "run"))))"""


@pytest.mark.parametrize("guest", [SOCKETS, HTTP], ids=["sockets", "http"])
def test_refused_at_the_call(guest: str) -> None:
    loaded: Any = wasmrt.load(guest)
    assert loaded.run() == 101  # `err`, with the second error of the guest's list


def test_http_is_asked_for_by_name() -> None:
    engine = wasmrt.Engine()
    linker = Linker(engine)
    linker.add_wasip2()
    component = Component(engine, HTTP)
    with pytest.raises(wasmrt.LinkError, match="add_wasi_http"):
        linker.instantiate(wasmrt.Store(engine), component)
    linker.add_wasi_http()
    wasmrt.Store(engine).set_wasi_http()  # as the peer has it
    run: Any = linker.instantiate(wasmrt.Store(engine), component).get_func("run")
    assert run() == 101


def refused(call: Any, *args: Any) -> Any:
    with pytest.raises(wasmrt.WitError) as caught:
        call(*args)
    return caught.value.value


def test_headers() -> None:
    fields = http.Fields.from_list([("Accept", b"a"), ("accept", b"b"), ("x", b"")])
    assert fields.get("ACCEPT") == [b"a", b"b"] and fields.has("X") and not fields.has("y")
    fields.set("accept", [b"c"])
    fields.append("Accept", b"d")
    fields.delete("x")
    assert fields.entries() == [("accept", b"c"), ("Accept", b"d")]
    for name, value in (("a b", b""), ("", b""), ("a", b"x\ny"), ("a", b" x"), ("\xe9", b"")):
        assert refused(fields.append, name, value) == Variant("invalid-syntax")
    assert refused(fields.append, "Host", b"x") == Variant("forbidden") == refused(http.Fields.from_list, [("connection", b"")])
    request = http.OutgoingRequest(fields)
    fields.append("later", b"")
    assert not request.headers().has("later") and refused(request.headers().append, "a", b"") == Variant("immutable")
    request.headers().clone().append("a", b"")
    with pytest.raises(wasmrt.Trap, match="bytes of headers"):
        for _ in range(100):
            fields.append("big", b"x" * 100_000)


def test_requests() -> None:
    request = http.OutgoingRequest(http.Fields())
    assert request.method() == Variant("get") and request.scheme() is request.authority() is request.path_with_query() is None
    request.set_path_with_query("/a?b=c")
    request.set_authority("example.com:80")
    request.set_scheme(Variant("other", "ws"))
    request.set_method(Variant("other", "PURGE"))
    for call, bad in (
        (request.set_path_with_query, "a b"),
        (request.set_authority, "a/b"),
        (request.set_scheme, Variant("other", "1")),
        (request.set_method, Variant("other", "a b")),
    ):
        assert refused(call, bad) is None
    assert (request.path_with_query(), request.authority(), request.method().payload) == ("/a?b=c", "example.com:80", "PURGE")
    body = request.body()
    assert refused(request.body) is None
    stream = body.write()
    assert refused(body.write) is None and stream.write(b"x" * 100).tag == "ok"
    assert stream.check_write() == 65436
    options = http.RequestOptions()
    options.set_connect_timeout(5)
    assert options.connect_timeout() == 5 and options.first_byte_timeout() is None
    response = http.OutgoingResponse(http.Fields())
    response.set_status_code(404)
    assert response.status_code() == 404 and refused(response.set_status_code, 7) is None
