"""The encoder against an independent disassembler: tests/c/x64_cases.c emits tens of thousands of instructions and says what each
should be; capstone says what it is. Both are brought to one spelling (destination first, numbers as numbers) and compared."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

capstone = pytest.importorskip("capstone")

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ["csrc/x64/asm.c", "csrc/x64/cpu.c", "csrc/base/buffer.c"]

# what capstone's AT&T syntax spells otherwise: {its word: ours}
SPELLINGS = {
    "vcvtpd2psx": "vcvtpd2ps",
    "vcvtpd2dqx": "vcvtpd2dq",
    "vcvttpd2dqx": "vcvttpd2dq",
    "nopl": "nop",
    "nopw": "nop",
}
GPR64 = {f"%r{name}" for name in "ax cx dx bx sp bp si di 8 9 10 11 12 13 14 15".split()}
COMPARES = ("eq", "lt", "le", "unord", "neq", "nlt", "nle", "ord")


def canonical_operand(text: str, bits: int, end: int) -> str:
    """One AT&T operand of the disassembler in the notation of x64_cases.c."""
    text = text.strip()
    if text.startswith("$"):
        return f"${int(text[1:], 0) & ((1 << bits) - 1)}"
    if text.startswith("%"):
        return text
    indirect = re.fullmatch(r"(-?\w*)\((%\w+)?(?:, ?(%\w+))?(?:, ?(\d+))?\)", text)
    if not indirect:
        return f"@{int(text, 0)}"  # a branch target
    disp, base, index, scale = indirect.groups()
    number = int(disp or "0", 0)
    number = (number + (1 << 31)) % (1 << 32) - (1 << 31)
    if base == "%rip":
        return f"@{end + number}"
    return f"{number}({base or ''},{index or ''},{scale or 1})"


def split_operands(text: str) -> list[str]:
    return [part.strip() for part in re.split(r",(?![^()]*\))", text) if part.strip()]


class Expected:
    def __init__(self, output: str) -> None:
        self.labels: dict[str, int] = {}
        self.cases: list[tuple[int, int, str, list[str]]] = []
        self.code = b""
        for line in output.splitlines():
            word, _, rest = line.partition(" ")
            if word == "label":
                name, offset = rest.split()
                self.labels[name] = int(offset)
            elif word == "code":
                self.code = bytes.fromhex(rest)
            else:
                length, mnemonic, operands = rest.split(" ", 2)
                self.cases.append((int(word), int(length), mnemonic, operands.split("|") if operands else []))

    def operand(self, text: str) -> tuple[str, int]:
        """The operand in canonical notation, and for an immediate its width."""
        if text.startswith("$"):
            bits, value = text[1:].split(":")
            return f"${int(value) & ((1 << int(bits)) - 1)}", int(bits)
        if text.startswith("label:"):
            return f"@{self.labels[text[6:]]}", 0
        if text.startswith("mem:"):
            _, disp, base, index, scale = text.split(":")
            return f"{disp}({base},{index},{scale})", 0
        return text, 0


def build(program: Path, main: str, *flags: str) -> Path:
    warnings = ["-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Werror"]
    sources = [str(ROOT / name) for name in [main, *SOURCES]]
    command = [
        "gcc",
        "-std=c11",
        "-g",
        *warnings,
        *flags,
        f"-I{ROOT}/csrc",
        f"-I{ROOT}/include",
        *sources,
        "-o",
        str(program),
    ]
    subprocess.run(command, check=True, timeout=300)
    return program


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Expected:
    folder = tmp_path_factory.mktemp("x64")
    program = build(folder / "x64_cases", "tests/c/x64_cases.c", "-O0")
    return Expected(subprocess.run([program], check=True, timeout=60, capture_output=True, text=True).stdout)


def canonical_instruction(mnemonic: str, operands: str, bits: int, end: int) -> tuple[str, list[str]]:
    if operands.startswith("*"):
        mnemonic, operands = mnemonic + "_indirect", operands[1:]
    mnemonic = mnemonic.replace(" ", "_")
    parts = [canonical_operand(part, bits, end) for part in split_operands(operands)]
    compare = re.fullmatch(r"(v?cmp)(\w+?)([sp][sd])", mnemonic)
    if compare and compare[2] in COMPARES:
        mnemonic = compare[1] + compare[3]
        parts.insert(0, f"${COMPARES.index(compare[2])}")
    parts.reverse()
    if re.fullmatch(r"v?cvtts[sd]2si", mnemonic):
        mnemonic += "q" if parts[0] in GPR64 else "l"  # the register tells the size
    if mnemonic.startswith(("rep_", "nop")):
        parts = []
    return SPELLINGS.get(mnemonic, mnemonic), parts


def test_encoder_agrees_with_disassembler(expected: Expected) -> None:
    assert len(expected.cases) > 50_000
    machine = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    machine.syntax = capstone.CS_OPT_SYNTAX_ATT
    wrong: dict[str, str] = {}
    for offset, length, mnemonic, operands in expected.cases:
        code = expected.code[offset : offset + length]
        wanted = [expected.operand(text) for text in operands]
        bits = max((width for _, width in wanted), default=0) or 64
        found = list(machine.disasm_lite(code, offset))
        got: tuple[str, list[str]] | None = None
        if len(found) == 1 and found[0][1] == length:
            got = canonical_instruction(found[0][2], found[0][3], bits, offset + length)
        if got != (mnemonic, [text for text, _ in wanted]):
            wrong.setdefault(
                mnemonic, f"{code.hex()}: {found and found[0][2:]} -> {got}, wanted {mnemonic} {[t for t, _ in wanted]}"
            )
    assert not wrong, f"{len(wrong)} mnemonics differ, one case each:\n" + "\n".join(wrong.values())


def test_out_of_memory_anywhere(tmp_path: Path, plain_environment: dict[str, str]) -> None:
    renamed = ["-Drealloc=failing_realloc", "-Dcalloc=failing_calloc"]
    program = build(
        tmp_path / "x64_no_memory", "tests/c/x64_no_memory.c", "-O1", "-fsanitize=address,undefined", *renamed
    )
    done = subprocess.run([program], check=True, timeout=60, capture_output=True, text=True, env=plain_environment)
    assert int(done.stdout) > 10  # allocations, each of which failed once
