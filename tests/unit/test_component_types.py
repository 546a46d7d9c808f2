"""Component types as values: equality, hashing, printing, msgpack, flattening, names."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from wasmrt import errors
from wasmrt.spec import types as t
from wasmrt.spec import valtypes as vt
from wasmrt.spec.core_types import CoreFuncType
from wasmrt.spec.flatten import Flattener, flatten_functype
from wasmrt.spec.names import NameError_, parse_name, parse_semver, semver_key
from wasmrt.translate.type_table import ComponentTypes

RECORD = t.RecordType([("a", t.U32()), ("b", t.ListType(t.String()))])
I32, I64, F32, F64 = vt.VALTYPE_I32, vt.VALTYPE_I64, vt.VALTYPE_F32, vt.VALTYPE_F64


@pytest.mark.parametrize(
    ("ty", "text"),
    [
        (t.Bool(), "bool"),
        (t.ListType(t.U8()), "list<u8>"),
        (t.ListType(t.U8(), 4), "list<u8, 4>"),
        (t.MapType(t.String(), t.U8()), "map<string, u8>"),
        (RECORD, "record { a: u32, b: list<string> }"),
        (t.TupleType((t.U8(), t.Char())), "tuple<u8, char>"),
        (t.VariantType((("x", None), ("y", t.F32()))), "variant { x, y(f32) }"),
        (t.EnumType(("p", "q")), "enum { p, q }"),
        (t.FlagsType(("p", "q")), "flags { p, q }"),
        (t.OptionType(t.S64()), "option<s64>"),
        (t.ResultType(), "result"),
        (t.ResultType(t.U8()), "result<u8>"),
        (t.ResultType(None, t.String()), "result<_, string>"),
        (t.ResultType(t.U8(), t.String()), "result<u8, string>"),
        (t.StreamType(), "stream"),
        (t.FutureType(t.U8()), "future<u8>"),
        (t.OwnType(t.AbstractResource(1, "codec")), "own<codec>"),
        (t.BorrowType(3), "borrow<resource#3>"),
    ],
)
def test_text_and_msgpack(ty: t.AnyValType, text: str) -> None:
    assert str(ty) == text
    types = ComponentTypes()
    index = types.intern(ty)
    rows = msgspec.msgpack.decode(msgspec.msgpack.encode(types.rows))
    assert ComponentTypes(rows)[index] == ty
    assert types.intern(ty) == index
    if not isinstance(ty, t.OwnType):
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(ty), type=t.AnyValType) == ty


def test_functions_print_like_wit() -> None:
    func = t.FuncType([("a", t.U8()), ("b", t.String())], t.ResultType(None, t.U8()))
    assert str(func) == "func(a: u8, b: string) -> result<_, u8>"
    assert str(t.FuncType((), None, True)) == "async func()"


def test_equality_is_structural() -> None:
    assert t.RecordType((("a", t.U32()), ("b", t.ListType(t.String())))) == RECORD
    assert hash(t.RecordType((("a", t.U32()), ("b", t.ListType(t.String()))))) == hash(RECORD)
    assert t.U8() != t.U16() and t.StreamType() != t.FutureType()
    assert t.OwnType(0) != t.OwnType(1) and t.OwnType(0) != t.BorrowType(0)
    assert isinstance(RECORD, t.ValType)
    with pytest.raises(AttributeError):
        RECORD.fields = ()  # type: ignore[misc]


def test_substitution_shares_and_keeps() -> None:
    handle = t.OwnType(0)
    shared = t.ListType(handle)
    func = t.FuncType((("a", shared), ("b", shared), ("c", RECORD)))
    new = t.substitute_resources(func, lambda r: f"r{r}")
    assert str(new) == "func(a: list<own<r0>>, b: list<own<r0>>, c: record { a: u32, b: list<string> })"
    assert new.params[0][1] is new.params[1][1]


def test_flattening() -> None:
    flat = Flattener()
    assert flat.type(RECORD) == (I32, I32, I32)
    assert flat.type(t.VariantType((("a", t.F32()), ("b", t.U32()), ("c", None)))) == (I32, I32)
    assert flat.type(t.ResultType(t.F64(), t.F32())) == (I32, I64)
    assert flat.type(t.ListType(t.U8(), 1 << 27)) == (I32,) * 17
    many = t.FuncType([(f"p{i}", t.U64()) for i in range(17)], t.String())
    assert flatten_functype(many, "lift") == CoreFuncType((I32,), (I32,))
    assert flatten_functype(many, "lower") == CoreFuncType((I32, I32), ())
    few = t.FuncType([(f"p{i}", t.F32()) for i in range(5)], t.U8())
    assert flatten_functype(few, "lower", async_=True) == CoreFuncType((I32, I32), (I32,))
    assert flatten_functype(few, "lift", async_=True, callback=True) == CoreFuncType((F32,) * 5, (I32,))
    assert Flattener(I64).type(t.String()) == (I64, I64)


def test_value_type_words_are_those_of_c(repository: Path) -> None:
    header = (repository / "csrc/wasm/types.h").read_text()
    for prefix in ("KIND", "HEAP"):
        body = "".join(re.findall(r"enum \{(.*?)\}", header, re.S))
        names = re.findall(rf"WR_({prefix}_\w+)", body)
        assert names, header
        for number, name in enumerate(names):
            if name != "KIND_BOTTOM":
                assert getattr(vt, name) == number, name
    assert vt.valtype_str(vt.VALTYPE_FUNCREF) == "funcref"
    assert vt.valtype_str(vt.ref_type(False, 5, concrete=True)) == "(ref 5)"


@pytest.mark.parametrize(
    ("name", "kind", "key"),
    [
        ("a-B1-c", "label", "a-b1-c"),
        ("[constructor]Foo-x".replace("Foo", "foo"), "constructor", "[constructor]foo-x"),
        ("[method]a.b", "method", "a.b"),
        ("[static]a.A", "static", "a"),
        ("wasi:io/streams@0.2.3", "interface", "wasi:io/streams@0.2.3"),
    ],
)
def test_names(name: str, kind: str, key: str) -> None:
    parsed = parse_name(name)
    assert (parsed.kind, parsed.unique_key) == (kind, key)


@pytest.mark.parametrize(
    "name", ["", "a_b", "aB", "-a", "a-", "a--b", "1a", "[method]a", "[other]a", "a:b", "a:b/c/d", "a:b:c/d", "A:b/c"]
)
def test_bad_names(name: str) -> None:
    with pytest.raises(NameError_):
        parse_name(name)


def test_versions() -> None:
    versions = ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0", "1.0.1"]
    assert sorted({*versions}, key=lambda v: parse_semver(v).key()) == versions
    for bad in ("", "1", "1.2", "1.2.3.4", "01.2.3", "1.2.3-01", "1.2.3-", "1.2.3+", "1.2.3-a..b", "1.2.3 "):
        with pytest.raises(NameError_):
            parse_semver(bad)
    found = semver_key("a:b/c@0.2.6")
    assert found is not None and found[0] == "a:b/c@0.2"
    assert semver_key("a:b/c@1.2.6-rc.1") is None and semver_key("a:b/c") is None


def test_errors_are_builtin_kinds_too() -> None:
    assert issubclass(errors.MissingFieldError, (TypeError,)) and issubclass(errors.MissingFieldError, AttributeError)
    assert issubclass(errors.ArgumentOverflowError, OverflowError)
    error = errors.DecodeError("bad", offset=16, path="component[0]", expected="a byte")
    assert str(error) == "decode error: bad; expected a byte (at offset 0x10 in component[0])"
