# cython: language_level=3
"""What the asynchronous ABI needs of guests; `fibers.pyx` says what each is for."""

from libc.stdint cimport uint8_t, uint32_t

cimport wasmrt._native.capi as c
from wasmrt._native.abi cimport AbiCall, Plan
from wasmrt._native.core cimport Store
from wasmrt._native.resources cimport ComponentInstance, RuntimeInstance, Scope


cdef class Intrinsic:
    cdef object body
    cdef uint32_t num_params, wide       # wide: bit i, parameter i has 64 bits
    cdef bint has_result


cdef class Fiber:
    cdef c.WrFiber *c_fiber
    cdef Store store                     # outlives it
    cdef uint32_t num_results

    cdef object begin(self, c.VMFuncRef *func, list arguments, uint32_t num_results)
    cdef object came_back(self, c.WrFiberState came)


cdef class LoanScope:
    cdef Scope scope
    cdef RuntimeInstance *callee
    cdef ComponentInstance owner
    cdef bint is_linked

    cdef void unlink(self) noexcept


cdef class HostArguments:
    cdef AbiCall call
    cdef c.ValRaw values[20]
    cdef Plan plan
    cdef LoanScope loans
    cdef bint is_staged, is_committed


cdef c.c_bool task_call(c.VMContext *callee, c.VMContext *caller, c.ValRaw *values, size_t capacity) noexcept nogil
