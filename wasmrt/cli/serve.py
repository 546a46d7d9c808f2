"""`wasmrt serve`: answers HTTP requests with a component of the proxy world (wasi:http/incoming-handler), a fresh instance for each.

A guest gets what the options give it: standard output and error are this process's, outgoing requests go to the hosts of `--allow-host` alone.
"""

from __future__ import annotations

import threading

import click

from wasmrt.errors import WasmError
from wasmrt.runtime.component import Component
from wasmrt.runtime.module import Module
from wasmrt.wasi.config import WasiConfig


def address_of(text: str) -> tuple[str, int]:
    """`HOST:PORT`, `:PORT` or `[::1]:PORT`. Raises UsageError."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise click.UsageError(f"--addr {text}: expected HOST:PORT")
    return host.strip("[]") or "127.0.0.1", int(port)


def guest_config(env: tuple[str, ...], inherit_env: bool, dirs: tuple[str, ...], read_only_dirs: tuple[str, ...], hosts: tuple[str, ...]) -> WasiConfig:
    """What the options say guests see. Raises UsageError."""
    from . import run

    config = run.guest_config([], env, inherit_env, dirs, read_only_dirs, hosts)
    config.stdin = None
    config.terminals["stdin"] = False
    return config


def serve(made: Module | Component, address: tuple[str, int], wasi: WasiConfig, timeout: float, max_memory: int | None, max_body: int) -> None:
    """Until Ctrl-C, or SIGTERM. Raises WasmError, OSError."""
    import signal

    from wasmrt.wasi.server import HttpServer
    from wasmrt.wasi.serving import HttpComponent

    if isinstance(made, Module):
        raise WasmError("this is a core module; `serve` takes a component that exports wasi:http/incoming-handler")
    component = HttpComponent(made, wasi=wasi, timeout=timeout, max_memory=max_memory)
    with HttpServer(address, component, max_body=max_body) as server:
        click.echo(f"serving on http://{server.authority}/", err=True)

        def stop(*_: object) -> None:
            # `shutdown` waits for the loop, which this handler interrupts
            threading.Thread(target=server.shutdown, daemon=True).start()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        server.serve_forever()
