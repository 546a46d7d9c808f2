"""Types of components as data: what they are equal to, how they print, and the names that programs written for the peer use."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from typing import Any

import pytest

import wasmrt
from wasmrt import component as c
from wasmrt.component import Component, Linker, ResourceType, types

EVERYTHING = """
(component
  (import "a:b/shapes@1.2.3" (instance $shapes
    (type $point' (record (field "x" f64) (field "y" f64)))
    (export "point" (type $point (eq $point')))
    (type $kind' (enum "round" "square"))
    (export "kind" (type $kind (eq $kind')))
    (export "shape" (type $shape (sub resource)))
    (export "corners" (func (param "of" (borrow $shape)) (result (list $point))))
    (export "make" (func (param "kind" $kind) (param "at" (option $point)) (result (own $shape))))))
  (import "plain" (func (param "n" u32) (result (result string (error (tuple u8 char))))))
  (import "code" (core module (import "m" "f" (func (param i32))) (export "memory" (memory 1 2))))
  (import "users" (implements "a:b/store@1.0.0") (external-id "users-db") (instance))
  (alias export $shapes "point" (type $p))
  (alias export $shapes "shape" (type $s))
  (component $inner)
  (type $line' (record (field "from" $p) (field "to" $p)))
  (export $line "line" (type $line'))
  (export "shape" (type $s))
  (export "inner" (component $inner))
  (type $bits' (flags "r" "w"))
  (export "bits" (external-id "bits") (type $bits'))
  (core module $M (func (export "f")))
  (export "a-module" (core module $M)))
"""


@pytest.fixture(scope="module")
def engine() -> wasmrt.Engine:
    return wasmrt.Engine(wasmrt.Config(wasm_component_model_implements=True))


@pytest.fixture(scope="module")
def everything(engine: wasmrt.Engine) -> Component:
    return Component(engine, EVERYTHING)


def test_items(engine: wasmrt.Engine, everything: Component) -> None:
    imports = everything.type.imports(engine)
    assert list(imports) == ["a:b/shapes@1.2.3", "plain", "code", "users"]
    shapes, plain, code, users = imports.values()
    assert isinstance(shapes, types.ComponentInstance) and isinstance(plain, types.ComponentFunc)
    assert isinstance(code, types.Module) and isinstance(users, types.ComponentInstance)
    assert plain.params == [("n", types.U32())] and not plain.async_
    assert plain.result == types.ResultType(types.String(), types.TupleType((types.U8(), types.Char())))
    assert code.imports(engine) == [wasmrt.ImportType("m", "f", wasmrt.FuncType([wasmrt.ValType.i32()], []))]
    assert code.exports() == [wasmrt.ExportType("memory", wasmrt.MemoryType(wasmrt.Limits(1, 2)))]
    inside = shapes.exports(engine)
    assert list(inside) == ["point", "kind", "shape", "corners", "make"]
    point = types.RecordType((("x", types.F64()), ("y", types.F64())))
    assert inside["point"] == point and isinstance(inside["point"], types.RecordType)
    assert inside["kind"] == types.EnumType(("round", "square"))
    shape, corners = inside["shape"], inside["corners"]
    assert isinstance(shape, types.Resource) and isinstance(corners, types.ComponentFunc) and not shape.is_host
    assert corners.params == [("of", types.BorrowType(shape))] and corners.result == types.ListType(point)
    exports = everything.type.exports(engine)
    assert list(exports) == ["line", "shape", "inner", "bits", "a-module"]
    assert exports["shape"] == shape and hash(exports["shape"]) == hash(shape)
    assert exports["line"] == types.RecordType((("from", point), ("to", point)))
    assert isinstance(exports["inner"], types.Component) and exports["inner"].imports() == {}
    assert isinstance(exports["a-module"], types.Module)


def test_items_are_their_types_and_have_them(everything: Component) -> None:
    """Programs for the peer up to 46 take the items themselves, those for 50 their `.ty`."""
    items = {**everything.type.imports(), **everything.type.exports()}
    for item in items.values():
        assert item.ty == item
    users, bits, line = items["users"], items["bits"], items["line"]
    assert users.implements == "a:b/store@1.0.0" and users.external_id == "users-db"
    assert users.is_implements("a:b/store@1.0.0") and users.is_implements("a:b/store@1.4.0")
    assert not users.is_implements("a:b/store@2.0.0") and not users.is_implements("a:b/store")
    assert bits == types.FlagsType(("r", "w")) and bits.external_id == "bits" and bits.implements is None
    assert types.FlagsType(("r", "w")).external_id is None
    assert line.external_id is None and not line.is_implements("line") and items["plain"].implements is None
    # attributes take no part in equality
    plain = Component(everything.engine, '(component (import "users" (instance)))').type.imports()["users"]
    assert plain == users and plain.implements is None and not plain.is_implements("a:b/store@1.0.0")
    shape = items["shape"]
    assert isinstance(shape, ResourceType) and (shape.ty, shape.implements, shape.external_id) == (shape, None, None)
    assert not shape.is_implements("x")


def test_text_is_wit_with_names(everything: Component) -> None:
    imports = everything.type.imports()
    inside: Any = imports["a:b/shapes@1.2.3"]
    assert str(inside.exports()["corners"]) == "func(of: borrow<shape>) -> list<point>"
    assert str(inside.exports()["make"]) == "func(kind: kind, at: option<point>) -> shape"
    assert repr(imports["plain"]) == "<wasmrt.component.ComponentFunc func(n: u32) -> result<string, tuple<u8, char>>>"
    assert "make: func(kind: kind, at: option<point>) -> shape" in str(inside)
    assert "type record { x: f64, y: f64 }" in str(inside) and "shape: resource" in str(inside)
    assert "import plain: func(n: u32)" in str(everything.type) and "export line: type record" in str(everything.type)
    assert "core module" in str(imports["code"])


def test_text_of_functions_that_are_called() -> None:
    text = """(component
      (type $p' (record (field "x" u32)))
      (export $p "point" (type $p'))
      (core module $M (func (export "f") (param i32) (result i32) (local.get 0)))
      (core instance $m (instantiate $M))
      (func (export "same") (param "at" $p) (result $p) (canon lift (core func $m "f"))))"""
    engine = wasmrt.Engine()
    component = Component(engine, text)
    instance = Linker(engine).instantiate(wasmrt.Store(engine), component)
    same: Any = instance.get_func("same")
    assert str(same.type()) == "func(at: point) -> point" == str(component.type.exports()["same"])
    assert repr(same) == "<wasmrt.component.Func same: func(at: point) -> point>"
    found = component.export_index(None, "same")
    assert found is not None and str(found[0]) == "func(at: point) -> point" and found[0] == same.type(instance.store)
    assert types.ListType(types.U8()) == types.ListType(types.U8()) and hash(types.OptionType(types.Bool())) == hash(types.OptionType(types.Bool()))
    assert str(instance.type()) == "instance { point: type record { x: u32 }; same: func(at: point) -> point }"


def test_nobody_makes_them_directly(everything: Component) -> None:
    for cls in (c.ComponentType, c.ModuleType, c.FuncType, c.ComponentInstanceType, c.Instance, c.Func, c.LinkerInstance, c.ResourceAny, c.ResourceHost):
        with pytest.raises(wasmrt.WasmtimeError):
            cls()  # type: ignore[call-arg]
    with pytest.raises(wasmrt.WasmtimeError):
        c.ExportIndex()  # type: ignore[call-arg]
    ty = everything.type
    assert copy.copy(ty) is ty and copy.deepcopy(ty) is ty
    with pytest.raises(wasmrt.WasmtimeError):
        pickle.dumps(ty)
    assert pickle.loads(pickle.dumps(types.ListType(types.U8()))) == types.ListType(types.U8())
    assert (ty == 1, ty != everything.type.exports()["inner"], hash(ty) == hash(everything.component_type())) == (False, True, True)


def test_names_of_the_peers_module() -> None:
    from wasmrt.component import _types

    assert issubclass(_types.OptionType, _types.VariantLikeType) and issubclass(_types.ResultType, _types.VariantLikeType)
    assert issubclass(_types.VariantType, _types.VariantLikeType) and _types.Record is c.Record and _types.Variant is c.Variant
    assert issubclass(_types.VariantLikeType, _types.ValType) and not issubclass(_types.ListType, _types.VariantLikeType)


NESTED = """
(component
  (component $C
    (type $r' (resource (rep i32)))
    (export $r "thing" (type $r'))
    (core func $new (canon resource.new $r'))
    (core module $M (import "" "new" (func $new (param i32) (result i32))) (func (export "make") (result i32) (call $new (i32.const 1)))
      (func (export "take") (param i32)))
    (core instance $m (instantiate $M (with "" (instance (export "new" (func $new))))))
    (func (export "make") (result (own $r)) (canon lift (core func $m "make")))
    (func (export "take") (param "it" (own $r)) (canon lift (core func $m "take"))))
  (instance $c (instantiate $C))
  (export "things" (instance $c)))
"""


def test_resources_of_an_instance(engine: wasmrt.Engine) -> None:
    """Fresh for each instantiation, and substituted in every type that mentions them."""
    component = Component(engine, NESTED)
    store = wasmrt.Store(engine)
    one, two = (Linker(engine).instantiate(store, component) for _ in range(2))
    abstract: Any = component.type.exports()["things"]
    ours: Any = [instance.type(store).exports()["things"].exports(engine) for instance in (one, two)]  # type: ignore[union-attr]
    resources = [one.exports.things.thing, two.exports.things.thing]
    assert len({abstract.exports()["thing"], *resources}) == 3
    for items, resource, instance in zip(ours, resources, (one, two), strict=True):
        assert items["thing"] == resource and items["make"].result == types.OwnType(resource)
        assert instance.exports.things.make.type(store) == items["make"] != abstract.exports()["make"]
        assert str(items["make"]) == "func() -> thing" == str(abstract.exports()["make"])
    with pytest.raises(wasmrt.WasmError, match="thing"):
        two.exports.things.take(one.exports.things.make())
    found = component.export_index(None, "things")
    assert found is not None and found[0] == abstract
    index = component.get_export_index("make", found[1])
    assert index is not None and component.export_index(index, "make") is None
    make: Any = one.get_func(index)
    assert make().type == resources[0]
    assert Component(engine, NESTED).export_index(found[1], "make") is None


INSTALLED = """
import wasmrt
wasmrt.install_as("wasmtime")
wasmrt.install_as("wasmtime")
import wasmtime, wasmtime.component
from wasmtime import Engine, Store, WasmtimeError
from wasmtime.component import Component, Linker, types
from wasmtime.component._types import Variant, VariantLikeType
assert wasmtime is wasmrt and wasmtime.component is wasmrt.component and Component is wasmrt.component.Component
engine = Engine()
assert Linker(engine).instantiate(Store(engine), Component(engine, "(component)")).get_func("f") is None
try:
    wasmrt.install_as("json.decoder")
except ValueError:
    pass
import json
try:
    wasmrt.install_as("json")
except WasmtimeError as error:
    assert "imported already" in str(error)
else:
    raise SystemExit("replaced a package")
"""


def test_install_as() -> None:
    done = subprocess.run([sys.executable, "-c", INSTALLED], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
