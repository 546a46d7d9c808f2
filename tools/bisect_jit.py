"""Narrows a miscompile down to one function: `make bisect-jit ARGS='FILE ...'` or `python tools/bisect_jit.py FILE ...`.

A function can be compiled carefully (Config.careful_functions): each instruction alone, nothing kept in registers between them, for the
oldest CPU. Something fails with plain code and passes with careful code; this finds the function whose plain code makes the difference.
What fails is one of
  FILE.wast                            a directive of the script
  FILE.wasm|.wat --invoke NAME [--arg N ...] [--expect N ...]
                                       the results (or `--expect 'trap: message'`); without --expect, what careful code computes
  --check FILE.py                      its function check(config) is false or raises; for anything else: components, WASI, host code
Each try is a process of its own, so crashes and endless loops (--timeout) are failures like others."""

from __future__ import annotations

import argparse
import functools
import os
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
ALL = 0xFFFFFFFF
NONE = (0, 0)


class NotFoundError(Exception):
    """There is nothing to narrow down, and why."""


def bisect(passes: Callable[[int, int], bool]) -> int:
    """The index of the function whose plain code is at fault. `passes(first, end)`: whether it does with the functions
    of these indices compiled carefully."""
    if passes(*NONE):
        raise NotFoundError("it passes as it is")
    if not passes(0, ALL):
        raise NotFoundError("it fails with every function compiled carefully too: what is wrong is not an optimization")
    high = 1
    while not passes(0, high):
        high *= 2
    low = high // 2  # (0, low) fails, (0, high) passes
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if passes(0, middle) else (middle, high)
    return low


# ---- one try, in a process of its own ------------------------------------------------------------------------------------------


def outcome(arguments: argparse.Namespace, careful: tuple[int, int]) -> str:
    """What happens: "passes", or results that the caller compares."""
    from wasmrt import Config, Engine, Instance, Module, Store, Trap

    config = Config(careful_functions=careful)
    for name in arguments.wasm:
        setattr(config, f"wasm_{name}", True)
    for option in arguments.config:
        name, _, value = option.partition("=")
        setattr(config, name, {"true": True, "false": False, "": True}.get(value) if not value.isdigit() else int(value))
    if arguments.check:
        return "passes" if runpy.run_path(str(arguments.check))["check"](config) else "fails"
    path: Path = arguments.file
    if path.suffix == ".wast":
        from wasmrt.cli.wast import run_script

        failures = run_script(path.read_bytes(), str(path), config).failures
        return f"{path}:{failures[0].line}: {failures[0].message}" if failures else "passes"
    engine = Engine(config)
    module = Module.from_file(engine, path)
    if module.imports:
        raise SystemExit(f"{path} imports something: write a --check")
    function: Any = Instance(Store(engine), module, []).exports[arguments.invoke]
    try:
        results = function(*(float(text) if "." in text else int(text, 0) for text in arguments.arg))
    except Trap as trap:
        return f"trap: {trap.message}"
    return " ".join(map(repr, results if isinstance(results, list | tuple) else [results]))


def run_try(arguments: list[str], careful: tuple[int, int], timeout: float) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])}
    command = [sys.executable, "-m", "tools.bisect_jit", *arguments, "--try", *map(str, careful)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=environment)
    except subprocess.TimeoutExpired:
        return f"no end within {timeout:g} s"
    if done.returncode != 0:
        return f"exit status {done.returncode}: {done.stderr.strip()[-400:]}"
    return done.stdout.strip()


# ---- the command line --------------------------------------------------------------------------------------------------------------


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("file", type=Path, nargs="?")
    made.add_argument("--invoke", metavar="NAME")
    made.add_argument("--arg", action="append", default=[])
    made.add_argument("--expect", action="append")
    made.add_argument("--check", type=Path, metavar="FILE.py")
    made.add_argument("-W", "--wasm", action="append", default=[], metavar="FEATURE")
    made.add_argument("-C", "--config", action="append", default=[], metavar="OPTION=VALUE")
    made.add_argument("--timeout", type=float, default=60)
    made.add_argument("--try", dest="careful", type=int, nargs=2, help=argparse.SUPPRESS)
    return made


def show(arguments: argparse.Namespace, index: int) -> None:
    """What is known of the function."""
    if arguments.file is None or arguments.file.suffix == ".wast":
        return
    from wasmrt._native.wasm import FEATURES_ALL, CoreModule
    from wasmrt.runtime.source import binary_of

    data = arguments.file.read_bytes()
    decoded = CoreModule(data if data[:1] == b"\0" else binary_of(data.decode(), "Module"), FEATURES_ALL)
    first, length = decoded.func_body(index)
    name = decoded.func_name(index)
    print(f"its body: {length} bytes at offset {first:#x}" + (f", name {name}" if name else ""))


def main(argv: list[str]) -> int:
    arguments = parser().parse_args(argv)
    if not arguments.check and not (arguments.file and (arguments.file.suffix == ".wast" or arguments.invoke)):
        parser().error("what fails? a .wast, a FILE with --invoke, or a --check")
    if arguments.careful:
        print(outcome(arguments, tuple(arguments.careful)))
        return 0
    tried = functools.cache(lambda first, end: run_try(argv, (first, end), arguments.timeout))
    wanted = "passes"
    if arguments.invoke:
        wanted = " ".join(arguments.expect) if arguments.expect else tried(0, ALL)

    def passes(first: int, end: int) -> bool:
        found = tried(first, end)
        print(f"careful functions {first}..{end}: {'passes' if found == wanted else found}", flush=True)
        return bool(found == wanted)

    try:
        index = bisect(passes)
    except NotFoundError as error:
        print(error)
        return 1
    alone = passes(index, index + 1)
    print(f"function {index}" + ("" if alone else ", together with later ones: careful code for it alone is not enough"))
    show(arguments, index)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
