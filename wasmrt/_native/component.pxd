# cython: language_level=3
"""Exports of components; `component.pyx` says what each is for."""

from libc.stdint cimport uint32_t

cimport wasmrt._native.capi as c
from wasmrt._native.abi cimport Plan
from wasmrt._native.core cimport Store
from wasmrt._native.options cimport CallOptions
from wasmrt._native.quick cimport WrPlain, WrQuick
from wasmrt._native.resources cimport ComponentInstance, RuntimeInstance


cdef class ComponentFunc:
    cdef WrQuick quick                   # starts with the vectorcall slot
    cdef WrPlain plain
    cdef c.VMFuncRef *func
    cdef c.VMFuncRef *realloc
    cdef c.VMFuncRef *post_return_func
    cdef c.VMMemoryDef *memory
    cdef RuntimeInstance *instance
    cdef uint32_t encoding
    cdef bint has_resources
    cdef bint simple                     # nothing to commit, no resources: no hooks are needed
    cdef CallOptions options             # None: the defaults
    cdef Plan plan
    cdef readonly Store store
    cdef ComponentInstance owner
    cdef readonly str name
    cdef object public_type
    cdef object __weakref__


cdef class FuncLookup:
    cdef dict found                      # name -> function
    cdef object found_store
