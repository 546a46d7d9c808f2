# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True, embedsignature=True
"""What the asynchronous ABI (wasmrt/concurrent, in Python) needs of guests: calls on stacks that can be left, handle tables, memories, arguments.

Core values cross as ints: their 64 bits, or 32 for i32 parameters of intrinsics. Indices are those of the component's records, which were checked when
it was loaded.

A guest that blocks does so in an `Intrinsic`: its body returns BLOCKED, which leaves no frame of Python on the guest's stack, and `task_call` suspends the
fiber it runs on. Once that is resumed, `tasks.resumed()` says what the intrinsic returns (or blocks again). `tasks` is ComponentInstance.tasks.
"""

from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memmove, memset

cimport cython

cimport wasmrt._native.capi as c
from wasmrt._native.abi cimport *
from wasmrt._native.core cimport Store, enter_store, error_from, gil_acquire, host_returns, leave_store, trap_text
from wasmrt._native.imports cimport REALLOC_HOOK, leave_with_exception
from wasmrt._native.lift cimport lift_params, lift_result
from wasmrt._native.lower cimport commit, stage_params, stage_result
from wasmrt._native.options cimport CallOptions, SavedOptions, changed_options, options_begin, options_end
from wasmrt._native.pyapi cimport decref
from wasmrt._native.resources cimport *

from wasmrt.errors import WasmError

cdef extern from "Python.h":
    PyObject *PyTuple_GET_ITEM(PyObject *value, Py_ssize_t index) noexcept


class _Blocked:
    def __repr__(self) -> str:
        return "BLOCKED"


BLOCKED = _Blocked()
cdef object BLOCKED_RESULT = BLOCKED

ctypedef int (*IntrinsicBody)(c.VMHostContext *, c.ValRaw *, bint, c.WrFiber **) noexcept
ctypedef int (*WithGil)(c.VMHostContext *, c.ValRaw *, bint, c.WrFiber **) noexcept nogil


# ---- what core code calls ---------------------------------------------------------------------------------------------------------------------------

cdef class Intrinsic:
    """A function that core code calls: `body(state, *arguments)` returns its core result, None without one, or BLOCKED. `wide`: which parameters have 64 bits."""

    def __init__(self, body: object, num_params: int, has_result: bool, wide: int = 0) -> None:
        self.body = body
        self.num_params, self.has_result, self.wide = num_params, has_result, wide


cdef int run_intrinsic(c.VMHostContext *context, c.ValRaw *values, bint resumed, c.WrFiber **out_fiber) except -1:
    """0: done; 1: the fiber has to be suspended."""
    cdef ComponentInstance state = <ComponentInstance>context.data
    cdef Intrinsic self = <Intrinsic>context.data2
    cdef Fiber fiber
    cdef uint32_t i
    if resumed:
        result = state.tasks.resumed()
    else:
        arguments = [state]
        for i in range(self.num_params):
            arguments.append(<uint64_t>values[i].i64 if self.wide >> i & 1 else <uint32_t>values[i].i32)
        result = self.body(*arguments)
    if result is BLOCKED_RESULT:
        fiber = state.tasks.fiber()
        out_fiber[0] = fiber.c_fiber
        return 1
    if self.has_result:
        values[0].i64 = <int64_t><uint64_t>(result & 0xFFFFFFFFFFFFFFFF)
    return 0


cdef int intrinsic_with_gil(c.VMHostContext *context, c.ValRaw *values, bint resumed, c.WrFiber **out_fiber) noexcept:
    cdef int result = (<IntrinsicBody><void *>run_intrinsic)(context, values, resumed, out_fiber)
    if result < 0:
        leave_with_exception((<ComponentInstance>context.data).store)
    return result


cdef c.c_bool task_call(c.VMContext *callee, c.VMContext *caller, c.ValRaw *values, size_t capacity) noexcept nogil:
    """The VMArrayCall of an intrinsic."""
    cdef c.VMHostContext *context = <c.VMHostContext *>callee
    cdef c.WrFiber *fiber = NULL
    cdef int result
    gil_acquire(context.header.store)
    result = (<WithGil><void *>intrinsic_with_gil)(context, values, False, &fiber)
    while result == 1:
        c.wr_fiber_suspend(fiber)
        result = (<WithGil><void *>intrinsic_with_gil)(context, values, True, &fiber)
    return host_returns(context.header.store, result == 0)


# ---- calling core code ------------------------------------------------------------------------------------------------------------------------------

cdef inline c.VMFuncRef *callback_at(ComponentInstance state, uint32_t slot) except NULL:
    if state.callbacks[slot] == NULL:
        raise WasmError("a function was called before its instance was made")
    return state.callbacks[slot]


def call_core(ComponentInstance state, slot: int, arguments: list, num_results: int) -> list:
    """Calls the function in a callback slot on this stack, with the store entered."""
    return call_here(state, callback_at(state, slot), arguments, num_results)


def call_post_return(ComponentInstance state, slot: int, arguments: list) -> None:
    """Calls the function in a post-return slot."""
    call_here(state, state.post_returns[<size_t>slot], arguments, 0)


cdef list call_here(ComponentInstance state, c.VMFuncRef *func, list arguments, uint32_t num_results):
    cdef c.ValRaw values[32]
    cdef uint32_t i, count = <uint32_t>len(arguments)
    assert count <= c.WR_FIBER_VALUES
    for i in range(count):
        values[i].i64 = <int64_t><uint64_t>arguments[i]
    ok = func.array_call(func.vmctx, func.vmctx, values, c.WR_FIBER_VALUES)
    gil_acquire(state.store.context)
    if not ok:
        state.store.raise_pending()
    return [<uint64_t>values[i].i64 for i in range(num_results)]


# The collector leaves the fields to the deallocator, which needs them; a cycle through one of these is broken at the objects of wasmrt/concurrent.
@cython.no_gc_clear
cdef class Fiber:
    """A stack to call guests on. `start` and `resume` return the call's results, or None when it blocked; what it raised otherwise."""

    def __init__(self, Store store not None) -> None:
        cdef c.WrError error
        memset(&error, 0, sizeof(error))
        self.store = store
        self.c_fiber = c.wr_fiber_new(store.c_store, &error)
        if self.c_fiber == NULL:
            raise error_from(&error)

    def __dealloc__(self) -> None:
        if self.c_fiber != NULL and self.store.c_store != NULL:
            c.wr_fiber_free(self.c_fiber)

    def release(self) -> None:
        """Gives the stack back; frames on it are gone."""
        if self.c_fiber != NULL and self.store.c_store != NULL:
            c.wr_fiber_free(self.c_fiber)
        self.c_fiber = NULL

    def start(self, ComponentInstance state not None, slot: int, arguments: list, num_results: int) -> list | None:
        """Calls the function in a callback slot."""
        return self.begin(callback_at(state, slot), arguments, num_results)

    def start_thread(self, ThreadStart start not None) -> list | None:
        """Calls a thread's function."""
        return self.begin(start.func, [start.context], 0)

    cdef object begin(self, c.VMFuncRef *func, list arguments, uint32_t num_results):
        cdef c.ValRaw *values = c.wr_fiber_values(self.c_fiber)
        cdef uint32_t i
        assert <size_t>len(arguments) <= c.WR_FIBER_VALUES
        for i in range(<uint32_t>len(arguments)):
            values[i].i64 = <int64_t><uint64_t>arguments[i]
        self.num_results = num_results
        return self.came_back(c.wr_fiber_call(self.c_fiber, func))

    def resume(self) -> list | None:
        """Goes on where it blocked."""
        return self.came_back(c.wr_fiber_resume(self.c_fiber))

    cdef object came_back(self, c.WrFiberState came):
        cdef c.ValRaw *values
        cdef uint32_t i
        gil_acquire(self.store.context)
        if came == c.WR_FIBER_SUSPENDED:
            return None
        if came == c.WR_FIBER_FAILED:
            self.store.raise_pending()
        values = c.wr_fiber_values(self.c_fiber)
        return [<uint64_t>values[i].i64 for i in range(self.num_results)]


cdef class ThreadStart:
    """The function that a new thread begins with, and its argument."""

    cdef c.VMFuncRef *func
    cdef uint64_t context
    cdef object owner

    def __init__(self, ComponentInstance state not None, table: int, index: int, context: int, type_id: int) -> None:
        """Raises Trap when the table has no function of that type there."""
        cdef c.WrTable *c_table = state.tables[<size_t>table]
        if <uint64_t>index >= c.wr_table_def(c_table).length:
            raise trap_text(c.TRAP_TABLE_OUT_OF_BOUNDS, "undefined element: out of bounds table access")
        self.func = <c.VMFuncRef *>c.wr_table_get(c_table, index)
        if self.func == NULL:
            raise trap_text(c.TRAP_INDIRECT_CALL_TO_NULL, "uninitialized element")
        if self.func.type_index != <uint32_t>type_id:
            raise trap_text(c.TRAP_BAD_SIGNATURE, "indirect call type mismatch")
        self.context, self.owner = context, state


cdef class Entry:
    """A store entered for an instance of a component, which cannot be entered again meanwhile."""

    cdef c.WrEntry entry
    cdef ComponentInstance state
    cdef bint entered

    def __init__(self, ComponentInstance state not None) -> None:
        self.state = state

    def __enter__(self) -> Entry:
        enter_store(self.state.store, &self.entry)
        if self.state.gate.poisoned or self.state.gate.busy or self.state.gate.num_borrowed:
            leave_store(self.state.store, &self.entry)
            raise trap_text(c.TRAP_CANNOT_ENTER_COMPONENT, "cannot enter component instance")
        self.state.gate.busy = True
        return self

    def __exit__(self, cls: object, *rest: object) -> None:
        self.state.gate.busy = False
        if cls is not None:
            self.state.gate.poisoned = True
        leave_store(self.state.store, &self.entry)


cdef class Nested:
    """A store entered by who may be inside of it. Raises WasmError when another thread runs it or it is closed."""

    cdef c.WrEntry entry
    cdef Store store

    def __init__(self, ComponentInstance state not None) -> None:
        self.store = state.store

    def __enter__(self) -> Nested:
        enter_store(self.store, &self.entry)
        return self

    def __exit__(self, *rest: object) -> None:
        leave_store(self.store, &self.entry)


cdef class CallScope:
    """A call's options, while it lasts: GIL mode and timeout. None: the defaults."""

    cdef Store store
    cdef CallOptions options
    cdef SavedOptions saved

    def __init__(self, Store store not None, CallOptions options) -> None:
        self.store, self.options = store, options

    def __enter__(self) -> CallScope:
        if self.options is not None:
            options_begin(self.options, self.store, &self.saved)
        return self

    def __exit__(self, *rest: object) -> None:
        if self.options is not None:
            options_end(self.store, &self.saved)


def with_options(CallOptions options, gil: object, timeout: object) -> CallOptions | None:
    """`options` with what is not Ellipsis changed."""
    return changed_options(options, gil, ..., ..., timeout)


def can_run(ComponentInstance state) -> bool:
    """Whether threads of the instance may be resumed now."""
    return not state.gate.poisoned and not state.gate.busy and not state.gate.num_borrowed


def is_poisoned(ComponentInstance state) -> bool:
    """Whether it trapped."""
    return state.gate.poisoned


def set_poisoned(ComponentInstance state) -> None:
    """It trapped."""
    state.gate.poisoned = True


# ---- component instances ----------------------------------------------------------------------------------------------------------------------------

def trap(code: int, text: str) -> Exception:
    """A Trap with that text."""
    return trap_text(code, text)


def handle_trap(text: str) -> Exception:
    """A Trap about handles."""
    return trap_text(c.TRAP_HANDLE, text)


def may_leave(ComponentInstance state, instance: int) -> bool:
    """The flag of a runtime component instance."""
    return state.instances[<size_t>instance].may_leave[0] != 0


def set_may_leave(ComponentInstance state, instance: int, value: bool) -> None:
    """Sets it."""
    state.instances[<size_t>instance].may_leave[0] = 1 if value else 0


def add_handle_of_object(ComponentInstance state, instance: int) -> int:
    """An index of the handle table, for something that is no resource."""
    return add_handle(&state.instances[<size_t>instance], c.WR_HANDLE_WAITABLE, 0, 0, 0)


def remove_handle(ComponentInstance state, instance: int, index: int) -> None:
    """Frees an index."""
    c.wr_handles_remove(state.instances[<size_t>instance].handles, index)


def handle_in_use(ComponentInstance state, instance: int, index: int) -> bool:
    """Whether an index stands for anything."""
    return c.wr_handles_get(state.instances[<size_t>instance].handles, index) != NULL


cdef uint8_t *bytes_at(ComponentInstance state, object slot, uint64_t address, uint64_t count, str what) except NULL:
    cdef c.VMMemoryDef *memory = NULL if slot is None else state.memories[<size_t>slot]
    if memory == NULL:
        raise WasmError("a built-in was called before its memory was made")
    if address > memory.length_bytes or count > memory.length_bytes - address:
        raise trap_text(c.TRAP_MEMORY_OUT_OF_BOUNDS, what)
    return memory.base + address


def check_range(ComponentInstance state, slot: int, address: int, count: int) -> None:
    """Raises Trap unless the bytes lie in the memory."""
    bytes_at(state, slot, address, count, "out of bounds memory access")


def write_u32(ComponentInstance state, slot: int, address: int, values: tuple) -> None:
    """Consecutive words."""
    cdef uint8_t *at = bytes_at(state, slot, address, 4 * <uint64_t>len(values), "out of bounds memory access")
    cdef uint32_t word
    for value in values:
        word = value
        memmove(at, &word, 4)
        at += 4


def copy_bytes(ComponentInstance src, src_slot: int, source: int, ComponentInstance dst, dst_slot: int, target: int, count: int) -> None:
    """From one memory to another."""
    memmove(bytes_at(dst, dst_slot, target, count, "out of bounds memory access"), bytes_at(src, src_slot, source, count, "out of bounds memory access"), count)


# ---- borrows ----------------------------------------------------------------------------------------------------------------------------------------

@cython.no_gc_clear
cdef class LoanScope:
    """The borrows of one asynchronous call: what it lent out of its caller's table, and the handles that it put into the callee's. `caller`: the runtime
    component instance; that of the callee for a call from the host."""

    def __init__(self, ComponentInstance state not None, caller: int, callee: int) -> None:
        self.owner = state
        self.callee = &state.instances[<size_t>callee]
        scope_init(&self.scope, &state.instances[<size_t>caller])

    def open(self) -> None:
        """Handles that are lent from here on belong to this call."""
        self.scope.previous = self.callee.scopes
        self.callee.scopes = &self.scope
        self.is_linked = True

    @property
    def num_borrows(self) -> int:
        """Handles that the callee has not dropped."""
        return self.scope.num_borrows

    def end_loans(self) -> None:
        """The caller's handles are its own again."""
        scope_close(&self.scope)
        self.scope.num_lends = 0
        self.scope.lends = self.scope.first_lends
        self.scope.capacity = 4

    def close(self) -> None:
        """The callee is done."""
        self.unlink()

    cdef void unlink(self) noexcept:
        cdef Scope **at = &self.callee.scopes
        while self.is_linked and at[0] != NULL:
            if at[0] == &self.scope:
                at[0] = self.scope.previous
                break
            at = &at[0].previous
        self.is_linked = False

    def __dealloc__(self) -> None:
        if self.owner is not None:
            self.unlink()
            self.scope.num_lends = 0
            if self.scope.lends != self.scope.first_lends:
                free(self.scope.lends)


# ---- values of the host -----------------------------------------------------------------------------------------------------------------------------

cdef void set_options(AbiCall *call, ComponentInstance state, LoanScope loans, object memory, object realloc, uint32_t encoding):
    call.memory = NULL if memory is None else state.memories[<size_t>memory]
    call.encoding = encoding
    call.realloc_func = NULL if realloc is None else state.reallocs[<size_t>realloc]
    call.realloc_guest = REALLOC_HOOK
    set_hooks(call, state, &loans.scope)


@cython.no_gc_clear
cdef class HostArguments:
    """Arguments of a call from the host: checked when made, handed over by `commit`, given back by `finish`."""

    def __init__(
        self, ComponentInstance state not None, Plan plan not None, LoanScope loans not None, arguments: tuple, memory: object, realloc: object, encoding: int
    ) -> None:
        cdef PyObject *vector[64]
        cdef PyObject **items = vector
        cdef uint32_t i
        self.plan, self.loans = plan, loans
        call_init(&self.call, plan)
        set_options(&self.call, state, loans, memory, realloc, encoding)
        self.is_staged = True
        if plan.num_params > 64:
            items = <PyObject **>malloc(plan.num_params * sizeof(PyObject *))
            if items == NULL:
                raise MemoryError
        try:
            for i in range(plan.num_params):
                items[i] = PyTuple_GET_ITEM(<PyObject *>arguments, i)
            stage_params(plan, &self.call, items, self.values)
        finally:
            if items != vector:
                free(items)

    def commit(self) -> list:
        """The core arguments, once the guest has what they point at."""
        cdef uint32_t i
        if self.call.num_steps:
            commit(&self.call)
        self.is_committed = True
        if not self.plan.params_flags & ABI_BORROWS:
            self.finish()  # what the steps hold is out of the collector's sight
        return [<uint64_t>self.values[i].i64 for i in range(1 if self.plan.params_spill else self.plan.params_flat)]

    def finish(self) -> None:
        """Ends what was lent for the call."""
        if self.is_staged:
            self.is_staged = False
            finish(&self.call, self.is_committed)

    def __dealloc__(self) -> None:
        if self.is_staged:
            self.is_staged = False
            finish(&self.call, self.is_committed)


def lift_values(
    ComponentInstance state, Plan plan, LoanScope loans, values: list, memory: object, encoding: int
) -> list:
    """The values of a plan's parameters, lifted out of a guest's core values."""
    cdef AbiCall call
    cdef c.ValRaw raw[20]
    cdef PyObject *vector[64]
    cdef PyObject **found = vector
    cdef uint32_t i
    assert len(values) <= 20
    call_init(&call, plan)
    set_options(&call, state, loans, memory, None, encoding)
    for i in range(<uint32_t>len(values)):
        raw[i].i64 = <int64_t><uint64_t>values[i]
    if plan.num_params > 64:
        found = <PyObject **>malloc(plan.num_params * sizeof(PyObject *))
        if found == NULL:
            raise MemoryError
    try:
        lift_params(plan, &call, raw, found)
        lifted = []
        for i in range(plan.num_params):
            lifted.append(<object>found[i])
            decref(found[i])
        return lifted
    finally:
        if found != vector:
            free(found)


def lift_result_of(ComponentInstance state, Plan plan, LoanScope loans, values: list, memory: object, encoding: int) -> object:
    """The result of a plan's function, lifted out of what a synchronous lift returned."""
    cdef AbiCall call
    cdef c.ValRaw raw[2]
    call_init(&call, plan)
    set_options(&call, state, loans, memory, None, encoding)
    if values:
        raw[0].i64 = <int64_t><uint64_t>values[0]
    return lift_result(plan, &call, raw)


def lower_result(
    ComponentInstance state, Plan plan, LoanScope loans, value: object, pointer: int, memory: object, realloc: object, encoding: int, name: str
) -> int | None:
    """The result of a host function for a guest: a core value, or in memory at `pointer`."""
    cdef AbiCall call
    cdef c.ValRaw values[2]
    cdef bint committed = False
    call_init(&call, plan)
    set_options(&call, state, loans, memory, realloc, encoding)
    try:
        stage_result(plan, &call, <PyObject *>value, values, pointer, name)
        if call.num_steps:
            commit(&call)
        committed = True
    finally:
        finish(&call, committed)
    return None if plan.result_spills or plan.result == ABI_NO_NODE else <uint64_t>values[0].i64


cdef int place_hook(AbiCall *call, uint32_t align, uint64_t size, uint64_t *out_address) noexcept:
    """The first allocation of `lower_elements` is the list itself, whose place is known."""
    out_address[0] = <uint64_t><size_t>call.results
    call.realloc_guest = REALLOC_HOOK
    return 0


def lower_elements(
    ComponentInstance state, Plan plan, LoanScope loans, elements: object, address: int, memory: int, realloc: object, encoding: int
) -> None:
    """Elements of a stream or future to their place in a guest's memory; `plan`: of a function of one list of them."""
    cdef AbiCall call
    cdef c.ValRaw values[20]
    cdef PyObject *items[1]
    cdef bint committed = False
    call_init(&call, plan)
    set_options(&call, state, loans, memory, realloc, encoding)
    call.results = <void *><size_t>address
    call.realloc_guest = place_hook
    items[0] = <PyObject *>elements
    try:
        stage_params(plan, &call, items, values)
        commit(&call)
        committed = True
    finally:
        finish(&call, committed)
