# cython: language_level=3
"""Imports of components; `imports.pyx` says what each is for."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

cimport wasmrt._native.capi as c
from wasmrt._native.abi cimport AbiCall, Plan
from wasmrt._native.core cimport Store
from wasmrt._native.native cimport NativeFunc

cdef enum:
    NO_SLOT = 0xFFFFFFFF
    NO_OP = 0xFF

ctypedef int (*ReallocHook)(AbiCall *, uint32_t, uint64_t, uint64_t *) noexcept
cdef ReallocHook REALLOC_HOOK


cdef class LoweredImport:
    cdef uint32_t instance               # RuntimeComponentInstanceIndex
    cdef Plan plan                       # None until the first call
    cdef object make_plan                # makes it then
    cdef object function
    cdef NativeFunc native               # None: implemented in Python
    cdef bint has_resources
    cdef bint quick                      # scalars only: `run_quick_import`
    cdef uint8_t result_op
    cdef bint pass_store
    cdef uint32_t encoding
    cdef uint32_t memory, realloc        # slots of the owner, or NO_SLOT
    cdef str name


cdef c.c_bool import_call(c.VMContext *callee, c.VMContext *caller, c.ValRaw *values, size_t capacity) noexcept nogil
cdef void leave_with_exception(Store store) noexcept
cdef bint is_quick_op(uint8_t op) noexcept
cdef bint uses_resources(Plan plan) noexcept
cdef bint needs_memory(Plan plan) noexcept
