"""Components in text: forms that mean the same encode the same, and what is refused."""

from __future__ import annotations

import pytest

from wasmrt.binary import records as r
from wasmrt.binary.decoder import decode_component
from wasmrt.errors import TextError
from wasmrt.text import encode

MODULE = '(core module $M (memory (export "mem") 1) (func (export "f") (param i32 i32) (result i32) unreachable) (func (export "realloc") (param i32 i32 i32 i32) (result i32) unreachable))'
INSTANCE = MODULE + "(core instance $i (instantiate $M))"
ALIASES = '(alias core export $i "mem" (core memory $mem)) (alias core export $i "realloc" (core func $realloc))'


def definitions(text: str) -> list[r.Definition]:
    return decode_component(encode(f"(component {text})")).definitions


def shape(text: str) -> list[object]:
    """The definitions without their offsets and byte ranges, and without names of identifiers."""
    out: list[object] = []
    for definition in definitions(text):
        if isinstance(definition, r.CoreModuleDef | r.ComponentDef):
            out.append(type(definition).__name__)
        else:
            out.append(strip(definition))
    return out


def strip(value: object) -> object:
    if isinstance(value, list | tuple):
        return [strip(item) for item in value]
    if hasattr(type(value), "__dataclass_fields__"):
        names = [name for name in type(value).__dataclass_fields__ if name not in ("offset", "start", "end")]
        return (type(value).__name__, *[strip(getattr(value, name)) for name in names])
    return value


def refused(text: str) -> TextError:
    with pytest.raises(TextError) as caught:
        encode(text)
    return caught.value


def test_empty() -> None:
    assert encode("(component)") == b"\0asm\x0d\0\x01\0"
    assert (
        encode('(component binary "\\00asm\\0d\\00\\01\\00")')
        == encode('(component quote "")')
        == encode("(component)")
    )
    assert encode('(component quote "(component)")') == encode("(component (component))")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        # both orders of canonical definitions
        (
            '(import "f" (func $f)) (core func $c (canon lower (func $f)))',
            '(import "f" (func $f)) (canon lower (func $f) (core func $c))',
        ),
        (
            INSTANCE
            + '(func $g (param "s" string) (result u32) (canon lift (core func $i "f") (memory (core memory $i "mem")) (realloc (core func $i "realloc"))))',
            INSTANCE
            + '(type $t (func (param "s" string) (result u32))) (canon lift (core func $i "f") (memory (core memory $i "mem")) (realloc (core func $i "realloc")) (func $g (type $t)))',
        ),
        # the older spelling of options
        (
            INSTANCE
            + '(import "f" (func $f (param "s" string))) (core func (canon lower (func $f) string-encoding=utf8 (memory (core memory $i "mem")) (realloc (core func $i "realloc"))))',
            INSTANCE
            + '(import "f" (func $f (param "s" string))) (core func (canon lower (func $f) string-encoding=utf8 (memory $i "mem") (realloc (func $i "realloc"))))',
        ),
        (
            INSTANCE
            + ALIASES
            + '(import "f" (func $f (param "s" string))) (core func (canon lower (func $f) (memory $mem) (realloc $realloc)))',
            INSTANCE
            + ALIASES
            + '(import "f" (func $f (param "s" string))) (core func (canon lower (func $f) (memory (core memory 0)) (realloc (core func $realloc))))',
        ),
        # inline aliases of nested instances
        (
            '(import "j" (instance $j (export "a" (instance (export "f" (func)))))) (export "g" (func $j "a" "f"))',
            '(import "j" (instance $j (export "a" (instance (export "f" (func)))))) (alias export $j "a" (instance $a)) (alias export $a "f" (func $f)) (export "g" (func $f))',
        ),
        # sugar of imports and exports
        ('(func $f (import "f") (param "x" u8))', '(import "f" (func $f (param "x" u8)))'),
        (
            '(import "f" (func $f)) (instance $i (export "i") (export "f" (func $f)))',
            '(import "f" (func $f)) (instance $i (export "f" (func $f))) (export "i" (instance $i))',
        ),
        (
            '(import "i" (instance $i (export "f" (func)))) (func (export "f") (alias export $i "f"))',
            '(import "i" (instance $i (export "f" (func)))) (alias export $i "f" (func $f)) (export "f" (func $f))',
        ),
        # types within types are defined before them
        (
            '(type (func (param "x" (list (option u8)))))',
            '(type $o (option u8)) (type $l (list $o)) (type (func (param "x" $l)))',
        ),
        (
            '(import "i" (instance (type $t (record (field "a" u8))) (export "f" (func (result $t)))))',
            '(type $i (instance (type $t (record (field "a" u8))) (type $f (func (result $t))) (export "f" (func (type $f))))) (import "i" (instance (type $i)))',
        ),
        # core bundles
        (
            INSTANCE
            + '(core module $N (import "a" "f" (func))) (core instance (instantiate $N (with "a" (instance (export "f" (func $i "f"))))))',
            INSTANCE
            + '(core module $N (import "a" "f" (func))) (alias core export $i "f" (core func $f)) (core instance $b (export "f" (func $f))) (core instance (instantiate $N (with "a" (instance $b))))',
        ),
    ],
)
def test_two_ways_to_say_the_same(one: str, other: str) -> None:
    assert shape(one) == shape(other)


def test_outer_identifiers_become_aliases_once() -> None:
    text = '(type $t (record (field "a" u8))) (component (import "f" (func (param "x" $t) (param "y" $t))) (export "g" (func 0)))'
    inner = definitions(text)[1]
    assert isinstance(inner, r.ComponentDef)
    aliases = [d for d in inner.definitions if isinstance(d, r.AliasOuter)]
    assert [(a.sort, a.count, a.index) for a in aliases] == [(r.Sort.TYPE, 1, 0)]


def test_outer_by_name_and_number() -> None:
    assert shape("(component $C (core module $M) (component (alias outer $C $M (core module))))") == shape(
        "(component $C (core module $M) (component (alias outer 1 0 (core module))))"
    )


def test_exports_bind_a_new_index() -> None:
    found = shape('(type $a u8) (export $b "b" (type $a)) (type (list $b))')
    assert found[-1] == ("ListDef", 1, None)


def test_inline_exports_take_their_indices_last() -> None:
    found = shape(
        '(import "f" (func $f)) (func (export "g") (alias export $i "x"))'.replace("$i", "0").replace(
            '(import "f" (func $f))', '(import "i" (instance (export "x" (func))))'
        )
        + '(export "h" (func 0))'
    )
    assert [item[1][1] for item in found if item[0] == "Export"] == ["h", "g"]


def test_attributes() -> None:
    (_, item) = definitions('(import "a" (external-id "x\\79") (implements "n:p/i") (instance))')
    assert isinstance(item, r.Import)
    assert (item.name.name, item.name.implements, item.name.external_id) == ("a", "n:p/i", "xy")


def test_resources_and_builtins() -> None:
    text = (
        INSTANCE
        + '(type $R (resource (rep i32) (dtor (core func $i "f")))) (type $S (stream u8)) (type $F (future))'
        + "(core func (canon resource.new $R)) (canon resource.drop $R (core func $d)) (core func (canon stream.new $S))"
        + '(core func (canon stream.read $S async (memory (core memory $i "mem")))) (core func (canon future.cancel-write $F async))'
        + '(core func (canon task.return (result string) (memory (core memory $i "mem")))) (core func (canon context.set i32 1))'
        + '(core func (canon waitable-set.wait (memory (core memory $i "mem")))) (core func (canon subtask.cancel async)) (canon backpressure.inc (core func))'
        + '(core func (canon thread.yield)) (core type $t (func (param i32))) (alias core export $i "tbl" (core table $tbl)) (core func (canon thread.new-indirect $t (core table $tbl)))'
    )
    names = [d.name for d in definitions(text) if isinstance(d, r.CanonBuiltin)]
    assert names == [
        "resource.new", "resource.drop", "stream.new", "stream.read", "future.cancel-write", "task.return", "context.set",
        "waitable-set.wait", "subtask.cancel", "backpressure.inc", "thread.yield", "thread.new-indirect",
    ]  # fmt: skip


def test_value_types() -> None:
    text = (
        '(type (variant (case "a") (case "b" u8))) (type (list u8 4)) (type (tuple u8 string)) (type (flags "x" "y")) (type (enum "e"))'
        "(type (result)) (type (result u8)) (type (result (error u8))) (type (result char (error string))) (type (map string u8)) (type (stream)) (type error-context)"
    )
    kinds = [type(d).__name__ for d in definitions(text)]
    assert kinds == [
        "VariantDef",
        "ListDef",
        "TupleDef",
        "FlagsDef",
        "EnumDef",
        *["ResultDef"] * 4,
        "MapDef",
        "AsyncValueDef",
        "PrimitiveDef",
    ]


def test_values() -> None:
    text = '(type $r (record (field "a" u16) (field "b" (option string)))) (value $v $r (record 300 (some "hi"))) (value (list bool) (list true false)) (value $f32 f32 1.5) (type $fl (flags "a" "b")) (value $x $fl (flags "b"))'
    data = encode(f"(component {text})")
    values = [data[d.start : d.end] for d in decode_component(data).definitions if isinstance(d, r.Value)]
    assert values == [b"\xac\x02\x01\x02hi", b"\x02\x01\x00", b"\0\0\xc0\x3f", b"\x02"]


def test_names_of_identifiers() -> None:
    customs = decode_component(encode('(component $C (import "f" (func $f)))')).customs
    assert [c.name for c in customs] == ["component-name"]


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("(component (foo))", 13, "expected a field of a component"),
        ("(component (func $f (type $t)))", 27, "unknown type `$t`"),
        ('(component (import "f" (func $f)) (import "g" (func $f)))', 53, "duplicate func identifier"),
        ("(component (canon lift 0 (func)) x)", 34, "expected a field"),
        ("(component (canon foo.bar))", 19, "canonical built-in"),
        ("(component (alias outer $X 0 (type)))", 25, "outer component `$X` not found"),
        ("(component (alias outer 0 0 (func)))", 25, "an outer alias cannot be of a func"),
        ("(component (type (record (field a u8))))", 33, "expected a name in quotes"),
        ('(component (import "a" (external-id "x") (external-id "y") (func)))', 42, "duplicate 'external-id'"),
        ("(component (core func (canon lower (core func 0))))", 36, "expected `(func`"),
        ('(component (core instance $e (export "m" (core memory 0))))', 43, "a core sort without `core`"),
        (
            '(component (import "f" (func $f)) (export "g" (func $f) (instance)))',
            57,
            "of sort instance, expected func",
        ),
        ("(component (core module (func $f) (func $f)))", 41, "duplicate function"),
    ],
)
def test_errors_have_a_place(text: str, column: int, message: str) -> None:
    error = refused(text)
    assert message in error.message
    assert (error.line, error.column) == (1, column)


@pytest.mark.parametrize(
    "text",
    [
        "(component " * 5000,
        "(component" + "(component " * 300 + ")" * 301,
        "(component (type " + "(list " * 5000,
        "(component (type " + '(instance (export "a" ' * 5000,
        "(component (type " + "(option " * 200 + "u8" + ")" * 202,
    ],
)
def test_deep_nesting_is_an_error(text: str) -> None:
    assert "nested too deeply" in refused(text).message or "end of text" in refused(text).message


@pytest.mark.parametrize(
    "text",
    [
        '(component (export "a" (func',
        '(component (core instance (instantiate 0 (with "" (instance',
        '(component (export "a" (component',
    ],
)
def test_the_end_of_text_where_an_index_is_wanted(text: str) -> None:
    with pytest.raises(TextError, match="end of text, expected the index of a"):
        encode(text)
