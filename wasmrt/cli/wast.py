"""Runs test scripts (.wast) on the public API.

Numbers are compared bit by bit. Python floats cannot carry every NaN, and vectors have no Python value, so a function
with floats or vectors in its type is called through a small module of our own that has integers there and reinterprets
them. References are compared as far as a script can tell them apart.

Every core instance of a script is in one store; every component instance gets its own, so that a trap, which makes a
component's instances unusable, does not reach the next one.
"""

from __future__ import annotations

import functools
import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from wasmrt.errors import LinkError, PlacedError, TextError, Trap, UnsupportedError, WasmError
from wasmrt.runtime.component import Component
from wasmrt.runtime.component_linker import Linker as ComponentLinker
from wasmrt.runtime.config import Config
from wasmrt.runtime.engine import Engine
from wasmrt.runtime.linker import Linker
from wasmrt.runtime.module import Instance, Module
from wasmrt.runtime.refs import ArrayRef, Func, StructRef
from wasmrt.runtime.source import checked_binary
from wasmrt.runtime.store import Store
from wasmrt.runtime.types import FuncType, GlobalType, TrapCode, ValType
from wasmrt.spec import types as t
from wasmrt.spec import valtypes as vt
from wasmrt.text import encode
from wasmrt.text import script as s

from .component_values import matches, to_python

_SPECTEST = """(module
  (global (export "global_i32") i32 (i32.const 666)) (global (export "global_i64") i64 (i64.const 666))
  (global (export "global_f32") f32 (f32.const 666.6)) (global (export "global_f64") f64 (f64.const 666.6))
  (table (export "table") 10 20 funcref) (memory (export "memory") 1 2))"""
_SPECTEST_64 = '(module (table (export "table64") i64 10 20 funcref))'
_SPECTEST_SHARED = '(module (memory (export "shared_memory") 1 2 shared))'
_PRINTS = {
    "print": [],
    "print_i32": [ValType.i32()],
    "print_i64": [ValType.i64()],
    "print_f32": [ValType.f32()],
    "print_f64": [ValType.f64()],
    "print_i32_f32": [ValType.i32(), ValType.f32()],
    "print_f64_f64": [ValType.f64(), ValType.f64()],
}
# what stands for a number of these kinds in an adapted function: result types, and the code from and to them
_ADAPTED = {
    vt.KIND_F32: (["i32"], "f32.reinterpret_i32", "i32.reinterpret_f32"),
    vt.KIND_F64: (["i64"], "f64.reinterpret_i64", "i64.reinterpret_f64"),
    vt.KIND_V128: (["i64", "i64"], "", ""),
}
_SIZES = {vt.KIND_I32: 32, vt.KIND_F32: 32, vt.KIND_I64: 64, vt.KIND_F64: 64, vt.KIND_V128: 128}


@dataclass(slots=True)
class Failure:
    line: int
    message: str


@dataclass(slots=True)
class Outcome:
    """How a script went: directives that did what they should, and those that did not."""

    passed: int = 0
    failures: list[Failure] = field(default_factory=list)


class CheckError(Exception):
    """A directive did not do what it should."""


class HostReference:
    """What `(ref.extern n)` stands for; one object a number."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __repr__(self) -> str:
        return f"(ref.extern {self.number})"


@dataclass(slots=True)
class Actual:
    """A core result: `kind` is that of its type, `value` the bits of a number or the Python object of a reference."""

    kind: int
    value: Any

    def __str__(self) -> str:
        return repr(self.value) if self.kind == vt.KIND_REF else hex(self.value)


def run_script(text: str | bytes, filename: str | None = None, config: Config | None = None) -> Outcome:
    """Runs a script from its first directive to its last, whatever fails. Raises TextError if it does not parse."""
    return ScriptRunner(config).run(s.parse_script(text, filename))


class ScriptRunner:
    """The state of one script."""

    def __init__(self, config: Config | None = None) -> None:
        self.engine = Engine(config or Config())
        self.store = Store(self.engine)
        self.linker = Linker(self.engine)
        self.linker.allow_shadowing = True
        self._definitions: dict[str | None, Module | Component] = {}
        self._instances: dict[str | None, Any] = {}
        self._adaptors: dict[tuple[tuple[int, ...], tuple[int, ...]], Module] = {}
        self._callables: WeakKeyDictionary[Instance, dict[str, Callable[..., Any]]] = WeakKeyDictionary()
        self._references: dict[int, HostReference] = {}
        self._define_spectest()

    def run(self, directives: Sequence[s.Directive]) -> Outcome:
        outcome = Outcome()
        for directive in directives:
            try:
                self._directive(directive)
                outcome.passed += 1
            except CheckError as error:
                outcome.failures.append(Failure(directive.line, str(error)))
            except Exception as error:
                outcome.failures.append(Failure(directive.line, f"{type(error).__name__}: {error}"))
        return outcome

    def _define_spectest(self) -> None:
        for name, params in _PRINTS.items():
            self.linker.define_func("spectest", name, FuncType(params, []), lambda *_: None)
        texts = [_SPECTEST]
        if self.engine.config.wasm_memory64:
            texts.append(_SPECTEST_64)
        if self.engine.config.wasm_threads:
            texts.append(_SPECTEST_SHARED)
        for text in texts:
            try:
                module = Module(self.engine, encode(text))
            except UnsupportedError:
                continue
            self.linker.define_module(self.store, "spectest", module)

    # --- directives ---

    def _directive(self, directive: s.Directive) -> None:
        match directive:
            case s.DefineModule():
                self._define(directive)
            case s.MakeInstance():
                self._instances[None] = None
                self._bind(directive.name, self._instantiate(self._definition(directive.of)))
            case s.Register():
                self.linker.define_instance(self.store, directive.name, self._instance(directive.instance))
            case s.Invoke() | s.Get():
                self._act(directive)
            case s.AssertReturn():
                self._assert_return(directive)
            case s.AssertFails():
                self._assert_fails(directive)
            case s.AssertRefused():
                self._assert_refused(directive)

    def _compile(self, text: s.ModuleText) -> Module | Component:
        data = text.encode()
        return Module(self.engine, data) if text.kind == "module" else Component(self.engine, data)

    def _define(self, directive: s.DefineModule) -> None:
        # what does not come to be must not leave the one before it as the current one
        if directive.instantiate:
            self._instances[None] = None
            if directive.module.name is not None:
                self._instances.pop(directive.module.name, None)
        made = self._compile(directive.module)
        self._definitions[None] = self._definitions[directive.module.name] = made
        if directive.instantiate:
            self._bind(directive.module.name, self._instantiate(made))

    def _bind(self, name: str | None, instance: Any) -> None:
        self._instances[None] = instance
        if name is not None:
            self._instances[name] = instance

    def _instantiate(self, made: Module | Component) -> Any:
        if isinstance(made, Module):
            return self.linker.instantiate(self.store, made)
        return ComponentLinker(self.engine).instantiate(Store(self.engine), made)

    def _definition(self, name: str | None) -> Module | Component:
        found = self._definitions.get(name)
        if found is None:
            raise CheckError(f"no definition {name or 'before this'}")
        return found

    def _instance(self, name: str | None) -> Any:
        found = self._instances.get(name)
        if found is None:
            raise CheckError(f"no instance {name or 'before this'}: it may have failed")
        return found

    # --- actions ---

    def _act(self, action: s.Action) -> list[Any]:
        """The results: `Actual`s of core functions, (type, value) of component functions."""
        instance = self._instance(action.instance)
        if not isinstance(instance, Instance):
            return self._call_component(instance, action)
        if isinstance(action, s.Get):
            return self._get(instance, action.name)
        func = instance.exports[action.name]
        ty = _type_of(func)
        if not isinstance(ty, FuncType):
            raise CheckError(f"{action.name!r} is no function")
        call = self._callable(instance, action.name, func, ty)
        args: list[Any] = []
        for param, arg in zip(ty.params, action.args, strict=True):
            args += self._argument(param, arg)
        return self._actuals(ty.results, call(*args))

    def _argument(self, ty: ValType, arg: s.Value) -> list[Any]:
        if isinstance(arg, s.Numeric):
            bits = _pack(arg)
            if ty.word & 0xF == vt.KIND_V128:
                return [_signed(bits & 2**64 - 1, 64), _signed(bits >> 64, 64)]
            return [_signed(bits, arg.bits)]
        if not isinstance(arg, s.Reference):
            raise CheckError(f"{arg} is no argument of a core function")
        return [None if arg.word == "ref.null" else self._reference(arg.number or 0)]

    def _reference(self, number: int) -> HostReference:
        return self._references.setdefault(number, HostReference(number))

    def _actuals(self, types: Sequence[ValType], returned: Any) -> list[Actual]:
        """Results of an adapted call: a vector came as two integers."""
        count = sum(2 if ty.word & 0xF == vt.KIND_V128 else 1 for ty in types)
        values = [] if count == 0 else [returned] if count == 1 else list(returned)
        out = []
        for ty in types:
            kind = ty.word & 0xF
            if kind == vt.KIND_REF:
                out.append(Actual(kind, values.pop(0)))
            elif kind == vt.KIND_V128:
                low, high = values.pop(0), values.pop(0)
                out.append(Actual(kind, low & 2**64 - 1 | (high & 2**64 - 1) << 64))
            else:
                out.append(Actual(kind, values.pop(0) & (1 << _SIZES[kind]) - 1))
        return out

    def _callable(self, instance: Instance, name: str, func: Any, ty: FuncType) -> Callable[..., Any]:
        """The function, with integers for floats and vectors."""
        kinds = {word & 0xF for word in (*ty.param_words, *ty.result_words)}
        if not kinds & set(_ADAPTED):
            return func  # type: ignore[no-any-return]
        known = self._callables.setdefault(instance, {})
        if name not in known:
            known[name] = self._adapt(ty, func)
        return known[name]

    def _adapt(self, ty: FuncType, func: Any) -> Callable[..., Any]:
        key = (ty.param_words, ty.result_words)
        module = self._adaptors.get(key)
        if module is None:
            module = self._adaptors[key] = Module(self.engine, encode(adaptor_text(*key)))
        try:
            return Instance(self.store, module, [func]).exports["f"]  # type: ignore[return-value]
        except LinkError:  # its type is in a recursion group, or not final: only the signature is the adaptor's
            return functools.partial(_call_with_bits, func, ty)

    def _get(self, instance: Instance, name: str) -> list[Actual]:
        item = instance.exports[name]
        ty = _type_of(item)
        if not isinstance(ty, GlobalType):
            raise CheckError(f"{name!r} is no global")
        if ty.content.word & 0xF not in _ADAPTED:
            return self._actuals([ty.content], item.value())  # type: ignore[union-attr]
        text = adaptor_text((), (ty.content.word,), mutable_global=ty.mutable)
        read = Instance(self.store, Module(self.engine, encode(text)), [item]).exports["f"]
        return self._actuals([ty.content], read())  # type: ignore[operator]

    def _call_component(self, instance: Any, action: s.Action) -> list[tuple[t.AnyValType, Any]]:
        func = instance.get_func(action.name)
        if func is None or not isinstance(action, s.Invoke):
            raise CheckError(f"no function {action.name!r}")
        ty = func.type()
        args = []
        for (_, param), arg in zip(ty.params, action.args, strict=True):
            const = s.component_const(arg)
            if const is None:
                raise CheckError(f"{arg} is no value of a component")
            args.append(to_python(param, const))
        result = func(*args)
        return [] if ty.result is None else [(ty.result, result)]

    # --- assertions ---

    def _assert_return(self, directive: s.AssertReturn) -> None:
        results = self._act(directive.action)
        wanted = directive.results
        if len(results) != len(wanted):
            raise CheckError(f"expected {len(wanted)} results, got {len(results)}")
        for number, (expected, actual) in enumerate(zip(wanted, results, strict=True)):
            if not self._matches(expected, actual):
                shown = actual[1] if isinstance(actual, tuple) else actual
                place = f"result {number}" if len(results) > 1 else "the result"
                raise CheckError(f"{place} of {directive.action.name!r}: expected {expected}, got {shown}")

    def _matches(self, expected: s.Value, actual: Any) -> bool:
        if isinstance(expected, s.Either):
            return any(self._matches(one, actual) for one in expected.alternatives)
        if isinstance(actual, tuple):
            const = s.component_const(expected)
            return const is not None and matches(actual[0], const, actual[1])
        if isinstance(expected, s.Numeric):
            if actual.kind == vt.KIND_REF or expected.bits * len(expected.lanes) != _SIZES[actual.kind]:
                return False
            mask = (1 << expected.bits) - 1
            return expected.matches(
                [actual.value >> expected.bits * lane & mask for lane in range(len(expected.lanes))]
            )
        return (
            isinstance(expected, s.Reference)
            and actual.kind == vt.KIND_REF
            and _reference_matches(expected, actual.value)
        )

    def _assert_fails(self, directive: s.AssertFails) -> None:
        try:
            match directive.subject:
                case s.ModuleText():
                    self._instantiate(self._compile(directive.subject))
                case s.MakeInstance():
                    self._instantiate(self._definition(directive.subject.of))
                case _:
                    results = self._act(directive.subject)
                    raise CheckError(
                        f"expected a trap ({directive.message}), got {', '.join(map(str, results)) or 'no results'}"
                    )
        except Trap as trap:
            self._check_trap(directive, trap)
            return
        raise CheckError(f"expected a trap ({directive.message}) while instantiating")

    def _check_trap(self, directive: s.AssertFails, trap: Trap) -> None:
        if directive.kind == "assert_exception":
            if trap.trap_code != TrapCode.UNCAUGHT_EXCEPTION:
                raise CheckError(f"expected an exception, got the trap {trap.message!r}")
        # scripts may name the element after the message, "uninitialized element 2", and what is null: "null function reference"
        elif (
            re.sub("null [a-z0-9]+ reference", "null reference", directive.message).rstrip("0123456789 ")
            not in trap.message
        ):
            raise CheckError(f"expected the trap {directive.message!r}, got {trap.message!r}")

    def _assert_refused(self, directive: s.AssertRefused) -> None:
        if directive.kind in ("assert_unlinkable", "assert_uninstantiable"):
            made = self._compile(directive.module)
            error_class = LinkError if directive.kind == "assert_unlinkable" else Trap
            try:
                self._instantiate(made)
            except error_class:
                return
            raise CheckError(f"expected a failure to instantiate: {directive.message}")
        self.refusal(directive)

    def refusal(self, directive: s.AssertRefused) -> PlacedError | TextError:
        """Why a module that is malformed or invalid is refused. CheckError when it is not."""
        try:
            data = directive.module.encode()
            if directive.module.kind == "module":
                Module.validate(self.engine, checked_binary(data, "Module"))
            else:
                Component.from_binary(self.engine, data)
        except UnsupportedError:
            raise
        except (PlacedError, TextError) as error:
            return error
        except WasmError as error:
            raise CheckError(f"refused, but with {type(error).__name__}: {error}") from error
        raise CheckError(f"accepted, expected {directive.kind[7:]}: {directive.message}")


def _type_of(item: Any) -> Any:
    """A tag has none to ask for."""
    return item.type() if hasattr(item, "type") else None


def _pack(value: s.Numeric) -> int:
    bits = 0
    for number, lane in enumerate(value.lanes):
        if not isinstance(lane, int):
            raise CheckError(f"{lane} is no argument")
        bits |= lane << value.bits * number
    return bits


def _signed(bits: int, size: int) -> int:
    return bits - (1 << size) if bits >> size - 1 else bits


_REFERENCES: dict[str, tuple[type, ...]] = {
    "ref.i31": (int,),
    "ref.struct": (StructRef,),
    "ref.array": (ArrayRef,),
    "ref.eq": (int, StructRef, ArrayRef),
    "ref.func": (Func,),
}


def _reference_matches(expected: s.Reference, value: Any) -> bool:
    if expected.word == "ref.null":
        return value is None
    if expected.number is not None:
        return isinstance(value, HostReference) and value.number == expected.number
    return isinstance(value, _REFERENCES.get(expected.word, object)) and value is not None


def _call_with_bits(func: Callable[..., Any], ty: FuncType, *args: Any) -> Any:
    """Calls with integers for floats, through Python's floats: NaNs need not come through as they are."""
    given = [_from_bits(word & 0xF, arg) for word, arg in zip(ty.param_words, args, strict=True)]
    returned = func(*given)
    results = returned if len(ty.results) > 1 else [returned] if ty.results else []
    bits = [_to_bits(word & 0xF, value) for word, value in zip(ty.result_words, results, strict=True)]
    return bits if len(bits) > 1 else bits[0] if bits else None


def _from_bits(kind: int, value: Any) -> Any:
    form = _FLOATS.get(kind)
    return value if form is None else struct.unpack(form[0], struct.pack(form[1], value & (1 << _SIZES[kind]) - 1))[0]


def _to_bits(kind: int, value: Any) -> Any:
    form = _FLOATS.get(kind)
    return value if form is None else struct.unpack(form[1], struct.pack(form[0], value))[0]


_FLOATS = {vt.KIND_F32: ("<f", "<I"), vt.KIND_F64: ("<d", "<Q")}


def adaptor_text(params: tuple[int, ...], results: tuple[int, ...], *, mutable_global: bool | None = None) -> str:
    """A module that imports a function (or a global) and exports "f" with integers for its floats and vectors."""
    given, returned = " ".join(map(vt.valtype_str, params)), " ".join(map(vt.valtype_str, results))
    if mutable_global is None:
        imported = f'(func $f (import "" "") (param {given}) (result {returned}))'
        call = "call $f"
    else:
        ty = f"(mut {returned})" if mutable_global else returned
        imported, call = f'(global $g (import "" "") {ty})', "global.get $g"
    lines = []
    types: list[str] = []
    for word in params:
        stands, convert, _ = _ADAPTED.get(word & 0xF, ([vt.valtype_str(word)], "", ""))
        lines.append(f"local.get {len(types)} {convert}")
        if len(stands) == 2:
            lines.append(f"i64x2.splat local.get {len(types) + 1} i64x2.replace_lane 1")
        types += stands
    lines.append(call)
    lines += [f"local.set $r{number}" for number in reversed(range(len(results)))]
    out: list[str] = []
    for number, word in enumerate(results):
        stands, _, convert = _ADAPTED.get(word & 0xF, ([vt.valtype_str(word)], "", ""))
        if len(stands) == 2:
            lines += [f"local.get $r{number} i64x2.extract_lane {lane}" for lane in (0, 1)]
        else:
            lines.append(f"local.get $r{number} {convert}")
        out += stands
    local = " ".join(f"(local $r{number} {vt.valtype_str(word)})" for number, word in enumerate(results))
    head = f'(func (export "f") (param {" ".join(types)}) (result {" ".join(out)}) {local}'
    return f"(module {imported} {head} {' '.join(lines)}))"
