/* The C API of wasmrt: what Cython and C programs see of libwasmrt.so.
 *
 * Conventions: functions return false or NULL on failure and fill a WrError (pass the address of a zeroed one). Objects are reference counted or owned
 * by a store, as each comment says. Nothing here takes the GIL or knows Python, except through the hooks at the end. A store and what it owns is used
 * by one thread at a time; engine-wide objects (type registry, code) by any. */
#ifndef WASMRT_H
#define WASMRT_H

#include "base/error.h"
#include "code/image.h"
#include "wasmrt/api.h"
#include "wasmrt/vm.h"

/* ---- modules and compiling: see wasm/module.h, compile/compile.h, code/image.h ------------------------------------------------------------- */

/* Feature bits (x64/cpu.h) of this machine and of the oldest one that is supported; false: this one is older. */
WR_API bool wr_cpu_features(uint64_t *out_host, uint64_t *out_baseline);

/* CodeMemory: a sealed image, shared by components, modules and instances. wr_image_build and wr_image_load give it with one reference. */
WR_API void wr_code_retain(CodeMemory *code);
WR_API void wr_code_release(CodeMemory *code);
WR_API const uint8_t *wr_code_bytes(const CodeMemory *code, size_t *out_num_bytes);              /* the ELF image: what serialize() returns */
/* Images and trampolines that the process makes from now on are announced to a gdb that is attached, or will be: their functions have names and frames there. */
WR_API void wr_gdb_announce_all(void);
WR_API void wr_code_text_range(const CodeMemory *code, uintptr_t *out_start, uintptr_t *out_end);
/* Whether what one version made runs in another: before 1.0, minor versions break things too. */
WR_API bool wr_code_version_fits(uint32_t found_major, uint32_t found_minor, uint32_t major, uint32_t minor);
WR_API const uint8_t *wr_code_info(const CodeMemory *code, size_t *out_num_bytes, WrError *error); /* INFO, compared with its checksum; NULL: damaged */
WR_API const uint8_t *wr_code_section(const CodeMemory *code, uint32_t section, size_t *out_num_bytes); /* WrSection; NULL: no such section */
WR_API uint32_t wr_code_kind(const CodeMemory *code);
WR_API uint64_t wr_code_info_checksum(const CodeMemory *code);
WR_API const ImageHeader *wr_code_header(const CodeMemory *code); /* tunables and features it was compiled for, counts */
WR_API uint32_t wr_code_num_modules(const CodeMemory *code);
WR_API uint32_t wr_code_num_trampolines(const CodeMemory *code);
WR_API const WasmModule *wr_code_module(const CodeMemory *code, uint32_t module_index, WrError *error); /* view into META, made and checked at the first use; NULL: damaged, or no such module */
/* Where in that file the images of a module's memories begin; false: they are not in a file. */
bool wr_code_images(const CodeMemory *code, uint32_t module_index, int *out_file, uint64_t *out_offset);
WR_API int wr_code_file(const CodeMemory *code); /* the open file that it was mapped from, while it has IMAGES to map; else -1 */
/* Entry points. NULL for an index out of range, for an imported function, for a type that is no function type, and where the image lies. */
WR_API const void *wr_code_func(const CodeMemory *code, uint32_t module_index, uint32_t func_index);       /* wasm_call; index in the module's function space */
WR_API VMArrayCall wr_code_array_call(const CodeMemory *code, uint32_t module_index, uint32_t escape_index);
WR_API const void *wr_code_host_call(const CodeMemory *code, uint32_t module_index, uint32_t type_index);  /* wasm_call of an import that the host gives */
/* Of a trampoline that has this signature; false: there is none. */
WR_API bool wr_code_trampoline(const CodeMemory *code, uint32_t trampoline_index, const WrTrampolineRequest *signature, const void **out_wasm_call, VMArrayCall *out_array_call);
/* Whether an engine with these tunables and features can run it (CPU features were compared when it was loaded): "reason: found ..., wanted ...". */
WR_API bool wr_code_check_config(const CodeMemory *code, const WrTunables *wanted, uint64_t wasm_features, WrError *error);
/* Reads all of the image: the contents checksum and every row. WR_ERROR_ARTIFACT names what is wrong. */
WR_API bool wr_code_verify(const CodeMemory *code, WrError *error);
/* What the first use would check: component records and metas, their checksums and rows. Not the text, nor what only code leads to. */
WR_API bool wr_code_check_records(const CodeMemory *code, WrError *error);

/* By pc, over all images that are alive. No lock and no allocation: both may be called from a signal handler, on any thread. The image stays alive
 * because somebody runs in it or holds it; that is the caller's to know. Give the pc of an instruction: return address - 1 for a caller's frame. */
/* func_index UINT32_MAX: a trampoline (module_index UINT32_MAX: of the component). module_offset WR_NO_OFFSET: no place known. */
typedef struct WrCodePlace { const CodeMemory *code; uint32_t module_index, func_index; uint64_t func_offset /* bytes into its code */, module_offset /* in the module's bytes */; } WrCodePlace;
WR_API bool wr_code_find(uintptr_t pc, WrCodePlace *out_place); /* false: in no image */
/* Whether address is a page of a mapped image whose text holds pc: when it is missing (SIGBUS; after wr_code_fill_missing it only cannot be executed), the
 * file was truncated, and nothing reads its tables any more. */
WR_API bool wr_code_break(uintptr_t pc, uintptr_t address, bool is_missing);
/* An access to a page of a mapped image that its file no longer has: the image is marked as broken, and all of it from that page to the text, or to the end,
 * reads as zeros from now on. False: it is none of ours. For signal handlers. */
WR_API bool wr_code_fill_missing(uintptr_t address);
/* The same for a page of a linear memory that starts from such an image: what it held is zeros from now on, whoever reads it. */
WR_API bool wr_code_fill_memory(uintptr_t address);
WR_API bool wr_code_is_broken(const CodeMemory *code); /* pages of its file are gone, or a table was found damaged: tables are not read any more */
WR_API const char *wr_code_broken_text(const CodeMemory *code);
uint32_t wr_code_broken_trap(const CodeMemory *code); /* what a guest traps with that needs them */
WR_API int32_t wr_code_trap_at(uintptr_t pc); /* TRAP_*, or -1: in no image, or no instruction that may trap starts there; what an artifact does not know of is TRAP_ARTIFACT_DAMAGED */

/* Exception handlers that cover a pc, in the order in which a throw asks them. The image must be held; rows were not checked when it was loaded, so
 * what they say is in range, and nothing more. */
typedef struct WrHandler { const CodeMemory *code; uint32_t offset, row, module_index; uint32_t tag /* index in the module, or UINT32_MAX: every */; bool is_boundary; const void *landing, *resume; } WrHandler;
WR_API bool wr_code_handler_first(uintptr_t pc, WrHandler *out_handler); /* fills code (NULL: no image), module_index and is_boundary in any case */
WR_API bool wr_code_handler_next(WrHandler *handler);

/* ---- engine-wide: types --------------------------------------------------------------------------------------------------------------------- */

typedef struct WrTypeRegistry WrTypeRegistry; /* reference counted; canonicalizes whole recursion groups */
WR_API WrTypeRegistry *wr_types_new(void);
WR_API void wr_types_retain(WrTypeRegistry *registry);
WR_API void wr_types_release(WrTypeRegistry *registry);
/* Ids of all types of a module, by type index; the array lives as long as the registry, which keeps one for all modules with the same types. */
WR_API bool wr_types_register_module(WrTypeRegistry *registry, const WasmModule *module, const uint32_t **out_ids, WrError *error);
WR_API bool wr_types_register_func(WrTypeRegistry *registry, const ValType *params, uint32_t num_params, const ValType *results, uint32_t num_results, uint32_t *out_id, WrError *error);
/* Signature of an id; pointers live as long as the registry. Concrete heap types in it are engine-wide ids. */
WR_API bool wr_types_func(WrTypeRegistry *registry, uint32_t id, const ValType **out_params, uint32_t *out_num_params, const ValType **out_results, uint32_t *out_num_results);
/* Whether a value of the function type `sub` can stand where `super` is wanted: the same type, or declared a subtype of it. */
WR_API bool wr_types_is_subtype(WrTypeRegistry *registry, uint32_t sub, uint32_t super);
/* The wasm_call of host functions of a signature, which calls VMHostContext.call: engine-wide, made at the first use on a page of its own (W^X). */
WR_API bool wr_types_host_call(WrTypeRegistry *registry, uint32_t id, const void **out_wasm_call, WrError *error);

/* ---- stores and entering guest code --------------------------------------------------------------------------------------------------------- */

typedef struct WrStore WrStore; /* owns instances, tables, globals; begins with its VMStoreContext, whose memory is never unmapped (the ticker may touch it) */
typedef struct WrLimits { uint64_t memory_bytes, table_elements; uint32_t instances, tables, memories; uint32_t reserved; } WrLimits; /* all ones: none */
WR_API WrStore *wr_store_new(WrTypeRegistry *registry, size_t max_wasm_stack, void *host, WrError *error);
WR_API void wr_store_free(WrStore *store); /* does nothing while it runs; memories with buffer exports stay until released */
WR_API void wr_store_set_limits(WrStore *store, const WrLimits *limits);
WR_API VMStoreContext *wr_store_context(WrStore *store);

/* Where a store's instances come from: a pool, made once for many stores, or (NULL) the system, on demand. All sizes in bytes but table_elements. */
typedef struct WrPool WrPool; /* reference counted; stores and memories hold it */
typedef struct WrPoolConfig {
    uint64_t max_memory_bytes, table_elements, max_core_instance_bytes, memory_keep_resident_bytes, table_keep_resident_bytes;
    uint32_t total_component_instances, total_core_instances, total_memories, total_tables, max_unused_warm_slots, reserved;
} WrPoolConfig;
typedef struct WrPoolUsage { uint32_t component_instances, core_instances, memories, tables; uint32_t warm_memories; /* free, with an image mapped */ } WrPoolUsage;
WR_API WrPool *wr_pool_new(const WrPoolConfig *config, const WrTunables *tunables, WrError *error);
WR_API void wr_pool_retain(WrPool *pool);
WR_API void wr_pool_release(WrPool *pool);
WR_API void wr_pool_usage(WrPool *pool, WrPoolUsage *out_usage); /* slots that are taken now */
/* Before anything is made in the store. use_images: dense data segments are mapped copy-on-write, not copied. */
WR_API void wr_store_set_allocation(WrStore *store, WrPool *pool, bool use_images);
/* Counts a component instance against the pool until the store is freed; false: the limit is reached. Without a pool: true. */
WR_API bool wr_store_add_component(WrStore *store, WrError *error);
/* Bytes of a slot that an instance of the module takes. */
WR_API void wr_code_instance_bytes(const WasmModule *module, size_t *out_bytes);
/* Makes the copy-on-write images of a module's memories now, not at its first instantiation; for_pool: those of small data too, which only pools use. */
WR_API bool wr_code_prepare_images(CodeMemory *code, uint32_t module_index, const uint32_t *type_ids, bool for_pool, WrError *error);
/* Whether what a module's memories start with is known before it is instantiated, and dense: images are made of it, or copies where they are small. */
WR_API bool wr_code_static_data(CodeMemory *code, uint32_t module_index, const uint32_t *type_ids, bool *out_static, WrError *error);

/* Every call into guest code sits between enter and leave, on the thread's stack, nested as calls nest. The outermost one claims the store for the
 * thread, sets the stack limit from the thread's real bounds and shows the store to the ticker; nested ones keep the limit. */
typedef struct WrEntry {
    void *previous;
    uintptr_t depth;    /* of entries of this store, this one included: 1 is the outermost */
    void *host[2];      /* the embedder's own */
} WrEntry;
typedef enum WrEnterResult { WR_ENTER_OK, WR_ENTER_BUSY /* another thread runs this store */, WR_ENTER_NO_STACK /* too little left to start */,
                            WR_ENTER_LOST /* another thread ran it when this process was forked: it stopped in the middle of something */ } WrEnterResult;
WR_API WrEnterResult wr_store_enter(WrStore *store, WrEntry *entry);
WR_API void wr_store_leave(WrStore *store, WrEntry *entry);
/* The same for stores that are entered under one lock only (the GIL), which the caller holds: the store is claimed without an atomic operation. */
WR_API WrEnterResult wr_store_enter_held(WrStore *store, WrEntry *entry);
/* What VMStoreContext.host of such a store points at starts with this. */
typedef struct WrHost {
    void *away;         /* not NULL: the lock was let go of in the middle of guest code */
    uint32_t attention; /* not 0: an outermost entry or its end has something to do */
} WrHost;
typedef enum WrCallResult {
    WR_CALL_DONE,       /* returned, and the store was left */
    WR_CALL_STAYED,     /* returned; the caller takes the lock back, and leaves */
    WR_CALL_FAILED,     /* the array call returned false; the caller does the same */
    WR_CALL_DECLINED    /* not entered: wr_store_enter_held says why, or can */
} WrCallResult;
/* An outermost entry, an array call, and leaving, in one. */
WR_API WrCallResult wr_store_call_held(WrStore *store, const VMFuncRef *func, ValRaw *values, size_t capacity, WrEntry *entry);
WR_API bool wr_store_running(const WrStore *store);
/* Whether this thread may change what is in the store: WR_ENTER_OK unless another one runs it. Says nothing of what another thread does next: who asks
 * holds what keeps others from entering (the GIL). */
WR_API WrEnterResult wr_store_owned(const WrStore *store);

/* Records a trap from host code (canonical ABI violations, ...); the host function then returns false. */
WR_API void wr_store_trap(WrStore *store, uint32_t trap_code);
/* The same as TRAP_HOST with words of its own, cut after 159 bytes; wr_store_trap_text: those of the last trap, "" if it has none. */
WR_API void wr_store_trap_because(WrStore *store, const char *text);
WR_API const char *wr_store_trap_text(WrStore *store);

/* The wasm frames at the last trap (wr_store_trap records one too), innermost first, at most 128; valid until the next trap, while its code is alive. */
typedef struct WrFrame { uintptr_t pc; WrCodePlace place; } WrFrame;
WR_API size_t wr_store_backtrace(WrStore *store, WrFrame *out_frames, size_t capacity);
/* Those under the host function that runs now. */
WR_API size_t wr_store_callers(WrStore *store, WrFrame *out_frames, size_t capacity);
/* The text of a trap code, without "wasm trap: "; NULL: no such code. */
WR_API const char *wr_trap_message(uint32_t trap_code);

/* ---- instances and what they hold ----------------------------------------------------------------------------------------------------------- */

typedef struct WrInstance WrInstance; /* all owned by the store */
typedef struct WrMemory WrMemory;     /* reference counted besides: buffers outlive the store */
typedef struct WrTable WrTable;
typedef struct WrGlobal WrGlobal;
typedef struct WrTag WrTag;
typedef struct WrExtern { uint32_t kind; /* WasmExternKind */ uint32_t reserved; union { VMFuncRef *func; WrTable *table; WrMemory *memory; WrGlobal *global; WrTag *tag; }; } WrExtern;

/* Makes an instance: checks import types (WR_ERROR_LINK names the import, expected and found), allocates, evaluates constants, copies active segments
 * (an out-of-bounds one is WR_ERROR_TRAP, with what was written before it kept). The start function is not called: call wr_instance_start's func. */
/* Why a function was NULL that is none: its artifact was truncated or is damaged. Asking forgets it. NULL: it was null. */
WR_API const char *wr_store_lost(WrStore *store);
WR_API bool wr_instance_new(WrStore *store, CodeMemory *code, uint32_t module_index, const uint32_t *type_ids, const WrExtern *imports, size_t num_imports, WrInstance **out_instance, WrError *error);
WR_API VMFuncRef *wr_instance_start(WrInstance *instance); /* NULL: none */
WR_API bool wr_instance_export(WrInstance *instance, const char *name, size_t name_length, WrExtern *out_extern);
WR_API bool wr_instance_export_by_index(WrInstance *instance, uint32_t export_index, WrExtern *out_extern);
/* Item `index` of an instance's index space of a WasmExternKind, of which it need not be an export; a function must be one whose address is taken. */
WR_API bool wr_instance_item(WrInstance *instance, uint32_t kind, uint32_t index, WrExtern *out_extern);
WR_API VMContext *wr_instance_vmctx(WrInstance *instance);

WR_API WrMemory *wr_memory_new(WrStore *store, const WasmLimits *limits, const WrTunables *tunables, WrError *error);
WR_API VMMemoryDef *wr_memory_def(WrMemory *memory);
/* Whether what was read of it may have been zeros, since the artifact that it starts from was truncated. */
WR_API bool wr_memory_is_lost(const WrMemory *memory);
WR_API const WasmLimits *wr_memory_type(const WrMemory *memory);
WR_API int64_t wr_memory_grow(WrMemory *memory, uint64_t delta_pages); /* old size in pages or -1 */
WR_API void wr_memory_retain(WrMemory *memory);  /* for buffers */
WR_API WrMemory *wr_memory_of_def(VMMemoryDef *def); /* whose it is */
WR_API void wr_memory_release(WrMemory *memory);
WR_API WrTable *wr_table_new(WrStore *store, ValType element, const WasmLimits *limits, void *init, WrError *error);
WR_API VMTableDef *wr_table_def(WrTable *table);
WR_API void wr_table_type(const WrTable *table, ValType *out_element, WasmLimits *out_limits);
/* Elements have to be read and written through these: null in `elements` may stand for one that was not looked up yet. Out of bounds: NULL, false. */
WR_API void *wr_table_get(WrTable *table, uint64_t index);
WR_API bool wr_table_set(WrTable *table, uint64_t index, void *value);
WR_API int64_t wr_table_grow(WrTable *table, uint64_t delta, void *init);
WR_API WrGlobal *wr_global_new(WrStore *store, ValType type, bool is_mutable, const ValRaw *value, WrError *error);
WR_API VMGlobalDef *wr_global_def(WrGlobal *global);
WR_API void wr_global_type(const WrGlobal *global, ValType *out_type, bool *out_mutable);
WR_API WrTag *wr_tag_new(WrStore *store, uint32_t type_id, WrError *error);
WR_API uint32_t wr_tag_type(const WrTag *tag);
/* A function the host implements; owned by the store. `call` gets the VMHostContext as callee, and is also the array_call. */
WR_API VMFuncRef *wr_host_func_new(WrStore *store, uint32_t type_id, VMArrayCall call, void *data, WrError *error);
/* Several at once, with all fields of their contexts: lowerings and intrinsics of a component instance, whose wasm_call is a trampoline of its image
 * (NULL: a module that imports it uses its own image's). The result is an array of `count`; each one's vmctx is its VMHostContext. */
typedef struct WrHostFunc { uint32_t type_id; uint32_t magic; /* WR_VMCTX_MAGIC_HOST or _COMPONENT */ const void *wasm_call; VMArrayCall call; void *data, *data2; uint64_t index; } WrHostFunc;
WR_API VMFuncRef *wr_host_funcs_new(WrStore *store, const WrHostFunc *funcs, uint32_t count, WrError *error);

/* C functions called straight from guest code (csrc/vm/native.c): `call` of a host function is what wr_native_call gives, `data` a WrNativeFunc, `data2` NULL or the
 * address of a pointer to a component instance's may_leave flag. They run without the GIL and cannot be interrupted. */
enum { WR_NATIVE_NONE, WR_NATIVE_I32, WR_NATIVE_I64, WR_NATIVE_F32, WR_NATIVE_F64, /* only in components: */ WR_NATIVE_BOOL, WR_NATIVE_S8, WR_NATIVE_U8, WR_NATIVE_S16, WR_NATIVE_U16, WR_NATIVE_CHAR };
enum { WR_NATIVE_MAX_PARAMS = 38, WR_NATIVE_MAX_WORDS = 24 };
enum { WR_NATIVE_ANY, WR_NATIVE_STACK, WR_NATIVE_INTS_0, WR_NATIVE_INTS_2, WR_NATIVE_INTS_6 };
typedef struct WrNativeFunc {
    void *function; /* first: trampolines call through it */
    uint32_t num_params;
    uint8_t result, shape;
    bool is_direct; /* core values are C values as they are, so a trampoline can pass them in registers */
    uint8_t params[WR_NATIVE_MAX_PARAMS];
} WrNativeFunc;
WR_API bool wr_native_init(WrNativeFunc *native); /* fills in `shape` and `is_direct`; false: too many parameters */
/* The wasm_call of a VMHostContext of a native function of this type: calls it without an array where that can be. in_component: data2 is the instance's
 * may_leave, as wr_native_call takes it. */
WR_API bool wr_types_native_call(WrTypeRegistry *registry, uint32_t id, const WrNativeFunc *native, bool in_component, const void **out_wasm_call, WrError *error);
WR_API VMArrayCall wr_native_call(const WrNativeFunc *native); /* after wr_native_init */

/* Calls of WASI 0.1 without an embedder (csrc/vm/wasi.c): `call` of a host function of the type that wasi_snapshot_preview1 gives it. Those of descriptors
 * work on what wr_wasi_set_file named, and hand everything else, errors included, to `slow`, which is called with the same arguments. */
typedef struct WrWasiFile { int32_t file; uint32_t rights; } WrWasiFile; /* a descriptor of this process, never closed here */
enum { WR_WASI_READ = 1, WR_WASI_WRITE = 2, WR_WASI_SEEK = 4 };
WR_API bool wr_wasi_set_file(WrStore *store, uint32_t descriptor, int32_t file, uint32_t rights); /* rights 0: none any more. False: no memory */
WR_API void wr_wasi_forget(WrStore *store);                                                        /* all of them */
WR_API void wr_wasi_set_slow(VMArrayCall slow);
WR_API bool wr_wasi_fd_read(VMContext *callee, VMContext *caller, ValRaw *values, size_t capacity);
WR_API bool wr_wasi_fd_write(VMContext *callee, VMContext *caller, ValRaw *values, size_t capacity);
WR_API bool wr_wasi_fd_seek(VMContext *callee, VMContext *caller, ValRaw *values, size_t capacity);
WR_API bool wr_wasi_clock_time_get(VMContext *callee, VMContext *caller, ValRaw *values, size_t capacity);
WR_API bool wr_wasi_random_get(VMContext *callee, VMContext *caller, ValRaw *values, size_t capacity);
WR_API bool wr_wasi_sched_yield(VMContext *callee, VMContext *caller, ValRaw *values, size_t capacity);

/* externref words: the store keeps `object` (the embedder's pointer) until it is freed; the same object gives the same word. 0 is null. */
WR_API uint64_t wr_externref_new(WrStore *store, void *object, bool *out_is_new);
WR_API void *wr_externref_get(WrStore *store, uint64_t word);

/* References of types under any and extern: what they are (vm.h, VMObject). */
typedef enum WrRefKind { WR_REF_NULL, WR_REF_I31, WR_REF_HOST, WR_REF_STRUCT, WR_REF_ARRAY } WrRefKind;
WR_API WrRefKind wr_ref_kind(const void *ref);
WR_API uint32_t wr_object_length(const void *object); /* of an array */
/* Whether the reference has the type, whose concrete heap types are engine-wide ids. */
WR_API bool wr_ref_matches(WrStore *store, ValType type, const void *ref);
WR_API bool wr_func_matches(WrStore *store, ValType type, const VMFuncRef *func);
/* Keeps what the reference refers to; 0: no memory. The caller owns the store; dropping may happen while another thread runs it. */
WR_API uint32_t wr_ref_keep(WrStore *store, void *ref);
WR_API void wr_ref_drop(WrStore *store, uint32_t kept);
/* While it is held, nothing is collected: references are where no collection looks, in memory of the host's. Nests. */
WR_API void wr_store_gc_hold(WrStore *store, bool is_held);
/* Frees the objects and exceptions that nothing refers to; false: not now (another thread runs the store, or its stacks cannot be looked at). */
WR_API bool wr_store_gc(WrStore *store);
WR_API void wr_store_set_gc_stress(WrStore *store, bool is_stressed); /* tests: collects before every object and exception that is made, and clears what is free */
typedef struct WrGcStats { uint64_t heap_bytes, live_bytes /* after the last collection */, num_collections; } WrGcStats;
WR_API void wr_store_gc_stats(const WrStore *store, WrGcStats *out_stats);

/* ---- component handle tables (canonical ABI: one per component instance) --------------------------------------------------------------------- */

typedef struct WrHandleTable WrHandleTable;
enum { WR_HANDLE_FREE, WR_HANDLE_OWN, WR_HANDLE_BORROW, WR_HANDLE_WAITABLE /* and whatever else of the asynchronous ABI has an index; no resource type */ };
typedef struct WrHandle { uint32_t kind; uint32_t num_lends; uint64_t resource_type; /* id of the runtime resource type */ uint64_t rep; uint64_t scope; /* borrow: the task */ } WrHandle;
WR_API WrHandleTable *wr_handles_new(void);
WR_API void wr_handles_free(WrHandleTable *table);
WR_API uint32_t wr_handles_add(WrHandleTable *table, const WrHandle *handle); /* index from 1, freed ones reused last in first out; 0: table is full or no memory */
WR_API WrHandle *wr_handles_get(WrHandleTable *table, uint32_t index);         /* NULL: unknown; valid until the next add */
WR_API bool wr_handles_remove(WrHandleTable *table, uint32_t index);
WR_API uint32_t wr_handles_count(const WrHandleTable *table); /* handles in use */

/* ---- calls between components: VMArrayCalls of host contexts that adapters import (csrc/vm/transcode.c) --------------------------------------- */

WR_API bool wr_adapter_trap(VMContext *callee, VMContext *caller, ValRaw *values, size_t capacity);      /* (i32 trap code) -> () */
WR_API bool wr_adapter_transcode(VMContext *callee, VMContext *caller, ValRaw *values, size_t capacity); /* data, data2: VMMemoryDef **; index: row of transcode.def */

/* ---- fibers: stacks that guest code runs on and can be left in the middle of (csrc/vm/fiber.c) ------------------------------------------------- */

typedef struct WrFiber WrFiber;
typedef enum WrFiberState { WR_FIBER_DONE, WR_FIBER_FAILED /* as an array call that returned false */, WR_FIBER_SUSPENDED } WrFiberState;
enum { WR_FIBER_VALUES = 32 /* of a call's arguments and results */, WR_FIBERS_KEPT = 16 };
/* An idle one; it ends with its store. */
WR_API WrFiber *wr_fiber_new(WrStore *store, WrError *error);
WR_API void wr_fiber_free(WrFiber *fiber); /* not while it runs; frames of a suspended one are dropped */
WR_API ValRaw *wr_fiber_values(WrFiber *fiber);
/* Calls a function on an idle fiber: with its values, which the results replace. In a store that is entered. */
WR_API WrFiberState wr_fiber_call(WrFiber *fiber, const VMFuncRef *func);
WR_API WrFiberState wr_fiber_resume(WrFiber *fiber); /* one that is suspended goes on */
WR_API void wr_fiber_suspend(WrFiber *fiber);        /* on the fiber, in a host function: back to who called or resumed it */

/* ---- hooks of the embedder ------------------------------------------------------------------------------------------------------------------ */

typedef struct WrHooks {
    /* Slow path of the interrupt check, on the guest's thread, with the guest's frames below: 0 go on; else a trap (wr_store_trap was called) or a
     * host exception is pending. */
    int (*interrupt)(WrStore *store, void *host);
    bool (*is_over)(WrStore *store, void *host); /* whether `interrupt` would trap by a deadline; runs nothing */
    void (*before_block)(WrStore *store, void *host); /* before what may take long (bulk operations, a file): may release the GIL */
} WrHooks;
WR_API void wr_set_hooks(const WrHooks *hooks);
/* Installs the signal handlers (once per process; chains to the handlers before). Called by the first engine with signals_based_traps. */
WR_API bool wr_signals_install(WrError *error);
/* Asks every store that runs guest code now to take the slow path (used by timeouts and tests; the ticker does it by itself). */
WR_API void wr_interrupt_all(void);

#endif
