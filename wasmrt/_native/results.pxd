# cython: language_level=3
"""Lists of scalars as buffers, copied or borrowed; `results.pyx` says what each is for."""

from libc.stdint cimport uint8_t, uint32_t

cimport wasmrt._native.capi as c
from wasmrt._native.abi cimport AbiCall
from wasmrt._native.options cimport CallOptions
from wasmrt._native.resources cimport ComponentInstance, RuntimeInstance


cdef class Borrow:
    cdef ComponentInstance owner
    cdef RuntimeInstance *instance
    cdef c.VMFuncRef *post_return     # NULL: there is none
    cdef c.WrMemory *memory           # retained: it outlives its store
    cdef c.ValRaw value               # the core result, which post-return gets
    cdef uint32_t exports             # buffers that are open
    cdef bint sealed                  # the call is over: the last release ends the borrow
    cdef bint over                    # nobody looks at the memory any more; post-return may be still to run


cdef class BorrowedList:
    cdef Borrow borrow
    cdef const uint8_t *items
    cdef Py_ssize_t count
    cdef Py_ssize_t itemsize
    cdef char[2] format


# What `lift_buffer` of a call finds behind AbiCall.results.
cdef struct ResultContext:
    void *options                     # CallOptions, borrowed
    void *borrow                      # Borrow, borrowed; NULL: copies


cdef Borrow open_borrow(ComponentInstance owner, RuntimeInstance *instance, c.VMFuncRef *post_return, c.VMMemoryDef *memory)
cdef int seal_borrow(Borrow borrow, const c.ValRaw *value) except -1
cdef int settle_borrows(ComponentInstance owner) except -1
cdef void set_result_hooks(AbiCall *call, ResultContext *context, CallOptions options, Borrow borrow) noexcept
