"""Core modules, from text to bytes.

Three passes, since fields may refer forward: the first finds where each field begins and binds identifiers, the second
encodes the types, the third goes through the fields in their order, expands abbreviations and writes the items of each
section. Signatures that are only written at their use become types at the end, in the order of the text.
"""

from __future__ import annotations

from collections import defaultdict

from wasmrt.spec.leb128 import sized, sleb, uleb, vector

from . import lexer
from .code import CodeParser
from .core_types import Limits, LocalName, Signature, TypeParser, TypeUse
from .lexer import Source
from .parser import ID, Cursor, Space

MAGIC = b"\0asm\x01\0\0\0"
# the order of sections in a binary, with their names in `(@custom "x" (before name))`
SECTIONS = {
    "type": 1,
    "import": 2,
    "func": 3,
    "table": 4,
    "memory": 5,
    "tag": 13,
    "global": 6,
    "export": 7,
    "start": 8,
    "elem": 9,
    "datacount": 12,
    "code": 10,
    "data": 11,
}
_ORDER = {section: number for number, section in enumerate(SECTIONS)}
_SECTION_BYTES = {section: bytes((code,)) for section, code in SECTIONS.items()}
# what can be imported and exported: the kind's byte, its index space
EXTERNS = {
    "func": (0, "funcs"),
    "table": (1, "tables"),
    "memory": (2, "memories"),
    "global": (3, "globals"),
    "tag": (4, "tags"),
}
_WORDS = {
    "types": "type",
    "funcs": "function",
    "tables": "table",
    "memories": "memory",
    "globals": "global",
    "tags": "tag",
    "elems": "elem segment",
    "datas": "data segment",
}
_NONE_YET = dict.fromkeys(_WORDS, 0)
_FIELD_SPACES = {word: space for word, (_, space) in EXTERNS.items()} | {"elem": "elems", "data": "datas"}
# subsections of the name section, in order
_NAMED = {4: "types", 5: "tables", 6: "memories", 7: "globals", 8: "elems", 9: "datas"}
_INLINE = ("export", "import")
_FUNCREF = b"\x70"
SHORT_MODULE = 64  # tokens: what is spelled like one before is the same; a component may have a great many


def encode_module(source: Source, at: int, end: str = ")", name: ID | None = None) -> tuple[bytes, int]:
    """Encodes the fields from token `at`, after `(module`; gives the binary and the token after `end`.

    `name` is the module's identifier if it stands before `at`."""
    if name is None and end == ")" and source.tokens[at] == ")":
        return MAGIC, at + 1
    encoder = ModuleEncoder(source, at)
    encoder.heading(name)
    after = encoder.find_fields(end)
    spelling = tuple(source.tokens[at:after]) if name is None and after - at <= SHORT_MODULE else None
    binary = source.short_modules.get(spelling)
    if binary is None:
        binary = encoder.module()
        encoder.made_code = None  # they refer to each other: many modules would be work for the collector
        if spelling is not None:
            source.short_modules[spelling] = binary
    return binary, after


class _Spaces(dict[str, Space]):
    """The index spaces of a module, made when first asked for."""

    __slots__ = ()

    def __missing__(self, name: str) -> Space:
        space = self[name] = Space(_WORDS[name])
        return space


class ModuleEncoder(TypeParser):
    """One module. `spaces` are its index spaces; the lists hold the encoded items of the sections."""

    __slots__ = (
        "annotated_names",
        "customs",
        "defined",
        "field_ids",
        "fields",
        "has_names",
        "hints",
        "items",
        "label_names",
        "local_names",
        "made_code",
        "module_name",
        "needs_data_count",
        "next",
        "signature_index",
        "signatures",
        "spaces",
        "start",
        "types",
    )

    def __init__(self, source: Source, at: int) -> None:
        super().__init__(source, at)
        self.spaces = _Spaces()
        self.types = self.spaces["types"]
        self.items: defaultdict[str, list[bytes]] = defaultdict(list)
        self.next = _NONE_YET.copy()
        self.fields: list[tuple[int, int]] = []
        self.signatures: dict[int, Signature] = {}
        self.signature_index: dict[Signature, int] = {}
        self.field_ids: dict[int, dict[ID, int]] = {}
        self.start: bytes | None = None
        self.needs_data_count = False
        self.has_names = False
        self.defined: str | None = None
        self.customs: dict[tuple[str, str], list[bytes]] = {}
        self.module_name: bytes | None = None
        self.annotated_names: dict[str, dict[int, bytes]] = {}
        self.local_names: list[tuple[int, list[tuple[int, bytes]]]] = []
        self.label_names: list[tuple[int, list[tuple[int, bytes]]]] = []
        self.hints: list[tuple[int, dict[int, int]]] = []
        self.made_code: CodeParser | None = None

    @property
    def code(self) -> CodeParser:
        """Made when first asked for: a component may have a great many small modules."""
        made = self.made_code
        if made is None:
            made = self.made_code = CodeParser(self)
        return made

    def type_index(self) -> int:
        return self.types.index(self)

    def heading(self, name: ID | None) -> None:
        """What the module is called."""
        name = name or self.optional_id()
        self.module_name = None if name is None else name[1:].encode()
        if self.toks[self.i] == lexer.NAME:
            self.module_name = self.name_annotation()
            if self.toks[self.i] == lexer.NAME:
                self.fail("@name annotation: multiple module names")

    def module(self) -> bytes:
        """The binary, when the fields are found."""
        toks = self.toks
        types = []
        for start, _ in self.fields:
            word = toks[start + 1]
            if word == "func" and toks[start + 2][:1] != "$" and toks[start] == "(":
                self.spaces["funcs"].count += 1
                continue
            self._declare(start)
            if word in ("type", "rec") and toks[start] == "(":
                types.append(start)
        if types:
            for start in types:
                self.i = start + 1
                self._type_field()
                if self.toks[self.i] != ")":
                    self.unexpected("`)`")
        for start, last in self.fields:
            self._field(start)
            if self.i != last:
                self.unexpected("`)`")
        return self._assemble()

    # --- first pass ---

    def find_fields(self, end: str) -> int:
        """Lists the fields; gives the token after `end`."""
        toks = self.toks
        depth = start = 0
        for at in range(self.i, len(toks)):
            token = toks[at]
            if token == ")":
                if depth == 0:
                    if end != ")":
                        self.unexpected("a module field or end of text", at)
                    return at + 1
                depth -= 1
                if depth == 0:
                    self.fields.append((start, at))
            elif token == "(" or token in lexer.ANNOTATIONS:
                if depth == 0:
                    start = at
                depth += 1
            elif not token:
                if depth == 0 and not end:
                    return at
                self.unexpected("`)`", at)
            elif depth == 0:
                self.unexpected("a module field or `)`", at)
        raise AssertionError("a text ends with an empty token")

    def _declare(self, start: int) -> None:
        """Binds the identifier of a field."""
        word = self.toks[start + 1]
        if self.toks[start] != "(":
            if self.toks[start] == lexer.NAME:
                self.fail("misplaced @name annotation", start)
            if self.toks[start] == lexer.BRANCH_HINT:
                self.fail("@metadata.code.branch_hint annotation: not in a function", start)
            return
        self.i = start + 2
        if word == "rec":
            while self.open("type"):
                self._bind("types")
                self.skip()
            self.close()
        elif word == "type":
            self._bind("types")
        elif word == "import":
            self.string("a module name")
            self.string("a name")
            kind = self.head()
            if kind not in EXTERNS:
                self.unexpected("`(func`, `(table`, `(memory`, `(global` or `(tag`")
            self.i += 2
            self._bind(EXTERNS[kind][1])
        elif word in _FIELD_SPACES:
            self._bind(_FIELD_SPACES[word])
            if word in ("table", "memory"):
                self._declare_inline_segment(word)
        elif word not in ("export", "start"):
            self.unexpected(
                "a module field: type, import, func, table, memory, global, tag, export, start, elem or data", start + 1
            )

    def _bind(self, space: str) -> None:
        at = self.i
        name = self.optional_id()
        self.has_names |= name is not None
        self.spaces[space].add(self, name, at)

    def _declare_inline_segment(self, word: str) -> None:
        """`(table funcref (elem ...))` and `(memory (data ...))` take an index among the segments."""
        segment = "elem" if word == "table" else "data"
        depth = 0
        while True:
            token = self.toks[self.i]
            self.i += 1
            if token == "(" or token in lexer.ANNOTATIONS:
                depth += 1
                if depth == 1 and self.toks[self.i] == segment:
                    self.spaces[_FIELD_SPACES[segment]].add(self, None, self.i)
                    return
            elif token == ")":
                depth -= 1
                if depth < 0:
                    return

    # --- second pass: types ---

    def _type_field(self) -> None:
        """`type ...` or `rec ...`, up to its `)`."""
        if self.toks[self.i] == "type":
            body, index, signature = self._type_def()
            if signature is not None:
                self.signature_index.setdefault(signature, index)
            self.items["type"].append(body)
            return
        self.i += 1
        group: list[bytes] = []
        index, signature = 0, None
        while self.toks[self.i] == "(":
            self.i += 1
            body, index, signature = self._type_def()
            group.append(body)
            self.close()
        if len(group) == 1 and signature is not None:
            self.signature_index.setdefault(signature, index)
        self.items["type"].append(b"\x4e" + vector(group))

    def _type_def(self) -> tuple[bytes, int, Signature | None]:
        """`type id? ...`: the bytes, the index, and the signature if, alone in its group, type uses without an index mean it."""
        self.i += 1
        index = self._named("types")
        fields: dict[ID, int] = {}
        body, signature, plain = self.sub_type(fields)
        if signature is not None:
            self.signatures[index] = signature
        if fields:
            self.has_names = True
            self.field_ids[index] = fields
        return body, index, signature if plain else None

    def resolve(self, use: TypeUse) -> int:
        """The type index of a use; a signature that no type has yet becomes one."""
        if use.type_index is not None:
            if use.inline:
                signature = self.signatures.get(use.type_index)
                if signature is None and use.type_index >= self.types.count:
                    self.fail(f"unknown type {use.type_index}", use.at)
                if signature != use.signature:
                    self.fail("inline function type does not match the type that is referred to", use.at)
            return use.type_index
        index = self.signature_index.get(use.signature)
        if index is None:
            index = self.types.count
            self.types.count += 1
            self.signature_index[use.signature] = index
            self.signatures[index] = use.signature
            self.items["type"].append(use.signature.encode())
        return index

    def block_type(self, use: TypeUse) -> bytes:
        signature = use.signature
        if use.type_index is None and not signature.params and len(signature.results) <= 1:
            return signature.results[0] if signature.results else b"\x40"
        return sleb(self.resolve(use))

    # --- third pass: fields ---

    def _field(self, start: int) -> None:
        word = self.toks[start + 1] if self.toks[start] == "(" else self.toks[start]
        self.i = start + 2
        match word:
            case "func":
                self._func()
            case "type" | "rec":
                self.skip()
                self.i -= 1
            case "import":
                self._import()
            case "table":
                self._table()
            case "memory":
                self._memory()
            case "global":
                self._global()
            case "tag":
                self._tag()
            case "export":
                self._export()
            case "start":
                if self.start is not None:
                    self.fail("multiple start sections", start)
                self.start = self._index("funcs")
            case "elem":
                self._elem()
            case "data":
                self._data()
            case _:
                self.i = start + 1
                if word == lexer.PRODUCERS:
                    self.customs.setdefault(("after", "last"), []).append(producers_section(self))
                else:
                    self._custom()

    def _index(self, space: str) -> bytes:
        return uleb(self.spaces[space].index(self))

    def _named(self, space: str) -> int:
        """Past an item's identifier and name; gives its index."""
        index = self.next[space]
        self.next[space] += 1
        self.optional_id()
        if self.toks[self.i] == lexer.NAME:
            name = self.name_annotation()
            assert name is not None
            self.annotated_names.setdefault(space, {})[index] = name
        return index

    def _extern_head(self, word: str) -> tuple[int, bytes | None]:
        """Identifier, inline exports and inline import: the index and the import's names if there is one."""
        kind, space = EXTERNS[word]
        index = self._named(space)
        while self.open("export"):
            self.items["export"].append(sized(self.name()) + bytes((kind,)) + uleb(index))
            self.close()
        if not self.open("import"):
            return index, None
        at = self.i - 2
        names = sized(self.name()) + sized(self.name())
        self.close()
        self._check_import(at)
        return index, names + bytes((kind,))

    def _define(self, word: str) -> None:
        self.defined = self.defined or word

    def _check_import(self, at: int) -> None:
        if self.defined is not None:
            self.fail(f"import after {self.defined}: imports come before all definitions", at)

    def _import(self) -> None:
        at = self.i - 2
        names = sized(self.name()) + sized(self.name())
        word = self.toks[self.i + 1]
        self.i += 2
        kind, space = EXTERNS[word]
        self._named(space)
        self._check_import(at)
        self._add_import(word, names + bytes((kind,)))
        self.close()

    def _add_import(self, word: str, names: bytes) -> None:
        match word:
            case "func":
                body = uleb(self.resolve(self.type_use()))
            case "table":
                body = self.table_type()
            case "memory":
                body = self.limits(memory=True).encode()
            case "global":
                body = self.global_type()
            case _:
                body = b"\0" + uleb(self.resolve(self.type_use()))
        self.items["import"].append(names + body)

    def _export(self) -> None:
        name = sized(self.name())
        word = self.head()
        if word not in EXTERNS:
            self.unexpected("`(func`, `(table`, `(memory`, `(global` or `(tag`")
        self.i += 2
        kind, space = EXTERNS[word]
        self.items["export"].append(name + bytes((kind,)) + self._index(space))
        self.close()

    def _func(self) -> None:
        token = self.toks[self.i]
        if token == ")" or (token == "(" and self.toks[self.i + 1] not in _INLINE):
            index = self.next["funcs"]
            self.next["funcs"] = index + 1
        else:
            index, imported = self._extern_head("func")
            if imported is not None:
                self._add_import("func", imported)
                return
        self._define("function")
        use = self.type_use()
        type_index = self.resolve(use)
        self.items["func"].append(uleb(type_index))
        code = self.code
        code.i = self.i
        code.begin()
        signature = self.signatures.get(type_index)
        if signature is not None:
            code.local_space.count = len(signature.params)
        names: dict[int, bytes] = {}
        for name in use.names:
            self._bind_local(name, names)
        if self.toks[self.i] == "(" and self.toks[self.i + 1] == "local":
            code.out += vector(self._locals(code, names))
        else:
            code.out.append(0)
        code.instructions()
        code.out.append(0x0B)
        self.i = code.i
        self.items["code"].append(sized(code.out))
        if names:
            self.local_names.append((index, sorted(names.items())))
        if code.label_names:
            self.label_names.append((index, code.label_names))
        if code.hints:
            self.hints.append((index, code.hints))

    def _bind_local(self, name: LocalName, names: dict[int, bytes]) -> None:
        if name.id is not None:
            ids = self.code.local_space.ids
            if name.id in ids:
                self.fail(f"duplicate local identifier {lexer.shown(name.id)}", name.at)
            ids[name.id] = name.number
            names[name.number] = name.id[1:].encode()
        if name.annotated is not None:
            names[name.number] = name.annotated

    def _locals(self, code: CodeParser, names: dict[int, bytes]) -> list[bytes]:
        """`(local ...)*`: runs of equal types."""
        runs: list[tuple[bytes, int]] = []
        space = code.local_space
        while code.open("local"):
            if code.at_id() or code.toks[code.i] == lexer.NAME:
                self._bind_local(code.local_name(space.count), names)
                types = [code.valtype()]
                code.close()
            else:
                types = code.valtypes()
            space.count += len(types)
            for ty in types:
                if runs and runs[-1][0] == ty:
                    runs[-1] = (ty, runs[-1][1] + 1)
                else:
                    runs.append((ty, 1))
        return [uleb(count) + ty for ty, count in runs]

    def _constant(self, *, single: bool = False) -> bytes:
        code = self.code
        code.i = self.i
        out = code.constant(single=single)
        self.i = code.i
        return out

    def _global(self) -> None:
        _, imported = self._extern_head("global")
        if imported is not None:
            self._add_import("global", imported)
            return
        self._define("global")
        self.items["global"].append(self.global_type() + self._constant())

    def _tag(self) -> None:
        _, imported = self._extern_head("tag")
        if imported is not None:
            self._add_import("tag", imported)
            return
        self._define("tag")
        self.items["tag"].append(b"\0" + uleb(self.resolve(self.type_use())))

    def _memory(self) -> None:
        index, imported = self._extern_head("memory")
        if imported is not None:
            self._add_import("memory", imported)
            return
        self._define("memory")
        at = self.i
        flags = 4 if self.toks[self.i] == "i64" else 0
        if self.toks[self.i] in ("i32", "i64"):
            self.i += 1
        page_size = self.page_size()
        if self.open("data"):
            self.next["datas"] += 1
            data = self.strings()
            self.close()
            log2 = 16 if page_size is None else page_size
            pages = -(-len(data) >> log2)
            flags |= 1 | (8 if page_size is not None else 0)
            self.items["memory"].append(Limits(flags, pages, pages, page_size).encode())
            head = b"\0" if index == 0 else b"\x02" + uleb(index)
            zero = b"\x42\0\x0b" if flags & 4 else b"\x41\0\x0b"
            self.items["data"].append(head + zero + sized(data))
            return
        self.i = at
        self.items["memory"].append(self.limits(memory=True).encode())

    def _table(self) -> None:
        index, imported = self._extern_head("table")
        if imported is not None:
            self._add_import("table", imported)
            return
        self._define("table")
        flags = 4 if self.toks[self.i] == "i64" else 0
        if self.toks[self.i] in ("i32", "i64"):
            self.i += 1
        if self.at_number():
            size = self.limits_after(flags, memory=False)
            body = self.ref_type() + size.encode()
            if self.toks[self.i] != ")":
                body = b"\x40\0" + body + self._constant()
            self.items["table"].append(body)
            return
        ty = self.ref_type()
        self.expect_open("elem")
        self.next["elems"] += 1
        if self.at_number() or self.at_id():
            count, items = self._function_indices()
            if ty != _FUNCREF:
                items = [b"\xd2" + item + b"\x0b" for item in items]
            expressions = ty != _FUNCREF
        else:
            items = self._expressions()
            count, expressions = len(items), True
        self.close()
        self.items["table"].append(ty + Limits(flags | 1, count, count, None).encode())
        offset = b"\x42\0\x0b" if flags & 4 else b"\x41\0\x0b"
        self._add_elem(index, offset, ty if expressions else None, items)

    # --- segments ---

    def _function_indices(self) -> tuple[int, list[bytes]]:
        items = []
        while self.toks[self.i] != ")":
            items.append(self._index("funcs"))
        return len(items), items

    def _expressions(self) -> list[bytes]:
        """`(item expr)` or one folded instruction, each."""
        items = []
        while self.toks[self.i] == "(":
            if self.open("item"):
                items.append(self._constant())
                self.close()
            else:
                items.append(self._constant(single=True))
        return items

    def _offset(self) -> bytes:
        """`(offset expr)` or one folded instruction."""
        if self.open("offset"):
            out = self._constant()
            self.close()
            return out
        return self._constant(single=True)

    def _segment_target(self, word: str, space: str) -> int | None:
        """`(table x)`, `(memory x)` or a bare number, which older texts have."""
        if self.open(word):
            index = self.spaces[space].index(self)
            self.close()
            return index
        return self.u32() if self.at_number() and self.toks[self.i + 1] == "(" else None

    def _elem(self) -> None:
        self._named("elems")
        declared = self.accept("declare")
        table = None if declared else self._segment_target("table", "tables")
        offset = None
        if table is not None or (self.toks[self.i] == "(" and self.toks[self.i + 1] != "ref" and not declared):
            offset = self._offset()
        ty: bytes | None = None
        if self.accept("func"):
            _, items = self._function_indices()
        elif self.at_number() or self.at_id() or self.toks[self.i] == ")":
            if offset is None and self.toks[self.i] != ")":
                self.unexpected("`func` or a reference type")
            _, items = self._function_indices()
        else:
            ty = self.ref_type()
            items = self._expressions()
        if offset is None:
            flags = 3 if declared else 1
            head = bytes((flags | 4,)) + ty if ty is not None else bytes((flags, 0))
            self.items["elem"].append(head + vector(items))
        else:
            self._add_elem(table or 0, offset, ty, items)

    def _add_elem(self, table: int, offset: bytes, ty: bytes | None, items: list[bytes]) -> None:
        """An active segment: of functions, or of expressions of type `ty`."""
        if ty is None:
            head = b"\0" + offset if table == 0 else b"\x02" + uleb(table) + offset + b"\0"
        elif table == 0 and ty == _FUNCREF:
            head = b"\x04" + offset
        else:
            head = b"\x06" + uleb(table) + offset + ty
        self.items["elem"].append(head + vector(items))

    def _data(self) -> None:
        self._named("datas")
        memory = self._segment_target("memory", "memories")
        if memory is None and self.toks[self.i] != "(":
            self.items["data"].append(b"\x01" + sized(self.strings()))
            return
        offset = self._offset()
        head = b"\x02" + uleb(memory) if memory else b"\0"
        self.items["data"].append(head + offset + sized(self.strings()))

    # --- custom sections ---

    def _custom(self) -> None:
        if not self.at_string():
            self.fail("@custom annotation: missing section name")
        at = self.i
        raw = self.string()
        try:
            raw.decode()
        except ValueError:
            self.fail("@custom annotation: malformed UTF-8 encoding", at)
        place = ("after", "last")
        if self.accept("("):
            side, section = self.toks[self.i], self.toks[self.i + 1]
            if side not in ("before", "after"):
                self.fail("@custom annotation: malformed placement, expected `(before section)` or `(after section)`")
            if section not in SECTIONS and (side, section) not in (("before", "first"), ("after", "last")):
                self.fail(f"@custom annotation: malformed section kind {lexer.shown(section)}", self.i + 1)
            self.i += 2
            self.close()
            place = (side, section)
        data = self.strings()
        if self.toks[self.i] != ")":
            self.fail(
                f"@custom annotation: unexpected token {lexer.shown(self.toks[self.i])}, expected a string or `)`"
            )
        self.customs.setdefault(place, []).append(custom_section(raw, data))

    # --- the binary ---

    def _assemble(self) -> bytes:
        items = self.items
        bodies = {section: vector(found) for section, found in items.items()}
        if self.start is not None:
            bodies["start"] = self.start
        if self.needs_data_count:
            bodies["datacount"] = uleb(len(items["data"]))
        customs = self.customs
        out = [MAGIC, *customs.get(("before", "first"), ())]
        if not customs and not self.hints:
            for section in sorted(bodies, key=_ORDER.__getitem__) if len(bodies) > 1 else bodies:
                out += (_SECTION_BYTES[section], sized(bodies[section]))
            names = self._name_section()
            return b"".join(out) + (custom_section(b"name", names) if names else b"")
        for section in SECTIONS:
            out += customs.get(("before", section), ())
            if section == "code" and self.hints:
                out.append(self._hint_section())
            if section in bodies:
                out += (_SECTION_BYTES[section], sized(bodies[section]))
            out += customs.get(("after", section), ())
        names = self._name_section()
        if names:
            out.append(custom_section(b"name", names))
        out += customs.get(("after", "last"), ())
        return b"".join(out)

    def _hint_section(self) -> bytes:
        functions = [
            uleb(index) + vector([uleb(offset) + b"\x01" + bytes((value,)) for offset, value in sorted(hints.items())])
            for index, hints in self.hints
        ]
        return custom_section(b"metadata.code.branch_hint", vector(functions))

    def _name_section(self) -> bytes:
        if not (self.has_names or self.module_name or self.annotated_names or self.local_names or self.label_names):
            return b""
        out = b""
        if self.module_name is not None:
            out += _subsection(0, sized(self.module_name))
        out += _names(1, self._item_names("funcs"))
        out += _indirect(2, self.local_names)
        out += _indirect(3, self.label_names)
        for code, space in _NAMED.items():
            out += _names(code, self._item_names(space))
        fields = [(index, [(n, name[1:].encode()) for name, n in ids.items()]) for index, ids in self.field_ids.items()]
        out += _indirect(10, fields)
        return out + _names(11, self._item_names("tags"))

    def _item_names(self, space: str) -> list[tuple[int, bytes]]:
        if space not in self.spaces:
            return []
        ids = self.spaces[space].ids
        if not ids and not self.annotated_names:
            return []
        found = {index: name[1:].encode() for name, index in ids.items()}
        found.update(self.annotated_names.get(space, {}))
        return sorted(found.items())


def producers_section(cursor: Cursor) -> bytes:
    """`(field "name" "version")*` of `(@producers ...)`, up to its `)`."""
    fields: dict[bytes, list[bytes]] = {}
    while cursor.accept("("):
        field = cursor.toks[cursor.i]
        if field not in ("language", "sdk", "processed-by"):
            cursor.unexpected("`language`, `sdk` or `processed-by`")
        cursor.i += 1
        fields.setdefault(field.encode(), []).append(sized(cursor.name()) + sized(cursor.name()))
        cursor.close()
    return custom_section(b"producers", vector([sized(name) + vector(values) for name, values in fields.items()]))


def custom_section(name: bytes, data: bytes) -> bytes:
    return b"\0" + sized(sized(name) + data)


def _subsection(code: int, body: bytes) -> bytes:
    return bytes((code,)) + sized(body)


def _name_map(names: list[tuple[int, bytes]]) -> bytes:
    return vector([uleb(index) + sized(name) for index, name in names])


def _names(code: int, names: list[tuple[int, bytes]]) -> bytes:
    return _subsection(code, _name_map(names)) if names else b""


def _indirect(code: int, groups: list[tuple[int, list[tuple[int, bytes]]]]) -> bytes:
    if not groups:
        return b""
    return _subsection(code, vector([uleb(index) + _name_map(names) for index, names in groups]))
