/* From a decoded module to machine code: what any compiler behind this line takes and gives.
 *
 * Two tiers share it. Compilers use x64, wasm and vm.h only: they never call the runtime, they emit references to rows of builtins.def. */
#ifndef WR_COMPILE_COMPILE_H
#define WR_COMPILE_COMPILE_H

#include "tramp/abi.h"
#include "wasm/module.h"
#include "wasmrt/api.h"
#include "wasmrt/vm.h"

/* What code depends on besides the module; recorded in the artifact and compared when it is loaded. */
typedef struct WrTunables {
#define TUNABLE(name, type, compared, doc) type name;
#include "wasmrt/tunables.def"
} WrTunables;

/* Whether accesses to such a memory need no comparison with its length: its reservation and guard catch what is outside. */
static inline bool wr_memory_guarded(const WrTunables *tunables, const WasmLimits *limits)
{
    return tunables->guarded_memories && tunables->signals_based_traps && !(limits->flags & WASM_LIMITS_64) && limits->page_size_log2 == 16;
}

typedef struct TrapRow { uint32_t code_offset; uint32_t trap_code; } TrapRow;
typedef struct AddrRow { uint32_t code_offset; uint32_t wasm_offset; } AddrRow;

/* One catch of a try_table: calls that return to (start, end] and throw `tag` go on at `resume`, which restores the frame and jumps to `landing`. Offsets
 * into the text. A row that does not apply leads to `next`, a row before it: the try_table's next catch, then those around it. The rows of a
 * try_table stand in reverse order, so that the last row that starts before a pc is the first to be asked. */
typedef struct HandlerRow { uint32_t start, end, tag /* index of the module's, or HANDLER_ALL */, landing, resume, next /* or HANDLER_NONE */; } HandlerRow;
#define HANDLER_ALL UINT32_MAX
#define HANDLER_NONE UINT32_MAX

/* Machine code of one module, position independent, calls inside it resolved. Before each start that is listed here and before each handler's landing lie
 * CODE_MARK_BYTES (tramp/abi.h) that are nobody's: room for the image to write what starts there (code/marks.h). */
typedef struct CompiledModule {
    uint8_t *text; uint32_t text_bytes;        /* pages, with traps and addrs behind: block_bytes. Functions, then entry stubs and trampolines; 16-byte aligned starts */
    FunctionLoc *funcs; uint32_t num_funcs;    /* wasm_call of each defined function, placed in this order */
    FunctionLoc *array_calls; uint32_t num_array_calls; /* array_call of each escaped function, by escape index */
    FunctionLoc *host_calls; uint32_t num_host_calls;   /* wasm-to-array trampoline per type of the module (by type index), for imports given by the host; length 0: type is not a func type */
    TrapRow *traps; uint32_t num_traps;        /* sorted by offset */
    HandlerRow *handlers; uint32_t num_handlers; /* sorted by start */
    AddrRow *addrs; uint32_t num_addrs;        /* sorted: a row holds from its offset to the next; wasm_offset UINT32_MAX = no place */
    size_t block_bytes;
} CompiledModule;

/* Validates every body and compiles it. threads: 0 = as many as cores; small modules use one whatever is asked. Needs no lock of any kind. */
WR_API bool wr_compile_module(const WasmModule *module, const WrTunables *tunables, uint32_t threads, CompiledModule **out_compiled, WrError *error);
/* The same, seen and stopped from other threads: functions that are done are added to `done`; a `cancel` that is not 0 makes it fail soon. Both atomically. */
typedef struct WrProgress { uint64_t done; uint32_t cancel; } WrProgress;
WR_API bool wr_compile_module_watched(const WasmModule *module, const WrTunables *tunables, uint32_t threads, WrProgress *progress, CompiledModule **out_compiled, WrError *error);
/* Validates every body without emitting code. */
WR_API bool wr_validate_module(const WasmModule *module, WrError *error);
WR_API void wr_compiled_module_free(CompiledModule *compiled);

/* Where a module's parts lie in its VMContext; the one computation of it. */
void wr_vm_offsets(const WasmModule *module, VMOffsets *out_offsets);

#endif
