# cython: language_level=3
"""C functions as host functions; `native.pyx` says what each is for."""

from libc.stdint cimport uint32_t

cimport wasmrt._native.capi as c
from wasmrt._native.abi cimport Plan


cdef class NativeFunc:
    cdef c.WrNativeFunc c_native
    cdef c.VMArrayCall raw            # a wasmrt_callback: called as it is; NULL for a plain function
    cdef object owner                 # what keeps the code alive
    cdef object text                  # its C type, for messages
    cdef list params                  # (C type, CType) of each parameter
    cdef tuple result                 # of the result; None: void


cdef NativeFunc native_of(object function)
cdef int native_fits_core(NativeFunc native, const uint32_t *params, uint32_t num_params, const uint32_t *results, uint32_t num_results) except -1
cdef int native_fits_plan(NativeFunc native, Plan plan) except -1
