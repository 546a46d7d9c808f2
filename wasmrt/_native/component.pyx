# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True, embedsignature=True
"""Exports of components called from Python.

An export (`ComponentFunc`) is called through a real vectorcall slot. Arguments are staged into an array on the C stack before the store is entered;
then come the guest's reallocs, the call itself, lifting, post-return: in the canonical ABI's order, with its flags. Whatever goes wrong once the guest
has run poisons the component instance.

The host enters a component instance as a whole: while one call from the host is under way (`busy`), no other may begin in any of the components that it
is made of, which is the specification's rule against reentrance. Imports are in imports.pyx, what adapters call in intrinsics.pyx.
"""

from cpython.object cimport PyObject
from cpython.type cimport PyType_Modified
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc

cimport wasmrt._native.capi as c
from wasmrt._native.abi cimport *
from wasmrt._native.core cimport (
    PyEval_SaveThread,
    Store,
    VMFuncRef,
    enter_store,
    gil_acquire,
    leave_store,
    trap_text,
    wrap_func_ref,
)
from wasmrt._native.funcs cimport Func
from wasmrt._native.imports cimport NO_OP, REALLOC_HOOK, is_quick_op, needs_memory, uses_resources
from wasmrt._native.lift cimport LIFT_PARTS, lift_rest_of_all, lift_result
from wasmrt._native.lower cimport commit, refuse_address, stage_params, stage_result
from wasmrt._native.options cimport GIL_RELEASE, RESULTS_PLAIN, SavedOptions, changed_options, only_releases, options_begin, options_end
from wasmrt._native.pyapi cimport PyTypeObject, dict_get, incref, refuse_new, type_of
from wasmrt._native.quick cimport (
    QUICK_BORROW,
    QUICK_F64,
    QUICK_I64,
    QUICK_NONE,
    QUICK_OTHER,
    QUICK_PARAMS,
    QUICK_PLAIN,
    QUICK_S32,
    QUICK_U32,
    plain_call_init,
    plain_vectorcall,
    plain_vectorcall_lending,
    plain_vectorcall_released,
    plain_vectorcall_scalars,
    plain_vectorcall_values,
    quick_enable,
    quick_vectorcall,
    vectorcallfunc,
)
from wasmrt._native.resources cimport *
from wasmrt._native.results cimport Borrow, ResultContext, open_borrow, seal_borrow, set_result_hooks, settle_borrows

from pickle import PicklingError

from wasmrt._native.abi import Record  # a Python class: not in the pxd
from wasmrt.errors import ArgumentTypeError, WasmError

cdef extern from "Python.h":
    size_t PyVectorcall_NARGS(size_t nargsf) noexcept
    Py_ssize_t PyTuple_GET_SIZE(PyObject *value) noexcept
    PyObject *PyTuple_GET_ITEM(PyObject *value, Py_ssize_t index) noexcept

cdef enum:
    MAX_CORE_VALUES = 18     # flat parameters, a return pointer, one spare


# ---- exports ----------------------------------------------------------------------------------------------------------------------------------------

cdef object func_vectorcall(object callable, PyObject *const *args, size_t nargsf, PyObject *kwnames):
    """What quick.h leaves, and the slot of functions that are not quick."""
    cdef ComponentFunc self = <ComponentFunc>callable
    cdef size_t count = PyVectorcall_NARGS(nargsf)
    if kwnames == NULL:
        if count == self.plan.num_params + 1 and args[0] == <PyObject *>self.store:
            args += 1
            count -= 1
        if count == self.plan.num_params:
            return call_export(self, args)
    return bind_arguments(self, args, count, kwnames)


cdef int quick_lend(ComponentFunc self, uint32_t index, PyObject *value, c.ValRaw *out) noexcept:
    """A handle of a resource that the callee's instance defines: who defines the type gets what it knows it by."""
    cdef ResourceAny handle
    cdef uint64_t wanted = self.owner.rows[self.plan.nodes[self.plan.fields[self.plan.first_param + index].node].length].id
    if type_of(value) != <PyTypeObject *>ResourceAny:
        return 0
    handle = <ResourceAny>value
    if handle.type.id != wanted or handle.store is not self.store or handle.state > BORROWED or handle.state == STAGED:
        return 0
    handle.num_lends += 1
    out.i64 = <int64_t><uint32_t>handle.rep
    return 1


cdef void quick_unlend(PyObject *value) noexcept:
    (<ResourceAny>value).num_lends -= 1


cdef PyObject *quick_lift(ComponentFunc self, const c.ValRaw *value) except NULL:
    """An owned handle."""
    cdef PyObject *found = (<LiftOwn><void *>lift_own)(self.owner, self.instance, self.plain.result.length, <uint32_t>value.i32)
    if found == NULL:
        self.owner.gate.poisoned = True
    return found


# `except NULL` is the same as `noexcept` with NULL and an exception set
ctypedef PyObject *(*LiftOwn)(ComponentInstance, RuntimeInstance *, uint64_t, uint32_t) noexcept


cdef int quick_settle(ComponentFunc self, c.WrEntry *entry, bint failed) except -1:
    return settle(self.store, self.owner, entry, failed)


cdef bint is_quick(ComponentFunc self, uint8_t *out_ops, uint8_t *out_result_op) noexcept:
    """Whether values are scalars, handles that the callee's instance gets by its own rep, or an owned result."""
    cdef Plan plan = self.plan
    cdef const AbiNode *node
    cdef uint32_t i
    if not plan.params_simple and not plan.params_flags & ABI_RESOURCES:
        return False
    if plan.num_params > QUICK_PARAMS or plan.params_spill or plan.result_spills:
        return False
    for i in range(plan.num_params):
        node = &plan.nodes[plan.fields[plan.first_param + i].node]
        out_ops[i] = node.op
        if not is_quick_op(node.op) and (node.op != ABI_OP_BORROW or self.owner.rows[node.length].definer != self.instance):
            return False
    out_result_op[0] = NO_OP if plan.result == ABI_NO_NODE else plan.nodes[plan.result].op
    return out_result_op[0] == NO_OP or out_result_op[0] == ABI_OP_OWN or is_quick_op(out_result_op[0])


cdef uint8_t quick_kind(uint8_t op) noexcept:
    if op == ABI_OP_S32:
        return QUICK_S32
    if op == ABI_OP_U32:
        return QUICK_U32
    if op == ABI_OP_S64:
        return QUICK_I64
    if op == ABI_OP_F64:
        return QUICK_F64
    if op == ABI_OP_BORROW:
        return QUICK_BORROW
    if op == NO_OP:
        return QUICK_NONE
    return QUICK_PLAIN if is_quick_op(op) else QUICK_OTHER


cdef void find_quick(ComponentFunc self) noexcept:
    """Fills in `quick`: functions of scalars and handles, without post-return and options, are called by quick.h, others by plain_call.h if they can."""
    cdef uint8_t[16] ops
    cdef uint8_t result_op
    cdef uint32_t i
    cdef bint has_loans = False, only_numbers
    cdef Plan plan = self.plan
    self.quick.slow = <vectorcallfunc><void *>func_vectorcall
    self.quick.vectorcall = self.quick.slow
    if self.options is not None and not only_releases(self.options):
        return
    self.quick.store_object = <PyObject *>self.store
    self.quick.host = &self.store.host
    self.quick.store = self.store.c_store
    self.quick.func = self.func
    self.quick.gate = &self.owner.gate
    self.quick.num_params = plan.num_params
    self.quick.settle = <int (*)(PyObject *, c.WrEntry *, int) noexcept><void *>quick_settle
    self.quick.plain = &self.plain
    self.plain.plan = <PyObject *>plan
    self.plain.nodes, self.plain.fields, self.plain.objects = plan.nodes, plan.fields, <void *const *>plan.objects
    self.plain.params = plan.fields + plan.first_param
    self.plain.result = NULL if plan.result == ABI_NO_NODE else &plan.nodes[plan.result]
    self.plain.result_spills = plan.result_spills
    if self.post_return_func != NULL or not is_quick(self, ops, &result_op):
        find_plain(self)
        return
    for i in range(plan.num_params):
        self.quick.params[i] = quick_kind(ops[i])
        has_loans = has_loans or ops[i] == ABI_OP_BORROW
    self.quick.result = quick_kind(result_op)
    only_numbers = self.quick.result != QUICK_PLAIN
    for i in range(plan.num_params):
        only_numbers = only_numbers and self.quick.params[i] < QUICK_PLAIN
    self.quick.lift = <PyObject *(*)(PyObject *, const c.ValRaw *) noexcept><void *>quick_lift
    self.quick.lend = <int (*)(PyObject *, uint32_t, PyObject *, c.ValRaw *) noexcept><void *>quick_lend
    self.quick.unlend = quick_unlend
    if self.options is not None:
        self.quick.vectorcall = plain_vectorcall_released
    elif only_numbers:
        self.quick.vectorcall = quick_vectorcall
    else:
        self.quick.vectorcall = plain_vectorcall_lending if has_loans else plain_vectorcall_scalars


cdef PyObject *plain_lift(Plan plan, AbiCall *call, const c.ValRaw *values) except NULL:
    result = lift_result(plan, call, values)
    incref(<PyObject *>result)
    return <PyObject *>result


cdef bint is_of_scalars(Plan plan, const AbiNode *node) noexcept:
    """Whether a value is a record, tuple or variant of scalars that are lifted without a collection (plain_call.h)."""
    cdef uint32_t i, part
    if is_quick_op(node.op):
        return True
    if node.op == ABI_OP_RECORD or node.op == ABI_OP_TUPLE:
        if node.count > LIFT_PARTS:
            return False
    elif node.op != ABI_OP_OPTION and node.op != ABI_OP_BARE and node.op != ABI_OP_VARIANT:
        return False
    for i in range(node.count):
        part = plan.fields[node.first + i].node
        if part != ABI_NO_NODE and (plan.nodes[part].op == ABI_OP_FLAGS or not is_quick_op(plan.nodes[part].op)):
            return False
    return True


cdef void find_plain(ComponentFunc self) noexcept:
    """Goes on with `plain`: functions without resources and options, whose parameters are flat, and may be plain values."""
    cdef Plan plan = self.plan
    cdef uint32_t i
    cdef uint8_t op
    if self.options is not None or self.has_resources or plan.params_spill or plan.num_params > QUICK_PARAMS:
        return
    for i in range(plan.num_params):
        op = plan.nodes[plan.fields[plan.first_param + i].node].op
        if op == ABI_OP_LIST or op == ABI_OP_FIXED_LIST or op == ABI_OP_MAP:
            return  # never plain
    op = NO_OP if plan.result == ABI_NO_NODE else plan.nodes[plan.result].op
    self.quick.result = QUICK_OTHER if plan.result_spills else quick_kind(op)
    self.quick.vectorcall = plain_vectorcall
    if self.post_return_func == NULL and plan.params_simple and (op == NO_OP or is_of_scalars(plan, &plan.nodes[plan.result])):
        self.quick.vectorcall = plain_vectorcall_values
    self.plain.memory, self.plain.encoding = self.memory, self.encoding
    self.plain.realloc, self.plain.post_return = self.realloc, self.post_return_func
    self.plain.may_leave = self.instance.may_leave
    self.plain.lift = <PyObject *(*)(PyObject *, AbiCall *, const c.ValRaw *) noexcept><void *>plain_lift
    self.plain.refuse = refuse_address


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
        if owner.gate.num_borrowed:
            settle_borrows(owner)
        if owner.gate.poisoned or owner.gate.busy:
            raise trap_text(c.TRAP_CANNOT_ENTER_COMPONENT, "cannot enter component instance")
        if self.options is not None:
            options_begin(self.options, store, &saved)
        running = True
        owner.gate.busy = True
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
            owner.gate.busy = False
            if not finished:
                owner.gate.poisoned = True
            if self.options is not None:
                options_end(store, &saved)
        if entered:
            leave_store(store, &entry)
        if call.num_steps or call.chunks != NULL:
            finish(&call, committed)


cdef class ComponentFunc:
    """An exported function of a component: `func(*args)`, `func(store, *args)`, or with WIT parameter names as keywords.

    Arguments are checked before guest code runs. Raises ArgumentTypeError, ArgumentValueError, ArgumentOverflowError, MissingFieldError with the path of
    what is wrong; Trap; or what a host function raised. After a Trap or such an exception the instance cannot be entered again.
    """

    def __cinit__(self) -> None:
        self.quick.vectorcall = <vectorcallfunc><void *>func_vectorcall

    def __call__(self, *args: object, **kwargs: object) -> object:
        """Replaced by the vectorcall slot; here for what looks for the method."""
        raise AssertionError("unreachable")

    def __reduce__(self) -> object:
        raise PicklingError("a component's Func cannot be pickled: it belongs to a store; pickle the Component and make an instance of it where it arrives")

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
        * `timeout`: seconds after which guest code is interrupted with a Trap (TrapCode.INTERRUPT); None for no limit. Host functions are not interrupted:
          after one that was implemented in Python and returned too late, the guest does not go on. Native ones count when the guest looks next, within
          about a millisecond of running.

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
    quick_enable(<PyTypeObject *>ComponentFunc, <char *>&probe.quick - <char *><PyObject *>probe)
    return 0


enable_vectorcall()
refuse_new(<PyTypeObject *>ComponentFunc)

sample, name = Record(sample=1), "sample"
plain_call_init(
    <PyTypeObject *><PyObject *>Record, <PyTypeObject *>Variant, <PyObject *>sample, <PyObject *>name, lift_rest_of_all(), spare_records()
)


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
