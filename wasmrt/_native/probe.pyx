# cython: language_level=3, embedsignature=True
"""Runs a plan against memory that Python owns: no store, no guest. Tests compare plans with the oracle through it; `describe`-like tools may too.

`realloc` is a callable (align, size) -> address; resources are given and taken as plain ints by `lower_handle(index, is_own, value) -> int` and
`lift_handle(index, is_own, handle) -> object`.
"""

from cpython.object cimport PyObject
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memset

from wasmrt._native.abi cimport *
from wasmrt._native.capi cimport ValRaw, VMMemoryDef
from wasmrt._native.lift cimport lift_params, lift_result
from wasmrt._native.lower cimport commit, stage_params, stage_result
from wasmrt._native.pyapi cimport decref, error_set, incref


cdef class Probe:
    """A plan with a memory, an encoding and hooks."""

    cdef readonly Plan plan
    cdef readonly object memory
    cdef object realloc, lower_handle, lift_handle
    cdef uint32_t encoding
    cdef VMMemoryDef definition
    cdef readonly list log

    def __init__(self, plan: Plan, memory: bytearray, realloc: object, encoding: int = 0, lower_handle: object = None, lift_handle: object = None) -> None:
        self.plan = plan
        self.memory = memory
        self.realloc = realloc
        self.encoding = encoding
        self.lower_handle = lower_handle
        self.lift_handle = lift_handle
        self.log = []

    cdef int prepare(self, AbiCall *call) except -1:
        cdef uint8_t[::1] view = self.memory
        self.definition.base = &view[0]
        self.definition.length_bytes = view.shape[0]
        call_init(call, self.plan)
        call.memory = &self.definition
        call.encoding = self.encoding
        call.instance = <void *>self
        call.realloc_guest = probe_realloc
        call.stage_resource = probe_stage
        call.commit_resource = probe_commit
        call.finish_resource = probe_finish
        call.lift_resource = probe_lift
        return 0

    def lower_params(self, *args: object) -> list[int]:
        """The core values of the arguments, as 64-bit unsigned integers."""
        cdef AbiCall call
        cdef ValRaw values[32]
        cdef PyObject *vector[1000]
        cdef Py_ssize_t i
        cdef bint committed = False
        assert <uint32_t>len(args) == self.plan.num_params and len(args) <= 1000
        self.prepare(&call)
        memset(values, 0xAA, sizeof(values))
        for i in range(len(args)):
            vector[i] = <PyObject *>args[i]
        try:
            stage_params(self.plan, &call, vector, values)
            self.log.append("staged")
            commit(&call)
            committed = True
        finally:
            finish(&call, committed)
        return [<uint64_t>values[i].i64 for i in range(1 if self.plan.params_spill else self.plan.params_flat)]

    def lower_result(self, value: object, return_pointer: int = 0) -> int | None:
        """The core value of a result, or None when it was written at `return_pointer`."""
        cdef AbiCall call
        cdef ValRaw values[1]
        cdef bint committed = False
        self.prepare(&call)
        try:
            stage_result(self.plan, &call, <PyObject *>value, values, return_pointer, "")
            commit(&call)
            committed = True
        finally:
            finish(&call, committed)
        if self.plan.result == ABI_NO_NODE or self.plan.result_spills:
            return None
        return <uint64_t>values[0].i64

    def lift_params(self, values: list[int]) -> tuple:
        """The arguments for a host function from core values."""
        cdef AbiCall call
        cdef ValRaw raw[32]
        cdef PyObject *vector[1000]
        cdef uint32_t i
        assert len(values) <= 32 and self.plan.num_params <= 1000
        self.prepare(&call)
        for i in range(len(values)):
            raw[i].i64 = <long long><uint64_t>values[i]
        lift_params(self.plan, &call, raw, vector)
        lifted = tuple([<object>vector[i] for i in range(self.plan.num_params)])
        for i in range(self.plan.num_params):
            decref(vector[i])
        return lifted

    def lift_result(self, value: int = 0) -> object:
        """The result from its one core value (the value itself or where it lies)."""
        cdef AbiCall call
        cdef ValRaw raw[1]
        self.prepare(&call)
        raw[0].i64 = <long long><uint64_t>value
        return lift_result(self.plan, &call, raw)


cdef int probe_realloc(AbiCall *call, uint32_t align, uint64_t size, uint64_t *out_address) noexcept:
    try:
        out_address[0] = (<Probe>call.instance).realloc(align, size)
    except BaseException as error:
        return keep(error)
    return 0


cdef int keep(object error) noexcept:
    cls = type(error)
    error_set(<PyObject *>cls, <PyObject *>error)
    return -1


cdef int probe_stage(AbiCall *call, const AbiNode *node, void *value, AbiStep *step) noexcept:
    if not isinstance(<object><PyObject *>value, int):
        return fail_type(call, node, <PyObject *>value)
    incref(<PyObject *>value)
    step.owner = value
    return 0


cdef int probe_commit(AbiCall *call, AbiStep *step, uint32_t *out_handle) noexcept:
    try:
        out_handle[0] = (<Probe>call.instance).lower_handle(step.resource, step.kind == ABI_STEP_OWN, <object><PyObject *>step.owner)
    except BaseException as error:
        return keep(error)
    return 0


cdef void probe_finish(AbiCall *call, AbiStep *step, int committed) noexcept:
    (<Probe>call.instance).log.append(("committed" if committed else "undone", <object><PyObject *>step.owner))


cdef void *probe_lift(AbiCall *call, const AbiNode *node, uint32_t handle) noexcept:
    try:
        found = (<Probe>call.instance).lift_handle(node.length, node.op == ABI_OP_OWN, handle)
    except BaseException as error:
        keep(error)
        return NULL
    incref(<PyObject *>found)
    return <void *><PyObject *>found
