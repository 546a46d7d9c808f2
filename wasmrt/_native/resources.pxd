# cython: language_level=3
"""Component instances and their resources; `resources.pyx` says what each is for."""

from cpython.object cimport PyObject
from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t

cimport wasmrt._native.capi as c
from wasmrt._native.abi cimport AbiCall, AbiNode, AbiStep, Resource
from wasmrt._native.core cimport Store

cdef extern from "quick.h" nogil:
    ctypedef struct WrGate:
        bint poisoned
        bint busy
        uint32_t num_borrowed


cdef enum:
    OWNED      # the host owns it
    STAGED     # it is an argument of a call that is being prepared
    BORROWED   # valid until its call ends
    MOVED      # a guest has it now
    DROPPED
    EXPIRED    # a borrow whose call ended


# One call's borrows: those it put into the callee's table, and those it took out of the caller's.
cdef struct Scope:
    Scope *previous            # of the same runtime instance, the callee
    Scope *outer               # calls between components: of the same component instance, open or free
    RuntimeInstance *instance  # whose handles are lent; for a call from the host, the callee
    uint32_t num_borrows       # borrow handles of this call that the guest has not dropped
    uint32_t num_lends
    uint32_t capacity
    uint32_t *lends            # handles of the table that are lent for this call
    uint32_t first_lends[4]
    PyObject *borrowed         # list of ResourceAny that end with the call; strong or NULL


# A component instance inside a component: what the canonical ABI calls ComponentInstance.
cdef struct RuntimeInstance:
    int32_t *may_leave         # `own_may_leave`, or the core global that adapters know it by
    int32_t own_may_leave
    c.WrGlobal *flags          # the global that adapters read and write `may_leave` through; NULL: none does
    c.WrHandleTable *handles
    Scope *scopes              # of the calls that run, innermost first


# A resource type as adapters see it.
cdef struct ResourceRow:
    uint64_t id                # 0: not defined yet
    RuntimeInstance *definer   # NULL: none of this component instance
    c.VMFuncRef *dtor          # of a guest's type; NULL: none


# How many of each a component instance has.
cdef struct StateCounts:
    uint32_t instances, memories, reallocs, post_returns, resources, trampolines, core_instances, callbacks, tables


# Scopes of calls between the components of one component instance.
cdef struct OpenScopes:
    Scope *opened              # innermost first
    Scope *spare


# What the host context of a resource intrinsic of adapters points at.
cdef struct Transfer:
    OpenScopes *scopes
    RuntimeInstance *src
    RuntimeInstance *dst
    ResourceRow *resource


cdef class ResourceType:
    cdef readonly uint64_t id
    cdef readonly object key             # host: the int or class it was made of; guest: None
    cdef readonly str name
    cdef bint is_class                   # host: values are instances of `key`
    cdef ComponentInstance instance      # guest: who defines it
    cdef uint32_t defined_by             # guest: the RuntimeComponentInstanceIndex
    cdef c.VMFuncRef *dtor               # guest: NULL where it has none
    cdef object __weakref__


cdef class ResourceAny(Resource):
    cdef readonly ResourceType type
    cdef Store store
    cdef object dtor                     # host: called with (store, rep)
    cdef uint64_t rep
    cdef uint8_t state
    cdef uint32_t num_lends

    cdef int check_usable(self) except -1
    cdef int check_store(self, object store) except -1


cdef class ResourceHost(Resource):
    cdef readonly ResourceType type
    cdef readonly uint64_t rep
    cdef readonly bint owned


cdef class ComponentInstance:
    cdef readonly Store store
    cdef WrGate gate                     # whether it can be entered
    cdef void *block                     # holds all arrays below
    cdef list waiting                    # Borrows that are over, whose post-return has not run
    cdef RuntimeInstance *instances
    cdef ResourceRow *rows               # ResourceIndex
    cdef Transfer *transfers             # of the trampolines
    cdef OpenScopes scopes
    cdef uint32_t num_instances
    cdef c.VMMemoryDef **memories
    cdef c.VMFuncRef **reallocs
    cdef c.VMFuncRef **post_returns
    cdef c.VMFuncRef **callbacks         # and other functions that the asynchronous ABI calls
    cdef c.WrTable **tables
    cdef c.WrInstance **core_instances   # RuntimeInstanceIndex; NULL: not made yet
    cdef c.VMFuncRef *trampolines        # TrampolineIndex
    cdef uint32_t num_memories, num_reallocs, num_post_returns, num_resources
    cdef list resources                  # ResourceIndex -> ResourceType, None: a guest's that nobody asked for; shared where no guest defines any
    cdef list resource_names
    cdef list dtors                      # ResourceIndex -> callable(store, rep) of a host resource, or None; shared
    cdef list objects                    # rep -> Python object of a host class
    cdef list free_objects
    cdef object bindings                 # what the host contexts point at
    cdef public object tasks             # state of the asynchronous ABI (wasmrt/concurrent); None: no part of the component uses it
    cdef object __weakref__


cdef ComponentInstance new_state(Store store, const StateCounts *counts)
cdef int define_resource(ComponentInstance self, uint32_t index, uint32_t instance, c.VMFuncRef *dtor) except -1
cdef ResourceType make_guest_type(ComponentInstance self, uint32_t index)


cdef inline ResourceType resource_at(ComponentInstance owner, uint64_t index):
    """The type at a ResourceIndex."""
    cdef object found = owner.resources[<Py_ssize_t>index]
    return <ResourceType>found if found is not None else make_guest_type(owner, <uint32_t>index)


cdef inline void scope_init(Scope *scope, RuntimeInstance *instance) noexcept nogil:
    scope.instance = instance
    scope.num_borrows = 0
    scope.num_lends = 0
    scope.capacity = 4
    scope.lends = scope.first_lends
    scope.borrowed = NULL


cdef int reserve_lend(Scope *scope) noexcept nogil
cdef void end_loans(Scope *scope) noexcept nogil
cdef void scope_close(Scope *scope) noexcept
cdef PyObject *lift_own(ComponentInstance owner, RuntimeInstance *instance, uint64_t resource, uint32_t index) except NULL
cdef void set_hooks(AbiCall *call, ComponentInstance owner, Scope *scope) noexcept
cdef c.WrHandle *find_handle(RuntimeInstance *instance, uint32_t index, ResourceType ty) except NULL
cdef int settle(Store store, ComponentInstance owner, c.WrEntry *entry, bint failed) except -1
cdef int drop_rep(Store store, ResourceType ty, uint64_t rep, object dtor) except -1
cdef uint32_t add_handle(RuntimeInstance *instance, uint32_t kind, uint64_t type_id, uint64_t rep, uint64_t scope) except 0
cdef object take_object(ComponentInstance owner, uint64_t rep)
