/* CodeMemory: opens an image, answers what is in it, frees it.
 *
 * Opening believes nothing: headers are compared with what the layout demands (elf.c), checksum and counts come before the first use of a record, ranges
 * of records before the first use of a row. A row that comes from the file bounds what is read of it where it is read, so that any bytes in the flat
 * arrays give wrong answers at worst, and never a read outside of the image. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "code/memory.h"
#include "os/pages.h"
#include "wasm/meta.h"
#include "wasmrt/wasmrt.h"
#include "x64/cpu.h"

_Static_assert(sizeof(WrTunables) == 40 && sizeof(ImageHeader) == 80 + sizeof(WrTunables), "records of the format have no padding");
_Static_assert(sizeof(ModuleRecord) == 88 && sizeof(FunctionLoc) == 8 && sizeof(HandlerRow) == 24, "records of the format have no padding");

/* ---- fingerprint and checksums ------------------------------------------------------------------------------------------------ */

uint64_t wr_code_abi_fingerprint(void)
{
    static const char rows[] =
#define BUILTIN(name, ret, params, doc) #name " " #ret #params ";"
#include "wasmrt/builtins.def"
#undef BUILTIN
#define TRAP(name, number, message) #name #number ";"
#include "wasmrt/traps.def"
#undef TRAP
        "";
    /* each field that code reads at a constant offset */
    static const uint16_t layout[] = {
        sizeof(ValRaw), sizeof(VMFuncRef), sizeof(VMContextHeader), sizeof(VMMemoryImport), sizeof(VMFuncImport), sizeof(VMGlobalDef), sizeof(VMEntryRecord),
        offsetof(VMFuncRef, wasm_call), offsetof(VMFuncRef, type_index), offsetof(VMFuncRef, vmctx), offsetof(VMContextHeader, builtins),
        offsetof(VMContextHeader, type_ids), offsetof(VMHostContext, call), offsetof(VMMemoryDef, length_bytes), offsetof(VMTableDef, length),
        offsetof(VMMemoryImport, def), offsetof(VMFuncImport, vmctx), offsetof(VMStoreContext, last_entry), offsetof(VMStoreContext, exit_fp),
        offsetof(VMStoreContext, fuel), offsetof(VMStoreContext, real_stack_limit), offsetof(VMStoreContext, trap_code),
        offsetof(VMStoreContext, exception), offsetof(VMStoreContext, landing), offsetof(VMException, values), (uint16_t)-WR_FRAME_VMCTX,
    };
    return wr_hash_bytes(wr_hash_bytes(0, (const uint8_t *)rows, sizeof rows), (const uint8_t *)layout, sizeof layout);
}

static bool code_is_checked_at_load(uint32_t section)
{
    return section == WR_SECTION_ENGINE || section == WR_SECTION_MODULES || section == WR_SECTION_META || section == WR_SECTION_INFO;
}

static uint64_t code_checksum(const uint8_t *bytes, const ElfLayout *layout, uint64_t hash, bool at_load)
{
    for (uint32_t i = WR_SECTION_ENGINE + 1; i < WR_SECTION_COUNT; i++) {
        if (code_is_checked_at_load(i) == at_load) hash = wr_hash_bytes(hash, bytes + layout->offsets[i], layout->sizes[i]);
    }
    return hash;
}

uint64_t wr_code_header_checksum(const uint8_t *bytes, const ElfLayout *layout)
{
    uint64_t hash = wr_hash_bytes(0, bytes, layout->offsets[WR_SECTION_ENGINE] + offsetof(ImageHeader, header_checksum));
    return code_checksum(bytes, layout, hash, true);
}

uint64_t wr_code_contents_checksum(const uint8_t *bytes, const ElfLayout *layout)
{
    return code_checksum(bytes, layout, 0, false);
}

/* ---- opening ------------------------------------------------------------------------------------------------------------------ */

#define CODE_PLACE(field) (wr_elf_first_section() + offsetof(ImageHeader, field))

static bool code_same(WrError *error, uint64_t place, const char *what, uint64_t found, uint64_t wanted)
{
    if (found == wanted) return true;
    return wr_error_set(error, WR_ERROR_ARTIFACT, place, "%s: found %llu, wanted %llu", what, (unsigned long long)found, (unsigned long long)wanted);
}

static bool code_check_header(const CodeMemory *code, WrError *error)
{
    const ImageHeader *header = code->header;
    const uint64_t *sizes = code->layout.sizes;
    if (memcmp(header->magic, WR_IMAGE_MAGIC, sizeof header->magic) != 0) return wr_error_set(error, WR_ERROR_ARTIFACT, CODE_PLACE(magic), "not an artifact of wasmrt: no magic number");
    if (!code_same(error, CODE_PLACE(format), "format version", header->format, WR_IMAGE_FORMAT)) return false;
    if (!code_same(error, CODE_PLACE(target), "target", header->target, WR_IMAGE_TARGET_X86_64_LINUX)) return false;
    if (header->header_checksum != wr_code_header_checksum(code->bytes, &code->layout)) {
        return wr_error_set(error, WR_ERROR_ARTIFACT, CODE_PLACE(header_checksum), "checksum: found 0x%llx, wanted 0x%llx; the artifact is damaged",
                            (unsigned long long)header->header_checksum, (unsigned long long)wr_code_header_checksum(code->bytes, &code->layout));
    }
    /* what follows cannot be damage, but another version, or somebody who computes checksums */
    if (!code_same(error, CODE_PLACE(header_bytes), "header size", header->header_bytes, sizeof(ImageHeader))) return false;
    if (!code_same(error, CODE_PLACE(abi_fingerprint), "interface of the runtime", header->abi_fingerprint, wr_code_abi_fingerprint())) return false;
    if (header->kind != WR_IMAGE_MODULE && header->kind != WR_IMAGE_COMPONENT)
        return wr_error_set(error, WR_ERROR_ARTIFACT, CODE_PLACE(kind), "kind: found %u, wanted a module or a component", header->kind);
    uint64_t host, baseline;
    (void)wr_cpu_features(&host, &baseline);
    uint64_t missing = header->tunables.cpu_features & ~host;
    if (missing) {
        const char *name = wr_x64_cpu_feature_name((uint32_t)__builtin_ctzll(missing));
        return wr_error_set(error, WR_ERROR_ARTIFACT, CODE_PLACE(tunables), "CPU feature %s: found in the artifact, not in this machine", name ? name : "of a later version");
    }
    if (!code_same(error, CODE_PLACE(num_modules), "number of modules times their size", (uint64_t)header->num_modules * sizeof(ModuleRecord), sizes[WR_SECTION_MODULES])) return false;
    if (!code_same(error, CODE_PLACE(num_funcs), "number of functions times their size", (uint64_t)header->num_funcs * sizeof(FunctionLoc), sizes[WR_SECTION_FUNCS])) return false;
    if (!code_same(error, CODE_PLACE(num_traps), "number of traps times their size", (uint64_t)header->num_traps * 5, sizes[WR_SECTION_TRAPS])) return false;
    if (!code_same(error, CODE_PLACE(num_addrs), "number of places times their size", (uint64_t)header->num_addrs * 8, sizes[WR_SECTION_ADDRMAP])) return false;
    if (!code_same(error, CODE_PLACE(num_handlers), "number of exception handlers times their size", (uint64_t)header->num_handlers * sizeof(HandlerRow), sizes[WR_SECTION_HANDLERS])) return false;
    if ((uint64_t)header->num_trampolines * 2 > header->num_funcs)
        return wr_error_set(error, WR_ERROR_ARTIFACT, CODE_PLACE(num_trampolines), "number of trampolines: %u do not fit %u functions", header->num_trampolines, header->num_funcs);
    if (sizes[WR_SECTION_TEXT] > WR_IMAGE_MAX_TEXT_BYTES)
        return wr_error_set(error, WR_ERROR_ARTIFACT, WR_NO_OFFSET, "section .text: found %llu bytes, wanted at most %u", (unsigned long long)sizes[WR_SECTION_TEXT], WR_IMAGE_MAX_TEXT_BYTES);
    if (header->kind == WR_IMAGE_MODULE && !code_same(error, CODE_PLACE(num_modules), "number of modules", header->num_modules, 1)) return false;
    return true;
}

static bool code_fits(uint64_t first, uint64_t count, uint64_t limit) { return first <= limit && count <= limit - first; }

static bool code_check_records(const CodeMemory *code, WrError *error)
{
    const ImageHeader *header = code->header;
    const uint64_t *sizes = code->layout.sizes;
    uint64_t text_end = 0, num_rows = header->num_funcs - 2u * header->num_trampolines;
    for (uint32_t i = 0; i < header->num_modules; i++) {
        const ModuleRecord *record = &code->records[i];
        const char *what = !code_fits(record->meta_offset, record->meta_bytes, sizes[WR_SECTION_META]) || record->meta_offset % 16   ? "meta"
                           : !code_fits(record->data_offset, record->data_bytes, sizes[WR_SECTION_DATA])                             ? "data"
                           : !code_fits(record->text_offset, record->text_bytes, sizes[WR_SECTION_TEXT]) || record->text_offset < text_end ? "text"
                           : !code_fits(record->first_func, record->num_funcs, num_rows)                                             ? "functions"
                           : !code_fits(record->first_array_call, record->num_array_calls, num_rows)                                 ? "array calls"
                           : !code_fits(record->first_host_call, record->num_host_calls, num_rows)                                   ? "host calls"
                           : !code_fits(record->first_trap, record->num_traps, header->num_traps)                                    ? "traps"
                           : !code_fits(record->first_addr, record->num_addrs, header->num_addrs)                                    ? "places"
                                                                                                                                     : NULL;
        uint64_t place = code->layout.offsets[WR_SECTION_MODULES] + i * sizeof *record;
        if (what) return wr_error_set(error, WR_ERROR_ARTIFACT, place, "module %u: its %s lie outside of their section", i, what);
        text_end = (uint64_t)record->text_offset + record->text_bytes;
        if (!wr_meta_open(code->bytes + code->layout.offsets[WR_SECTION_META] + record->meta_offset, record->meta_bytes,
                          code->bytes + code->layout.offsets[WR_SECTION_DATA] + record->data_offset, record->data_bytes, &code->modules[i], error)) return false;
        const WasmModule *module = code->modules[i];
        if (!code_same(error, place, "number of imported functions", record->num_imported_funcs, module->num_imported_funcs)) return false;
        if (!code_same(error, place, "number of functions", (uint64_t)record->num_funcs + record->num_imported_funcs, module->num_funcs)) return false;
        if (!code_same(error, place, "number of array calls", record->num_array_calls, module->num_escaped_funcs)) return false;
        if (!code_same(error, place, "number of host calls", record->num_host_calls, module->num_types)) return false;
    }
    return true;
}

/* Frees what opening made so far, pages of our own included. */
static void code_free(CodeMemory *code)
{
    if (code->registered) wr_code_unregister(code);
    void *attached = atomic_load(&code->attached);
    if (attached) atomic_load(&code->free_attached)(attached);
    for (uint32_t i = 0; code->modules && i < code->header->num_modules; i++) {
        if (code->modules[i]) wr_module_free(code->modules[i]);
    }
    free(code->modules);
    if (code->mapped_bytes) wr_os_release((void *)(uintptr_t)code->bytes, code->mapped_bytes);
    free(code);
}

static bool code_open(CodeMemory *code, uint8_t *pages, WrError *error)
{
    if (!wr_elf_read(code->bytes, code->num_bytes, &code->layout, error)) return false;
    const uint64_t *offsets = code->layout.offsets;
    if (!code_same(error, offsets[WR_SECTION_ENGINE], "size of section .wasmrt.engine", code->layout.sizes[WR_SECTION_ENGINE], sizeof(ImageHeader))) return false;
    code->header = (const ImageHeader *)(const void *)(code->bytes + offsets[WR_SECTION_ENGINE]);
    if (!code_check_header(code, error)) return false;
    code->records = (const ModuleRecord *)(const void *)(code->bytes + offsets[WR_SECTION_MODULES]);
    code->funcs = (const FunctionLoc *)(const void *)(code->bytes + offsets[WR_SECTION_FUNCS]);
    code->trap_offsets = (const uint32_t *)(const void *)(code->bytes + offsets[WR_SECTION_TRAPS]);
    code->trap_codes = code->bytes + offsets[WR_SECTION_TRAPS] + 4 * (size_t)code->header->num_traps;
    code->addr_offsets = (const uint32_t *)(const void *)(code->bytes + offsets[WR_SECTION_ADDRMAP]);
    code->addr_places = code->addr_offsets + code->header->num_addrs;
    code->handlers = (const HandlerRow *)(const void *)(code->bytes + offsets[WR_SECTION_HANDLERS]);
    code->text = code->bytes + offsets[WR_SECTION_TEXT];
    code->text_bytes = (uint32_t)code->layout.sizes[WR_SECTION_TEXT];
    code->modules = calloc((size_t)code->header->num_modules + 1, sizeof *code->modules);
    if (!code->modules) return wr_error_set(error, WR_ERROR_MEMORY, WR_NO_OFFSET, "cannot allocate the views of %u modules", code->header->num_modules);
    if (!code_check_records(code, error)) return false;

    /* W^X: the text goes from writable (ours) or readable (a mapping) to executable in one step. */
    size_t text_pages = wr_os_round_to_pages(code->text_bytes);
    if ((code->mapped_bytes && !wr_os_protect(pages, offsets[WR_SECTION_TEXT], WR_OS_READ)) || !wr_os_protect(pages + offsets[WR_SECTION_TEXT], text_pages, WR_OS_READ_EXECUTE))
        return wr_error_set(error, code->mapped_bytes ? WR_ERROR_MEMORY : WR_ERROR_ARTIFACT, WR_NO_OFFSET, "cannot make the text executable: %s", strerror(errno));
    code->registered = wr_code_register(code);
    if (!code->registered) return wr_error_set(error, WR_ERROR_MEMORY, WR_NO_OFFSET, "cannot allocate the registry of code");
    return true;
}

bool wr_code_open(const CodePages *pages, CodeMemory **out_code, WrError *error)
{
    CodeMemory *code = calloc(1, sizeof *code);
    if (!code) {
        if (pages->mapped_bytes) wr_os_release(pages->bytes, pages->mapped_bytes);
        return wr_error_set(error, WR_ERROR_MEMORY, WR_NO_OFFSET, "cannot allocate the record of an image");
    }
    code->bytes = pages->bytes;
    code->num_bytes = pages->num_bytes;
    code->mapped_bytes = pages->mapped_bytes;
    atomic_init(&code->references, 1);
    if (!code_open(code, pages->bytes, error)) {
        code_free(code);
        return false;
    }
    code->release = pages->release;
    code->owner = pages->owner;
    *out_code = code;
    return true;
}

bool wr_image_load(const uint8_t *bytes, size_t num_bytes, bool copy, void (*release)(void *owner), void *owner, CodeMemory **out_code, WrError *error)
{
    CodePages pages = {.bytes = (uint8_t *)(uintptr_t)bytes, .num_bytes = num_bytes, .release = release, .owner = owner};
    if (!copy) {
        if ((uintptr_t)bytes % wr_os_page_size() == 0) return wr_code_open(&pages, out_code, error);
        return wr_error_set(error, WR_ERROR_ARTIFACT, WR_NO_OFFSET, "an artifact that is used in place must be page aligned");
    }
    /* before any allocation: most of what is no artifact ends here */
    ElfLayout layout;
    if (!wr_elf_read(bytes, num_bytes, &layout, error)) return false;
    pages = (CodePages){.num_bytes = num_bytes, .mapped_bytes = wr_os_round_to_pages(num_bytes)};
    pages.bytes = wr_os_alloc(pages.mapped_bytes);
    if (!pages.bytes) return wr_os_memory_error(error, "an artifact", pages.mapped_bytes);
    memcpy(pages.bytes, bytes, num_bytes);
    return wr_code_open(&pages, out_code, error);
}

uint32_t wr_image_detect(const uint8_t *bytes, size_t num_bytes)
{
    ImageHeader header;
    if (num_bytes < wr_elf_first_section() + sizeof header || memcmp(bytes, "\177ELF", 4) != 0) return 0;
    memcpy(&header, bytes + wr_elf_first_section(), sizeof header);
    bool ours = memcmp(header.magic, WR_IMAGE_MAGIC, sizeof header.magic) == 0;
    return ours && (header.kind == WR_IMAGE_MODULE || header.kind == WR_IMAGE_COMPONENT) ? header.kind : 0;
}

bool wr_cpu_features(uint64_t *out_host, uint64_t *out_baseline)
{
    static _Atomic uint64_t cached; /* cpuid is slow in a virtual machine; no machine has no feature */
    uint64_t host = atomic_load_explicit(&cached, memory_order_relaxed);
    if (!host) {
        host = wr_x64_cpu_features();
        atomic_store_explicit(&cached, host, memory_order_relaxed);
    }
    *out_host = host;
    *out_baseline = X64_CPU_BASELINE;
    return (host & X64_CPU_BASELINE) == X64_CPU_BASELINE;
}

bool wr_code_check_config(const CodeMemory *code, const WrTunables *wanted, uint64_t wasm_features, WrError *error)
{
    const WrTunables *found = &code->header->tunables;
    const uint64_t place = CODE_PLACE(tunables);
    uint64_t extra = code->header->wasm_features & ~wasm_features;
    if (extra) {
        return wr_error_set(error, WR_ERROR_ARTIFACT, CODE_PLACE(wasm_features), "wasm feature %s: found on, wanted off", wr_wasm_feature_text((unsigned)__builtin_ctzll(extra)));
    }
    return code_same(error, place, "guarded_memories", found->guarded_memories, wanted->guarded_memories) &&
           (!found->guarded_memories || (code_same(error, place, "memory_reservation", found->memory_reservation, wanted->memory_reservation) &&
                                         code_same(error, place, "memory_guard_bytes", found->memory_guard_bytes, wanted->memory_guard_bytes))) &&
           code_same(error, place, "signals_based_traps", found->signals_based_traps, wanted->signals_based_traps) &&
           code_same(error, place, "interruptible", found->interruptible, wanted->interruptible) &&
           code_same(error, place, "consume_fuel", found->consume_fuel, wanted->consume_fuel) &&
           code_same(error, place, "nan_canonicalization", found->nan_canonicalization, wanted->nan_canonicalization) &&
           code_same(error, place, "relaxed_simd_deterministic", found->relaxed_simd_deterministic, wanted->relaxed_simd_deterministic) &&
           code_same(error, place, "debug_checks", found->debug_checks, wanted->debug_checks);
}

/* ---- life and contents -------------------------------------------------------------------------------------------------------- */

void wr_code_retain(CodeMemory *code) { atomic_fetch_add_explicit(&code->references, 1, memory_order_relaxed); }

void wr_code_release(CodeMemory *code)
{
    if (!code || atomic_fetch_sub_explicit(&code->references, 1, memory_order_acq_rel) != 1) return;
    void (*release)(void *owner) = code->release;
    void *owner = code->owner;
    code_free(code);
    if (release) release(owner);
}

void *wr_code_attached(const CodeMemory *code) { return atomic_load_explicit(&((CodeMemory *)(uintptr_t)code)->attached, memory_order_acquire); }

void *wr_code_attach(CodeMemory *code, void *data, void (*free_data)(void *data))
{
    void *found = NULL;
    /* whoever attaches, attaches the same kind of thing: only one function ever stands here */
    atomic_store(&code->free_attached, free_data);
    return atomic_compare_exchange_strong(&code->attached, &found, data) ? data : found;
}

const uint8_t *wr_code_bytes(const CodeMemory *code, size_t *out_num_bytes)
{
    *out_num_bytes = code->num_bytes;
    return code->bytes;
}

void wr_code_text_range(const CodeMemory *code, uintptr_t *out_start, uintptr_t *out_end)
{
    *out_start = (uintptr_t)code->text;
    *out_end = (uintptr_t)code->text + code->text_bytes;
}

const uint8_t *wr_code_section(const CodeMemory *code, uint32_t section, size_t *out_num_bytes)
{
    if (section >= WR_SECTION_COUNT) return NULL;
    *out_num_bytes = code->layout.sizes[section];
    return code->bytes + code->layout.offsets[section];
}

uint32_t wr_code_kind(const CodeMemory *code) { return code->header->kind; }
const ImageHeader *wr_code_header(const CodeMemory *code) { return code->header; }
uint32_t wr_code_num_modules(const CodeMemory *code) { return code->header->num_modules; }

const WasmModule *wr_code_module(const CodeMemory *code, uint32_t module_index)
{
    return module_index < code->header->num_modules ? code->modules[module_index] : NULL;
}

static const void *code_entry(const CodeMemory *code, uint32_t row)
{
    FunctionLoc loc = code->funcs[row];
    return loc.length && code_fits(loc.start, loc.length, code->text_bytes) ? code->text + loc.start : NULL;
}

const void *wr_code_func(const CodeMemory *code, uint32_t module_index, uint32_t func_index)
{
    if (module_index >= code->header->num_modules) return NULL;
    const ModuleRecord *record = &code->records[module_index];
    uint32_t defined = func_index - record->num_imported_funcs;
    return func_index >= record->num_imported_funcs && defined < record->num_funcs ? code_entry(code, record->first_func + defined) : NULL;
}

VMArrayCall wr_code_array_call(const CodeMemory *code, uint32_t module_index, uint32_t escape_index)
{
    if (module_index >= code->header->num_modules) return NULL;
    const ModuleRecord *record = &code->records[module_index];
    return escape_index < record->num_array_calls ? (VMArrayCall)(uintptr_t)code_entry(code, record->first_array_call + escape_index) : NULL;
}

const void *wr_code_host_call(const CodeMemory *code, uint32_t module_index, uint32_t type_index)
{
    if (module_index >= code->header->num_modules) return NULL;
    const ModuleRecord *record = &code->records[module_index];
    return type_index < record->num_host_calls ? code_entry(code, record->first_host_call + type_index) : NULL;
}

bool wr_code_trampoline(const CodeMemory *code, uint32_t trampoline_index, const void **out_wasm_call, VMArrayCall *out_array_call)
{
    const ImageHeader *header = code->header;
    if (trampoline_index >= header->num_trampolines) return false;
    uint32_t row = header->num_funcs - 2 * (header->num_trampolines - trampoline_index);
    const void *wasm_call = code_entry(code, row), *array_call = code_entry(code, row + 1);
    if (!wasm_call || !array_call) return false;
    *out_wasm_call = wasm_call;
    *out_array_call = (VMArrayCall)(uintptr_t)array_call;
    return true;
}

/* ---- by pc -------------------------------------------------------------------------------------------------------------------- */

/* Index of the last of `count` ascending keys, `stride` words apart, that is not above `key`; count if there is none. */
static uint32_t code_last_not_above(const uint32_t *keys, size_t stride, uint32_t count, uint32_t key)
{
    uint32_t low = 0, high = count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (keys[middle * stride] <= key) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low ? low - 1 : count;
}

static void code_place(const CodeMemory *code, uint32_t offset, WrCodePlace *out_place)
{
    *out_place = (WrCodePlace){.code = code, .module_index = UINT32_MAX, .func_index = UINT32_MAX, .module_offset = WR_NO_OFFSET};
    uint32_t num_modules = code->header->num_modules;
    uint32_t index = code_last_not_above(num_modules ? &code->records[0].text_offset : NULL, sizeof(ModuleRecord) / 4, num_modules, offset);
    if (index == num_modules || offset - code->records[index].text_offset >= code->records[index].text_bytes) return;
    const ModuleRecord *record = &code->records[index];
    out_place->module_index = index;
    const FunctionLoc *funcs = code->funcs + record->first_func;
    uint32_t func = code_last_not_above(&funcs[0].start, sizeof *funcs / 4, record->num_funcs, offset);
    if (func == record->num_funcs || offset - funcs[func].start >= funcs[func].length) return;
    out_place->func_index = record->num_imported_funcs + func;
    out_place->func_offset = offset - funcs[func].start;
    uint32_t addr = code_last_not_above(code->addr_offsets + record->first_addr, 1, record->num_addrs, offset);
    /* a row of an earlier function says nothing about this one */
    if (addr == record->num_addrs || code->addr_offsets[record->first_addr + addr] < funcs[func].start) return;
    uint32_t wasm_offset = code->addr_places[record->first_addr + addr];
    if (wasm_offset != UINT32_MAX) out_place->module_offset = wasm_offset;
}

bool wr_code_find(uintptr_t pc, WrCodePlace *out_place)
{
    const CodeMemory *code = wr_code_read_begin(pc);
    if (code) code_place(code, (uint32_t)(pc - (uintptr_t)code->text), out_place);
    wr_code_read_end();
    return code != NULL;
}

int32_t wr_code_trap_at(uintptr_t pc)
{
    int32_t trap = -1;
    const CodeMemory *code = wr_code_read_begin(pc);
    if (code) {
        uint32_t offset = (uint32_t)(pc - (uintptr_t)code->text), num_traps = code->header->num_traps;
        uint32_t row = code_last_not_above(code->trap_offsets, 1, num_traps, offset);
        if (row < num_traps && code->trap_offsets[row] == offset) trap = code->trap_codes[row];
    }
    wr_code_read_end();
    return trap;
}

/* ---- exception handlers -------------------------------------------------------------------------------------------------------- */

/* From `row` on along `next`, the first that covers the offset. */
static bool code_handler_from(WrHandler *handler, uint32_t row)
{
    const CodeMemory *code = handler->code;
    while (row < code->header->num_handlers) {
        const HandlerRow *found = &code->handlers[row];
        if (handler->offset >= found->start && handler->offset < found->end && found->landing < code->text_bytes && found->resume < code->text_bytes) {
            handler->row = row;
            handler->tag = found->tag;
            handler->landing = code->text + found->landing;
            handler->resume = code->text + found->resume;
            return true;
        }
        if (found->next >= row) return false; /* HANDLER_NONE; rows only ever lead back */
        row = found->next;
    }
    return false;
}

bool wr_code_handler_first(uintptr_t pc, WrHandler *handler)
{
    const CodeMemory *code = wr_code_read_begin(pc);
    *handler = (WrHandler){.code = code, .module_index = UINT32_MAX};
    bool found = false;
    if (code) {
        const ImageHeader *header = code->header;
        handler->offset = (uint32_t)(pc - (uintptr_t)code->text);
        uint32_t index = code_last_not_above(header->num_modules ? &code->records[0].text_offset : NULL, sizeof(ModuleRecord) / 4, header->num_modules, handler->offset);
        if (index < header->num_modules && handler->offset - code->records[index].text_offset < code->records[index].text_bytes) {
            handler->module_index = index;
            handler->is_boundary = (code->records[index].flags & WR_MODULE_BOUNDARY) != 0;
            uint32_t row = code_last_not_above(header->num_handlers ? &code->handlers[0].start : NULL, sizeof(HandlerRow) / 4, header->num_handlers, handler->offset);
            found = code_handler_from(handler, row);
        }
    }
    wr_code_read_end();
    return found;
}

bool wr_code_handler_next(WrHandler *handler)
{
    uint32_t next = handler->code->handlers[handler->row].next;
    return next < handler->row && code_handler_from(handler, next);
}

/* ---- verifying ---------------------------------------------------------------------------------------------------------------- */

static bool code_verify_funcs(const CodeMemory *code, const ModuleRecord *record, uint32_t first, uint32_t count, bool ascending, bool may_be_empty, WrError *error)
{
    uint64_t end = record->text_offset;
    const uint64_t limit = (uint64_t)record->text_offset + record->text_bytes;
    for (uint32_t i = 0; i < count; i++) {
        FunctionLoc loc = code->funcs[first + i];
        if (loc.length == 0 && may_be_empty) continue;
        if (loc.start < (ascending ? end : record->text_offset) || loc.length == 0 || !code_fits(loc.start, loc.length, limit))
            return wr_error_set(error, WR_ERROR_ARTIFACT, code->layout.offsets[WR_SECTION_FUNCS] + (uint64_t)(first + i) * sizeof loc, "function location %u lies outside of its module's text", first + i);
        end = (uint64_t)loc.start + loc.length;
    }
    return true;
}

static bool code_verify_offsets(const CodeMemory *code, uint32_t section, const uint32_t *offsets, uint32_t count, WrError *error)
{
    const uint32_t least_step = section == WR_SECTION_TRAPS; /* rows of the address map may be empty, the last one counts */
    for (uint32_t i = 0; i < count; i++) {
        if (offsets[i] >= code->text_bytes || (i && offsets[i] < offsets[i - 1] + least_step))
            return wr_error_set(error, WR_ERROR_ARTIFACT, code->layout.offsets[section] + 4 * (uint64_t)i, "row %u of %s is out of order", i, wr_elf_section_name(section));
    }
    return true;
}

static bool code_verify_handlers(const CodeMemory *code, WrError *error)
{
    const uint32_t limit = code->text_bytes;
    for (uint32_t i = 0; i < code->header->num_handlers; i++) {
        const HandlerRow *row = &code->handlers[i];
        if ((i && row->start < row[-1].start) || row->start > row->end || row->end > limit || row->landing >= limit || row->resume >= limit || (row->next >= i && row->next != HANDLER_NONE))
            return wr_error_set(error, WR_ERROR_ARTIFACT, code->layout.offsets[WR_SECTION_HANDLERS] + (uint64_t)i * sizeof *row, "exception handler %u lies outside of the text or out of order", i);
    }
    return true;
}

bool wr_code_verify(const CodeMemory *code, WrError *error)
{
    const ImageHeader *header = code->header;
    if (header->contents_checksum != wr_code_contents_checksum(code->bytes, &code->layout))
        return wr_error_set(error, WR_ERROR_ARTIFACT, CODE_PLACE(contents_checksum), "checksum of the contents: the artifact is damaged");
    for (uint32_t i = 0; i + 1 < WR_SECTION_COUNT; i++) {
        for (uint64_t at = code->layout.offsets[i] + code->layout.sizes[i]; at < code->layout.offsets[i + 1]; at++) {
            if (code->bytes[at]) return wr_error_set(error, WR_ERROR_ARTIFACT, at, "padding after %s: found 0x%02x, wanted 0", wr_elf_section_name(i), code->bytes[at]);
        }
    }
    for (uint32_t i = 0; i < header->num_modules; i++) {
        const ModuleRecord *record = &code->records[i];
        if (!code_verify_funcs(code, record, record->first_func, record->num_funcs, true, false, error) ||
            !code_verify_funcs(code, record, record->first_array_call, record->num_array_calls, false, false, error) ||
            !code_verify_funcs(code, record, record->first_host_call, record->num_host_calls, false, true, error) || !wr_meta_verify(code->modules[i], error)) return false;
    }
    for (uint32_t i = 0; i < header->num_trampolines; i++) {
        const void *wasm_call;
        VMArrayCall array_call;
        if (!wr_code_trampoline(code, i, &wasm_call, &array_call)) return wr_error_set(error, WR_ERROR_ARTIFACT, WR_NO_OFFSET, "trampoline %u lies outside of the text", i);
    }
    return code_verify_handlers(code, error) && code_verify_offsets(code, WR_SECTION_TRAPS, code->trap_offsets, header->num_traps, error) &&
           code_verify_offsets(code, WR_SECTION_ADDRMAP, code->addr_offsets, header->num_addrs, error);
}
