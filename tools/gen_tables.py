"""Owns the one way from `include/wasmrt/*.def` (C X-macro tables) to Python constants `wasmrt/spec/_gen/*.py`.

Why: a second, hand-kept list of traps, instructions or limits is a defect; C includes the tables, Python gets them from here.
A table is rows `MACRO(field, "string", 0x10, A | B, (x, y), ...)`; comments and preprocessor lines are skipped. The legend in
the comment above, `MACRO(name, number, what it means)`, names the columns. For `TRAP(name, number, message)` of `traps.def`
the module `wasmrt.spec._gen.traps` then holds:

    class TrapRow(NamedTuple)        .name .number .message (f0, f1, ... when the legend names none or another count)
    TRAP: tuple[TrapRow, ...]        the rows, in the order of the file
    TRAP_BY_NAME: dict[str, TrapRow] keyed by the first column, if that is an identifier and unique; and then also
    STACK_OVERFLOW = 0               a constant a row: its column number/value/code/opcode, else its position, as in C
                                     (TRAP_STACK_OVERFLOW where the table has several macros or the name is taken)
    class TrapCode(enum.IntEnum)     the same, if the column is called `number`: so that type checkers know the members

Fields become: int for numbers and constant arithmetic, str for strings and identifiers (an or-ed list stays one string,
"A|B"), bool for true/false, tuple for parenthesised lists, "" for an empty field.

    python tools/gen_tables.py           writes what changed
    python tools/gen_tables.py --check   exit 1 if a table is malformed or has two equal rows
"""

from __future__ import annotations

import ast
import keyword
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TABLES = ROOT / "include" / "wasmrt"
OUT = ROOT / "wasmrt" / "spec" / "_gen"

Value = int | str | bool | tuple["Value", ...]

_TOKEN = re.compile(
    r"""(?P<comment>/\*.*?\*/|//[^\n]*)
      | (?P<space>\s+|\\\n)
      | (?P<string>"(?:[^"\\\n]|\\.)*")
      | (?P<char>'(?:[^'\\\n]|\\.)')
      | (?P<number>(?:0[xX][0-9a-fA-F]+|[0-9]+)[uUlL]*)
      | (?P<name>[A-Za-z_]\w*)
      | (?P<op><<|>>|::|->|[-+*/%|&^~(),;{}.:<>=!?\[\]])""",
    re.VERBOSE | re.DOTALL,
)
_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
_LEGEND = re.compile(r"\b([A-Z][A-Z0-9_]*)\(([A-Za-z][\w\s,*/-]*)\)")
_NUMBER_COLUMNS = ("number", "value", "code", "opcode")


class TableError(Exception):
    """A table that does not parse: the message begins with path:line."""


@dataclass
class Row:
    macro: str
    fields: tuple[Value, ...]
    line: int


@dataclass
class Table:
    path: Path
    rows: list[Row] = field(default_factory=list)
    columns: dict[str, list[str]] = field(default_factory=dict)

    def macros(self) -> list[str]:
        return list(dict.fromkeys(row.macro for row in self.rows))


@dataclass
class _Token:
    kind: str
    text: str
    line: int


def _blank_preprocessor(text: str) -> str:
    """Preprocessor lines (with their continuations) become empty lines, so that line numbers stay true."""
    out: list[str] = []
    inside = False
    in_comment = False
    for line in text.split("\n"):
        is_directive = not in_comment and (inside or line.lstrip().startswith("#"))
        out.append("" if is_directive else line)
        inside = is_directive and line.rstrip().endswith("\\")
        if not is_directive:
            for part in re.finditer(r"/\*|\*/", line):
                in_comment = part.group() == "/*"
    return "\n".join(out)


def _tokens(path: Path, text: str) -> Iterator[_Token]:
    position, line = 0, 1
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise TableError(f"{path}:{line}: unexpected character {text[position]!r}")
        kind = match.lastgroup or ""
        if kind not in ("comment", "space"):
            yield _Token(kind, match.group(), line)
        line += match.group().count("\n")
        position = match.end()


def _number(text: str) -> int:
    text = text.rstrip("uUlL")
    return int(text, 8) if re.fullmatch(r"0[0-7]+", text) else int(text, 0)


_BINARY = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a // b,
    ast.Mod: lambda a, b: a % b,
    ast.LShift: lambda a, b: a << b,
    ast.RShift: lambda a, b: a >> b,
    ast.BitOr: lambda a, b: a | b,
    ast.BitAnd: lambda a, b: a & b,
    ast.BitXor: lambda a, b: a ^ b,
}


def _arithmetic(source: str) -> int | None:
    """The value of a constant integer expression, None if it is not one."""

    def value(node: ast.expr) -> int:
        if isinstance(node, ast.Constant) and isinstance(node.value, int):
            return node.value
        if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
            return _BINARY[type(node.op)](value(node.left), value(node.right))
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return -value(node.operand)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Invert):
            return ~value(node.operand)
        raise ValueError

    try:
        return value(ast.parse(source, mode="eval").body)
    except (ValueError, SyntaxError, ZeroDivisionError):
        return None


def _value(tokens: list[_Token]) -> Value:
    if not tokens:
        return ""
    if all(token.kind == "string" for token in tokens):
        return "".join(str(ast.literal_eval(token.text)) for token in tokens)
    if len(tokens) == 1:
        token = tokens[0]
        if token.kind == "number":
            return _number(token.text)
        if token.kind == "char":
            return ord(str(ast.literal_eval(token.text)))
        if token.text in ("true", "false"):
            return token.text == "true"
        return token.text
    if not any(token.kind in ("name", "string") for token in tokens):
        number = _arithmetic(" ".join(str(_number(t.text)) if t.kind == "number" else t.text for t in tokens))
        if number is not None:
            return number
    if tokens[0].text == "(" and _closing(tokens, 0) == len(tokens) - 1:
        return tuple(_value(part) for part in _split(tokens[1:-1]))
    return "".join(
        token.text if index == 0 or token.kind == "op" or tokens[index - 1].kind == "op" else " " + token.text
        for index, token in enumerate(tokens)
    )


def _closing(tokens: list[_Token], start: int) -> int:
    depth = 0
    for index in range(start, len(tokens)):
        if tokens[index].text == "(":
            depth += 1
        elif tokens[index].text == ")":
            depth -= 1
            if depth == 0:
                return index
    return -1


def _split(tokens: list[_Token]) -> list[list[_Token]]:
    """At the commas that are outside all parentheses."""
    if not tokens:
        return []
    parts: list[list[_Token]] = [[]]
    depth = 0
    for token in tokens:
        if token.text == "," and depth == 0:
            parts.append([])
            continue
        depth += {"(": 1, ")": -1}.get(token.text, 0) if token.kind == "op" else 0
        parts[-1].append(token)
    return parts


def parse(path: Path) -> Table:
    """The rows of one table. Raises TableError with the line of what is wrong."""
    text = path.read_text()
    table = Table(path)
    for comment in _COMMENT.findall(text):
        for macro, names in _LEGEND.findall(comment):
            table.columns.setdefault(macro, [_column_name(name) for name in names.split(",")])
    tokens = list(_tokens(path, _blank_preprocessor(text)))
    position = 0
    while position < len(tokens):
        token = tokens[position]
        if token.text == ";":
            position += 1
            continue
        if token.kind != "name" or position + 1 >= len(tokens) or tokens[position + 1].text != "(":
            raise TableError(f"{path}:{token.line}: expected a row NAME(...), found {token.text!r}")
        end = _closing(tokens, position + 1)
        if end < 0:
            raise TableError(f"{path}:{token.line}: row {token.text}( is not closed")
        fields = tuple(_value(part) for part in _split(tokens[position + 2 : end]))
        table.rows.append(Row(token.text, fields, token.line))
        position = end + 1
    return table


def duplicates(table: Table) -> list[str]:
    """Rows that stand twice in a table, as path:line messages."""
    seen: dict[tuple[str, tuple[Value, ...]], int] = {}
    found = []
    for row in table.rows:
        first = seen.setdefault((row.macro, row.fields), row.line)
        if first != row.line:
            found.append(f"{table.path.name}:{row.line}: {row.macro}{row.fields} repeats line {first}")
    return found


def _type_of(value: Value) -> str:
    if isinstance(value, tuple):
        inner = sorted({_type_of(item) for item in value})
        return f"tuple[{' | '.join(inner)}, ...]" if inner else "tuple[str, ...]"
    return type(value).__name__


def _identifier(name: str) -> str:
    return name + "_" if keyword.iskeyword(name) else name


def _column_name(words: str) -> str:
    name = re.sub(r"\W+", "_", words.strip().lower()).strip("_")
    # count and index are methods of a tuple; a leading underscore is refused by NamedTuple
    return name + "_" if keyword.iskeyword(name) or name in ("count", "index") else name


def _column_names(count: int, named: list[str] | None) -> list[str]:
    usable = named is not None and len(named) == count and len(set(named)) == count and all(named)
    return named if named is not None and usable else [f"f{index}" for index in range(count)]


def _constants(rows: list[Row], columns: list[str], taken: set[str], prefix: str) -> list[str]:
    """`NAME: Final = number` for each row; the number is a column's, or the position as in a C enum made of the rows."""
    names = [_identifier(str(row.fields[0])) for row in rows]
    if prefix or taken.intersection(names):
        names = [f"{prefix or rows[0].macro + '_'}{row.fields[0]}" for row in rows]
    column = next((columns.index(name) for name in _NUMBER_COLUMNS if name in columns), -1)
    numbers = [row.fields[column] if 0 <= column < len(row.fields) else "" for row in rows]
    if column < 0 or not all(type(number) is int for number in numbers):
        numbers = list(range(len(rows)))
    return [f"{name}: Final = {number}" for name, number in zip(names, numbers, strict=True)]


def render(table: Table) -> str:
    """The Python module of one table."""
    out = [
        f'"""Generated by tools/gen_tables.py from include/wasmrt/{table.path.name}; do not edit."""',
        "",
        "from __future__ import annotations",
        "",
        *(["import enum"] if any("number" in columns for columns in table.columns.values()) else []),
        "from typing import Final, NamedTuple",
        "",
    ]
    macros = table.macros()
    for macro in macros:
        rows = [row for row in table.rows if row.macro == macro]
        width = max(len(row.fields) for row in rows)
        shortest = min(len(row.fields) for row in rows)
        stem = "".join(part.capitalize() for part in macro.split("_"))
        name = f"{stem}Row"
        out += ["", f"class {name}(NamedTuple):"]
        columns = _column_names(width, table.columns.get(macro))
        for index, column in enumerate(columns):
            types = sorted({_type_of(row.fields[index]) for row in rows if index < len(row.fields)})
            default = ' = ""' if index >= shortest else ""
            if default and "str" not in types:
                types.append("str")
            out.append(f"    {column}: {' | '.join(types)}{default}")
        if not columns:
            out.append("    pass")
        out += ["", "", f"{macro}: Final[tuple[{name}, ...]] = ("]
        out += [f"    {name}({', '.join(map(repr, row.fields))})," for row in rows]
        out.append(")")
        keys = [row.fields[0] if row.fields else "" for row in rows]
        if all(isinstance(key, str) and key.isidentifier() for key in keys) and len(set(keys)) == len(keys):
            out.append(f"{macro}_BY_NAME: Final[dict[str, {name}]] = {{row[0]: row for row in {macro}}}")
            out.append("")
            taken = {name, macro, f"{macro}_BY_NAME", "Final", "NamedTuple", "enum"}
            out += _constants(rows, columns, taken, f"{macro}_" if len(macros) > 1 else "")
            if "number" in columns:
                number = columns.index("number")
                out += ["", "", f"class {stem}Code(enum.IntEnum):", *(f"    {row.fields[0]} = {row.fields[number]}" for row in rows)]
        out.append("")
    return "\n".join(out)


def render_header(text: str) -> str:
    """The C API's header as it is, and what cffi takes of it: no preprocessor lines, no comments, no markers."""
    plain = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    plain = re.sub(r"#ifdef __cplusplus.*?#endif", "", plain, flags=re.DOTALL)
    plain = "\n".join(line for line in plain.splitlines() if line.strip() and not line.startswith("#")).replace("WASMRT_API ", "")
    return (
        '"""Generated from include/wasmrt.h by tools/gen_tables.py."""\n\nfrom typing import Final\n\n'
        f"HEADER: Final = {text!r}\nDECLARATIONS: Final = {plain!r}\n"
    )


def _write(path: Path, text: str) -> None:
    if not path.exists() or path.read_text() != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def generate(tables: Path = TABLES, out: Path = OUT) -> list[str]:
    """Write one module a table (only what changed), remove modules of tables that are gone; return the module names."""
    paths = sorted(tables.glob("*.def"))
    for path in paths:
        _write(out / f"{path.stem}.py", render(parse(path)))
    _write(out / "__init__.py", '"""Generated from include/wasmrt/*.def by tools/gen_tables.py."""\n')
    names = [path.stem for path in paths]
    header = tables.parent / "wasmrt.h"
    if header.exists():
        _write(out / "c_api.py", render_header(header.read_text()))
        names.append("c_api")
    for path in out.glob("*.py"):
        if path.stem not in (*names, "__init__"):
            path.unlink()
    return names


def main(arguments: list[str]) -> int:
    try:
        if "--check" in arguments:
            found = [text for path in sorted(TABLES.glob("*.def")) for text in duplicates(parse(path))]
            print("\n".join(found) or "tables are well formed")
            return 1 if found else 0
        print("generated:", " ".join(generate()) or "nothing (no tables)")
    except TableError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
