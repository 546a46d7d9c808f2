/* A whole module: functions are compiled by worker threads, each with its own assembler, and laid out in order of their indices, so that the text does not
 * depend on how many threads there were or who compiled what.
 *
 * Layout: functions; the shared stubs; per signature an entry body; an entry stub per escaped function; per type a host call. Every start is
 * a multiple of 16. Small modules (below 64 KiB of code) use the calling thread alone. */
#include <stdatomic.h>
#include <stdlib.h>

#include "compile/state.h"
#include "os/pages.h"
#include "os/thread.h"
#include "tramp/tramp.h"
#include "wasm/elems.h"
#include "wasm/fields.h"
#include "wasm/validate.h"

enum { MODULE_THREAD_BYTES = 64 * 1024, MODULE_MAX_THREADS = 64, MODULE_CHUNK = 16, MODULE_MAX_TEXT = 1 << 30 };
/* A worker's first memory, in shares of the bytes that it is likely to compile: most code needs less. Below that many bytes, malloc's is as good. */
enum { LEND_CODE = 3, LEND_TRAPS = 1, LEND_ADDRS = 1, LEND_ALL = LEND_CODE + LEND_TRAPS + LEND_ADDRS, LEND_FROM_BYTES = 256 * 1024, BLOCK_PAGES_BYTES = 1 << 20 /* from there on results are in pages of their own */ };

typedef struct FuncRecord { /* of a compiled function, before layout */
    uint32_t worker;
    CompiledFunc code;
    uint32_t first_reloc, num_relocs, first_trap, num_traps, first_addr, num_addrs, first_handler, num_handlers;
} FuncRecord;

typedef struct Worker {
    struct ModuleJob *job;
    uint32_t index;
    Asm as;
    FuncCompiler fc;
    WasmFuncInfo info;
    WasmValidateScratch *scratch;
    WrError error;
    uint8_t *lent; size_t lent_bytes; /* what the assembler and the tables start in; NULL: nothing */
    bool ready;
    pthread_t thread;
} Worker;

typedef struct ModuleJob {
    ModuleCompiler mc, careful; /* the same for careful functions */
    FuncRecord *records;
    uint32_t num_defined;
    WrProgress *progress;
    atomic_uint next;      /* first defined function that nobody took */
    atomic_uint first_bad; /* lowest defined function that failed: those behind it need not be tried */
} ModuleJob;

/* ---- what functions share ------------------------------------------------------------------------------------------------------------ */

static WrSignature module_signature(const WasmModule *module, const WasmFuncType *func)
{
    return (WrSignature){module->valtypes + func->params, func->num_params, module->valtypes + func->results, func->num_results};
}

/* Where fields lie, so that an instruction need not add up those before. */
static bool module_structs(ModuleCompiler *mc, WrError *error)
{
    const WasmModule *module = mc->module;
    uint32_t first = 0;
    while (first < module->num_types && module->types[first].kind != WASM_TYPE_STRUCT) first++;
    if (first == module->num_types) return true;
    mc->field_offsets = calloc(module->num_valtypes + 1, sizeof *mc->field_offsets);
    mc->object_bytes = calloc(module->num_types, sizeof *mc->object_bytes);
    if (!mc->field_offsets || !mc->object_bytes) return wr_error_set(error, WR_ERROR_MEMORY, WR_NO_OFFSET, "out of memory while compiling");
    for (uint32_t i = first; i < module->num_types; i++) {
        if (module->types[i].kind != WASM_TYPE_STRUCT) continue;
        const WasmFuncType *fields = &module->types[i].func;
        uint32_t at = 0;
        for (uint32_t k = fields->params; k < fields->params + fields->num_params; k++) mc->field_offsets[k] = wr_field_place(&at, module->valtypes[k]);
        mc->object_bytes[i] = wr_object_bytes(at);
    }
    return true;
}

static bool module_compiler_init(ModuleCompiler *mc, const WasmModule *module, const WrTunables *tunables, WrError *error)
{
    mc->module = module;
    mc->tunables = *tunables;
    if (!tunables->signals_based_traps) mc->tunables.guarded_memories = 0;
    uint64_t cpu = tunables->cpu_features;
    mc->avx = (cpu & X64_CPU_AVX) != 0;
    mc->avx2 = mc->avx && (cpu & X64_CPU_AVX2) != 0;
    mc->fma = mc->avx && (cpu & X64_CPU_FMA) != 0;
    mc->bmi1 = (cpu & X64_CPU_BMI1) != 0;
    mc->bmi2 = (cpu & X64_CPU_BMI2) != 0;
    mc->lzcnt = (cpu & X64_CPU_LZCNT) != 0;
    mc->popcnt = true;
    wr_vm_offsets(module, &mc->offsets);
    size_t slots = 0;
    for (uint32_t i = 0; i < module->num_types; i++)
        if (module->types[i].kind == WASM_TYPE_FUNC) slots += (size_t)module->types[i].func.num_params + module->types[i].func.num_results;
    mc->lazy_tables = calloc(module->num_tables + 1, sizeof *mc->lazy_tables);
    mc->abis = calloc(module->num_types + 1, sizeof *mc->abis);
    mc->abi_slots = calloc(slots + 1, sizeof *mc->abi_slots);
    if (!mc->abis || !mc->abi_slots || !mc->lazy_tables) return wr_error_set(error, WR_ERROR_MEMORY, WR_NO_OFFSET, "out of memory while compiling");
    for (uint32_t i = 0; i < module->num_tables; i++) mc->lazy_tables[i] = wr_elems_may_be_lazy(module, i);
    AbiSlot *slot = mc->abi_slots;
    for (uint32_t i = 0; i < module->num_types; i++) {
        if (module->types[i].kind != WASM_TYPE_FUNC) continue;
        const WasmFuncType *func = &module->types[i].func;
        WrSignature signature = module_signature(module, func);
        CgAbi *abi = &mc->abis[i];
        *abi = (CgAbi){.num_params = func->num_params, .num_results = func->num_results, .param_types = signature.params, .result_types = signature.results};
        abi->layout.params = slot;
        abi->layout.results = slot + func->num_params;
        slot += func->num_params + func->num_results;
        wr_abi_layout(&signature, &abi->layout);
    }
    return module_structs(mc, error);
}

/* ---- workers ------------------------------------------------------------------------------------------------------------------------------- */

static bool worker_func(Worker *w, uint32_t defined)
{
    ModuleJob *job = w->job;
    uint32_t func_index = job->mc.module->num_imported_funcs + defined;
    FuncRecord *record = &job->records[defined];
    FuncCompiler *fc = &w->fc;
    record->worker = w->index;
    record->first_reloc = w->as.reloc_count;
    record->first_trap = fc->num_traps;
    record->first_addr = fc->num_addrs;
    record->first_handler = fc->num_handlers;
    if (!wr_func_validate(job->mc.module, func_index, &w->info, w->scratch, &w->error)) return false;
    bool careful = func_index >= job->mc.tunables.careful_first && func_index < job->mc.tunables.careful_end;
    fc->mc = careful ? &job->careful : &job->mc;
    if (!cg_func(fc, func_index, &w->info, &record->code, &w->error)) return false;
    record->num_relocs = w->as.reloc_count - record->first_reloc;
    record->num_traps = fc->num_traps - record->first_trap;
    record->num_addrs = fc->num_addrs - record->first_addr;
    record->num_handlers = fc->num_handlers - record->first_handler;
    return true;
}

static void *worker_run(void *argument)
{
    Worker *w = argument;
    ModuleJob *job = w->job;
    for (;;) {
        uint32_t first = atomic_fetch_add_explicit(&job->next, MODULE_CHUNK, memory_order_relaxed);
        if (first >= job->num_defined) return NULL;
        uint32_t end = first + MODULE_CHUNK < job->num_defined ? first + MODULE_CHUNK : job->num_defined;
        if (__atomic_load_n(&job->progress->cancel, __ATOMIC_RELAXED)) return NULL;
        for (uint32_t i = first; i < end; i++) {
            uint32_t bad = atomic_load_explicit(&job->first_bad, memory_order_relaxed);
            if (i > bad) return NULL;
            if (worker_func(w, i)) continue;
            while (i < bad && !atomic_compare_exchange_weak(&job->first_bad, &bad, i)) {}
            return NULL;
        }
        (void)__atomic_fetch_add(&job->progress->done, end - first, __ATOMIC_RELAXED);
    }
}

/* Pages of a large module are touched once and given back: large ones cost a tenth. */
static void worker_lend(Worker *w, uint64_t share)
{
    if (share < LEND_FROM_BYTES) return;
    share = (share + 15) & ~UINT64_C(15);
    w->lent_bytes = wr_os_round_to_pages(share * LEND_ALL);
    w->lent = wr_os_alloc_dense(w->lent_bytes);
    if (!w->lent) return;
    uint8_t *at = w->lent;
    wr_base_code_buffer_lend(&w->as.code, at, share * LEND_CODE);
    at += share * LEND_CODE;
    w->fc.lent = at;
    w->fc.lent_end = w->lent + w->lent_bytes;
    w->fc.traps = (TrapRow *)(void *)at;
    w->fc.cap_traps = (uint32_t)(share * LEND_TRAPS / sizeof *w->fc.traps);
    at += share * LEND_TRAPS;
    w->fc.addrs = (AddrRow *)(void *)at;
    w->fc.cap_addrs = (uint32_t)(share * LEND_ADDRS / sizeof *w->fc.addrs);
}

static bool worker_init(Worker *w, ModuleJob *job, uint32_t index, uint64_t share)
{
    w->job = job;
    w->index = index;
    w->error = (WrError){.kind = WR_ERROR_NONE, .func_index = WR_NO_FUNC, .offset = WR_NO_OFFSET};
    wr_x64_asm_init(&w->as, (uint32_t)job->mc.tunables.cpu_features);
    cg_init(&w->fc, &w->as, &job->mc);
    worker_lend(w, share);
    wr_func_info_init(&w->info);
    w->scratch = wr_validate_scratch_new();
    w->ready = true;
    return w->scratch != NULL;
}

static void worker_free(Worker *w)
{
    if (!w->ready) return;
    wr_x64_asm_free(&w->as);
    cg_free(&w->fc);
    wr_func_info_free(&w->info);
    wr_validate_scratch_free(w->scratch);
    if (w->lent) wr_os_release(w->lent, w->lent_bytes);
}

/* ---- layout ------------------------------------------------------------------------------------------------------------------------------------ */

static uint32_t align16(uint32_t offset) { return (offset + 15) & ~15u; }

static void patch_rel32(uint8_t *text, uint32_t field, uint32_t target, int32_t addend)
{
    uint32_t value = target + (uint32_t)addend - field;
    memcpy(text + field, &value, 4);
}

static bool same_types(const WasmModule *module, uint32_t a, uint32_t b, uint32_t count)
{
    return a == b || memcmp(module->valtypes + a, module->valtypes + b, count * sizeof(ValType)) == 0;
}

/* The first type with the same parameters and results: trampolines are shared between equal signatures. */
static uint32_t *module_representatives(const WasmModule *module)
{
    uint32_t slots = 16;
    while (slots < module->num_types * 2) slots *= 2;
    uint32_t *table = malloc(slots * sizeof *table), *representative = malloc((module->num_types + 1) * sizeof *representative);
    if (table && representative) {
        memset(table, 0xff, slots * sizeof *table);
        for (uint32_t i = 0; i < module->num_types; i++) {
            representative[i] = UINT32_MAX;
            if (module->types[i].kind != WASM_TYPE_FUNC) continue;
            const WasmFuncType *f = &module->types[i].func;
            uint32_t hash = f->num_params * 31 + f->num_results;
            for (uint32_t k = 0; k < f->num_params; k++) hash = (hash ^ module->valtypes[f->params + k]) * 0x9E3779B1u;
            for (uint32_t k = 0; k < f->num_results; k++) hash = (hash ^ module->valtypes[f->results + k]) * 0x85EBCA6Bu;
            for (uint32_t at = hash & (slots - 1);; at = (at + 1) & (slots - 1)) {
                if (table[at] == UINT32_MAX) {
                    table[at] = representative[i] = i;
                    break;
                }
                const WasmFuncType *g = &module->types[table[at]].func;
                if (g->num_params == f->num_params && g->num_results == f->num_results && same_types(module, f->params, g->params, f->num_params) &&
                    same_types(module, f->results, g->results, f->num_results)) {
                    representative[i] = table[at];
                    break;
                }
            }
        }
    } else {
        free(representative);
        representative = NULL;
    }
    free(table);
    return representative;
}

typedef struct Trampolines {
    Asm as;
    uint32_t stubs[STUB_COUNT];
} Trampolines;

/* Shared stubs, entry bodies and stubs, host calls, into an assembler whose code will start at `base` of the text. */
static bool module_trampolines(const WasmModule *module, Trampolines *t, uint32_t base, CompiledModule *out)
{
    Asm *as = &t->as;
    bool ok = true;
    for (uint32_t i = 0; i < STUB_COUNT && ok; i++) {
        wr_x64_function_begin(as);
        t->stubs[i] = base + x64_offset(as);
        cg_emit_stub(as, i);
        ok = wr_x64_function_end(as) == X64_OK;
    }
    uint32_t *representative = module_representatives(module);
    uint32_t *bodies = malloc((module->num_types + 1) * sizeof *bodies);
    if (!representative || !bodies) ok = false;
    else memset(bodies, 0xff, (module->num_types + 1) * sizeof *bodies);
    for (uint32_t i = module->num_imported_funcs; i < module->num_funcs && ok; i++) {
        const WasmFunc *func = &module->funcs[i];
        if (func->escape_index == UINT32_MAX) continue;
        uint32_t type = representative[func->type_index];
        if (bodies[type] == UINT32_MAX) {
            WrSignature signature = module_signature(module, &module->types[type].func);
            wr_x64_function_begin(as);
            bodies[type] = x64_offset(as);
            ok = wr_tramp_emit_entry(as, &signature) && wr_x64_function_end(as) == X64_OK;
            if (!ok) break;
        }
        wr_x64_room(as, CODE_MARK_BYTES);
        wr_x64_function_begin(as);
        uint32_t start = x64_offset(as);
        ok = wr_tramp_emit_entry_stub(as, bodies[type], out->funcs[i - module->num_imported_funcs].start - base) && wr_x64_function_end(as) == X64_OK;
        out->array_calls[func->escape_index] = (FunctionLoc){base + start, x64_offset(as) - start};
    }
    for (uint32_t i = 0; i < module->num_types && ok; i++) {
        if (representative[i] == UINT32_MAX) continue;
        if (representative[i] < i) {
            out->host_calls[i] = out->host_calls[representative[i]];
            continue;
        }
        WrSignature signature = module_signature(module, &module->types[i].func);
        wr_x64_room(as, CODE_MARK_BYTES);
        wr_x64_function_begin(as);
        uint32_t start = x64_offset(as);
        ok = wr_tramp_emit_host_call(as, &signature) && wr_x64_function_end(as) == X64_OK;
        out->host_calls[i] = (FunctionLoc){base + start, x64_offset(as) - start};
    }
    free(representative);
    free(bodies);
    return ok && !x64_failed(as);
}

static void *alloc_items(uint32_t count, size_t size) { return calloc((size_t)count + 1, size); }

static bool module_layout(ModuleJob *job, Worker *workers, CompiledModule *out, WrError *error)
{
    const WasmModule *module = job->mc.module;
    uint64_t text = align16(CODE_MARK_BYTES);
    uint32_t num_traps = 0, num_addrs = 0, num_handlers = 0;
    out->num_funcs = job->num_defined;
    out->num_array_calls = module->num_escaped_funcs;
    out->num_host_calls = module->num_types;
    out->funcs = alloc_items(out->num_funcs, sizeof *out->funcs);
    out->array_calls = alloc_items(out->num_array_calls, sizeof *out->array_calls);
    out->host_calls = alloc_items(out->num_host_calls, sizeof *out->host_calls);
    bool no_memory = !out->funcs || !out->array_calls || !out->host_calls;
    for (uint32_t i = 0; i < job->num_defined && !no_memory; i++) {
        const FuncRecord *r = &job->records[i];
        if (text + r->code.length > MODULE_MAX_TEXT) return wr_error_set(error, WR_ERROR_LIMIT, WR_NO_OFFSET, "the module's machine code is larger than 1073741824 bytes (IMAGE_BYTES)");
        out->funcs[i] = (FunctionLoc){(uint32_t)text, r->code.length};
        text = align16((uint32_t)text + r->code.length + CODE_MARK_BYTES);
        num_traps += r->num_traps;
        num_addrs += r->num_addrs + 1;
        num_handlers += r->num_handlers;
    }
    Trampolines t;
    wr_x64_asm_init(&t.as, (uint32_t)job->mc.tunables.cpu_features);
    uint32_t base = (uint32_t)text;
    if (no_memory || !module_trampolines(module, &t, base, out)) {
        wr_x64_asm_free(&t.as);
        return wr_error_set(error, WR_ERROR_MEMORY, WR_NO_OFFSET, "out of memory while compiling");
    }
    out->text_bytes = base + x64_offset(&t.as);
    uint64_t traps_at = align16(out->text_bytes + 16), addrs_at = traps_at + ((uint64_t)num_traps + 1) * sizeof *out->traps;
    out->block_bytes = wr_os_round_to_pages(addrs_at + ((uint64_t)num_addrs + 2) * sizeof *out->addrs);
    out->text = out->block_bytes >= BLOCK_PAGES_BYTES ? wr_os_alloc_dense(out->block_bytes) : malloc(out->block_bytes);
    if (out->text) {
        out->traps = (TrapRow *)(void *)(out->text + traps_at);
        out->addrs = (AddrRow *)(void *)(out->text + addrs_at);
    }
    out->handlers = alloc_items(num_handlers, sizeof *out->handlers);
    if (!out->text || !out->handlers || out->text_bytes > MODULE_MAX_TEXT) {
        wr_x64_asm_free(&t.as);
        return wr_error_set(error, WR_ERROR_MEMORY, WR_NO_OFFSET, "out of memory while compiling");
    }
    memset(out->text, 0xCC, align16(CODE_MARK_BYTES));
    if (x64_offset(&t.as)) memcpy(out->text + base, t.as.code.start, x64_offset(&t.as));
    wr_x64_asm_free(&t.as);
    for (uint32_t i = 0; i < job->num_defined; i++) {
        const FuncRecord *r = &job->records[i];
        const Worker *w = &workers[r->worker];
        uint32_t start = out->funcs[i].start, shift = start - r->code.start; /* modulo 2^32 */
        memcpy(out->text + start, w->as.code.start + r->code.start, r->code.length);
        memset(out->text + start + r->code.length, 0xCC, align16(r->code.length + CODE_MARK_BYTES) - r->code.length);
        for (uint32_t k = 0; k < r->num_relocs; k++) {
            const CodeReloc *reloc = &w->as.relocs[r->first_reloc + k];
            uint32_t target = reloc->kind == CODE_RELOC_CALL_STUB ? t.stubs[reloc->target] : out->funcs[reloc->target - module->num_imported_funcs].start;
            patch_rel32(out->text, reloc->offset + shift, target, reloc->addend);
        }
        for (uint32_t k = 0; k < r->num_traps; k++) {
            TrapRow row = w->fc.traps[r->first_trap + k];
            out->traps[out->num_traps++] = (TrapRow){row.code_offset + shift, row.trap_code};
        }
        for (uint32_t k = 0; k < r->num_addrs; k++) {
            AddrRow row = w->fc.addrs[r->first_addr + k];
            uint32_t at = k == 0 ? start : row.code_offset + shift; /* the prologue belongs to the first row */
            out->addrs[out->num_addrs++] = (AddrRow){at, row.wasm_offset};
        }
        uint32_t first = out->num_handlers;
        for (uint32_t k = 0; k < r->num_handlers; k++) {
            HandlerRow row = w->fc.handlers[r->first_handler + k];
            uint32_t next = row.next == HANDLER_NONE ? HANDLER_NONE : row.next - r->first_handler + first;
            out->handlers[out->num_handlers++] = (HandlerRow){row.start + shift, row.end + shift, row.tag, row.landing + shift, row.resume + shift, next};
        }
    }
    if (out->num_addrs) out->addrs[out->num_addrs++] = (AddrRow){base, UINT32_MAX};
    return true;
}

/* ---- the module ---------------------------------------------------------------------------------------------------------------------------------- */

static uint32_t module_threads(const WasmModule *module, uint32_t asked, uint32_t num_defined)
{
    if (module->code_section.length < MODULE_THREAD_BYTES) return 1;
    uint32_t threads = asked ? asked : wr_os_cpu_count();
    uint32_t useful = (num_defined + MODULE_CHUNK - 1) / MODULE_CHUNK;
    if (threads > useful) threads = useful;
    if (threads > MODULE_MAX_THREADS) threads = MODULE_MAX_THREADS;
    return threads ? threads : 1;
}

bool wr_compile_module(const WasmModule *module, const WrTunables *tunables, uint32_t threads, CompiledModule **out_compiled, WrError *error)
{
    WrProgress unseen = {0};
    return wr_compile_module_watched(module, tunables, threads, &unseen, out_compiled, error);
}

bool wr_compile_module_watched(const WasmModule *module, const WrTunables *tunables, uint32_t threads, WrProgress *progress, CompiledModule **out_compiled, WrError *error)
{
    ModuleJob job = {.num_defined = module->num_funcs - module->num_imported_funcs, .progress = progress};
    atomic_init(&job.next, 0);
    atomic_init(&job.first_bad, UINT32_MAX);
    uint32_t num_workers = module_threads(module, threads, job.num_defined);
    Worker *workers = calloc(num_workers, sizeof *workers);
    CompiledModule *out = calloc(1, sizeof *out);
    job.records = calloc((size_t)job.num_defined + 1, sizeof *job.records);
    bool ok = workers && out && job.records;
    if (!ok) wr_error_set(error, WR_ERROR_MEMORY, WR_NO_OFFSET, "out of memory while compiling");
    ok = ok && module_compiler_init(&job.mc, module, tunables, error);
    job.careful = job.mc;
    job.careful.careful = true;
    job.careful.avx = job.careful.avx2 = job.careful.fma = job.careful.bmi1 = job.careful.bmi2 = job.careful.lzcnt = false;
    const uint64_t code_bytes = module->code_section.length, share = num_workers == 1 ? code_bytes : code_bytes / num_workers * 5 / 4;
    for (uint32_t i = 0; i < num_workers && ok; i++) {
        ok = worker_init(&workers[i], &job, i, share);
        if (!ok) wr_error_set(error, WR_ERROR_MEMORY, WR_NO_OFFSET, "out of memory while compiling");
    }
    if (ok) {
        uint32_t started = 1;
        while (started < num_workers && wr_os_thread_start(&workers[started].thread, worker_run, &workers[started], 0)) started++;
        worker_run(&workers[0]);
        for (uint32_t i = 1; i < started; i++) wr_os_thread_join(workers[i].thread);
        uint32_t bad = atomic_load(&job.first_bad);
        if (__atomic_load_n(&progress->cancel, __ATOMIC_RELAXED)) {
            ok = wr_error_set(error, WR_ERROR_LIMIT, WR_NO_OFFSET, "compiling was cancelled");
        } else if (bad != UINT32_MAX) { /* the lowest function that failed: the same error whatever the threads did */
            ok = false;
            uint32_t func = module->num_imported_funcs + bad;
            for (uint32_t i = 0; i < num_workers; i++)
                if (workers[i].error.kind != WR_ERROR_NONE && workers[i].error.func_index == func) *error = workers[i].error;
            if (error->kind == WR_ERROR_NONE) wr_error_set(error, WR_ERROR_MEMORY, WR_NO_OFFSET, "out of memory while compiling");
        }
    }
    ok = ok && module_layout(&job, workers, out, error);
    for (uint32_t i = 0; workers && i < num_workers; i++) worker_free(&workers[i]);
    free(workers);
    free(job.records);
    free(job.mc.abis);
    free(job.mc.abi_slots);
    free(job.mc.lazy_tables);
    free(job.mc.field_offsets);
    free(job.mc.object_bytes);
    if (!ok) {
        wr_compiled_module_free(out);
        return false;
    }
    *out_compiled = out;
    return true;
}

void wr_compiled_module_free(CompiledModule *compiled)
{
    if (!compiled) return;
    if (compiled->block_bytes >= BLOCK_PAGES_BYTES) wr_os_release(compiled->text, compiled->block_bytes);
    else free(compiled->text);
    free(compiled->funcs);
    free(compiled->array_calls);
    free(compiled->host_calls);
    free(compiled->handlers);
    free(compiled);
}
