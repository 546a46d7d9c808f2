"""Types of the component model, indices and the aliases that text leaves unwritten.

A position that takes an index has a number, an identifier, or `(sort index)`; with names after the index it is an export
of an instance, and an alias of it is added first. Options of older texts leave the sort or the `core` out; both are read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from wasmrt.binary.records import Sort
from wasmrt.binary.type_decoder import PRIMITIVES
from wasmrt.spec import limits
from wasmrt.spec.leb128 import sized, sleb, uleb, vector

from . import lexer
from .core_types import TypeParser
from .lexer import Source
from .parser import ID
from .scope import (
    ALIAS,
    CORE_EXPORTS,
    CORE_SORT_BYTES,
    CORE_TYPE,
    CORE_WORDS,
    EXPORT,
    IMPORT,
    OUTER_SORTS,
    PLAIN_WORDS,
    SORT_BYTES,
    Scope,
)

PRIMITIVE_BYTES = {str(ty): bytes((code,)) for code, ty in PRIMITIVES.items()}
ATTRIBUTES = {"implements": 0, "versionsuffix": 1, "external-id": 2}
# components and types within each other are read by recursion
MAX_NESTING = limits.COMPONENT_TYPE_DEPTH


class ComponentTypeParser(TypeParser):
    """Reads types into `scope`, the innermost component or type."""

    __slots__ = ("depth", "scope")

    def __init__(self, source: Source, at: int, scope: Scope) -> None:
        super().__init__(source, at)
        self.scope = scope
        self.depth = 0

    def enter(self) -> None:
        self.depth += 1
        if self.depth > MAX_NESTING:
            self.fail(f"nested too deeply: more than {MAX_NESTING} components and types within each other")

    def type_index(self) -> int:
        return self.index(Sort.CORE_TYPE)

    # --- names and binding ---

    def binder(self) -> tuple[ID | None, int, bytes | None]:
        """`id? (@name "...")?` of something that takes an index, for `bind`."""
        at = self.i
        name = self.optional_id()
        annotated = self.name_annotation() if self.toks[self.i] == lexer.NAME else None
        return name, at, annotated

    def bind(self, sort: Sort, index: int, binder: tuple[ID | None, int, bytes | None]) -> None:
        name, at, annotated = binder
        if name is not None:
            ids = self.scope.spaces[sort].ids
            if name in ids:
                self.fail(f"duplicate {sort.value} identifier {lexer.shown(name)}", at)
            ids[name] = index
        if annotated is not None or name is not None:
            self.scope.named.setdefault(sort, {})[index] = annotated if annotated is not None else name[1:].encode()  # type: ignore[index]

    def extern_name(self) -> bytes:
        """A name with its attributes."""
        name = sized(self.name())
        attributes: dict[int, bytes] = {}
        while self.head() in ATTRIBUTES:
            at = self.i
            word = self.toks[self.i + 1]
            self.i += 2
            if ATTRIBUTES[word] in attributes:
                self.fail(f"duplicate '{word}' option in name", at)
            attributes[ATTRIBUTES[word]] = sized(self.name())
            self.close()
        if not attributes:
            return b"\0" + name
        return b"\x02" + name + vector([bytes((code,)) + value for code, value in sorted(attributes.items())])

    # --- indices ---

    def sort(self, *, core: bool = False) -> Sort:
        """A sort's words, after `(`. With `core`, those of core sorts without `core`."""
        token = self.toks[self.i]
        if core or token == "core":
            if token == "core":
                self.i += 1
                if core:
                    self.unexpected("a core sort without `core`, which is said before", self.i - 1)
            found = CORE_WORDS.get(self.toks[self.i])
        else:
            found = PLAIN_WORDS.get(token)
        if found is None:
            self.unexpected("a core sort" if core else "a sort: core, func, value, type, component or instance")
        self.i += 1
        return found

    def index(self, sort: Sort) -> int:
        """A number, an identifier here or further out, or `(sort ...)`; names after it make it an export's alias."""
        if self.toks[self.i] != "(":
            return self._target(sort)
        at = self.i
        self.i += 1
        found = CORE_WORDS.get(self.toks[self.i]) if sort in CORE_SORT_BYTES else None
        if found is not None:
            self.i += 1
        else:
            found = self.sort()
        if found is not sort:
            self.unexpected(f"`({sort.value}`", at)
        index = self._target(sort)
        self.close()
        return index

    def _target(self, sort: Sort) -> int:
        """`index name*`."""
        if self.toks[self.i + 1][:1] != '"':
            return self._bare(sort)
        if sort in CORE_EXPORTS:
            instance = self._bare(Sort.CORE_INSTANCE)
            return self._alias(sort, b"\x01" + uleb(instance) + sized(self.name()))
        instance = self._bare(Sort.INSTANCE)
        while True:
            name = sized(self.name())
            step = Sort.INSTANCE if self.at_string() else sort
            instance = self._alias(step, b"\0" + uleb(instance) + name)
            if not self.at_string():
                return instance

    def _alias(self, sort: Sort, target: bytes) -> int:
        return self.scope.define(sort, ALIAS, SORT_BYTES[sort] + target)

    def _bare(self, sort: Sort) -> int:
        token = self.toks[self.i]
        if token[:1] != "$":
            return self.u32(f"the index of a {sort.value}")
        at = self.i
        name = self.ident()
        scope: Scope | None = self.scope
        count = 0
        while scope is not None:
            found = scope.spaces[sort].ids.get(name)
            if found is None and count == 0:
                found = scope.outer.get((sort, name))
            if found is not None:
                return found if count == 0 else self._outer(sort, count, found, name)
            if sort not in OUTER_SORTS:
                self._unknown(sort, name, at)
            scope = scope.parent
            count += 1
        self._unknown(sort, name, at)

    def _unknown(self, sort: Sort, name: ID, at: int) -> NoReturn:
        outer = self.scope.parent
        while outer is not None and name not in outer.spaces[sort].ids:
            outer = outer.parent
        why = "" if outer is None else f": outer item `{name[1:]}` is not a module, type, or component"
        self.fail(f"unknown {sort.value} {lexer.shown(name)}{why}", at)

    def _outer(self, sort: Sort, count: int, index: int, name: ID) -> int:
        made = self._alias_outer(sort, count, index)
        self.scope.outer[sort, name] = made
        return made

    def _alias_outer(self, sort: Sort, count: int, index: int) -> int:
        code = CORE_SORT_BYTES[sort] + b"\x01" if self.scope.kind == "module type" else SORT_BYTES[sort] + b"\x02"
        return self.scope.define(sort, ALIAS, code + uleb(count) + uleb(index))

    # --- aliases ---

    def alias(self) -> None:
        """After `(alias`, without its `)`."""
        target = self._alias_target()
        self.expect_sort_and_bind(target)

    def _alias_target(self) -> Callable[[Sort], int]:
        """`export i "n"`, `core export i "n"` or `outer c i`: what makes the alias once its sort is known."""
        if self.accept("outer"):
            at = self.i
            count = self._outer_count()
            scope: Scope | None = self.scope
            for _ in range(count):
                scope = scope.parent if scope is not None else None
            where = self.i
            token = self.toks[where]
            if token[:1] == "$":
                self.ident()
            else:
                self.u32("an index")

            def outer(sort: Sort) -> int:
                if sort not in OUTER_SORTS:
                    self.fail(f"an outer alias cannot be of a {sort.value}", at)
                if token[:1] != "$":
                    return self._alias_outer(sort, count, int(token.replace("_", ""), 0))
                found = scope.spaces[sort].ids.get(self.ident(where)) if scope is not None else None
                if found is None:
                    self.fail(f"unknown {sort.value} {lexer.shown(token)}", where)
                return self._alias_outer(sort, count, found)

            return outer
        core = self.accept("core")
        if not self.accept("export"):
            self.unexpected("`export`, `core export` or `outer`")
        sort = Sort.CORE_INSTANCE if core else Sort.INSTANCE
        instance = self.index(sort) if self.toks[self.i] == "(" else self._bare(sort)
        target = (b"\x01" if core else b"\0") + uleb(instance) + sized(self.name())
        return lambda sort: self._alias(sort, target)

    def _outer_count(self) -> int:
        if not self.at_id():
            return self.u32("the number of scopes to go out")
        at = self.i
        name = self.ident()
        scope: Scope | None = self.scope
        count = 0
        while scope is not None:
            if scope.name == name:
                return count
            scope = scope.parent
            count += 1
        self.fail(f"outer component {lexer.shown(name)} not found", at)

    def expect_sort_and_bind(self, make: Callable[[Sort], int]) -> None:
        """`(sort id?)`, which the alias defines."""
        self.expect("(")
        sort = self.sort(core=self.scope.kind == "module type")
        binder = self.binder()
        self.close()
        self.bind(sort, make(sort), binder)

    def inverted_alias(self, sort: Sort) -> int:
        """`(alias ...)` within the definition of a sort."""
        self.expect_open("alias")
        index = self._alias_target()(sort)
        self.close()
        return index

    # --- value types ---

    def component_valtype(self) -> bytes:
        """A value type as the binary refers to it; what is not primitive is defined first."""
        code = PRIMITIVE_BYTES.get(self.toks[self.i])
        if code is not None:
            self.i += 1
            return code
        if self.toks[self.i] == "(" and self.toks[self.i + 1] in _VALUE_TYPES:
            return sleb(self.scope.define_type(self.component_valtype_def()))
        return sleb(self.index(Sort.TYPE))

    def component_valtype_def(self) -> bytes:
        code = PRIMITIVE_BYTES.get(self.toks[self.i])
        if code is not None:
            self.i += 1
            return code
        word = self.head()
        if word not in _VALUE_TYPES:
            self.unexpected("a value type")
        self.i += 2
        self.enter()
        out = _VALUE_TYPES[word](self)
        self.depth -= 1
        self.close()
        return out

    def _at_valtype(self) -> bool:
        return self.toks[self.i] not in (")", "(") or self.head() in _VALUE_TYPES or self.head() == "type"

    def _optional_valtype(self) -> bytes:
        return b"\x01" + self.component_valtype() if self._at_valtype() else b"\0"

    def _labels(self) -> bytes:
        names = []
        while self.toks[self.i] != ")":
            names.append(sized(self.name("a label in quotes")))
        return vector(names)

    def _record(self) -> bytes:
        fields = []
        while self.open("field"):
            name = sized(self.name())
            fields.append(name + self.component_valtype())
            self.close()
        return b"\x72" + vector(fields)

    def _variant(self) -> bytes:
        cases = []
        while self.open("case"):
            self.optional_id()
            name = sized(self.name())
            cases.append(name + self._optional_valtype() + b"\0")
            self.close()
        return b"\x71" + vector(cases)

    def _list(self) -> bytes:
        element = self.component_valtype()
        if self.toks[self.i] == ")":
            return b"\x70" + element
        return b"\x67" + element + uleb(self.u32("the list's length or `)`"))

    def _tuple(self) -> bytes:
        elements = []
        while self.toks[self.i] != ")":
            elements.append(self.component_valtype())
        return b"\x6f" + vector(elements)

    def _result(self) -> bytes:
        ok = self._optional_valtype()
        error = b"\0"
        if self.open("error"):
            error = b"\x01" + self.component_valtype()
            self.close()
        return b"\x6a" + ok + error

    def _map(self) -> bytes:
        key = self.component_valtype()
        return b"\x63" + key + self.component_valtype()

    # --- definitions of types ---

    def deftype(self) -> bytes:
        """What `(type id? ...)` defines."""
        word = self.head()
        if word == "func":
            self.i += 2
            out = self.functype()
        elif word in ("component", "instance"):
            self.i += 2
            out = self.declared_type(word)
        elif word == "resource":
            self.i += 2
            return self._resource()
        else:
            return self.component_valtype_def()
        self.close()
        return out

    def functype(self) -> bytes:
        """`async? (param "n" t)* (result t)?`."""
        code = b"\x43" if self.accept("async") else b"\x40"
        params = []
        while self.open("param"):
            name = sized(self.name("the parameter's name in quotes"))
            params.append(name + self.component_valtype())
            self.close()
        return code + vector(params) + self.result()

    def result(self) -> bytes:
        """`(result t)?`, as functions have it."""
        if not self.open("result"):
            return b"\x01\0"
        out = b"\0" + self.component_valtype()
        self.close()
        return out

    def _resource(self) -> bytes:
        self.expect_open("rep")
        out = b"\x3f" + self.valtype()
        self.close()
        dtor = b"\0"
        if self.open("dtor"):
            dtor = b"\x01" + uleb(self.index(Sort.CORE_FUNC))
            self.close()
        self.close()
        return out + dtor

    def declared_type(self, word: str) -> bytes:
        """The declarations of a component or instance type, up to its `)`."""
        self.enter()
        self.scope = scope = Scope(word + " type", self.scope)
        while self.toks[self.i] != ")":
            self._declaration(word)
        assert scope.parent is not None
        self.scope = scope.parent
        self.depth -= 1
        return (b"\x41" if word == "component" else b"\x42") + scope.vector()

    def _declaration(self, word: str) -> None:
        head = self.head()
        self.i += 2
        match head:
            case "core":
                if self.toks[self.i] not in ("type", "rec"):
                    self.unexpected("`type` or `rec`")
                self.i += 1
                self.core_type(self.toks[self.i - 1])
            case "type":
                self.type_field()
            case "alias":
                self.alias()
            case "import" if word == "component":
                self.extern_field(IMPORT)
            case "export":
                self.extern_field(EXPORT)
            case _:
                self.i -= 2
                self.unexpected("a declaration: core type, type, alias, import or export, or `)`")
        self.close()

    def type_field(self) -> int:
        """After `(type`: defines a type."""
        binder = self.binder()
        if self.head() == "alias":
            index = self.inverted_alias(Sort.TYPE)
        else:
            index = self.scope.define_type(self.deftype())
        self.bind(Sort.TYPE, index, binder)
        return index

    def extern_field(self, section: int) -> None:
        """`"name" attributes externdesc` of an import, or of an export in a type."""
        name = self.extern_name()
        sort, binder, desc = self.extern_desc()
        self.bind(sort, self.scope.define(sort, section, name + desc), binder)

    def extern_desc(self) -> tuple[Sort, tuple[ID | None, int, bytes | None], bytes]:
        """`(sort id? type)`."""
        self.expect("(")
        at = self.i
        sort = self.sort()
        binder = self.binder()
        desc = self.extern_type(sort, at)
        self.close()
        return sort, binder, desc

    def extern_type(self, sort: Sort, at: int) -> bytes:
        """The type of an import or export of that sort, up to the `)`."""
        match sort:
            case Sort.CORE_MODULE:
                return b"\0\x11" + uleb(self._type_use(Sort.CORE_TYPE, self._define_module_type))
            case Sort.FUNC:
                return b"\x01" + uleb(self.func_type_use())
            case Sort.COMPONENT | Sort.INSTANCE:
                code = b"\x04" if sort is Sort.COMPONENT else b"\x05"
                return code + uleb(
                    self._type_use(Sort.TYPE, lambda: self.scope.define_type(self.declared_type(sort.value)))
                )
            case Sort.TYPE:
                return b"\x03" + self._type_bound()
            case Sort.VALUE:
                if self.open("eq"):
                    out = b"\x02\0" + uleb(self.index(Sort.VALUE))
                    self.close()
                    return out
                return b"\x02\x01" + self.component_valtype()
        self.unexpected("`(core module`, `(func`, `(value`, `(type`, `(component` or `(instance`", at)

    def _type_bound(self) -> bytes:
        if self.open("eq"):
            out = b"\0" + uleb(self.index(Sort.TYPE))
        elif self.open("sub"):
            if not self.accept("resource"):
                self.unexpected("`resource`")
            out = b"\x01"
        else:
            self.unexpected("`(eq` or `(sub resource)`")
        self.close()
        return out

    def _type_use(self, sort: Sort, define: Callable[[], int]) -> int:
        """`(type index)`, or a type written out, which is defined first."""
        if self.head() == "type" and self._is_type_use():
            self.i += 2
            index = self._target(sort)
            self.close()
            return index
        return define()

    def _is_type_use(self) -> bool:
        """Whether `(type ...` refers to a type rather than declaring one: an index and nothing but names after it."""
        token = self.toks[self.i + 2]
        if token[:1] != "$" and not "0" <= token[:1] <= "9":
            return False
        at = self.i + 3
        while self.toks[at][:1] == '"':
            at += 1
        return self.toks[at] == ")"

    def func_type_use(self) -> int:
        return self._type_use(Sort.TYPE, lambda: self.scope.define_type(self.functype()))

    # --- core types ---

    def core_type(self, word: str) -> None:
        """After `(core type` or `(core rec`, up to its `)`."""
        scope = self.scope
        if word == "rec":
            binders = []
            at, depth = self.i, self.scope.spaces[Sort.CORE_TYPE].count
            while self.open("type"):
                binders.append(self.binder())
                self.bind(Sort.CORE_TYPE, depth + len(binders) - 1, binders[-1])
                self.skip()
            self.i = at
            group = []
            while self.open("type"):
                self.binder()
                group.append(self.sub_type()[0])
                self.close()
            scope.add(CORE_TYPE, b"\x4e" + vector(group))
            scope.spaces[Sort.CORE_TYPE].count += len(group)
            return
        binder = self.binder()
        if self.head() == "alias":
            self.bind(Sort.CORE_TYPE, self.inverted_alias(Sort.CORE_TYPE), binder)
            return
        if self.open("module"):
            index = self._define_module_type()
            self.close()
        else:
            body = self.sub_type()[0]
            # 0x50 alone would be a module type
            index = scope.define(Sort.CORE_TYPE, CORE_TYPE, (b"\0" if body[0] == 0x50 else b"") + body)
        self.bind(Sort.CORE_TYPE, index, binder)

    def _define_module_type(self) -> int:
        """Module type declarations, up to the `)`."""
        self.enter()
        self.scope = scope = Scope("module type", self.scope)
        while self.toks[self.i] != ")":
            head = self.head()
            self.i += 2
            match head:
                case "type" | "rec":
                    self.core_type(head)
                case "alias":
                    self.alias()
                case "import":
                    names = sized(self.name()) + sized(self.name())
                    scope.add(IMPORT, names + self._core_extern())
                case "export":
                    name = sized(self.name())
                    scope.add(EXPORT, name + self._core_extern())
                case _:
                    self.i -= 2
                    self.unexpected("a declaration: type, alias, import or export, or `)`")
            self.close()
        assert scope.parent is not None
        self.scope = scope.parent
        self.depth -= 1
        return self.scope.define(Sort.CORE_TYPE, CORE_TYPE, b"\x50" + scope.vector())

    def _core_extern(self) -> bytes:
        """`(func ...)`, `(table ...)`, ... with its parentheses."""
        word = self.head()
        if word not in _CORE_EXTERNS:
            self.unexpected("`(func`, `(table`, `(memory`, `(global` or `(tag`")
        self.i += 2
        self.optional_id()
        out = _CORE_EXTERNS[word](self)
        self.close()
        return out

    def _core_signature(self) -> bytes:
        use = self.type_use()
        if use.type_index is not None:
            return uleb(use.type_index)
        return uleb(self.scope.define(Sort.CORE_TYPE, CORE_TYPE, use.signature.encode()))


_VALUE_TYPES: dict[str, Callable[[ComponentTypeParser], bytes]] = {
    "record": ComponentTypeParser._record,
    "variant": ComponentTypeParser._variant,
    "list": ComponentTypeParser._list,
    "tuple": ComponentTypeParser._tuple,
    "flags": lambda p: b"\x6e" + p._labels(),
    "enum": lambda p: b"\x6d" + p._labels(),
    "option": lambda p: b"\x6b" + p.component_valtype(),
    "result": ComponentTypeParser._result,
    "own": lambda p: b"\x69" + uleb(p.index(Sort.TYPE)),
    "borrow": lambda p: b"\x68" + uleb(p.index(Sort.TYPE)),
    "stream": lambda p: b"\x66" + p._optional_valtype(),
    "future": lambda p: b"\x65" + p._optional_valtype(),
    "map": ComponentTypeParser._map,
}
_CORE_EXTERNS: dict[str, Callable[[ComponentTypeParser], bytes]] = {
    "func": lambda p: b"\0" + p._core_signature(),
    "table": lambda p: b"\x01" + p.table_type(),
    "memory": lambda p: b"\x02" + p.limits(memory=True).encode(),
    "global": lambda p: b"\x03" + p.global_type(),
    "tag": lambda p: b"\x04\0" + p._core_signature(),
}
