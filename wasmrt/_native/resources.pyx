# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True, embedsignature=True
"""Resources on both sides of the boundary, and the state of a component instance that they live in.

Guest handles are rows of one WrHandleTable for each RuntimeInstance. What a row's `rep` means depends on the resource type:

* guest-defined: the guest's own 32 bits. The host sees a ResourceAny that holds them; no table of the host's is needed.
* host-defined by an int (`ResourceType.host(7)`, as the peer does): 32 bits of the host function's choosing, in ResourceAny/ResourceHost.
* host-defined by a Python class: a slot in `ComponentInstance.objects`. Host functions get and return the objects themselves.

A handle that is borrowed for a call lives in a Scope on that call's C stack. Guests may drop borrows in any task of their instance, so rows carry the
scope's address, which is looked up among the instance's open scopes before it is used. Owned ResourceAny that nobody holds any more are queued on
their store; no destructor runs inside the collector.

Functions that the plan runner calls through its hooks are `except -1` here and cast there: both mean "-1 with an exception set".
"""

from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset

cimport cython

cimport wasmrt._native.capi as c
from wasmrt._native.abi cimport *
from wasmrt._native.core cimport Store, enter_store, gil_acquire, leave_store, trap_text
from wasmrt._native.pyapi cimport PyTypeObject, decref, incref, refuse_new

import threading
import warnings

from wasmrt.errors import ArgumentOverflowError, ArgumentTypeError, WasmError
from wasmrt.spec.types import FuncType, substitute_resources

cdef enum:
    CHANNEL_RESOURCE = 0xFFFFFFFF  # AbiNode.length of what is no resource

cdef uint64_t GUEST_TYPES = <uint64_t>1 << 32  # ids from here on are guest-defined
cdef uint64_t next_guest_type = GUEST_TYPES
cdef object host_type_ids = {}
cdef object host_type_lock = threading.Lock()


# ---- types ------------------------------------------------------------------------------------------------------------------------------------------

cdef class ResourceType:
    """A resource type at run time. Those of hosts are equal when made of the same int or class; a guest's is fresh for each instantiation."""

    @staticmethod
    def host(key: object) -> ResourceType:
        """A host resource type: of an int (values are ResourceHost) or of a Python class (values are its instances)."""
        cdef ResourceType self
        if isinstance(key, type):
            is_class = True
        elif isinstance(key, int) and not isinstance(key, bool):
            is_class = False
        else:
            raise ArgumentTypeError(f"a host resource type is made of an int or a class, got {type(key).__name__}")
        self = ResourceType.__new__(ResourceType)
        self.key = key
        self.is_class = is_class
        self.name = key.__name__ if is_class else str(key)
        with host_type_lock:
            self.id = host_type_ids.setdefault(key, len(host_type_ids) + 1)
        return self

    @staticmethod
    def abstract(name: str) -> ResourceType:
        """A type of a component that is not instantiated: equal to itself alone, and no value has it."""
        global next_guest_type
        cdef ResourceType self = ResourceType.__new__(ResourceType)
        self.id = next_guest_type
        next_guest_type += 1
        self.name = name
        return self

    def __reduce__(self) -> object:
        if self.id >= GUEST_TYPES:
            raise ArgumentTypeError("a guest's resource type cannot be copied or pickled")
        return ResourceType.host, (self.key,)

    @property
    def is_host(self) -> bool:
        return self.id < GUEST_TYPES

    @property
    def store(self) -> Store | None:
        """The store of the instance that defines it; None for a host's type and for one that is not instantiated."""
        return None if self.instance is None else self.instance.store

    @property
    def ty(self) -> ResourceType:
        """Itself: what an import or export of it says of its type."""
        return self

    @property
    def implements(self) -> None:
        """Only instances have it."""
        return None

    @property
    def external_id(self) -> None:
        """Resources have none here."""
        return None

    def is_implements(self, name: str) -> bool:
        """False: only instances implement interfaces."""
        return False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ResourceType) and (<ResourceType>other).id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __str__(self) -> str:
        return self.name or f"resource#{self.id}"

    def __repr__(self) -> str:
        if self.id < GUEST_TYPES:
            return f"ResourceType.host({self.key!r})"
        if self.instance is None:
            return f"<wasmrt.component.ResourceType {self.name} of a component>"
        return f"<wasmrt.component.ResourceType {self.name} defined by a guest>"


cdef str describe(uint64_t type_id, bint different):
    kind = "host-defined resource" if type_id < GUEST_TYPES else "guest-defined resource"
    return f"a different {kind}" if different else kind


# ---- what the host holds ----------------------------------------------------------------------------------------------------------------------------

cdef ResourceAny new_any(Store store, ResourceType ty, uint64_t rep, uint8_t state, object dtor):
    cdef ResourceAny self = ResourceAny.__new__(ResourceAny)
    self.store = store
    self.type = ty
    self.rep = rep
    self.state = state
    self.dtor = dtor
    return self


# The collector leaves the fields to the deallocator, which needs them; a cycle through a handle is broken at the store's data or the destructor.
@cython.no_gc_clear
cdef class ResourceAny(Resource):
    """A handle that the host holds: owned, or borrowed for the call that it is an argument of.

    Passing an owned one to an `own` parameter gives it away. `drop()`, or leaving `with`, runs its destructor now; one that nobody holds any more is
    dropped at the next entry into its store.
    """

    @property
    def owned(self) -> bool:
        """False for a borrow."""
        return self.state == OWNED or self.state == STAGED or self.state == MOVED or self.state == DROPPED

    def drop(self, store: object = None) -> None:
        """Runs the destructor, if there is one. Raises WasmError when it was dropped or given away, or is lent to a running call."""
        self.check_store(store)
        if self.state == BORROWED:
            self.state = EXPIRED
            return
        self.check_usable()
        if self.num_lends or self.state == STAGED:
            raise WasmError("cannot remove owned resource while borrowed")
        self.state = DROPPED
        drop_rep(self.store, self.type, self.rep, self.dtor)

    cdef int check_store(self, object store) except -1:
        if store is not None and store is not self.store:
            if not isinstance(store, Store):
                raise ArgumentTypeError(f"expected a Store, got {type(store).__name__}")
            raise WasmError("the resource belongs to another store")
        return 0

    cdef int check_usable(self) except -1:
        if self.state == EXPIRED:
            raise WasmError("a borrowed handle cannot be used after its call")
        if self.state == MOVED or self.state == DROPPED:
            raise WasmError("unknown handle index: the resource was dropped or given away")
        return 0

    def to_host(self, store: object = None) -> ResourceHost:
        """The ResourceHost of a host-defined resource; an owned handle is given up for it. Raises WasmError for a guest's."""
        self.check_store(store)
        self.check_usable()
        if self.type.id >= GUEST_TYPES:
            raise WasmError("the resource is defined by a guest, not by the host")
        owned = self.state == OWNED
        if owned:
            if self.num_lends:
                raise WasmError("cannot remove owned resource while borrowed")
            self.state = MOVED
        return new_host(self.type, self.rep, owned)

    def __reduce__(self) -> object:
        raise ArgumentTypeError("a handle cannot be copied or pickled")

    def __enter__(self) -> ResourceAny:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self.state == OWNED:
            self.drop()

    def __dealloc__(self) -> None:
        if self.state == OWNED and (self.type.dtor != NULL or self.dtor is not None):
            self.state = DROPPED
            if self.store.c_store == NULL:
                warnings.warn(f"an owned {self.type} was not dropped before its store was closed: its destructor never ran", ResourceWarning, stacklevel=1)
                return
            self.store.queue_drop((drop_queued, (self.store, self.type, self.rep, self.dtor)))

    def __repr__(self) -> str:
        kind = "owned" if self.state == OWNED else "borrowed" if self.state == BORROWED else "unusable"
        return f"<wasmrt.component.ResourceAny {kind} {self.type}>"


def drop_queued(Store store, ResourceType ty, rep: int, dtor: object) -> bool:
    """Runs at the store's next entry for a handle that was collected; False while the instance cannot be entered, since a result is borrowed."""
    if ty.instance is not None and ty.instance.gate.num_borrowed:
        return False
    drop_rep(store, ty, rep, dtor)
    return True


cdef ResourceHost new_host(ResourceType ty, uint64_t rep, bint owned):
    cdef ResourceHost self = ResourceHost.__new__(ResourceHost)
    self.type = ty
    self.rep = rep
    self.owned = owned
    return self


cdef class ResourceHost(Resource):
    """A host resource by number: `ResourceHost.own(rep, ty)` or `.borrow(rep, ty)`; `ty` is the int of its ResourceType.host, or that type."""

    @classmethod
    def own(cls, rep: int, ty: object) -> ResourceHost:
        return new_host(host_type(ty), checked_rep(rep), True)

    @classmethod
    def borrow(cls, rep: int, ty: object) -> ResourceHost:
        return new_host(host_type(ty), checked_rep(rep), False)

    def to_any(self, store: Store) -> ResourceAny:
        """The same resource as a ResourceAny of that store."""
        if not isinstance(store, Store):
            raise ArgumentTypeError(f"expected a Store, got {type(store).__name__}")
        return new_any(store, self.type, self.rep, OWNED if self.owned else BORROWED, None)

    def __reduce__(self) -> object:
        return (ResourceHost.own if self.owned else ResourceHost.borrow), (self.rep, self.type)

    def __repr__(self) -> str:
        return f"ResourceHost.{'own' if self.owned else 'borrow'}({self.rep}, {self.type.key!r})"


for owned_type in (ResourceType, ResourceAny, ResourceHost):
    refuse_new(<PyTypeObject *><PyObject *>owned_type)


cdef ResourceType host_type(object ty):
    if isinstance(ty, ResourceType):
        if (<ResourceType>ty).id >= GUEST_TYPES:
            raise WasmError("a ResourceHost cannot have a guest's type")
        return <ResourceType>ty
    return ResourceType.host(ty)


cdef uint64_t checked_rep(object rep) except? 0xFFFFFFFFFFFFFFFF:
    if not isinstance(rep, int):
        raise ArgumentTypeError(f"a rep is an int, got {type(rep).__name__}")
    if not 0 <= rep < 1 << 32:
        raise ArgumentOverflowError(f"a rep has 32 bits, got {rep}")
    return rep


cdef int settle(Store store, ComponentInstance owner, c.WrEntry *entry, bint failed) except -1:
    """Ends an outermost call of the instance that did not leave the store by itself."""
    if failed:
        owner.gate.poisoned = True
    gil_acquire(store.context)
    try:
        if failed:
            store.raise_pending()
    finally:
        leave_store(store, entry)
    return 0


cdef int drop_rep(Store store, ResourceType ty, uint64_t rep, object dtor) except -1:
    """Runs the destructor of an owned resource, called by the host."""
    cdef c.WrEntry entry
    cdef c.WrCallResult came
    cdef c.ValRaw values[2]
    cdef WrGate *gate
    cdef bint ok
    if store.c_store == NULL:
        return 0
    if ty.id < GUEST_TYPES:
        if dtor is not None:
            dtor(store, rep)
        return 0
    if ty.dtor == NULL:
        return 0
    values[0].i64 = <int64_t><uint32_t>rep
    gate = &ty.instance.gate
    if not (gate.poisoned or gate.busy or gate.num_borrowed or store.host.attention):
        store.host.ticks = 0
        gate.busy = True
        came = c.wr_store_call_held(store.c_store, ty.dtor, values, 2, &entry)
        gate.busy = False
        if came == c.WR_CALL_DONE:
            return 0
        if came != c.WR_CALL_DECLINED:
            entry.host[0] = NULL
            return settle(store, ty.instance, &entry, came == c.WR_CALL_FAILED)
    enter_store(store, &entry)
    try:
        if ty.instance.gate.poisoned or ty.instance.gate.busy:
            raise trap_text(c.TRAP_CANNOT_ENTER_COMPONENT, "cannot enter component instance")
        if ty.instance.gate.num_borrowed:
            raise WasmError("cannot enter component instance: a result of it is still borrowed; release the view first")
        ty.instance.gate.busy = True
        ok = ty.dtor.array_call(ty.dtor.vmctx, ty.dtor.vmctx, values, 2)
        gil_acquire(store.context)
        ty.instance.gate.busy = False
        if not ok:
            ty.instance.gate.poisoned = True
            store.raise_pending()
    finally:
        leave_store(store, &entry)
    return 0


# ---- component instances ----------------------------------------------------------------------------------------------------------------------------

cdef class ComponentInstance:
    """The run-time state of one instantiated component: flags, handle tables, and the runtime slots that its initializers fill.

    Made by `instantiate.Program`, in one block of memory. Functions and resources of the host's hold it, and it holds the store; the store does not, so
    a store that nobody uses any more goes without the cyclic collector. The host contexts of the C store point at it: their code is only reached
    through functions that hold it.
    """

    def __init__(self) -> None:
        raise WasmError("component instances are made by a linker")

    def __dealloc__(self) -> None:
        cdef uint32_t i
        free_scopes(self.scopes.opened)
        free_scopes(self.scopes.spare)
        if self.instances != NULL:
            for i in range(self.num_instances):
                c.wr_handles_free(self.instances[i].handles)
        free(self.block)

    def resource(self, index: int) -> ResourceType:
        """The type at a ResourceIndex."""
        if not 0 <= index < self.num_resources:
            raise IndexError(f"resource {index}")
        return resource_at(self, index)

    def func_type(self, ty: FuncType, name: str) -> object:
        """What `type()` of the exported function of that name returns."""
        substituted = substitute_resources(ty, self.resource)
        describe = getattr(self.bindings, "describe", None)
        return substituted if describe is None else describe(substituted, name)

    @property
    def may_be_entered(self) -> bool:
        """False once a trap, or an exception of a host function, left through it."""
        return not self.gate.poisoned

    def num_handles(self, instance: int) -> int:
        """Handles that a runtime component instance holds (for tests and leak hunting)."""
        assert 0 <= instance < self.num_instances
        return c.wr_handles_count(self.instances[<size_t>instance].handles)


cdef ComponentInstance new_state(Store store, const StateCounts *counts):
    """Zeroed slots, every component instance free to leave and with an empty handle table."""
    cdef ComponentInstance self = ComponentInstance.__new__(ComponentInstance)
    cdef uint32_t i
    cdef size_t words = <size_t>counts.memories + counts.reallocs + counts.post_returns + counts.callbacks + counts.tables + counts.core_instances
    cdef char *at = <char *>calloc(
        1,
        counts.instances * sizeof(RuntimeInstance) + counts.resources * sizeof(ResourceRow) + counts.trampolines * sizeof(Transfer) + words * sizeof(void *) + 1,
    )
    if at == NULL:
        raise MemoryError
    self.block = at
    self.store = store
    self.instances = <RuntimeInstance *>at
    at += counts.instances * sizeof(RuntimeInstance)
    self.rows = <ResourceRow *>at
    at += counts.resources * sizeof(ResourceRow)
    self.transfers = <Transfer *>at
    at += counts.trampolines * sizeof(Transfer)
    self.memories = <c.VMMemoryDef **>at
    self.reallocs = <c.VMFuncRef **>(self.memories + counts.memories)
    self.post_returns = self.reallocs + counts.reallocs
    self.callbacks = self.post_returns + counts.post_returns
    self.tables = <c.WrTable **>(self.callbacks + counts.callbacks)
    self.core_instances = <c.WrInstance **>(self.tables + counts.tables)
    self.num_instances, self.num_memories, self.num_reallocs = counts.instances, counts.memories, counts.reallocs
    self.num_post_returns, self.num_resources = counts.post_returns, counts.resources
    for i in range(self.num_instances):
        self.instances[i].own_may_leave = 1
        self.instances[i].may_leave = &self.instances[i].own_may_leave
        self.instances[i].handles = c.wr_handles_new()
        if self.instances[i].handles == NULL:
            raise MemoryError
    return self


cdef int define_resource(ComponentInstance self, uint32_t index, uint32_t instance, c.VMFuncRef *dtor) except -1:
    """A fresh type that the runtime component instance `instance` defines; its object is made when somebody asks for it. Under the GIL."""
    global next_guest_type
    self.rows[index].id = next_guest_type
    next_guest_type += 1
    self.rows[index].definer = &self.instances[instance]
    self.rows[index].dtor = dtor
    return 0


cdef ResourceType make_guest_type(ComponentInstance self, uint32_t index):
    cdef ResourceType ty = ResourceType.__new__(ResourceType)
    ty.id = self.rows[index].id
    ty.name = self.resource_names[index]
    ty.instance = self
    ty.defined_by = <uint32_t>(self.rows[index].definer - self.instances)
    ty.dtor = self.rows[index].dtor
    self.resources[index] = ty
    return ty


cdef uint64_t put_object(ComponentInstance owner, object value) except? 0xFFFFFFFFFFFFFFFF:
    """A slot for an object that a guest gets a handle of."""
    if owner.objects is None:
        owner.objects, owner.free_objects = [], []
    if owner.free_objects:
        slot = owner.free_objects.pop()
        owner.objects[slot] = value
        return slot
    owner.objects.append(value)
    return len(owner.objects) - 1


cdef object take_object(ComponentInstance owner, uint64_t rep):
    """Empties a slot."""
    value = owner.objects[rep]
    owner.objects[rep] = None
    owner.free_objects.append(rep)
    return value


# ---- handles ----------------------------------------------------------------------------------------------------------------------------------------

cdef c.WrHandle *find_handle(RuntimeInstance *instance, uint32_t index, ResourceType ty) except NULL:
    """The row of a guest's handle, of the right type; else a Trap."""
    cdef c.WrHandle *handle = c.wr_handles_get(instance.handles, index)
    if handle == NULL:
        raise trap_text(c.TRAP_HANDLE, f"unknown handle index {index}")
    if handle.resource_type != ty.id:
        same_kind = (handle.resource_type < GUEST_TYPES) == (ty.id < GUEST_TYPES)
        raise trap_text(
            c.TRAP_HANDLE,
            f"handle index {index} used with the wrong type, expected {describe(ty.id, False)} but found {describe(handle.resource_type, same_kind)}",
        )
    return handle


cdef uint32_t add_handle(RuntimeInstance *instance, uint32_t kind, uint64_t type_id, uint64_t rep, uint64_t scope) except 0:
    cdef c.WrHandle handle
    cdef uint32_t index
    memset(&handle, 0, sizeof(handle))
    handle.kind = kind
    handle.resource_type = type_id
    handle.rep = rep
    handle.scope = scope
    index = c.wr_handles_add(instance.handles, &handle)
    if index == 0:
        raise trap_text(c.TRAP_HANDLE, "resource table has no free keys")
    return index


cdef void end_loans(Scope *scope) noexcept nogil:
    """Gives back what the caller lent."""
    cdef uint32_t i
    cdef c.WrHandle *handle
    for i in range(scope.num_lends):
        handle = c.wr_handles_get(scope.instance.handles, scope.lends[i])
        if handle != NULL and handle.num_lends:
            handle.num_lends -= 1
    if scope.lends != scope.first_lends:
        free(scope.lends)


cdef void scope_close(Scope *scope) noexcept:
    """Ends the loans that a guest gave to a host call, and the handles that stood for them."""
    cdef ResourceAny borrowed
    end_loans(scope)
    if scope.borrowed != NULL:
        for item in <list>scope.borrowed:
            borrowed = <ResourceAny>item
            if borrowed.state == BORROWED:
                borrowed.state = EXPIRED
        decref(scope.borrowed)
        scope.borrowed = NULL


cdef void free_scopes(Scope *scope) noexcept:
    cdef Scope *outer
    while scope != NULL:
        outer = scope.outer
        if scope.lends != scope.first_lends:
            free(scope.lends)
        free(scope)
        scope = outer


cdef int reserve_lend(Scope *scope) noexcept nogil:
    """Room for one more loan: 0, or -1 for no memory."""
    cdef uint32_t *more
    if scope.num_lends == scope.capacity:
        more = <uint32_t *>malloc(<size_t>scope.capacity * 4 * sizeof(uint32_t))
        if more == NULL:
            return -1
        memcpy(more, scope.lends, scope.num_lends * sizeof(uint32_t))
        if scope.lends != scope.first_lends:
            free(scope.lends)
        scope.lends = more
        scope.capacity *= 4
    return 0


cdef int lend(Scope *scope, uint32_t index) except -1:
    if reserve_lend(scope) < 0:
        raise MemoryError
    scope.lends[scope.num_lends] = index
    scope.num_lends += 1
    return 0


# ---- hooks of the plan runner -----------------------------------------------------------------------------------------------------------------------

cdef void set_hooks(AbiCall *call, ComponentInstance owner, Scope *scope) noexcept:
    call.instance = <void *>owner
    call.scope = scope
    call.stage_resource = <int (*)(AbiCall *, const AbiNode *, void *, AbiStep *) noexcept><void *>stage_resource
    call.commit_resource = <int (*)(AbiCall *, AbiStep *, uint32_t *) noexcept><void *>commit_resource
    call.finish_resource = finish_resource
    call.lift_resource = <void *(*)(AbiCall *, const AbiNode *, uint32_t) noexcept><void *>lift_resource


# Streams, futures and error contexts, which `tasks` (wasmrt/concurrent/host.py) knows about.

cdef int stage_channel(AbiCall *call, const AbiNode *node, void *pointer, AbiStep *step) except -1:
    try:
        staged = (<ComponentInstance>call.instance).tasks.stage(<object><PyObject *>call.objects[node.type], <object><PyObject *>pointer)
    except ArgumentTypeError as error:
        return fail(call, ArgumentTypeError, str(error))
    incref(<PyObject *>staged)
    step.owner = <void *><PyObject *>staged
    return 0


cdef int stage_resource(AbiCall *call, const AbiNode *node, void *pointer, AbiStep *step) except -1:
    """Checks that the value can be passed; an own argument cannot be staged twice, a lent one cannot be dropped."""
    if node.op == ABI_OP_CHANNEL:
        return stage_channel(call, node, pointer, step)
    cdef ComponentInstance owner = <ComponentInstance>call.instance
    cdef ResourceType ty = resource_at(owner, node.length)
    cdef object value = <object><PyObject *>pointer
    cdef ResourceAny handle
    if type(value) is ResourceAny:
        handle = <ResourceAny>value
        if handle.type.id != ty.id:
            same = " of another instance" if str(ty) == str(handle.type) else ""
            return fail(call, ArgumentTypeError, f"expected a handle of resource `{ty}`, got one of `{handle.type}`{same}")
        if handle.store is not owner.store:
            return fail(call, WasmError, "the resource belongs to another store")
        handle.check_usable()
        if node.op == ABI_OP_OWN:
            if handle.state == BORROWED:
                return fail(call, ArgumentTypeError, "expected an owned handle, got a borrowed one")
            if handle.num_lends or handle.state == STAGED:
                return fail(call, WasmError, "cannot remove owned resource while borrowed")
            handle.state = STAGED
        else:
            if handle.state == STAGED:
                return fail(call, WasmError, "cannot borrow a resource that is given away in the same call")
            handle.num_lends += 1
    elif isinstance(value, ResourceHost):
        if (<ResourceHost>value).type.id != ty.id:
            return fail(call, ArgumentTypeError, f"expected a handle of resource `{ty}`, got one of host type {(<ResourceHost>value).type.key!r}")
        if node.op == ABI_OP_OWN and not (<ResourceHost>value).owned:
            return fail(call, ArgumentTypeError, "expected an owned handle, got a borrowed one")
    elif not (ty.is_class and isinstance(value, ty.key)):
        wanted = ty.key.__qualname__ if ty.is_class else f"a handle of resource `{ty}`"
        return fail(call, ArgumentTypeError, f"expected {wanted}, got {type(value).__name__}")
    incref(<PyObject *>value)
    step.owner = pointer
    return 0


cdef int commit_resource(AbiCall *call, AbiStep *step, uint32_t *out_handle) except -1:
    cdef ComponentInstance owner = <ComponentInstance>call.instance
    cdef Scope *scope = <Scope *>call.scope
    cdef object value = <object><PyObject *>step.owner
    if step.resource == CHANNEL_RESOURCE:
        out_handle[0] = owner.tasks.lower(scope.instance - owner.instances, value)
        return 0
    cdef ResourceType ty = resource_at(owner, step.resource)
    cdef uint64_t rep
    if type(value) is ResourceAny:
        rep = (<ResourceAny>value).rep
    elif isinstance(value, ResourceHost):
        rep = (<ResourceHost>value).rep
    else:
        rep = put_object(owner, value)
    if step.kind == ABI_STEP_OWN:
        out_handle[0] = add_handle(scope.instance, c.WR_HANDLE_OWN, ty.id, rep, 0)
        if type(value) is ResourceAny:
            (<ResourceAny>value).state = MOVED
        return 0
    if ty.instance is owner and scope.instance == &owner.instances[ty.defined_by]:
        out_handle[0] = <uint32_t>rep  # who defines the type gets what it knows it by
        return 0
    if ty.is_class:
        # the slot is emptied when the call ends: `lent` remembers it, off by one so that NULL is none
        step.lent = <void *><size_t>(rep + 1)
    out_handle[0] = add_handle(scope.instance, c.WR_HANDLE_BORROW, ty.id, rep, <uint64_t>scope)
    scope.num_borrows += 1
    return 0


cdef void finish_resource(AbiCall *call, AbiStep *step, int committed) noexcept:
    cdef object value = <object><PyObject *>step.owner
    if step.resource == CHANNEL_RESOURCE:
        if not committed:
            value.give_back()
    elif type(value) is ResourceAny:
        if step.kind == ABI_STEP_BORROW:
            (<ResourceAny>value).num_lends -= 1
        elif (<ResourceAny>value).state == STAGED:
            (<ResourceAny>value).state = OWNED
    elif step.lent != NULL:
        take_object(<ComponentInstance>call.instance, <uint64_t><size_t>step.lent - 1)


cdef PyObject *lift_own(ComponentInstance owner, RuntimeInstance *instance, uint64_t resource, uint32_t index) except NULL:
    """A guest's owned handle leaves its table and becomes the host's."""
    cdef ResourceType ty = resource_at(owner, resource)
    cdef c.WrHandle *handle = find_handle(instance, index, ty)
    cdef uint64_t rep = handle.rep
    cdef object value
    if handle.num_lends:
        raise trap_text(c.TRAP_HANDLE, "cannot remove owned resource while borrowed")
    if handle.kind != c.WR_HANDLE_OWN:
        raise trap_text(c.TRAP_HANDLE, f"cannot lift own resource from a borrow, handle index {index}")
    c.wr_handles_remove(instance.handles, index)
    if ty.is_class:
        value = take_object(owner, rep)
    else:
        value = new_any(owner.store, ty, rep, OWNED, owner.dtors[<Py_ssize_t>resource])
    incref(<PyObject *>value)
    return <PyObject *>value


cdef PyObject *lift_resource(AbiCall *call, const AbiNode *node, uint32_t index) except NULL:
    """What a guest's handle is in Python; an own leaves the table, a borrow is lent until the scope closes."""
    cdef ComponentInstance owner = <ComponentInstance>call.instance
    cdef Scope *scope = <Scope *>call.scope
    cdef ResourceType ty
    cdef c.WrHandle *handle
    cdef object value
    if node.op == ABI_OP_CHANNEL:
        value = owner.tasks.lift(scope.instance - owner.instances, <object><PyObject *>call.objects[node.type], index)
        incref(<PyObject *>value)
        return <PyObject *>value
    if node.op == ABI_OP_OWN:
        return lift_own(owner, scope.instance, node.length, index)
    ty = resource_at(owner, node.length)
    handle = find_handle(scope.instance, index, ty)
    lend(scope, index)
    handle.num_lends += 1
    if ty.is_class:
        value = owner.objects[handle.rep]
    else:
        value = new_any(owner.store, ty, handle.rep, BORROWED, None)
        if scope.borrowed == NULL:
            borrowed = []
            incref(<PyObject *>borrowed)
            scope.borrowed = <PyObject *>borrowed
        (<list>scope.borrowed).append(value)
    incref(<PyObject *>value)
    return <PyObject *>value
