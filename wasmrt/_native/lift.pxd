# cython: language_level=3
"""Lifting: from core values and linear memory to Python; see `lift.pyx`."""

from cpython.object cimport PyObject
from libc.stdint cimport uint64_t

from wasmrt._native.abi cimport AbiCall, AbiNode, Plan
from wasmrt._native.capi cimport ValRaw

cdef object lift_result(Plan plan, AbiCall *call, const ValRaw *values)
cdef int lift_params(Plan plan, AbiCall *call, const ValRaw *values, PyObject **out) except -1
cdef PyObject *lift_scalar(AbiCall *call, const AbiNode *node, uint64_t bits) noexcept
cdef object steal(PyObject *found)
