"""The `.def` tables: well formed, without duplicates, and what Python gets from them is what they say."""

from __future__ import annotations

import importlib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tools import gen_tables

TABLES = sorted(gen_tables.TABLES.glob("*.def"))


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_table(path: Path) -> None:
    table = gen_tables.parse(path)
    assert table.rows, "an empty table"
    assert not gen_tables.duplicates(table)
    for macro in table.macros():
        rows = [row for row in table.rows if row.macro == macro]
        widths = {len(row.fields) for row in rows}
        assert len(widths) == 1, f"rows of {macro} differ in length: {widths}"
        twice = [name for name, count in Counter(row.fields[0] for row in rows).items() if count > 1]
        assert not twice, f"{macro} has two rows named {twice}"


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_generated_module(path: Path) -> None:
    table = gen_tables.parse(path)
    module = importlib.import_module(f"wasmrt.spec._gen.{path.stem}")
    for macro in table.macros():
        rows = [row.fields for row in table.rows if row.macro == macro]
        assert [tuple(row) for row in getattr(module, macro)] == rows, "stale: run make build"


def test_trap_numbers_are_unique() -> None:
    from wasmrt.spec._gen.traps import TRAP

    assert len({row.number for row in TRAP}) == len(TRAP)
    assert all(0 <= row.number < 256 for row in TRAP), "the trap table holds one byte"


def parsed(tmp_path: Path, text: str) -> gen_tables.Table:
    path = tmp_path / "t.def"
    path.write_text(text)
    return gen_tables.parse(path)


def test_fields(tmp_path: Path) -> None:
    table = parsed(
        tmp_path,
        """/* A legend: ROW(name, number, what it means) */
        #ifndef ROW
        #define ROW(a, ...) \\
            SKIPPED(a)
        #endif
        ROW(a, 0x10u, "x, \\"y\\"" " z") // a comment, with ROW(b)
        ROW(b, 1 << 4, (i32, i64)) ROW(c, FLAG_A | FLAG_B, );
        ROW(d, -1, true)
        """,
    )
    assert [row.fields for row in table.rows] == [
        ("a", 16, 'x, "y" z'),
        ("b", 16, ("i32", "i64")),
        ("c", "FLAG_A|FLAG_B", ""),
        ("d", -1, True),
    ]
    assert table.columns["ROW"] == ["name", "number", "what_it_means"]


def test_generated_text_is_python(tmp_path: Path) -> None:
    table = parsed(tmp_path, '/* OP(name, opcode, note) */ OP(if, 4, "x") OP(end, 11, "y")')
    names: dict[str, object] = {}
    exec(gen_tables.render(table), names)
    assert names["if_"] == 4
    assert names["end"] == 11
    assert names["OP_BY_NAME"]["end"].note == "y"  # type: ignore[index]


def test_a_column_of_numbers_makes_an_enum(tmp_path: Path) -> None:
    table = parsed(tmp_path, '/* WHY(name, number, note) */ WHY(LATE, 4, "x") WHY(EARLY, 11, "y")')
    names: dict[str, Any] = {}
    exec(gen_tables.render(table), names)
    assert [(code.name, code.value) for code in names["WhyCode"]] == [("LATE", 4), ("EARLY", 11)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ROW(a", "t.def:1: row ROW( is not closed"),
        ("\nROW", "t.def:2: expected a row NAME(...), found 'ROW'"),
        ("/* x\n */ ROW(a) 1", "t.def:2: expected a row NAME(...), found '1'"),
        ("ROW(@)", "t.def:1: unexpected character '@'"),
    ],
)
def test_malformed(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(gen_tables.TableError, match=r"t\.def:\d+") as caught:
        parsed(tmp_path, text)
    assert message in str(caught.value)


def test_duplicate_row(tmp_path: Path) -> None:
    table = parsed(tmp_path, "ROW(a, 1)\nROW(a, 1)\nROW(a, 2)")
    assert len(gen_tables.duplicates(table)) == 1
