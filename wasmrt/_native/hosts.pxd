# cython: language_level=3
"""Core functions that the host implements; `hosts.pyx` says what each is for."""

from libc.stdint cimport uint32_t

cimport wasmrt._native.capi as c
from wasmrt._native.core cimport Store
from wasmrt._native.native cimport NativeFunc


cdef class HostFunc:
    cdef object function
    cdef c.VMArrayCall call           # what guest code reaches: host_call, or a native function
    cdef void *data
    cdef NativeFunc native            # None: implemented in Python
    cdef bint plain                   # numbers only, at most one result, no Caller
    cdef bint access_caller
    cdef object on_error              # None; else the function gets store and memory (see `make_memory_func`)
    cdef uint32_t type_id
    cdef const void *wasm_call
    cdef const uint32_t *params
    cdef const uint32_t *results
    cdef uint32_t num_params
    cdef uint32_t num_results

    cdef int invoke(self, Store store, c.VMContext *caller, c.ValRaw *values) except -1
