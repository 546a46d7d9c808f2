# cython: language_level=3
"""Exports of components; `component.pyx` says what each is for."""

from libc.stdint cimport uint8_t, uint32_t

cimport wasmrt._native.capi as c
from wasmrt._native.abi cimport Plan
from wasmrt._native.core cimport Store, vectorcallfunc
from wasmrt._native.options cimport CallOptions
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
    cdef bint quick                      # scalars only, no options: `call_quick`
    cdef uint8_t result_op               # of a quick function; NO_OP: no result
    cdef uint8_t[16] param_ops
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
