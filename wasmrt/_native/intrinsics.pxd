# cython: language_level=3
"""Trampolines of components; `intrinsics.pyx` says what each is for."""

from libc.stdint cimport uint32_t

cimport wasmrt._native.capi as c
from wasmrt._native.resources cimport ComponentInstance


cdef enum:
    LOWER
    RESOURCE_NEW
    RESOURCE_REP
    RESOURCE_DROP
    ADAPTER_TRAP
    TRANSCODER
    TRANSFER_OWN
    TRANSFER_BORROW
    ENTER_CALL
    EXIT_CALL
    TASK


# A trampoline of a component, as its host contexts are made from it.
cdef struct TrampolineRow:
    uint32_t kind
    uint32_t type_id
    const void *wasm_call
    uint32_t a, b, c
    void *lowered                        # LOWER: the LoweredImport, TASK: the Intrinsic, borrowed


cdef int bind_trampoline(ComponentInstance state, const TrampolineRow *row, size_t index, c.WrHostFunc *out) except -1
