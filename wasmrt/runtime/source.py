"""What `Module(engine, source)` and `Component(engine, source)` accept: binary or text, bytes-like or str, never a path by mistake."""

from __future__ import annotations

import os
from typing import Any

from wasmrt.errors import ArgumentTypeError, DecodeError, WasmError

WASM_MAGIC = b"\0asm"
CORE_VERSION = b"\x01\x00\x00\x00"
COMPONENT_VERSION = b"\x0d\x00\x01\x00"
ARTIFACT_MAGIC = b"\x7fELF"
KINDS = {CORE_VERSION: "module", COMPONENT_VERSION: "component"}
CLASSES = {"module": "wasmrt.Module", "component": "wasmrt.component.Component"}


def binary_of(source: Any, what: str) -> bytes:
    """The binary of a source given to `Module` or `Component` (`what`), as immutable bytes."""
    if isinstance(source, str):
        return from_text(source, what)
    data, is_text = raw(source, what)
    if not is_text:
        return checked_binary(data, what)
    if not data:
        raise DecodeError(f"empty input is no {what.lower()}", offset=0, expected="the magic number \\0asm")
    if data.startswith(ARTIFACT_MAGIC):
        raise DecodeError("this is a compiled artifact", offset=0, expected=f"{CLASSES[what.lower()]}.deserialize for it")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise DecodeError("neither WebAssembly binary nor text", offset=0, expected="the magic number \\0asm") from None
    return from_text(text, what)


def raw(source: Any, what: str) -> tuple[bytes, bool]:
    """A source as immutable bytes, undecoded, and whether they are text."""
    if isinstance(source, str):
        return source.encode("utf-8", "surrogatepass"), True
    if isinstance(source, os.PathLike):
        raise ArgumentTypeError(f"expected bytes or text, got a path: use {what}.from_file")
    try:
        view = memoryview(source)
    except TypeError:
        raise ArgumentTypeError(f"expected bytes-like or str, got {type(source).__name__}") from None
    data = source if isinstance(source, bytes) else view.tobytes()
    return data, data[:1] != b"\0"


def checked_binary(data: Any, what: str) -> bytes:
    """Checks magic and version, so that a module given for a component says so."""
    try:
        binary = data if isinstance(data, bytes) else memoryview(data).tobytes()
    except TypeError:
        raise ArgumentTypeError(f"expected bytes-like, got {type(data).__name__}") from None
    if len(binary) < 8 and (WASM_MAGIC + CORE_VERSION).startswith(binary):
        raise DecodeError("unexpected end", offset=len(binary), expected="magic number and version, 8 bytes")
    if binary[:4] != WASM_MAGIC:
        short = "unexpected end: " if len(binary) < 4 else ""
        raise DecodeError(f"{short}magic header not detected", offset=0, expected="\\0asm")
    found = KINDS.get(binary[4:8])
    if found is None:
        raise DecodeError(f"unknown binary version {binary[4:8].hex(' ')}", offset=4, expected=f"a {what}'s version")
    if found != what.lower():
        raise DecodeError(f"this is a {found}, not a {what.lower()}", offset=4, expected=f"{CLASSES[found]} for it")
    return binary


def from_text(text: str, what: str) -> bytes:
    """Encodes text; a path given by mistake is told apart first."""
    stripped = text.lstrip()
    if stripped and not stripped.startswith(("(", ";")) and "\n" not in text and len(text) < 4096 and os.path.exists(text):
        raise WasmError(f"{text!r} is the name of a file: use {what}.from_file")
    if stripped.endswith((".wasm", ".wat", ".wasmrt")) and "\n" not in text and "(" not in text:
        raise WasmError(f"expected bytes or text, and {text!r} looks like a path (there is no such file): {what}.from_file takes paths")
    return checked_binary(encode(text), what)


def encode(text: str | bytes) -> bytes:
    from wasmrt.text import encode as encode_text  # programs that only load binaries do not pay for it

    return encode_text(text)


def read_file(path: Any) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def wat2wasm(wat: str | bytes) -> bytearray:
    """The binary of a module or component in the text format. Raises TextError with line and column.

    >>> wat2wasm("(module)")
    bytearray(b'\\x00asm\\x01\\x00\\x00\\x00')
    """
    return bytearray(encode(wat))


def wasm2wat(data: bytes | bytearray | memoryview) -> str:
    """A binary module or component as text that encodes to the same meaning. Raises DecodeError with the offset."""
    from wasmrt.text import print_wasm

    return print_wasm(data)
