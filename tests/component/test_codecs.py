"""Real components from the package registry translate into what their instantiation does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from wasmrt.spec import types as t
from wasmrt.spec.features import Features
from wasmrt.text import encode, print_wasm
from wasmrt.translate import info
from wasmrt.translate.translation import Translation
from wasmrt.translate.whole import translate

from .core_reader import read_core_module

CODECS = ("zstd", "zlib", "pco", "bit-round")


@pytest.fixture(params=CODECS)
def translation(request: pytest.FixtureRequest, codec: Callable[[str], Path]) -> Translation:
    return translate(codec(request.param).read_bytes(), Features(), read_core_module)


@pytest.mark.network
def test_exports(translation: Translation) -> None:
    exports = dict(translation.type.exports)
    (name,) = exports
    assert name.startswith("numcodecs:abc/codec@0.1.")
    codec = exports[name]
    assert isinstance(codec, t.ComponentInstanceType)
    items = dict(codec.exports)
    assert isinstance(items["codec"], t.ResourceItem)
    decode = items["[method]codec.decode-into"]
    assert isinstance(decode, t.FuncType)
    assert [n for n, _ in decode.params] == ["self", "encoded", "decoded"]
    assert decode.params[0][1] == t.BorrowType(items["codec"].ty)
    assert str(items["codec-id"]) == "func() -> string"


@pytest.mark.network
def test_records_refer_backwards_and_in_range(translation: Translation) -> None:
    component = translation.component
    instances = memories = lowerings = 0

    def check(core: info.CoreDef) -> None:
        if isinstance(core, info.CoreExport):
            assert 0 <= core.instance < instances
        elif isinstance(core, info.CoreTrampoline):
            assert 0 <= core.index < len(component.trampolines)
            lower = component.trampolines[core.index]
            assert not isinstance(lower, info.TrampolineLowerImport) or lower.index < lowerings

    for initializer in component.initializers:
        match initializer:
            case info.InstantiateModuleStatic():
                module = translation.static_modules[initializer.module].view
                assert len(initializer.args) == len(module.imports)
                for arg in initializer.args:
                    check(arg)
                assert initializer.index == instances
                instances += 1
            case info.LowerImport():
                assert initializer.index == lowerings
                assert initializer.import_ < len(component.imports)
                lowerings += 1
            case info.ExtractMemory():
                assert initializer.index == memories
                check(initializer.export)
                memories += 1
            case info.ExtractRealloc() | info.ExtractPostReturn():
                check(initializer.func)
            case info.Resource():
                assert initializer.dtor is not None
                check(initializer.dtor)
    assert instances == component.num_runtime_instances
    assert memories == component.num_runtime_memories
    assert lowerings == component.num_lowerings


@pytest.mark.network
def test_imports(codec: Callable[[str], Path]) -> None:
    translation = translate(codec("zstd").read_bytes(), Features(), read_core_module)
    assert "wasi:logging/logging@0.1.0-draft" in {n for n, _ in translation.component.import_types} or any(
        n.startswith("wasi:logging/logging") for n, _ in translation.component.import_types
    )


@pytest.mark.network
@pytest.mark.parametrize("name", CODECS)
def test_text_round_trip(name: str, codec: Callable[[str], Path]) -> None:
    """The text says the same again; the bytes differ in padded integers and in the order of canonical options alone."""
    text = print_wasm(codec(name).read_bytes())
    again = encode(text)
    assert print_wasm(again) == text
    assert encode(print_wasm(again)) == again
