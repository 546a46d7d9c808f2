"""Binary to text: `print_wasm(data)` for modules and components."""

from __future__ import annotations

from wasmrt.binary.decoder import decode_component
from wasmrt.errors import DecodeError
from wasmrt.spec import limits

from .component import MAGIC as COMPONENT_MAGIC
from .module import MAGIC as MODULE_MAGIC
from .print_component import ComponentPrinter
from .print_module import ModulePrinter
from .writer import Lines


def print_wasm(data: bytes | bytearray | memoryview) -> str:
    """The text of a binary. Encoding it again gives the same items under the same indices.

    Raises DecodeError with the offset where the binary cannot be read; it is not validated.

    >>> print_wasm(b'\\0asm\\1\\0\\0\\0')
    '(module)\\n'
    """
    raw = bytes(data)
    limits.check("MODULE_BYTES", len(raw))
    if raw[:8] == MODULE_MAGIC:
        lines = Lines(1)
        module = ModulePrinter(memoryview(raw), 0, len(raw), lines)
        module.print_fields()
        return wrapped("module" + module.head(), lines)
    if raw[:8] == COMPONENT_MAGIC:
        lines = Lines(1)
        component = ComponentPrinter(memoryview(raw), decode_component(raw), lines)
        component.print_fields()
        return wrapped("component" + component.head(), lines)
    raise DecodeError("neither a module nor a component of a known version", offset=0, expected="\\0asm and a version")


def wrapped(head: str, lines: Lines) -> str:
    return f"({head}\n{lines.text()}\n)\n" if lines.out else f"({head})\n"
