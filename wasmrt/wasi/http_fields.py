"""Fields of wasi:http: headers and trailers, checked as the interface says, and what a guest may collect of them is limited.

Handles cost a guest nothing, what is behind them costs the host: so fields and messages are charged to a budget of their store for as long as they live.
"""

from __future__ import annotations

import re
import weakref
from collections.abc import Iterable
from typing import Any

from wasmrt.errors import Trap, WitError
from wasmrt.runtime.values import Variant

MAX_HEADER_BYTES = 1 << 20  # of one Fields: names, values, and FIELD_BYTES for each of them
FIELD_BYTES = 32

BUDGET_BYTES = 1 << 28  # of all fields and messages that the guests of one store have
EMPTY_BYTES = 1 << 9  # of an object that has nothing yet

TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_BAD_VALUE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]|^[ \t]|[ \t]$")
# those of a connection, which are the host's business, and the authority's
FORBIDDEN_NAMES = frozenset(
    {"connection", "host", "http2-settings", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "transfer-encoding", "upgrade"}
)
INVALID_SYNTAX, FORBIDDEN, IMMUTABLE = Variant("invalid-syntax"), Variant("forbidden"), Variant("immutable")


def is_name(name: str) -> bool:
    return TOKEN.fullmatch(name) is not None


def is_value(value: bytes) -> bool:
    return _BAD_VALUE.search(value) is None


class Budget:
    """What is left for a store's guests."""

    def __init__(self) -> None:
        self.left = BUDGET_BYTES


_budgets: weakref.WeakKeyDictionary[Any, Budget] = weakref.WeakKeyDictionary()


class Charge:
    """A part of a store's budget, given back when nothing refers to it. Raises Trap when there is no more."""

    def __init__(self, store: Any, size: int) -> None:
        budget = _budgets.get(store)
        self._budget = _budgets[store] = Budget() if budget is None else budget
        self._size = 0
        self.add(size)

    def add(self, size: int) -> None:
        if size > self._budget.left:
            raise Trap(f"guests of a store have more than {BUDGET_BYTES} bytes of messages and headers")
        self._budget.left -= size
        self._size += size

    def __del__(self) -> None:
        self._budget.left += self._size


class Fields:
    """wasi:http/types fields: headers or trailers in order; names are compared without case.

    `parent`: the message whose `headers` this is, which has to outlive it.
    """

    def __init__(self) -> None:
        self._items: list[tuple[str, bytes]] = []
        self._size = 0
        self.immutable = False
        self._parent: Any = None
        self._charge: Charge | None = None

    def charged(self, store: Any) -> Fields:
        """To the store's budget, with what is added later."""
        self._charge = Charge(store, EMPTY_BYTES + self._size)
        return self

    def _grow(self, size: int) -> None:
        if self._charge is not None:
            self._charge.add(size)
        self._size += size

    @staticmethod
    def from_list(entries: list[tuple[str, bytes]]) -> Fields:
        fields = Fields()
        for name, value in entries:
            fields.append(name, value)
        return fields

    @staticmethod
    def received(entries: Iterable[tuple[str, bytes]]) -> Fields:
        """Of a message from outside, immutable, without what is about the connection. Raises ValueError: the text says what is wrong."""
        fields = Fields()
        fields.immutable = True
        for name, value in entries:
            if not is_name(name):
                raise ValueError("a header's name is malformed")
            value = value.strip(b" \t")
            if not is_value(value):
                raise ValueError(f"the value of the header {name} is malformed")
            if name.lower() not in FORBIDDEN_NAMES:
                fields._size += _size(name, value)
                fields._items.append((name, value))
        if fields._size > MAX_HEADER_BYTES:
            raise ValueError("too many headers")
        return fields

    def _check(self, name: str, values: list[bytes]) -> None:
        if self.immutable:
            raise WitError(IMMUTABLE)
        if not is_name(name) or not all(map(is_value, values)):
            raise WitError(INVALID_SYNTAX)
        if name.lower() in FORBIDDEN_NAMES:
            raise WitError(FORBIDDEN)
        if self._size + sum(_size(name, value) for value in values) > MAX_HEADER_BYTES:
            raise Trap(f"a guest collected more than {MAX_HEADER_BYTES} bytes of headers")

    def _remove(self, name: str) -> None:
        key = name.lower()
        self._items = [item for item in self._items if item[0].lower() != key]
        self._size = sum(_size(*item) for item in self._items)

    def get(self, name: str) -> list[bytes]:
        key = name.lower()
        return [value for known, value in self._items if known.lower() == key]

    def has(self, name: str) -> bool:
        return bool(self.get(name))

    def set(self, name: str, value: list[bytes]) -> None:
        self._check(name, value)
        self._remove(name)
        self._grow(sum(_size(name, item) for item in value))
        self._items += [(name, item) for item in value]

    def delete(self, name: str) -> None:
        self._check(name, [])
        self._remove(name)

    def append(self, name: str, value: bytes) -> None:
        self._check(name, [value])
        self._grow(_size(name, value))
        self._items.append((name, value))

    def entries(self) -> list[tuple[str, bytes]]:
        return list(self._items)

    def clone(self) -> Fields:
        fields = Fields()
        fields._items, fields._size = list(self._items), self._size
        return fields

    def frozen(self) -> Fields:
        fields = self.clone()
        fields.immutable = True
        fields._charge = self._charge
        return fields

    def child_of(self, parent: Any) -> Fields:
        """An immutable view, counted in `parent.children` until it is closed."""
        fields = Fields()
        fields._items, fields._size, fields._charge = self._items, self._size, self._charge
        fields.immutable = True
        fields._parent = parent
        parent.children += 1
        return fields

    def close(self) -> None:
        """The guest has dropped it, or given it away."""
        if self._parent is not None:
            self._parent.children -= 1
            self._parent = None


def _size(name: str, value: bytes) -> int:
    return len(name) + len(value) + FIELD_BYTES
