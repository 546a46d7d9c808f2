"""Tokens of the text format: one compiled expression cuts the whole text into a list of strings.

A token is its spelling: `(`, `)`, a string with its quotes, an identifier, keyword or number, `(@id` for the head of an
annotation that means something here, and "" at the end. Nothing else is kept for a token: where it stands is found by
cutting the text again, which only an error (or a script, once) asks for. So a text costs a fraction of a microsecond a
token, in time linear in its length: every repetition in the expression is possessive.

A run of identifier characters and strings without space between is one token (the specification's `reserved`), so
`0drop` or `"a""b"` are tokens that no rule accepts. What is no token at all (a control character, an unclosed string)
becomes a token of its own, which no rule accepts either. Annotations that mean nothing here are taken out.
"""

from __future__ import annotations

import re
from array import array

from wasmrt.errors import LimitError, TextError
from wasmrt.spec import limits

from . import numbers
from .possessive import many, some

# a string without its closing quote; a token that lacks it is refused later, so that no text is looked at twice
_OPEN_STRING = r'"[^"\\\x00-\x1f\x7f]*+' + many(
    r"\\(?:[tnr\"'\\]|[0-9a-fA-F]{2}|u\{[0-9a-fA-F]++" + many(r"_[0-9a-fA-F]++") + r'\})[^"\\\x00-\x1f\x7f]*+'
)
_STRING = _OPEN_STRING + '"'
_CHARS = r"[!#-'*+\--:<-Z\\^-z|~]++"
_RUN = some(_CHARS + "|" + _OPEN_STRING + '"?+')
_COMMENT = r"\(;" + many(r"[^;(]++|;(?!\))|\((?!;)") + r";\)"
_SPACE = many(r"[ \t\n\r]++|;;[^\n\r]*+|" + _COMMENT)

_TOKEN = re.compile(_SPACE + r"(\((?:;|@(?:" + _RUN + r")?)?|" + _RUN + r"|[^ \t\n\r]|\Z)")
_COMMENT_MARK = re.compile(_OPEN_STRING + r'"?+|;;[^\n\r]*+|\(;|;\)')
_INSIDE_COMMENT = re.compile(r"\(;|;\)")
_BLANK = re.compile(r"[^\n\r]")
_CLOSED_RUN = some(_CHARS + "|" + _STRING)
_LEXICAL = re.compile(r"[(){}\[\],;]|\(@(?:" + _CLOSED_RUN + r")?|" + _CLOSED_RUN)
_STRING_TOKEN = re.compile(_STRING)
_BAD_ESCAPE = re.compile(_OPEN_STRING + r"\\")
_ESCAPE = re.compile(rb"\\(?:([tnr\"'\\])|([0-9a-fA-F]{2})|u\{([0-9a-fA-F_]+)\})")
_ALL_HEX = re.compile(some(r"\\[0-9a-fA-F]{2}"))
_SIMPLE_ESCAPES = {b"t": b"\t", b"n": b"\n", b"r": b"\r", b'"': b'"', b"'": b"'", b"\\": b"\\"}

NAME = "(@name"
CUSTOM = "(@custom"
BRANCH_HINT = "(@metadata.code.branch_hint"
PRODUCERS = "(@producers"
ANNOTATIONS = frozenset((NAME, CUSTOM, BRANCH_HINT, PRODUCERS))


PIECE = 1 << 18  # characters cut at once: nothing else runs in between, no Ctrl-C either
LOOKAHEAD = 3  # how far beyond the token that comes next parsers look: that many ends follow the end


def _cut(text: str) -> list[str]:
    """The tokens, and "" at the end. Pieces end with a line, which only comments within comments can span: these are found by their `(;` token."""
    tokens: list[str] = []
    start, size = 0, len(text)
    while True:
        end = size if size - start <= PIECE else text.find("\n", start + PIECE) + 1 or size
        piece: list[str] = _TOKEN.findall(text, start, end)
        while piece and not piece[-1]:
            piece.pop()
        tokens += piece
        if end == size:
            return [*tokens, ""]
        start = end


class Source:
    """A text with its tokens. `error(index, message)` makes the TextError that points at a token."""

    __slots__ = ("_text", "annotated", "file", "kept", "short_modules", "text", "tokens")

    def __init__(self, text: str | bytes | bytearray | memoryview, file: str | None = None) -> None:
        self.file = file
        self.text = _decoded(text, file)
        self._text = self.text  # what is cut: comments within comments are blanked out
        self.kept: list[int] | None = None
        self.short_modules: dict[tuple[str, ...] | None, bytes] = {}  # what module.py made of them, by their tokens
        tokens = _cut(self._text)
        if "(;" in tokens:
            self._text = self._without_comments()
            tokens = _cut(self._text)
        self.tokens = tokens
        self.annotated = False
        if "(@" in self.text and any(token.startswith("(@") for token in tokens):
            self._drop_annotations()
        self.tokens += [""] * LOOKAHEAD

    def _without_comments(self) -> str:
        text = self.text
        parts: list[str] = []
        done = position = 0
        while True:
            match = _COMMENT_MARK.search(text, position)
            if match is None:
                parts.append(text[done:])
                return "".join(parts)
            position = match.end()
            if match.group() != "(;":
                continue
            start, depth = match.start(), 1
            while depth:
                match = _INSIDE_COMMENT.search(text, position)
                if match is None:
                    raise self._error_at(start, "unclosed comment: expected `;)`")
                depth += 1 if match.group() == "(;" else -1
                position = match.end()
            parts.append(text[done:start])
            parts.append(_BLANK.sub(" ", text[start:position]))
            done = position

    def _drop_annotations(self) -> None:
        tokens = self.tokens
        kept: list[int] = []
        index, last = 0, len(tokens) - 1
        while index <= last:
            token = tokens[index]
            if not token.startswith("(@"):
                kept.append(index)
                index += 1
                continue
            name = self._annotation_name(index, token)
            if name in ANNOTATIONS:
                self.annotated = True
                tokens[index] = name
                kept.append(index)
                index += 1
                continue
            start, depth = index, 1
            while depth:
                index += 1
                token = tokens[index]
                if not token:
                    raise self.error(start, "unclosed annotation: expected `)`")
                if token[0] == "(":
                    depth += 1
                elif token == ")":
                    depth -= 1
                elif _LEXICAL.fullmatch(token) is None:
                    raise self.error(index, describe_bad(token) or "illegal character")
            index += 1
        self.kept = kept
        self.tokens = [tokens[index] for index in kept]

    def _annotation_name(self, index: int, token: str) -> str:
        name = token[2:]
        if name.startswith('"') and '"' not in name[1:]:
            raise self.error(index, f"empty annotation id: {describe_bad(name)}")
        if name.startswith('"') and _STRING_TOKEN.fullmatch(name):
            try:
                name = string_bytes(name).decode()
            except ValueError:
                raise self.error(index, "malformed UTF-8 encoding of an annotation's name") from None
        if not name:
            raise self.error(index, "empty annotation id")
        return "(@" + name

    def offset(self, index: int) -> int:
        """Where a token starts, in characters."""
        if self.kept is not None:
            index = self.kept[min(index, len(self.kept) - 1)]
        for number, match in enumerate(_TOKEN.finditer(self._text)):
            if number == index:
                return match.start(1)
        return len(self.text)

    def offsets(self) -> array[int]:
        """Where each token starts."""
        starts = array("Q", (match.start(1) for match in _TOKEN.finditer(self._text)))
        return starts if self.kept is None else array("Q", (starts[index] for index in self.kept))

    def lines(self) -> array[int]:
        """The line, from 1, of each token."""
        breaks = [match.end() for match in re.finditer(r"\r\n?|\n", self.text)]
        breaks.append(len(self.text) + 1)
        out = array("L")
        line = 0
        for start in self.offsets():
            while breaks[line] <= start:
                line += 1
            out.append(line + 1)
        return out

    def error(self, index: int, message: str) -> TextError:
        return self._error_at(self.offset(index), message)

    def _error_at(self, offset: int, message: str) -> TextError:
        return place_error(self.text, offset, message, self.file)


def place_error(text: str, offset: int, message: str, file: str | None) -> TextError:
    before = text[:offset].replace("\r\n", "\n").replace("\r", "\n")
    line = before.count("\n") + 1
    start = offset - (len(before) - before.rfind("\n") - 1)
    end = min(p for p in (text.find("\n", offset), text.find("\r", offset), len(text)) if p >= 0)
    column = offset - start
    # a long line is shown around its error; a control character would spoil the caret
    first = max(0, column - 120) if column > 160 else 0
    shown = text[start + first : min(end, start + first + 240)]
    if first:
        message = f"{message} (at column {column + 1})"
    return TextError(
        message, line=line, column=column - first + 1, source_line=re.sub(r"[\x00-\x1f\x7f]", " ", shown), file=file
    )


def _decoded(text: str | bytes | bytearray | memoryview, file: str | None) -> str:
    if len(text) > limits.MODULE_BYTES:
        raise LimitError(f"{len(text)} bytes of text, the limit is {limits.MODULE_BYTES}", file=file)
    if isinstance(text, str):
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise place_error(text, error.start, "lone surrogate: the text is not Unicode", file) from None
        return text
    raw = bytes(text)
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode()
        raise place_error(before + "\ufffd", len(before), "malformed UTF-8 encoding", file) from None


def describe_bad(token: str) -> str | None:
    """What is wrong with a token that no grammar has, if it is one."""
    if '"' in token and re.fullmatch(_CLOSED_RUN, token) is None:
        if _BAD_ESCAPE.match(token, token.index('"')):
            return 'invalid string escape, or unclosed string: expected \\t, \\n, \\r, \\", \\\', \\\\, \\hh or \\u{...}'
        return 'unclosed string, or an illegal character in it: expected `"` on the same line'
    if len(token) == 1 and not " " <= token <= "~":
        return f"illegal character {token!r}"
    if '"' in token and not is_string(token) and not (token[0] == "$" and is_string(token[1:])):
        return f"unknown operator {shown(token)}: space is required between tokens"
    return None


def is_unknown(token: str) -> bool:
    """Whether a token is none of those that some rule has: no parenthesis, string, identifier, number or word."""
    return bool(token) and token[0] not in "()\"$" and not ("a" <= token[0] <= "z" and (token[:4] != "nan:" or token[4:].isalpha())) and not numbers.is_number(token)


def shown(token: str) -> str:
    """A token in an error message."""
    if not token:
        return "end of text"
    return f"`{token}`" if len(token) <= 60 else f"`{token[:57]}...`"


def is_string(token: str) -> bool:
    return token[:1] == '"' and _STRING_TOKEN.fullmatch(token) is not None


def string_bytes(token: str) -> bytes:
    """The bytes that a string token stands for. ValueError for an escape out of range."""
    if "\\" not in token:
        return token[1:-1].encode()
    if _ALL_HEX.fullmatch(token, 1, len(token) - 1):
        return bytes.fromhex(token[1:-1].replace("\\", ""))
    return _ESCAPE.sub(_unescape, token[1:-1].encode())


def _unescape(match: re.Match[bytes]) -> bytes:
    simple, code, point = match.groups()
    if code:
        return bytes((int(code, 16),))
    if simple:
        return _SIMPLE_ESCAPES[simple]
    digits = point.replace(b"_", b"").lstrip(b"0") or b"0"
    value = int(digits, 16) if len(digits) < 9 else 0x110000
    if value >= 0x110000 or 0xD800 <= value < 0xE000:
        raise ValueError("not a Unicode scalar value")
    return chr(value).encode()
