# cython: language_level=3
"""Lifting: from core values and linear memory to Python; see `lift.pyx`."""

from cpython.object cimport PyObject
from libc.stdint cimport uint8_t, uint64_t

from wasmrt._native.abi cimport AbiCall, AbiNode, Plan
from wasmrt._native.capi cimport ValRaw
from wasmrt._native.pyapi cimport PyTypeObject

cdef extern from "lift.h":
    enum:
        LIFT_PARTS
    ctypedef struct LiftRest:
        PyObject *(*refuse)(int what) noexcept
        PyObject *(*other)(AbiCall *call, const AbiNode *node, const uint8_t *at, int flat) noexcept
        PyTypeObject *variant_class
    PyObject *lift_scalar(void *const *objects, const AbiNode *node, uint64_t bits) noexcept
    int lift_init(const LiftRest *rest, PyObject **spares) except -1

cdef object lift_result(Plan plan, AbiCall *call, const ValRaw *values)
cdef int lift_params(Plan plan, AbiCall *call, const ValRaw *values, PyObject **out) except -1
cdef const LiftRest *lift_rest_of_all() noexcept
cdef object steal(PyObject *found)
