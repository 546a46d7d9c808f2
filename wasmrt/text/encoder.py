"""Text to binary: `encode(text)` tells by its head whether a text is a module, a component, or the bare fields of a module."""

from __future__ import annotations

from collections.abc import Callable

from wasmrt.errors import TextError

from .component import encode_component
from .lexer import Source
from .module import encode_module
from .parser import Cursor


def encode(text: str | bytes | bytearray | memoryview, filename: str | None = None) -> bytes:
    """The binary of a text: `(module ...)`, `(component ...)`, or the fields of a module without `(module`.

    Raises TextError with line, column and what was expected.

    >>> encode('(module (func (export "f") (result i32) i32.const 42))')[:4]
    b'\\x00asm'
    """
    cursor = Cursor(Source(text, filename))
    try:
        return _encode(cursor)
    except RecursionError:
        # components nest by recursion; their depth is limited, but who calls may be deep already
        raise cursor.source.error(cursor.i, "nested too deeply") from None


def _encode(cursor: Cursor) -> bytes:
    source = cursor.source
    word = cursor.head()
    if word not in ("module", "component"):
        return encode_module(source, 0, end="")[0]
    cursor.i = 2
    data = encode_module_form(cursor) if word == "module" else encode_component_form(cursor)
    if cursor.toks[cursor.i]:
        cursor.unexpected("end of text")
    return data


def encode_module_form(cursor: Cursor) -> bytes:
    """After `(module`: fields, `binary "..."` or `quote "..."`, through the `)`."""
    quoted = quoted_form(cursor, encode)
    if quoted is not None:
        return quoted
    data, cursor.i = encode_module(cursor.source, cursor.i)
    return data


def encode_component_form(cursor: Cursor) -> bytes:
    """After `(component`: fields, `binary "..."` or `quote "..."`, through the `)`."""
    quoted = quoted_form(cursor, encode_component_fields)
    if quoted is not None:
        return quoted
    data, cursor.i = encode_component(cursor.source, cursor.i)
    return data


def encode_component_fields(text: bytes) -> bytes:
    """What `(component quote "...")` quotes: the fields of a component, without `(component` around them."""
    return encode(b"(component\n" + text + b"\n)")


def quoted_form(cursor: Cursor, encode_quoted: Callable[[bytes], bytes]) -> bytes | None:
    """`id? binary "..."` or `id? quote "..."`, if that is what follows."""
    at = cursor.i
    cursor.optional_id()
    form = cursor.toks[cursor.i]
    if form not in ("binary", "quote"):
        cursor.i = at
        return None
    cursor.i += 1
    at = cursor.i
    data = cursor.strings()
    cursor.close()
    if form == "binary":
        return data
    try:
        return encode_quoted(data)
    except TextError as error:
        raise cursor.source.error(at, f"in the quoted text: {error}") from error
