"""The translator on hand-made components: what initializers, trampolines and exports come out, and what is refused."""

from __future__ import annotations

import sys
from collections.abc import Callable

import msgspec
import pytest

from wasmrt.errors import LimitError, ValidationError
from wasmrt.spec import types as t
from wasmrt.spec.core_types import VALTYPE_I32, CoreFuncType
from wasmrt.spec.features import Features
from wasmrt.translate import info
from wasmrt.translate.translation import Translation
from wasmrt.translate.type_table import ComponentTypes
from wasmrt.translate.whole import translate, validate

from . import builder as b
from .core_reader import read_core_module

I32 = VALTYPE_I32


def run(*sections: bytes) -> Translation:
    return translate(b.component(*sections), Features(), read_core_module)


LIFTED = (
    b.core_exporting_func("f", 1, 1),
    b.core_instances(b.instantiate_core(0)),
    b.aliases(b.alias_core_func(0, "f")),
    b.types(b.func_type([("x", b.U32)], b.U32)),
    b.canons(b.lift(0, 0)),
)


def test_lifted_function() -> None:
    result = run(*LIFTED, b.exports(b.export("f", b.func_item(0))))
    component = result.component
    assert component.initializers == [info.InstantiateModuleStatic(0, 0, [], 0)]
    assert component.exports == [("f", 0)]
    (export,) = component.export_items
    assert isinstance(export, info.ExportLiftedFunction)
    assert export.func == info.CoreExport(0, info.CoreKind.FUNC, "f", 0)
    assert str(result.types[export.ty]) == "func(x: u32) -> u32"
    options = component.options[export.options]
    assert options.core_type == CoreFuncType((I32,), (I32,)) and options.memory is None
    assert str(result.type) == "component { export f: func(x: u32) -> u32 }"
    assert component.trampolines == [] and component.num_runtime_instances == 1


def test_lowered_import() -> None:
    result = run(
        b.types(b.func_type([("x", b.U32)])),
        b.imports(b.import_func("host", 0)),
        b.canons(b.lower(0)),
        b.core_instances(b.core_bag(("g", 0, 0))),
        b.core_importing_func("m", "g", 1),
        b.core_instances(b.instantiate_core(0, ("m", 0))),
    )
    component = result.component
    assert component.initializers == [
        info.LowerImport(0, 0),
        info.InstantiateModuleStatic(0, 0, [info.CoreTrampoline(0)], 0),
    ]
    assert component.imports == [info.RuntimeImport(0, ())]
    assert [(n, str(result.types[ty])) for n, ty in component.import_types] == [("host", "func(x: u32)")]
    (trampoline,) = component.trampolines
    assert info.trampoline_signature(trampoline) == CoreFuncType((I32,), ())


def test_records_round_trip() -> None:
    result = run(*LIFTED, b.exports(b.export("f", b.func_item(0))))
    data = msgspec.msgpack.encode((result.component, result.types.rows))
    again, rows = msgspec.msgpack.decode(data, type=tuple[info.Component, list[list[object]]])
    assert again == result.component
    assert ComponentTypes(rows)[again.ty] == result.type


RESOURCE_TYPE = b"\x42" + b.vec(b"\x04" + b.extern("r") + b"\x03\x01")


def test_imported_resources_come_first() -> None:
    result = run(
        b.types(b.RESOURCE),
        b.imports(b.import_resource("a")),
        b.types(RESOURCE_TYPE),
        b.imports(b.import_instance("i", 2)),
        b.canons(b"\x02\0", b"\x03\x01", b"\x03\0"),
        b.exports(b.export("mine", b.type_item(0))),
    )
    component = result.component
    assert [component.imports[r] for r in component.imported_resources] == [
        info.RuntimeImport(0, ()),
        info.RuntimeImport(1, ("r",)),
    ]
    assert component.num_resources == 3 and component.resource_names[:2] == ["a", "r"]
    assert component.initializers == [info.Resource(0, I32, None, 0)]
    new, drop_a, drop_mine = component.trampolines
    assert isinstance(new, info.ResourceNew) and new.resource == 2
    assert isinstance(drop_a, info.ResourceDrop) and drop_a.resource == 0
    assert isinstance(drop_mine, info.ResourceDrop) and drop_mine.resource == 2
    assert component.export_items == [info.ExportResource(2)]


def test_reexported_resource_is_equal_on_both_sides() -> None:
    result = run(b.imports(b.import_resource("x")), b.exports(b.export("y", b.type_item(0))))
    assert dict(result.type.imports)["x"] == dict(result.type.exports)["y"] == t.ResourceItem(0)


def test_nested_component_is_flattened() -> None:
    """A component that is instantiated twice: two core instances, two of everything else."""
    inner = b.nested(
        b.types(b.RESOURCE), b.canons(b"\x03\0"), *LIFTED_AFTER_ONE, b.exports(b.export("f", b.func_item(0)))
    )
    result = run(
        inner,
        b.instances(b.instantiate(0), b.instantiate(0)),
        b.aliases(b.alias_func(1, "f")),
        b.exports(b.export("i", b.instance_item(0)), b.export("f", b.func_item(0))),
    )
    component = result.component
    assert [type(x).__name__ for x in component.initializers] == ["Resource", "InstantiateModuleStatic"] * 2
    assert component.defined_resource_instances == [1, 2]
    assert len(result.static_modules) == 1
    instance, func = (component.export_items[i] for _, i in component.exports)
    assert isinstance(instance, info.ExportInstance) and isinstance(func, info.ExportLiftedFunction)
    assert func.func == info.CoreExport(1, info.CoreKind.FUNC, "f", 0)
    assert component.options[func.options].instance == 2


LIFTED_AFTER_ONE = (
    b.core_exporting_func("f", 1, 1),
    b.core_instances(b.instantiate_core(0)),
    b.aliases(b.alias_core_func(0, "f")),
    b.types(b.func_type([("x", b.U32)], b.U32)),
    b.canons(b.lift(1, 1)),
)


def test_resources_are_initialized_in_place() -> None:
    result = run(b.types(b.RESOURCE), b.canons(b"\x03\0"))
    assert [type(x).__name__ for x in result.component.initializers] == ["Resource"]


def composed(instantiate: bool) -> bytes:
    """A component that lowers what another one lifts, and gives it to a core module if `instantiate`."""
    callee = b.nested(*LIFTED, b.exports(b.export("f", b.func_item(0))))
    user = b.core_importing_func("m", "f", 1, 1)
    caller = b.nested(
        *([user] if instantiate else []),
        b.types(b.func_type([("x", b.U32)], b.U32)),
        b.imports(b.import_func("f", 0)),
        b.canons(b.lower(0)),
        b.core_instances(b.core_bag(("f", 0, 0)), *([b.instantiate_core(0, ("m", 0))] if instantiate else [])),
    )
    return b.component(
        callee,
        caller,
        b.instances(b.instantiate(0)),
        b.aliases(b.alias_func(0, "f")),
        b.instances(b.instantiate(1, ("f", b.func_item(0)))),
    )


def test_call_between_components_is_a_core_module() -> None:
    pytest.importorskip("wasmrt._native.wasm")
    result = translate(composed(True), Features(), read_core_module)
    _, adapter, user = result.component.initializers
    assert isinstance(adapter, info.InstantiateModuleStatic) and isinstance(user, info.InstantiateModuleStatic)
    module = result.static_modules[adapter.module]
    assert module.name == "adapter" and [name for name, _, _ in module.view.exports] == ["0"]
    flags, trap, callee = adapter.args
    assert flags == info.InstanceFlags(info.RuntimeComponentInstanceIndex(2))
    assert isinstance(trap, info.CoreTrampoline) and isinstance(callee, info.CoreExport)
    assert result.component.trampolines[trap.index] == info.AdapterTrap()
    assert user.args == [info.CoreExport(adapter.index, info.CoreKind.FUNC, "0", module.view.exports[0][2])]


def test_adapter_that_nothing_uses_is_not_made() -> None:
    result = translate(composed(False), Features(), read_core_module)
    assert len(result.component.initializers) == 1 and result.component.trampolines == []


def test_reexported_import_function() -> None:
    result = run(b.types(b.func_type([])), b.imports(b.import_func("a", 0)), b.exports(b.export("b", b.func_item(0))))
    (export,) = result.component.export_items
    assert isinstance(export, info.ExportImportedFunction) and export.import_ == 0


def test_options_are_extracted_once(parse_text: Callable[[str], bytes]) -> None:
    text = """(component
      (core module $m (memory (export "mem") 1)
        (func (export "f") (param i32 i32)) (func (export "post"))
        (func (export "realloc") (param i32 i32 i32 i32) (result i32) unreachable))
      (core instance $i (instantiate $m))
      (func $f (param "s" string) (canon lift (core func $i "f") (memory (core memory $i "mem"))
        (realloc (core func $i "realloc")) (post-return (core func $i "post"))))
      (func $g (param "s" string) (canon lift (core func $i "f") string-encoding=utf16
        (memory (core memory $i "mem")) (realloc (core func $i "realloc"))))
      (export "f" (func $f)) (export "g" (func $g)))"""
    component = translate(parse_text(text), Features(), read_core_module).component
    assert [type(x).__name__ for x in component.initializers] == [
        "InstantiateModuleStatic",
        "ExtractMemory",
        "ExtractRealloc",
        "ExtractPostReturn",
    ]
    first, second = component.options
    assert (first.memory, first.realloc, first.post_return) == (0, 0, 0)
    assert second.string_encoding is info.StringEncoding.UTF16 and second.post_return is None


def test_attributes_of_names_are_kept(parse_text: Callable[[str], bytes]) -> None:
    text = """(component
      (import "a" (implements "x:y/z") (external-id "id") (instance $i))
      (import "b" (func)) (export "c" (external-id "other") (instance $i)))"""
    component = translate(parse_text(text), Features(), read_core_module).component
    assert component.import_attributes == {"a": info.ExternAttributes("x:y/z", "id")}
    assert component.export_attributes == {"c": info.ExternAttributes(None, "other")}


def test_imported_module_is_known_by_names(parse_text: Callable[[str], bytes]) -> None:
    text = """(component
      (import "m" (core module $m (import "a" "b" (func)) (export "f" (func)) (export "mem" (memory 1))))
      (import "h" (func $h))
      (core func $g (canon lower (func $h)))
      (core instance $a (export "b" (func $g)))
      (core instance $i (instantiate $m (with "a" (instance $a))))
      (func $f (canon lift (core func $i "f")))
      (export "f" (func $f)) (export "m" (core module $m)))"""
    component = translate(parse_text(text), Features(), read_core_module).component
    (instantiate,) = (x for x in component.initializers if isinstance(x, info.InstantiateModuleImport))
    assert instantiate.args == [("a", "b", info.CoreTrampoline(0))]
    func, module = component.export_items
    assert isinstance(func, info.ExportLiftedFunction)
    assert func.func == info.CoreExport(0, info.CoreKind.FUNC, "f", -1)
    assert isinstance(module, info.ExportModuleImport)


def test_fresh_resources_of_two_instances(parse_text: Callable[[str], bytes]) -> None:
    text = """(component
      (component $c (type $r (resource (rep i32))) (export $r2 "r" (type $r))
        (core func $drop (canon resource.drop $r))
        (func (export "f") (param "x" (own $r2)) (canon lift (core func $drop))))
      (instance $a (instantiate $c)) (instance $b (instantiate $c))
      (export "a" (instance $a)) (export "b" (instance $b)))"""
    result = translate(parse_text(text), Features(), read_core_module)
    a, b_ = (dict(item.exports) for _, item in result.type.exports)
    assert a["r"] == t.ResourceItem(0) and b_["r"] == t.ResourceItem(1)
    assert a["f"] == t.FuncType((("x", t.OwnType(0)),))
    assert b_["f"] == t.FuncType((("x", t.OwnType(1)),))


def test_errors_name_place_and_component() -> None:
    bad = b.component(b.nested(b.nested(b.exports(b.export("f", b.func_item(7))))))
    with pytest.raises(ValidationError, match="function index out of bounds") as caught:
        validate(bad, Features(), read_core_module)
    assert caught.value.path == "component[0].component[0]"
    assert caught.value.offset is not None and bad[caught.value.offset :].startswith(b.extern("f"))


def test_imports_cannot_mention_local_resources() -> None:
    data = b.component(b.types(b.RESOURCE), b.imports(b.extern("x") + b"\x03\0\0"))
    with pytest.raises(ValidationError, match="local resource type found in import `x`"):
        validate(data, Features(), read_core_module)


def test_features_off() -> None:
    stream = b.component(b.types(b"\x66\0"))
    with pytest.raises(ValidationError, match="not enabled"):
        validate(stream, Features(async_=False), read_core_module)
    fixed = b.component(b.types(b"\x67" + b.U8 + b"\x04"))
    with pytest.raises(ValidationError, match="not enabled"):
        validate(fixed, Features(fixed_length_lists=False), read_core_module)


# --- hostile sizes -----------------------------------------------------------------------------------------------


def test_types_that_double_are_limited() -> None:
    """Each level refers twice to the one before: 2^n nodes as a tree."""
    levels = [b"\x71" + b.vec(*[b.name(n) + b"\x01" + ref + b"\0" for n in "ab"]) for ref in doubling(60)]
    with pytest.raises(LimitError, match="type size"):
        validate(b.component(b.types(*levels)), Features(), read_core_module)


def doubling(n: int) -> list[bytes]:
    return [b.U8] + [b.index(i) for i in range(n)]


def test_deep_types_are_limited() -> None:
    levels = [b"\x6b" + ref for ref in doubling(200)]
    with pytest.raises(LimitError, match="nesting is too deep"):
        validate(b.component(b.types(*levels)), Features(), read_core_module)


def test_deep_nesting_never_exhausts_the_stack() -> None:
    """Instance types in instance types, as deep as allowed, with a resource that every use makes fresh."""
    levels = [RESOURCE_TYPE]
    for i in range(95):
        levels.append(b"\x42" + b.vec(b"\x02\x03\x02\x01" + b.leb(i), b"\x04" + b.extern("a") + b"\x05\0"))
    data = b.component(
        b.types(*levels), b.imports(b.import_instance("i", 95)), b.exports(b.export("e", b.instance_item(0)))
    )
    assert len(translate(data, Features(), read_core_module).component.imported_resources) == 1

    def deeper(n: int) -> Translation:
        return translate(data, Features(), read_core_module) if n == 0 else deeper(n - 1)

    with pytest.raises(LimitError, match="recursion limit"):
        deeper(sys.getrecursionlimit() - 350)


def test_instantiations_that_double_are_limited() -> None:
    """component[n] instantiates component[n-1] twice."""
    data = b.nested(*LIFTED)
    for _ in range(30):
        data = b.nested(data, b.instances(b.instantiate(0), b.instantiate(0)))
    with pytest.raises(LimitError, match="definitions to run"):
        run(data, b.instances(b.instantiate(0)))


def test_instance_types_that_double_are_limited() -> None:
    """Each instance type has two exports of the one before, and every use makes its resources fresh."""
    levels = [RESOURCE_TYPE]
    for i in range(40):
        outer = b"\x02\x03\x02\x01" + b.leb(i)
        two = [b"\x04" + b.extern(n) + b"\x05\0" for n in "ab"]
        levels.append(b"\x42" + b.vec(outer, *two))
    with pytest.raises(LimitError):
        validate(b.component(b.types(*levels)), Features(), read_core_module)
