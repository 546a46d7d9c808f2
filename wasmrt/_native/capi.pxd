# cython: language_level=3
"""The C API of libwasmrt.so (include/wasmrt/wasmrt.h) as Cython sees it. Names and meanings are the header's."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t

cdef extern from "<stdbool.h>" nogil:
    ctypedef unsigned char c_bool "bool"  # where a pointer or a function type must match C exactly

cdef extern from "wasmrt/vm.h" nogil:
    ctypedef union ValRaw:
        int32_t i32
        int64_t i64
        uint32_t f32
        uint64_t f64
        uint8_t v128[16]
        void *ref

    ctypedef struct VMContext:
        pass
    ctypedef c_bool (*VMArrayCall)(VMContext *callee, VMContext *caller, ValRaw *values, size_t capacity) noexcept nogil
    ctypedef struct VMFuncRef:
        VMArrayCall array_call
        const void *wasm_call
        uint32_t type_index
        VMContext *vmctx
    ctypedef struct VMEntryRecord:
        pass
    ctypedef struct VMStoreContext:
        uintptr_t stack_limit
        VMEntryRecord *last_entry
        void *exit_fp
        int64_t fuel
        uintptr_t real_stack_limit
        uint32_t trap_code
        uintptr_t trap_pc
        uintptr_t trap_fp
        uintptr_t trap_address
        void *host
    ctypedef struct VMContextHeader:
        uint32_t magic
        VMStoreContext *store
        const void *const *builtins
        const uint32_t *type_ids
        void *instance
    ctypedef struct VMHostContext:
        VMContextHeader header
        VMArrayCall call
        void *data
        void *data2
        uint64_t index
    ctypedef struct VMMemoryDef:
        uint8_t *base
        size_t length_bytes
    ctypedef struct VMTableDef:
        void **elements
        uint64_t length
    ctypedef struct VMGlobalDef:
        ValRaw value
    const uint32_t WR_VMCTX_MAGIC_CORE
    const uint32_t WR_VMCTX_MAGIC_HOST
    const uint32_t WR_VMCTX_MAGIC_COMPONENT
    const uint32_t TRAP_STACK_OVERFLOW
    const uint32_t TRAP_INTERRUPT
    const uint32_t TRAP_OUT_OF_FUEL
    const uint32_t TRAP_CANNOT_ENTER_COMPONENT
    const uint32_t TRAP_CANNOT_LEAVE_COMPONENT
    const uint32_t TRAP_INVALID_CHAR
    const uint32_t TRAP_STRING_OUT_OF_BOUNDS
    const uint32_t TRAP_LIST_OUT_OF_BOUNDS
    const uint32_t TRAP_INVALID_DISCRIMINANT
    const uint32_t TRAP_UNALIGNED_POINTER
    const uint32_t TRAP_CANONICAL_ABI
    const uint32_t TRAP_HANDLE
    const uint32_t TRAP_ALLOCATION_TOO_LARGE
    const uint32_t TRAP_REALLOC
    const uint32_t TRAP_LINKED_AS_TRAP
    const uint32_t TRAP_HOST

cdef extern from "base/error.h" nogil:
    ctypedef enum WrErrorKind:
        WR_ERROR_NONE
        WR_ERROR_DECODE
        WR_ERROR_VALIDATION
        WR_ERROR_LIMIT
        WR_ERROR_UNSUPPORTED
        WR_ERROR_LINK
        WR_ERROR_ARTIFACT
        WR_ERROR_MEMORY
        WR_ERROR_TRAP
    const uint32_t WR_NO_FUNC
    const uint64_t WR_NO_OFFSET
    ctypedef struct WrError:
        WrErrorKind kind
        uint32_t func_index
        uint64_t offset
        char message[256]

cdef extern from "wasm/types.h" nogil:
    ctypedef uint32_t ValType
    const uint32_t WR_KIND_I32
    const uint32_t WR_KIND_I64
    const uint32_t WR_KIND_F32
    const uint32_t WR_KIND_F64
    const uint32_t WR_KIND_V128
    const uint32_t WR_KIND_REF
    const uint32_t WR_HEAP_FUNC
    const uint32_t WR_HEAP_EXTERN
    const uint32_t WR_HEAP_NOFUNC
    const uint32_t WR_HEAP_ANY
    const uint32_t WR_HEAP_I31
    const uint32_t WR_HEAP_EXN
    const uint32_t WR_HEAP_NOEXN
    const uint32_t WR_VALTYPE_I32
    const uint32_t WR_VALTYPE_I64
    const uint32_t WR_VALTYPE_F32
    const uint32_t WR_VALTYPE_F64
    const uint32_t WR_VALTYPE_V128
    const uint32_t WR_VALTYPE_FUNCREF
    const uint32_t WR_VALTYPE_EXTERNREF
    uint32_t wr_vt_kind(ValType t)
    uint32_t wr_vt_heap(ValType t)
    bint wr_vt_concrete(ValType t)
    bint wr_vt_nullable(ValType t)

cdef extern from "wasm/module.h" nogil:
    ctypedef struct WasmSpan:
        uint32_t offset
        uint32_t length
    ctypedef struct WasmFuncType:
        uint32_t params
        uint32_t num_params
        uint32_t results
        uint32_t num_results
    ctypedef struct WasmTypeDef:
        uint8_t kind
        uint8_t is_final
        uint32_t supertype
        uint32_t rec_group
        uint32_t canonical
        WasmFuncType func
    const uint32_t WASM_TYPE_FUNC
    ctypedef struct WasmLimits:
        uint64_t min
        uint64_t max
        uint8_t flags
        uint8_t page_size_log2
    ctypedef struct WasmImport:
        WasmSpan module
        WasmSpan name
        uint32_t kind
        uint32_t index
    ctypedef struct WasmExport:
        WasmSpan name
        uint32_t kind
        uint32_t index
    ctypedef struct WasmTable:
        ValType element
        WasmLimits limits
    ctypedef struct WasmMemory:
        WasmLimits limits
    ctypedef struct WasmGlobal:
        ValType type
        uint32_t is_mutable
    ctypedef struct WasmTag:
        uint32_t type_index
    ctypedef struct WasmFunc:
        uint32_t type_index
        WasmSpan body
        uint32_t escape_index
    ctypedef struct WasmFuncName:
        uint32_t func
        WasmSpan name
    ctypedef struct WasmCustom:
        WasmSpan name
        WasmSpan bytes
    ctypedef struct WasmModule:
        const uint8_t *bytes
        size_t num_bytes
        ValType *valtypes
        WasmTypeDef *types
        WasmImport *imports
        WasmExport *exports
        WasmFunc *funcs
        WasmTable *tables
        WasmMemory *memories
        WasmGlobal *globals
        WasmTag *tags
        WasmFuncName *func_names
        WasmCustom *customs
        uint32_t num_types, num_imports, num_exports, num_funcs, num_tables, num_memories, num_globals, num_tags, num_elems, num_datas, num_func_names, num_customs
        uint32_t num_imported_funcs, num_imported_tables, num_imported_memories, num_imported_globals, num_imported_tags
        uint32_t start_func
        WasmSpan code_section
    const uint32_t WASM_LIMITS_HAS_MAX
    const uint32_t WASM_LIMITS_SHARED
    const uint32_t WASM_LIMITS_64
    const uint32_t WASM_EXTERN_FUNC
    const uint32_t WASM_EXTERN_TABLE
    const uint32_t WASM_EXTERN_MEMORY
    const uint32_t WASM_EXTERN_GLOBAL
    const uint32_t WASM_EXTERN_TAG
    bint wr_module_decode(const uint8_t *bytes, size_t num_bytes, uint64_t features, WasmModule **out_module, WrError *error)
    void wr_module_free(WasmModule *module)
    bint wr_module_func_name(const WasmModule *module, uint32_t func_index, const char **out_name, size_t *out_length)
    bint wr_module_name(const WasmModule *module, const char **out_name, size_t *out_length)

cdef extern from "compile/compile.h" nogil:
    ctypedef struct WrTunables:
        uint64_t cpu_features
        uint64_t memory_reservation
        uint64_t memory_guard_bytes
        uint8_t guarded_memories
        uint8_t signals_based_traps
        uint8_t interruptible
        uint8_t consume_fuel
        uint8_t nan_canonicalization
        uint8_t relaxed_simd_deterministic
        uint8_t debug_checks
        uint32_t careful_first
        uint32_t careful_end
    ctypedef struct CompiledModule:
        uint32_t text_bytes
    bint wr_compile_module(const WasmModule *module, const WrTunables *tunables, uint32_t threads, CompiledModule **out_compiled, WrError *error)
    ctypedef struct WrProgress:
        uint64_t done
        uint32_t cancel
    bint wr_compile_module_watched(const WasmModule *module, const WrTunables *tunables, uint32_t threads, WrProgress *progress, CompiledModule **out_compiled, WrError *error)
    bint wr_validate_module(const WasmModule *module, WrError *error)
    void wr_compiled_module_free(CompiledModule *compiled)

cdef extern from "code/image.h" nogil:
    const uint32_t WR_IMAGE_MODULE
    const uint32_t WR_IMAGE_COMPONENT
    ctypedef struct CodeMemory "CodeMemory":
        pass
    ctypedef struct WrTrampolineRequest:
        const ValType *params
        uint32_t num_params
        const ValType *results
        uint32_t num_results
    ctypedef struct WrImageInput:
        uint32_t kind
        const WrTunables *tunables
        uint64_t wasm_features
        const WasmModule *const *modules
        const CompiledModule *const *compiled
        uint32_t num_modules
        const uint8_t *boundaries
        const WrTrampolineRequest *trampolines
        uint32_t num_trampolines
        const uint8_t *info
        size_t num_info_bytes
    bint wr_image_build(const WrImageInput *input, CodeMemory **out_code, WrError *error)
    bint wr_image_load(const uint8_t *bytes, size_t num_bytes, bint copy, void (*release)(void *owner) noexcept nogil, void *owner, CodeMemory **out_code, WrError *error)
    bint wr_image_write(const WrImageInput *input, const uint8_t **out_bytes, size_t *out_num_bytes, WrError *error)
    void wr_image_free(const uint8_t *bytes, size_t num_bytes)
    ctypedef struct WrImageWanted:
        uint32_t kind
        const WrTunables *tunables
        uint64_t wasm_features
    bint wr_image_map(const char *path, const WrImageWanted *wanted, CodeMemory **out_code, int *out_errno, WrError *error)
    bint wr_image_map_open(int file, const WrImageWanted *wanted, CodeMemory **out_code, int *out_errno, WrError *error)
    uint8_t *wr_image_pages(size_t num_bytes, WrError *error)
    bint wr_image_seal_pages(uint8_t *pages, size_t num_bytes, WrError *error)
    bint wr_image_fits(const CodeMemory *code, const WrImageWanted *wanted, WrError *error)
    uint32_t wr_image_detect(const uint8_t *bytes, size_t num_bytes)

cdef extern from "wasmrt/wasmrt.h" nogil:
    bint wr_cpu_features(uint64_t *out_host, uint64_t *out_baseline)
    void wr_code_retain(CodeMemory *code)
    void wr_code_release(CodeMemory *code)
    const uint8_t *wr_code_bytes(const CodeMemory *code, size_t *out_num_bytes)
    void wr_gdb_announce_all()
    void wr_code_text_range(const CodeMemory *code, uintptr_t *out_start, uintptr_t *out_end)
    bint wr_code_version_fits(uint32_t found_major, uint32_t found_minor, uint32_t major, uint32_t minor)
    bint wr_code_is_broken(const CodeMemory *code)
    uint64_t wr_code_info_checksum(const CodeMemory *code)
    const uint8_t *wr_code_info(const CodeMemory *code, size_t *out_num_bytes, WrError *error)
    const uint8_t *wr_code_section(const CodeMemory *code, uint32_t section, size_t *out_num_bytes)
    uint32_t wr_code_kind(const CodeMemory *code)
    uint32_t wr_code_num_modules(const CodeMemory *code)
    uint32_t wr_code_num_trampolines(const CodeMemory *code)
    const WasmModule *wr_code_module(const CodeMemory *code, uint32_t module_index, WrError *error)
    bint wr_code_check_config(const CodeMemory *code, const WrTunables *wanted, uint64_t wasm_features, WrError *error)
    bint wr_code_check_records(const CodeMemory *code, WrError *error)
    bint wr_code_verify(const CodeMemory *code, WrError *error)
    const char *wr_code_broken_text(const CodeMemory *code)
    bint wr_code_trampoline(const CodeMemory *code, uint32_t trampoline_index, const WrTrampolineRequest *signature, const void **out_wasm_call, VMArrayCall *out_array_call)
    ctypedef struct WrCodePlace:
        const CodeMemory *code
        uint32_t module_index
        uint32_t func_index
        uint64_t func_offset
        uint64_t module_offset
    bint wr_code_find(uintptr_t pc, WrCodePlace *out_place)

    ctypedef struct WrTypeRegistry:
        pass
    WrTypeRegistry *wr_types_new()
    void wr_types_retain(WrTypeRegistry *registry)
    void wr_types_release(WrTypeRegistry *registry)
    bint wr_types_register_module(WrTypeRegistry *registry, const WasmModule *module, const uint32_t **out_ids, WrError *error)
    bint wr_types_register_func(WrTypeRegistry *registry, const ValType *params, uint32_t num_params, const ValType *results, uint32_t num_results, uint32_t *out_id, WrError *error)
    bint wr_types_func(WrTypeRegistry *registry, uint32_t id, const ValType **out_params, uint32_t *out_num_params, const ValType **out_results, uint32_t *out_num_results)
    bint wr_types_is_subtype(WrTypeRegistry *registry, uint32_t sub, uint32_t super)
    bint wr_types_host_call(WrTypeRegistry *registry, uint32_t id, const void **out_wasm_call, WrError *error)

    ctypedef struct WrStore:
        pass
    ctypedef struct WrLimits:
        uint64_t memory_bytes
        uint64_t table_elements
        uint32_t instances
        uint32_t tables
        uint32_t memories
    WrStore *wr_store_new(WrTypeRegistry *registry, size_t max_wasm_stack, void *host, WrError *error)
    void wr_store_free(WrStore *store)
    void wr_store_set_limits(WrStore *store, const WrLimits *limits)
    VMStoreContext *wr_store_context(WrStore *store)
    ctypedef struct WrPool:
        pass
    ctypedef struct WrPoolConfig:
        uint64_t max_memory_bytes, table_elements, max_core_instance_bytes, memory_keep_resident_bytes, table_keep_resident_bytes
        uint32_t total_component_instances, total_core_instances, total_memories, total_tables, max_unused_warm_slots
    ctypedef struct WrPoolUsage:
        uint32_t component_instances, core_instances, memories, tables, warm_memories
    WrPool *wr_pool_new(const WrPoolConfig *config, const WrTunables *tunables, WrError *error)
    void wr_pool_retain(WrPool *pool)
    void wr_pool_release(WrPool *pool)
    void wr_pool_usage(WrPool *pool, WrPoolUsage *out_usage)
    void wr_store_set_allocation(WrStore *store, WrPool *pool, bint use_images)
    bint wr_store_add_component(WrStore *store, WrError *error)
    void wr_code_instance_bytes(const WasmModule *module, size_t *out_bytes)
    bint wr_code_prepare_images(CodeMemory *code, uint32_t module_index, const uint32_t *type_ids, bint for_pool, WrError *error)
    bint wr_code_static_data(CodeMemory *code, uint32_t module_index, const uint32_t *type_ids, c_bool *out_static, WrError *error)
    ctypedef struct WrEntry:
        void *previous
        uintptr_t depth
        void *host[2]
    ctypedef enum WrEnterResult:
        WR_ENTER_OK
        WR_ENTER_BUSY
        WR_ENTER_NO_STACK
        WR_ENTER_LOST
    WrEnterResult wr_store_enter(WrStore *store, WrEntry *entry)
    void wr_store_leave(WrStore *store, WrEntry *entry)
    ctypedef enum WrCallResult:
        WR_CALL_DONE
        WR_CALL_STAYED
        WR_CALL_FAILED
        WR_CALL_DECLINED
    WrCallResult wr_store_call_held(WrStore *store, const VMFuncRef *func, ValRaw *values, size_t capacity, WrEntry *entry)
    WrEnterResult wr_store_enter_held(WrStore *store, WrEntry *entry)
    bint wr_store_running(const WrStore *store)
    WrEnterResult wr_store_owned(const WrStore *store)
    void wr_store_trap(WrStore *store, uint32_t trap_code)
    const char *wr_store_trap_text(WrStore *store)
    ctypedef struct WrFrame:
        uintptr_t pc
        WrCodePlace place
    size_t wr_store_backtrace(WrStore *store, WrFrame *out_frames, size_t capacity)
    size_t wr_store_callers(WrStore *store, WrFrame *out_frames, size_t capacity)
    const char *wr_trap_message(uint32_t trap_code)

    ctypedef struct WrInstance:
        pass
    ctypedef struct WrMemory:
        pass
    ctypedef struct WrTable:
        pass
    ctypedef struct WrGlobal:
        pass
    ctypedef struct WrTag:
        pass
    ctypedef struct WrExtern:
        uint32_t kind
        VMFuncRef *func
        WrTable *table
        WrMemory *memory
        WrGlobal *global_ "global"
        WrTag *tag
    bint wr_instance_new(WrStore *store, CodeMemory *code, uint32_t module_index, const uint32_t *type_ids, const WrExtern *imports, size_t num_imports, WrInstance **out_instance, WrError *error)
    VMFuncRef *wr_instance_start(WrInstance *instance)
    bint wr_instance_export(WrInstance *instance, const char *name, size_t name_length, WrExtern *out_extern)
    bint wr_instance_export_by_index(WrInstance *instance, uint32_t export_index, WrExtern *out_extern)
    bint wr_instance_item(WrInstance *instance, uint32_t kind, uint32_t index, WrExtern *out_extern)
    VMContext *wr_instance_vmctx(WrInstance *instance)
    WrMemory *wr_memory_new(WrStore *store, const WasmLimits *limits, const WrTunables *tunables, WrError *error)
    VMMemoryDef *wr_memory_def(WrMemory *memory)
    bint wr_memory_is_lost(const WrMemory *memory)
    const WasmLimits *wr_memory_type(const WrMemory *memory)
    int64_t wr_memory_grow(WrMemory *memory, uint64_t delta_pages)
    void wr_memory_retain(WrMemory *memory)
    WrMemory *wr_memory_of_def(VMMemoryDef *def_)
    void wr_memory_release(WrMemory *memory)
    WrTable *wr_table_new(WrStore *store, ValType element, const WasmLimits *limits, void *init, WrError *error)
    VMTableDef *wr_table_def(WrTable *table)
    void wr_table_type(const WrTable *table, ValType *out_element, WasmLimits *out_limits)
    const char *wr_store_lost(WrStore *store)
    void *wr_table_get(WrTable *table, uint64_t index)
    bint wr_table_set(WrTable *table, uint64_t index, void *value)
    int64_t wr_table_grow(WrTable *table, uint64_t delta, void *init)
    WrGlobal *wr_global_new(WrStore *store, ValType type, bint is_mutable, const ValRaw *value, WrError *error)
    VMGlobalDef *wr_global_def(WrGlobal *global_)
    void wr_global_type(const WrGlobal *global_, ValType *out_type, c_bool *out_mutable)
    VMFuncRef *wr_host_func_new(WrStore *store, uint32_t type_id, VMArrayCall call, void *data, WrError *error)
    ctypedef struct WrHostFunc:
        uint32_t type_id
        uint32_t magic
        const void *wasm_call
        VMArrayCall call
        void *data
        void *data2
        uint64_t index
    VMFuncRef *wr_host_funcs_new(WrStore *store, const WrHostFunc *funcs, uint32_t count, WrError *error)
    enum:
        WR_NATIVE_NONE
        WR_NATIVE_I32
        WR_NATIVE_I64
        WR_NATIVE_F32
        WR_NATIVE_F64
        WR_NATIVE_BOOL
        WR_NATIVE_S8
        WR_NATIVE_U8
        WR_NATIVE_S16
        WR_NATIVE_U16
        WR_NATIVE_CHAR
        WR_NATIVE_MAX_PARAMS
    ctypedef struct WrNativeFunc:
        void *function
        uint32_t num_params
        uint8_t result
        uint8_t shape
        uint8_t *params
    bint wr_native_init(WrNativeFunc *native)
    VMArrayCall wr_native_call(const WrNativeFunc *native)
    const uint32_t WR_WASI_READ
    const uint32_t WR_WASI_WRITE
    const uint32_t WR_WASI_SEEK
    bint wr_wasi_set_file(WrStore *store, uint32_t descriptor, int32_t file, uint32_t rights)
    void wr_wasi_forget(WrStore *store)
    void wr_wasi_set_slow(VMArrayCall slow)
    c_bool wr_wasi_fd_read(VMContext *callee, VMContext *caller, ValRaw *values, size_t capacity)
    c_bool wr_wasi_fd_write(VMContext *callee, VMContext *caller, ValRaw *values, size_t capacity)
    c_bool wr_wasi_fd_seek(VMContext *callee, VMContext *caller, ValRaw *values, size_t capacity)
    bint wr_types_native_call(
        WrTypeRegistry *registry, uint32_t id, const WrNativeFunc *native, bint in_component, const void **out_wasm_call, WrError *error)
    c_bool wr_wasi_clock_time_get(VMContext *callee, VMContext *caller, ValRaw *values, size_t capacity)
    c_bool wr_wasi_random_get(VMContext *callee, VMContext *caller, ValRaw *values, size_t capacity)
    c_bool wr_wasi_sched_yield(VMContext *callee, VMContext *caller, ValRaw *values, size_t capacity)
    WrTag *wr_tag_new(WrStore *store, uint32_t type_id, WrError *error)
    uint32_t wr_tag_type(const WrTag *tag)
    uint64_t wr_externref_new(WrStore *store, void *object, c_bool *out_is_new)
    void *wr_externref_get(WrStore *store, uint64_t word)
    ctypedef enum WrRefKind:
        WR_REF_NULL
        WR_REF_I31
        WR_REF_HOST
        WR_REF_STRUCT
        WR_REF_ARRAY
    WrRefKind wr_ref_kind(const void *ref)
    uint32_t wr_object_length(const void *object)
    c_bool wr_ref_matches(WrStore *store, ValType type, const void *ref)
    c_bool wr_func_matches(WrStore *store, ValType type, const VMFuncRef *func)
    uint32_t wr_ref_keep(WrStore *store, void *ref)
    void wr_ref_drop(WrStore *store, uint32_t kept)
    void wr_store_gc_hold(WrStore *store, bint is_held)
    c_bool wr_store_gc(WrStore *store)
    void wr_store_set_gc_stress(WrStore *store, c_bool is_stressed)
    ctypedef struct WrGcStats:
        uint64_t heap_bytes
        uint64_t live_bytes
        uint64_t num_collections
    void wr_store_gc_stats(const WrStore *store, WrGcStats *out_stats)

    ctypedef struct WrHandleTable:
        pass
    const uint32_t WR_HANDLE_FREE
    const uint32_t WR_HANDLE_OWN
    const uint32_t WR_HANDLE_BORROW
    const uint32_t WR_HANDLE_WAITABLE
    ctypedef struct WrHandle:
        uint32_t kind
        uint32_t num_lends
        uint64_t resource_type
        uint64_t rep
        uint64_t scope
    WrHandleTable *wr_handles_new()
    void wr_handles_free(WrHandleTable *table)
    uint32_t wr_handles_add(WrHandleTable *table, const WrHandle *handle)
    WrHandle *wr_handles_get(WrHandleTable *table, uint32_t index)
    bint wr_handles_remove(WrHandleTable *table, uint32_t index)
    uint32_t wr_handles_count(const WrHandleTable *table)

    ctypedef struct WrFiber:
        pass
    ctypedef enum WrFiberState:
        WR_FIBER_DONE
        WR_FIBER_FAILED
        WR_FIBER_SUSPENDED
    const uint32_t WR_FIBER_VALUES
    WrFiber *wr_fiber_new(WrStore *store, WrError *error)
    void wr_fiber_free(WrFiber *fiber)
    ValRaw *wr_fiber_values(WrFiber *fiber)
    WrFiberState wr_fiber_call(WrFiber *fiber, const VMFuncRef *func)
    WrFiberState wr_fiber_resume(WrFiber *fiber)
    void wr_fiber_suspend(WrFiber *fiber)

    c_bool wr_adapter_trap(VMContext *callee, VMContext *caller, ValRaw *values, size_t capacity)
    c_bool wr_adapter_transcode(VMContext *callee, VMContext *caller, ValRaw *values, size_t capacity)

    ctypedef struct WrHooks:
        int (*interrupt)(WrStore *store, void *host) noexcept nogil
        c_bool (*is_over)(WrStore *store, void *host) noexcept nogil
        void (*before_block)(WrStore *store, void *host) noexcept nogil
    void wr_set_hooks(const WrHooks *hooks)
    bint wr_signals_install(WrError *error)
    void wr_interrupt_all()
