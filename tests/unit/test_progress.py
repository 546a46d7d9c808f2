"""Who watches a compilation sees it grow, and can stop it."""

from __future__ import annotations

from typing import Any

import pytest

from wasmrt import Engine, Module, ValidationError, wat2wasm
from wasmrt.component import Component


def large(functions: int) -> bytes:
    body = "(drop (i32.mul (local.get 0) (i32.const 3)))" * 60
    return bytes(wat2wasm("(module" + f"(func (param i32) {body})" * functions + ")"))


def test_it_grows_to_the_end() -> None:
    seen: list[tuple[int, int]] = []
    Module(Engine(), large(500), progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (500, 500)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert all(total in (0, 500) for _, total in seen)


def test_a_component_and_what_comes_of_it(tmp_path: Any) -> None:
    text = '(component (core module $a (func) (func)) (core module $b (import "" "" (func)) (func)) (core instance (instantiate $a)))'
    seen: list[tuple[int, int]] = []
    engine = Engine()
    artifact = engine.precompile_component(text, progress=lambda *state: seen.append(state))
    assert seen[-1] == (3, 3)
    path = tmp_path / "c.wat"
    path.write_text(text)
    assert Component.from_file(engine, path, progress=lambda *state: None).serialize() == artifact
    assert engine.precompile_module("(module (func))", progress=lambda *state: seen.append(state))
    assert seen[-1] == (1, 1)


def test_it_can_be_stopped() -> None:
    class Enough(Exception):
        pass

    def stop(done: int, total: int) -> None:
        raise Enough

    for count in (1, 300):
        with pytest.raises(Enough):
            Module(Engine(), large(count), progress=stop)
    assert Module(Engine(), large(1)).exports == []


def test_errors_come_out_as_they_are() -> None:
    wrong = bytes(wat2wasm("(module (func (result i32)))"))
    with pytest.raises(ValidationError) as plain:
        Module(Engine(), wrong)
    with pytest.raises(ValidationError) as watched:
        Module(Engine(), wrong, progress=lambda *state: None)
    assert str(watched.value) == str(plain.value)
