"""wasi:cli: environment, exit, standard streams and terminals, from the store's WasiConfig."""

from __future__ import annotations

from typing import Any

from wasmrt.errors import ExitTrap
from wasmrt.runtime.component_linker import Linker
from wasmrt.runtime.values import Variant

from .config import config_of
from .io import InputStream, OutputStream


class TerminalInput:
    """wasi:cli/terminal-input: says that standard input is a terminal."""


class TerminalOutput:
    """wasi:cli/terminal-output: says that a standard output is a terminal."""


def leave(store: Any, status: Variant) -> None:
    raise ExitTrap(0 if status.tag == "ok" else 1)


def leave_with_code(store: Any, status: int) -> None:
    raise ExitTrap(status)


def define(linker: Linker, version: str) -> None:
    environment = linker.instance(f"wasi:cli/environment@{version}")
    environment.add_func("get-environment", lambda store: list(config_of(store).env))
    environment.add_func("get-arguments", lambda store: list(config_of(store).argv))
    environment.add_func("initial-cwd", lambda store: None)

    exits = linker.instance(f"wasi:cli/exit@{version}")
    exits.add_func("exit", leave)
    exits.add_func("exit-with-code", leave_with_code)

    stdin = linker.instance(f"wasi:cli/stdin@{version}")
    stdin.add_resource("input-stream", InputStream)
    stdin.add_func("get-stdin", lambda store: InputStream(config_of(store).stdin))
    terminal_input = linker.instance(f"wasi:cli/terminal-input@{version}")
    terminal_input.add_resource("terminal-input", TerminalInput)
    terminal_stdin = linker.instance(f"wasi:cli/terminal-stdin@{version}")
    terminal_stdin.add_resource("terminal-input", TerminalInput)
    terminal_stdin.add_func(
        "get-terminal-stdin", lambda store: TerminalInput() if config_of(store).terminals["stdin"] else None
    )
    terminal_output = linker.instance(f"wasi:cli/terminal-output@{version}")
    terminal_output.add_resource("terminal-output", TerminalOutput)
    for name in ("stdout", "stderr"):
        output = linker.instance(f"wasi:cli/{name}@{version}")
        output.add_resource("output-stream", OutputStream)
        output.add_func(f"get-{name}", lambda store, name=name: OutputStream(getattr(config_of(store), name)))
        terminal = linker.instance(f"wasi:cli/terminal-{name}@{version}")
        terminal.add_resource("terminal-output", TerminalOutput)
        terminal.add_func(
            f"get-terminal-{name}",
            lambda store, name=name: TerminalOutput() if config_of(store).terminals[name] else None,
        )
