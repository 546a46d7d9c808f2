"""Validates canonical definitions: options, and the core signatures of lifts, lowers and built-ins."""

from __future__ import annotations

from wasmrt.binary import records as r
from wasmrt.spec import types as t
from wasmrt.spec.core_types import VALTYPE_I32, VALTYPE_I64, CoreFuncType, TableType
from wasmrt.spec.flatten import (
    MAX_FLAT_ASYNC_PARAMS,
    MAX_FLAT_PARAMS,
    MAX_FLAT_RESULTS,
    Flattener,
    flatten_functype,
)
from wasmrt.spec.valtypes import VALTYPE_FUNCREF, ref_type, valtype_str

from .dfg import LocalBuiltin, LocalLift, LocalLower, LocalResourceBuiltin
from .scope import Scope
from .type_defs import TypeValidator
from .type_nodes import FuncNode, ValueNode

_I32, _I64 = VALTYPE_I32, VALTYPE_I64

# Core signatures of the built-ins that depend on nothing: parameters and results.
_SIGNATURES: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "task.cancel": ((), ()),
    "subtask.cancel": ((_I32,), (_I32,)),
    "subtask.drop": ((_I32,), ()),
    "backpressure.inc": ((), ()),
    "backpressure.dec": ((), ()),
    "stream.new": ((), (_I64,)),
    "stream.cancel-read": ((_I32,), (_I32,)),
    "stream.cancel-write": ((_I32,), (_I32,)),
    "stream.drop-readable": ((_I32,), ()),
    "stream.drop-writable": ((_I32,), ()),
    "future.new": ((), (_I64,)),
    "future.cancel-read": ((_I32,), (_I32,)),
    "future.cancel-write": ((_I32,), (_I32,)),
    "future.drop-readable": ((_I32,), ()),
    "future.drop-writable": ((_I32,), ()),
    "error-context.drop": ((_I32,), ()),
    "waitable-set.new": ((), (_I32,)),
    "waitable-set.drop": ((_I32,), ()),
    "waitable.join": ((_I32, _I32), ()),
    "thread.index": ((), (_I32,)),
    "thread.resume-later": ((_I32,), ()),
    "thread.suspend": ((), (_I32,)),
    "thread.yield": ((), (_I32,)),
    "thread.suspend-then-resume": ((_I32,), (_I32,)),
    "thread.yield-then-resume": ((_I32,), (_I32,)),
    "thread.suspend-then-promote": ((_I32,), (_I32,)),
    "thread.yield-then-promote": ((_I32,), (_I32,)),
    "thread.available-parallelism": ((), (_I32,)),
}


class _Options:
    """Options that were checked one by one; `require_*` check that a definition has those it needs."""

    def __init__(self, v: TypeValidator, scope: Scope, options: r.CanonOptions) -> None:
        self.scope = scope
        self.given = options
        self.pointer = _I32
        at = options.offset
        if options.memory is not None:
            memory = scope.get(scope.core_memories, options.memory, "memory", at)
            if memory.shared:
                raise scope.invalid("canonical option `memory` cannot be a shared memory", at)
            if memory.is_64:
                v.need("memory64", "a 64-bit memory in canonical options", scope, at)
                self.pointer = _I64
        if options.realloc is not None:
            realloc = scope.get(scope.core_funcs, options.realloc, "function", at)
            if options.memory is None:
                raise scope.invalid("canonical option `realloc` requires `memory` to also be specified", at)
            if realloc != CoreFuncType((self.pointer,) * 4, (self.pointer,)):
                raise self.signature("realloc", realloc, CoreFuncType((self.pointer,) * 4, (self.pointer,)))
        if options.callback is not None:
            callback = scope.get(scope.core_funcs, options.callback, "function", at)
            if not options.async_:
                raise scope.invalid("cannot specify callback without async", at)
            if callback != CoreFuncType((_I32, _I32, _I32), (_I32,)):
                raise self.signature("callback", callback, CoreFuncType((_I32, _I32, _I32), (_I32,)))

    @property
    def memory_64(self) -> bool:
        return self.pointer == _I64

    def signature(self, option: str, found: CoreFuncType, expected: CoreFuncType) -> Exception:
        message = (
            f"canonical option `{option}` uses a core function with an incorrect signature: "
            f"expected {expected}, found {found}"
        )
        return self.scope.invalid(message, self.given.offset)

    def require(self, memory: bool, realloc: bool) -> None:
        at = self.given.offset
        if (memory or realloc) and self.given.memory is None:
            raise self.scope.invalid("canonical option `memory` is required", at)
        if realloc and self.given.realloc is None:
            raise self.scope.invalid("canonical option `realloc` is required", at)

    def forbid(self, what: str, *options: str) -> None:
        for option in options:
            value = getattr(self.given, option)
            if value is not None and value is not False:
                word = option.rstrip("_").replace("_", "-")
                raise self.scope.invalid(f"canonical option `{word}` cannot be specified for {what}", self.given.offset)


def lift(v: TypeValidator, scope: Scope, d: r.CanonLift) -> LocalLift:
    core = scope.get(scope.core_funcs, d.func, "function", d.offset)
    func = scope.func_type(d.type, d.offset)
    options = _Options(v, scope, d.options)
    given = d.options
    if given.async_:
        v.need("async_", "an async lift", scope, d.offset)
        if not func.val.async_:
            raise scope.invalid("the `async` canonical option requires an async function type", d.offset)
        options.forbid("async lifts", "post_return")
    flattener = Flattener(options.pointer)
    expected = flatten_functype(
        func.val, "lift", async_=given.async_, callback=given.callback is not None, flattener=flattener
    )
    params, results = _flat(flattener, func)
    pointers = any(p.has_pointer for _, p in func.params)
    spilled = len(params) > MAX_FLAT_PARAMS
    result_in_memory = func.result is not None and (
        func.result.has_pointer or (len(results) > MAX_FLAT_RESULTS and not given.async_)
    )
    options.require(memory=pointers or spilled or result_in_memory, realloc=pointers or spilled)
    _match_core(scope, d.func, expected, core, d.offset)
    if given.post_return is not None:
        post = scope.get(scope.core_funcs, given.post_return, "function", given.offset)
        if post != CoreFuncType(core.results, ()):
            raise options.signature("post-return", post, CoreFuncType(core.results, ()))
    scope.funcs.append(func)
    return LocalLift(d.offset, d.func, given, options.memory_64, func, core)


def lower(v: TypeValidator, scope: Scope, d: r.CanonLower) -> LocalLower:
    func = scope.get(scope.funcs, d.func, "function", d.offset)
    options = _Options(v, scope, d.options)
    given = d.options
    options.forbid("lowerings", "post_return", "callback")
    if given.async_:
        v.need("async_", "an async lowering", scope, d.offset)
        if not func.val.async_:
            raise scope.invalid("the `async` canonical option requires an async function type", d.offset)
    flattener = Flattener(options.pointer)
    core = flatten_functype(func.val, "lower", async_=given.async_, flattener=flattener)
    params, results = _flat(flattener, func)
    spilled = len(params) > (MAX_FLAT_ASYNC_PARAMS if given.async_ else MAX_FLAT_PARAMS)
    pointers = any(p.has_pointer for _, p in func.params)
    result_pointer = func.result is not None and func.result.has_pointer
    result_in_memory = len(results) > (0 if given.async_ else MAX_FLAT_RESULTS)
    options.require(memory=pointers or spilled or result_pointer or result_in_memory, realloc=result_pointer)
    scope.core_funcs.append(core)
    return LocalLower(d.offset, d.func, given, options.memory_64, func, core)


def _flat(flattener: Flattener, func: FuncNode) -> tuple[tuple[int, ...], tuple[int, ...]]:
    params = flattener.types(ty for _, ty in func.val.params)
    return params, () if func.val.result is None else flattener.type(func.val.result)


def _words(words: tuple[int, ...]) -> str:
    return "[" + ", ".join(valtype_str(w).upper() for w in words) + "]"


def _match_core(scope: Scope, index: int, expected: CoreFuncType, found: CoreFuncType, offset: int) -> None:
    for what, want, have in (
        ("parameter", expected.params, found.params),
        ("result", expected.results, found.results),
    ):
        if want != have:
            raise scope.invalid(
                f"lowered {what} types `{_words(want)}` do not match {what} types `{_words(have)}` "
                f"of core function {index}",
                offset,
            )


def builtin(v: TypeValidator, scope: Scope, d: r.CanonBuiltin) -> LocalResourceBuiltin | LocalBuiltin:
    """Any canonical definition but lift and lower: checks it and adds its core function."""
    if d.name.startswith("resource."):
        local = _resource(scope, d)
        scope.core_funcs.append(local.core_type)
        return local
    v.need(feature_of(d.name), d.name, scope, d.offset)
    core = _signature(v, scope, d)
    scope.core_funcs.append(core)
    made = LocalBuiltin(d.offset, d, core)
    if d.name == "task.return":
        result = v.optional_ref(scope, d.result, d.offset)
        made.type = None if result is None else result.val
    elif d.type is not None:
        made.type = scope.value_type(d.type, d.offset).val
    if d.core_type is not None:
        made.start = scope.core_func_type(d.core_type, d.offset)
    memory = d.memory if d.options is None else d.options.memory
    made.memory_64 = memory is not None and scope.get(scope.core_memories, memory, "memory", d.offset).is_64
    return made


def feature_of(name: str) -> str:
    """The field of Features that a built-in needs."""
    area = name.partition(".")[0]
    if area == "error-context":
        return "error_context"
    return "threading" if area == "thread" and name != "thread.yield" else "async_"


def _resource(scope: Scope, d: r.CanonBuiltin) -> LocalResourceBuiltin:
    assert d.type is not None
    node = scope.resource(d.type, d.offset)
    if d.name == "resource.drop":
        signature = CoreFuncType((_I32,), ())
    else:
        if node.resource not in scope.local:
            raise scope.invalid(f"type index {d.type} is not a local resource: {d.name} needs one", d.offset)
        rep = (scope.local[node.resource],)
        signature = CoreFuncType(rep, (_I32,)) if d.name == "resource.new" else CoreFuncType((_I32,), rep)
    return LocalResourceBuiltin(d.name, node.resource, signature)


def _signature(v: TypeValidator, scope: Scope, d: r.CanonBuiltin) -> CoreFuncType:
    at = d.offset
    area, _, verb = d.name.partition(".")
    if area in ("stream", "future"):
        _stream(v, scope, d, area, verb)
    options = None if d.options is None else _Options(v, scope, d.options)
    match d.name:
        case "task.return":
            assert options is not None
            return _task_return(v, scope, d, options)
        case "context.get" | "context.set":
            assert d.core_valtype is not None and d.slot is not None
            if d.core_valtype not in (_I32, _I64):
                raise scope.invalid(f"{d.name} of type {valtype_str(d.core_valtype)}, expected i32 or i64", at)
            if d.slot >= 2:
                raise scope.invalid(f"immediate must be zero or one: context slot {d.slot}", at)
            word = (d.core_valtype,)
            return CoreFuncType((), word) if verb == "get" else CoreFuncType(word, ())
        case "stream.read" | "stream.write" | "future.read" | "future.write":
            assert options is not None
            pointer = options.pointer
            count = (_I32 if pointer == _I32 else _I64,) if area == "stream" else ()
            return CoreFuncType((_I32, pointer, *count), (_I32,))
        case "error-context.new":
            assert options is not None
            options.require(memory=True, realloc=False)
            return CoreFuncType((options.pointer, options.pointer), (_I32,))
        case "error-context.debug-message":
            assert options is not None
            options.require(memory=True, realloc=True)
            return CoreFuncType((_I32, options.pointer), ())
        case "waitable-set.wait" | "waitable-set.poll":
            assert d.memory is not None
            memory = scope.get(scope.core_memories, d.memory, "memory", at)
            return CoreFuncType((_I32, _I64 if memory.is_64 else _I32), (_I32,))
        case "thread.new-indirect" | "thread.spawn-indirect" | "thread.spawn-ref":
            return _thread_new(scope, d)
    params, results = _SIGNATURES[d.name]
    return CoreFuncType(params, results)


def _stream(v: TypeValidator, scope: Scope, d: r.CanonBuiltin, area: str, verb: str) -> None:
    """A stream or future built-in: its type, and the options that reading and writing its elements needs."""
    assert d.type is not None
    node = scope.value_type(d.type, d.offset)
    if not isinstance(node.val, t.StreamType if area == "stream" else t.FutureType):
        raise scope.invalid(f"`{d.name}` requires a {area} type, found {node.val}", d.offset)
    if d.options is None:
        return
    options = _Options(v, scope, d.options)
    options.forbid(f"`{d.name}`", "post_return", "callback")
    payload = node.parts[0]
    if isinstance(payload, ValueNode):
        options.require(memory=True, realloc=verb == "read" and payload.has_pointer)


def _task_return(v: TypeValidator, scope: Scope, d: r.CanonBuiltin, options: _Options) -> CoreFuncType:
    options.forbid("`task.return`", "realloc", "post_return", "callback", "async_")
    result = v.optional_ref(scope, d.result, d.offset)
    if result is None:
        return CoreFuncType()
    if result.has_borrow:
        raise scope.invalid("`task.return` cannot return a `borrow` type", d.offset)
    flat = Flattener(options.pointer).type(result.val)
    spilled = len(flat) > MAX_FLAT_PARAMS
    options.require(memory=spilled or result.has_pointer, realloc=False)
    return CoreFuncType((options.pointer,) if spilled else flat, ())


def _thread_new(scope: Scope, d: r.CanonBuiltin) -> CoreFuncType:
    assert d.core_type is not None
    start = scope.core_func_type(d.core_type, d.offset)
    if start not in (CoreFuncType((_I32,), ()), CoreFuncType((_I64,), ())):
        raise scope.invalid("start function must take a single `i32` or `i64` argument (the context)", d.offset)
    context = start.params[0]
    if d.name == "thread.spawn-ref":
        return CoreFuncType((ref_type(True, d.core_type, concrete=True), context), (_I32,))
    assert d.table is not None
    table: TableType = scope.get(scope.core_tables, d.table, "table", d.offset)
    if table.element != VALTYPE_FUNCREF:
        raise scope.invalid(f"table of {valtype_str(table.element)}, expected funcref", d.offset)
    return CoreFuncType((_I64 if table.is_64 else _I32, context), (_I32,))
