"""Scopes of components and of component, instance and module types: their index spaces and what is written in them.

A definition is complete when it is read, since everything refers backwards: a scope collects bytes, and whatever a
definition needs first (an anonymous type, an alias) is simply added before it. An identifier of an enclosing scope is
reached through an outer alias, made at its first use and found again after that.
"""

from __future__ import annotations

from wasmrt.binary.records import Sort
from wasmrt.binary.type_decoder import CORE_SORTS, SORTS
from wasmrt.spec.leb128 import sized, uleb, vector

from .parser import ID, Space

CORE_SORT_BYTES = {sort: bytes((code,)) for code, sort in CORE_SORTS.items()}
SORT_BYTES = {sort: bytes((code,)) for code, sort in SORTS.items()} | {
    sort: b"\0" + code for sort, code in CORE_SORT_BYTES.items()
}
# by the word in text, after `core` or without it
CORE_WORDS = {sort.value.removeprefix("core "): sort for sort in CORE_SORT_BYTES}
PLAIN_WORDS = {sort.value: sort for sort in SORTS.values()}
# what an outer alias can reach
OUTER_SORTS = frozenset((Sort.TYPE, Sort.CORE_TYPE, Sort.CORE_MODULE, Sort.COMPONENT))
# what a core instance exports; all else is exported by component instances
CORE_EXPORTS = frozenset((Sort.CORE_FUNC, Sort.CORE_TABLE, Sort.CORE_MEMORY, Sort.CORE_GLOBAL, Sort.CORE_TAG))

# sections of a component
CUSTOM, CORE_MODULE, CORE_INSTANCE, CORE_TYPE, COMPONENT, INSTANCE, ALIAS, TYPE, CANON, START, IMPORT, EXPORT, VALUE = (
    range(13)
)
# declarations in a component or instance type, and in a module type
_DECLARATIONS = {CORE_TYPE: 0, TYPE: 1, ALIAS: 2, IMPORT: 3, EXPORT: 4}
_MODULE_DECLARATIONS = {IMPORT: 0, CORE_TYPE: 1, ALIAS: 2, EXPORT: 3}
# sections that hold one item each, not a vector
_SINGLE = frozenset((CUSTOM, CORE_MODULE, COMPONENT, START))


class _Spaces(dict[Sort, Space]):
    """The index spaces of a scope, made when first asked for."""

    __slots__ = ()

    def __missing__(self, sort: Sort) -> Space:
        space = self[sort] = Space(sort.value)
        return space


class Scope:
    """A component, or a component, instance or module type. `kind` is the word that opens it."""

    __slots__ = (
        "declared",
        "inline_exports",
        "items",
        "kind",
        "name",
        "named",
        "outer",
        "parent",
        "spaces",
        "type_defs",
    )

    def __init__(self, kind: str, parent: Scope | None, name: ID | None = None) -> None:
        self.kind = kind
        self.parent = parent
        self.name = name
        self.declared = {"component": None, "module type": _MODULE_DECLARATIONS}.get(kind, _DECLARATIONS)
        self.items: list[tuple[int, bytes]] = []
        self.spaces = _Spaces()
        self.named: dict[Sort, dict[int, bytes]] = {}
        self.outer: dict[tuple[Sort, ID], int] = {}
        # of a component: what to export after its last field
        self.inline_exports: list[tuple[Sort, bytes, int]] = []
        # the bytes of the types defined here, by index
        self.type_defs: dict[int, bytes] = {}

    def add(self, section: int, item: bytes) -> None:
        self.items.append((section, item))

    def define(self, sort: Sort, section: int, item: bytes) -> int:
        """Adds an item that takes an index."""
        self.items.append((section, item))
        space = self.spaces[sort]
        space.count += 1
        return space.count - 1

    def define_type(self, item: bytes) -> int:
        index = self.define(Sort.TYPE, TYPE, item)
        self.type_defs[index] = item
        return index

    def vector(self) -> bytes:
        """The declarations of a type."""
        assert self.declared is not None
        return vector([bytes((self.declared[section],)) + item for section, item in self.items])

    def sections(self) -> bytes:
        """The sections of a component: neighbours of one kind share a section."""
        out = []
        run: list[bytes] = []
        items = self.items
        for number, (section, item) in enumerate(items):
            if section in _SINGLE:
                out.append(bytes((section,)) + sized(item))
                continue
            run.append(item)
            if number + 1 == len(items) or items[number + 1][0] != section:
                out.append(bytes((section,)) + sized(vector(run)))
                run = []
        return b"".join(out)

    def names(self) -> bytes:
        """The body of the `component-name` section, or nothing."""
        out = b"" if self.name is None else _subsection(0, sized(self.name[1:].encode()))
        for sort in _NAME_ORDER if self.named else ():
            found = self.named.get(sort)
            if found:
                names = [uleb(index) + sized(name) for index, name in sorted(found.items())]
                out += _subsection(1, SORT_BYTES[sort] + vector(names))
        return out


_NAME_ORDER = (
    Sort.CORE_FUNC,
    Sort.CORE_TABLE,
    Sort.CORE_MEMORY,
    Sort.CORE_GLOBAL,
    Sort.CORE_TAG,
    Sort.CORE_TYPE,
    Sort.CORE_MODULE,
    Sort.CORE_INSTANCE,
    Sort.FUNC,
    Sort.VALUE,
    Sort.TYPE,
    Sort.COMPONENT,
    Sort.INSTANCE,
)


def _subsection(code: int, body: bytes) -> bytes:
    return bytes((code,)) + sized(body)
