"""`wasmrt`: commands over files. Errors about a file go to stderr in one piece; the exit status is 1 when any file failed, 2 for wrong usage.

What a command needs beyond files and text is imported when it runs.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from wasmrt._version import __version__
from wasmrt.errors import WasmError
from wasmrt.runtime.config import FEATURE_ROWS, Config
from wasmrt.runtime.engine import Engine
from wasmrt.runtime.source import ARTIFACT_MAGIC
from wasmrt.text import encode, print_wasm

from .wast import run_script

_FEATURES = sorted(name.removeprefix("wasm_") for name in FEATURE_ROWS)
_FILES: Callable[[Any], Any] = click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)

_FILE: Callable[[Any], Any] = click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))


def _feature_options(command: Callable[..., Any]) -> Callable[..., Any]:
    enable = click.option("-W", "--wasm", "features", multiple=True, type=click.Choice([*_FEATURES, "all"]), metavar="FEATURE", help="Enable a feature, or all.")
    disable = click.option("--without", multiple=True, type=click.Choice(_FEATURES), metavar="FEATURE", help="Disable a feature.")
    return enable(disable(command))


def _config(features: tuple[str, ...], without: tuple[str, ...]) -> Config:
    config = Config()
    for name in _FEATURES if "all" in features else features:
        setattr(config, f"wasm_{name}", True)
    for name in without:
        setattr(config, f"wasm_{name}", False)
    return config


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="wasmrt")
def main() -> None:
    """WebAssembly modules and components: run, compile, look inside, print, encode, test."""


def _each(files: tuple[Path, ...], work: Callable[[Path], None]) -> None:
    failed = False
    for path in files:
        try:
            work(path)
        except BrokenPipeError:
            raise  # nobody reads on: click ends quietly
        except (WasmError, OSError) as error:
            failed = True
            click.echo(f"{path}: {error}", err=True)
    if failed:
        sys.exit(1)


@main.command("print")
@_FILES
def print_(files: tuple[Path, ...]) -> None:
    """Print modules and components as text. A FILE of text is encoded first, which shows it without abbreviations."""

    def work(path: Path) -> None:
        data = path.read_bytes()
        if data.startswith(ARTIFACT_MAGIC):
            raise WasmError("this is a compiled artifact, which has no text; `wasmrt inspect` and `wasmrt objdump` show it")
        click.echo(print_wasm(data if data[:1] == b"\0" else encode(data, str(path))), nl=False)

    _each(files, work)


@main.command()
@_FILES
def wit(files: tuple[Path, ...]) -> None:
    """Print the worlds of components, binary, text or artifacts, in WIT: what they import and export, with documentation where the file has it."""
    from .world import print_wit

    _each(files, lambda path: click.echo(print_wit(path), nl=False))


@main.command()
@_FILE
@click.option("-o", "--output", type=click.Path(path_type=Path, file_okay=False), help="The package's folder; else FILE's name in this folder, as an identifier.")
@click.option("--embed", is_flag=True, help="Copy FILE into the package, which then needs nothing beside it.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing when all is well.")
def bindgen(file: Path, output: Path | None, embed: bool, quiet: bool) -> None:
    """Write a typed Python package for a component: its world, its imports, its types, and load()."""
    from .world import write_package

    def work(path: Path) -> None:
        name = re.sub(r"\W", "_", path.stem.split(".")[0])
        done = write_package(path, output or Path(f"_{name}" if name[:1].isdigit() else name), embed)
        if not quiet:
            click.echo(done)

    _each((file,), work)


@main.command()
@_FILES
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Where to write, for a single FILE; else beside it."
)
def wat2wasm(files: tuple[Path, ...], output: Path | None) -> None:
    """Encode text to binary: FILE.wat becomes FILE.wasm."""
    if output is not None and len(files) > 1:
        raise click.UsageError("--output takes a single FILE")

    def work(path: Path) -> None:
        data = encode(path.read_bytes(), str(path))
        if output is not None and str(output) == "-":
            sys.stdout.buffer.write(data)
        else:
            (output or path.with_suffix(".wasm")).write_bytes(data)

    _each(files, work)


@main.command("compile")
@_FILE
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Where to write; else beside FILE, as FILE.cwasm.")
@click.option("--portable", is_flag=True, help="Use only CPU features that every x86-64-v2 machine has.")
@click.option("--progress/--no-progress", default=None, help="A bar while compiling; by default for large files on a terminal.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing when all is well.")
@_feature_options
def compile_(
    file: Path, output: Path | None, portable: bool, progress: bool | None, quiet: bool, features: tuple[str, ...], without: tuple[str, ...]
) -> None:
    """Compile a module or component, binary or text, to an artifact that `deserialize_file` maps."""
    from .compile import compile_file

    config = _config(features, without)
    config.portable = portable

    def work(path: Path) -> None:
        done = compile_file(Engine(config), path, output or path.with_suffix(".cwasm"), progress)
        if not quiet:
            click.echo(done)

    _each((file,), work)


@main.command()
@_FILE
@click.option("--all", "every", is_flag=True, help="All functions, not only the largest.")
@click.option("--json", "as_json", is_flag=True, help="Everything as JSON.")
@_feature_options
def inspect(file: Path, every: bool, as_json: bool, features: tuple[str, ...], without: tuple[str, ...]) -> None:
    """Show what an artifact is: header, sections, imports, exports, code size by function. A module or component is compiled first."""
    from rich.console import Console

    from . import inspect as inspecting

    def work(path: Path) -> None:
        found = inspecting.describe(Engine(_config(features, without)), path)
        if as_json:
            click.echo(inspecting.to_json(found))
        else:
            console = Console(width=None if sys.stdout.isatty() else 160)
            inspecting.show(found, console, every)

    _each((file,), work)


@main.command()
@_FILE
@click.option("--func", "names", multiple=True, metavar="NAME", help="Only this function, by name, export, index, or module:index. Several times for several.")
@_feature_options
def objdump(file: Path, names: tuple[str, ...], features: tuple[str, ...], without: tuple[str, ...]) -> None:
    """Disassemble an artifact, module or component: machine code beside its wasm. Takes capstone (pip install capstone)."""
    from .objdump import listing

    def work(path: Path) -> None:
        for function in listing(Engine(_config(features, without)), path, names):
            click.echo(function)

    _each((file,), work)


@main.command(context_settings={"ignore_unknown_options": True})
@_FILE
@click.argument("args", nargs=-1)
@click.option("--invoke", metavar="NAME", help="Call this exported function and print its result.")
@click.option("--dir", "dirs", multiple=True, metavar="HOST[::GUEST]", help="Give the guest a directory.")
@click.option("--read-only-dir", "read_only_dirs", multiple=True, metavar="HOST[::GUEST]", help="The same, to read only.")
@click.option("--env", multiple=True, metavar="NAME[=VALUE]", help="Give the guest a variable, or this process's own of that name.")
@click.option("--inherit-env", is_flag=True, help="Give the guest all variables of this process.")
@click.option("--allow-host", "hosts", multiple=True, metavar="HOST[:PORT]", help="Let the guest send HTTP requests there: host, host:port, *.example.com:443.")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS", help="Trap when it runs longer.")
@click.option("--cache/--no-cache", default=False, help="Keep what is compiled in the user's cache folder.")
@click.option("--stub-imports", is_flag=True, help="Functions that are imported and missing trap when they are called.")
@_feature_options
def run(
    file: Path,
    args: tuple[str, ...],
    invoke: str | None,
    dirs: tuple[str, ...],
    read_only_dirs: tuple[str, ...],
    env: tuple[str, ...],
    inherit_env: bool,
    hosts: tuple[str, ...],
    timeout: float | None,
    cache: bool,
    stub_imports: bool,
    features: tuple[str, ...],
    without: tuple[str, ...],
) -> None:
    """Run a component's wasi:cli/run, a module's _start (WASI 0.1), or with --invoke one function; ARGS are its arguments.

    FILE is binary, text, or an artifact. With --invoke, ARGS are values as WIT's types want them: 1, true, "text" (quotes may be left out),
    [1, 2], {field: 1}, some(1), case(2); or NAME is a whole call, 'add(1, 2)'. NAME may be a function of an interface: 'iface#name'.
    After -- all arguments are the guest's. The exit status is the guest's; 134 after a trap, 1 when FILE or a value cannot be used.
    """
    from . import run as running

    wasi = running.guest_config([file.name, *args], env, inherit_env, dirs, read_only_dirs, hosts)
    config = _config(features, without)
    config.cache = cache
    status = 0

    def work(path: Path) -> None:
        nonlocal status
        made = running.load(Engine(config), path)
        status = running.run(made, invoke, list(args), wasi, timeout, stub_imports)

    _each((file,), work)
    sys.exit(status)


@main.command()
@_FILE
@click.option("--addr", default="127.0.0.1:8080", show_default=True, metavar="HOST:PORT", help="Where to listen; port 0 is any free one.")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), default=30.0, show_default=True, metavar="SECONDS", help="For each request.")
@click.option("--max-memory", type=click.IntRange(min=1), metavar="MIB", help="Memory of each request's instance, each of its memories, in MiB.")
@click.option("--max-body", type=click.IntRange(min=0), default=64, show_default=True, metavar="MIB", help="Of a request, in MiB.")
@click.option("--allow-host", "hosts", multiple=True, metavar="HOST[:PORT]", help="Let the guest send requests there: host, host:port, *.example.com:443.")
@click.option("--dir", "dirs", multiple=True, metavar="HOST[::GUEST]", help="Give the guest a directory.")
@click.option("--read-only-dir", "read_only_dirs", multiple=True, metavar="HOST[::GUEST]", help="The same, to read only.")
@click.option("--env", multiple=True, metavar="NAME[=VALUE]", help="Give the guest a variable, or this process's own of that name.")
@click.option("--inherit-env", is_flag=True, help="Give the guest all variables of this process.")
@click.option("--cache/--no-cache", default=False, help="Keep what is compiled in the user's cache folder.")
@_feature_options
def serve(
    file: Path,
    addr: str,
    timeout: float,
    max_memory: int | None,
    max_body: int,
    hosts: tuple[str, ...],
    dirs: tuple[str, ...],
    read_only_dirs: tuple[str, ...],
    env: tuple[str, ...],
    inherit_env: bool,
    cache: bool,
    features: tuple[str, ...],
    without: tuple[str, ...],
) -> None:
    """Answer HTTP requests with a component that exports wasi:http/incoming-handler (the proxy world), a fresh instance for each.

    Until Ctrl-C. What fails in a guest is a response of status 500, and a line on stderr.
    """
    from . import run as running
    from . import serve as serving

    address = serving.address_of(addr)
    wasi = serving.guest_config(env, inherit_env, dirs, read_only_dirs, hosts)
    config = _config(features, without)
    config.cache = cache

    def work(path: Path) -> None:
        made = running.load(Engine(config), path)
        serving.serve(made, address, wasi, timeout, None if max_memory is None else max_memory << 20, max_body << 20)

    _each((file,), work)


@main.command()
@_FILES
@_feature_options
@click.option("-q", "--quiet", is_flag=True, help="Only the files that fail.")
def wast(files: tuple[Path, ...], features: tuple[str, ...], without: tuple[str, ...], quiet: bool) -> None:
    """Run test scripts; says what failed, line by line."""
    config = _config(features, without)
    failed = False

    def work(path: Path) -> None:
        nonlocal failed
        outcome = run_script(path.read_bytes(), str(path), config)
        for failure in outcome.failures:
            click.echo(f"{path}:{failure.line}: {failure.message}", err=True)
        failed = failed or bool(outcome.failures)
        if outcome.failures or not quiet:
            click.echo(f"{path}: {outcome.passed} passed, {len(outcome.failures)} failed")

    _each(files, work)
    if failed:
        sys.exit(1)


if __name__ == "__main__":
    main()
