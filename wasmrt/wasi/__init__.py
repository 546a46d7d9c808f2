"""WASI 0.2 on the public linker API alone: whatever it can do, users can do too. `Linker.add_wasip2()` of components defines it; `define_wasi()` of the
core Linker defines WASI 0.1 (`preview1.py`), over the same files, streams and clocks.

A guest gets nothing that the store's WasiConfig does not give it: no environment, no arguments, no files, closed standard streams. Clocks and random
numbers are always there. Present: wasi:io, wasi:cli, wasi:clocks, wasi:random, wasi:filesystem with the directories that were preopened, and
wasi:sockets, which refuses every socket; `Linker.add_wasi_http()` adds wasi:http, whose requests `WasiConfig.http_handler` answers. Any 0.2.x import is
served (versions match by semver). `wsgi` and `HttpServer` turn a component that answers requests into a web application.
"""

from typing import TYPE_CHECKING, Any

from wasmrt.runtime import linker as core_linker
from wasmrt.runtime.component_linker import Linker, register_wasi

from .config import WasiConfig

if TYPE_CHECKING:
    from .client import HttpClient, http_client
    from .http_messages import HttpError, HttpRequest, HttpResponse, RequestBody
    from .memory import MemoryDirectory
    from .server import HttpServer
    from .serving import HttpComponent, wsgi

__all__ = [
    "HttpClient",
    "HttpComponent",
    "HttpError",
    "HttpRequest",
    "HttpResponse",
    "HttpServer",
    "MemoryDirectory",
    "RequestBody",
    "WasiConfig",
    "add_wasi_http",
    "add_wasip2",
    "define_wasi",
    "http_client",
    "wsgi",
]

VERSION = "0.2.6"
_LATER = {  # imported when they are asked for: most programs have no HTTP
    "client": ("HttpClient", "http_client"),
    "http_messages": ("HttpError", "HttpRequest", "HttpResponse", "RequestBody"),
    "serving": ("HttpComponent", "wsgi"),
    "memory": ("MemoryDirectory",),
    "server": ("HttpServer",),
}


def __getattr__(name: str) -> Any:
    import importlib

    for module, names in _LATER.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def add_wasip2(linker: Linker) -> None:
    """Defines all interfaces in `linker`; each store's own WasiConfig (`Store.set_wasi`) says what its guests see."""
    from . import cli, clocks, filesystem, io, random, sockets

    for room in (io, cli, clocks, random, filesystem, sockets):
        room.define(linker, VERSION)


def add_wasi_http(linker: Linker) -> None:
    """Defines wasi:http's types and outgoing-handler."""
    from . import http

    http.define(linker)


def define_wasi(linker: core_linker.Linker) -> None:
    """Defines WASI 0.1 in a linker of core modules."""
    from . import preview1

    preview1.define(linker)


core_linker.register_wasi(define_wasi)
register_wasi("p2", add_wasip2)
register_wasi("http", add_wasi_http)
