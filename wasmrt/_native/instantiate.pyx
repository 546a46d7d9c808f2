# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True, embedsignature=True
"""Instantiation: a component's initializers as a flat array (`Program`) and a module's imports, looked up (`ModulePre`), run without a Python object each.

A Program is made once for a component, and checked then: every index in range, every reference to what an earlier step made, so that running it looks at
nothing twice. What a linker resolved is in Bindings: lowered imports, host resource types, imported modules. Both are shared by stores and threads.

`run` fills the C structures of a new ComponentInstance: host contexts in one block, then step by step. What fails midway leaves nothing that anybody
can reach: core instances already made stay in their store, which frees them, but no function of theirs gets out.
"""

from libc.stdint cimport uint32_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memset

cimport wasmrt._native.capi as c
from wasmrt._native.core cimport Store, error_from
from wasmrt._native.images cimport CodeMemory
from wasmrt._native.externs cimport InstanceHandle, TypeCollection, check_lost, start_instance, unwrap_extern, wrap_extern
from wasmrt._native.fibers cimport Intrinsic
from wasmrt._native.hosts cimport HostFunc
from wasmrt._native.imports cimport LoweredImport
from wasmrt._native.intrinsics cimport *
from wasmrt._native.resources cimport ComponentInstance, ResourceType, StateCounts, define_resource, new_state

from wasmrt.errors import ArtifactError

cdef enum:
    INLINE_IMPORTS = 32

# Kinds of trampolines (TrampolineRow.kind).
KINDS = {
    "TrampolineLowerImport": LOWER,
    "ResourceNew": RESOURCE_NEW,
    "ResourceRep": RESOURCE_REP,
    "ResourceDrop": RESOURCE_DROP,
    "AdapterTrap": ADAPTER_TRAP,
    "Transcoder": TRANSCODER,
    "ResourceTransferOwn": TRANSFER_OWN,
    "ResourceTransferBorrow": TRANSFER_BORROW,
    "ResourceEnterCall": ENTER_CALL,
    "ResourceExitCall": EXIT_CALL,
    "TaskBuiltin": TASK,
    "TaskCall": TASK,
    "TaskEnter": TASK,
    "TaskExit": TASK,
    "TaskTransfer": TASK,
}

cdef enum StepOp:
    STEP_INSTANTIATE   # index: core instance; first, count: its imports
    STEP_MEMORY        # index: runtime slot; first: what fills it
    STEP_REALLOC
    STEP_POST_RETURN
    STEP_CALLBACK
    STEP_TABLE
    STEP_RESOURCE      # index: resource; instance: who defines it; count: 1 if first is a destructor

INSTANTIATE, MEMORY, REALLOC, POST_RETURN, RESOURCE = STEP_INSTANTIATE, STEP_MEMORY, STEP_REALLOC, STEP_POST_RETURN, STEP_RESOURCE
CALLBACK, TABLE = STEP_CALLBACK, STEP_TABLE

cdef enum RefSource:
    REF_INSTANCE       # item `index` of `kind` of core instance `at`
    REF_TRAMPOLINE     # `at`
    REF_FLAGS          # of component instance `at`

OF_INSTANCE, OF_TRAMPOLINE, OF_FLAGS = REF_INSTANCE, REF_TRAMPOLINE, REF_FLAGS

# A core item (CoreDef).
cdef struct CoreRef:
    uint32_t source, at, kind, index

cdef struct Step:
    uint32_t op, index, first, count
    uint32_t instance
    uint32_t module_index
    c.CodeMemory *code
    const uint32_t *type_ids


cdef object malformed(str what):
    return ArtifactError(f"the artifact's initializers are malformed: {what}")


cdef uint32_t checked(object value, uint32_t end, str what) except? 0xFFFFFFFF:
    if type(value) is not int or not 0 <= value < end:
        raise malformed(f"{what} {value} of {end}")
    return value


cdef uint32_t slots_of(const StateCounts *counts, uint32_t op) noexcept:
    """How many runtime slots of a kind there are."""
    if op == STEP_MEMORY:
        return counts.memories
    if op == STEP_REALLOC:
        return counts.reallocs
    if op == STEP_CALLBACK:
        return counts.callbacks
    return counts.tables if op == STEP_TABLE else counts.post_returns


cdef class Program:
    """The initializers of a component.

    `steps`: (op, index, first, count, instance, TypeCollection or None); `refs`: (source, at, kind, index), which steps name by first and count;
    `rows`: (kind, type id, wasm_call address, a, b, c), one a trampoline. Raises ArtifactError when they do not fit together.
    """

    cdef Step *steps
    cdef CoreRef *refs
    cdef TrampolineRow *rows
    cdef size_t num_steps, num_refs
    cdef StateCounts counts
    cdef object kept

    def __init__(
        self,
        steps: list,
        refs: list,
        rows: list,
        *,
        num_instances: int,
        num_memories: int,
        num_reallocs: int,
        num_post_returns: int,
        num_resources: int,
        num_core_instances: int,
        num_callbacks: int = 0,
        num_tables: int = 0,
    ) -> None:
        cdef size_t i
        assert self.steps == NULL
        self.counts.instances, self.counts.memories, self.counts.reallocs = num_instances, num_memories, num_reallocs
        self.counts.post_returns, self.counts.resources = num_post_returns, num_resources
        self.counts.core_instances, self.counts.trampolines = num_core_instances, <uint32_t>len(rows)
        self.counts.callbacks, self.counts.tables = num_callbacks, num_tables
        self.num_steps, self.num_refs = len(steps), len(refs)
        self.steps = <Step *>calloc(self.num_steps + 1, sizeof(Step))
        self.refs = <CoreRef *>calloc(self.num_refs + 1, sizeof(CoreRef))
        self.rows = <TrampolineRow *>calloc(<size_t>self.counts.trampolines + 1, sizeof(TrampolineRow))
        if self.steps == NULL or self.refs == NULL or self.rows == NULL:
            raise MemoryError
        self.kept = steps
        try:
            for i in range(self.counts.trampolines):
                self.read_row(&self.rows[i], rows[i])
            for i in range(self.num_refs):
                source, at, kind, index = refs[i]
                self.refs[i] = CoreRef(source, at, kind, index)
            for i in range(self.num_steps):
                self.read_step(i, steps[i])
        except OverflowError:
            raise malformed("a number of more than 32 bits") from None

    def __dealloc__(self) -> None:
        free(self.steps)
        free(self.refs)
        free(self.rows)

    cdef int read_row(self, TrampolineRow *row, tuple given) except -1:
        cdef const StateCounts *counts = &self.counts
        kind, type_id, wasm_call, a, b, third = given
        row.kind, row.type_id, row.wasm_call = kind, type_id, <const void *><size_t>wasm_call
        row.a, row.b, row.c = a, b, third
        if row.kind == LOWER or row.kind == TASK:
            checked(a, counts.instances, "component instance")
        elif row.kind <= RESOURCE_DROP:
            checked(a, counts.instances, "component instance")
            checked(b, counts.resources, "resource")
        elif row.kind == TRANSCODER:
            checked(b, counts.memories, "memory")
            checked(third, counts.memories, "memory")
        elif row.kind != ADAPTER_TRAP:
            checked(b, counts.instances, "component instance")
            checked(third, counts.instances, "component instance")
            if row.kind == TRANSFER_OWN or row.kind == TRANSFER_BORROW:
                checked(a, counts.resources, "resource")
        return 0

    cdef int read_step(self, size_t at, tuple given) except -1:
        cdef Step *step = &self.steps[at]
        cdef TypeCollection types
        cdef const StateCounts *counts = &self.counts
        cdef size_t i
        op, index, first, count, instance, module = given
        step.op, step.index, step.first, step.count, step.instance = op, index, first, count, instance
        if step.first > self.num_refs or step.count > self.num_refs - step.first:
            raise malformed("references")
        if step.op == STEP_INSTANTIATE:
            checked(index, counts.core_instances, "core instance")
            types = module
            step.code, step.module_index, step.type_ids = types.code.c_code, types.module_index, types.ids
        elif step.op == STEP_RESOURCE:
            checked(index, counts.resources, "resource")
            checked(instance, counts.instances, "component instance")
        else:
            checked(index, slots_of(counts, step.op), "runtime slot")
        for i in range(step.first, step.first + step.count):
            if self.refs[i].source == REF_TRAMPOLINE:
                checked(self.refs[i].at, counts.trampolines, "trampoline")
            elif self.refs[i].source == REF_FLAGS:
                checked(self.refs[i].at, counts.instances, "component instance")
            else:
                checked(self.refs[i].at, counts.core_instances, "core instance")
        return 0


cdef class Bindings:
    """What a linker resolved for a component: `lowered`, a LoweredImport or None a trampoline; imported resource types and their destructors, None at
    those that the component defines; the names of all. Shared by instances and threads. `describe(type, name)` makes the public type of a function."""

    cdef list lowered
    cdef list resources
    cdef list dtors
    cdef list names
    cdef readonly object describe
    cdef object make_tasks               # of a ComponentInstance: the state of the asynchronous ABI; None: it has none
    cdef bint defines_resources
    cdef TrampolineRow *rows
    cdef uint32_t num_rows
    cdef Program program

    def __init__(
        self, program: Program, lowered: list, resources: list, dtors: list, names: list, describe: object = None, make_tasks: object = None
    ) -> None:
        cdef uint32_t i
        assert self.rows == NULL and len(lowered) == program.counts.trampolines
        assert len(resources) == len(dtors) == len(names) == program.counts.resources
        self.program = program
        self.lowered, self.resources, self.dtors, self.names, self.describe = lowered, resources, dtors, names, describe
        self.make_tasks = make_tasks
        self.defines_resources = None in resources
        self.num_rows = program.counts.trampolines
        self.rows = <TrampolineRow *>malloc((<size_t>self.num_rows + 1) * sizeof(TrampolineRow))
        if self.rows == NULL:
            raise MemoryError
        for i in range(self.num_rows):
            self.rows[i] = program.rows[i]
            if program.rows[i].kind == LOWER and isinstance(lowered[i], Intrinsic):
                self.rows[i].kind = TASK
                self.rows[i].lowered = <void *>lowered[i]
            elif program.rows[i].kind == LOWER:
                if not isinstance(lowered[i], LoweredImport) or (<LoweredImport>lowered[i]).instance >= program.counts.instances:
                    raise malformed(f"trampoline {i} of no import")
                self.check_slot((<LoweredImport>lowered[i]).memory, program.counts.memories)
                self.check_slot((<LoweredImport>lowered[i]).realloc, program.counts.reallocs)
                self.rows[i].lowered = <void *>lowered[i]
            elif program.rows[i].kind == TASK:
                if not isinstance(lowered[i], Intrinsic):
                    raise malformed(f"trampoline {i} of no intrinsic")
                self.rows[i].lowered = <void *>lowered[i]

    cdef int check_slot(self, uint32_t slot, uint32_t count) except -1:
        if slot != 0xFFFFFFFF and slot >= count:
            raise malformed(f"option slot {slot} of {count}")
        return 0

    def __dealloc__(self) -> None:
        free(self.rows)


cdef int core_extern(ComponentInstance state, const CoreRef *ref, c.WrExtern *out) except -1:
    """The item that `ref` names in this instance."""
    if ref.source == REF_INSTANCE:
        if state.core_instances[ref.at] == NULL or not c.wr_instance_item(state.core_instances[ref.at], ref.kind, ref.index, out):
            check_lost(state.store)
            raise malformed(f"core instance {ref.at} has no item {ref.index} of kind {ref.kind}")
    elif ref.source == REF_TRAMPOLINE:
        out.kind = c.WASM_EXTERN_FUNC
        out.func = &state.trampolines[ref.at]
    else:
        out.kind = c.WASM_EXTERN_GLOBAL
        out.global_ = may_leave_global(state, ref.at)
    return 0


cdef c.WrGlobal *may_leave_global(ComponentInstance state, uint32_t index) except NULL:
    """The global that adapters check and set `may_leave` of a component instance through (InstanceFlags)."""
    cdef c.WrError error
    cdef c.ValRaw raw
    cdef c.WrGlobal *made = state.instances[index].flags
    if made == NULL:
        memset(&error, 0, sizeof(error))
        raw.i64 = state.instances[index].may_leave[0]
        made = c.wr_global_new(state.store.c_store, c.WR_VALTYPE_I32, True, &raw, &error)
        if made == NULL:
            raise error_from(&error)
        state.instances[index].flags = made
        state.instances[index].may_leave = &c.wr_global_def(made).value.i32
    return made


cdef int bind_trampolines(ComponentInstance state, Bindings bindings) except -1:
    cdef c.WrHostFunc inline[INLINE_IMPORTS]
    cdef c.WrHostFunc *funcs = inline
    cdef c.WrError error
    cdef uint32_t i
    if bindings.num_rows == 0:
        return 0
    if bindings.num_rows > INLINE_IMPORTS:
        funcs = <c.WrHostFunc *>malloc(bindings.num_rows * sizeof(c.WrHostFunc))
        if funcs == NULL:
            raise MemoryError
    try:
        for i in range(bindings.num_rows):
            bind_trampoline(state, &bindings.rows[i], i, &funcs[i])
        memset(&error, 0, sizeof(error))
        state.trampolines = c.wr_host_funcs_new(state.store.c_store, funcs, bindings.num_rows, &error)
        if state.trampolines == NULL:
            raise error_from(&error)
    finally:
        if funcs != inline:
            free(funcs)
    return 0


cdef int instantiate_step(ComponentInstance state, const CoreRef *refs, const Step *step) except -1:
    cdef c.WrExtern inline[INLINE_IMPORTS]
    cdef c.WrExtern *externs = inline
    cdef c.WrInstance *made = NULL
    cdef uint32_t i
    if step.count > INLINE_IMPORTS:
        externs = <c.WrExtern *>malloc(step.count * sizeof(c.WrExtern))
        if externs == NULL:
            raise MemoryError
    try:
        for i in range(step.count):
            core_extern(state, &refs[i], &externs[i])
        made = start_instance(state.store, step.code, step.module_index, step.type_ids, externs, step.count)
    finally:
        if externs != inline:
            free(externs)
    state.core_instances[step.index] = made
    return 0


cdef int run_step(ComponentInstance state, const CoreRef *refs, const Step *step) except -1:
    cdef c.WrExtern item
    if step.op == STEP_INSTANTIATE:
        return instantiate_step(state, refs, step)
    item.func = NULL
    if step.count:
        core_extern(state, refs, &item)
        if item.kind != (c.WASM_EXTERN_MEMORY if step.op == STEP_MEMORY else c.WASM_EXTERN_TABLE if step.op == STEP_TABLE else c.WASM_EXTERN_FUNC):
            raise malformed("an option is of the wrong kind")
    if step.op == STEP_MEMORY:
        state.memories[step.index] = c.wr_memory_def(item.memory)
    elif step.op == STEP_REALLOC:
        state.reallocs[step.index] = item.func
    elif step.op == STEP_POST_RETURN:
        state.post_returns[step.index] = item.func
    elif step.op == STEP_CALLBACK:
        state.callbacks[step.index] = item.func
    elif step.op == STEP_TABLE:
        state.tables[step.index] = item.table
    else:
        define_resource(state, step.index, step.instance, item.func)
    return 0


def instantiate(Bindings bindings not None, Store store not None) -> ComponentInstance:
    """A new instance: all steps run. Raises Trap, LimitError, or what a host function raised while start functions ran."""
    cdef Program program = bindings.program
    cdef ComponentInstance state
    cdef size_t i
    cdef uint32_t resource
    cdef c.WrError error
    store.ensure_mine()
    memset(&error, 0, sizeof(error))
    if not c.wr_store_add_component(store.c_store, &error):
        raise error_from(&error)
    state = new_state(store, &program.counts)
    state.bindings = bindings
    state.dtors = bindings.dtors
    state.resource_names = bindings.names
    state.resources = bindings.resources[:] if bindings.defines_resources else bindings.resources
    for resource in range(program.counts.resources):
        imported = bindings.resources[<Py_ssize_t>resource]
        if imported is not None:
            state.rows[resource].id = (<ResourceType>imported).id
    bind_trampolines(state, bindings)
    if bindings.make_tasks is not None:
        state.tasks = bindings.make_tasks(state)
    for i in range(program.num_steps):
        run_step(state, &program.refs[program.steps[i].first], &program.steps[i])
    return state


def core_item(ComponentInstance state, source: int, at: int, kind: int, index: int) -> object:
    """The extern object of a core item of an instance."""
    cdef CoreRef ref
    cdef Program program = (<Bindings>state.bindings).program
    cdef c.WrExtern item
    checked(index, 0xFFFFFFFF, "core item")
    checked(at, program.counts.trampolines if source == REF_TRAMPOLINE else program.counts.instances if source == REF_FLAGS else program.counts.core_instances, "core item")
    ref = CoreRef(source, at, kind, index)
    state.store.ensure_open()
    core_extern(state, &ref, &item)
    return wrap_extern(state.store, &item)


# ---- modules ----------------------------------------------------------------------------------------------------------------------------------------

cdef class ModulePre:
    """A module's imports: HostFunc (made in each store, all of an instance in one block) or externs of one store. Immutable, shared between threads."""

    cdef TypeCollection types
    cdef list items
    cdef size_t num_host_funcs

    def __init__(self, TypeCollection types not None, items: list) -> None:
        self.types = types
        self.items = list(items)
        self.num_host_funcs = sum(isinstance(item, HostFunc) for item in items)

    def instantiate(self, Store store not None) -> InstanceHandle:
        """A new instance in `store`. Raises LinkError naming the import that does not fit, LimitError, Trap, or what a host function raised."""
        cdef c.WrExtern inline[INLINE_IMPORTS]
        cdef c.WrExtern *externs = inline
        cdef InstanceHandle handle
        cdef size_t count = len(self.items)
        store.ensure_mine()
        if count > INLINE_IMPORTS:
            externs = <c.WrExtern *>malloc(count * sizeof(c.WrExtern))
            if externs == NULL:
                raise MemoryError
        try:
            self.fill(store, externs)
            handle = InstanceHandle.__new__(InstanceHandle)
            handle.store = store
            handle.code = self.types.code
            handle.c_instance = start_instance(store, self.types.code.c_code, self.types.module_index, self.types.ids, externs, count)
            return handle
        finally:
            if externs != inline:
                free(externs)

    cdef int fill(self, Store store, c.WrExtern *externs) except -1:
        cdef c.WrHostFunc inline[INLINE_IMPORTS]
        cdef c.WrHostFunc *funcs = inline
        cdef c.VMFuncRef *made = NULL
        cdef c.WrError error
        cdef HostFunc host
        cdef size_t i, used = 0
        if self.num_host_funcs:
            if self.num_host_funcs > INLINE_IMPORTS:
                funcs = <c.WrHostFunc *>malloc(self.num_host_funcs * sizeof(c.WrHostFunc))
                if funcs == NULL:
                    raise MemoryError
            for item in self.items:
                if isinstance(item, HostFunc):
                    host = <HostFunc>item
                    memset(&funcs[used], 0, sizeof(c.WrHostFunc))
                    funcs[used].type_id = host.type_id
                    funcs[used].magic = c.WR_VMCTX_MAGIC_HOST
                    funcs[used].wasm_call = host.wasm_call
                    funcs[used].call = host.call
                    funcs[used].data = host.data
                    used += 1
            memset(&error, 0, sizeof(error))
            made = c.wr_host_funcs_new(store.c_store, funcs, <uint32_t>used, &error)
            if funcs != inline:
                free(funcs)
            if made == NULL:
                raise error_from(&error)
            store.keep(self)  # the contexts point at its functions
        used = 0
        for i in range(<size_t>len(self.items)):
            if isinstance(self.items[i], HostFunc):
                externs[i].kind = c.WASM_EXTERN_FUNC
                externs[i].func = &made[used]
                used += 1
            else:
                unwrap_extern(store, self.items[i], &externs[i])
        return 0
