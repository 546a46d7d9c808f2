"""What wasmtime's documentation of `Component` shows, each as a test, and the parts of the runtime that the contract names."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

import wasmrt
from wasmrt.artifact.info import CompiledComponentInfo, ComponentArtifacts
from wasmrt.component import Component, Linker, ResourcesRequired, ResourceType, types
from wasmrt.translate import info


@pytest.fixture(scope="module")
def engine() -> wasmrt.Engine:
    return wasmrt.Engine()


# ---- resource types -----------------------------------------------------------------------------------------------------------------------------------

IMPORTS_X = '(component (import "x" (type $x (sub resource))))'
EXPORTS_X = '(component (import "x" (type $x (sub resource))) (export "y" (type $x)))'


def test_two_components_have_unequal_abstract_resources(engine: wasmrt.Engine) -> None:
    one, two = Component(engine, IMPORTS_X), Component(engine, IMPORTS_X)
    a, b = one.component_type().imports(engine)["x"], two.component_type().imports(engine)["x"]
    assert isinstance(a, types.Resource) and isinstance(b, types.Resource) and a != b
    assert one.type != two.type and one.type == copy.copy(one).type


def test_a_resource_exported_again_is_equal(engine: wasmrt.Engine) -> None:
    ty = Component(engine, EXPORTS_X).component_type()
    assert ty.imports(engine)["x"] == ty.exports(engine)["y"]


def test_instantiation_substitutes_imported_resources(engine: wasmrt.Engine) -> None:
    component = Component(engine, EXPORTS_X)
    ty = component.component_type()
    linker = Linker(engine)
    linker.root().add_resource("x", str)
    instance = linker.instantiate(wasmrt.Store(engine), component)
    exported = instance.get_resource("y")
    assert exported not in (ty.imports(engine)["x"], ty.exports(engine)["y"]) and exported == ResourceType.host(str)
    assert linker.substituted_component_type(component).exports(engine)["y"] == ResourceType.host(str)
    with pytest.raises(wasmrt.LinkError, match="`x`"):
        Linker(engine).substituted_component_type(component)


def test_defined_resources_are_fresh_in_each_instance(engine: wasmrt.Engine) -> None:
    component = Component(engine, '(component (type $x (resource (rep i32))) (export "x" (type $x)))')
    store, linker = wasmrt.Store(engine), Linker(engine)
    one, two = (linker.instantiate(store, component).get_resource("x") for _ in range(2))
    assert len({one, two, component.type.exports()["x"]}) == 3


# ---- what a component needs -----------------------------------------------------------------------------------------------------------------------------


def test_six_memories_over_three_instantiations() -> None:
    engine = wasmrt.Engine(wasmrt.Config(wasm_multi_memory=True))
    text = """(component
      (core module $m (memory 2) (memory 6) (table 3 funcref))
      (core module $unused (memory 100))
      (core instance (instantiate $m)) (core instance (instantiate $m)) (core instance (instantiate $m)))"""
    assert Component(engine, text).resources_required() == ResourcesRequired(6, 6, 3, 3)
    assert Component(engine, "(component)").resources_required() == ResourcesRequired(0, None, 0, None)
    imported = '(core module $m (import "" "m" (memory 1)) (memory 2)) (core module $n (memory (export "m") 3)) (core instance $i (instantiate $n))'
    assert Component(
        engine, f'(component {imported} (core instance (instantiate $m (with "" (instance $i)))))'
    ).resources_required() == ResourcesRequired(2, 3, 0, None)


def test_imported_modules_cannot_be_known(engine: wasmrt.Engine) -> None:
    imports = '(component (import "m" (core module $m (export "f" (func)))) {})'
    assert Component(engine, imports.format("")).resources_required() == ResourcesRequired(0, None, 0, None)
    assert Component(engine, imports.format("(core instance (instantiate $m))")).resources_required() is None


# ---- exports ------------------------------------------------------------------------------------------------------------------------------------------

NESTED = """(component
  (core module $M (func (export "f") (result i32) (i32.const 7)))
  (core instance $m (instantiate $M))
  (func $f (result u32) (canon lift (core func $m "f")))
  (instance $i (export "f" (func $f)))
  (instance $o (export "inner" (instance $i)))
  (export "my:pkg/outer@1.2.3" (instance $o))
  (export "f" (func $f))
  (export "module" (core module $M)))"""


def test_export_index_then_get_func(engine: wasmrt.Engine) -> None:
    component = Component(engine, NESTED)
    instance = Linker(engine).instantiate(wasmrt.Store(engine), component)
    found = component.export_index(None, "f")
    assert found is not None and isinstance(found[0], types.ComponentFunc)
    func: Any = instance.get_func(found[1])
    assert func() == 7
    outer = component.export_index(None, "my:pkg/outer@1.2.0")
    assert outer is not None and isinstance(outer[0], types.ComponentInstance)
    inner = component.export_index(outer[1], "inner")
    assert inner is not None and isinstance(inner[0], types.ComponentInstance)
    deep = component.export_index(inner[1], "f")
    assert deep is not None and deep[0] == found[0] and instance.get_func(deep[1])() == 7  # type: ignore[misc]
    assert component.get_export_index("f", inner[1]) == deep[1] == instance.get_export_index("f", instance=inner[1])
    assert len({found[1], outer[1], inner[1], deep[1], component.get_export_index("f")}) == 4
    module = component.export_index(None, "module")
    assert module is not None and isinstance(module[0], types.Module)
    for parent, name in [(None, "none"), (found[1], "f"), (module[1], "f"), (outer[1], "f")]:
        assert component.export_index(parent, name) is None and component.get_export_index(name, parent) is None
    other = Component(engine, NESTED)
    assert other.export_index(outer[1], "inner") is None and other.get_export_index("f") != found[1]
    assert Linker(engine).instantiate(instance.store, other).get_func(found[1]) is None
    assert copy.copy(component).export_index(outer[1], "inner") is not None
    assert instance.get_func(outer[1]) is None and instance.get_module(module[1]) is not None
    with pytest.raises(TypeError):
        component.export_index("my:pkg/outer@1.2.3", "inner")  # type: ignore[arg-type]


# ---- making one -----------------------------------------------------------------------------------------------------------------------------------------


def test_sources(engine: wasmrt.Engine, tmp_path: Path) -> None:
    binary = wasmrt.wat2wasm(NESTED)
    for name, content in (("a.wasm", bytes(binary)), ("a.wat", NESTED.encode())):
        (tmp_path / name).write_bytes(content)
        assert Component.from_file(engine, tmp_path / name).export_index(None, "f") is not None
    for source in (binary, bytes(binary), memoryview(bytes(binary)), NESTED, NESTED.encode()):
        assert Component(engine, source).export_index(None, "f") is not None
    with pytest.raises(wasmrt.WasmError, match="from_file"):
        Component(engine, str(tmp_path / "a.wasm"))
    with pytest.raises(wasmrt.WasmError):
        Component.from_binary(engine, NESTED)
    (tmp_path / "bad.wasm").write_bytes(bytes(binary)[:-3])
    with pytest.raises(wasmrt.WasmError, match="bad.wasm"):
        Component.from_file(engine, tmp_path / "bad.wasm")
    for wrong in (b"", b"\0asm\1\0\0\0", "(module)", "(component"):
        with pytest.raises(wasmrt.WasmtimeError):
            Component(engine, wrong)
    for engine_, source_ in ((1, NESTED), (engine, 2), (engine, None)):
        with pytest.raises(TypeError):
            Component(engine_, source_)  # type: ignore[arg-type]
    precompiled = engine.precompile_component(NESTED)
    again = Component.deserialize(engine, precompiled)
    assert again.serialize() == precompiled and engine.detect_precompiled(precompiled) == "component"
    assert engine.detect_precompiled(NESTED.encode()) is None
    with pytest.raises(wasmrt.ArtifactError):
        wasmrt.Module.deserialize(engine, precompiled)
    assert again.engine is engine and again.id > Component.deserialize(engine, precompiled).id - 2


# ---- what the contract names ------------------------------------------------------------------------------------------------------------------------------

DATA = """(component
  (core module $M (memory (export "m") 1) (data (i32.const 0) "{data}") (func (export "f") (result i32) (i32.load8_u (i32.const 1000))))
  (core instance $m (instantiate $M))
  (type $r (resource (rep i32)))
  (core func $drop (canon resource.drop $r))
  (func (export "f") (result u32) (canon lift (core func $m "f"))))"""


def test_dense_data_is_mapped_copy_on_write_by_default(engine: wasmrt.Engine) -> None:
    assert wasmrt.Config().memory_init_cow
    component = Component(engine, DATA.format(data="x" * 40000))
    (module,) = component.static_modules
    assert isinstance(module, wasmrt.Module) and module.memory_initialization is wasmrt.MemoryInitialization.STATIC
    component.initialize_copy_on_write_image()
    assert Linker(engine).instantiate(wasmrt.Store(engine), component).exports.f() == ord("x")


def test_calls_use_the_code_of_the_image(engine: wasmrt.Engine) -> None:
    component = Component(engine, DATA.format(data="x"))
    start, end = component.image_range()
    func: Any = Linker(engine).instantiate(wasmrt.Store(engine), component).get_func("f")
    ref = func.func_ref
    assert start <= ref.array_call < end and start <= ref.wasm_call < end and ref.vmctx and ref.type_index >= 0
    pointers = component.trampoline_ptrs(0)
    assert start <= pointers.wasm_call < end and start <= pointers.array_call < end
    with pytest.raises(IndexError):
        component.trampoline_ptrs(1)


def test_artifacts_are_what_is_used(engine: wasmrt.Engine) -> None:
    component = Component(engine, DATA.format(data="x"))
    artifacts = component._artifacts
    assert isinstance(artifacts, ComponentArtifacts) and isinstance(artifacts.info, CompiledComponentInfo)
    assert artifacts.component is artifacts.info.component and len(artifacts.static_modules) == 1
    kinds = [type(initializer) for initializer in artifacts.component.initializers]
    assert kinds == [info.InstantiateModuleStatic, info.Resource]
    assert set(kinds) <= set(info.GlobalInitializer.__args__)
    assert {one.__name__ for one in info.GlobalInitializer.__args__} == {
        "InstantiateModuleStatic",
        "InstantiateModuleImport",
        "LowerImport",
        "ExtractMemory",
        "ExtractTable",
        "ExtractRealloc",
        "ExtractCallback",
        "ExtractPostReturn",
        "Resource",
    }
