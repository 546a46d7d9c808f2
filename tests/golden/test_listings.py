"""Golden disassembly: each .wat here is compiled for the oldest machine and for one with AVX2 and BMI2, and its listing compared.

`BLESS=1` rewrites the listings; read the diff before committing it. Lines are `offset instruction`, jumps within the function by offset, and
`; trap: ...` where the trap table has a row.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.machine import Code, compile_module, engine, host_has

FOLDER = Path(__file__).parent


NEW = ("AVX", "AVX2", "FMA", "BMI1", "BMI2", "LZCNT")


def listing(binary: bytes, cpu: tuple[str, ...]) -> str:
    capstone = pytest.importorskip("capstone")
    if not host_has(cpu):
        pytest.skip(f"this machine does not have all of {', '.join(cpu)}")
    # a large guard, so that large offsets are folded
    code = compile_module(engine(cpu, wasm_memory64=True, memory_guard_size=1 << 31), binary)
    decoder = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    decoder.skipdata = True
    lines = []
    for index, loc in enumerate(code.funcs):
        lines.append(f"function {index}: {loc.length} bytes")
        for at in decoder.disasm(code.of(index), loc.start):
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
                        else outside(code, target)
                    )
            trap = f"    ; trap: {code.traps[at.address]}" if at.address in code.traps else ""
            lines.append(f"{at.address - loc.start:6x}  {at.mnemonic} {operands}".rstrip() + trap)
        lines.append("")
    return "\n".join(lines)


def outside(code: Code, target: int) -> str:
    for index, loc in enumerate(code.funcs):
        if loc.start == target:
            return f"function {index}"
    return "stub"


@pytest.mark.parametrize("machine", ("old", "new"))
@pytest.mark.parametrize("source", sorted(FOLDER.glob("*.wat")), ids=lambda p: p.stem)
def test_listing(source: Path, machine: str, wat: Callable[[str], bytes], bless: bool) -> None:
    found = listing(wat(source.read_text()), NEW if machine == "new" else ())
    golden = source.with_suffix(f".{machine}.txt")
    if bless:
        golden.write_text(found)
    assert golden.exists(), "no listing yet: BLESS=1 writes it"
    assert found == golden.read_text()
