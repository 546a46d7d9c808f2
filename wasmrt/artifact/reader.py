"""Artifacts as pyelftools sees them: what `verify=True`, `wasmrt inspect` and tests read with.

The loader in C does not parse ELF: it computes what every header of an image must be and compares. This reader shares nothing with it but the tables
(`sections.def`, `image_records.def`, `tunables.def`): it finds sections through pyelftools, over the same bytes and without a copy of them. Opening a
file with it costs two to three milliseconds, some 80 times what the loader takes, so the loader reads the headers itself.
"""

from __future__ import annotations

import dataclasses
import io
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

from wasmrt.errors import ArtifactError
from wasmrt.spec._gen import cpu_features, features, image_records, sections, tunables

from .info import ComponentArtifacts, ModuleInfo, decode

MAGIC = int.from_bytes(b"wasmrt\0\1", "little")
KINDS = {1: "module", 2: "component"}
TARGETS = {1: "x86_64-unknown-linux-gnu"}
_LETTERS = {"uint64_t": "Q", "uint32_t": "I", "uint16_t": "H", "uint8_t": "B"}


class _Record:
    """A struct of the format, made of rows of a table."""

    def __init__(self, rows: list[Any]) -> None:
        self.names = [row.name for row in rows]
        self.struct = struct.Struct("<" + "".join(_LETTERS[row.type] for row in rows))

    def read(self, data: memoryview, offset: int) -> dict[str, int]:
        return dict(zip(self.names, self.struct.unpack_from(data, offset), strict=True))


_HEADER = _Record([*image_records.HEADER_FIELD, *tunables.TUNABLE, *image_records.COUNT_FIELD])
_MODULE = _Record([*image_records.MODULE_FIELD])


class Section(NamedTuple):
    """A section: `name` as in `sections.def`, `elf_name` as other tools show it, where it lies in the file, and what it holds."""

    name: str
    elf_name: str
    offset: int
    size: int
    alignment: int
    executable: bool
    holds: str


class Function(NamedTuple):
    """A compiled function: its module in the artifact, its index in the module's function space, its name (None: it has none), and its code in `.text`."""

    module: int
    func_index: int
    name: str | None
    offset: int
    size: int


class _Stream(io.RawIOBase):
    """Bytes in place as a file."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(0, offset + (0, self._at, len(self._data))[whence])
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        part = self._data[self._at : self._at + len(buffer)]
        buffer[: len(part)] = part
        self._at += len(part)
        return len(part)


@dataclasses.dataclass(frozen=True)
class Artifact:
    """What an artifact says of itself; made by `read`.

    `kind` is "module" or "component", `version` that of the wasmrt that made it, `format` that of the file. `tunables`, `cpu_features` and
    `wasm_features` are what it was compiled for, `modules` a record per core module (`image_records.def`), `header` all fields as numbers.
    """

    kind: str
    version: str
    format: int
    target: str
    tunables: dict[str, int]
    cpu_features: tuple[str, ...]
    wasm_features: tuple[str, ...]
    sections: tuple[Section, ...]
    modules: tuple[dict[str, int], ...]
    header: dict[str, int]
    data: memoryview = dataclasses.field(repr=False)

    def section(self, name: str) -> memoryview:
        """The bytes of a section, by its name in `sections.def` or in the ELF file. Raises KeyError."""
        for section in self.sections:
            if name in (section.name, section.elf_name):
                return self.data[section.offset : section.offset + section.size]
        raise KeyError(name)

    def info(self) -> ModuleInfo | ComponentArtifacts:
        """The records that Python links by: imports, exports, types. Raises ArtifactError when they are damaged."""
        data = bytes(self.section("INFO"))
        return decode(data, ModuleInfo) if self.kind == "module" else decode(data, ComponentArtifacts)

    def functions(self) -> Iterator[Function]:
        """All compiled functions, by module and index. Raises ArtifactError when a record does not fit its section."""
        funcs, names, strings = self.section("FUNCS"), self.section("NAMES"), self.section("STRINGS")
        for number, module in enumerate(self.modules):
            imported = module["num_imported_funcs"]
            named: dict[int, str] = {}
            for func, offset, length in struct.iter_unpack("<III", _rows(names, module["first_name"], module["num_names"], 12, "names")):
                named[func] = bytes(strings[offset : offset + length]).decode("utf-8", "replace")
            rows = _rows(funcs, module["first_func"], module["num_funcs"], 8, "functions")
            for index, (offset, length) in enumerate(struct.iter_unpack("<II", rows)):
                yield Function(number, imported + index, named.get(imported + index), offset, length)


def _rows(section: memoryview, first: int, count: int, size: int, what: str) -> memoryview:
    if (first + count) * size > len(section):
        raise ArtifactError(f"a module's {what} lie outside of their section", first + count, len(section) // size)
    return section[first * size : (first + count) * size]


def _set_bits(bits: int, rows: Any, column: str | None) -> tuple[str, ...]:
    """Names of the bits that are set; the number of a row is its position where the table has no column for it."""
    names = [(index if column is None else getattr(row, column), row.name.lower()) for index, row in enumerate(rows)]
    return tuple(name for number, name in names if bits >> number & 1)


def _elf(data: memoryview) -> Any:
    try:
        from elftools.elf.elffile import ELFFile

        return ELFFile(_Stream(data))
    except Exception as error:  # pyelftools lets errors of its parser through
        raise ArtifactError(f"not an artifact: no ELF file ({error})") from None


def read(data: Any) -> Artifact:
    """An artifact's headers, from bytes in place (a mapping, a `CodeMemory`, bytes). Executes and trusts nothing of it.

    Raises ArtifactError when it is not one, or one of another format version.

    >>> artifact = read(Path("plugin.wasmrt").read_bytes())
    >>> artifact.kind, [section.elf_name for section in artifact.sections]
    """
    view = memoryview(data).cast("B").toreadonly()
    elf = _elf(view)
    try:
        engine = elf.get_section_by_name(sections.SECTION[0].elf_name)
        if engine is None or engine["sh_offset"] + engine["sh_size"] > len(view):
            raise ArtifactError("not an artifact of wasmrt: no header")
        start = engine["sh_offset"]
        magic, version = struct.unpack_from("<QI", view, start)
        if magic != MAGIC:
            raise ArtifactError("not an artifact of wasmrt: no magic number")
        if engine["sh_size"] != _HEADER.struct.size:
            raise ArtifactError("header size", engine["sh_size"], f"{_HEADER.struct.size} (its format version is {version})")
        header = _HEADER.read(view, start)
        found = []
        for row in sections.SECTION:
            section = elf.get_section_by_name(row.elf_name)
            if section is None:
                raise ArtifactError(f"section {row.elf_name} is missing")
            if section["sh_offset"] + section["sh_size"] > len(view):
                raise ArtifactError(f"section {row.elf_name} lies outside of the file", section["sh_offset"] + section["sh_size"], len(view))
            executable = bool(section["sh_flags"] & 4)
            found.append(
                Section(row.name, row.elf_name, section["sh_offset"], section["sh_size"], section["sh_addralign"], executable, row.what_it_holds)
            )
        place = {section.name: section for section in found}["MODULES"]
        if header["num_modules"] * _MODULE.struct.size != place.size:
            raise ArtifactError("number of modules", header["num_modules"], place.size // _MODULE.struct.size)
        modules = tuple(_MODULE.read(view, place.offset + index * _MODULE.struct.size) for index in range(header["num_modules"]))
    except ArtifactError:
        raise
    except Exception as error:
        raise ArtifactError(f"the artifact's ELF headers are damaged ({error})") from None
    return Artifact(
        kind=KINDS.get(header["kind"], "unknown"),
        version="{version_major}.{version_minor}.{version_patch}".format(**header),
        format=header["format"],
        target=TARGETS.get(header["target"], "unknown"),
        tunables={row.name: header[row.name] for row in tunables.TUNABLE if row.name != "reserved"},
        cpu_features=_set_bits(header["cpu_features"], cpu_features.X64_CPU_FEATURE, None),
        wasm_features=_set_bits(header["wasm_features"], features.WASM_FEATURE, "bit"),
        sections=tuple(found),
        modules=modules,
        header=header,
        data=view,
    )


def verify(data: Any) -> None:
    """The second reader's half of `verify=True`: sections in order and inside the file, and every array that has a place in ELF too says the same there.

    Raises ArtifactError with what differs.
    """
    artifact = read(data)
    end = 0
    for section, row in zip(artifact.sections, sections.SECTION, strict=True):
        if section.offset < end or section.offset % row.alignment or section.executable != bool(row.mapped_executable):
            raise ArtifactError(f"section {section.elf_name} is out of order", section.offset, end)
        end = section.offset + section.size
    for name, count, size in (("FUNCS", "num_funcs", 8), ("TRAPS", "num_traps", 5), ("ADDRMAP", "num_addrs", 8), ("NAMES", "num_names", 12)):
        found = len(artifact.section(name))
        if found != artifact.header[count] * size:
            raise ArtifactError(f"size of section {name}", found, artifact.header[count] * size)
    text = {section.name: section for section in artifact.sections}["TEXT"]
    symbols = struct.iter_unpack("<IBBHQQ", artifact.section("SYMBOLS"))
    next(symbols, None)
    functions = list(artifact.functions())
    if (len(functions) + 1) * 24 != len(artifact.section("SYMBOLS")):
        raise ArtifactError("number of symbols", len(artifact.section("SYMBOLS")) // 24, len(functions) + 1)
    for function, (_, _, _, _, value, size) in zip(functions, symbols, strict=True):
        if function.offset + function.size > text.size:
            raise ArtifactError(f"function {function.func_index} of module {function.module} lies outside of the text", function.offset, text.size)
        if (value, size) != (text.offset + function.offset, function.size):
            raise ArtifactError(f"symbol of function {function.func_index} of module {function.module}", value, text.offset + function.offset)
    artifact.info()
