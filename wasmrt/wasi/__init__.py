"""WASI 0.2 on the public linker API alone: whatever it can do, users can do too. `Linker.add_wasip2()` of components defines it; `define_wasi()` of the
core Linker defines WASI 0.1 (`preview1.py`), over the same files, streams and clocks.

A guest gets nothing that the store's WasiConfig does not give it: no environment, no arguments, no files, closed standard streams. Clocks and random
numbers are always there. Present: wasi:io, wasi:cli, wasi:clocks, wasi:random, wasi:filesystem with the directories that were preopened, and
wasi:sockets, which refuses every socket; `Linker.add_wasi_http()` adds wasi:http, which refuses every request. Any 0.2.x import is served (versions
match by semver).
"""

from wasmrt.runtime import linker as core_linker
from wasmrt.runtime.component_linker import Linker, register_wasi

from .config import WasiConfig

__all__ = ["WasiConfig", "add_wasi_http", "add_wasip2", "define_wasi"]

VERSION = "0.2.6"


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
