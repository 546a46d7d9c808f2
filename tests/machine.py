"""What tests that look at machine code share: engines for a given CPU, and the parts of a compiled module's image."""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

from wasmrt import Config, Engine
from wasmrt._native import core, images
from wasmrt._native.wasm import CoreModule
from wasmrt.spec._gen import cpu_features, sections, traps
from wasmrt.spec._gen.image_records import MODULE_FIELD
from wasmrt.spec.features import SWITCHES


def everything() -> Config:
    """All of the component model on."""
    return Config(**{name: True for name, _, _ in SWITCHES.values()})


_CPU_BITS = {row.name: 1 << bit for bit, row in enumerate(cpu_features.X64_CPU_FEATURE)}
_SECTIONS = {row.name: number for number, row in enumerate(sections.SECTION)}
_TRAPS = {row.number: row.message for row in traps.TRAP}


class Function(NamedTuple):
    start: int
    length: int


class Code(NamedTuple):
    """One compiled module: `text` starts with the functions; `traps` has the message by offset in the text."""

    text: bytes
    funcs: list[Function]
    traps: dict[int, str]
    tables: tuple[bytes, ...]

    def of(self, index: int) -> bytes:
        """The machine code of a defined function."""
        start, length = self.funcs[index]
        return self.text[start : start + length]


def engine(cpu: tuple[str, ...] | None = None, **options: Any) -> Engine:
    """An engine that compiles for the oldest machine and these CPU features; for this machine without them."""
    made = Engine(Config(portable=cpu is not None, **options))
    if cpu:
        restrict(made, cpu)
    return made


def host_has(cpu: tuple[str, ...]) -> bool:
    bits = sum(_CPU_BITS[name] for name in cpu)
    return core.cpu_features()[0] & bits == bits


def restrict(changed: Engine, cpu: tuple[str, ...]) -> None:
    """What the engine compiles from now on uses these features, of those that this machine has, beyond the oldest machine's."""
    host, baseline = core.cpu_features()
    config = changed.config
    changed.tunables = core.Tunables(
        cpu_features=baseline | host & sum(_CPU_BITS[name] for name in cpu),
        memory_reservation=config.memory_reservation,
        memory_guard_bytes=config.memory_guard_size,
        guarded_memories=config.signals_based_traps and config.memory_reservation >= 1 << 32,
        signals_based_traps=config.signals_based_traps,
        consume_fuel=config.consume_fuel,
        nan_canonicalization=config.cranelift_nan_canonicalization,
        relaxed_simd_deterministic=config.wasm_relaxed_simd_deterministic,
        debug_checks=config.debug_checks,
    )


def compile_module(made: Engine, binary: bytes, threads: int = 1) -> Code:
    """Compiles without making a Module of it."""
    decoded = CoreModule(binary, made.wasm_features)
    image = images.build_image(1, [decoded], made.tunables, made.wasm_features, [], b"", threads=threads)
    part = {name: image.section(number) for name, number in _SECTIONS.items()}
    before = [row.name for row in MODULE_FIELD].index("first_func")
    at = sum(8 if row.type == "uint64_t" else 4 for row in MODULE_FIELD[:before])
    first, count = struct.unpack_from("<2I", part["MODULES"], at)
    funcs = [Function(*struct.unpack_from("<2I", part["FUNCS"], 8 * (first + i))) for i in range(count)]
    rows = len(part["TRAPS"]) // 5
    offsets = struct.unpack_from(f"<{rows}I", part["TRAPS"])
    codes = part["TRAPS"][4 * rows : 5 * rows]
    found = {at: _TRAPS[code] for at, code in zip(offsets, codes, strict=True)}
    return Code(part["TEXT"], funcs, found, (part["FUNCS"], part["TRAPS"], part["ADDRMAP"]))
