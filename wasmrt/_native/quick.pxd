# cython: language_level=3
"""Quick calls of functions of scalars; quick.h says what each is for."""

from cpython.object cimport PyObject
from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t

cimport wasmrt._native.capi as c
from wasmrt._native.abi cimport AbiCall, AbiField, AbiNode, AbiStep
from wasmrt._native.core cimport StoreHost
from wasmrt._native.lift cimport LiftRest
from wasmrt._native.pyapi cimport PyTypeObject
from wasmrt._native.resources cimport WrGate

cdef extern from "plain_call.h":
    ctypedef struct WrPlain:
        PyObject *plan
        const AbiNode *nodes
        const AbiField *fields
        void *const *objects
        c.VMMemoryDef *memory
        const c.VMFuncRef *realloc
        const c.VMFuncRef *post_return
        int32_t *may_leave
        uint32_t encoding
        PyObject *(*lift)(PyObject *plan, AbiCall *call, const c.ValRaw *values) noexcept
        void (*refuse)(uint64_t address, const AbiStep *step) noexcept
        const AbiField *params
        const AbiNode *result
        bint result_spills
    int plain_call_init(PyTypeObject *record, PyTypeObject *variant, PyObject *sample, PyObject *name, const LiftRest *rest, PyObject **spares) except -1
    PyObject *plain_vectorcall(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *kwnames) noexcept
    PyObject *plain_vectorcall_scalars(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *kwnames) noexcept
    PyObject *plain_vectorcall_values(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *kwnames) noexcept
    PyObject *plain_vectorcall_lending(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *kwnames) noexcept
    PyObject *plain_vectorcall_released(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *kwnames) noexcept

cdef extern from "quick.h":
    enum:
        QUICK_NONE
        QUICK_I32
        QUICK_S32
        QUICK_U32
        QUICK_I64
        QUICK_F64
        QUICK_PLAIN
        QUICK_BORROW
        QUICK_OTHER
        QUICK_PARAMS
    ctypedef PyObject *(*vectorcallfunc)(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *kwnames) noexcept
    ctypedef struct WrQuick:
        vectorcallfunc vectorcall
        vectorcallfunc slow
        PyObject *store_object
        StoreHost *host
        c.WrStore *store
        const c.VMFuncRef *func
        WrGate *gate
        WrGate own_gate
        uint8_t num_params
        uint8_t result
        uint8_t params[16]
        int (*lend)(PyObject *func, uint32_t index, PyObject *value, c.ValRaw *out) noexcept
        void (*unlend)(PyObject *value) noexcept
        PyObject *(*lift)(PyObject *func, const c.ValRaw *value) noexcept
        int (*settle)(PyObject *func, c.WrEntry *entry, int failed) noexcept
        const WrPlain *plain
    PyObject *quick_vectorcall(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *kwnames) noexcept
    PyObject *quick_vectorcall_released(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *kwnames) noexcept
    void quick_enable(PyTypeObject *type, Py_ssize_t offset) noexcept
