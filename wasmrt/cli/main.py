"""`wasmrt`: commands over files. Errors about a file go to stderr in one piece; the exit status is 1 when any file failed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from wasmrt._version import __version__
from wasmrt.errors import WasmError
from wasmrt.runtime.component import wit_of
from wasmrt.runtime.config import FEATURE_ROWS, Config
from wasmrt.text import encode, print_wasm

from .wast import run_script

_FEATURES = sorted(name.removeprefix("wasm_") for name in FEATURE_ROWS)
_FILES: Callable[[Any], Any] = click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="wasmrt")
def main() -> None:
    """WebAssembly modules and components: print, encode, test."""


def _each(files: tuple[Path, ...], work: Callable[[Path], None]) -> None:
    failed = False
    for path in files:
        try:
            work(path)
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
        click.echo(print_wasm(data if data[:1] == b"\0" else encode(data, str(path))), nl=False)

    _each(files, work)


@main.command()
@_FILES
def wit(files: tuple[Path, ...]) -> None:
    """Print the worlds of components, binary or text, in WIT: what they import and export, with documentation where the file has it."""
    _each(files, lambda path: click.echo(wit_of(path.read_bytes()), nl=False))


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


@main.command()
@_FILES
@click.option(
    "-W", "--wasm", "features", multiple=True, type=click.Choice([*_FEATURES, "all"]), help="Enable a feature."
)
@click.option("--without", multiple=True, type=click.Choice(_FEATURES), help="Disable a feature.")
@click.option("-q", "--quiet", is_flag=True, help="Only the files that fail.")
def wast(files: tuple[Path, ...], features: tuple[str, ...], without: tuple[str, ...], quiet: bool) -> None:
    """Run test scripts; says what failed, line by line."""
    config = Config()
    for name in _FEATURES if "all" in features else features:
        setattr(config, f"wasm_{name}", True)
    for name in without:
        setattr(config, f"wasm_{name}", False)
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
