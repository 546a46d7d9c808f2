"""`wasmrt run`: a command (wasi:cli/run, or `_start` of a module, with WASI 0.1), or one function with arguments from the command line.

A guest gets what the options give it and nothing else, but for standard streams, arguments, clocks and random numbers. Exit status: the guest's own; 134
after a trap, whose message and frames go to stderr; 130 after Ctrl-C; 1 for a file or an argument that cannot be used.
"""

from __future__ import annotations

import re
import sys
from io import FileIO
from pathlib import Path
from typing import Any

import click

from wasmrt.errors import DecodeError, ExitTrap, Trap, WasmError
from wasmrt.runtime import source as sources
from wasmrt.runtime.component import Component
from wasmrt.runtime.component_instance import ComponentInstance
from wasmrt.runtime.component_linker import Linker as ComponentLinker
from wasmrt.runtime.engine import Engine
from wasmrt.runtime.linker import Linker
from wasmrt.runtime.module import Instance, Module
from wasmrt.runtime.store import Store
from wasmrt.runtime.values import Variant
from wasmrt.spec import types as t
from wasmrt.text import encode
from wasmrt.wasi import WasiConfig
from wasmrt.wasi.config import DescriptorSink
from wasmrt.wasi.waiting import descriptor_of

from .wave import WaveError, parse, parse_call, render

TRAPPED = 134
INTERRUPTED = 130
_CALL = re.compile(r"(.*?)\((.*)\)\s*", re.DOTALL)
_RUN = re.compile(r"wasi:cli/run@0\.2\.[0-9]+")


def load(engine: Engine, path: Path, progress: Any = None) -> Module | Component:
    """A file of any kind: text, binary, or artifact. Raises WasmError or OSError."""
    kind = engine.detect_precompiled_file(path)
    if kind is not None:
        return Module.deserialize_file(engine, path) if kind == "module" else Component.deserialize_file(engine, path)
    data = path.read_bytes()
    if not data:
        raise DecodeError("the file is empty", offset=0, expected="a binary, a text or an artifact")
    if data[:1] != b"\0":
        data = encode(data, str(path))
    made = Module if sources.KINDS.get(data[4:8]) == "module" else Component
    try:
        return made(engine, data, progress=progress)
    except WasmError as error:
        if hasattr(error, "file"):
            error.file = str(path)
        raise


def guest_config(
    args: list[str], env: tuple[str, ...], inherit_env: bool, dirs: tuple[str, ...], read_only_dirs: tuple[str, ...], hosts: tuple[str, ...] = ()
) -> WasiConfig:
    """What the options say a guest sees. Raises UsageError."""
    import os

    config = WasiConfig()
    config.argv = args
    config.inherit_stdin()
    config.inherit_stdout()
    config.inherit_stderr()
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        fd = descriptor_of(stream)
        if fd is not None:  # nobody else writes while the guest runs, so its output needs no buffer of ours to keep it in order
            stream.flush()
            setattr(config, name, DescriptorSink(FileIO(fd, "wb", closefd=False)))
    pairs = dict(os.environ) if inherit_env else {}
    for item in env:
        name, given, value = item.partition("=")
        if not name or (not given and name not in os.environ):
            raise click.UsageError(f"--env {item}: expected NAME=VALUE, or the NAME of a variable that is set")
        pairs[name] = value if given else os.environ[name]
    config.env = pairs
    for items, mutable in ((dirs, True), (read_only_dirs, False)):
        for item in items:
            host, _, guest = item.partition("::")
            try:
                config.preopen_dir(host, guest or host, mutable)
            except OSError as error:
                raise click.UsageError(f"--dir {item}: {error.strerror}") from None
    if hosts:
        from wasmrt.wasi.client import http_client

        try:
            config.http_handler = http_client(hosts)
        except WasmError as error:
            raise click.UsageError(f"--allow-host: {error}") from None
    return config


def run(made: Module | Component, name: str | None, args: list[str], wasi: WasiConfig, timeout: float | None, stub: bool) -> int:
    """Runs it and returns the exit status; prints what an invoked function returns."""
    store = Store(made.engine)
    store.set_wasi(wasi)
    store.set_timeout(timeout)
    try:
        if isinstance(made, Module):
            return _run_module(store, made, name, args, stub)
        return _run_component(store, made, name, args, stub)
    except ExitTrap as leaving:
        return leaving.code
    except Trap as trap:
        click.echo(str(trap), err=True)
        return TRAPPED
    except KeyboardInterrupt:
        return INTERRUPTED


# ---- components -----------------------------------------------------------------------------------------------------------------------------


def _run_component(store: Store, component: Component, name: str | None, args: list[str], stub: bool) -> int:
    linker = ComponentLinker(component.engine)
    linker.add_wasip2()
    linker.add_wasi_http()
    if stub:
        linker.define_unknown_imports_as_traps(component)
    instance = linker.instantiate(store, component)
    if name is None:
        command = next((export for export in instance.exports if _RUN.fullmatch(export)), None)
        if command is None:
            raise WasmError(f"no wasi:cli/run is exported: name a function with --invoke; {_offer(_functions(instance))}")
        return 0 if instance.exports[command]["run"]() == Variant("ok") else 1
    called, arguments = _split(name)
    functions = _functions(instance)
    function = _pick(functions, called)
    params = function.type().params
    values = parse_call(arguments, params) if arguments is not None else _values(args, params)
    result = function(*values)
    if function.type().result is not None:
        click.echo(render(result, function.type().result))
    return 0


def _functions(instance: ComponentInstance) -> dict[str, Any]:
    """All exported functions, `interface#function` for those of interfaces."""
    found: dict[str, Any] = {}
    for name, item in instance.exports.items():
        if callable(item) and hasattr(item, "post_return"):
            found[name] = item
        elif hasattr(item, "items"):
            found.update({f"{name}#{inner}": func for inner, func in item.items() if hasattr(func, "post_return")})
    return found


def _split(text: str) -> tuple[str, str | None]:
    """`name` or `name(arguments)`."""
    found = _CALL.fullmatch(text)
    return (found.group(1).strip(), found.group(2)) if found else (text, None)


def _pick(functions: dict[str, Any], name: str) -> Any:
    """By full name, by the function's alone where that says enough, or `interface#function` without package and version."""
    found = functions.get(name)
    if found is not None:
        return found
    near = [full for full in functions if full.rpartition("#")[2] == name or _short(full) == name]
    if len(near) > 1:
        raise WasmError(f"{name} can mean {' and '.join(near)}")
    if not near:
        raise WasmError(f"no function {name!r} is exported; {_offer(functions)}")
    return functions[near[0]]


def _short(full: str) -> str:
    interface, _, function = full.rpartition("#")
    return f"{interface.partition('@')[0].rpartition('/')[2]}#{function}"


def _offer(functions: Any) -> str:
    return f"there is {', '.join(functions)}" if functions else "it exports no function"


def _values(args: list[str], params: tuple[tuple[str, t.AnyValType], ...], places: list[str] | None = None) -> list[Any]:
    """The arguments by type; `places` are what messages call the parameters."""
    if places is None:
        places = [f"{name}: {ty}" for name, ty in params]
    if len(args) != len(params):
        raise WasmError(f"{len(params)} arguments are wanted ({', '.join(places)}), {len(args)} given")
    values = []
    for text, (_, ty), place in zip(args, params, places, strict=True):
        try:
            values.append(parse(text, ty))
        except WaveError as error:
            raise WaveError(f"argument {place}: {error}") from None
    return values


# ---- modules --------------------------------------------------------------------------------------------------------------------------------

_CORE: dict[str, t.AnyValType] = {"i32": t.S64(), "i64": t.S64(), "f32": t.F32(), "f64": t.F64()}


def _run_module(store: Store, module: Module, name: str | None, args: list[str], stub: bool) -> int:
    linker = Linker(module.engine)
    linker.define_wasi()
    if stub:
        linker.define_unknown_imports_as_traps(module)
    instance: Instance = linker.instantiate(store, module)
    functions: dict[str, Any] = {export.name: instance.exports[export.name] for export in module.exports if hasattr(export.type, "params")}
    called, arguments = ("_start", None) if name is None else _split(name)
    function = functions.get(called)
    if function is None:
        if name is None:
            raise WasmError(f"no _start is exported: name a function with --invoke; {_offer(functions)}")
        raise WasmError(f"no function {called!r} is exported; {_offer(functions)}")
    ty = function.type(store)
    if name is None and ty.params:
        raise WasmError("_start wants arguments: call it with --invoke")
    for unspoken in (item for item in (*ty.params, *ty.results) if str(item) not in _CORE):
        raise WasmError(f"values of type {unspoken} cannot be written on a command line")
    params = tuple((str(index), _CORE[str(item)]) for index, item in enumerate(ty.params))
    if name is not None and "_initialize" in functions and called != "_initialize":
        functions["_initialize"](store)  # a library of WASI 0.1 wants it before all else
    values = [] if name is None else parse_call(arguments, params) if arguments is not None else _values(args, params, [f"{i}: {item}" for i, item in enumerate(ty.params)])
    result = function(store, *values)
    results = result if len(ty.results) > 1 else [result][: len(ty.results)]
    for value, item in zip(results, ty.results, strict=True):
        click.echo(render(value, _CORE[str(item)]))
    return 0
