"""Components in text that speak wasi:http: one of the proxy world, which answers with what it gets, and one that asks."""

STREAMS = """
  (import "wasi:io/error@0.2.0" (instance $io-error (export "error" (type (sub resource)))))
  (alias export $io-error "error" (type $error))
  (import "wasi:io/poll@0.2.0" (instance $poll (export "pollable" (type $p (sub resource))) (type $bp (borrow $p))
    (export "[method]pollable.block" (func (param "self" $bp)))))
  (alias export $poll "pollable" (type $pollable))
  (import "wasi:io/streams@0.2.0" (instance $streams
    (alias outer 1 $error (type $e)) (export "error" (type $e' (eq $e))) (type $oe (own $e'))
    (export "input-stream" (type $in (sub resource))) (export "output-stream" (type $out (sub resource)))
    (type $bin (borrow $in)) (type $bout (borrow $out))
    (type $se (variant (case "last-operation-failed" $oe) (case "closed"))) (export "stream-error" (type $se' (eq $se)))
    (export "[method]input-stream.blocking-read" (func (param "self" $bin) (param "len" u64) (result (result (list u8) (error $se')))))
    (export "[method]output-stream.blocking-write-and-flush" (func (param "self" $bout) (param "contents" (list u8)) (result (result (error $se')))))
    (export "[method]output-stream.blocking-splice" (func (param "self" $bout) (param "src" $bin) (param "len" u64) (result (result u64 (error $se')))))))
  (alias export $streams "input-stream" (type $input)) (alias export $streams "output-stream" (type $output))
  (core module $Libc (memory (export "m") 2) (global $p (mut i32) (i32.const 65536))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (local $r i32)
      (local.set $r (i32.and (i32.add (global.get $p) (i32.const 7)) (i32.const -8)))
      (global.set $p (i32.add (local.get $r) (local.get 3))) (local.get $r)))
  (core instance $libc (instantiate $Libc))
  (alias core export $libc "m" (core memory $m)) (alias core export $libc "realloc" (core func $realloc))
"""

# `what` is code of the handler, with the request in local 0 and the outparam in local 1
ECHO = f"""(component {STREAMS}
  (import "wasi:http/types@0.2.0" (instance $types
    (alias outer 1 $input (type $i)) (export "input-stream" (type $in (eq $i))) (alias outer 1 $output (type $o)) (export "output-stream" (type $out (eq $o)))
    (export "fields" (type $fields (sub resource))) (export "incoming-request" (type $request (sub resource))) (export "incoming-body" (type $ibody (sub resource)))
    (export "outgoing-response" (type $response (sub resource))) (export "outgoing-body" (type $obody (sub resource)))
    (export "response-outparam" (type $param (sub resource))) (export "future-trailers" (type $future (sub resource)))
    (type $code (variant (case "HTTP-response-body-size" (option u64)) (case "connection-terminated") (case "internal-error" (option string)))) (export "error-code" (type $code' (eq $code)))
    (type $ofields (own $fields)) (type $oresponse (own $response)) (type $oobody (own $obody)) (type $oibody (own $ibody)) (type $oparam (own $param))
    (type $oin (own $in)) (type $oout (own $out)) (type $ofuture (own $future))
    (type $brequest (borrow $request)) (type $bibody (borrow $ibody)) (type $bobody (borrow $obody)) (type $bresponse (borrow $response))
    (export "[constructor]fields" (func (result $ofields)))
    (export "[constructor]outgoing-response" (func (param "headers" $ofields) (result $oresponse)))
    (export "[method]outgoing-response.set-status-code" (func (param "self" $bresponse) (param "status-code" u16) (result (result))))
    (export "[method]outgoing-response.body" (func (param "self" $bresponse) (result (result $oobody))))
    (export "[method]outgoing-body.write" (func (param "self" $bobody) (result (result $oout))))
    (export "[static]outgoing-body.finish" (func (param "this" $oobody) (param "trailers" (option $ofields)) (result (result (error $code')))))
    (export "[method]incoming-request.consume" (func (param "self" $brequest) (result (result $oibody))))
    (export "[method]incoming-request.headers" (func (param "self" $brequest) (result $ofields)))
    (export "[method]incoming-body.stream" (func (param "self" $bibody) (result (result $oin))))
    (export "[static]incoming-body.finish" (func (param "this" $oibody) (result $ofuture)))
    (export "[static]response-outparam.set" (func (param "param" $oparam) (param "response" (result $oresponse (error $code')))))))
  (alias export $types "incoming-request" (type $request)) (alias export $types "response-outparam" (type $param)) (alias export $types "fields" (type $fields))
  (alias export $types "incoming-body" (type $ibody)) (alias export $types "outgoing-body" (type $obody))
  (core func $fields' (canon lower (func $types "[constructor]fields")))
  (core func $response' (canon lower (func $types "[constructor]outgoing-response")))
  (core func $status' (canon lower (func $types "[method]outgoing-response.set-status-code")))
  (core func $body' (canon lower (func $types "[method]outgoing-response.body") (memory $m)))
  (core func $write' (canon lower (func $types "[method]outgoing-body.write") (memory $m)))
  (core func $finish' (canon lower (func $types "[static]outgoing-body.finish") (memory $m) (realloc $realloc)))
  (core func $consume' (canon lower (func $types "[method]incoming-request.consume") (memory $m)))
  (core func $headers' (canon lower (func $types "[method]incoming-request.headers")))
  (core func $stream' (canon lower (func $types "[method]incoming-body.stream") (memory $m)))
  (core func $done' (canon lower (func $types "[static]incoming-body.finish")))
  (core func $set' (canon lower (func $types "[static]response-outparam.set") (memory $m)))
  (core func $splice' (canon lower (func $streams "[method]output-stream.blocking-splice") (memory $m)))
  (core func $put' (canon lower (func $streams "[method]output-stream.blocking-write-and-flush") (memory $m)))
  (core func $drop-in' (canon resource.drop $input)) (core func $drop-out' (canon resource.drop $output)) (core func $drop-request' (canon resource.drop $request))
  (core func $drop-ibody' (canon resource.drop $ibody)) (core func $drop-obody' (canon resource.drop $obody)) (core func $drop-param' (canon resource.drop $param))
  (core module $M
    (import "" "fields" (func $fields (result i32))) (import "" "response" (func $response (param i32) (result i32)))
    (import "" "status" (func $status (param i32 i32) (result i32)))
    (import "" "body" (func $body (param i32 i32))) (import "" "write" (func $write (param i32 i32))) (import "" "finish" (func $finish (param i32 i32 i32 i32)))
    (import "" "consume" (func $consume (param i32 i32))) (import "" "headers" (func $headers (param i32) (result i32)))
    (import "" "stream" (func $stream (param i32 i32))) (import "" "done" (func $done (param i32) (result i32)))
    (import "" "set" (func $set (param i32 i32 i32 i32 i64 i32)))
    (import "" "splice" (func $splice (param i32 i32 i64 i32))) (import "" "put" (func $put (param i32 i32 i32 i32)))
    (import "" "drop-in" (func $drop-in (param i32))) (import "" "drop-out" (func $drop-out (param i32))) (import "" "drop-request" (func $drop-request (param i32)))
    (import "" "drop-ibody" (func $drop-ibody (param i32))) (import "" "drop-obody" (func $drop-obody (param i32))) (import "" "drop-param" (func $drop-param (param i32)))
    (import "l" "m" (memory 1))
    (func $handle-of (param $at i32) (result i32) (i32.load (i32.add (local.get $at) (i32.const 4))))
    (func (export "handle") (param $request i32) (param $param i32) (local $r i32) (local $b i32) (local $in i32) (local $out i32) (local $ib i32)
      %s))
  (core instance $i (instantiate $M (with "l" (instance $libc)) (with "" (instance
    (export "fields" (func $fields')) (export "response" (func $response')) (export "status" (func $status')) (export "body" (func $body')) (export "write" (func $write'))
    (export "finish" (func $finish')) (export "consume" (func $consume')) (export "headers" (func $headers')) (export "stream" (func $stream')) (export "done" (func $done'))
    (export "set" (func $set')) (export "splice" (func $splice')) (export "put" (func $put')) (export "drop-in" (func $drop-in')) (export "drop-out" (func $drop-out'))
    (export "drop-request" (func $drop-request')) (export "drop-ibody" (func $drop-ibody')) (export "drop-obody" (func $drop-obody'))
    (export "drop-param" (func $drop-param'))))))
  (type $orequest (own $request)) (type $oparam (own $param))
  (func $handle (param "request" $orequest) (param "response-out" $oparam) (canon lift (core func $i "handle")))
  (component $Export
    (import "request" (type $r (sub resource))) (import "param" (type $p (sub resource)))
    (type $or (own $r)) (type $op (own $p))
    (import "handle" (func $h (param "request" $or) (param "response-out" $op)))
    (export $r' "incoming-request" (type $r)) (export $p' "response-outparam" (type $p))
    (type $or' (own $r')) (type $op' (own $p'))
    (export "handle" (func $h) (func (param "request" $or') (param "response-out" $op'))))
  (instance $export (instantiate $Export (with "request" (type $request)) (with "param" (type $param)) (with "handle" (func $handle))))
  (export "wasi:http/incoming-handler@0.2.0" (instance $export)))"""

RESPOND = """
      (local.set $r (call $response (call $fields)))
      (drop (call $status (local.get $r) (i32.const 203)))
      (call $body (local.get $r) (i32.const 0)) (local.set $b (call $handle-of (i32.const 0)))
      (call $set (local.get $param) (i32.const 0) (local.get $r) (i32.const 0) (i64.const 0) (i32.const 0))
      (call $write (local.get $b) (i32.const 0)) (local.set $out (call $handle-of (i32.const 0)))"""
FINISH = """
      (call $drop-out (local.get $out))
      (call $finish (local.get $b) (i32.const 0) (i32.const 0) (i32.const 32))"""
READ = """
      (call $consume (local.get $request) (i32.const 0)) (local.set $ib (call $handle-of (i32.const 0)))
      (call $stream (local.get $ib) (i32.const 0)) (local.set $in (call $handle-of (i32.const 0)))"""
WRITE = "(call $put (local.get $out) (i32.const 1000) (i32.const 1000) (i32.const 16))"

HANDLERS = {
    "echo": RESPOND + READ + """
      (loop $again
        (call $splice (local.get $out) (local.get $in) (i64.const 50000) (i32.const 16))
        (br_if $again (i32.eqz (i32.load8_u (i32.const 16)))))
      (call $drop-in (local.get $in)) (call $drop-ibody (local.get $ib))""" + FINISH,
    "silent": "",
    "trap": "unreachable",
    "trap later": RESPOND + WRITE + "unreachable",
    "no finish": RESPOND + WRITE,
    "error": "(call $set (local.get $param) (i32.const 1) (i32.const 1) (i32.const 0) (i64.const 0) (i32.const 0))",
    "spin": "(loop $for-ever (br $for-ever))",
    "endless": RESPOND + "(loop $for-ever" + WRITE + "(br_if $for-ever (i32.eqz (i32.load8_u (i32.const 16)))))" + FINISH,
    "late stream": RESPOND + "(call $drop-obody (local.get $b))",
    "late headers": "(drop (call $headers (local.get $request))) (call $drop-request (local.get $request))",
    "memory": "(drop (memory.grow (i32.const 5000))) (i32.store (i32.const 200000000) (i32.const 1))",
}


def proxy(handler: str) -> str:
    """A component whose handler is one of HANDLERS."""
    return ECHO % HANDLERS[handler]


ASK = f"""(component {STREAMS}
  (import "wasi:http/types@0.2.4" (instance $types
    (alias outer 1 $pollable (type $p)) (export "pollable" (type $pollable (eq $p))) (alias outer 1 $input (type $i)) (export "input-stream" (type $in (eq $i)))
    (export "fields" (type $fields (sub resource))) (export "outgoing-request" (type $request (sub resource))) (export "request-options" (type $options (sub resource)))
    (export "future-incoming-response" (type $future (sub resource))) (export "incoming-response" (type $response (sub resource)))
    (export "incoming-body" (type $ibody (sub resource)))
    (type $e (variant (case "DNS-timeout") (case "HTTP-request-denied") (case "connection-refused") (case "connection-read-timeout") (case "internal-error" (option string))
      (case "HTTP-request-URI-invalid") (case "HTTP-protocol-error") (case "HTTP-response-header-section-size" (option u32)) (case "connection-terminated")))
    (export "error-code" (type $e' (eq $e)))
    (type $of (own $fields)) (type $or (own $request)) (type $br (borrow $request)) (type $bf (borrow $future)) (type $op (own $pollable)) (type $oresponse (own $response))
    (type $bresponse (borrow $response)) (type $oibody (own $ibody)) (type $bibody (borrow $ibody)) (type $oin (own $in))
    (type $inner (result $oresponse (error $e'))) (type $middle (result $inner)) (type $outer (option $middle))
    (export "[constructor]fields" (func (result $of)))
    (export "[constructor]outgoing-request" (func (param "headers" $of) (result $or)))
    (export "[method]outgoing-request.set-authority" (func (param "self" $br) (param "authority" (option string)) (result (result))))
    (export "[method]future-incoming-response.subscribe" (func (param "self" $bf) (result $op)))
    (export "[method]future-incoming-response.get" (func (param "self" $bf) (result $outer)))
    (export "[method]incoming-response.status" (func (param "self" $bresponse) (result u16)))
    (export "[method]incoming-response.consume" (func (param "self" $bresponse) (result (result $oibody))))
    (export "[method]incoming-body.stream" (func (param "self" $bibody) (result (result $oin))))))
  (alias export $types "outgoing-request" (type $request)) (alias export $types "request-options" (type $options))
  (alias export $types "future-incoming-response" (type $future)) (alias export $types "error-code" (type $code))
  (import "wasi:http/outgoing-handler@0.2.4" (instance $handler
    (alias outer 1 $request (type $r)) (export "outgoing-request" (type $r' (eq $r)))
    (alias outer 1 $options (type $o)) (export "request-options" (type $o' (eq $o)))
    (alias outer 1 $future (type $f)) (export "future-incoming-response" (type $f' (eq $f)))
    (alias outer 1 $code (type $e)) (export "error-code" (type $e' (eq $e)))
    (type $or (own $r')) (type $oo (own $o')) (type $of (own $f'))
    (export "handle" (func (param "request" $or) (param "options" (option $oo)) (result (result $of (error $e')))))))
  (core func $fields' (canon lower (func $types "[constructor]fields")))
  (core func $request' (canon lower (func $types "[constructor]outgoing-request")))
  (core func $authority' (canon lower (func $types "[method]outgoing-request.set-authority") (memory $m)))
  (core func $handle' (canon lower (func $handler "handle") (memory $m) (realloc $realloc)))
  (core func $subscribe' (canon lower (func $types "[method]future-incoming-response.subscribe")))
  (core func $block' (canon lower (func $poll "[method]pollable.block")))
  (core func $get' (canon lower (func $types "[method]future-incoming-response.get") (memory $m) (realloc $realloc)))
  (core func $consume' (canon lower (func $types "[method]incoming-response.consume") (memory $m)))
  (core func $status' (canon lower (func $types "[method]incoming-response.status")))
  (core func $stream' (canon lower (func $types "[method]incoming-body.stream") (memory $m)))
  (core func $read' (canon lower (func $streams "[method]input-stream.blocking-read") (memory $m) (realloc $realloc)))
  (core func $drop-pollable' (canon resource.drop $pollable))
  (core module $M
    (import "" "fields" (func $fields (result i32))) (import "" "request" (func $request (param i32) (result i32)))
    (import "" "authority" (func $authority (param i32 i32 i32 i32) (result i32)))
    (import "" "handle" (func $handle (param i32 i32 i32 i32))) (import "" "subscribe" (func $subscribe (param i32) (result i32)))
    (import "" "block" (func $block (param i32))) (import "" "get" (func $get (param i32 i32))) (import "" "status" (func $status (param i32) (result i32)))
    (import "" "consume" (func $consume (param i32 i32))) (import "" "stream" (func $stream (param i32 i32))) (import "" "read" (func $read (param i32 i64 i32)))
    (import "" "drop-pollable" (func $drop-pollable (param i32)))
    (import "l" "m" (memory 1))
    (func $handle-of (param $at i32) (result i32) (i32.load (i32.add (local.get $at) (i32.const 4))))
    ;; (status, bytes read) of an answer; (0, the error's number) when there is none
    (func (export "ask") (param $at i32) (param $length i32) (result i32) (local $r i32) (local $f i32) (local $p i32) (local $in i32)
      (local.set $r (call $request (call $fields)))
      (drop (call $authority (local.get $r) (i32.const 1) (local.get $at) (local.get $length)))
      (call $handle (local.get $r) (i32.const 0) (i32.const 0) (i32.const 0))
      (if (i32.load8_u (i32.const 0)) (then (return (call $failed (i32.const 4)))))
      (local.set $f (call $handle-of (i32.const 0)))
      (if (i32.load8_u (i32.const 0)) (then unreachable))
      (local.set $p (call $subscribe (local.get $f)))
      (call $block (local.get $p)) (call $drop-pollable (local.get $p))
      (call $get (local.get $f) (i32.const 64))
      ;; option at 64, result at 68, result at 72, payload at 76
      (if (i32.ne (i32.load8_u (i32.const 64)) (i32.const 1)) (then unreachable))
      (if (i32.load8_u (i32.const 68)) (then unreachable))
      (if (i32.load8_u (i32.const 72)) (then (return (call $failed (i32.const 76)))))
      (local.set $r (i32.load (i32.const 76)))
      (i32.store (i32.const 200) (call $status (local.get $r)))
      (i32.store (i32.const 208) (i32.const 0))
      (call $consume (local.get $r) (i32.const 0))
      (call $stream (call $handle-of (i32.const 0)) (i32.const 0)) (local.set $in (call $handle-of (i32.const 0)))
      (call $read (local.get $in) (i64.const 1000) (i32.const 0))
      (if (i32.eqz (i32.load8_u (i32.const 0)))
        (then (i32.store (i32.const 204) (i32.load (i32.const 4))) (i32.store (i32.const 208) (i32.load (i32.const 8)))))
      (i32.const 200))
    (func $failed (param $at i32) (result i32)
      (i32.store (i32.const 200) (i32.const 0)) (i32.store (i32.const 204) (local.get $at)) (i32.store (i32.const 208) (i32.const 1)) (i32.const 200)))
  (core instance $i (instantiate $M (with "l" (instance $libc)) (with "" (instance
    (export "fields" (func $fields')) (export "request" (func $request')) (export "authority" (func $authority')) (export "handle" (func $handle'))
    (export "subscribe" (func $subscribe')) (export "block" (func $block')) (export "get" (func $get')) (export "status" (func $status')) (export "consume" (func $consume'))
    (export "stream" (func $stream')) (export "read" (func $read')) (export "drop-pollable" (func $drop-pollable'))))))
  (func (export "ask") (param "authority" string) (result (tuple u32 (list u8))) (canon lift (core func $i "ask") (memory $m) (realloc $realloc))))"""
ERRORS = """DNS-timeout HTTP-request-denied connection-refused connection-read-timeout internal-error HTTP-request-URI-invalid HTTP-protocol-error
    HTTP-response-header-section-size connection-terminated""".split()
