"""`wasmrt objdump`: machine code beside the instructions that it was compiled from.

Left, the function's code by offset; right, the wasm instructions, each on the line where its code begins, by its offset in its core module. An
instruction that became part of another's (a constant, a compare before a branch) stands above that one. An artifact does not keep the wasm, so
for one there are only offsets. Disassembling takes capstone, which is optional.
"""

from __future__ import annotations

import difflib
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wasmrt._native import wasm
from wasmrt.artifact import reader
from wasmrt.errors import ArtifactError, UnsupportedError, WasmError
from wasmrt.runtime import source as sources
from wasmrt.runtime.component import features_of
from wasmrt.runtime.engine import Engine
from wasmrt.runtime.module import exported_funcs
from wasmrt.spec._gen import traps
from wasmrt.text import encode
from wasmrt.text.print_module import ModulePrinter
from wasmrt.text.writer import Lines, Names

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
    """Prints a module to nowhere and keeps the instructions of its functions, in order; of those in `wanted`, the others stay empty."""

    def __init__(self, data: bytes, wanted: set[int]) -> None:
        super().__init__(memoryview(data), 0, len(data), Lines())
        self.wanted = wanted
        self.bodies: list[list[Instruction]] = []

    def _body(self, index: int, names: Names) -> None:
        if index in self.wanted:
            super()._body(index, names)
        else:
            self.pos = self.end
            self.bodies.append([])

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
    """The text for a file of any kind, a function at a time; of these functions, by name or index, or of all. Raises WasmError."""
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
    chosen = _chosen(functions, names, image)
    wanted: dict[int, set[int]] = {}
    for function in chosen:
        wanted.setdefault(function.module, set()).add(function.func_index)
    bodies: dict[int, list[list[Instruction]]] = {}
    for function in chosen:
        module = function.module
        if module not in bodies:
            bodies[module] = _bodies(modules[module], wanted[module]) if module < len(modules) else []
        defined = function.func_index - artifact.modules[module]["num_imported_funcs"]
        body = bodies[module][defined] if defined < len(bodies[module]) else []
        head = f"{_label(function)}: {function.size} bytes at .text+{function.offset:#x}"
        yield "\n".join([head, *_lines(decoder, tables, function, body, starts), ""])


def _bodies(data: bytes, wanted: set[int]) -> list[list[Instruction]]:
    lister = _Lister(data, wanted)
    if data:
        lister.print_fields()
    return lister.bodies


def _label(function: reader.Function) -> str:
    return f"module[{function.module}] function {function.func_index}" + (f" ${function.name}" if function.name else "")


def _chosen(functions: list[reader.Function], names: tuple[str, ...], image: Any) -> list[reader.Function]:
    if not names:
        return functions
    found = []
    exports: dict[tuple[int, int], list[str]] | None = None
    for name in names:
        wanted = [f for f in functions if name in (f.name, str(f.func_index), f"{f.module}:{f.func_index}", f"{f.module}:{f.name}")]
        if not wanted:
            if exports is None:
                exports = _exports(image)
            wanted = [f for f in functions for export in exports.get((f.module, f.func_index), ()) if name in (export, f"{f.module}:{export}")]
        if not wanted:
            known = {f.name for f in functions if f.name}.union(*exports.values())  # type: ignore[union-attr]
            near = difflib.get_close_matches(name, sorted(known), 3)
            raise WasmError(f"no function {name!r}" + (f"; did you mean {', '.join(near)}?" if near else "; functions are given by name, export or index"))
        found += wanted
    return found


def _exports(image: Any) -> dict[tuple[int, int], list[str]]:
    """What functions are exported as, by module and function index; nothing of an artifact that this machine cannot load."""
    found: dict[tuple[int, int], list[str]] = {}
    try:
        for module, name, index in exported_funcs(image):
            found.setdefault((module, index), []).append(name)
    except WasmError:
        pass
    return found


class _Tables:
    """Traps and places of an artifact, by offset in its text; both are sorted by it."""

    def __init__(self, artifact: reader.Artifact) -> None:
        self.text = artifact.section("TEXT")
        rows = artifact.header["num_traps"]
        table = _rows_of(artifact, "TRAPS", 5 * rows)
        self.trap_offsets, self.trap_codes = table[: 4 * rows].cast("I"), table[4 * rows :]
        rows = artifact.header["num_addrs"]
        table = _rows_of(artifact, "ADDRMAP", 8 * rows)
        self.place_offsets, self.place_rows = table[: 4 * rows].cast("I"), table[4 * rows :].cast("I")

    def traps(self, start: int, end: int) -> dict[int, str]:
        """Messages of the traps in a part of the text."""
        first, last = bisect_left(self.trap_offsets, start), bisect_left(self.trap_offsets, end)
        rows = zip(self.trap_offsets[first:last], self.trap_codes[first:last], strict=True)
        return {offset: _TRAPS.get(code, f"trap {code}") for offset, code in rows}

    def places(self, start: int, end: int) -> dict[int, int]:
        """Offsets in the module's bytes, of a part of the text. Of two rows for one offset the last one counts."""
        first, last = bisect_left(self.place_offsets, start), bisect_left(self.place_offsets, end)
        rows = zip(self.place_offsets[first:last], self.place_rows[first:last], strict=True)
        return {offset: place for offset, place in rows if place != _NO_PLACE}


def _rows_of(artifact: reader.Artifact, name: str, size: int) -> memoryview:
    table = artifact.section(name)
    if len(table) != size:
        raise ArtifactError(f"size of section {name}", len(table), size)
    return table


def _lines(decoder: Any, tables: _Tables, function: reader.Function, body: list[Instruction], starts: dict[int, str]) -> list[str]:
    lines = []
    pending = 0  # instructions of the body that were not shown yet
    texts = dict(body)
    start, end = function.offset, function.offset + function.size
    places, traps = tables.places(start, end), tables.traps(start, end)
    for at, _, mnemonic, operands in decoder.disasm_lite(bytes(tables.text[start:end]), start):
        if mnemonic[0] == "j" or mnemonic == "call":
            operands = _target(operands, start, end, starts)
        left = f"{at - start:6x}  {mnemonic} {operands}".rstrip()
        place = places.get(at)
        if place is not None:
            while pending < len(body) and body[pending][0] < place:
                lines.append(f"{'':{_WIDTH}}  {body[pending][0]:#6x}  {body[pending][1]}")
                pending += 1
            if pending < len(body) and body[pending][0] == place:
                pending += 1
            left = f"{left:{_WIDTH}}  {place:#6x}  {texts.get(place, '')}"
        elif at in traps:
            left = f"{left:{_WIDTH}}  "
        lines.append(f"{left}  ; trap: {traps[at]}" if at in traps else left.rstrip())
    lines += [f"{'':{_WIDTH}}  {offset:#6x}  {text}" for offset, text in body[pending:]]
    return lines


def _target(operands: str, start: int, end: int, starts: dict[int, str]) -> str:
    """Of a jump within the function (from `start` to `end`) its offset there, of a call the callee's name."""
    try:
        target = int(operands, 16)
    except ValueError:
        return operands
    if start <= target < end:
        return f"{target - start:#x}"
    return starts.get(target, f".text+{target:#x}")
