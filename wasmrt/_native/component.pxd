# cython: language_level=3
"""The call path of components; `component.pyx` says what each is for."""

from libc.stdint cimport uint32_t

cimport wasmrt._native.capi as c
from wasmrt._native.abi cimport Plan
from wasmrt._native.core cimport Store, vectorcallfunc
from wasmrt._native.resources cimport ComponentInstance, RuntimeInstance


cdef class ComponentFunc:
    cdef vectorcallfunc vectorcall
    cdef c.VMFuncRef *func
    cdef c.VMFuncRef *realloc
    cdef c.VMFuncRef *post_return_func
    cdef c.VMMemoryDef *memory
    cdef RuntimeInstance *instance
    cdef uint32_t encoding
    cdef bint has_resources
    cdef bint simple                     # nothing to commit, no resources: no hooks are needed
    cdef Plan plan
    cdef readonly Store store
    cdef ComponentInstance owner
    cdef readonly str name
    cdef object public_type
    cdef object __weakref__


cdef class LoweredImport:
    cdef ComponentInstance owner
    cdef RuntimeInstance *instance
    cdef Plan plan
    cdef object function
    cdef bint pass_store
    cdef uint32_t encoding
    cdef uint32_t memory, realloc        # slots of the owner, or NO_SLOT
    cdef str name
