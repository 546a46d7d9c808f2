# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True, embedsignature=True
"""Imports of components that are implemented in Python, and what both directions ask of a plan.

An import reaches `import_call` from machine code, with the GIL held or let go: arguments are lifted onto the C stack, the callable is called by
vectorcall, its result is checked and lowered by the caller's realloc. A Python exception stays in the store until the outermost guest frame is left.
"""

from cpython.object cimport PyObject
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc

cimport wasmrt._native.capi as c
from wasmrt._native.abi cimport *
from wasmrt._native.core cimport Store, gil_acquire, host_returns, trap_text
from wasmrt._native.lift cimport lift_init, lift_params, lift_rest_of_all, lift_scalar
from wasmrt._native.lower cimport commit, stage_result
from wasmrt._native.native cimport native_fits_plan, native_of
from wasmrt._native.pyapi cimport PyTypeObject, decref, is_long_exact, refuse_new, xdecref
from wasmrt._native.resources cimport *

from wasmrt.errors import ArgumentTypeError, WasmError

cdef extern from "Python.h":
    size_t PY_VECTORCALL_ARGUMENTS_OFFSET
    PyObject *PyObject_Vectorcall(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *kwnames) noexcept

cdef extern from "abi_text.h" nogil:
    bint abi_small_int(PyObject *value, int64_t *out)

cdef enum:
    INLINE_ARGUMENTS = 18

lift_init(lift_rest_of_all(), spare_records())


# ---- plans ------------------------------------------------------------------------------------------------------------------------------------------

cdef bint is_quick_op(uint8_t op) noexcept:
    return op <= ABI_OP_CHAR or op == ABI_OP_ENUM or op == ABI_OP_FLAGS


cdef bint only_scalars(Plan plan, uint8_t *out_result_op) noexcept:
    """Whether values of this type never touch memory; and the result's op, NO_OP for none."""
    cdef uint32_t i
    cdef uint8_t op
    out_result_op[0] = NO_OP
    if not plan.params_simple or plan.num_params > 16 or plan.result_spills:
        return False
    for i in range(plan.num_params):
        op = plan.nodes[plan.fields[plan.first_param + i].node].op
        if not is_quick_op(op):
            return False
    if plan.result == ABI_NO_NODE:
        return True
    out_result_op[0] = plan.nodes[plan.result].op
    return is_quick_op(out_result_op[0])


cdef bint uses_resources(Plan plan) noexcept:
    return plan.params_flags & ABI_RESOURCES or (plan.result != ABI_NO_NODE and plan.nodes[plan.result].flags & ABI_RESOURCES)


cdef bint needs_memory(Plan plan) noexcept:
    if plan.params_spill or plan.result_spills or plan.params_flags & ABI_ALLOCATES:
        return True
    return plan.result != ABI_NO_NODE and plan.nodes[plan.result].flags & ABI_ALLOCATES


cdef int realloc_hook(AbiCall *call, uint32_t align, uint64_t size, uint64_t *out_address) noexcept:
    """Calls the guest's realloc, inside the store; during it the instance may not leave. -1 with an exception."""
    cdef RuntimeInstance *instance = (<Scope *>call.scope).instance
    cdef c.VMFuncRef *func = <c.VMFuncRef *>call.realloc_func
    cdef c.ValRaw values[4]
    cdef bint ok
    if func == NULL:
        return (<ReallocFailed><void *>realloc_failed)(call)
    values[0].i64 = 0
    values[1].i64 = 0
    values[2].i64 = align
    values[3].i64 = <int64_t>size
    instance.may_leave[0] = 0
    ok = func.array_call(func.vmctx, func.vmctx, values, 4)
    gil_acquire((<c.VMContextHeader *>func.vmctx).store)
    instance.may_leave[0] = 1
    if not ok:
        return (<ReallocFailed><void *>realloc_failed)(call)
    out_address[0] = <uint32_t>values[0].i32
    return 0


ctypedef int (*ReallocFailed)(AbiCall *) noexcept


cdef int realloc_failed(AbiCall *call) except -1:
    if call.realloc_func == NULL:
        raise WasmError("the function allocates but has no `realloc` option")
    return (<ComponentInstance>call.instance).store.raise_pending()


REALLOC_HOOK = realloc_hook


# ---- imports ----------------------------------------------------------------------------------------------------------------------------------------

cdef class LoweredImport:
    """What the host contexts of a lowered import point at, in every instance of an InstancePre; made by `lower_import`."""


cdef int take_plan(LoweredImport self, Plan plan) except -1:
    if self.memory == NO_SLOT and needs_memory(plan):
        raise WasmError(f"{self.name or 'an import'} needs the `memory` option")
    self.has_resources = uses_resources(plan)
    self.quick = only_scalars(plan, &self.result_op)
    self.plan = plan
    return 0


cdef int run_first_import(LoweredImport self, ComponentInstance owner, c.ValRaw *values) except -1:
    take_plan(self, self.make_plan())
    return run_quick_import(self, owner, values) if self.quick else run_import(self, owner, values)


cdef int run_quick_import(LoweredImport self, ComponentInstance owner, c.ValRaw *values) except -1:
    """`run_import` for functions of scalars only."""
    cdef AbiCall call
    cdef PyObject *vector[INLINE_ARGUMENTS + 1]
    cdef Plan plan = self.plan
    cdef const AbiField *field = &plan.fields[plan.first_param]
    cdef PyObject *result = NULL
    cdef uint32_t i, made = 0
    cdef int64_t number
    if not owner.instances[self.instance].may_leave[0]:
        raise trap_text(c.TRAP_CANNOT_LEAVE_COMPONENT, "cannot leave component instance")
    for i in range(plan.num_params):
        vector[i + 1] = lift_scalar(<void *const *>plan.objects, &plan.nodes[field.node], <uint64_t>values[field.slot].i64)
        if vector[i + 1] == NULL:
            break
        made += 1
        field += 1
    if made == plan.num_params:
        if self.pass_store:
            vector[0] = <PyObject *>owner.store
            result = PyObject_Vectorcall(<PyObject *>self.function, vector, made + 1, NULL)
        else:
            # the slot before the arguments is the callee's to scribble on
            vector[0] = NULL
            result = PyObject_Vectorcall(<PyObject *>self.function, vector + 1, made | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL)
    for i in range(made):
        decref(vector[i + 1])
    if result == NULL:
        return -1
    if self.result_op == ABI_OP_S32 and is_long_exact(result) and abi_small_int(result, &number) and number == <int32_t>number:
        values[0].i64 = <int64_t><uint32_t>number
        decref(result)
        return 0
    call_init(&call, plan)
    try:
        return stage_result(plan, &call, result, values, 0, self.name)
    finally:
        decref(result)


cdef int run_import(LoweredImport self, ComponentInstance owner, c.ValRaw *values) except -1:
    """Lifts the arguments, calls, lowers the result into `values` or through the return pointer."""
    cdef RuntimeInstance *instance = &owner.instances[self.instance]
    cdef AbiCall call
    cdef Scope scope
    cdef PyObject *inline[INLINE_ARGUMENTS + 1]
    cdef PyObject **vector = inline
    cdef PyObject *result = NULL
    cdef Plan plan = self.plan
    cdef uint32_t i, return_pointer = 0, num_lifted = 0
    cdef bint committed = False
    if not instance.may_leave[0]:
        raise trap_text(c.TRAP_CANNOT_LEAVE_COMPONENT, "cannot leave component instance")
    call_init(&call, plan)
    call.encoding = self.encoding
    call.memory = NULL if self.memory == NO_SLOT else owner.memories[self.memory]
    if call.memory == NULL and self.memory != NO_SLOT:
        raise WasmError("an import was called before its memory was made")
    call.realloc_func = NULL if self.realloc == NO_SLOT else owner.reallocs[self.realloc]
    call.realloc_guest = REALLOC_HOOK
    scope_init(&scope, instance)
    if self.has_resources:
        set_hooks(&call, owner, &scope)
    else:
        call.instance = <void *>owner
        call.scope = &scope
    if plan.result_spills:
        return_pointer = <uint32_t>values[1 if plan.params_spill else plan.params_flat].i32
    if plan.num_params > INLINE_ARGUMENTS:
        vector = <PyObject **>malloc((<size_t>plan.num_params + 1) * sizeof(PyObject *))
        if vector == NULL:
            raise MemoryError
    try:
        lift_params(plan, &call, values, vector + 1)
        num_lifted = plan.num_params
        if self.pass_store:
            vector[0] = <PyObject *>owner.store
            result = PyObject_Vectorcall(<PyObject *>self.function, vector, num_lifted + 1, NULL)
        else:
            # the slot before the arguments is the callee's to scribble on
            vector[0] = NULL
            result = PyObject_Vectorcall(<PyObject *>self.function, vector + 1, num_lifted | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL)
        if result == NULL:
            return -1
        stage_result(plan, &call, result, values, return_pointer, self.name)
        if call.num_steps:
            commit(&call)
            committed = True
        return 0
    finally:
        scope_close(&scope)
        for i in range(num_lifted):
            decref(vector[i + 1])
        if vector != inline:
            free(vector)
        xdecref(result)
        if call.num_steps or call.chunks != NULL:
            finish(&call, committed)


# Called from machine code: what raises here leaves through guest frames, as the store's pending exception. The functions proper are `except -1`,
# which is the same as `noexcept` with -1 and an exception set.
ctypedef int (*ImportBody)(LoweredImport, ComponentInstance, c.ValRaw *) noexcept
ctypedef c.c_bool (*WithGil)(c.VMHostContext *, c.ValRaw *) noexcept nogil

cdef int reraise() except -1:
    return -1


cdef void leave_with_exception(Store store) noexcept:
    try:
        reraise()
    except BaseException as exception:
        store.set_pending(exception)


cdef c.c_bool import_with_gil(c.VMHostContext *context, c.ValRaw *values) noexcept:
    cdef ComponentInstance owner = <ComponentInstance>context.data2
    cdef ImportBody body = <ImportBody><void *>run_quick_import if (<LoweredImport>context.data).quick else <ImportBody><void *>run_import
    if (<LoweredImport>context.data).plan is None:
        body = <ImportBody><void *>run_first_import
    if body(<LoweredImport>context.data, owner, values) < 0:
        leave_with_exception(owner.store)
        return False
    return True


cdef c.c_bool import_call(c.VMContext *callee, c.VMContext *caller, c.ValRaw *values, size_t capacity) noexcept nogil:
    """The VMArrayCall of a lowered import."""
    cdef c.c_bool ok
    gil_acquire((<c.VMContextHeader *>callee).store)
    ok = (<WithGil><void *>import_with_gil)(<c.VMHostContext *>callee, values)
    return host_returns((<c.VMContextHeader *>callee).store, ok)


def lower_import(
    plan: object,
    function: object,
    *,
    pass_store: bool,
    instance: int,
    encoding: int = 0,
    memory: int | None = None,
    realloc: int | None = None,
    name: str = "",
) -> LoweredImport:
    """`canon lower` of a host function, for all instances: `function(*args)`, or `function(store, *args)`. Options are runtime slots.

    `plan`: a Plan, or what makes it, which is asked at the first call: of the functions that a component imports, a program mostly calls a few.
    """
    cdef LoweredImport self = LoweredImport.__new__(LoweredImport)
    self.function = function
    self.name = name
    self.memory = NO_SLOT if memory is None else memory
    self.native = native_of(function)
    if self.native is not None and not isinstance(plan, Plan):
        plan = plan()
    if isinstance(plan, Plan):
        take_plan(self, plan)
    else:
        self.make_plan = plan
    if self.native is not None:
        if self.native.raw != NULL:
            raise ArgumentTypeError(f"component imports function `{name}`, but a wasmrt_callback serves core modules only; a component calls functions of scalars")
        native_fits_plan(self.native, plan)
    self.pass_store = pass_store
    self.instance = instance
    self.encoding = encoding
    self.realloc = NO_SLOT if realloc is None else realloc
    return self


refuse_new(<PyTypeObject *>LoweredImport)
