"""Core WebAssembly of fused adapters: a call from one component to another, its values copied straight across.

One function for each adapter: it checks that the caller may leave, lifts arguments out of the caller's core values or memory while it lowers them into the
callee's, calls, does the same with the result in the other direction, and calls post-return. While a side's realloc or post-return
may run, that side may not leave. Whether an instance may be *entered* needs no check here: only the host can come back
into instances that are busy (translate/adapt.py says why), and it checks for itself.

A value is read from and written to a place: `_Flat` (locals, whose types may be the joined ones of a variant around) or
`_Mem` (an address and an offset). Lists and strings have functions of their own, one for each type and direction, and so
have large parts of values: types are DAGs, and code must not grow as the trees that they describe. What needs no check
goes by one memory.copy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from wasmrt.errors import LimitError
from wasmrt.spec import limits
from wasmrt.spec import types as t
from wasmrt.spec._gen import transcode, traps
from wasmrt.spec.core_types import VALTYPE_F32, VALTYPE_F64, VALTYPE_I32, VALTYPE_I64, CoreFuncType
from wasmrt.spec.flatten import MAX_FLAT_ASYNC_PARAMS, MAX_FLAT_PARAMS, MAX_FLAT_RESULTS
from wasmrt.spec.layout import Layouts, align_to, discriminant_size, flags_size, record_fields, variant_cases

from . import info as i
from .core_code import CoreModuleWriter, FuncWriter
from .type_facts import TypeFacts

I32, I64 = VALTYPE_I32, VALTYPE_I64
MAX_BYTES = (1 << 28) - 1  # MAX_STRING_BYTE_LENGTH, MAX_LIST_BYTE_LENGTH
UTF16_TAG = 1 << 31
_FUNC_BYTES = 200  # what a function costs besides its code, for the limit
_OUTLINE = 40  # parts of a value that are written in place
_REALLOC = CoreFuncType((I32, I32, I32, I32), (I32,))
_UTF8, _UTF16, _LATIN1 = "utf8", "utf16", "latin1"


@dataclass(frozen=True)
class Side:
    """One component of a call, with its canonical options."""

    instance: i.RuntimeComponentInstanceIndex
    encoding: i.StringEncoding
    memory: i.CoreDef | None
    memory_slot: i.RuntimeMemoryIndex | None
    realloc: i.CoreDef | None


@dataclass(frozen=True)
class Direction:
    """Values go from `src` to `dst`."""

    src: Side
    dst: Side


@dataclass(frozen=True)
class Adapter:
    """A lowered function whose callee another component lifts. Resources in `type` are ResourceIndex numbers."""

    name: str
    type: t.FuncType
    lower: Side
    lower_type: CoreFuncType
    lift: Side
    lift_type: CoreFuncType
    callee: i.CoreDef
    post_return: i.CoreDef | None
    recursive: bool  # one of the two instances is inside the other: such a call always traps
    tasks: bool = False  # the callee's instance uses the asynchronous ABI, and has to know who runs
    async_lower: bool = False
    async_lift: bool = False
    callback: i.CoreDef | None = None


# --- places --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Flat:
    locals: tuple[int, ...]

    def part(self, start: int, count: int | None = None) -> _Flat:
        return _Flat(self.locals[start:] if count is None else self.locals[start : start + count])


@dataclass(frozen=True)
class _Mem:
    address: int  # a local
    offset: int = 0

    def at(self, offset: int) -> _Mem:
        return _Mem(self.address, self.offset + offset)


_Place = _Flat | _Mem

# type: core type, load, store, instructions that make any core value the one that lowering gives
_SCALARS: dict[type, tuple[int, str, str, tuple[str | int, ...]]] = {
    t.Bool: (I32, "i32.load8_u", "i32.store8", (0, "i32.ne")),
    t.U8: (I32, "i32.load8_u", "i32.store8", (0xFF, "i32.and")),
    t.S8: (I32, "i32.load8_s", "i32.store8", ("i32.extend8_s",)),
    t.U16: (I32, "i32.load16_u", "i32.store16", (0xFFFF, "i32.and")),
    t.S16: (I32, "i32.load16_s", "i32.store16", ("i32.extend16_s",)),
    t.U32: (I32, "i32.load", "i32.store", ()),
    t.S32: (I32, "i32.load", "i32.store", ()),
    t.U64: (I64, "i64.load", "i64.store", ()),
    t.S64: (I64, "i64.load", "i64.store", ()),
    t.F32: (VALTYPE_F32, "f32.load", "f32.store", ()),
    t.F64: (VALTYPE_F64, "f64.load", "f64.store", ()),
    t.Char: (I32, "i32.load", "i32.store", ()),
    t.OwnType: (I32, "i32.load", "i32.store", ()),
    t.BorrowType: (I32, "i32.load", "i32.store", ()),
    t.StreamType: (I32, "i32.load", "i32.store", ()),
    t.FutureType: (I32, "i32.load", "i32.store", ()),
    t.ErrorContext: (I32, "i32.load", "i32.store", ()),
}
_SIZED = {1: ("i32.load8_u", "i32.store8"), 2: ("i32.load16_u", "i32.store16"), 4: ("i32.load", "i32.store")}

# what carries a value of one core type in a local of another, and back; the specification's join and its inverse
_CONVERT: dict[tuple[int, int], tuple[str, ...]] = {
    (VALTYPE_F32, I32): ("i32.reinterpret_f32",),
    (VALTYPE_F32, I64): ("i32.reinterpret_f32", "i64.extend_i32_u"),
    (I32, I64): ("i64.extend_i32_u",),
    (VALTYPE_F64, I64): ("i64.reinterpret_f64",),
    (I32, VALTYPE_F32): ("f32.reinterpret_i32",),
    (I64, VALTYPE_F32): ("i32.wrap_i64", "f32.reinterpret_i32"),
    (I64, I32): ("i32.wrap_i64",),
    (I64, VALTYPE_F64): ("f64.reinterpret_i64",),
}


class AdapterModule:
    """A core module of adapters. `args` are what its imports are given, in order; `finish()` is its binary."""

    def __init__(
        self,
        trampoline: Callable[[i.Trampoline], i.CoreTrampoline],
        intern: Callable[[t.AnyValType], i.TypeIndex],
        facts: TypeFacts,
    ) -> None:
        self._writer = CoreModuleWriter()
        self._trampoline = trampoline
        self.intern = intern
        self.result_of: dict[int, int] = {}  # of calls of async functions: the function for the result
        self.facts = facts
        self._helpers: dict[Any, int] = {}
        self._work: list[Callable[[], None]] = []

    @property
    def num_memories(self) -> int:
        return self._writer.num_memories

    @property
    def args(self) -> list[i.CoreDef]:
        return list(self._writer.keys)  # type: ignore[arg-type]

    def add(self, adapter: Adapter) -> int:
        """Writes an adapter; the index by which `func_index` finds it. That of an async function is two functions, the second in `result_of`."""
        if adapter.type.async_:
            params, results = _task_signatures(adapter, self.layouts)
            index = self._function(adapter, "parameters of " + adapter.name, params, _Calls.write_params)
            self.result_of[index] = self._function(adapter, "result of " + adapter.name, results, _Calls.write_result)
        else:
            index = self._function(adapter, adapter.name, adapter.lower_type, _Calls.write)
        while self._work:
            self._work.pop()()
        return index

    def _function(self, adapter: Adapter, name: str, ty: CoreFuncType, write: Callable[[_Calls], None]) -> int:
        index = self._writer.declare(name)
        self._writer.export(str(index), index)
        func = FuncWriter(ty)
        write(_Calls(self, func, adapter))
        self._define(index, func)
        return index

    def _define(self, index: int, func: FuncWriter) -> None:
        self._writer.define(index, func)
        self.facts.code_bytes += len(func.code) + _FUNC_BYTES
        if self.facts.code_bytes > limits.COMPONENT_ADAPTER_BYTES:
            message = f"more than {limits.COMPONENT_ADAPTER_BYTES} bytes of code for calls between components"
            raise LimitError(f"{message}: nested instantiations multiply")

    def func_index(self, index: int) -> int:
        return self._writer.func_index(index)

    def finish(self) -> bytes:
        return self._writer.finish()

    # --- what functions share ---

    def import_func(self, definition: i.CoreDef, ty: CoreFuncType) -> int:
        return self._writer.import_func(definition, ty)

    def intrinsic(self, trampoline: i.Trampoline) -> int:
        return self._writer.import_func(self._trampoline(trampoline), i.trampoline_signature(trampoline))

    def memory(self, side: Side) -> int:
        assert side.memory is not None, "validation asked for the memory option"
        return self._writer.import_memory(side.memory)

    def flags(self, instance: i.RuntimeComponentInstanceIndex) -> int:
        return self._writer.import_global_i32(i.InstanceFlags(instance))

    def helper(self, key: Any, name: str, ty: CoreFuncType, write: Callable[[FuncWriter], None]) -> int:
        """A function of this module, written once for each key."""
        index = self._helpers.get(key)
        if index is None:
            index = self._helpers[key] = self._writer.declare(name)
            func, defined = FuncWriter(ty), index

            def work() -> None:
                write(func)
                self._define(defined, func)

            self._work.append(work)
        return index

    def flat(self, ty: t.AnyValType) -> tuple[int, ...]:
        return self.facts.layouts.flatten(ty)

    @property
    def layouts(self) -> Layouts:
        return self.facts.layouts


# --- values --------------------------------------------------------------------------------------------------------


class _Values:
    """Writes into one function how values get from a place of one side to a place of the other."""

    def __init__(self, module: AdapterModule, f: FuncWriter, direction: Direction) -> None:
        self.module = module
        self.f = f
        self.direction = direction

    # --- traps and checks ---

    def trap(self, code: int) -> None:
        self.f.i32(code)
        self.f.call_import(self.module.intrinsic(i.AdapterTrap()))
        self.f.op("unreachable")

    def trap_if(self, code: int) -> None:
        """Pops the condition."""
        self.f.open("if")
        self.trap(code)
        self.f.close()

    def check_aligned(self, pointer: int, align: int) -> None:
        if align > 1:
            self.f.get(pointer)
            self.f.i32(align - 1)
            self.f.op("i32.and")
            self.trap_if(traps.UNALIGNED_POINTER)

    def check_bounds(self, side: Side, pointer: int, num_bytes: int, code: int) -> None:
        """`num_bytes` is an i32 local."""
        f = self.f
        f.get(pointer)
        f.op("i64.extend_i32_u")
        f.get(num_bytes)
        f.op("i64.extend_i32_u", "i64.add")
        f.memory_size(self.module.memory(side))
        f.op("i64.extend_i32_u")
        f.i64(16)
        f.op("i64.shl", "i64.gt_u")
        self.trap_if(code)

    def realloc(self, pointer: int, old_size: int | None, align: int, new_size: int, code: int) -> None:
        """Sets `pointer` to what the destination's realloc gives: for its old value and `old_size` bytes, for nothing if that is None."""
        f, dst = self.f, self.direction.dst
        assert dst.realloc is not None, "validation asked for the realloc option"
        if old_size is None:
            f.i32(0)
            f.i32(0)
        else:
            f.get(pointer, old_size)
        f.i32(align)
        f.get(new_size)
        f.call_import(self.module.import_func(dst.realloc, _REALLOC))
        f.set(pointer)
        self.check_aligned(pointer, align)
        self.check_bounds(dst, pointer, new_size, code)

    # --- core values ---

    def push(self, place: _Place, core: int, load: str) -> None:
        """The core value at a place, as the core type `core`."""
        if isinstance(place, _Mem):
            self.f.get(place.address)
            self.f.access(load, self.module.memory(self.direction.src), place.offset)
        else:
            self.f.get(place.locals[0])
            self.convert(self.f.local_type(place.locals[0]), core)

    def convert(self, have: int, want: int) -> None:
        if have != want:
            self.f.op(*_CONVERT[have, want])

    def pop(self, place: _Place, core: int, store: str, write: Callable[[], None]) -> None:
        """Writes the value that `write` pushes."""
        if isinstance(place, _Mem):
            self.f.get(place.address)
            write()
            self.f.access(store, self.module.memory(self.direction.dst), place.offset)
        else:
            write()
            self.convert(core, self.f.local_type(place.locals[0]))
            self.f.set(place.locals[0])

    # --- by type ---

    def copy(self, ty: t.AnyValType, src: _Place, dst: _Place) -> None:
        match ty:
            case t.OwnType() | t.BorrowType():
                self.resource(ty, src, dst)
            case t.Char():
                self.char(src, dst)
            case t.String():
                self.pair(self.string(), src, dst)
            case t.MapType():
                self.pair(self.list(t.TupleType((ty.key, ty.value))), src, dst)
            case t.ListType(length=None):
                self.pair(self.list(ty.element), src, dst)
            case t.FlagsType():
                self.flags(ty, src, dst)
            case t.StreamType() | t.FutureType() | t.ErrorContext():
                d = self.direction
                self.handle(i.TaskTransfer(self.module.intern(ty), d.src.instance, d.dst.instance), src, dst)
            case _ if type(ty) in _SCALARS:
                self.scalar(ty, src, dst)
            case _:
                self.compound(ty, src, dst)

    def compound(self, ty: t.AnyValType, src: _Place, dst: _Place) -> None:
        in_memory = isinstance(src, _Mem) and isinstance(dst, _Mem)
        if in_memory and self.module.facts.plain(ty) and self.module.facts.weight(ty) > 4:
            self.address(dst)
            self.address(src)
            self.f.i32(self.module.layouts.elem_size(ty))
            self.f.memory_copy(self.module.memory(self.direction.dst), self.module.memory(self.direction.src))
        elif self.module.facts.weight(ty) <= _OUTLINE:
            self.parts(ty, src, dst)
        elif in_memory:
            self.address(src)
            self.address(dst)
            self.f.call(self.outlined_memory(ty))
        elif isinstance(src, _Flat) and isinstance(dst, _Flat):
            self.outlined_flat(ty, src, dst)
        else:
            self.parts(ty, src, dst)

    def address(self, place: _Place) -> None:
        assert isinstance(place, _Mem)
        self.f.get(place.address)
        if place.offset:
            self.f.i32(place.offset)
            self.f.op("i32.add")

    def outlined_memory(self, ty: t.AnyValType) -> int:
        def write(f: FuncWriter) -> None:
            _Values(self.module, f, self.direction).parts(ty, _Mem(0), _Mem(1))

        return self.module.helper(("memory", ty, self.direction), "copy-value", CoreFuncType((I32, I32)), write)

    def outlined_flat(self, ty: t.AnyValType, src: _Flat, dst: _Flat) -> None:
        flat = self.module.flat(ty)

        def write(f: FuncWriter) -> None:
            results = tuple(f.local(word) for word in flat)
            _Values(self.module, f, self.direction).parts(ty, _Flat(tuple(range(len(flat)))), _Flat(results))
            f.get(*results)

        index = self.module.helper(("flat", ty, self.direction), "pass-value", CoreFuncType(flat, flat), write)
        for local, word in zip(src.locals, flat, strict=True):
            self.f.get(local)
            self.convert(self.f.local_type(local), word)
        self.f.call(index)
        for local, word in reversed(list(zip(dst.locals, flat, strict=True))):
            self.convert(word, self.f.local_type(local))
            self.f.set(local)

    def parts(self, ty: t.AnyValType, src: _Place, dst: _Place) -> None:
        match ty:
            case t.RecordType() | t.TupleType():
                self.fields(record_fields(ty), src, dst)
            case t.ListType():
                self.fixed_list(ty, src, dst)
            case _:
                self.variant(ty, src, dst)

    def fields(self, types: tuple[t.AnyValType, ...], src: _Place, dst: _Place) -> None:
        """Consecutive fields: of a record, of spilled parameters."""
        offset = slot = 0
        for ty in types:
            size, align = self.module.layouts.of(ty)
            offset = align_to(offset, align)
            count = len(self.module.flat(ty))
            self.copy(ty, *(p.at(offset) if isinstance(p, _Mem) else p.part(slot, count) for p in (src, dst)))
            offset += size
            slot += count

    def fixed_list(self, ty: t.ListType, src: _Place, dst: _Place) -> None:
        f, length = self.f, ty.length
        assert length is not None
        if not isinstance(src, _Mem) or not isinstance(dst, _Mem) or length <= 2:
            self.fields((ty.element,) * length, src, dst)
            return
        count, source, target = f.local_i32(), f.local_i32(), f.local_i32()
        f.i32(length)
        f.set(count)
        self.address(src)
        f.set(source)
        self.address(dst)
        f.set(target)
        self.loop(ty.element, count, source, target)
        f.release(count, source, target)

    def loop(self, element: t.AnyValType, count: int, source: int, target: int) -> None:
        """Copies `count` elements, at least one; uses up its locals."""
        f, size = self.f, self.module.layouts.elem_size(element)
        again = f.open("loop")
        self.copy(element, _Mem(source), _Mem(target))
        for pointer in (source, target):
            f.get(pointer)
            f.i32(size)
            f.op("i32.add")
            f.set(pointer)
        f.get(count)
        f.i32(1)
        f.op("i32.sub")
        f.tee(count)
        f.branch("br_if", again)
        f.close()

    def scalar(self, ty: t.AnyValType, src: _Place, dst: _Place) -> None:
        core, load, store, normalize = _SCALARS[type(ty)]

        def write() -> None:
            self.push(src, core, load)
            # narrow integers are made so by a load or a store of their size
            if isinstance(ty, t.Bool) or (isinstance(src, _Flat) and isinstance(dst, _Flat)):
                for step in normalize:
                    self.f.i32(step) if isinstance(step, int) else self.f.op(step)

        self.pop(dst, core, store, write)

    def char(self, src: _Place, dst: _Place) -> None:
        f, value = self.f, self.f.local_i32()
        self.push(src, I32, "i32.load")
        # surrogates differ from 0xD800 in their low eleven bits alone
        f.tee(value)
        f.i32(0xD800)
        f.op("i32.xor")
        f.i32(0x800)
        f.op("i32.lt_u")
        f.get(value)
        f.i32(0x10FFFF)
        f.op("i32.gt_u", "i32.or")
        self.trap_if(traps.INVALID_CHAR)
        self.pop(dst, I32, "i32.store", lambda: f.get(value))
        f.release(value)

    def flags(self, ty: t.FlagsType, src: _Place, dst: _Place) -> None:
        count = len(ty.names)
        load, store = _SIZED[flags_size(count)]

        def write() -> None:
            self.push(src, I32, load)
            if count < 32:
                self.f.i32((1 << count) - 1)
                self.f.op("i32.and")

        self.pop(dst, I32, store, write)

    def resource(self, ty: t.OwnType | t.BorrowType, src: _Place, dst: _Place) -> None:
        kind = i.ResourceTransferOwn if isinstance(ty, t.OwnType) else i.ResourceTransferBorrow
        self.handle(kind(ty.ty, self.direction.src.instance, self.direction.dst.instance), src, dst)

    def handle(self, transfer: i.Trampoline, src: _Place, dst: _Place) -> None:
        def write() -> None:
            self.push(src, I32, "i32.load")
            self.f.call_import(self.module.intrinsic(transfer))

        self.pop(dst, I32, "i32.store", write)

    def pair(self, func: int, src: _Place, dst: _Place) -> None:
        """A list or string, whose function turns the caller's (pointer, length) into the callee's."""
        f = self.f
        second = src.at(4) if isinstance(src, _Mem) else src.part(1)
        self.push(src, I32, "i32.load")
        self.push(second, I32, "i32.load")
        f.call(func)
        pointer, length = f.local_i32(), f.local_i32()
        f.set(length)
        f.set(pointer)
        self.pop(dst, I32, "i32.store", lambda: f.get(pointer))
        self.pop(dst.at(4) if isinstance(dst, _Mem) else dst.part(1), I32, "i32.store", lambda: f.get(length))
        f.release(pointer, length)

    def variant(self, ty: t.AnyValType, src: _Place, dst: _Place) -> None:
        f = self.f
        cases = variant_cases(ty)
        size = discriminant_size(len(cases))
        load, store = _SIZED[size]
        discriminant = f.local_i32()
        self.push(src, I32, load)
        f.tee(discriminant)
        f.i32(len(cases))
        f.op("i32.ge_u")
        self.trap_if(traps.INVALID_DISCRIMINANT)
        self.pop(dst, I32, store, lambda: f.get(discriminant))
        # cases of equal payloads share their code; those without one have none
        groups: dict[t.AnyValType, list[int]] = {}
        for index, (_, payload) in enumerate(cases):
            if payload is not None:
                groups.setdefault(payload, []).append(index)
        if groups:
            offset = self.module.layouts.variant(ty).payload_offset
            payload_src, payload_dst = (p.at(offset) if isinstance(p, _Mem) else p.part(1) for p in (src, dst))
            self.cases(discriminant, len(cases), groups, payload_src, payload_dst)
        f.release(discriminant)

    def cases(
        self, discriminant: int, count: int, groups: dict[t.AnyValType, list[int]], src: _Place, dst: _Place
    ) -> None:
        f = self.f

        def payload(ty: t.AnyValType) -> None:
            if isinstance(src, _Flat) and isinstance(dst, _Flat):
                words = len(self.module.flat(ty))
                self.copy(ty, src.part(0, words), dst.part(0, words))
            else:
                self.copy(ty, src, dst)

        if len(groups) == 1:
            ((ty, indices),) = groups.items()
            if len(indices) == count:
                payload(ty)
                return
            if len(indices) == 1:
                f.get(discriminant)
                f.i32(indices[0])
                f.op("i32.eq")
                f.open("if")
                payload(ty)
                f.close()
                return
        if count > 65520:
            raise LimitError(f"a variant of {count} cases in a call between components", expected="at most 65520")
        end = f.open("block")
        labels = {ty: f.open("block") for ty in reversed(groups)}
        targets = [end] * count
        for ty, indices in groups.items():
            for index in indices:
                targets[index] = labels[ty]
        f.get(discriminant)
        f.branch_table(targets, end)
        for ty in groups:
            f.close()
            payload(ty)
            f.branch("br", end)
        f.close()

    # --- lists ---

    def list(self, element: t.AnyValType) -> int:
        """The function (pointer, length) -> (pointer, length) for lists of a type."""

        def write(f: FuncWriter) -> None:
            _Values(self.module, f, self.direction).write_list(element)

        ty = CoreFuncType((I32, I32), (I32, I32))
        return self.module.helper(("list", element, self.direction), "copy-list", ty, write)

    def write_list(self, element: t.AnyValType) -> None:
        f, module, d = self.f, self.module, self.direction
        source, length = 0, 1
        target, num_bytes = f.local_i32(), f.local_i32()
        size, align = module.layouts.of(element)
        self.check_aligned(source, align)
        f.get(length)
        f.i32(MAX_BYTES // max(size, 1))
        f.op("i32.gt_u")
        self.trap_if(traps.LIST_OUT_OF_BOUNDS)
        f.get(length)
        f.i32(size)
        f.op("i32.mul")
        f.set(num_bytes)
        self.check_bounds(d.src, source, num_bytes, traps.LIST_OUT_OF_BOUNDS)
        self.realloc(target, None, align, num_bytes, traps.LIST_OUT_OF_BOUNDS)
        if module.facts.plain(element):
            f.get(target, source, num_bytes)
            f.memory_copy(module.memory(d.dst), module.memory(d.src))
        else:
            count, to = f.local_i32(), f.local_i32()
            f.get(length)
            f.tee(count)
            f.open("if")
            f.get(target)
            f.set(to)
            self.loop(element, count, source, to)
            f.close()
        f.get(target, length)

    # --- strings ---

    def string(self) -> int:
        def write(f: FuncWriter) -> None:
            _Strings(self.module, f, self.direction).write()

        ty = CoreFuncType((I32, I32), (I32, I32))
        return self.module.helper(("string", self.direction), "copy-string", ty, write)


class _Strings(_Values):
    """The function (pointer, length) -> (pointer, length) for strings: the specification's store_string, whose calls of realloc guests see."""

    source, units = 0, 1  # parameters

    def write(self) -> None:
        f = self.f
        self.target, self.length = f.local_i32(), f.local_i32()
        encoding = self.direction.src.encoding
        if encoding is i.StringEncoding.UTF8:
            self.from_encoding(_UTF8)
        else:
            self.check_aligned(self.source, 2)
            if encoding is i.StringEncoding.UTF16:
                self.from_encoding(_UTF16)
            else:
                f.get(self.units)
                f.i32(UTF16_TAG)
                f.op("i32.and")
                f.open("if")
                f.get(self.units)
                f.i32(UTF16_TAG)
                f.op("i32.xor")
                f.set(self.units)
                self.from_encoding(_UTF16, tagged=True)
                f.op("else")
                self.from_encoding(_LATIN1)
                f.close()
        f.get(self.target, self.length)

    def from_encoding(self, source: str, tagged: bool = False) -> None:
        f = self.f
        unit = 2 if source == _UTF16 else 1
        f.get(self.units)
        f.i32(MAX_BYTES // unit)
        f.op("i32.gt_u")
        self.trap_if(traps.STRING_OUT_OF_BOUNDS)
        num_bytes = self.scaled(self.units, unit)
        self.check_bounds(self.direction.src, self.source, num_bytes, traps.STRING_OUT_OF_BOUNDS)
        f.release(num_bytes)
        match self.direction.dst.encoding, source:
            case i.StringEncoding.UTF8, "utf8":
                self.exact(1, 1, transcode.UTF8_TO_UTF8)
            case i.StringEncoding.UTF8, "utf16":
                self.guess(1, transcode.UTF16_TO_ASCII, 3, transcode.UTF16_TO_UTF8)
            case i.StringEncoding.UTF8, _:
                self.guess(1, transcode.LATIN1_TO_ASCII, 2, transcode.LATIN1_TO_UTF8)
            case i.StringEncoding.UTF16, "utf8":
                self.worst_case()
            case i.StringEncoding.UTF16, "utf16":
                self.exact(2, 2, transcode.UTF16_TO_UTF16)
            case i.StringEncoding.UTF16, _:
                self.exact(2, 2, transcode.LATIN1_TO_UTF16)
            case _, "latin1":
                self.exact(1, 2, None)
            case _, "utf16" if tagged:
                self.probably_utf16()
            case _, "utf16":
                self.compact(transcode.UTF16_TO_LATIN1, transcode.UTF16_TO_UTF16)
            case _:
                self.compact(transcode.UTF8_TO_LATIN1, transcode.UTF8_TO_UTF16)

    def scaled(self, units: int, factor: int) -> int:
        """A new local: `units * factor`; traps where that is more than a string may have."""
        f, result = self.f, self.f.local_i32()
        f.get(units)
        if factor > 1:
            f.i32(factor)
            f.op("i32.mul")
        f.set(result)
        if factor > 1:
            f.get(result)
            f.i32(MAX_BYTES)
            f.op("i32.gt_u")
            self.trap_if(traps.STRING_OUT_OF_BOUNDS)
        return result

    def allocate(self, old_size: int | None, align: int, new_size: int) -> None:
        self.realloc(self.target, old_size, align, new_size, traps.STRING_OUT_OF_BOUNDS)

    def transcode(self, op: int, room: int) -> None:
        """Pushes the result."""
        src, dst = self.direction.src, self.direction.dst
        assert src.memory_slot is not None and dst.memory_slot is not None
        self.f.get(self.source, self.units, self.target, room)
        self.f.call_import(self.module.intrinsic(i.Transcoder(op, src.memory_slot, dst.memory_slot)))

    def exact(self, unit: int, align: int, op: int | None) -> None:
        """store_string_copy: as many code units as before; Latin-1 to itself needs no check."""
        f = self.f
        num_bytes = self.scaled(self.units, unit)
        self.allocate(None, align, num_bytes)
        if op is None:
            f.get(self.target, self.source, num_bytes)
            f.memory_copy(self.module.memory(self.direction.dst), self.module.memory(self.direction.src))
        else:
            self.transcode(op, num_bytes)
            f.op("drop")
        f.get(self.units)
        f.set(self.length)
        f.release(num_bytes)

    def guess(self, align: int, narrow: int, factor: int, wide: int, tag: int = 0) -> None:
        """store_string_to_utf8, store_string_to_latin1_or_utf16: one byte a code unit if that will do, else the worst case, which is given back."""
        f = self.f
        self.allocate(None, align, self.units)
        self.transcode(narrow, self.units)
        f.tee(self.length)
        f.i32(-1)
        f.op("i32.eq")
        f.open("if")
        worst = self.scaled(self.units, factor)
        self.allocate(self.units, align, worst)
        self.transcode(wide, worst)
        f.set(self.length)
        used = self.scaled(self.length, 2 if tag else 1)
        self.shrink(worst, used, align)
        if tag:
            f.get(self.length)
            f.i32(tag)
            f.op("i32.or")
            f.set(self.length)
        f.release(worst, used)
        if tag:
            # fewer Latin-1 bytes than code units: UTF-8 has two of them for a character
            f.op("else")
            self.shrink(self.units, self.length, align)
        f.close()

    def shrink(self, room: int, used: int, align: int) -> None:
        f = self.f
        f.get(used, room)
        f.op("i32.lt_u")
        f.open("if")
        self.allocate(room, align, used)
        f.close()

    def compact(self, narrow: int, wide: int) -> None:
        self.guess(2, narrow, 2, wide, UTF16_TAG)

    def worst_case(self) -> None:
        """store_utf8_to_utf16."""
        f = self.f
        worst = self.scaled(self.units, 2)
        self.allocate(None, 2, worst)
        self.transcode(transcode.UTF8_TO_UTF16, worst)
        f.set(self.length)
        used = self.scaled(self.length, 2)
        self.shrink(worst, used, 2)
        f.release(worst, used)

    def probably_utf16(self) -> None:
        """store_probably_utf16_to_latin1_or_utf16: made Latin-1 in place when all of it fits, and then shrunk at an alignment of one."""
        f = self.f
        num_bytes = self.scaled(self.units, 2)
        self.allocate(None, 2, num_bytes)
        self.transcode(transcode.UTF16_TO_COMPACT, num_bytes)
        f.tee(self.length)
        f.i32(UTF16_TAG)
        f.op("i32.and", "i32.eqz")
        f.open("if")
        self.allocate(num_bytes, 1, self.length)
        f.close()
        f.release(num_bytes)


# --- calls ---------------------------------------------------------------------------------------------------------


class _Calls:
    """Writes one adapter."""

    def __init__(self, module: AdapterModule, f: FuncWriter, adapter: Adapter) -> None:
        self.module = module
        self.f = f
        self.adapter = adapter
        self.inward = _Values(module, f, Direction(adapter.lower, adapter.lift))
        self.outward = _Values(module, f, Direction(adapter.lift, adapter.lower))

    def write(self) -> None:
        f, module, adapter = self.f, self.module, self.adapter
        f.global_get(module.flags(adapter.lower.instance))
        f.op("i32.eqz")
        self.inward.trap_if(traps.CANNOT_LEAVE_COMPONENT)
        if adapter.recursive:
            self.inward.trap(traps.CANNOT_ENTER_COMPONENT)
            return
        if adapter.tasks:
            f.call_import(module.intrinsic(i.TaskEnter(adapter.lift.instance)))
        params = tuple(ty for _, ty in adapter.type.params)
        borrows = any(map(module.facts.borrows, params))
        if borrows:
            f.call_import(module.intrinsic(i.ResourceEnterCall(adapter.lower.instance, adapter.lift.instance)))
        f.get(*self.params(params))
        f.call_import(module.import_func(adapter.callee, adapter.lift_type))
        returned = [f.local(word) for word in adapter.lift_type.results]
        for local in reversed(returned):
            f.set(local)
        results = self.result(adapter.type.result, tuple(returned))
        if adapter.post_return is not None:
            post = module.import_func(adapter.post_return, CoreFuncType(adapter.lift_type.results))
            with _NotLeaving(self, adapter.lift):
                f.get(*returned)
                f.call_import(post)
        if borrows:
            f.call_import(module.intrinsic(i.ResourceExitCall(adapter.lower.instance, adapter.lift.instance)))
        if adapter.tasks:
            f.call_import(module.intrinsic(i.TaskExit(adapter.lift.instance)))
        f.get(*results)

    # --- calls of async functions, which the runtime makes between the two parts (wasmrt/concurrent/calls.py) ---

    def write_params(self) -> None:
        """The caller's core arguments, without the return pointer, to the callee's."""
        f = self.f
        if self.adapter.recursive:
            f.op("unreachable")
            return
        types = tuple(ty for _, ty in self.adapter.type.params)
        count = len(f.type.params)
        spilled = len(self.module.layouts.flatten_all(types)) > _max_params(self.adapter)
        if spilled:
            layout = self.module.layouts.record(types)
            size = f.local_i32()
            self.inward.check_aligned(0, layout.align)
            f.i32(layout.size)
            f.set(size)
            self.inward.check_bounds(self.adapter.lower, 0, size, traps.MEMORY_OUT_OF_BOUNDS)
        f.get(*self.params(types, _Mem(0) if spilled else _Flat(tuple(range(count)))))

    def write_result(self) -> None:
        """What the callee returned, and the caller's return pointer if it has one, to the caller's core result."""
        f, adapter, ty = self.f, self.adapter, self.adapter.type.result
        if adapter.recursive:
            f.op("unreachable")
            return
        if ty is None:
            return
        words = self.module.flat(ty)
        layout = self.module.layouts.record((ty,))
        source: _Place = _Flat(tuple(range(len(words))))
        if len(words) > _max_lifted(adapter):
            source, size = _Mem(0), f.local_i32()
            self.outward.check_aligned(0, layout.align)
            f.i32(layout.size)
            f.set(size)
            self.outward.check_bounds(adapter.lift, 0, size, traps.MEMORY_OUT_OF_BOUNDS)
        with _NotLeaving(self, adapter.lower if self.module.facts.allocates(ty) else None):
            if len(words) <= _max_lowered(adapter):
                flat = tuple(f.local(word) for word in words)
                self.outward.copy(ty, source, _Flat(flat))
            else:
                flat = ()
                target, size = len(f.type.params) - 1, f.local_i32()
                self.outward.check_aligned(target, layout.align)
                f.i32(layout.size)
                f.set(size)
                self.outward.check_bounds(adapter.lower, target, size, traps.MEMORY_OUT_OF_BOUNDS)
                self.outward.copy(ty, source, _Mem(target))
        f.get(*flat)

    def params(self, types: tuple[t.AnyValType, ...], source: _Place | None = None) -> tuple[int, ...]:
        """Passes the parameters; the locals that the callee gets."""
        f, adapter = self.f, self.adapter
        words = self.module.layouts.flatten_all(types)
        if len(words) <= MAX_FLAT_PARAMS:
            flat = tuple(f.local(word) for word in words)
            with _NotLeaving(self, adapter.lift if any(map(self.module.facts.allocates, types)) else None):
                self.inward.fields(types, source or _Flat(tuple(range(len(words)))), _Flat(flat))
            return flat
        layout = self.module.layouts.record(types)
        target, size = f.local_i32(), f.local_i32()
        self.inward.check_aligned(0, layout.align)
        with _NotLeaving(self, adapter.lift):
            f.i32(layout.size)
            f.set(size)
            self.inward.realloc(target, None, layout.align, size, traps.MEMORY_OUT_OF_BOUNDS)
            self.inward.fields(types, _Mem(0), _Mem(target))
        return (target,)

    def result(self, ty: t.AnyValType | None, returned: tuple[int, ...]) -> tuple[int, ...]:
        """Passes the result; the locals that the caller gets."""
        if ty is None:
            return ()
        f, adapter = self.f, self.adapter
        words = self.module.flat(ty)
        if len(words) <= MAX_FLAT_RESULTS:
            flat = tuple(f.local(word) for word in words)
            self.outward.copy(ty, _Flat(returned), _Flat(flat))
            return flat
        (source,) = returned
        target = len(adapter.lower_type.params) - 1
        align = self.module.layouts.alignment(ty)
        self.outward.check_aligned(source, align)
        self.outward.check_aligned(target, align)
        with _NotLeaving(self, adapter.lower if self.module.facts.allocates(ty) else None):
            self.outward.copy(ty, _Mem(source), _Mem(target))
        return ()


def _max_params(adapter: Adapter) -> int:
    return MAX_FLAT_ASYNC_PARAMS if adapter.async_lower else MAX_FLAT_PARAMS


def _max_lifted(adapter: Adapter) -> int:
    """Core values that the callee may return: to task.return, or as its result."""
    return MAX_FLAT_PARAMS if adapter.async_lift else MAX_FLAT_RESULTS


def _max_lowered(adapter: Adapter) -> int:
    return 0 if adapter.async_lower else MAX_FLAT_RESULTS


def _task_signatures(adapter: Adapter, layouts: Layouts) -> tuple[CoreFuncType, CoreFuncType]:
    """Of the functions for the parameters and for the result of a call of an async function."""
    params = layouts.flatten_all(tuple(ty for _, ty in adapter.type.params))
    if len(params) > _max_params(adapter):
        params = (I32,)
    ty = adapter.type.result
    if ty is None:
        return CoreFuncType(params, adapter.lift_type.params), CoreFuncType()
    words = layouts.flatten(ty)
    lifted = words if len(words) <= _max_lifted(adapter) else (I32,)
    if len(words) <= _max_lowered(adapter):
        return CoreFuncType(params, adapter.lift_type.params), CoreFuncType(lifted, words)
    return CoreFuncType(params, adapter.lift_type.params), CoreFuncType((*lifted, I32), ())


class _NotLeaving:
    """While the block is written, code runs in which a side may not leave its instance; None: nobody is called that could."""

    def __init__(self, calls: _Calls, side: Side | None) -> None:
        self.calls = calls
        self.side = side

    def _set(self, value: int) -> None:
        if self.side is not None:
            self.calls.f.i32(value)
            self.calls.f.global_set(self.calls.module.flags(self.side.instance))

    def __enter__(self) -> None:
        self._set(0)

    def __exit__(self, *exc: object) -> None:
        self._set(1)
