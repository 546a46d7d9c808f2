"""wasi:http without a network: guests build requests and responses, and sending one is `HTTP-request-denied`. `Linker.add_wasi_http()` defines it.

What only an answer could make (incoming responses, their bodies and trailers) never exists; a guest that keeps to the canonical ABI cannot reach the
methods of these. Header names and values are checked as the interface says, and how much a guest may collect is limited.
"""

from __future__ import annotations

import re
from typing import Any, NoReturn

from wasmrt.errors import Trap, WitError
from wasmrt.runtime.component_linker import Linker
from wasmrt.runtime.values import Variant

from .io import InputStream, IoError, OutputStream, Pollable

VERSION = "0.2.6"
MAX_HEADER_BYTES = 1 << 20
MAX_BODY_BYTES = 1 << 24

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TOKEN = _NAME
_FORBIDDEN = frozenset(
    {"connection", "host", "http2-settings", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "transfer-encoding", "upgrade"}
)
INVALID_SYNTAX, FORBIDDEN, IMMUTABLE = Variant("invalid-syntax"), Variant("forbidden"), Variant("immutable")


class Fields:
    """wasi:http/types fields: headers or trailers in order; names are compared without case."""

    def __init__(self) -> None:
        self._items: list[tuple[str, bytes]] = []
        self._size = 0
        self.immutable = False

    @staticmethod
    def from_list(entries: list[tuple[str, bytes]]) -> Fields:
        fields = Fields()
        for name, value in entries:
            fields.append(name, value)
        return fields

    def _checked(self, name: str, values: list[bytes]) -> str:
        if self.immutable:
            raise WitError(IMMUTABLE)
        if not _NAME.fullmatch(name) or any(value.strip(b" \t") != value or re.search(rb"[\0\r\n]", value) for value in values):
            raise WitError(INVALID_SYNTAX)
        if name.lower() in _FORBIDDEN:
            raise WitError(FORBIDDEN)
        self._size += sum(len(name) + len(value) for value in values)
        if self._size > MAX_HEADER_BYTES:
            raise Trap(f"a guest collected more than {MAX_HEADER_BYTES} bytes of headers")
        return name.lower()

    def get(self, name: str) -> list[bytes]:
        return [value for key, value in self._items if key.lower() == name.lower()]

    def has(self, name: str) -> bool:
        return bool(self.get(name))

    def set(self, name: str, value: list[bytes]) -> None:
        key = self._checked(name, value)
        self._items = [item for item in self._items if item[0].lower() != key] + [(name, item) for item in value]

    def delete(self, name: str) -> None:
        key = self._checked(name, [])
        self._items = [item for item in self._items if item[0].lower() != key]

    def append(self, name: str, value: bytes) -> None:
        self._checked(name, [value])
        self._items.append((name, value))

    def entries(self) -> list[tuple[str, bytes]]:
        return list(self._items)

    def clone(self) -> Fields:
        fields = Fields()
        fields._items, fields._size = list(self._items), self._size
        return fields

    def frozen(self) -> Fields:
        fields = self.clone()
        fields.immutable = True
        return fields


class _Body:
    """The sink under an outgoing body."""

    def __init__(self) -> None:
        self.data = bytearray()

    def __call__(self, data: bytes) -> None:
        if len(self.data) + len(data) > MAX_BODY_BYTES:
            raise OSError(f"a body is limited to {MAX_BODY_BYTES} bytes")
        self.data += data


class OutgoingBody:
    """wasi:http/types outgoing-body."""

    def __init__(self) -> None:
        self._sink = _Body()
        self._streamed = False

    def write(self) -> OutputStream:
        if self._streamed:
            raise WitError(None)
        self._streamed = True
        return OutputStream(self._sink)

    @staticmethod
    def finish(this: OutgoingBody, trailers: Fields | None) -> None:
        return None


class _Message:
    def __init__(self, headers: Fields) -> None:
        self._headers = headers.frozen()
        self._has_body = False

    def headers(self) -> Fields:
        return self._headers.frozen()

    def body(self) -> OutgoingBody:
        if self._has_body:
            raise WitError(None)
        self._has_body = True
        return OutgoingBody()


class OutgoingRequest(_Message):
    """wasi:http/types outgoing-request."""

    def __init__(self, headers: Fields) -> None:
        super().__init__(headers)
        self._method = Variant("get")
        self._path: str | None = None
        self._scheme: Variant | None = None
        self._authority: str | None = None

    def method(self) -> Variant:
        return self._method

    def set_method(self, method: Any) -> None:
        if isinstance(method, Variant) and method.tag == "other" and not _TOKEN.fullmatch(method.payload):
            raise WitError(None)
        self._method = method

    def path_with_query(self) -> str | None:
        return self._path

    def set_path_with_query(self, path: str | None) -> None:
        if path is not None and not re.fullmatch(r"[!-~]*", path):
            raise WitError(None)
        self._path = path

    def scheme(self) -> Variant | None:
        return self._scheme

    def set_scheme(self, scheme: Any) -> None:
        if isinstance(scheme, Variant) and scheme.tag == "other" and not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", scheme.payload):
            raise WitError(None)
        self._scheme = scheme

    def authority(self) -> str | None:
        return self._authority

    def set_authority(self, authority: str | None) -> None:
        if authority is not None and not re.fullmatch(r"[!-.0-~]+", authority):
            raise WitError(None)
        self._authority = authority


class OutgoingResponse(_Message):
    """wasi:http/types outgoing-response."""

    def __init__(self, headers: Fields) -> None:
        super().__init__(headers)
        self._status = 200

    def status_code(self) -> int:
        return self._status

    def set_status_code(self, status: int) -> None:
        if not 100 <= status <= 999:
            raise WitError(None)
        self._status = status


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


def _absent(name: str) -> type:
    return type(name, (), {"__doc__": f"wasi:http/types {name}; none is ever made."})


ABSENT = {
    "incoming-request": ["method", "path-with-query", "scheme", "authority", "headers", "consume"],
    "incoming-response": ["status", "headers", "consume"],
    "incoming-body": ["stream"],
    "future-trailers": ["subscribe", "get"],
    "future-incoming-response": ["subscribe", "get"],
}
CLASSES = {name: _absent("".join(part.capitalize() for part in name.split("-"))) for name in (*ABSENT, "response-outparam")}
RESOURCES = {
    "fields": Fields,
    "outgoing-request": OutgoingRequest,
    "outgoing-response": OutgoingResponse,
    "outgoing-body": OutgoingBody,
    "request-options": RequestOptions,
    "pollable": Pollable,
    "input-stream": InputStream,
    "output-stream": OutputStream,
    "io-error": IoError,
    "error": IoError,
    "headers": Fields,
    "trailers": Fields,
    **CLASSES,
}


def unreachable(store: Any, *args: Any) -> NoReturn:
    raise Trap("guests have no network, so there is no request or answer to use")


def handle(request: OutgoingRequest, options: RequestOptions | None) -> NoReturn:
    raise WitError(Variant("HTTP-request-denied"))


def define(linker: Linker) -> None:
    types = linker.instance(f"wasi:http/types@{VERSION}")
    types.define(RESOURCES)
    for resource, methods in ABSENT.items():
        for method in methods:
            types.add_func(f"[method]{resource}.{method}", unreachable)
    types.add_func("[static]incoming-body.finish", unreachable)
    types.add_func("[static]response-outparam.set", unreachable)
    types.add_func("[static]response-outparam.send-informational", unreachable)
    types.add_func("http-error-code", lambda store, error: None)
    handler = linker.instance(f"wasi:http/outgoing-handler@{VERSION}")
    handler.define({**RESOURCES, "handle": handle})

