# cython: language_level=3
"""References to objects of guests; `refs.pyx` says what they are."""

from libc.stdint cimport uint32_t

cimport wasmrt._native.capi as c
from wasmrt._native.core cimport Store


cdef class AnyRef:
    cdef readonly Store store
    cdef void *c_ref
    cdef uint32_t kept             # what keeps it alive; 0: nothing


cdef int ref_to_raw(Store store, uint32_t word, object value, c.ValRaw *out) except -1
cdef object ref_from_raw(Store store, void *c_ref)
