"""From a component's records to what the runtime calls."""

from __future__ import annotations

from collections.abc import Callable

from wasmrt._native.fibers import Intrinsic
from wasmrt._native.resources import ComponentInstance
from wasmrt.spec import types as t
from wasmrt.spec.core_types import VALTYPE_I32, CoreFuncType
from wasmrt.translate import info
from wasmrt.translate.type_facts import TypeFacts
from wasmrt.translate.type_table import ComponentTypes

from . import calls
from .builtins import Spec, intrinsic
from .host import HostState
from .lifts import Elements, Lift, Options

_THREAD_START = CoreFuncType((VALTYPE_I32,), ())


class Binder:
    """Makes intrinsics and lifts of one component, shared by its instances. `type_id`: the engine-wide id of a core function type."""

    def __init__(self, records: info.Component, types: ComponentTypes, type_id: Callable[[CoreFuncType], int]) -> None:
        self._records = records
        self._types = types
        self._type_id = type_id
        self._facts = TypeFacts()
        self._elements: dict[t.AnyValType | None, Elements] = {}

    def task_instances(self) -> set[int]:
        """Runtime component instances that use the asynchronous ABI."""
        found: set[int] = set()
        for trampoline in self._records.trampolines:
            match trampoline:
                case info.TaskBuiltin() | info.TaskEnter():
                    found.add(trampoline.instance)
                case info.TaskCall():
                    found.add(self._records.options[trampoline.lower].instance)
                    found.add(self._records.options[trampoline.lift].instance)
                case info.TrampolineLowerImport() if self._types.func(trampoline.ty).async_:
                    found.add(self._records.options[trampoline.options].instance)
        for export in self._records.export_items:
            if isinstance(export, info.ExportLiftedFunction) and self._types.func(export.ty).async_:
                found.add(self._records.options[export.options].instance)
        return found

    def state(self, native: ComponentInstance) -> HostState:
        """The state of a new instance."""
        return HostState(native, self.elements)

    def options(self, index: info.OptionsIndex) -> Options:
        given = self._records.options[index]
        return Options(given.instance, given.string_encoding, given.memory, given.realloc, given.async_)

    def lift(self, index: info.OptionsIndex, func: int, result: t.AnyValType | None) -> Lift:
        given = self._records.options[index]
        num_results = len(given.core_type.results)
        return Lift(self.options(index), func, num_results, given.callback, given.post_return, result)

    def elements(self, payload: t.AnyValType | None) -> Elements:
        found = self._elements.get(payload)
        if found is None:
            found = self._elements[payload] = Elements.of(self._facts, payload)
        return found

    def intrinsic(self, trampoline: info.Trampoline) -> Intrinsic | None:
        """What a trampoline of the asynchronous ABI calls; None for another one."""
        match trampoline:
            case info.TaskBuiltin():
                return self._builtin(trampoline)
            case info.TaskCall():
                ty = self._types.func(trampoline.ty)
                lift = self.lift(trampoline.lift, trampoline.func, ty.result)
                lower = self.options(trampoline.lower)
                count = calls.num_core_params(ty, self._facts)
                params, result = trampoline.params, trampoline.result
                signature = trampoline.signature
                return calls.task_call(signature, lower, lift, count, params, result, recursive=trampoline.recursive)
            case info.TaskEnter():
                return calls.task_enter(trampoline.instance)
            case info.TaskExit():
                return calls.task_exit(trampoline.instance)
            case info.TaskTransfer():
                ty = self._types[trampoline.ty]
                return calls.task_transfer(ty, self.elements(_payload(ty)), trampoline.src, trampoline.dst)
        return None

    def _builtin(self, trampoline: info.TaskBuiltin) -> Intrinsic:
        ty = None if trampoline.ty is None else self._types[trampoline.ty]
        is_channel = isinstance(ty, (t.StreamType, t.FutureType))
        spec = Spec(
            trampoline.name,
            trampoline.instance,
            trampoline.signature,
            type=ty,
            elements=self.elements(_payload(ty)) if is_channel else None,
            options=None if trampoline.options is None else self.options(trampoline.options),
            number=trampoline.number,
            async_=trampoline.async_,
            cancellable=trampoline.cancellable,
            table=trampoline.table,
            start=0 if trampoline.table is None else self._type_id(_THREAD_START),
        )
        return intrinsic(spec)


def _payload(ty: t.AnyValType | None) -> t.AnyValType | None:
    return ty.payload if isinstance(ty, (t.StreamType, t.FutureType)) else None
