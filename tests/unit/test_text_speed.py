"""Encoding takes time in proportion to the text, whatever it consists of; quadratic shapes would take minutes."""

from __future__ import annotations

import time

import pytest

from wasmrt.text import encode

SHAPES = {
    "functions": ("(module ", "(func)", ")"),
    "exported functions": ("(module ", '(func (export "{}"))', ")"),
    "named functions": ("(module ", "(func $f{} call $f{})", ")"),
    "memories": ("(module ", "(memory 0)", ")"),
    "instructions": ("(module (func ", "nop ", "))"),
    "blocks": ("(module (func ", "block end ", "))"),
    "branch targets": ("(module (func (br_table ", "0 ", "(i32.const 0))))"),
    "function indices": ("(module (func) (elem func ", "0 ", "))"),
    "recursion groups": ("(module ", "(rec)", ")"),
    "modules": ("(component ", "(core module)", ")"),
    "modules with a function": ("(component ", "(core module (func))", ")"),
    "modules with functions": ("(component ", "(core module (func (result i32) i32.const {}))", ")"),
    "folded instructions": ("(module (func ", "(drop (i32.const 1))", "))"),
    "data strings": ("(module (memory 1) (data ", '"a\\n\\00" ', "))"),
    "instances": ("(component ", "(instance)", ")"),
    "types": ("(component ", "(type u8)", ")"),
    "components": ("(component ", "(component)", ")"),
    "imports": ("(component ", '(import "a{}" (func))', ")"),
    "comments": ("(module ", "(;(;;);)", ")"),
    "annotations": ("(module ", "(@a)", ")"),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_time_is_linear(shape: str) -> None:
    head, unit, tail = SHAPES[shape]
    text = head + "".join(unit.format(i, i) for i in range(400_000 // len(unit))) + tail
    before = time.process_time()
    encode(text)
    assert time.process_time() - before < 3  # about half a second at worst
