# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True, embedsignature=True
"""What core code of a component calls besides imports: resource intrinsics, and what adapters cannot do themselves.

Instantiation (`instantiate.pyx`) binds trampolines here, one `TrampolineRow` each, zeros where nothing is meant:
LOWER: a = runtime instance. RESOURCE_*: a = runtime instance, b = resource. TRANSCODER: a = row of transcode.def, b, c = memories.
TRANSFER_*: a = resource, b, c = runtime instances. ENTER_CALL, EXIT_CALL: b, c = runtime instances. TASK: a = runtime instance; fibers.pyx has them.

Calls between components do not come through Python: adapters (wasmrt/translate/adapt.py) are core code, and only the intrinsics that they import are
here. None of those runs Python or takes the GIL, except to say what is wrong.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport malloc
from libc.string cimport memset

cimport wasmrt._native.capi as c
from wasmrt._native.core cimport error_from, gil_acquire, trap_text
from wasmrt._native.fibers cimport task_call
from wasmrt._native.imports cimport LoweredImport, import_call, leave_with_exception
from wasmrt._native.native cimport NativeFunc
from wasmrt._native.resources cimport *

# Called from machine code: what raises here leaves through guest frames, as the store's pending exception. The functions proper are `except -1`,
# which is the same as `noexcept` with -1 and an exception set.
ctypedef int (*ResourceBody)(c.VMHostContext *, c.ValRaw *) noexcept
ctypedef c.c_bool (*WithGil)(c.VMHostContext *, c.ValRaw *) noexcept nogil


# ---- resource intrinsics ----------------------------------------------------------------------------------------------------------------------------

# The context of a resource intrinsic holds the row of its type. What goes well needs neither Python nor the GIL; all else is said by the functions below.

cdef inline ResourceRow *row_of(c.VMHostContext *context) noexcept nogil:
    return <ResourceRow *><size_t>context.index


cdef inline ResourceType type_of_context(c.VMHostContext *context):
    cdef ComponentInstance owner = <ComponentInstance>context.data
    return resource_at(owner, <uint64_t>(row_of(context) - owner.rows))


cdef int resource_new(c.VMHostContext *context, c.ValRaw *values) except -1:
    cdef RuntimeInstance *instance = <RuntimeInstance *>context.data2
    cdef ResourceType ty = type_of_context(context)
    if not instance.may_leave[0]:
        raise trap_text(c.TRAP_CANNOT_LEAVE_COMPONENT, "cannot leave component instance")
    values[0].i64 = add_handle(instance, c.WR_HANDLE_OWN, ty.id, <uint32_t>values[0].i32, 0)
    return 0


cdef int resource_rep(c.VMHostContext *context, c.ValRaw *values) except -1:
    cdef ResourceType ty = type_of_context(context)
    values[0].i64 = <int64_t>find_handle(<RuntimeInstance *>context.data2, <uint32_t>values[0].i32, ty).rep
    return 0


cdef int resource_drop(c.VMHostContext *context, c.ValRaw *values) except -1:
    cdef ComponentInstance owner = <ComponentInstance>context.data
    cdef RuntimeInstance *instance = <RuntimeInstance *>context.data2
    cdef ResourceType ty = type_of_context(context)
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
        drop_host(owner, ty, handle.rep, owner.dtors[row_of(context) - owner.rows])
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
        if ty.instance.gate.poisoned or ty.instance.gate.busy or ty.instance.gate.num_borrowed:
            raise trap_text(c.TRAP_CANNOT_ENTER_COMPONENT, "cannot enter component instance")
        ty.instance.gate.busy = True
    values[0].i64 = <int64_t><uint32_t>rep
    ok = ty.dtor.array_call(ty.dtor.vmctx, ty.dtor.vmctx, values, 2)
    gil_acquire(owner.store.context)
    if foreign:
        ty.instance.gate.busy = False
    if not ok:
        ty.instance.gate.poisoned = True
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
    cdef c.VMHostContext *context = <c.VMHostContext *>callee
    cdef RuntimeInstance *instance = <RuntimeInstance *>context.data2
    cdef c.WrHandle handle
    cdef uint32_t index = 0
    if instance.may_leave[0]:
        handle.kind = c.WR_HANDLE_OWN
        handle.num_lends = 0
        handle.resource_type = row_of(context).id
        handle.rep = <uint32_t>values[0].i32
        handle.scope = 0
        index = c.wr_handles_add(instance.handles, &handle)
    if index == 0:
        gil_acquire(context.header.store)
        return (<WithGil><void *>new_with_gil)(context, values)
    values[0].i64 = index
    return True


cdef c.c_bool rep_call(c.VMContext *callee, c.VMContext *caller, c.ValRaw *values, size_t capacity) noexcept nogil:
    cdef c.VMHostContext *context = <c.VMHostContext *>callee
    cdef c.WrHandle *handle = c.wr_handles_get((<RuntimeInstance *>context.data2).handles, <uint32_t>values[0].i32)
    if handle == NULL or handle.resource_type != row_of(context).id:
        gil_acquire(context.header.store)
        return (<WithGil><void *>rep_with_gil)(context, values)
    values[0].i64 = <int64_t>handle.rep
    return True


cdef c.c_bool drop_call(c.VMContext *callee, c.VMContext *caller, c.ValRaw *values, size_t capacity) noexcept nogil:
    cdef c.VMHostContext *context = <c.VMHostContext *>callee
    cdef RuntimeInstance *instance = <RuntimeInstance *>context.data2
    cdef ResourceRow *row = row_of(context)
    cdef uint32_t index = <uint32_t>values[0].i32
    cdef c.WrHandle *handle = c.wr_handles_get(instance.handles, index)
    # of a type that this component instance defines: nobody else's destructor, and a trap in it poisons what runs
    if (
        row.definer == NULL or handle == NULL or handle.resource_type != row.id or handle.kind != c.WR_HANDLE_OWN
        or handle.num_lends or not instance.may_leave[0]
    ):
        gil_acquire(context.header.store)
        return (<WithGil><void *>drop_with_gil)(context, values)
    values[0].i64 = <int64_t><uint32_t>handle.rep
    c.wr_handles_remove(instance.handles, index)
    return row.dtor == NULL or row.dtor.array_call(row.dtor.vmctx, row.dtor.vmctx, values, 1)


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
    cdef c.WrError error
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
            memset(&error, 0, sizeof(error))
            if not c.wr_types_native_call(state.store.registry.c_registry, row.type_id, &native.c_native, True, &out.wasm_call, &error):
                raise error_from(&error)
    elif row.kind <= RESOURCE_DROP:
        out.call = new_call if row.kind == RESOURCE_NEW else rep_call if row.kind == RESOURCE_REP else drop_call
        out.data2 = &state.instances[row.a]
        out.index = <uint64_t><size_t>&state.rows[row.b]
    elif row.kind == TASK:
        out.call = task_call
        out.data2 = row.lowered
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
