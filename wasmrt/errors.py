"""Every exception that wasmrt raises for a user's input, a guest's trap or an environment's limit.

`WasmError` is the root and `WasmtimeError` another name for it. Errors about bytes carry the absolute byte offset,
the path of nested components (`component[0].component[2]`) and, in core code, the function index. Errors about
arguments derive from WasmError *and* from the builtin kind, so `except TypeError` works as in any Python call.
A broken invariant of our own is an `assert`, never one of these.
"""

from __future__ import annotations

import dataclasses
from typing import Any


class WasmError(Exception):
    """Root of all errors raised by wasmrt."""

    @property
    def message(self) -> str:
        """The text of the error; of a Trap, with its backtrace."""
        return str(self.args[0]) if self.args else ""


WasmtimeError = WasmError


class PlacedError(WasmError):
    """An error about input bytes: says where, in what, and what was expected.

    `offset` is the absolute byte offset in the outermost binary, `path` the nested component or module
    (`""` for the outermost), `function` the core function index when the error lies in a body.
    """

    kind = "invalid input"

    def __init__(
        self,
        message: str,
        *,
        offset: int | None = None,
        path: str = "",
        function: int | None = None,
        expected: str | None = None,
        file: str | None = None,
    ) -> None:
        super().__init__(message)
        self.offset = offset
        self.path = path
        self.function = function
        self.expected = expected
        self.file = file

    def __str__(self) -> str:
        text = f"{self.kind}: {self.message}"
        if self.expected is not None:
            text += f"; expected {self.expected}"
        where = []
        if self.offset is not None:
            where.append(f"at offset {self.offset:#x}")
        if self.function is not None:
            where.append(f"in function {self.function}")
        if self.path:
            where.append(f"in {self.path}")
        if self.file is not None:
            where.append(f"of {self.file}")
        return f"{text} ({' '.join(where)})" if where else text

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild_placed, (type(self), self.args, self.__dict__))


def _rebuild_placed(cls: type[PlacedError], args: tuple[Any, ...], state: dict[str, Any]) -> PlacedError:
    error = cls.__new__(cls)
    error.args = args
    error.__dict__.update(state)
    return error


class DecodeError(PlacedError):
    """The bytes are not the binary format: malformed, truncated, or of another version."""

    kind = "decode error"


class ValidationError(PlacedError):
    """The bytes decode, but break a rule of validation, or need a feature that the Config has off."""

    kind = "validation error"


class UnsupportedError(ValidationError):
    """Valid by the specification, but wasmrt does not run it yet; the message names what."""

    kind = "not supported yet"


class LimitError(PlacedError):
    """A limit of the implementation, of the Config or of the machine is exceeded; the message names it."""

    kind = "limit exceeded"


class TextError(PlacedError):
    """A syntax error in the text format, with line and column (from 1) and the offending line."""

    kind = "text error"

    def __init__(self, message: str, *, line: int, column: int, source_line: str = "", file: str | None = None) -> None:
        super().__init__(message, file=file)
        self.line = line
        self.column = column
        self.source_line = source_line

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.file else f"line {self.line}, column {self.column}"
        text = f"{self.kind}: {place}: {self.message}"
        if self.source_line:
            text += f"\n  {self.source_line}\n  {' ' * (self.column - 1)}^"
        return text


class LinkError(WasmError):
    """An import is missing or has another type than the component wants."""


class ArtifactError(WasmError):
    """A precompiled artifact cannot be used here: `reason`, and what was `found` and `wanted`."""

    def __init__(self, reason: str, found: object = None, wanted: object = None) -> None:
        detail = "" if found is None and wanted is None else f": found {found}, wanted {wanted}"
        super().__init__(reason + detail)
        self.reason = reason
        self.found = found
        self.wanted = wanted

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.reason, self.found, self.wanted))


@dataclasses.dataclass(frozen=True)
class Frame:
    """One wasm frame of a trap's backtrace, innermost first in `Trap.frames`."""

    func_index: int
    func_name: str | None = None
    module_name: str | None = None
    module_offset: int = 0
    func_offset: int = 0


class Trap(WasmError):
    """A guest trapped. `trap_code` is a TrapCode (or its int), `frames` the wasm frames, innermost first."""

    def __init__(self, message: str, trap_code: Any = None, frames: tuple[Frame, ...] = ()) -> None:
        super().__init__(message)
        self.trap_code = trap_code
        self.frames = tuple(frames)

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.message, self.trap_code, self.frames))


class ExitTrap(WasmError):
    """The guest called WASI exit; `code` is its exit status, also when that is 0."""

    def __init__(self, code: int, message: str | None = None) -> None:
        super().__init__(message if message is not None else f"exited with status {code}")
        self.code = code

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.code, self.message))


class WitError(WasmError):
    """A function of the attribute front returned a top-level `err`; `value` is its payload."""

    def __init__(self, value: Any = None) -> None:
        super().__init__(value)
        self.value = value


class ArgumentTypeError(WasmError, TypeError):
    """An argument, or a host function's result, has the wrong Python type."""


class ArgumentValueError(WasmError, ValueError):
    """An argument has the right Python type but no such value (an unknown case, a surrogate char)."""


class ArgumentOverflowError(WasmError, OverflowError):
    """An integer lies outside the range of its component or core type."""


class MissingFieldError(ArgumentTypeError, AttributeError):
    """An object given for a record lacks one of its fields."""
