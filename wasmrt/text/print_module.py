"""Core modules, from bytes to text.

Every section becomes fields in the order of the sections, with explicit types and indices, so that encoding the text
gives the same items under the same indices; names become identifiers, custom sections annotations. Instructions are
printed flat, by the same table that encodes them. The reader checks what it needs to read on; validity is not its business.
"""

from __future__ import annotations

from collections.abc import Callable

from wasmrt.binary.cursor import Cursor
from wasmrt.binary.type_decoder import CORE_VALTYPES, HEAP_TYPES
from wasmrt.errors import DecodeError
from wasmrt.spec import limits
from wasmrt.spec._gen.wasm_ops import WASM_OP, WasmOpRow
from wasmrt.spec.valtypes import HEAP_NAMES, valtype_str

from .core_types import REF_BYTES
from .module import EXTERNS, MAGIC, SECTIONS
from .writer import Lines, Names, float_text, quoted, quoted_name

_ROWS: dict[int, list[WasmOpRow | None]] = {}
for _row in WASM_OP:
    _table = _ROWS.setdefault(_row.prefix, [])
    _table.extend([None] * (_row.code + 1 - len(_table)))
    _table[_row.code] = _row
_ONE_BYTE = _ROWS[0] + [None] * (256 - len(_ROWS[0]))
_SECTION_NAMES = {code: name for name, code in SECTIONS.items()}
_EXTERN_WORDS = {kind: (word, space) for word, (kind, space) in EXTERNS.items()}
_SHORT_REFS = {code[0]: word for word, code in REF_BYTES.items()}
_CATCHES = ("catch", "catch_ref", "catch_all", "catch_all_ref")
_NAME_SPACES = {1: "funcs", 4: "types", 5: "tables", 6: "memories", 7: "globals", 8: "elems", 9: "datas", 11: "tags"}
_INDEX_SPACES = {
    "FUNC": "funcs",
    "GLOBAL": "globals",
    "TYPE": "types",
    "TAG": "tags",
    "TABLE": "tables",
    "DATA": "datas",
    "ELEM": "elems",
}
_HINTS = "metadata.code.branch_hint"
# a few bytes declare many locals or parameters: what a text spells out is bounded, in all and at each use
_MAX_LOCALS = 10_000_000
_MAX_SPELLED_PARAMS = 32
# strings of data are cut into lines of this many bytes
_DATA_LINE = 64

Signature = tuple[list[str], list[str]]


class ModulePrinter(Cursor):
    """One module: bytes [pos, end) of `data`, written to `lines`."""

    def __init__(self, data: memoryview, pos: int, end: int, lines: Lines, path: str = "") -> None:
        super().__init__(data, pos, end, path)
        self.raw = data.obj if isinstance(data.obj, bytes) and len(data.obj) == len(data) else bytes(data)
        self.lines = lines
        self.names = {space: Names() for space in _NAME_SPACES.values()}
        self.local_names: dict[int, Names] = {}
        self.label_names: dict[int, dict[int, str]] = {}
        self.field_names: dict[int, Names] = {}
        self.module_name: str | None = None
        self.hints: dict[int, dict[int, int]] = {}
        self.counts = dict.fromkeys(self.names, 0)
        self.signatures: dict[int, Signature] = {}
        self.func_types: list[int] = []
        self.locals_left = _MAX_LOCALS

    # --- reading ---

    def u32(self, expected: str) -> int:
        at = self.pos
        if at < self.end:
            value = self.raw[at]
            if value < 0x80:
                self.pos = at + 1
                return value
        return super().u32(expected)

    def signed(self, bits: int, expected: str) -> int:
        start = self.pos
        value = shift = 0
        while True:
            byte = self.byte(expected)
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
            if shift >= bits:
                raise self.error("integer representation too long", at=start, expected=f"{expected} (s{bits})")
        if byte & 0x40:
            value -= 1 << shift
        if not -(1 << bits - 1) <= value < 1 << bits - 1:
            raise self.error("integer too large", at=start, expected=f"{expected} (s{bits})")
        return value

    def take(self, size: int, expected: str) -> bytes:
        if size > self.end - self.pos:
            raise self.error(f"unexpected end: {size} bytes", expected=expected)
        self.pos += size
        return self.raw[self.pos - size : self.pos]

    # --- the module ---

    def print_fields(self) -> None:
        """All sections as fields."""
        self.read_names()
        self.pos += len(MAGIC)
        end = self.end
        place = "before first"
        while self.pos < end:
            code = self.byte("section")
            size = self.u32("section size")
            if size > end - self.pos:
                raise self.error(f"unexpected end: section {code} of {size} bytes", expected="at most the bytes left")
            self.end = self.pos + size
            if code == 0:
                place = self._custom(place)
            else:
                if code not in _SECTION_NAMES:
                    raise self.error(f"malformed section id {code}", expected="section 0 to 13")
                place = f"after {_SECTION_NAMES[code]}"
                _SECTIONS[code](self)
            if self.pos != self.end:
                raise self.error(f"section {code} has {self.end - self.pos} bytes too many", expected="end of section")
            self.end = end

    def head(self) -> str:
        """What stands after `(module`: the module's identifier or name."""
        if self.module_name is None:
            return ""
        names = Names({0: self.module_name})
        return " " + names.ids[0] if names.ids else names.annotation(0)

    def _custom(self, place: str) -> str:
        """Prints a custom section; gives the place of the next."""
        name = self.name("custom section name")
        data = self.take(self.end - self.pos, "contents")
        if name == "name":
            return "after last"
        if name != _HINTS or not self.hints:
            self.lines.add(f"(@custom {quoted_name(name)} ({place}){_strings(data)})")
        return place

    # --- names ---

    def read_names(self) -> None:
        """Looks ahead for the name section and branch hints; one that is malformed is as if it were not there."""
        start, end = self.pos, self.end
        self.pos += len(MAGIC)
        while self.pos < end:
            code = self.byte("section")
            size = self.u32("section size")
            self.end = min(self.pos + size, end)
            after = self.end
            if code == 0:
                try:
                    name = self.name("custom section name")
                    if name == "name":
                        self._name_section()
                    elif name == _HINTS:
                        self._hint_section()
                except DecodeError:
                    pass
            self.pos, self.end = after, end
        self.pos = start

    def _name_section(self) -> None:
        end = self.end
        while self.pos < end:
            code = self.byte("name subsection")
            size = self.u32("subsection size")
            after = min(self.pos + size, end)
            self.end = after
            if code == 0:
                self.module_name = self.name("module name")
            elif code in _NAME_SPACES:
                self.names[_NAME_SPACES[code]] = Names(self._name_map())
            elif code in (2, 3, 10):
                for _ in range(self.count("name maps")):
                    index = self.u32("index")
                    found = self._name_map()
                    if code == 2:
                        self.local_names[index] = Names(found)
                    elif code == 3:
                        self.label_names[index] = found
                    else:
                        self.field_names[index] = Names(found)
            self.pos, self.end = after, end

    def _name_map(self) -> dict[int, str]:
        found = {}
        for _ in range(self.count("names")):
            index = self.u32("index")
            found[index] = self.name("name")
        return found

    def _hint_section(self) -> None:
        hints: dict[int, dict[int, int]] = {}
        for _ in range(self.count("functions with hints")):
            func = hints.setdefault(self.u32("function"), {})
            for _ in range(self.count("hints")):
                offset = self.u32("offset")
                self.fixed(1, "0x01, the size of a hint")
                func[offset] = self.byte("hint") & 1
        self.hints = hints

    def next(self, space: str) -> tuple[int, str]:
        """The next index of a space, and how its item is introduced."""
        index = self.counts[space]
        self.counts[space] += 1
        return index, self.names[space].binder(index)

    def ref(self, space: str, index: int) -> str:
        return self.names[space].ref(index)

    def index(self, space: str) -> str:
        return self.names[space].ref(self.u32("index"))

    # --- types ---

    def valtype(self) -> str:
        at = self.pos
        code = self.byte("value type")
        word = CORE_VALTYPES.get(code)
        if word is not None:
            return valtype_str(word)
        if code in HEAP_TYPES:
            return _SHORT_REFS[code]
        if code in (0x63, 0x64):
            return _ref(code == 0x63, self.heap_type())
        raise self.error(f"invalid value type {code:#04x}", at=at, expected="value type")

    def heap_type(self) -> str:
        at = self.pos
        code = self.s33("heap type")
        if code >= 0:
            return self.ref("types", code)
        heap = HEAP_TYPES.get(code & 0x7F)
        if heap is None or code < -64:
            raise self.error(f"invalid heap type {code}", at=at, expected="heap type")
        return HEAP_NAMES[heap]

    def _storage(self) -> str:
        code = self.raw[self.pos] if self.pos < self.end else 0
        if code in (0x77, 0x78):
            self.pos += 1
            ty = "i8" if code == 0x78 else "i16"
        else:
            ty = self.valtype()
        return f"(mut {ty})" if self.flag("mutability") else ty

    def _valtypes(self, what: str, maximum: int) -> list[str]:
        return [self.valtype() for _ in range(self.count(what, maximum))]

    def _composite(self, index: int) -> str:
        at = self.pos
        match self.byte("type"):
            case 0x60:
                params = self._valtypes("parameters", limits.FUNCTION_PARAMS)
                results = self._valtypes("results", limits.FUNCTION_RESULTS)
                self.signatures[index] = (params, results)
                return f"(func{_signature(params, results)})"
            case 0x5F:
                names = self.field_names.get(index, Names())
                fields = [self._struct_field(names, number) for number in range(self.count("fields"))]
                return f"(struct{''.join(fields)})"
            case 0x5E:
                return f"(array {self._storage()})"
            case code:
                raise self.error(f"invalid type {code:#04x}", at=at, expected="func, struct or array type")

    def _struct_field(self, names: Names, number: int) -> str:
        name = names.ids.get(number)
        return f" (field {name + ' ' if name else ''}{self._storage()})"

    def sub_type(self, index: int) -> str:
        code = self.raw[self.pos] if self.pos < self.end else 0
        if code not in (0x4F, 0x50):
            return self._composite(index)
        self.pos += 1
        supertypes = [" " + self.index("types") for _ in range(self.count("supertypes"))]
        return f"(sub{' final' if code == 0x4F else ''}{''.join(supertypes)} {self._composite(index)})"

    def _types(self) -> None:
        for _ in range(self.count("types")):
            if self.pos < self.end and self.raw[self.pos] == 0x4E:
                self.pos += 1
                self.lines.add("(rec")
                self.lines.depth += 1
                for _ in range(self.count("types of a group")):
                    self._type()
                self.lines.depth -= 1
                self.lines.add(")")
            else:
                self._type()

    def _type(self) -> None:
        index, binder = self.next("types")
        self.lines.add(f"(type {binder} {self.sub_type(index)})")

    def limits_text(self) -> str:
        """Index type, sizes, shared, page size."""
        flags = self.byte("limits")
        if flags & ~0x0F:
            raise self.error(f"malformed limits flags {flags:#04x}", expected="limits")
        parts = ["i64"] if flags & 4 else []
        parts.append(str(self.u64("minimum")))
        if flags & 1:
            parts.append(str(self.u64("maximum")))
        if flags & 2:
            parts.append("shared")
        if flags & 8:
            log2 = self.u32("page size")
            if log2 > 31:
                raise self.error(f"invalid page size 2^{log2}", expected="at most 2^31")
            parts.append(f"(pagesize {1 << log2})")
        return " ".join(parts)

    def table_type(self) -> str:
        ty = self.valtype()
        return f"{self.limits_text()} {ty}"

    def global_type(self) -> str:
        ty = self.valtype()
        return f"(mut {ty})" if self.flag("mutability") else ty

    def _type_use(self, index: int, names: Names | None = None) -> str:
        use = f"(type {self.ref('types', index)})"
        if index not in self.signatures:
            return use
        params, results = self.signatures[index]
        if len(params) + len(results) > _MAX_SPELLED_PARAMS and (names is None or not names.names):
            return use
        return use + _signature(params, results, names)

    def tag_type(self) -> str:
        self.fixed(0, "0x00 (exception)")
        return self._type_use(self.u32("type index"))

    # --- sections ---

    def _imports(self) -> None:
        for _ in range(self.count("imports")):
            module, name = self.name("module name"), self.name("name")
            self.lines.add(f"(import {quoted_name(module)} {quoted_name(name)} {self._extern()})")

    def _extern(self) -> str:
        at = self.pos
        kind = self.byte("kind of import")
        if kind not in _EXTERN_WORDS:
            raise self.error(f"malformed import kind {kind:#04x}", at=at, expected="0x00 to 0x04")
        word, space = _EXTERN_WORDS[kind]
        index, binder = self.next(space)
        match word:
            case "func":
                type_index = self.u32("type index")
                self.func_types.append(type_index)
                ty = self._type_use(type_index, self.local_names.get(index))
            case "table":
                ty = self.table_type()
            case "memory":
                ty = self.limits_text()
            case "global":
                ty = self.global_type()
            case _:
                ty = self.tag_type()
        return f"({word} {binder} {ty})"

    def _functions(self) -> None:
        self.func_types += [self.u32("type index") for _ in range(self.count("functions"))]

    def _tables(self) -> None:
        for _ in range(self.count("tables")):
            _, binder = self.next("tables")
            initial = ""
            if self.pos < self.end and self.raw[self.pos] == 0x40:
                self.pos += 1
                self.fixed(0, "0x00 after 0x40")
                ty = self.table_type()
                initial = " " + self.expression()
            else:
                ty = self.table_type()
            self.lines.add(f"(table {binder} {ty}{initial})")

    def _memories(self) -> None:
        for _ in range(self.count("memories")):
            self.lines.add(f"(memory {self.next('memories')[1]} {self.limits_text()})")

    def _tags(self) -> None:
        for _ in range(self.count("tags")):
            self.lines.add(f"(tag {self.next('tags')[1]} {self.tag_type()})")

    def _globals(self) -> None:
        for _ in range(self.count("globals")):
            _, binder = self.next("globals")
            ty = self.global_type()
            self.lines.add(f"(global {binder} {ty} {self.expression()})")

    def _exports(self) -> None:
        for _ in range(self.count("exports")):
            name = self.name("export name")
            at = self.pos
            kind = self.byte("kind of export")
            if kind not in _EXTERN_WORDS:
                raise self.error(f"malformed export kind {kind:#04x}", at=at, expected="0x00 to 0x04")
            word, space = _EXTERN_WORDS[kind]
            self.lines.add(f"(export {quoted_name(name)} ({word} {self.index(space)}))")

    def _start(self) -> None:
        self.lines.add(f"(start {self.index('funcs')})")

    def _elements(self) -> None:
        for _ in range(self.count("element segments")):
            _, binder = self.next("elems")
            at = self.pos
            flags = self.u32("element segment")
            if flags > 7:
                raise self.error(f"malformed elements segment kind {flags}", at=at, expected="0 to 7")
            parts = [f"(elem {binder}"]
            if not flags & 1:
                if flags & 2:
                    parts.append(f"(table {self.index('tables')})")
                parts.append(f"(offset {self.expression()})")
            elif flags & 2:
                parts.append("declare")
            if flags & 4:
                parts.append(self.valtype() if flags & 3 else "funcref")
                parts += [f"(item {self.expression()})" for _ in range(self.count("elements"))]
            else:
                if flags & 3:
                    self.fixed(0, "0x00 (functions)")
                parts.append("func")
                parts += [self.index("funcs") for _ in range(self.count("elements"))]
            self.lines.add(" ".join(parts) + ")")

    def _data_count(self) -> None:
        self.u32("number of data segments")

    def _datas(self) -> None:
        for _ in range(self.count("data segments")):
            _, binder = self.next("datas")
            at = self.pos
            flags = self.u32("data segment")
            if flags > 2:
                raise self.error(f"malformed data segment kind {flags}", at=at, expected="0 to 2")
            target = ""
            if flags == 2:
                target = f" (memory {self.index('memories')})"
            if flags != 1:
                target += f" (offset {self.expression()})"
            data = self.take(self.u32("size of a data segment"), "contents of a data segment")
            self.lines.add(f"(data {binder}{target}{_strings(data)})")

    # --- code ---

    def _code(self) -> None:
        count = self.count("functions")
        imported = self.counts["funcs"]
        end = self.end
        if count != len(self.func_types) - imported:
            raise self.error(
                f"{count} bodies for {len(self.func_types) - imported} functions", expected="a body a function"
            )
        for _ in range(count):
            index, binder = self.next("funcs")
            size = self.u32("size of a function")
            if size > end - self.pos:
                raise self.error(f"unexpected end: a function of {size} bytes", expected="at most the bytes left")
            self.end = self.pos + size
            names = self.local_names.get(index, Names())
            self.lines.add(f"(func {binder} {self._type_use(self.func_types[index], names)}")
            self.lines.depth += 1
            self._body(index, names)
            self.lines.depth -= 1
            self.lines.out[-1] += ")"
            if self.pos != self.end:
                raise self.error("junk after last expression", expected="the function's end")
            self.end = end

    def _body(self, index: int, names: Names) -> None:
        start = self.pos
        number = len(self.signatures.get(self.func_types[index], ([], []))[0])
        for _ in range(self.count("runs of locals")):
            at = self.pos
            count = self.u32("number of locals")
            limits.check("FUNCTION_LOCALS", number + count, offset=at, path=self.path)
            ty = self.valtype()
            self.locals_left -= count
            if self.locals_left < 0:
                raise limits.exceeded(_MAX_LOCALS + 1, "locals in one text", _MAX_LOCALS, offset=at, path=self.path)
            unnamed = []
            for local in range(number, number + count):
                if local not in names.names:
                    unnamed.append(ty)
                    continue
                if unnamed:
                    self.lines.add(f"(local {' '.join(unnamed)})")
                    unnamed = []
                self.lines.add(f"(local {_local(names, local)}{ty})")
            if unnamed:
                self.lines.add(f"(local {' '.join(unnamed)})")
            number += count
        self.instructions(self.lines, names, self.label_names.get(index, {}), self.hints.get(index, {}), start)

    def expression(self) -> str:
        """A constant expression on one line."""
        lines = Lines()
        self.instructions(lines, Names(), {}, {}, self.pos)
        return " ".join(line.lstrip() for line in lines.out)

    def instructions(
        self, lines: Lines, locals_: Names, labels: dict[int, str], hints: dict[int, int], start: int
    ) -> None:
        """Instructions through the `end` that closes them."""
        raw, end = self.raw, self.end
        base = lines.depth
        depth = blocks = 0
        while True:
            at = self.pos
            if at >= end:
                raise self.error("unexpected end of section or function", expected="an instruction")
            code = raw[at]
            self.pos = at + 1
            row = _ONE_BYTE[code]
            if row is None:
                row = self._prefixed(code, at)
            name = row.name
            imm = row.imm
            if name == "END":
                if depth == 0:
                    lines.depth = base
                    return
                depth -= 1
                lines.depth = base + depth
                lines.add("end")
                continue
            if name == "ELSE":
                if depth == 0:
                    raise self.error("`else` outside of a block", at=at, expected="an instruction")
                lines.depth = base + depth - 1
                lines.add("else")
                lines.depth = base + depth
                continue
            if hints and at - start in hints and name in ("IF", "BR_IF"):
                lines.add(f'(@metadata.code.branch_hint "\\{hints[at - start]:02x}")')
            if imm == "NONE":
                lines.add(row.text)
            elif imm == "LOCAL":
                lines.add(f"{row.text} {locals_.ref(self.u32('local'))}")
            elif imm == "BLOCK" or imm == "TRY_TABLE":
                label = Names({blocks: labels[blocks]} if blocks in labels else {})
                blocks += 1
                lines.add(row.text + self._block(label, blocks - 1, imm == "TRY_TABLE"))
                depth += 1
                lines.depth = base + depth
            elif imm in _INDEX_SPACES:
                lines.add(f"{row.text} {self.index(_INDEX_SPACES[imm])}")
            else:
                lines.add(row.text + _IMMEDIATES[imm](self, row))

    def _prefixed(self, prefix: int, at: int) -> WasmOpRow:
        table = _ROWS.get(prefix) if prefix else None
        if table is None:
            raise self.error(f"illegal opcode {prefix:#04x}", at=at, expected="an instruction")
        code = self.u32("opcode")
        row = table[code] if code < len(table) else None
        if row is None:
            raise self.error(f"illegal opcode {prefix:#04x} {code:#x}", at=at, expected="an instruction")
        return row

    def _block(self, label: Names, number: int, catches: bool) -> str:
        text = (" " + label.ids[number] if number in label.ids else label.annotation(number)) + self._block_type()
        if catches:
            for _ in range(self.count("catches")):
                at = self.pos
                kind = self.byte("catch")
                if kind >= len(_CATCHES):
                    raise self.error(f"malformed catch kind {kind}", at=at, expected="0 to 3")
                tag = f" {self.index('tags')}" if kind < 2 else ""
                text += f" ({_CATCHES[kind]}{tag} {self.u32('label')})"
        return text

    def _block_type(self) -> str:
        code = self.raw[self.pos] if self.pos < self.end else 0
        if code == 0x40:
            self.pos += 1
            return ""
        if code in CORE_VALTYPES or code in HEAP_TYPES or code in (0x63, 0x64):
            return f" (result {self.valtype()})"
        at = self.pos
        index = self.s33("block type")
        if index < 0:
            raise self.error(f"invalid block type {code:#04x}", at=at, expected="a block type")
        return " " + self._type_use(index)

    # --- immediates: what follows the instruction's word ---

    def _memarg(self, row: WasmOpRow) -> str:
        at = self.pos
        flags = self.u32("alignment")
        if flags >= 0x80:
            raise self.error("malformed memop flags", at=at, expected="an alignment")
        memory = f" {self.index('memories')}" if flags & 0x40 else ""
        align = flags & 0x3F
        offset = self.u64("offset")
        return (
            memory
            + (f" offset={offset}" if offset else "")
            + (f" align={1 << align}" if align != row.align_log2 else "")
        )

    def _memarg_lane(self, row: WasmOpRow) -> str:
        return f"{self._memarg(row)} {self.byte('lane')}"

    def _labels(self, row: WasmOpRow) -> str:
        return "".join([f" {self.u32('label')}" for _ in range(self.count("labels") + 1)])

    def _call_indirect(self, row: WasmOpRow) -> str:
        type_index = self.u32("type")
        table = self.u32("table")
        return (f" {self.ref('tables', table)}" if table else "") + " " + self._type_use(type_index)

    def _memory(self, row: WasmOpRow) -> str:
        index = self.u32("memory")
        return f" {self.ref('memories', index)}" if index else ""

    def _select_types(self, row: WasmOpRow) -> str:
        return f" (result{''.join([' ' + self.valtype() for _ in range(self.count('types of select'))])})"

    def _heap(self, row: WasmOpRow) -> str:
        if row.name == "REF_NULL":
            return " " + self.heap_type()
        return " " + _ref(row.name.endswith("_NULL"), self.heap_type())

    def _br_cast(self, row: WasmOpRow) -> str:
        at = self.pos
        flags = self.byte("flags of a cast")
        if flags > 3:
            raise self.error(f"malformed cast flags {flags:#04x}", at=at, expected="0 to 3")
        label = self.u32("label")
        source = _ref(bool(flags & 1), self.heap_type())
        return f" {label} {source} {_ref(bool(flags & 2), self.heap_type())}"

    def _shuffle(self, row: WasmOpRow) -> str:
        return "".join([f" {lane}" for lane in self.take(16, "16 lanes")])

    def _v128(self, row: WasmOpRow) -> str:
        data = self.take(16, "a vector")
        return " i32x4" + "".join([f" 0x{int.from_bytes(data[i : i + 4], 'little'):08x}" for i in range(0, 16, 4)])

    def _zero(self, row: WasmOpRow) -> str:
        self.fixed(0, "a zero byte")
        return ""

    def _swapped(self, first: str, second: str) -> str:
        """Two indices that text has in the other order."""
        one = self.index(first)
        return f" {self.index(second)} {one}"

    def _pair(self, first: str, second: str) -> str:
        one = self.index(first)
        return f" {one} {self.index(second)}"

    def _field(self, row: WasmOpRow) -> str:
        type_index = self.u32("type")
        field = self.u32("field")
        names = self.field_names.get(type_index, Names())
        return f" {self.ref('types', type_index)} {names.ref(field)}"


def _ref(nullable: bool, heap: str) -> str:
    return f"(ref null {heap})" if nullable else f"(ref {heap})"


def _local(names: Names, index: int) -> str:
    """Identifier or name of a parameter or local, with a space after it."""
    if index in names.ids:
        return names.ids[index] + " "
    return names.annotation(index)[1:] + " "


def _signature(params: list[str], results: list[str], names: Names | None = None) -> str:
    out = ""
    if names is None or not any(index in names.names for index in range(len(params))):
        out += f" (param {' '.join(params)})" if params else ""
    else:
        for index, ty in enumerate(params):
            out += f" (param {_local(names, index) if index in names.names else ''}{ty})"
    return out + (f" (result {' '.join(results)})" if results else "")


def _strings(data: bytes) -> str:
    if len(data) <= _DATA_LINE:
        return " " + quoted(data)
    return "".join([f"\n    {quoted(data[at : at + _DATA_LINE])}" for at in range(0, len(data), _DATA_LINE)])


_SECTIONS: dict[int, Callable[[ModulePrinter], None]] = {
    1: ModulePrinter._types,
    2: ModulePrinter._imports,
    3: ModulePrinter._functions,
    4: ModulePrinter._tables,
    5: ModulePrinter._memories,
    6: ModulePrinter._globals,
    7: ModulePrinter._exports,
    8: ModulePrinter._start,
    9: ModulePrinter._elements,
    10: ModulePrinter._code,
    11: ModulePrinter._datas,
    12: ModulePrinter._data_count,
    13: ModulePrinter._tags,
}
_IMMEDIATES: dict[str, Callable[[ModulePrinter, WasmOpRow], str]] = {
    "LABEL": lambda p, _: f" {p.u32('label')}",
    "LABELS": ModulePrinter._labels,
    "CALL_INDIRECT": ModulePrinter._call_indirect,
    "MEMORY": ModulePrinter._memory,
    "MEMARG": ModulePrinter._memarg,
    "MEMARG_LANE": ModulePrinter._memarg_lane,
    "LANE": lambda p, _: f" {p.byte('lane')}",
    "SHUFFLE": ModulePrinter._shuffle,
    "I32": lambda p, _: f" {p.signed(32, 'i32')}",
    "I64": lambda p, _: f" {p.signed(64, 'i64')}",
    "F32": lambda p, _: " " + float_text(int.from_bytes(p.take(4, "f32"), "little"), 32),
    "F64": lambda p, _: " " + float_text(int.from_bytes(p.take(8, "f64"), "little"), 64),
    "V128": ModulePrinter._v128,
    "SELECT_TYPES": ModulePrinter._select_types,
    "HEAP_TYPE": ModulePrinter._heap,
    "DATA_MEMORY": lambda p, _: p._swapped("datas", "memories"),
    "MEMORY_MEMORY": lambda p, _: p._pair("memories", "memories"),
    "ELEM_TABLE": lambda p, _: p._swapped("elems", "tables"),
    "TABLE_TABLE": lambda p, _: p._pair("tables", "tables"),
    "TYPE_FIELD": ModulePrinter._field,
    "TYPE_COUNT": lambda p, _: f" {p.index('types')} {p.u32('count')}",
    "TYPE_TYPE": lambda p, _: p._pair("types", "types"),
    "TYPE_DATA": lambda p, _: p._pair("types", "datas"),
    "TYPE_ELEM": lambda p, _: p._pair("types", "elems"),
    "BR_CAST": ModulePrinter._br_cast,
    "ZERO": ModulePrinter._zero,
}
