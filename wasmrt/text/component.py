"""Components, from text to bytes: one pass, since every definition refers backwards only.

A field becomes one definition, after the aliases and types that its abbreviations stand for.
Canonical built-ins and their immediates come from the decoder's table.
"""

from __future__ import annotations

from collections.abc import Callable

from wasmrt.binary.decoder import BUILTINS
from wasmrt.binary.records import Sort
from wasmrt.spec.leb128 import sized, uleb, vector

from . import lexer, scope
from .component_types import ATTRIBUTES, ComponentTypeParser
from .lexer import Source
from .module import custom_section, encode_module, producers_section
from .parser import ID
from .scope import CORE_SORT_BYTES, CORE_WORDS, PLAIN_WORDS, SORT_BYTES, Scope
from .values import encode_value

MAGIC = b"\0asm\x0d\0\x01\0"
_BUILTIN_CODES = {name: (code, immediates.split()) for code, (name, immediates) in BUILTINS.items()}
_ENCODINGS = {"string-encoding=utf8": 0, "string-encoding=utf16": 1, "string-encoding=latin1+utf16": 2}
_INDEX_OPTIONS = {"memory": 3, "realloc": 4, "post-return": 5, "callback": 7}
_PRINTED_CUSTOMS = (lexer.CUSTOM, lexer.PRODUCERS)


def encode_component(source: Source, at: int) -> tuple[bytes, int]:
    """Encodes the fields from token `at`, after `(component`; gives the binary and the token after the `)`."""
    name_at = at + (source.tokens[at][:1] == "$")
    parser = ComponentEncoder(source, at, Scope("component", None))
    parser.scope.name = parser.optional_id() if name_at > at else None
    data = parser.component()
    return data, parser.i


class ComponentEncoder(ComponentTypeParser):
    """One component, and by recursion those within it."""

    __slots__ = ()

    def component(self) -> bytes:
        """Fields through the `)`."""
        annotated = self.name_annotation() if self.toks[self.i] == lexer.NAME else None
        if annotated is not None:
            self.scope.name = "$" + annotated.decode()
        while self.toks[self.i] != ")":
            self._field()
        self.i += 1
        for sort, name, index in self.scope.inline_exports:
            self._add_export(sort, name, index)
        names = self.scope.names()
        tail = custom_section(b"component-name", names) if names else b""
        return MAGIC + self.scope.sections() + tail

    def _field(self) -> None:
        token = self.toks[self.i]
        if token in _PRINTED_CUSTOMS:
            self.i += 1
            self._custom(token)
            self.close()
            return
        word = self.head()
        field = _FIELDS.get(word)
        if field is None:
            if word:
                self.i += 1
            self.unexpected(
                "a field of a component (core, component, instance, alias, type, canon, func, start, import, export or value) or `)`"
            )
        self.i += 2
        field(self)
        self.close()

    def _custom(self, token: str) -> None:
        if token == lexer.PRODUCERS:
            section = producers_section(self)
        else:
            section = custom_section(self.name("the section's name"), self.strings())
        # the section is framed anew with its neighbours
        self.scope.add(scope.CUSTOM, _contents(section))

    # --- what several fields share ---

    def _define(self, sort: Sort, make: Callable[[], int]) -> None:
        """`id? (export "n")* (import "n" type | alias | make)`: defines, binds, exports."""
        binder = self.binder()
        exports = self._inline_exports()
        if self.head() == "import" and self._is_inline():
            self.i += 2
            name = self.extern_name()
            self.close()
            desc = self.extern_type(sort, self.i)
            index = self.scope.define(sort, scope.IMPORT, name + desc)
        elif self._is_inverted_alias():
            index = self.inverted_alias(sort)
        else:
            index = make()
        self.bind(sort, index, binder)
        self._export_inline(sort, exports, index)

    def _is_inverted_alias(self) -> bool:
        """Whether `(alias ...)` comes next without a sort of its own, which a component's field would have."""
        if self.head() != "alias":
            return False
        at = self.i
        self.i += 2
        self.skip()
        last, self.i = self.toks[self.i - 2], at
        return last != ")"

    def _inline_exports(self) -> list[bytes]:
        """`(export "n")`, as opposed to `(export "n" (func ...))`, which is part of an instance or module."""
        exports = []
        while self.head() == "export" and self._is_inline():
            self.i += 2
            exports.append(self.extern_name())
            self.close()
        return exports

    def _export_inline(self, sort: Sort, names: list[bytes], index: int) -> None:
        """Inline exports come after all fields: they take indices, which a reader of the text does not see."""
        self.scope.inline_exports += [(sort, name, index) for name in names]

    def _is_inline(self) -> bool:
        """Whether `(import "n"` or `(export "n"` has nothing after its name."""
        at = self.i + 3
        while self.toks[at] == "(" and self.toks[at + 1] in ATTRIBUTES:
            at += 4
        return self.toks[at] == ")"

    def _add_export(self, sort: Sort, name: bytes, index: int, ascribed: bytes = b"\0") -> int:
        return self.scope.define(sort, scope.EXPORT, name + SORT_BYTES[sort] + uleb(index) + ascribed)

    def _sort_index(self, *, core: bool = False) -> tuple[Sort, int]:
        """`(sort index)`; with `core` in a core instance, where sorts have no `core` before them."""
        self.expect("(")
        sort = self.sort(core=core)
        index = self._target(sort)
        self.close()
        return sort, index

    # --- core ---

    def core(self) -> None:
        word = self.toks[self.i]
        self.i += 1
        match word:
            case "module":
                self._define(Sort.CORE_MODULE, self._core_module)
            case "instance":
                self._define(Sort.CORE_INSTANCE, self._core_instance)
            case "type" | "rec":
                self.core_type(word)
            case "func":
                self._define(Sort.CORE_FUNC, self._core_func)
            case _ if word in CORE_WORDS:
                self._define(CORE_WORDS[word], lambda: self._only_alias(word))
            case _:
                self.i -= 1
                self.unexpected("`module`, `instance`, `type`, `rec` or `func`")

    def _only_alias(self, word: str) -> int:
        self.unexpected(f"`(alias` of a core {word}")

    def _core_module(self) -> int:
        name = self._last_id()
        if self.accept("binary"):
            data = self.strings()
        else:
            data, after = encode_module(self.source, self.i, name=name)
            self.i = after - 1
        return self.scope.define(Sort.CORE_MODULE, scope.CORE_MODULE, data)

    def _last_id(self) -> ID | None:
        """The identifier of the definition that is open: it names a core module or a component too."""
        at, depth = self.i - 1, 0
        while True:
            token = self.toks[at]
            if token == ")":
                depth += 1
            elif token[0] == "(":
                if depth == 0:
                    return None
                depth -= 1
            elif depth == 0 and token[0] == "$":
                return self.ident(at)
            elif depth == 0 and token in ("module", "component"):
                return None
            at -= 1

    def _core_instance(self) -> int:
        if not self.open("instantiate"):
            return self._core_bundle()
        module = self.index(Sort.CORE_MODULE)
        args = []
        while self.open("with"):
            name = sized(self.name())
            self.expect_open("instance")
            if self.toks[self.i] in (")", "("):
                index = self._core_bundle()
            else:
                index = self._target(Sort.CORE_INSTANCE)
            self.close()
            self.close()
            args.append(name + CORE_SORT_BYTES[Sort.CORE_INSTANCE] + uleb(index))
        self.close()
        return self.scope.define(Sort.CORE_INSTANCE, scope.CORE_INSTANCE, b"\0" + uleb(module) + vector(args))

    def _core_bundle(self) -> int:
        """`(export "n" (sort index))*`."""
        exports = []
        while self.open("export"):
            name = sized(self.name())
            sort, index = self._sort_index(core=True)
            exports.append(name + CORE_SORT_BYTES[sort] + uleb(index))
            self.close()
        return self.scope.define(Sort.CORE_INSTANCE, scope.CORE_INSTANCE, b"\x01" + vector(exports))

    def _core_func(self) -> int:
        self.expect_open("canon")
        canon = self._canon_core()
        self.close()
        return self.scope.define(Sort.CORE_FUNC, scope.CANON, canon)

    # --- components and instances ---

    def nested(self) -> None:
        self._define(Sort.COMPONENT, self._component)

    def _component(self) -> int:
        self.enter()
        if self.accept("binary"):
            data = self.strings()
        else:
            outer = self.scope
            self.scope = Scope("component", outer, self._last_id())
            data = self.component()
            self.i -= 1
            self.scope = outer
        self.depth -= 1
        return self.scope.define(Sort.COMPONENT, scope.COMPONENT, data)

    def instance(self) -> None:
        self._define(Sort.INSTANCE, self._instance)

    def _instance(self) -> int:
        if not self.open("instantiate"):
            return self._bundle()
        component = self.index(Sort.COMPONENT)
        args = []
        while self.open("with"):
            name = sized(self.name())
            if self.head() == "instance" and self.toks[self.i + 2] in (")", "("):
                self.i += 2
                sort, index = Sort.INSTANCE, self._bundle()
                self.close()
            else:
                sort, index = self._sort_index()
            self.close()
            args.append(name + SORT_BYTES[sort] + uleb(index))
        self.close()
        return self.scope.define(Sort.INSTANCE, scope.INSTANCE, b"\0" + uleb(component) + vector(args))

    def _bundle(self) -> int:
        exports = []
        while self.open("export"):
            name = self.extern_name()
            sort, index = self._sort_index()
            exports.append(name + SORT_BYTES[sort] + uleb(index))
            self.close()
        return self.scope.define(Sort.INSTANCE, scope.INSTANCE, b"\x01" + vector(exports))

    # --- types, functions, imports, exports ---

    def type(self) -> None:
        binder = self.binder()
        exports = self._inline_exports()
        if self.head() == "alias":
            index = self.inverted_alias(Sort.TYPE)
        else:
            index = self.scope.define_type(self.deftype())
        self.bind(Sort.TYPE, index, binder)
        self._export_inline(Sort.TYPE, exports, index)

    def func(self) -> None:
        self._define(Sort.FUNC, self._lifted)

    def _lifted(self) -> int:
        """`typeuse (canon lift f options)`."""
        type_index = self.func_type_use()
        self.expect_open("canon")
        if not self.accept("lift"):
            self.unexpected("`lift`")
        core_func = self.index(Sort.CORE_FUNC)
        options = self._options()
        self.close()
        return self._add_lift(core_func, options, type_index)

    def _add_lift(self, core_func: int, options: bytes, type_index: int) -> int:
        return self.scope.define(Sort.FUNC, scope.CANON, b"\0\0" + uleb(core_func) + options + uleb(type_index))

    def import_(self) -> None:
        self.extern_field(scope.IMPORT)

    def export(self) -> None:
        binder = self.binder()
        name = self.extern_name()
        sort, index = self._sort_index()
        ascribed = b"\0"
        if self.toks[self.i] == "(":
            at = self.i
            ascribed_sort, _, desc = self.extern_desc()
            if ascribed_sort is not sort:
                self.fail(
                    f"the type ascribed to the export is of sort {ascribed_sort.value}, expected {sort.value}", at
                )
            ascribed = b"\x01" + desc
        self.bind(sort, self._add_export(sort, name, index, ascribed), binder)

    def start(self) -> None:
        func = self.index(Sort.FUNC)
        args = []
        while self.open("value"):
            args.append(uleb(self._target(Sort.VALUE)))
            self.close()
        results = []
        while self.open("result"):
            self.expect_open("value")
            results.append(self.binder())
            self.close()
            self.close()
        self.scope.add(scope.START, uleb(func) + vector(args) + uleb(len(results)))
        space = self.scope.spaces[Sort.VALUE]
        for binder in results:
            space.count += 1
            self.bind(Sort.VALUE, space.count - 1, binder)

    def value(self) -> None:
        self._define(Sort.VALUE, self._value)

    def _value(self) -> int:
        ty = self.component_valtype()
        data = encode_value(self, ty)
        return self.scope.define(Sort.VALUE, scope.VALUE, ty + sized(data))

    # --- canonical definitions ---

    def canon(self) -> None:
        """`canon lift f options (func id? typeuse)`, or any other with `(core func id?)` after it."""
        if self.accept("lift"):
            core_func = self.index(Sort.CORE_FUNC)
            options = self._options()
            self.expect_open("func")
            binder = self.binder()
            exports = self._inline_exports()
            type_index = self.func_type_use()
            self.close()
            index = self._add_lift(core_func, options, type_index)
            self.bind(Sort.FUNC, index, binder)
            self._export_inline(Sort.FUNC, exports, index)
            return
        canon = self._canon_core()
        binder = (None, self.i, None)
        if self.open("core"):
            if not self.accept("func"):
                self.unexpected("`func`")
            binder = self.binder()
            self.close()
        self.bind(Sort.CORE_FUNC, self.scope.define(Sort.CORE_FUNC, scope.CANON, canon), binder)

    def _canon_core(self) -> bytes:
        """A canonical definition that makes a core function, after `canon`."""
        word = self.toks[self.i]
        if word == "lower":
            self.i += 1
            func = self.index(Sort.FUNC)
            return b"\x01\0" + uleb(func) + self._options()
        if word not in _BUILTIN_CODES:
            self.unexpected("`lift`, `lower` or a canonical built-in")
        self.i += 1
        code, immediates = _BUILTIN_CODES[word]
        return bytes((code,)) + b"".join([_IMMEDIATES[immediate](self) for immediate in immediates])

    def _flag(self, word: str) -> bytes:
        return b"\x01" if self.accept(word) else b"\0"

    def _memory_option(self) -> bytes:
        if self.open("memory"):
            out = uleb(self.index(Sort.CORE_MEMORY))
            self.close()
            return out
        self.unexpected("`(memory`")

    def _table(self) -> bytes:
        """An index, or `(table ...)` as older texts have it."""
        return uleb(self.index(Sort.CORE_TABLE))

    def _options(self) -> bytes:
        options = []
        while True:
            token = self.toks[self.i]
            if token in _ENCODINGS:
                self.i += 1
                options.append(bytes((_ENCODINGS[token],)))
            elif token == "async":
                self.i += 1
                options.append(b"\x06")
            elif self.head() in _INDEX_OPTIONS:
                code = _INDEX_OPTIONS[self.toks[self.i + 1]]
                self.i += 2
                sort = Sort.CORE_MEMORY if code == 3 else Sort.CORE_FUNC
                options.append(bytes((code,)) + uleb(self.index(sort)))
                self.close()
            else:
                return vector(options)


def _contents(section: bytes) -> bytes:
    """A custom section without its code and size."""
    at = 1
    while section[at] & 0x80:
        at += 1
    return section[at + 1 :]


_IMMEDIATES: dict[str, Callable[[ComponentEncoder], bytes]] = {
    "type": lambda p: uleb(p.index(Sort.TYPE)),
    "core_type": lambda p: uleb(p.index(Sort.CORE_TYPE)),
    "core_valtype": lambda p: p.valtype(),
    "slot": lambda p: uleb(p.u32("a context slot")),
    "table": ComponentEncoder._table,
    "memory": ComponentEncoder._memory_option,
    "options": ComponentEncoder._options,
    "result": lambda p: p.result(),
    "async_": lambda p: p._flag("async"),
    "cancellable": lambda p: p._flag("cancellable"),
    "shared": lambda p: p._flag("shared"),
}
_FIELDS: dict[str, Callable[[ComponentEncoder], None]] = {
    "core": ComponentEncoder.core,
    "component": ComponentEncoder.nested,
    "instance": ComponentEncoder.instance,
    "alias": ComponentEncoder.alias,
    "type": ComponentEncoder.type,
    "func": ComponentEncoder.func,
    "import": ComponentEncoder.import_,
    "export": ComponentEncoder.export,
    "start": ComponentEncoder.start,
    "value": ComponentEncoder.value,
    "canon": ComponentEncoder.canon,
}
assert set(_FIELDS) >= set(PLAIN_WORDS)
