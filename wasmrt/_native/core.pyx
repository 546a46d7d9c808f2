# cython: language_level=3, boundscheck=False, wraparound=False, embedsignature=True
"""Owns the C objects that everything else hangs on: type registry, pools, stores; and the way in and out of guest code.

* Every call of guest code is `Store.enter`, an array call, `Store.leave`. What went wrong is raised by `Store.raise_pending`: the exception that a host
  function left in `Store.pending`, else a Trap with the frames that C recorded.
* Guest code starts with the GIL held. The interrupt hook lets it go after the first tick (about a millisecond); a host function takes it back
  (`gil_acquire`, only a load and a compare when it was never let go), and so does the outermost return. The saved thread state lives in the
  store's StoreHost, which C reaches without Python.
* Nothing here runs guest code from a deallocator: dropped handles are queued on `Store.drop_queue` and run at the next entry.
"""

from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

cimport wasmrt._native.capi as c
from wasmrt._native.pyapi cimport error_set, error_unraisable, refuse_new

import threading
import warnings

from wasmrt import errors
from wasmrt.errors import (
    ArtifactError,
    DecodeError,
    ExitTrap,
    Frame,
    LimitError,
    LinkError,
    Trap,
    UnsupportedError,
    ValidationError,
    WasmError,
)

cdef extern from "Python.h":
    void PyEval_RestoreThread(PyThreadState *state) nogil

cdef extern from "time.h" nogil:
    struct timespec:
        long tv_sec
        long tv_nsec
    int clock_gettime(int clock, timespec *out)
    const int CLOCK_MONOTONIC

# On the main thread the interrupt hook takes the GIL back this often to run Python's signal handlers (Ctrl-C).
cdef uint64_t TICKS_BETWEEN_SIGNAL_CHECKS = 20
cdef int64_t EPOCH_LOOK_NS = 10000000
cdef size_t MAX_FRAMES = 128
cdef Py_ssize_t MAX_NOTES = 16


# ---- errors -----------------------------------------------------------------------------------------------------------------------------------------

cdef object error_from(c.WrError *error, str path=""):
    """The exception that says what `error` says."""
    cdef str message = error.message[:].decode("utf-8", "replace") if error.message[0] else "unknown error"
    if error.kind == c.WR_ERROR_LINK:
        return LinkError(message)
    if error.kind == c.WR_ERROR_ARTIFACT:
        reason, compared, rest = message.partition(": found ")
        found, both, wanted = rest.rpartition(", wanted ")
        return ArtifactError(reason, found, wanted) if compared and both else ArtifactError(message)
    kinds = {
        c.WR_ERROR_DECODE: DecodeError,
        c.WR_ERROR_VALIDATION: ValidationError,
        c.WR_ERROR_LIMIT: LimitError,
        c.WR_ERROR_MEMORY: LimitError,
        c.WR_ERROR_UNSUPPORTED: UnsupportedError,
    }
    cls = kinds.get(error.kind)
    if cls is None:
        return WasmError(message)
    return cls(
        message,
        offset=None if error.offset == c.WR_NO_OFFSET else error.offset,
        function=None if error.func_index == c.WR_NO_FUNC else error.func_index,
        path=path,
    )


cdef object trap_code_enum = None


def set_trap_code_enum(enum: object) -> None:
    """Called once by the runtime: the public TrapCode that Trap.trap_code is converted to."""
    global trap_code_enum
    trap_code_enum = enum


cdef object frames_of(Store store):
    cdef c.WrFrame *frames = <c.WrFrame *>malloc(MAX_FRAMES * sizeof(c.WrFrame))
    cdef size_t count, i
    cdef const char *name
    cdef size_t name_length
    if frames == NULL:
        return ()
    result = []
    try:
        count = c.wr_store_backtrace(store.c_store, frames, MAX_FRAMES)
        for i in range(count):
            if frames[i].place.func_index == c.WR_NO_FUNC:
                continue
            func_name = module_name = None
            module = c.wr_code_module(frames[i].place.code, frames[i].place.module_index, NULL)
            if module == NULL:
                continue
            if c.wr_module_func_name(module, frames[i].place.func_index, &name, &name_length):
                func_name = name[:name_length].decode("utf-8", "replace")
            if c.wr_module_name(module, &name, &name_length):
                module_name = name[:name_length].decode("utf-8", "replace")
            result.append(
                Frame(
                    func_index=frames[i].place.func_index,
                    func_name=func_name,
                    module_name=module_name,
                    module_offset=frames[i].place.module_offset,
                    func_offset=frames[i].place.func_offset,
                )
            )
    finally:
        free(frames)
    return tuple(result)


cdef object trap_code_object(uint32_t trap_code):
    """The public TrapCode member, or the number where there is none."""
    if trap_code_enum is not None:
        try:
            return trap_code_enum(trap_code)
        except ValueError:
            pass
    return trap_code


cdef object trap_text(uint32_t trap_code, str text):
    """A Trap that host code found, in its own words; `Store.set_pending` adds the frames when it leaves through guest code."""
    return Trap("wasm trap: " + text, trap_code_object(trap_code))


cdef str backtrace_text(tuple frames):
    lines = []
    for i, frame in enumerate(frames):
        where = f"{frame.module_name or '<unknown>'}!{frame.func_name or f'<wasm function {frame.func_index}>'}"
        lines.append(f"  {i:>3}: {frame.module_offset:#8x} - {where}")
    return "error while executing at wasm backtrace:\n" + "\n".join(lines)


cdef str with_backtrace(str message, tuple frames):
    return backtrace_text(frames) + "\n\nCaused by:\n    " + message if frames else message


cdef int note_frames(object exception, tuple frames) except -1:
    """Adds the wasm frames that a Python exception passes through to its notes; one that is raised over and over does not collect them for ever."""
    if frames and len(getattr(exception, "__notes__", ())) < MAX_NOTES:
        exception.add_note(backtrace_text(frames))
    return 0


cdef object trap_from(Store store, uint32_t trap_code, str said=None):
    """The Trap for a code, with the wasm frames that C recorded."""
    cdef const char *text = c.wr_trap_message(trap_code)
    frames = frames_of(store)
    message = "wasm trap: " + (said or (text.decode() if text != NULL else f"trap {trap_code}"))
    return Trap(with_backtrace(message, frames), trap_code_object(trap_code), frames)


# ---- engine-wide ------------------------------------------------------------------------------------------------------------------------------------

cdef class Tunables:
    """What machine code depends on besides the module (`WrTunables`), made by the Engine from its Config."""

    def __init__(
        self,
        *,
        cpu_features: int,
        memory_reservation: int,
        memory_guard_bytes: int,
        guarded_memories: bool,
        signals_based_traps: bool,
        interruptible: bool = True,
        consume_fuel: bool = False,
        nan_canonicalization: bool = False,
        relaxed_simd_deterministic: bool = False,
        debug_checks: bool = False,
        careful_functions: tuple[int, int] = (0, 0),
    ) -> None:
        memset(&self.c_tunables, 0, sizeof(self.c_tunables))
        self.c_tunables.cpu_features = cpu_features
        self.c_tunables.memory_reservation = memory_reservation
        self.c_tunables.memory_guard_bytes = memory_guard_bytes
        self.c_tunables.guarded_memories = guarded_memories
        self.c_tunables.signals_based_traps = signals_based_traps
        self.c_tunables.interruptible = interruptible
        self.c_tunables.consume_fuel = consume_fuel
        self.c_tunables.nan_canonicalization = nan_canonicalization
        self.c_tunables.relaxed_simd_deterministic = relaxed_simd_deterministic
        self.c_tunables.debug_checks = debug_checks
        self.c_tunables.careful_first, self.c_tunables.careful_end = careful_functions

    @property
    def consume_fuel(self) -> bool:
        return bool(self.c_tunables.consume_fuel)

    def key(self) -> bytes:
        """All of it, CPU features included, to hash or to compare."""
        return (<const uint8_t *>&self.c_tunables)[: sizeof(self.c_tunables)]


def cpu_features() -> tuple[int, int]:
    """Bits of (this host's features, the portable baseline), as the compiler may use them."""
    cdef uint64_t host = 0, baseline = 0
    c.wr_cpu_features(&host, &baseline)
    return host, baseline


cdef class TypeRegistry:
    """The engine's canonical core types; ids are compared by call_indirect and linking."""

    def __cinit__(self) -> None:
        self.c_registry = c.wr_types_new()
        if self.c_registry == NULL:
            raise MemoryError("type registry")

    def __dealloc__(self) -> None:
        if self.c_registry != NULL:
            c.wr_types_release(self.c_registry)

    def register_func(self, params: tuple[int, ...], results: tuple[int, ...]) -> int:
        """The id of a function type given by value type words."""
        cdef uint32_t[1000] words
        cdef uint32_t type_id = 0
        cdef size_t i, num_params = len(params), num_results = len(results)
        cdef c.WrError error
        if num_params + num_results > 1000:
            raise LimitError("a function type has more than 1000 parameters and results")
        for i in range(num_params):
            words[i] = params[i]
        for i in range(num_results):
            words[num_params + i] = results[i]
        memset(&error, 0, sizeof(error))
        if not c.wr_types_register_func(
            self.c_registry, words, <uint32_t>num_params, words + num_params, <uint32_t>num_results, &type_id, &error
        ):
            raise error_from(&error)
        return type_id

    def func(self, type_id: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """(parameter words, result words) of a registered id."""
        cdef const uint32_t *params
        cdef const uint32_t *results
        cdef uint32_t num_params, num_results, i
        if not c.wr_types_func(self.c_registry, type_id, &params, &num_params, &results, &num_results):
            raise WasmError(f"type {type_id} is not a function type")
        return tuple([params[i] for i in range(num_params)]), tuple([results[i] for i in range(num_results)])


cdef class Pool:
    """The slots of a pooling allocator, shared by the stores of an engine. Raises LimitError when the address space does not have room for them."""

    def __cinit__(self, Tunables tunables not None, sizes: dict[str, int]) -> None:
        cdef c.WrPoolConfig config
        cdef c.WrError error
        memset(&config, 0, sizeof(config))
        memset(&error, 0, sizeof(error))
        config.max_memory_bytes = sizes["max_memory_size"]
        config.table_elements = sizes["table_elements"]
        config.max_core_instance_bytes = sizes["max_core_instance_size"]
        config.memory_keep_resident_bytes = sizes["linear_memory_keep_resident"]
        config.table_keep_resident_bytes = sizes["table_keep_resident"]
        config.total_component_instances = sizes["total_component_instances"]
        config.total_core_instances = sizes["total_core_instances"]
        config.total_memories = sizes["total_memories"]
        config.total_tables = sizes["total_tables"]
        config.max_unused_warm_slots = sizes["max_unused_warm_slots"]
        self.c_pool = c.wr_pool_new(&config, &tunables.c_tunables, &error)
        if self.c_pool == NULL:
            raise error_from(&error)

    def __dealloc__(self) -> None:
        if self.c_pool != NULL:
            c.wr_pool_release(self.c_pool)

    def usage(self) -> dict[str, int]:
        """Slots that are taken now, by kind; warm_memories: free ones that have an image mapped."""
        cdef c.WrPoolUsage usage
        c.wr_pool_usage(self.c_pool, &usage)
        return {
            "component_instances": usage.component_instances,
            "core_instances": usage.core_instances,
            "memories": usage.memories,
            "tables": usage.tables,
            "warm_memories": usage.warm_memories,
        }


cdef class EpochCounter:
    """The engine's epoch: stores read it in the slow path of the interrupt check."""

    def increment(self) -> None:
        self.value += 1
        c.wr_interrupt_all()

    @property
    def current(self) -> int:
        return self.value


# ---- stores -----------------------------------------------------------------------------------------------------------------------------------------

cdef int64_t monotonic_ns() noexcept nogil:
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return <int64_t>now.tv_sec * 1000000000 + now.tv_nsec


cdef void gil_restore(StoreHost *host) noexcept nogil:
    cdef PyThreadState *saved = host.saved
    host.saved = NULL
    PyEval_RestoreThread(saved)


cdef int check_signals(StoreHost *host) noexcept with gil:
    """Runs Python's signal handlers; their exception becomes the store's pending one."""
    cdef Store store
    try:
        PyErr_CheckSignals()
    except BaseException as exception:
        store = <Store>host.store
        store.set_pending(exception)
        return 1
    return 0


cdef c.c_bool is_over(c.WrStore *c_store, void *opaque) noexcept nogil:
    """Whether the epoch or the deadline says that the guest is to end."""
    cdef StoreHost *host = <StoreHost *>opaque
    if host == NULL:
        return False
    if host.epoch != NULL and host.epoch[0] >= host.epoch_deadline:
        return True
    return host.deadline_ns != 0 and monotonic_ns() >= host.deadline_ns


cdef int on_interrupt(c.WrStore *c_store, void *opaque) noexcept nogil:
    """The slow path of the interrupt check, on the guest's thread (see the header of this file)."""
    cdef StoreHost *host = <StoreHost *>opaque
    # the hooks are the process's: a store that was made through the C API has no Python side
    if host == NULL:
        return 0
    host.ticks += 1
    if is_over(c_store, opaque):
        c.wr_store_trap(c_store, c.TRAP_INTERRUPT)
        return 1
    if (host.ticks == 1 or host.ticks % TICKS_BETWEEN_SIGNAL_CHECKS == 0) and is_main_thread():
        if host.saved != NULL:
            gil_restore(host)
        if check_signals(host):
            return 1
    if host.saved == NULL and not host.hold_gil:
        host.saved = PyEval_SaveThread()
    return 0


cdef void before_block(c.WrStore *c_store, void *opaque) noexcept nogil:
    """Lets the GIL go: whoever needs it next takes it back."""
    cdef StoreHost *host = <StoreHost *>opaque
    if host != NULL and host.saved == NULL and not host.hold_gil:
        host.saved = PyEval_SaveThread()


cdef c.WrHooks hooks
hooks.interrupt = on_interrupt
hooks.is_over = is_over
hooks.before_block = before_block
c.wr_set_hooks(&hooks)

_signals_lock = threading.Lock()
_signals_installed = False


def install_signal_handlers() -> None:
    """Once per process: the handlers that turn faults of guest code into traps; others' faults go to the handlers before."""
    global _signals_installed
    cdef c.WrError error
    with _signals_lock:
        if _signals_installed:
            return
        memset(&error, 0, sizeof(error))
        if not c.wr_signals_install(&error):
            raise error_from(&error)
        _signals_installed = True


cdef object run_drop(object function, object args):
    """False: it is to be run again at a later entry."""
    try:
        return function(*args) is not False
    except BaseException as exception:
        error_set(<PyObject *>BaseException, <PyObject *>exception)
        error_unraisable(<PyObject *>function)
    return True


cdef object engine_class = None


def set_engine_class(cls: type) -> None:
    """Called once by the runtime: what a Store is made of."""
    global engine_class
    engine_class = cls


cdef class StoreSettings:
    """What an Engine's stores have in common."""

    def __init__(
        self,
        TypeRegistry registry,
        EpochCounter epoch,
        max_wasm_stack: int,
        bint epoch_interruption,
        call_options: object,
        Pool pool=None,
        bint memory_init_cow=True,
        bint gc_stress=False,
    ) -> None:
        self.gc_stress = gc_stress
        self.registry = registry
        self.epoch = epoch
        self.max_wasm_stack = max_wasm_stack
        self.epoch_interruption = epoch_interruption
        self.call_options = call_options
        self.pool = pool
        self.memory_init_cow = memory_init_cow


cdef class Store:
    """Instances, memories, tables, globals and host state that live and die together; used by one thread at a time.

    >>> store = Store(engine)

    Any object made from it keeps it alive. `close()` (or leaving `with`) frees it at once; later use raises ValueError.
    """

    def __cinit__(self) -> None:
        self.host.store = <PyObject *>self

    def __init__(self, engine: object = None, data: object = None) -> None:
        cdef c.WrError error
        cdef StoreSettings settings
        if self.context != NULL or self.engine is not None:
            raise WasmError("a store is made once")
        if engine is None:
            engine = engine_class()
        elif not isinstance(engine, engine_class):
            raise errors.ArgumentTypeError(f"expected an Engine, got {type(engine).__name__}")
        settings = <StoreSettings?>engine.store_settings
        self.engine = engine
        self.registry = settings.registry
        self.epoch = settings.epoch
        self.call_options = settings.call_options
        self.user_data = data
        error.kind = c.WR_ERROR_NONE
        error.message[0] = 0
        self.c_store = c.wr_store_new(settings.registry.c_registry, settings.max_wasm_stack, &self.host, &error)
        if self.c_store == NULL:
            raise error_from(&error)
        self.context = c.wr_store_context(self.c_store)
        c.wr_store_set_allocation(self.c_store, NULL if settings.pool is None else settings.pool.c_pool, settings.memory_init_cow)
        c.wr_store_set_gc_stress(self.c_store, settings.gc_stress)
        if settings.epoch_interruption:
            self.host.epoch = &settings.epoch.value
            self.host.attention |= ATTENTION_EPOCH

    def __dealloc__(self) -> None:
        if self.c_store != NULL:
            c.wr_store_free(self.c_store)

    cdef int ensure_open(self) except -1:
        if self.c_store == NULL:
            raise errors.ArgumentValueError("the store is closed")
        return 0

    cdef int ensure_mine(self) except -1:
        """Before anything in the store is made or changed: it is open, and no other thread runs guest code in it. That stays so as long as the GIL is held."""
        cdef c.WrEnterResult result
        self.ensure_open()
        result = c.wr_store_owned(self.c_store)
        if result != c.WR_ENTER_OK:
            self.raise_enter(result)
        return 0

    def close(self) -> None:
        """Frees everything in the store now. Not while it runs guest code. Idempotent."""
        if self.c_store == NULL:
            return
        if c.wr_store_running(self.c_store):
            raise WasmError("a store cannot be closed while it runs guest code (in a forked child: while another thread of the parent ran it)")
        c.wr_store_free(self.c_store)
        self.c_store = NULL
        self.context = NULL
        self.host.attention = ATTENTION_CLOSED
        self.kept = self.externrefs = self.noted = self.tasks = None
        if self.drop_queue:
            unrun = self.count_unrun()
            self.drop_queue.clear()
            if unrun != 0:
                warnings.warn(f"{unrun} owned resources were not dropped before their store was closed: their destructors never ran", ResourceWarning, stacklevel=2)

    cdef Py_ssize_t count_unrun(self) except -1:
        """Destructors of collected handles that still wait."""
        return sum([1 for entry in self.drop_queue if len(entry) == 2])  # post-returns have a third part

    def __del__(self) -> None:
        """A store that nobody closed says too which destructors never ran."""
        if self.c_store != NULL and self.drop_queue:
            unrun = self.count_unrun()
            if unrun != 0:
                warnings.warn(f"{unrun} owned resources were not dropped before their store was freed: their destructors never ran", ResourceWarning, source=self)

    @property
    def closed(self) -> bool:
        return self.c_store == NULL

    cdef int keep(self, object item) except -1:
        """Keeps what the C store points at as long as the store."""
        if self.kept is None:
            self.kept = []
        self.kept.append(item)
        return 0

    cdef int queue_drop(self, tuple entry) except -1:
        """(callable, args) to run at the next entry; deallocators call it, whenever the collector wants."""
        if self.drop_queue is None:
            self.drop_queue = []
        self.drop_queue.append(entry)
        self.host.attention |= ATTENTION_DROPS
        return 0

    cdef int raise_enter(self, int result) except -1:
        if result == c.WR_ENTER_BUSY:
            raise WasmError("the store is in use by another thread; a store runs on one thread at a time")
        if result == c.WR_ENTER_LOST:
            raise WasmError(
                "another thread ran guest code in this store when the process was forked: the child has no such thread, and cannot use the store"
            )
        raise trap_from(self, c.TRAP_STACK_OVERFLOW)

    cdef int enter_outermost(self) except -1:
        """What only some outermost entries have to do (see `enter_store`). Raises nothing."""
        if self.drop_queue:
            self.run_drops()
        if self.host.epoch != NULL and self.host.epoch[0] >= self.host.epoch_deadline:
            self.context.stack_limit = <uintptr_t>-1
        return 0

    def run_drops(self) -> None:
        """Runs what deallocators queued: destructors and post-returns of dropped objects. What they raise goes to sys.unraisablehook: the call
        that happens to come next has nothing to do with it. What cannot run yet says False and is queued again."""
        again = []
        self.host.attention &= ~<uint32_t>ATTENTION_DROPS
        while self.drop_queue:
            entry = self.drop_queue.pop(0)
            if not run_drop(entry[0], entry[1]):
                again.append(entry)
        for entry in again:
            self.queue_drop(entry)

    cdef int call(self, c.VMFuncRef *func, c.ValRaw *values, size_t capacity) except -1:
        """Enters, calls, leaves; raises what came of it."""
        cdef c.WrEntry entry
        cdef bint ok
        enter_store(self, &entry)
        ok = func.array_call(func.vmctx, func.vmctx, values, capacity)
        gil_acquire(self.context)
        try:
            if not ok:
                self.raise_pending()  # before it is left: making a Trap can run Python code, and nobody can close the store now
        finally:
            leave_store(self, &entry)
        return 0

    cdef int raise_pending(self) except -1:
        exception = self.pending
        self.pending = None
        if self.context.trap_code == c.TRAP_HOST and exception is not None:
            raise exception
        if self.context.trap_code == c.TRAP_INTERRUPT and self.host.timeout_ns != 0 and monotonic_ns() >= self.host.deadline_ns:
            raise trap_from(self, c.TRAP_INTERRUPT, f"interrupt: the call ran longer than its timeout of {self.host.timeout_ns / 1e9:g} s")
        if self.context.trap_code == c.TRAP_HOST:  # a native function that trapped says why, or not
            raise trap_from(self, c.TRAP_HOST, c.wr_store_trap_text(self.c_store).decode("utf-8", "replace") or "a native host function failed")
        raise trap_from(self, self.context.trap_code)

    cdef void set_pending(self, object exception) noexcept:
        """Makes `exception` what the outer call raises; the host function then returns false."""
        self.pending = exception
        c.wr_store_trap(self.c_store, c.TRAP_HOST)
        try:
            if type(exception) is not Trap:
                if exception is not self.noted and type(exception) is not ExitTrap:  # the frames of outer calls were part of the first note
                    self.noted = exception
                    self.host.attention |= ATTENTION_NOTED
                    note_frames(exception, frames_of(self))
            elif not exception.frames:
                frames = frames_of(self)
                exception.args = (with_backtrace(exception.message, frames),)
                exception.frames = frames
        except Exception:
            pass  # no memory, or an exception that takes no notes: it is raised all the same

    # -- what users set -----------------------------------------------------------------------------------------------------------------------

    def set_fuel(self, fuel: int) -> None:
        """Sets the fuel left, in units of about one instruction. Raises WasmError unless Config.consume_fuel is on."""
        self._check_fuel()
        if not 0 <= fuel < 1 << 63:
            raise errors.ArgumentOverflowError(f"fuel is 0 to 2**63 - 1, got {fuel}")
        self.context.fuel = fuel

    def get_fuel(self) -> int:
        """The fuel left."""
        self._check_fuel()
        return max(self.context.fuel, 0)

    def _check_fuel(self) -> None:
        self.ensure_open()
        if not self.engine.tunables.consume_fuel:
            raise WasmError("fuel is not configured in this store: set Config.consume_fuel")

    def gc_stats(self) -> tuple[int, int, int]:
        """(bytes of memory for objects of guests, bytes of those that lived at the last collection, collections)."""
        cdef c.WrGcStats stats
        self.ensure_open()
        c.wr_store_gc_stats(self.c_store, &stats)
        return stats.heap_bytes, stats.live_bytes, stats.num_collections

    def set_epoch_deadline(self, ticks_after_current: int) -> None:
        """Guest code traps once the engine's epoch has advanced by this many ticks."""
        self.ensure_open()
        self.host.epoch_deadline = self.epoch.value + <uint64_t>ticks_after_current

    def set_limits(
        self,
        memory_size: int = -1,
        table_elements: int = -1,
        instances: int = -1,
        tables: int = -1,
        memories: int = -1,
    ) -> None:
        """Bounds what guests may allocate in this store; -1 leaves a limit unset.

        `memory_size`: bytes of each linear memory, and of the heap of structs and arrays, which is one a store; beyond it memory.grow gives -1 and making an
        object traps (TrapCode.ALLOCATION_TOO_LARGE). `table_elements`: of each table. `instances`, `tables`, `memories`: how many the store has.
        """
        cdef c.WrLimits limits
        self.ensure_open()
        limits.memory_bytes = <uint64_t>-1 if memory_size < 0 else memory_size
        limits.table_elements = <uint64_t>-1 if table_elements < 0 else table_elements
        limits.instances = <uint32_t>-1 if instances < 0 else instances
        limits.tables = <uint32_t>-1 if tables < 0 else tables
        limits.memories = <uint32_t>-1 if memories < 0 else memories
        c.wr_store_set_limits(self.c_store, &limits)

    def set_timeout(self, seconds: float | None) -> None:
        """Guest code that still runs this long from now traps with TrapCode.INTERRUPT; None takes the limit away."""
        self.ensure_open()
        self.host.deadline_ns = 0 if seconds is None else monotonic_ns() + <int64_t>(seconds * 1e9)

    def set_wasi_file(self, descriptor: int, file: int, readable: bool, writable: bool, seekable: bool) -> None:
        """WASI 0.1: a guest's descriptor is that plain file of this process, which has to stay open until the descriptor is said to be none
        (no rights) or all are forgotten."""
        cdef uint32_t rights = (c.WR_WASI_READ if readable else 0) | (c.WR_WASI_WRITE if writable else 0) | (c.WR_WASI_SEEK if seekable else 0)
        self.ensure_mine()
        if not c.wr_wasi_set_file(self.c_store, descriptor, file, rights):
            raise MemoryError

    def forget_wasi_files(self) -> None:
        """No descriptor is a plain file any more. Raises WasmError while another thread runs guest code, which may be using them."""
        if self.c_store != NULL:
            self.ensure_mine()
            c.wr_wasi_forget(self.c_store)

    def wait_limit_ns(self) -> int | None:
        """For host functions that wait: nanoseconds until they have to look with `check_interrupt` whether the guest is to go on; None: never."""
        cdef object limit = None
        if self.host.deadline_ns != 0:
            limit = max(self.host.deadline_ns - monotonic_ns(), 0)
        if self.host.epoch != NULL:  # another thread moves it on, which wakes nobody
            limit = EPOCH_LOOK_NS if limit is None else min(limit, EPOCH_LOOK_NS)
        return limit

    def check_interrupt(self) -> None:
        """In a host function: raises the Trap that guest code would meet here, when its timeout or its epoch deadline is over."""
        if self.host.deadline_ns != 0 and monotonic_ns() >= self.host.deadline_ns:
            if self.host.timeout_ns != 0:
                raise trap_text(c.TRAP_INTERRUPT, f"interrupt: the call ran longer than its timeout of {self.host.timeout_ns / 1e9:g} s")
            raise trap_text(c.TRAP_INTERRUPT, "interrupt")
        if self.host.epoch != NULL and self.host.epoch[0] >= self.host.epoch_deadline:
            raise trap_text(c.TRAP_INTERRUPT, "interrupt")

    def gc(self) -> None:
        """Frees the objects (structs, arrays, exceptions) of guests that nothing refers to, and runs pending drops of collected handles. Objects are freed
        without this too, as guests make more; references of the host are freed with the store.

        >>> store.gc()
        """
        cdef c.WrEntry entry
        enter_store(self, &entry)
        leave_store(self, &entry)
        c.wr_store_gc(self.c_store)


cdef unsigned long main_thread_ident = threading.main_thread().ident

cdef extern from "pythread.h":
    unsigned long PyThread_get_thread_ident() nogil


cdef bint is_main_thread() noexcept nogil:
    return PyThread_get_thread_ident() == main_thread_ident


def _after_fork() -> None:
    global main_thread_ident, _signals_lock
    _signals_lock = threading.Lock()  # another thread of the parent may have held it
    main_thread_ident = threading.main_thread().ident


import os as _os  # noqa: E402

_os.register_at_fork(after_in_child=_after_fork)


# ---- VMFuncRef --------------------------------------------------------------------------------------------------------------------------------------

NO_STORE = Store.__new__(Store)


cdef class VMFuncRef:
    """The function reference that calls use: both entry points, the type and the context, as addresses."""

    def __init__(self) -> None:
        raise WasmError("VMFuncRef belongs to a function: use func.func_ref")

    @property
    def array_call(self) -> int:
        return <uintptr_t><void *>self.c_func.array_call

    @property
    def wasm_call(self) -> int:
        return <uintptr_t>self.c_func.wasm_call

    @property
    def type_index(self) -> int:
        return self.c_func.type_index

    @property
    def vmctx(self) -> int:
        return <uintptr_t>self.c_func.vmctx

    def __repr__(self) -> str:
        return f"<VMFuncRef array_call={self.array_call:#x} wasm_call={self.wasm_call:#x} type={self.type_index}>"


refuse_new(<PyTypeObject *>VMFuncRef)


cdef VMFuncRef wrap_func_ref(c.VMFuncRef *func, object owner):
    cdef VMFuncRef self = VMFuncRef.__new__(VMFuncRef)
    self.c_func = func
    self.owner = owner
    return self
