# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True, embedsignature=True
"""The call path of components: exports called from Python, imports implemented in Python, resource intrinsics.

An export (`ComponentFunc`) is called through a real vectorcall slot. Arguments are staged into an array on the C stack before the store is entered;
then come the guest's reallocs, the call itself, lifting, post-return: in the canonical ABI's order, with its flags. Whatever goes wrong once the guest
has run poisons the component instance.

An import reaches `import_call` from machine code, with the GIL held or let go: arguments are lifted onto the C stack, the callable is called by
vectorcall, its result is checked and lowered by the caller's realloc. A Python exception stays in the store until the outermost guest frame is left.

Instantiation (`instantiate.pyx`) binds trampolines here, one `TrampolineRow` each, zeros where nothing is meant:
LOWER: a = runtime instance. RESOURCE_*: a = runtime instance, b = resource. TRANSCODER: a = row of transcode.def, b, c = memories.
TRANSFER_*: a = resource, b, c = runtime instances. ENTER_CALL, EXIT_CALL: b, c = runtime instances.

Calls between components do not come through here: adapters (wasmrt/translate/adapt.py) are core code, and only the intrinsics that they import are here.
None of those runs Python or takes the GIL, except to say what is wrong. The host enters a component instance as a whole: while one call from the host is
under way (`busy`), no other may begin in any of the components that it is made of, which is the specification's rule against reentrance.
"""

from cpython.object cimport PyObject
from cpython.type cimport PyType_Modified
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

cimport wasmrt._native.capi as c
cimport wasmrt._native.core as core
from wasmrt._native.abi cimport *
from wasmrt._native.core cimport (
    PyEval_SaveThread,
    Store,
    VMFuncRef,
    enter_store,
    gil_acquire,
    gil_host_returns,
    leave_store,
    trap_text,
    wr_enable_vectorcall,
    wrap_func_ref,
)
from wasmrt._native.externs cimport Func
from wasmrt._native.leaves cimport stage_scalar
from wasmrt._native.lift cimport lift_params, lift_result, lift_scalar, steal
from wasmrt._native.lower cimport commit, stage_params, stage_result
from wasmrt._native.native cimport NativeFunc, native_fits_plan, native_of
from wasmrt._native.options cimport GIL_RELEASE, RESULTS_PLAIN, SavedOptions, changed_options, options_begin, options_end
from wasmrt._native.pyapi cimport PyTypeObject, decref, dict_get, float_value, is_float_exact, is_long_exact, refuse_new, xdecref
from wasmrt._native.resources cimport *
from wasmrt._native.results cimport Borrow, ResultContext, open_borrow, seal_borrow, set_result_hooks, settle_borrows

from wasmrt.errors import ArgumentTypeError, WasmError

cdef extern from "Python.h":
    size_t PyVectorcall_NARGS(size_t nargsf) noexcept
    size_t PY_VECTORCALL_ARGUMENTS_OFFSET
    PyObject *PyObject_Vectorcall(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *kwnames) noexcept
    Py_ssize_t PyTuple_GET_SIZE(PyObject *value) noexcept
    PyObject *PyTuple_GET_ITEM(PyObject *value, Py_ssize_t index) noexcept
    object PyLong_FromLong(long value)
    object PyFloat_FromDouble(double value)

cdef extern from "abi_text.h" nogil:
    bint abi_small_int(PyObject *value, int64_t *out)

cdef enum:
    MAX_CORE_VALUES = 18     # flat parameters, a return pointer, one spare
    INLINE_ARGUMENTS = 18
    NO_SLOT = 0xFFFFFFFF
    NO_OP = 0xFF


# ---- exports ----------------------------------------------------------------------------------------------------------------------------------------

cdef object func_vectorcall(object callable, PyObject *const *args, size_t nargsf, PyObject *kwnames):
    cdef ComponentFunc self = <ComponentFunc>callable
    cdef size_t count = PyVectorcall_NARGS(nargsf)
    if kwnames == NULL:
        if count == self.plan.num_params + 1 and args[0] == <PyObject *>self.store:
            args += 1
            count -= 1
        if count == self.plan.num_params:
            return call_quick(self, args) if self.quick else call_export(self, args)
    return bind_arguments(self, args, count, kwnames)


cdef object call_quick(ComponentFunc self, PyObject *const *args):
    """`call_export` for functions of scalars only, without post-return and options."""
    cdef c.ValRaw values[MAX_CORE_VALUES]
    cdef c.WrEntry entry
    cdef ComponentInstance owner = self.owner
    cdef Store store = self.store
    cdef size_t i, count = self.plan.num_params
    cdef uint8_t op
    cdef int64_t number
    cdef double real
    cdef PyObject *value
    cdef AbiCall call
    cdef const AbiNode *node
    cdef PyObject *found
    cdef bint ok
    call.nodes = NULL
    for i in range(count):
        value = args[i]
        op = self.param_ops[i]
        if is_long_exact(value) and abi_small_int(value, &number):
            values[i].i64 = number
            if op == ABI_OP_S32:
                if number == <int32_t>number:
                    continue
            elif op == ABI_OP_U32:
                if number == <int64_t><uint32_t>number:
                    continue
            elif op == ABI_OP_S64:
                continue
        elif op == ABI_OP_F64 and is_float_exact(value):
            real = float_value(value)
            memcpy(&values[i], &real, 8)
            continue
        if call.nodes == NULL:
            call_init(&call, self.plan)
        node = &self.plan.nodes[self.plan.fields[self.plan.first_param + i].node]
        if stage_scalar(&call, node, value, <uint64_t *>&values[i]) < 0:
            raise_with_path(&call, f"argument '{self.plan.param_names[i]}'")
    enter_store(store, &entry)
    if owner.poisoned or owner.busy or owner.num_borrowed:
        if owner.num_borrowed:
            try:
                settle_borrows(owner)
            except BaseException:
                leave_store(store, &entry)
                raise
        if owner.poisoned or owner.busy:
            leave_store(store, &entry)
            raise trap_text(c.TRAP_CANNOT_ENTER_COMPONENT, "cannot enter component instance")
    owner.busy = True
    ok = self.func.array_call(self.func.vmctx, self.func.vmctx, values, MAX_CORE_VALUES)
    owner.busy = False
    if not ok:
        owner.poisoned = True
        gil_acquire(store.context)
        fail_call(store, &entry)
    leave_store(store, &entry)
    op = self.result_op
    if op == ABI_OP_S32:
        return PyLong_FromLong(values[0].i32)
    if op == ABI_OP_F64:
        memcpy(&real, &values[0], 8)
        return PyFloat_FromDouble(real)
    if op == NO_OP:
        return None
    if call.nodes == NULL:
        call_init(&call, self.plan)
    found = lift_scalar(&call, &self.plan.nodes[self.plan.result], <uint64_t>values[0].i64)
    if found == NULL:
        owner.poisoned = True
    return steal(found)


cdef int fail_call(Store store, c.WrEntry *entry) except -1:
    """Leaves the store and raises what made the array call return false."""
    try:
        store.raise_pending()
    finally:
        leave_store(store, entry)
    return -1


cdef bint is_quick_op(uint8_t op) noexcept:
    return op <= ABI_OP_CHAR or op == ABI_OP_ENUM or op == ABI_OP_FLAGS


cdef bint only_scalars(Plan plan, uint8_t *out_param_ops, uint8_t *out_result_op) noexcept:
    """Whether values of this type never touch memory; and their ops, NO_OP for no result."""
    cdef uint32_t i
    cdef uint8_t op
    out_result_op[0] = NO_OP
    if not plan.params_simple or plan.num_params > 16 or plan.result_spills:
        return False
    for i in range(plan.num_params):
        op = plan.nodes[plan.fields[plan.first_param + i].node].op
        if not is_quick_op(op):
            return False
        if out_param_ops != NULL:
            out_param_ops[i] = op
    if plan.result == ABI_NO_NODE:
        return True
    out_result_op[0] = plan.nodes[plan.result].op
    return is_quick_op(out_result_op[0])


cdef bint uses_resources(Plan plan) noexcept:
    return plan.params_flags & ABI_RESOURCES or (plan.result != ABI_NO_NODE and plan.nodes[plan.result].flags & ABI_RESOURCES)


cdef void find_quick(ComponentFunc self) noexcept:
    """Whether `call_quick` can run it."""
    self.quick = only_scalars(self.plan, self.param_ops, &self.result_op) and self.simple and self.options is None and self.post_return_func == NULL


cdef object bind_arguments(ComponentFunc self, PyObject *const *args, size_t count, PyObject *kwnames):
    """The slow path: a leading store, keyword arguments, wrong counts."""
    cdef size_t num_params = self.plan.num_params
    cdef size_t num_keywords = 0 if kwnames == NULL else <size_t>PyTuple_GET_SIZE(kwnames)
    cdef PyObject **vector
    cdef size_t i, index
    if count + num_keywords == num_params + 1 and count and isinstance(<object>args[0], Store):
        if <object>args[0] is not self.store:
            raise WasmError("the function belongs to another store")
        args += 1
        count -= 1
    if count + num_keywords != num_params and (num_keywords == 0 or count > num_params):
        raise ArgumentTypeError(f"wrong number of parameters provided: given {count + num_keywords}, expected {num_params}")
    if num_keywords == 0:
        return call_export(self, args)
    vector = <PyObject **>malloc((num_params + 1) * sizeof(PyObject *))
    if vector == NULL:
        raise MemoryError
    try:
        for i in range(num_params):
            vector[i] = args[i] if i < count else NULL
        for i in range(num_keywords):
            keyword = <object>PyTuple_GET_ITEM(kwnames, i)
            found = self.plan.param_lookup.get(keyword)
            if found is None:
                raise ArgumentTypeError(f"{self.name or 'the function'} has no parameter '{keyword}'")
            index = found
            if vector[index] != NULL:
                raise ArgumentTypeError(f"parameter '{keyword}' is given twice")
            vector[index] = args[count + i]
        for i in range(num_params):
            if vector[i] == NULL:
                raise ArgumentTypeError(f"parameter '{self.plan.param_names[i]}' is missing")
        return call_export(self, vector)
    finally:
        free(vector)


cdef object call_export(ComponentFunc self, PyObject *const *args):
    """Stage, enter, commit, call, lift, post-return, leave."""
    cdef AbiCall call
    cdef Scope scope
    cdef c.ValRaw values[MAX_CORE_VALUES]
    cdef c.WrEntry entry
    cdef SavedOptions saved
    cdef ResultContext context
    cdef Plan plan = self.plan
    cdef RuntimeInstance *instance = self.instance
    cdef ComponentInstance owner = self.owner
    cdef Store store = self.store
    cdef bint entered = False, running = False, committed = False, finished = False, ok
    cdef object result
    cdef Borrow borrow = None
    call_init(&call, plan)
    call.memory = self.memory
    call.encoding = self.encoding
    if not self.simple:
        scope.instance = instance
        if self.has_resources:
            scope_init(&scope, instance)
            set_hooks(&call, owner, &scope)
        else:
            call.instance = <void *>owner
            call.scope = &scope
        call.realloc_func = self.realloc
        call.realloc_guest = REALLOC_HOOK
    try:
        stage_params(plan, &call, args, values)
        enter_store(store, &entry)
        entered = True
        if owner.num_borrowed:
            settle_borrows(owner)
        if owner.poisoned or owner.busy:
            raise trap_text(c.TRAP_CANNOT_ENTER_COMPONENT, "cannot enter component instance")
        if self.options is not None:
            options_begin(self.options, store, &saved)
        running = True
        owner.busy = True
        if call.num_steps:
            if self.has_resources:
                scope.previous = instance.scopes
                instance.scopes = &scope
            commit(&call)
            committed = True
            if not self.has_resources:
                finish_committed(&call)
        if self.options is not None and self.options.gil == GIL_RELEASE:
            store.host.saved = PyEval_SaveThread()
        ok = self.func.array_call(self.func.vmctx, self.func.vmctx, values, MAX_CORE_VALUES)
        gil_acquire(store.context)
        if not ok:
            store.raise_pending()
        if self.options is not None and self.options.results != RESULTS_PLAIN:
            if self.options.borrowed:
                borrow = open_borrow(owner, instance, self.post_return_func, self.memory)
            set_result_hooks(&call, &context, self.options, borrow)
        result = lift_result(plan, &call, values)
        if self.post_return_func != NULL and borrow is None:
            instance.may_leave[0] = 0
            ok = self.post_return_func.array_call(self.post_return_func.vmctx, self.post_return_func.vmctx, values, MAX_CORE_VALUES)
            gil_acquire(store.context)
            if not ok:
                store.raise_pending()
            instance.may_leave[0] = 1
        if self.has_resources and scope.num_borrows:
            raise trap_text(c.TRAP_HANDLE, "borrow handles still remain at the end of the call")
        if borrow is not None:
            seal_borrow(borrow, values)
        finished = True
        return result
    finally:
        if running:
            if self.has_resources and instance.scopes == &scope:
                instance.scopes = scope.previous
            owner.busy = False
            if not finished:
                owner.poisoned = True
            if self.options is not None:
                options_end(store, &saved)
        if entered:
            leave_store(store, &entry)
        if call.num_steps or call.chunks != NULL:
            finish(&call, committed)


cdef int realloc_hook(AbiCall *call, uint32_t align, uint64_t size, uint64_t *out_address) except -1:
    """Calls the guest's realloc; during it the instance may not leave."""
    cdef ComponentInstance owner = <ComponentInstance>call.instance
    cdef RuntimeInstance *instance = (<Scope *>call.scope).instance
    cdef c.VMFuncRef *func = <c.VMFuncRef *>call.realloc_func
    cdef c.ValRaw values[4]
    cdef bint ok
    if func == NULL:
        raise WasmError("the function allocates but has no `realloc` option")
    values[0].i64 = 0
    values[1].i64 = 0
    values[2].i64 = align
    values[3].i64 = <int64_t>size
    instance.may_leave[0] = 0
    ok = func.array_call(func.vmctx, func.vmctx, values, 4)
    gil_acquire(owner.store.context)
    instance.may_leave[0] = 1
    if not ok:
        owner.store.raise_pending()
    out_address[0] = <uint32_t>values[0].i32
    return 0


ctypedef int (*ReallocHook)(AbiCall *, uint32_t, uint64_t, uint64_t *) noexcept
cdef ReallocHook REALLOC_HOOK = <ReallocHook><void *>realloc_hook


cdef class ComponentFunc:
    """An exported function of a component: `func(*args)`, `func(store, *args)`, or with WIT parameter names as keywords.

    Arguments are checked before guest code runs. Raises ArgumentTypeError, ArgumentValueError, ArgumentOverflowError, MissingFieldError with the path of
    what is wrong; Trap; or what a host function raised. After a Trap or such an exception the instance cannot be entered again.
    """

    def __cinit__(self) -> None:
        self.vectorcall = func_vectorcall

    def __call__(self, *args: object, **kwargs: object) -> object:
        """Replaced by the vectorcall slot; here for what looks for the method."""
        raise AssertionError("unreachable")

    def type(self, store: object = None) -> object:
        """The FuncType, its resources being ResourceType."""
        if self.public_type is None:
            self.public_type = self.owner.func_type(self.plan.type, self.name)
        return self.public_type

    def with_options(self, *, gil: object = ..., results: object = ..., copy: object = ..., timeout: object = ...) -> ComponentFunc:
        """The same function, called with other options; what is not given stays as it is. Functions are immutable: this makes another one.

        * `gil`: None lets go of the GIL after about a millisecond in guest code, "hold" never does, "release" lets go of it for the whole call.
        * `results`: lists of numbers and bools as None (bytes for list<u8>, else lists), "memoryview", "array" (array.array) or "numpy".
        * `copy=False`: views on guest memory instead, read-only. While one is open, entering the instance raises WasmError; releasing it (`release()`,
          or when it is collected) lets the guest take its memory back at the store's next entry.
        * `timeout`: seconds after which guest code is interrupted with a Trap (TrapCode.INTERRUPT); None for no limit.

        Raises ArgumentValueError and ArgumentTypeError for what these cannot be. Config has the same names for the defaults.

        >>> with func.with_options(results="memoryview", copy=False)(data) as view:
        ...     out.write(view)
        """
        cdef ComponentFunc other = ComponentFunc.__new__(ComponentFunc)
        other.func, other.realloc, other.post_return_func = self.func, self.realloc, self.post_return_func
        other.memory, other.instance, other.encoding = self.memory, self.instance, self.encoding
        other.has_resources, other.simple = self.has_resources, self.simple
        other.plan, other.store, other.owner, other.name, other.public_type = self.plan, self.store, self.owner, self.name, self.public_type
        other.options = changed_options(self.options, gil, results, copy, timeout)
        find_quick(other)
        return other

    def post_return(self, store: object = None) -> None:
        """Nothing to do: it ran at the end of the call."""

    @property
    def func_ref(self) -> VMFuncRef:
        """The core function reference that calls go through."""
        return wrap_func_ref(self.func, self)

    @property
    def __name__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"<wasmrt.component.Func {self.name}: {self.type()}>"


class _OfInstance:
    """An attribute that functions have each for itself, and their class in its own way, or not at all."""

    def __init__(self, of_class: object, of_func: object) -> None:
        self.of_class = of_class
        self.of_func = of_func

    def __get__(self, func: object, cls: object = None) -> object:
        if func is not None:
            return self.of_func(func)
        if self.of_class is None:
            raise AttributeError
        return self.of_class


cdef int describe_functions() except -1:
    """`help(func)` shows its WIT, `help(Func)` the class: no property can do both, for it would hide the class's own docstring."""
    attributes = <dict><object>(<PyTypeObject *>ComponentFunc).tp_dict
    attributes["__doc__"] = _OfInstance(ComponentFunc.__doc__, lambda func: func.type().documentation)
    attributes["__signature__"] = _OfInstance(None, lambda func: func.type().signature)
    PyType_Modified(ComponentFunc)
    return 0


describe_functions()


cdef int enable_vectorcall() except -1:
    cdef ComponentFunc probe = ComponentFunc.__new__(ComponentFunc)
    wr_enable_vectorcall(<core.PyTypeObject *>ComponentFunc, <char *>&probe.vectorcall - <char *><PyObject *>probe)
    return 0


enable_vectorcall()
refuse_new(<PyTypeObject *>ComponentFunc)
refuse_new(<PyTypeObject *>LoweredImport)


def lift_func(
    ComponentInstance state,
    Func func,
    Plan plan,
    *,
    instance: int,
    encoding: int = 0,
    memory: int | None = None,
    realloc: int | None = None,
    post_return: int | None = None,
    name: str = "",
) -> ComponentFunc:
    """`canon lift`: the Python callable of a core function, with its options as runtime slots."""
    cdef ComponentFunc self = ComponentFunc.__new__(ComponentFunc)
    assert 0 <= instance < state.num_instances and func.store is state.store
    self.store = state.store
    self.owner = state
    self.plan = plan
    self.func = func.c_func
    self.instance = &state.instances[<size_t>instance]
    self.encoding = encoding
    self.name = name
    if memory is not None:
        self.memory = state.memories[<size_t>memory]
    if realloc is not None:
        self.realloc = state.reallocs[<size_t>realloc]
    if post_return is not None:
        self.post_return_func = state.post_returns[<size_t>post_return]
    self.has_resources = uses_resources(plan)
    self.simple = plan.params_simple and not self.has_resources
    if self.memory == NULL and needs_memory(plan):
        raise WasmError(f"{name or 'a function'} needs the `memory` option")
    self.options = state.store.call_options
    find_quick(self)
    return self


cdef bint needs_memory(Plan plan) noexcept:
    if plan.params_spill or plan.result_spills or plan.params_flags & ABI_ALLOCATES:
        return True
    return plan.result != ABI_NO_NODE and plan.nodes[plan.result].flags & ABI_ALLOCATES


def check_values(ComponentInstance state, Plan plan, args: tuple, result: object = None, *, of_result: bool = False) -> None:
    """Whether the arguments (or, `of_result`, the result) of a function that no guest implements could be passed; raises as a call would."""
    cdef AbiCall call
    cdef Scope scope
    cdef c.ValRaw values[MAX_CORE_VALUES]
    cdef PyObject **vector
    cdef size_t i, count = plan.num_params
    state.store.ensure_open()
    assert of_result or <size_t>len(args) == count
    call_init(&call, plan)
    scope_init(&scope, &state.instances[0])
    set_hooks(&call, state, &scope)
    vector = <PyObject **>malloc((count + 1) * sizeof(PyObject *))
    if vector == NULL:
        raise MemoryError
    try:
        if of_result:
            stage_result(plan, &call, <PyObject *>result, values, 0, "")
        else:
            for i in range(count):
                vector[i] = PyTuple_GET_ITEM(<PyObject *>args, <Py_ssize_t>i)
            stage_params(plan, &call, vector, values)
    finally:
        free(vector)
        if call.num_steps or call.chunks != NULL:
            finish(&call, False)


# ---- looking functions up ---------------------------------------------------------------------------------------------------------------------------

cdef class FuncLookup:
    """Base of component instances: `get_func`, which keeps what it found by name. Subclasses have `store` and `_find_func(args)`."""

    def get_func(self, first: object, second: object = None) -> object:
        """`get_func([store,] name_or_index)`: the function, or None when there is none."""
        cdef PyObject *found
        key = first if second is None else second
        if self.found is not None and type(key) is str and (second is None or first is self.found_store):
            found = dict_get(<PyObject *>self.found, <PyObject *>key)
            if found != NULL:
                return <object>found
        func = self._find_func((first,) if second is None else (first, second))
        if func is not None and type(key) is str:
            if self.found is None:
                self.found = {}
                self.found_store = self.store
            self.found[key] = func
        return func


# ---- imports ----------------------------------------------------------------------------------------------------------------------------------------

cdef class LoweredImport:
    """What the host contexts of a lowered import point at, in every instance of an InstancePre; made by `lower_import`."""


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
    call_init(&call, plan)
    for i in range(plan.num_params):
        vector[i + 1] = lift_scalar(&call, &plan.nodes[field.node], <uint64_t>values[field.slot].i64)
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
ctypedef int (*ResourceBody)(c.VMHostContext *, c.ValRaw *) noexcept
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
    if body(<LoweredImport>context.data, owner, values) < 0:
        leave_with_exception(owner.store)
        return False
    return True


cdef c.c_bool import_call(c.VMContext *callee, c.VMContext *caller, c.ValRaw *values, size_t capacity) noexcept nogil:
    """The VMArrayCall of a lowered import."""
    cdef c.c_bool ok
    gil_acquire((<c.VMContextHeader *>callee).store)
    ok = (<WithGil><void *>import_with_gil)(<c.VMHostContext *>callee, values)
    gil_host_returns((<c.VMContextHeader *>callee).store)
    return ok


# ---- resource intrinsics ----------------------------------------------------------------------------------------------------------------------------

cdef int resource_new(c.VMHostContext *context, c.ValRaw *values) except -1:
    cdef ComponentInstance owner = <ComponentInstance>context.data
    cdef RuntimeInstance *instance = <RuntimeInstance *>context.data2
    cdef ResourceType ty = resource_at(owner, context.index)
    if not instance.may_leave[0]:
        raise trap_text(c.TRAP_CANNOT_LEAVE_COMPONENT, "cannot leave component instance")
    values[0].i64 = add_handle(instance, c.WR_HANDLE_OWN, ty.id, <uint32_t>values[0].i32, 0)
    return 0


cdef int resource_rep(c.VMHostContext *context, c.ValRaw *values) except -1:
    cdef ComponentInstance owner = <ComponentInstance>context.data
    cdef ResourceType ty = resource_at(owner, context.index)
    values[0].i64 = <int64_t>find_handle(<RuntimeInstance *>context.data2, <uint32_t>values[0].i32, ty).rep
    return 0


cdef int resource_drop(c.VMHostContext *context, c.ValRaw *values) except -1:
    cdef ComponentInstance owner = <ComponentInstance>context.data
    cdef RuntimeInstance *instance = <RuntimeInstance *>context.data2
    cdef ResourceType ty = resource_at(owner, context.index)
    cdef uint32_t index = <uint32_t>values[0].i32
    cdef c.WrHandle handle
    cdef Scope *scope
    if not instance.may_leave[0]:
        raise trap_text(c.TRAP_CANNOT_LEAVE_COMPONENT, "cannot leave component instance")
    handle = find_handle(instance, index, ty)[0]
    if handle.num_lends:
        raise trap_text(c.TRAP_HANDLE, "cannot remove owned resource while borrowed")
    c.wr_handles_remove(instance.handles, index)
    if handle.kind == c.WR_HANDLE_BORROW:
        scope = instance.scopes
        while scope != NULL:
            if <uint64_t>scope == handle.scope:
                scope.num_borrows -= 1
                break
            scope = scope.previous
        return 0
    if ty.is_host:
        drop_host(owner, ty, handle.rep, owner.dtors[context.index])
    elif ty.dtor != NULL:
        drop_guest(owner, ty, handle.rep)
    return 0


cdef int drop_host(ComponentInstance owner, ResourceType ty, uint64_t rep, object dtor) except -1:
    """A guest dropped an owned handle of the host's type: `dtor(store, rep)`, else the object's close()."""
    cdef object value = take_object(owner, rep) if ty.is_class else rep
    if dtor is not None:
        dtor(owner.store, value)
    elif ty.is_class:
        close = getattr(value, "close", None)
        if close is not None:
            close()
    return 0


cdef int drop_guest(ComponentInstance owner, ResourceType ty, uint64_t rep) except -1:
    """The destructor, in the instance that defines the type; that of another component is entered for it, and may be busy."""
    cdef c.ValRaw values[2]
    cdef bint ok, foreign = ty.instance is not owner
    if foreign:
        if ty.instance.poisoned or ty.instance.busy or ty.instance.num_borrowed:
            raise trap_text(c.TRAP_CANNOT_ENTER_COMPONENT, "cannot enter component instance")
        ty.instance.busy = True
    values[0].i64 = <int64_t><uint32_t>rep
    ok = ty.dtor.array_call(ty.dtor.vmctx, ty.dtor.vmctx, values, 2)
    gil_acquire(owner.store.context)
    if foreign:
        ty.instance.busy = False
    if not ok:
        ty.instance.poisoned = True
        owner.store.raise_pending()
    return 0


cdef c.c_bool resource_with_gil(ResourceBody body, c.VMHostContext *context, c.ValRaw *values) noexcept:
    if body(context, values) < 0:
        leave_with_exception((<ComponentInstance>context.data).store)
        return False
    return True


cdef c.c_bool new_with_gil(c.VMHostContext *context, c.ValRaw *values) noexcept:
    return resource_with_gil(<ResourceBody><void *>resource_new, context, values)


cdef c.c_bool rep_with_gil(c.VMHostContext *context, c.ValRaw *values) noexcept:
    return resource_with_gil(<ResourceBody><void *>resource_rep, context, values)


cdef c.c_bool drop_with_gil(c.VMHostContext *context, c.ValRaw *values) noexcept:
    return resource_with_gil(<ResourceBody><void *>resource_drop, context, values)


cdef c.c_bool new_call(c.VMContext *callee, c.VMContext *caller, c.ValRaw *values, size_t capacity) noexcept nogil:
    gil_acquire((<c.VMContextHeader *>callee).store)
    return (<WithGil><void *>new_with_gil)(<c.VMHostContext *>callee, values)


cdef c.c_bool rep_call(c.VMContext *callee, c.VMContext *caller, c.ValRaw *values, size_t capacity) noexcept nogil:
    gil_acquire((<c.VMContextHeader *>callee).store)
    return (<WithGil><void *>rep_with_gil)(<c.VMHostContext *>callee, values)


cdef c.c_bool drop_call(c.VMContext *callee, c.VMContext *caller, c.ValRaw *values, size_t capacity) noexcept nogil:
    gil_acquire((<c.VMContextHeader *>callee).store)
    return (<WithGil><void *>drop_with_gil)(<c.VMHostContext *>callee, values)


# ---- resources in calls between components ----------------------------------------------------------------------------------------------------------

cdef int transfer_error(c.VMHostContext *context, c.ValRaw *values) except -1:
    """Says why a handle could not be passed."""
    cdef ComponentInstance owner = <ComponentInstance>context.data
    cdef Transfer *transfer = <Transfer *>context.data2
    cdef uint32_t index = <uint32_t>values[0].i32
    cdef c.WrHandle *handle
    if transfer.resource == NULL:
        raise trap_text(c.TRAP_HANDLE, "borrow handles still remain at the end of the call")
    handle = find_handle(transfer.src, index, resource_at(owner, context.index))
    if handle.num_lends:
        raise trap_text(c.TRAP_HANDLE, "cannot remove owned resource while borrowed")
    if handle.kind != c.WR_HANDLE_OWN:
        raise trap_text(c.TRAP_HANDLE, f"cannot lift own resource from a borrow, handle index {index}")
    raise MemoryError


cdef c.c_bool transfer_error_with_gil(c.VMHostContext *context, c.ValRaw *values) noexcept:
    return resource_with_gil(<ResourceBody><void *>transfer_error, context, values)


cdef c.c_bool transfer_failed(c.VMHostContext *context, c.ValRaw *values) noexcept nogil:
    gil_acquire(context.header.store)
    return (<WithGil><void *>transfer_error_with_gil)(context, values)


cdef c.c_bool table_full_with_gil(c.VMHostContext *context, c.ValRaw *values) noexcept:
    return resource_with_gil(<ResourceBody><void *>table_full, context, values)


cdef int table_full(c.VMHostContext *context, c.ValRaw *values) except -1:
    raise trap_text(c.TRAP_HANDLE, "resource table has no free keys")


cdef c.c_bool add_failed(c.VMHostContext *context, c.ValRaw *values) noexcept nogil:
    gil_acquire(context.header.store)
    return (<WithGil><void *>table_full_with_gil)(context, values)


cdef c.c_bool transfer_own_call(c.VMContext *callee, c.VMContext *caller, c.ValRaw *values, size_t capacity) noexcept nogil:
    """Moves a row from one table to the other. (i32) -> (i32)"""
    cdef c.VMHostContext *context = <c.VMHostContext *>callee
    cdef Transfer *transfer = <Transfer *>context.data2
    cdef uint32_t index = <uint32_t>values[0].i32
    cdef c.WrHandle *found = c.wr_handles_get(transfer.src.handles, index)
    cdef c.WrHandle moved
    if found == NULL or found.resource_type != transfer.resource.id or found.num_lends or found.kind != c.WR_HANDLE_OWN:
        return transfer_failed(context, values)
    moved = found[0]
    c.wr_handles_remove(transfer.src.handles, index)
    index = c.wr_handles_add(transfer.dst.handles, &moved)
    if index == 0:
        return add_failed(context, values)
    values[0].i64 = index
    return True


cdef c.c_bool transfer_borrow_call(c.VMContext *callee, c.VMContext *caller, c.ValRaw *values, size_t capacity) noexcept nogil:
    """Lends a row for the call whose scope is the innermost. (i32) -> (i32)"""
    cdef c.VMHostContext *context = <c.VMHostContext *>callee
    cdef Transfer *transfer = <Transfer *>context.data2
    cdef uint32_t index = <uint32_t>values[0].i32
    cdef c.WrHandle *found = c.wr_handles_get(transfer.src.handles, index)
    cdef c.WrHandle lent
    cdef Scope *scope = transfer.dst.scopes
    if found == NULL or found.resource_type != transfer.resource.id or reserve_lend(scope) < 0:
        return transfer_failed(context, values)
    scope.lends[scope.num_lends] = index
    scope.num_lends += 1
    found.num_lends += 1
    if transfer.resource.definer == transfer.dst:
        values[0].i64 = <int64_t><uint32_t>found.rep  # who defines the type gets what it knows it by
        return True
    lent = found[0]
    lent.kind = c.WR_HANDLE_BORROW
    lent.num_lends = 0
    lent.scope = <uint64_t>scope
    index = c.wr_handles_add(transfer.dst.handles, &lent)
    if index == 0:
        return add_failed(context, values)
    scope.num_borrows += 1
    values[0].i64 = index
    return True


cdef c.c_bool enter_call_call(c.VMContext *callee, c.VMContext *caller, c.ValRaw *values, size_t capacity) noexcept nogil:
    """Opens the callee's scope for a call that lends. () -> ()"""
    cdef c.VMHostContext *context = <c.VMHostContext *>callee
    cdef Transfer *transfer = <Transfer *>context.data2
    cdef OpenScopes *scopes = transfer.scopes
    cdef Scope *scope = scopes.spare
    if scope == NULL:
        scope = <Scope *>malloc(sizeof(Scope))
        if scope == NULL:
            c.wr_store_trap(<c.WrStore *>context.header.store, c.TRAP_ALLOCATION_TOO_LARGE)
            return False
    else:
        scopes.spare = scope.outer
    scope_init(scope, transfer.src)
    scope.outer = scopes.opened
    scopes.opened = scope
    scope.previous = transfer.dst.scopes
    transfer.dst.scopes = scope
    return True


cdef c.c_bool exit_call_call(c.VMContext *callee, c.VMContext *caller, c.ValRaw *values, size_t capacity) noexcept nogil:
    """Closes it. () -> ()"""
    cdef c.VMHostContext *context = <c.VMHostContext *>callee
    cdef Transfer *transfer = <Transfer *>context.data2
    cdef OpenScopes *scopes = transfer.scopes
    cdef Scope *scope = scopes.opened
    if scope.num_borrows:
        return transfer_failed(context, values)
    end_loans(scope)
    scope.lends = scope.first_lends
    transfer.dst.scopes = scope.previous
    scopes.opened = scope.outer
    scope.outer = scopes.spare
    scopes.spare = scope
    return True


# ---- trampolines ------------------------------------------------------------------------------------------------------------------------------------

cdef int bind_trampoline(ComponentInstance state, const TrampolineRow *row, size_t index, c.WrHostFunc *out) except -1:
    """What the host context of a trampoline holds in this instance. `instantiate.Program` has checked the row's indices."""
    cdef NativeFunc native
    cdef Transfer *transfer
    out.type_id = row.type_id
    out.magic = c.WR_VMCTX_MAGIC_COMPONENT
    out.wasm_call = row.wasm_call
    out.data = <void *>state
    out.data2 = NULL
    out.index = 0
    if row.kind == LOWER:
        out.call = import_call
        out.data = row.lowered
        out.data2 = <void *>state
        native = (<LoweredImport>row.lowered).native
        if native is not None:
            out.call = c.wr_native_call(&native.c_native)
            out.data = &native.c_native
            out.data2 = &state.instances[row.a].may_leave
    elif row.kind <= RESOURCE_DROP:
        out.call = new_call if row.kind == RESOURCE_NEW else rep_call if row.kind == RESOURCE_REP else drop_call
        out.data2 = &state.instances[row.a]
        out.index = row.b
    elif row.kind == ADAPTER_TRAP:
        out.call = c.wr_adapter_trap
    elif row.kind == TRANSCODER:
        out.call = c.wr_adapter_transcode
        out.data = &state.memories[row.b]
        out.data2 = &state.memories[row.c]
        out.index = row.a
    else:
        transfer = &state.transfers[index]
        transfer.src = &state.instances[row.b]
        transfer.dst = &state.instances[row.c]
        transfer.scopes = &state.scopes
        out.data2 = transfer
        if row.kind == TRANSFER_OWN or row.kind == TRANSFER_BORROW:
            transfer.resource = &state.rows[row.a]
            out.index = row.a
            out.call = transfer_own_call if row.kind == TRANSFER_OWN else transfer_borrow_call
        else:
            out.call = enter_call_call if row.kind == ENTER_CALL else exit_call_call
    return 0


def lower_import(
    plan: Plan,
    function: object,
    *,
    pass_store: bool,
    instance: int,
    encoding: int = 0,
    memory: int | None = None,
    realloc: int | None = None,
    name: str = "",
) -> LoweredImport:
    """`canon lower` of a host function, for all instances: `function(*args)`, or `function(store, *args)`. Options are runtime slots."""
    cdef LoweredImport self = LoweredImport.__new__(LoweredImport)
    if memory is None and needs_memory(plan):
        raise WasmError(f"{name or 'an import'} needs the `memory` option")
    self.plan = plan
    self.function = function
    self.has_resources = uses_resources(plan)
    self.quick = only_scalars(plan, NULL, &self.result_op)
    self.native = native_of(function)
    if self.native is not None:
        if self.native.raw != NULL:
            raise ArgumentTypeError(f"component imports function `{name}`, but a wasmrt_callback serves core modules only; a component calls functions of scalars")
        native_fits_plan(self.native, plan)
    self.pass_store = pass_store
    self.instance = instance
    self.encoding = encoding
    self.memory = NO_SLOT if memory is None else memory
    self.realloc = NO_SLOT if realloc is None else realloc
    self.name = name
    return self
