"""`wasmrt objdump`: machine code beside the instructions that it was compiled from.

Left, the function's code by offset; right, the wasm instructions, each on the line where its code begins, by its offset in its core module. An
instruction that became part of another's (a constant, a compare before a branch) stands above that one. An artifact does not keep the wasm, so
for one there are only offsets. Disassembling takes capstone, which is optional.
"""

from __future__ import annotations

import difflib
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wasmrt._native import wasm
from wasmrt.artifact import reader
from wasmrt.errors import ArtifactError, UnsupportedError, WasmError
from wasmrt.runtime import source as sources
from wasmrt.runtime.component import features_of
from wasmrt.runtime.engine import Engine
from wasmrt.spec._gen import traps
from wasmrt.text import encode
from wasmrt.text.print_module import ModulePrinter
from wasmrt.text.writer import Lines

from .inspect import image_of

_TRAPS = {row.number: row.message for row in traps.TRAP}
_NO_PLACE = 0xFFFFFFFF
_WIDTH = 56
# what a table says at most of one instruction (br_table)
_MAX_TEXT = 100

Instruction = tuple[int, str]


class _Recorder(Lines):
    """Takes the instructions of one function as they are printed, with where each begins."""

    __slots__ = ("at", "found", "printer")

    def __init__(self, printer: ModulePrinter) -> None:
        super().__init__()
        self.printer = printer
        self.at = printer.pos
        self.found: list[Instruction] = []

    def add(self, text: str) -> None:
        if text.startswith("(@"):
            return  # an annotation has no bytes of its own
        text = text if len(text) <= _MAX_TEXT else text[:_MAX_TEXT] + "..."
        self.found.append((self.at, "  " * min(self.depth, 12) + text))
        self.at = self.printer.pos


class _Lister(ModulePrinter):
    """Prints a module to nowhere and keeps the instructions of its functions, in order."""

    def __init__(self, data: bytes) -> None:
        super().__init__(memoryview(data), 0, len(data), Lines())
        self.bodies: list[list[Instruction]] = []

    def instructions(self, lines: Lines, *rest: Any) -> None:
        if lines is not self.lines:
            super().instructions(lines, *rest)
            return
        recorder = _Recorder(self)
        super().instructions(recorder, *rest)
        recorder.found.append((recorder.at, "end"))
        self.bodies.append(recorder.found)


def wasm_modules(engine: Engine, data: bytes) -> list[bytes]:
    """The core modules that a binary's image is made of, in its order; empty for those that only the translator has seen."""
    if sources.KINDS.get(data[4:8]) == "module":
        return [data]
    from wasmrt.translate.whole import translate

    features = engine.wasm_features
    found = translate(data, features_of(engine), lambda view: wasm.CoreModule(view, features))
    return [b"" if module.is_adapter else data[module.start : module.end] for module in found.static_modules]


def listing(engine: Engine, path: Path, names: tuple[str, ...]) -> Iterator[str]:
    """The lines for a file of any kind; of these functions, by name or index, or of all. Raises WasmError."""
    try:
        import capstone
    except ImportError:
        raise UnsupportedError("disassembling needs capstone: pip install capstone") from None
    decoder = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    decoder.skipdata = True
    image = image_of(engine, path)
    modules: list[bytes] = []
    if engine.detect_precompiled_file(path) is None:
        data = path.read_bytes()
        if data[:4] != b"\x7fELF":
            modules = wasm_modules(engine, data if data[:1] == b"\0" else encode(data, str(path)))
    artifact = reader.read(image)
    functions = list(artifact.functions())
    starts = {function.offset: _label(function) for function in functions}
    tables = _Tables(artifact)
    bodies: dict[int, list[list[Instruction]]] = {}
    for function in _chosen(functions, names):
        if function.module not in bodies:
            bodies[function.module] = _bodies(modules[function.module]) if function.module < len(modules) else []
        defined = function.func_index - artifact.modules[function.module]["num_imported_funcs"]
        body = bodies[function.module][defined] if defined < len(bodies[function.module]) else []
        yield f"{_label(function)}: {function.size} bytes at .text+{function.offset:#x}"
        yield from _lines(decoder, tables, function, body, starts)
        yield ""


def _bodies(data: bytes) -> list[list[Instruction]]:
    lister = _Lister(data)
    if data:
        lister.print_fields()
    return lister.bodies


def _label(function: reader.Function) -> str:
    return f"module[{function.module}] function {function.func_index}" + (f" ${function.name}" if function.name else "")


def _chosen(functions: list[reader.Function], names: tuple[str, ...]) -> list[reader.Function]:
    found = list(functions) if not names else []
    for name in names:
        wanted = [f for f in functions if name in (f.name, str(f.func_index), f"{f.module}:{f.func_index}", f"{f.module}:{f.name}")]
        if not wanted:
            near = difflib.get_close_matches(name, [f.name for f in functions if f.name], 3)
            raise WasmError(f"no function {name!r}" + (f"; did you mean {', '.join(near)}?" if near else "; functions are given by name or index"))
        found += wanted
    return found


class _Tables:
    """Traps and places of an artifact, by offset in its text."""

    def __init__(self, artifact: reader.Artifact) -> None:
        self.text = artifact.section("TEXT")
        rows = artifact.header["num_traps"]
        table = _rows_of(artifact, "TRAPS", 5 * rows)
        offsets, codes = struct.unpack_from(f"<{rows}I", table), bytes(table[4 * rows : 5 * rows])
        self.traps = {offset: _TRAPS.get(code, f"trap {code}") for offset, code in zip(offsets, codes, strict=True)}
        rows = artifact.header["num_addrs"]
        table = _rows_of(artifact, "ADDRMAP", 8 * rows)
        self.places: dict[int, int] = {}
        for offset, place in zip(struct.unpack_from(f"<{rows}I", table), struct.unpack_from(f"<{rows}I", table, 4 * rows), strict=True):
            if place != _NO_PLACE:
                self.places[offset] = place  # of two rows for one offset the last one counts


def _rows_of(artifact: reader.Artifact, name: str, size: int) -> memoryview:
    table = artifact.section(name)
    if len(table) != size:
        raise ArtifactError(f"size of section {name}", len(table), size)
    return table


def _lines(decoder: Any, tables: _Tables, function: reader.Function, body: list[Instruction], starts: dict[int, str]) -> Iterator[str]:
    pending = 0  # instructions of the body that were not shown yet
    texts = dict(body)
    code = bytes(tables.text[function.offset : function.offset + function.size])
    for at in decoder.disasm(code, function.offset):
        place = tables.places.get(at.address)
        beside = ""
        if place is not None:
            while pending < len(body) and body[pending][0] < place:
                yield f"{'':{_WIDTH}}  {body[pending][0]:#6x}  {body[pending][1]}"
                pending += 1
            if pending < len(body) and body[pending][0] == place:
                pending += 1
            beside = f"{place:#6x}  {texts.get(place, '')}"
        left = f"{at.address - function.offset:6x}  {at.mnemonic} {_operands(at, function, starts)}".rstrip()
        trap = f"  ; trap: {tables.traps[at.address]}" if at.address in tables.traps else ""
        yield f"{left:{_WIDTH}}  {beside}{trap}".rstrip()
    for offset, text in body[pending:]:
        yield f"{'':{_WIDTH}}  {offset:#6x}  {text}"


def _operands(at: Any, function: reader.Function, starts: dict[int, str]) -> str:
    """Jumps within the function by its offsets, calls by the callee's name."""
    if at.mnemonic[0] != "j" and at.mnemonic != "call":
        return str(at.op_str)
    try:
        target = int(at.op_str, 16)
    except ValueError:
        return str(at.op_str)
    if function.offset <= target < function.offset + function.size:
        return f"{target - function.offset:#x}"
    return starts.get(target, f".text+{target:#x}")
