"""Golden disassembly: each .wat here is compiled for the oldest machine and for one with AVX2 and BMI2, and its listing compared.

`BLESS=1` rewrites the listings; read the diff before committing it. Lines are `offset instruction`, jumps within the function by offset, and
`; trap: ...` where the trap table has a row.
"""

from __future__ import annotations

import ctypes as c
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.spec.native import CompiledModule, Runtime

FOLDER = Path(__file__).parent


def listing(binary: bytes, features: int | None) -> str:
    capstone = pytest.importorskip("capstone")
    runtime = Runtime(features=(1 << 10) - 1 | 1 << 11, cpu_features=0, debug_checks=0)
    if features is not None:
        runtime.tunables.cpu_features |= features
    _, compiled = runtime.compile(binary)
    module = CompiledModule.from_address(compiled.value or 0)
    traps = {
        row.code_offset: runtime.lib.wr_trap_message(row.trap_code).decode() for row in module.traps[: module.num_traps]
    }
    text = c.string_at(module.text, module.text_bytes)
    decoder = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    decoder.skipdata = True
    lines = []
    for index in range(module.num_funcs):
        loc = module.funcs[index]
        lines.append(f"function {index}: {loc.length} bytes")
        for at in decoder.disasm(text[loc.start : loc.start + loc.length], loc.start):
            operands = at.op_str
            if at.mnemonic[0] == "j" or at.mnemonic == "call":
                try:
                    target = int(operands, 16)
                except ValueError:
                    pass
                else:
                    operands = (
                        f"{target - loc.start:#x}"
                        if loc.start <= target < loc.start + loc.length
                        else outside(module, target)
                    )
            trap = f"    ; trap: {traps[at.address]}" if at.address in traps else ""
            lines.append(f"{at.address - loc.start:6x}  {at.mnemonic} {operands}".rstrip() + trap)
        lines.append("")
    return "\n".join(lines)


def outside(module: CompiledModule, target: int) -> str:
    for index in range(module.num_funcs):
        if module.funcs[index].start == target:
            return f"function {index}"
    return "stub"


@pytest.mark.parametrize("machine", ("old", "new"))
@pytest.mark.parametrize("source", sorted(FOLDER.glob("*.wat")), ids=lambda p: p.stem)
def test_listing(source: Path, machine: str, wat: Callable[[str], bytes], bless: bool) -> None:
    new = sum(1 << bit for bit, name in enumerate(feature_names()) if name in ("AVX", "AVX2", "FMA", "BMI1", "BMI2", "LZCNT"))
    found = listing(wat(source.read_text()), new if machine == "new" else None)
    golden = source.with_suffix(f".{machine}.txt")
    if bless:
        golden.write_text(found)
    assert golden.exists(), "no listing yet: BLESS=1 writes it"
    assert found == golden.read_text()


def feature_names() -> list[str]:
    rows = (FOLDER.parents[1] / "include" / "wasmrt" / "cpu_features.def").read_text().splitlines()
    return [row.split("(")[1].split(",")[0].strip() for row in rows if row.startswith("X64_CPU_FEATURE(")]
