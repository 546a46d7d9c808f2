"""A cursor over the tokens of a text: what every grammar here is read with, and how a mistake is reported.

Nothing is built in between: each parser reads tokens and writes bytes. Parsers that take turns on one text (a component
and the core modules in it, a script) share the Source and hand on the position.
"""

from __future__ import annotations

from typing import NoReturn

from . import lexer, numbers
from .lexer import Source

ID = str
"""An identifier in its normal form: "$" and the name."""


class Cursor:
    __slots__ = ("i", "source", "toks")

    def __init__(self, source: Source, at: int = 0) -> None:
        self.source = source
        self.toks = source.tokens
        self.i = at

    # --- errors ---

    def fail(self, message: str, at: int | None = None) -> NoReturn:
        raise self.source.error(self.i if at is None else at, message)

    def unexpected(self, expected: str, at: int | None = None) -> NoReturn:
        where = self.i if at is None else at
        token = self.toks[where]
        if token in lexer.ANNOTATIONS:
            self.fail(f"misplaced {token[1:]} annotation: expected {expected}", at)
        bad = lexer.describe_bad(token)
        if bad is not None:
            self.fail(bad, at)
        if not token:
            # a quote that is missing swallows what closes
            for index in range(self.i, len(self.toks)):
                word = self.toks[index]
                if word[:1] in ('"', "$") and (bad := lexer.describe_bad(word)) is not None:
                    self.fail(bad if word[0] == '"' else f"empty identifier: {bad}", index)
        if token == "(@":
            self.fail("empty annotation id", at)
        if token.startswith('$"') or token == "$":
            self.ident(at)
        kind = "unknown operator" if lexer.is_unknown(token) else "unexpected token"
        self.fail(f"{kind} {lexer.shown(token)}, expected {expected}", at)

    # --- punctuation and words ---

    def accept(self, token: str) -> bool:
        if self.toks[self.i] == token:
            self.i += 1
            return True
        return False

    def expect(self, token: str) -> None:
        if self.toks[self.i] != token:
            self.unexpected(f"`{token}`")
        self.i += 1

    def close(self) -> None:
        if self.toks[self.i] != ")":
            self.unexpected("`)`")
        self.i += 1

    def open(self, word: str) -> bool:
        """Takes `(word` if it comes next."""
        if self.toks[self.i] == "(" and self.toks[self.i + 1] == word:
            self.i += 2
            return True
        return False

    def expect_open(self, word: str) -> None:
        if not self.open(word):
            self.unexpected(f"`({word}`")

    def head(self) -> str:
        """The word after the `(` that comes next, or ""."""
        return self.toks[self.i + 1] if self.toks[self.i] == "(" else ""

    def skip(self) -> None:
        """Past the end of the parenthesis that is open."""
        start, depth = self.i, 1
        while depth:
            token = self.toks[self.i]
            if token == ")":
                depth -= 1
            elif not token:
                self.fail("unexpected end of text: expected `)`", start)
            elif token[0] == "(":
                depth += 1
            self.i += 1

    # --- identifiers, strings, numbers ---

    def ident(self, at: int | None = None) -> ID:
        """An identifier that is there."""
        where = self.i if at is None else at
        token = self.toks[where]
        if at is None:
            self.i += 1
        if '"' not in token:
            if token == "$":
                self.fail("empty identifier", where)
            return token
        if not lexer.is_string(token[1:]):
            self.fail(lexer.describe_bad(token) or "unexpected token", where)
        try:
            name = lexer.string_bytes(token[1:]).decode()
        except ValueError:
            self.fail("malformed UTF-8 encoding of an identifier", where)
        if not name:
            self.fail("empty identifier", where)
        return "$" + name

    def at_id(self) -> bool:
        return self.toks[self.i][:1] == "$"

    def optional_id(self) -> ID | None:
        return self.ident() if self.toks[self.i][:1] == "$" else None

    def at_string(self) -> bool:
        return self.toks[self.i][:1] == '"'

    def string(self, expected: str = "a string") -> bytes:
        token = self.toks[self.i]
        if token[:1] != '"':
            self.unexpected(expected)
        if not lexer.is_string(token):
            self.fail(lexer.describe_bad(token) or "unexpected token")
        try:
            value = lexer.string_bytes(token)
        except ValueError as error:
            self.fail(f"malformed UTF-8 encoding: escape is {error}")
        self.i += 1
        return value

    def strings(self) -> bytes:
        """Any number of strings, joined."""
        parts = []
        while self.toks[self.i][:1] == '"':
            parts.append(self.string())
        return b"".join(parts)

    def name(self, expected: str = "a name in quotes") -> bytes:
        """A string that is UTF-8."""
        at = self.i
        value = self.string(expected)
        try:
            value.decode()
        except ValueError:
            self.fail("malformed UTF-8 encoding", at)
        return value

    def name_annotation(self) -> bytes | None:
        """`(@name "...")`, where it may stand."""
        if self.toks[self.i] != lexer.NAME:
            return None
        self.i += 1
        name = self.name()
        self.close()
        return name

    def at_number(self) -> bool:
        return "0" <= self.toks[self.i][:1] <= "9"

    def number(self, bits: int, expected: str) -> int:
        """A number without sign."""
        token = self.toks[self.i]
        if len(token) < 10 and token.isdecimal() and token.isascii():
            self.i += 1
            return int(token)
        try:
            value = numbers.unsigned(token, bits)
        except ValueError as error:
            self.fail(f"i{bits} {error}: expected {expected} below 2^{bits}")
        if value is None:
            self.unexpected(expected)
        self.i += 1
        return value

    def u32(self, expected: str = "a number") -> int:
        return self.number(32, expected)


class Space:
    """One index space: the identifiers bound in it and how many items it has."""

    __slots__ = ("count", "ids", "word")

    def __init__(self, word: str) -> None:
        self.word = word
        self.ids: dict[ID, int] = {}
        self.count = 0

    def add(self, cursor: Cursor, name: ID | None, at: int) -> int:
        """The index of a new item; `at` is the token of its identifier."""
        index = self.count
        self.count += 1
        if name is not None:
            if name in self.ids:
                cursor.fail(f"duplicate {self.word} identifier {lexer.shown(name)}", at)
            self.ids[name] = index
        return index

    def index(self, cursor: Cursor) -> int:
        """Reads an index: a number or an identifier bound here."""
        token = cursor.toks[cursor.i]
        if token[:1] == "$":
            at = cursor.i
            name = cursor.ident()
            found = self.ids.get(name)
            if found is None:
                cursor.fail(f"unknown {self.word} {lexer.shown(name)}", at)
            return found
        return cursor.u32(f"the index of a {self.word}")
