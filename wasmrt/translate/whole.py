"""A component binary from bytes to a Translation: the order of the rooms, and what belongs to none of them."""

from __future__ import annotations

from wasmrt.binary import records as r
from wasmrt.binary.decoder import decode_component
from wasmrt.errors import LimitError
from wasmrt.spec.features import Features

from .info import ExternAttributes
from .inline import inline
from .translation import Translation
from .validate import DecodeCoreModule, Validator


def validate(data: bytes | bytearray | memoryview, features: Features, decode_core_module: DecodeCoreModule) -> None:
    """Checks a component binary: raises DecodeError, ValidationError or LimitError with the place."""
    view = memoryview(data).cast("B")
    try:
        Validator(view, features, decode_core_module).component(decode_component(view), None, "")
    except RecursionError:
        raise _too_deep() from None


def translate(
    data: bytes | bytearray | memoryview, features: Features, decode_core_module: DecodeCoreModule
) -> Translation:
    """Validates a component binary and flattens it. `decode_core_module` gets the bytes of each core module once.

    Raises DecodeError, ValidationError (UnsupportedError for what is valid but cannot run yet) or LimitError, with the
    absolute byte offset and the path of the nested component or module.
    """
    view = memoryview(data).cast("B")
    try:
        definition = decode_component(view)
        validator = Validator(view, features, decode_core_module)
        root = validator.component(definition, None, "")
        translation = inline(root, validator.static_modules)
    except RecursionError:
        raise _too_deep() from None
    translation.component.import_attributes = _attributes(definition, r.Import)
    translation.component.export_attributes = _attributes(definition, r.Export)
    translation.custom_sections = [(c.name, c.start, c.end) for c in definition.customs]
    return translation


def _attributes(definition: r.ComponentDef, kind: type[r.Import | r.Export]) -> dict[str, ExternAttributes]:
    found = {}
    for d in definition.definitions:
        if isinstance(d, (r.Import, r.Export)) and isinstance(d, kind):
            attributes = ExternAttributes(d.name.implements, d.name.external_id, d.name.version_suffix)
            if attributes != ExternAttributes():
                found[d.name.name] = attributes
    return found


def _too_deep() -> LimitError:
    # The limits on nesting keep a binary well inside Python's default recursion limit; a caller can be deep in it.
    return LimitError("nested too deep for what is left of Python's recursion limit")
