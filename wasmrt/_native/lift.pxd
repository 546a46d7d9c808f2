# cython: language_level=3
"""Lifting: from core values and linear memory to Python; see `lift.pyx`."""

from cpython.object cimport PyObject

from wasmrt._native.abi cimport AbiCall, Plan
from wasmrt._native.capi cimport ValRaw

cdef object lift_result(Plan plan, AbiCall *call, const ValRaw *values)
cdef int lift_params(Plan plan, AbiCall *call, const ValRaw *values, PyObject **out) except -1
