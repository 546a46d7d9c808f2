"""Runs a program of programs.py here and in wasmtime and compares what both compute, bit by bit but for NaNs.

`python -m tests.fuzz.oracle FIRST LAST` tries many seeds and prints what differs.
"""

from __future__ import annotations

import random
import struct
import sys
from typing import Any

from tests import machine
from wasmrt import Config, Engine, Instance, Module, Store, Trap, TrapCode

from .objects import ObjectProgram
from .programs import F32, F64, I32, I64, INTERESTING, INTERESTING64, TYPES, Program
from .throwing import ThrowingProgram
from .vectors import VectorProgram

WAYS: tuple[dict[str, Any], ...] = (
    {},
    {"portable": True},
    {"memory_reservation": 1 << 26},
    {"debug_checks": True},
    {"careful_functions": (0, 0xFFFFFFFF)},
)
OBJECT_WAYS = ({}, {"gc_stress": True}, {"gc_stress": True, "careful_functions": (0, 0xFFFFFFFF)}, {"portable": True, "debug_checks": True})
VECTOR_WAYS = (*WAYS, {"cpu": ("AVX",)})  # neither AVX2 nor FMA
FLOATS = (0.0, -0.0, 1.5, -2.25, 1e10, 3e38, float("inf"), 123.0)
KINDS: tuple[tuple[type[Program], tuple[dict[str, Any], ...]], ...] = (
    (Program, WAYS),
    (VectorProgram, VECTOR_WAYS),
    (ThrowingProgram, WAYS),
    (ObjectProgram, OBJECT_WAYS),
)
MEMORY_BYTES = 65536


def random_argument(rng: random.Random, kind: int) -> bytes:
    """Four or eight bytes."""
    if kind == I32:
        value = rng.choice(INTERESTING) if rng.random() < 0.5 else rng.getrandbits(32)
        return struct.pack("<I", value & 0xFFFFFFFF)
    if kind == I64:
        value = rng.choice(INTERESTING64) if rng.random() < 0.5 else rng.getrandbits(64)
        return struct.pack("<Q", value & (2**64 - 1))
    return struct.pack("<f" if kind == F32 else "<d", rng.choice(FLOATS))


def read(kind: int, raw: bytes) -> Any:
    return struct.unpack_from({I32: "<i", I64: "<q", F32: "<f", F64: "<d"}[kind], raw)[0]


def visible(kind: int, value: Any) -> Any:
    """What two engines must agree on."""
    if kind in (F32, F64):
        return "nan" if value != value else struct.pack("<d", value)
    return value


def arguments(program: Program, seed: int) -> list[tuple[int, list[bytes]]]:
    rng = random.Random(seed ^ 0x5555)
    signatures = program.signatures
    callable_here = [i for i, (params, results) in enumerate(signatures) if {*params, *results} <= {*TYPES}]
    return [(i, [random_argument(rng, t) for t in signatures[i][0]]) for i in callable_here for _ in range(3)]


def their_engine(wasmtime: Any) -> Any:
    config = wasmtime.Config()
    config.wasm_function_references = True
    config.wasm_gc = True
    return wasmtime.Engine(config)


def theirs(
    wasmtime: Any, engine: Any, program: Program, calls: list[tuple[int, list[bytes]]]
) -> tuple[list[Any], bytes]:
    store = wasmtime.Store(engine)
    exports = wasmtime.Instance(store, wasmtime.Module(engine, program.binary), []).exports(store)
    found: list[Any] = []
    for index, args in calls:
        params, results = program.signatures[index]
        try:
            values = exports[f"f{index}"](store, *(read(t, raw) for t, raw in zip(params, args, strict=True)))
        except wasmtime.Trap as trap:
            # an exception that nobody caught has no code there
            found.append(f"trap {trap.trap_code.value if trap.trap_code else int(TrapCode.UNCAUGHT_EXCEPTION)}")
        else:
            found.append(
                [visible(t, v) for t, v in zip(results, values if len(results) > 1 else [values], strict=True)]
            )
        if "d" in exports:
            found[-1] = (found[-1], exports["d"](store))
    return found, bytes(exports["m"].read(store, 0, MEMORY_BYTES) + exports["n"].read(store, 0, MEMORY_BYTES))


def ours(program: Program, calls: list[tuple[int, list[bytes]]], way: dict[str, Any]) -> tuple[list[Any], bytes]:
    options = dict(way)
    cpu = options.pop("cpu", ())
    made = Engine(Config(wasm_memory64=True, **options))
    if cpu:
        machine.restrict(made, cpu)
    with Store(made) as store:
        exports = Instance(store, Module(made, program.binary), []).exports
        found: list[Any] = []
        for index, args in calls:
            params, results = program.signatures[index]
            try:
                values = exports[f"f{index}"](*(read(t, raw) for t, raw in zip(params, args, strict=True)))
            except Trap as trap:
                found.append(f"trap {int(trap.trap_code)}")
            else:
                found.append(
                    [visible(t, v) for t, v in zip(results, values if len(results) > 1 else [values], strict=True)]
                )
            if "d" in exports:
                found[-1] = (found[-1], exports["d"]())
        return found, bytes(exports["m"].read(store, 0, MEMORY_BYTES) + exports["n"].read(store, 0, MEMORY_BYTES))


def difference(wasmtime: Any, engine: Any, seed: int, way: dict[str, Any], kind: type[Program] = Program) -> str | None:
    program = kind(seed)
    calls = arguments(program, seed)
    want, want_memory = theirs(wasmtime, engine, program, calls)
    found, memory = ours(program, calls, way)
    for (index, args), a, b in zip(calls, want, found, strict=True):
        if a != b:
            return f"{kind.__name__} {seed} {way}: f{index}({[x.hex() for x in args]}) is {b}, should be {a}"
    if memory != want_memory:
        return f"{kind.__name__} {seed} {way}: memories differ at {next(i for i in range(2 * MEMORY_BYTES) if memory[i] != want_memory[i])}"
    return None


def main() -> None:
    import wasmtime

    engine = their_engine(wasmtime)
    for seed in range(int(sys.argv[1]), int(sys.argv[2])):
        for kind, ways in KINDS:
            for way in ways:
                found = difference(wasmtime, engine, seed, way, kind)
                if found:
                    print(found, flush=True)


if __name__ == "__main__":
    main()
