"""The decoder: structure, limits and errors that say where and what was expected."""

from __future__ import annotations

import pytest

from wasmrt.binary import records as r
from wasmrt.binary.decoder import decode_component
from wasmrt.errors import DecodeError, LimitError, ValidationError
from wasmrt.spec import limits
from wasmrt.spec import types as t

from . import builder as b


def test_empty_component() -> None:
    component = decode_component(b.component())
    assert component.definitions == [] and component.end == 8


def test_offsets_are_absolute_in_nested_components() -> None:
    inner = b.types(b.U8)
    data = b.component(b.section(0, b.name("x") + b"123"), b.nested(b.nested(inner)))
    outer = decode_component(data)
    assert [(c.name, data[c.start : c.end]) for c in outer.customs] == [("x", b"123")]
    (middle,) = outer.definitions
    assert isinstance(middle, r.ComponentDef)
    (innermost,) = middle.definitions
    assert isinstance(innermost, r.ComponentDef)
    (primitive,) = innermost.definitions
    assert primitive == r.PrimitiveDef(len(data) - 1, t.U8())


def test_core_module_is_a_range() -> None:
    data = b.component(b.core_exporting_func("f"))
    (module,) = decode_component(data).definitions
    assert isinstance(module, r.CoreModuleDef)
    assert data[module.start : module.start + 4] == b"\0asm" and module.end == len(data)


@pytest.mark.parametrize(
    ("data", "message", "offset"),
    [
        (b"", "bad magic number", 0),
        (b"\0asn", "bad magic number", 0),
        (b"\0asm", "unexpected end-of-file", 4),
        (b"\0asm\x01\0\0\0", "this is a core module", 4),
        (b"\0asm\x0e\0\x01\0", "version 0xe", 4),
        (b.PREAMBLE + b"\x0d\0", "malformed section id 13", 8),
        (b.PREAMBLE + b"\x07\x05\x01", "section 7 of 5 bytes", 8),
        (b.PREAMBLE + b"\x07\x02\0\0", "1 bytes too many", 11),
        (b.component(b.section(7, b"\x01\x62")), "component defined type", 11),
        (b.component(b.types(b"\x70" + b"\x80\x80\x80\x80\x80\0")), "integer representation too long", 12),
        (b.component(b.types(b"\x69" + b"\xff\xff\xff\xff\x1f")), "integer too large", 12),
        (b.component(b.section(7, b"\xff\xff\x03" + b.U8)), "types, 1 bytes left", 10),
        (b.component(b.types(b"\x6d\x01\x02\xc3\x28")), "malformed UTF-8 encoding", 14),
        (b.component(b.section(1, b.PREAMBLE)), "nested core module", 10),
        (b.component(b.canons(b"\xff")), "canonical function", 11),
    ],
)
def test_decode_errors(data: bytes, message: str, offset: int) -> None:
    with pytest.raises(DecodeError, match=message) as caught:
        decode_component(data)
    assert caught.value.offset == offset


def test_error_names_the_nested_component() -> None:
    data = b.component(b.nested(), b.nested(b.nested(b.types(b"\x62"))))
    with pytest.raises(DecodeError) as caught:
        decode_component(data)
    assert caught.value.path == "component[1].component[0]"
    assert "at offset 0x" in str(caught.value) and "in component[1].component[0]" in str(caught.value)


def test_repeated_option_is_invalid() -> None:
    with pytest.raises(ValidationError, match="`memory` is specified more than once"):
        decode_component(b.component(b.canons(b.lower(0, b"\x03\0", b"\x03\0"))))


def test_nesting_of_components_is_limited() -> None:
    data = b.component()
    for _ in range(limits.COMPONENT_DEPTH):
        data = b.component(b.section(4, data))
    decode_component(data)
    with pytest.raises(LimitError, match="nested components"):
        decode_component(b.component(b.section(4, data)))


@pytest.mark.parametrize("code", [b"\x41", b"\x42"])
def test_nesting_of_types_is_limited(code: bytes) -> None:
    ty = code + b"\0"
    for _ in range(limits.COMPONENT_DEPTH - 1):
        ty = code + b"\x01\x01" + ty
    decode_component(b.component(b.types(ty)))
    with pytest.raises(LimitError):
        decode_component(b.component(b.types(code + b"\x01\x01" + ty)))


def test_long_name_is_a_limit() -> None:
    decode_component(b.component(b.section(0, b.name("x" * limits.STRING_BYTES))))
    with pytest.raises(LimitError, match="bytes of a name"):
        decode_component(b.component(b.section(0, b.name("x" * (limits.STRING_BYTES + 1)))))


def test_async_definitions_decode() -> None:
    data = b.component(
        b.types(b"\x66\x01" + b.U8, b"\x65\0", b"\x43\0\x01\0"),
        b.canons(
            b"\x0e\0", b"\x0f\0\x02\x06\x03\0", b"\x09\0" + b.U32 + b"\0", b"\x0a\x7f\x01", b"\x20\0\0", b"\x06\x01"
        ),
    )
    stream, future, func, new, read, task_return, context, wait, cancel = decode_component(data).definitions
    assert stream == r.AsyncValueDef(11, t.U8(), True) and isinstance(future, r.AsyncValueDef)
    assert isinstance(func, r.FuncTypeDef) and func.async_
    assert isinstance(new, r.CanonBuiltin) and (new.name, new.type) == ("stream.new", 0)
    assert isinstance(read, r.CanonBuiltin) and read.options is not None
    assert (read.options.async_, read.options.memory) == (True, 0)
    assert isinstance(task_return, r.CanonBuiltin) and task_return.result == t.U32()
    assert isinstance(context, r.CanonBuiltin) and context.slot == 1
    assert isinstance(wait, r.CanonBuiltin) and wait.memory == 0 and not wait.cancellable
    assert isinstance(cancel, r.CanonBuiltin) and cancel.async_


def test_names_with_attributes() -> None:
    name = b"\x02" + b.name("a") + b.vec(b"\0" + b.name("x:y/z"), b"\x02" + b.name("id"))
    (definition,) = decode_component(b.component(b.imports(name + b"\x05\0"))).definitions
    assert isinstance(definition, r.Import)
    assert definition.name == r.ExternName(12, "a", implements="x:y/z", external_id="id")
