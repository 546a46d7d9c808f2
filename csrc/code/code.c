/* CodeMemory: answers what is in an open image, by index and by pc, and verifies all of it. open.c opens it.
 *
 * A row that comes from the file bounds what is read of it where it is read; where it leads into the text, the text says whether it does so rightly
 * (marks.h). So any bytes in the flat arrays give wrong places and names in backtraces at worst. Once pages of a mapped file are known to be gone,
 * or a table to be damaged (broken), tables are not read at all. */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "code/marks.h"
#include "code/memory.h"
#include "os/files.h"
#include "os/pages.h"
#include "tramp/bodies.h"
#include "wasm/meta.h"
#include "wasmrt/wasmrt.h"

static bool code_fits(uint64_t first, uint64_t count, uint64_t limit) { return first <= limit && count <= limit - first; }

/* ---- life and contents -------------------------------------------------------------------------------------------------------- */

void wr_code_retain(CodeMemory *code) { atomic_fetch_add_explicit(&code->references, 1, memory_order_relaxed); }

void wr_code_release(CodeMemory *code)
{
    if (!code || atomic_fetch_sub_explicit(&code->references, 1, memory_order_acq_rel) != 1) return;
    CodePages pages = code->pages;
    wr_code_close(code);
    if (pages.kind == CODE_PAGES_FOREIGN && pages.release) pages.release(pages.owner);
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
    *out_num_bytes = code->pages.num_bytes;
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

/* `module`: UINT32_MAX for INFO */
static bool code_damaged(const CodeMemory *code, WrError *error, uint64_t place, uint32_t module)
{
    const char *why = wr_code_is_broken(code) ? wr_code_broken_text(code) : "the artifact is damaged";
    if (module == UINT32_MAX) return wr_error_set(error, WR_ERROR_ARTIFACT, place, "checksum of the records of imports and exports: %s", why);
    return wr_error_set(error, WR_ERROR_ARTIFACT, place, "checksum of module %u: %s", module, why);
}

static void code_break(const CodeMemory *code, CodeBroken why)
{
    uint8_t whole = CODE_WHOLE;
    atomic_compare_exchange_strong((_Atomic uint8_t *)(uintptr_t)&code->broken, &whole, (uint8_t)why);
}

static bool code_is_broken(const CodeMemory *code) { return atomic_load_explicit(&code->broken, memory_order_relaxed) != CODE_WHOLE; }
bool wr_code_is_broken(const CodeMemory *code) { return code_is_broken(code); }

const char *wr_code_broken_text(const CodeMemory *code)
{
    return atomic_load(&code->broken) == CODE_DAMAGED ? "the artifact is damaged: its tables are not those that its machine code was made with" : "the artifact's file was truncated while it was mapped";
}

uint32_t wr_code_broken_trap(const CodeMemory *code) { return atomic_load(&code->broken) == CODE_TRUNCATED ? TRAP_BUS_ERROR : TRAP_ARTIFACT_DAMAGED; }

/* Whether header and records are those that the text was made with. Once. */
static bool code_check_seal(const CodeMemory *code, WrError *error)
{
    _Atomic bool *sealed = (_Atomic bool *)(uintptr_t)&code->sealed;
    if (atomic_load_explicit(sealed, memory_order_relaxed)) return true;
    uint64_t found;
    memcpy(&found, code->text, sizeof found);
    if (found == code->seal) {
        atomic_store_explicit(sealed, true, memory_order_relaxed);
        return true;
    }
    if (code_is_broken(code)) return wr_error_set(error, WR_ERROR_ARTIFACT, WR_NO_OFFSET, "%s", wr_code_broken_text(code));
    return wr_error_set(error, WR_ERROR_ARTIFACT, code->layout.offsets[WR_SECTION_TEXT],
                        "seal of the machine code: found 0x%llx, wanted 0x%llx; the artifact's records are not those that its machine code was made with",
                        (unsigned long long)found, (unsigned long long)code->seal);
}

const uint8_t *wr_code_info(const CodeMemory *code, size_t *out_num_bytes, WrError *error)
{
    const uint8_t *info = wr_code_section(code, WR_SECTION_INFO, out_num_bytes);
    if (code->header.info_checksum == wr_hash_checksum(0, info, *out_num_bytes)) return code_check_seal(code, error) ? info : NULL;
    code_damaged(code, error, code->layout.offsets[WR_SECTION_INFO], UINT32_MAX);
    return NULL;
}

uint64_t wr_code_info_checksum(const CodeMemory *code) { return code->header.info_checksum; }
uint32_t wr_code_kind(const CodeMemory *code) { return code->header.kind; }
const ImageHeader *wr_code_header(const CodeMemory *code) { return &code->header; }
uint32_t wr_code_num_trampolines(const CodeMemory *code) { return code->header.num_trampolines; }
uint32_t wr_code_num_modules(const CodeMemory *code) { return code->header.num_modules; }

int wr_code_file(const CodeMemory *code) { return code->file; }

bool wr_code_images(const CodeMemory *code, uint32_t module_index, int *out_file, uint64_t *out_offset)
{
    const ModuleRecord *record = &code->records[module_index];
    *out_file = code->file;
    *out_offset = code->layout.offsets[WR_SECTION_IMAGES] + record->data_offset;
    return code->file >= 0 && (record->flags & WR_MODULE_IMAGES) != 0;
}

/* The module's meta blob, checked against its checksum and its record, every row in range. A file may change after that, so what lies in one is copied. */
static WasmModule *code_open_module(const CodeMemory *code, uint32_t index, WrError *error)
{
    const uint64_t *offsets = code->layout.offsets, *sizes = code->layout.sizes;
    const ModuleRecord *record = &code->records[index];
    const uint64_t place = offsets[WR_SECTION_MODULES] + index * sizeof *record;
    const uint8_t *meta = code->bytes + offsets[WR_SECTION_META] + record->meta_offset;
    WasmModule *module = NULL;
    uint8_t *copied = NULL;
    if (code->pages.kind != CODE_PAGES_OURS) {
        copied = malloc(record->meta_bytes);
        if (!copied) {
            wr_error_set(error, WR_ERROR_MEMORY, WR_NO_OFFSET, "cannot allocate the records of module %u", index);
            return NULL;
        }
        meta = memcpy(copied, meta, record->meta_bytes);
    }
    bool same = (record->meta_checksum == wr_hash_checksum(0, meta, record->meta_bytes) || code_damaged(code, error, place, index)) && code_check_seal(code, error);
    const uint8_t *data = code->bytes + offsets[record->flags & WR_MODULE_IMAGES ? WR_SECTION_IMAGES : WR_SECTION_DATA] + record->data_offset;
    if (!same || !wr_meta_open(meta, record->meta_bytes, data, record->data_bytes, &module, error)) {
        free(copied);
        return NULL;
    }
    module->copied_bytes = copied;
    if (!wr_meta_verify(module, error)) {
        wr_module_free(module);
        return NULL;
    }
    module->func_names = (WasmFuncName *)(uintptr_t)(code->bytes + offsets[WR_SECTION_NAMES]) + record->first_name; /* read only: module is const */
    module->num_func_names = record->num_names;
    module->name_bytes = code->bytes + offsets[WR_SECTION_STRINGS];
    module->num_name_bytes = sizes[WR_SECTION_STRINGS];
    if (record->num_imported_funcs == module->num_imported_funcs && (uint64_t)record->num_funcs + record->num_imported_funcs == module->num_funcs &&
        record->num_array_calls == module->num_escaped_funcs && record->num_host_calls == module->num_types) return module;
    wr_error_set(error, WR_ERROR_ARTIFACT, place, "module %u: its record and its contents disagree on how many functions and types it has", index);
    wr_module_free(module);
    return NULL;
}

const WasmModule *wr_code_module(const CodeMemory *code, uint32_t module_index, WrError *error)
{
    if (module_index >= code->num_modules) {
        wr_error_set(error, WR_ERROR_ARTIFACT, WR_NO_OFFSET, "there is no module %u", module_index);
        return NULL;
    }
    if (wr_code_is_broken(code)) {
        code_damaged(code, error, WR_NO_OFFSET, module_index);
        return NULL;
    }
    _Atomic(WasmModule *) *slot = (_Atomic(WasmModule *) *)(uintptr_t)&code->modules[module_index];
    WasmModule *module = atomic_load_explicit(slot, memory_order_acquire), *made;
    if (module || !(made = code_open_module(code, module_index, error))) return module;
    if (atomic_compare_exchange_strong_explicit(slot, &module, made, memory_order_acq_rel, memory_order_acquire)) return made;
    wr_module_free(made); /* another thread was first */
    return module;
}

uint64_t wr_code_signature_hash(const WasmModule *module, uint32_t type_index)
{
    const WasmFuncType *type = &module->types[type_index].func;
    const WrSignature signature = {module->valtypes + type->params, type->num_params, module->valtypes + type->results, type->num_results};
    return wr_tramp_signature_hash(&signature, 0);
}

/* Where a row of FUNCS leads, if the text says so too. A row that it denies breaks the image: there is no telling what else is wrong. */
static const void *code_entry(const CodeMemory *code, uint32_t row, CodeMarkKind kind, uint64_t what)
{
    if (code_is_broken(code)) return NULL;
    const FunctionLoc loc = code->funcs[row];
    if (loc.length && loc.start >= CODE_MARK_BYTES && code_fits(loc.start, loc.length, code->text_bytes)) {
        uint32_t mark;
        memcpy(&mark, code->text + loc.start - CODE_MARK_BYTES, sizeof mark);
        if (mark == code_mark(code->seal, kind, what, loc)) return code->text + loc.start;
    } else if (loc.length == 0 && loc.start == 0 && kind == CODE_MARK_HOST_CALL) {
        return NULL; /* of a type that no function has */
    }
    code_break(code, CODE_DAMAGED);
    return NULL;
}

const void *wr_code_func(const CodeMemory *code, uint32_t module_index, uint32_t func_index)
{
    if (module_index >= code->header.num_modules) return NULL;
    const ModuleRecord *record = &code->records[module_index];
    const uint32_t defined = func_index - record->num_imported_funcs, row = record->first_func + defined;
    return func_index >= record->num_imported_funcs && defined < record->num_funcs ? code_entry(code, row, CODE_MARK_FUNC, row) : NULL;
}

VMArrayCall wr_code_array_call(const CodeMemory *code, uint32_t module_index, uint32_t escape_index)
{
    if (module_index >= code->header.num_modules) return NULL;
    const ModuleRecord *record = &code->records[module_index];
    const uint32_t row = record->first_array_call + escape_index;
    return escape_index < record->num_array_calls ? (VMArrayCall)(uintptr_t)code_entry(code, row, CODE_MARK_ARRAY_CALL, row) : NULL;
}

const void *wr_code_host_call(const CodeMemory *code, uint32_t module_index, uint32_t type_index)
{
    if (module_index >= code->header.num_modules) return NULL;
    const ModuleRecord *record = &code->records[module_index];
    const WasmModule *module = atomic_load_explicit(&code->modules[module_index], memory_order_acquire);
    if (module == NULL || type_index >= record->num_host_calls || module->types[type_index].kind != WASM_TYPE_FUNC) return NULL;
    return code_entry(code, record->first_host_call + type_index, CODE_MARK_HOST_CALL, wr_code_signature_hash(module, type_index));
}

bool wr_code_trampoline(const CodeMemory *code, uint32_t trampoline_index, const WrTrampolineRequest *request, const void **out_wasm_call, VMArrayCall *out_array_call)
{
    const ImageHeader *header = &code->header;
    if (trampoline_index >= header->num_trampolines) return false;
    const WrSignature signature = {request->params, request->num_params, request->results, request->num_results};
    const uint32_t row = header->num_funcs - 2 * (header->num_trampolines - trampoline_index);
    const void *wasm_call = code_entry(code, row, CODE_MARK_TRAMPOLINE, wr_tramp_signature_hash(&signature, 0));
    const void *array_call = code_entry(code, row + 1, CODE_MARK_HOST_ARRAY_CALL, 0);
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
    if (code_is_broken(code)) return;
    uint32_t num_modules = code->header.num_modules;
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
    if (code && code_is_broken(code)) {
        trap = (int32_t)wr_code_broken_trap(code);
    } else if (code) {
        uint32_t offset = (uint32_t)(pc - (uintptr_t)code->text), num_traps = code->header.num_traps;
        uint32_t row = code_last_not_above(code->trap_offsets, 1, num_traps, offset);
        if (row < num_traps && code->trap_offsets[row] == offset) trap = code->trap_codes[row];
        else if (!code->made_here) trap = TRAP_ARTIFACT_DAMAGED;
    }
    wr_code_read_end();
    return trap;
}

/* Whether an address is one of a file's pages. */
static bool code_is_of_file(const CodeMemory *code, uintptr_t address)
{
    return code && code->pages.kind != CODE_PAGES_OURS && address - (uintptr_t)code->bytes < code->pages.num_bytes;
}

bool wr_code_break(uintptr_t pc, uintptr_t address, bool is_missing)
{
    const CodeMemory *code = wr_code_read_begin(pc);
    bool inside = code_is_of_file(code, address) && (is_missing || code_is_broken(code));
    if (inside) code_break(code, CODE_TRUNCATED);
    wr_code_read_end();
    return inside;
}

bool wr_code_fill_missing(uintptr_t address)
{
    const CodeMemory *code = wr_code_read_begin_at(address);
    bool filled = code_is_of_file(code, address);
    if (filled) {
        const size_t page = wr_os_page_size(), offset = (address - (uintptr_t)code->bytes) / page * page;
        const size_t text = code->layout.offsets[WR_SECTION_TEXT];
        code_break(code, CODE_TRUNCATED);
        filled = wr_os_map_missing(code->pages.bytes + offset, (offset < text ? text : code->pages.num_bytes) - offset);
    }
    wr_code_read_end();
    return filled;
}

bool wr_code_fill_memory(uintptr_t address)
{
    WrOsMapping mapping;
    const uintptr_t page = address & ~(uintptr_t)(wr_os_page_size() - 1);
    if (!wr_os_mapping_at(page, &mapping)) return false;
    const CodeMemory *code = wr_code_read_begin_file(mapping.inode, mapping.offset);
    bool filled = code != NULL;
    if (filled) {
        code_break(code, CODE_TRUNCATED);
        filled = wr_os_map_zeros((void *)page, mapping.end - page);
    }
    wr_code_read_end();
    return filled;
}

/* ---- exception handlers -------------------------------------------------------------------------------------------------------- */

/* Whether a row is the one that the text knows by this index. */
static bool code_handler_marked(const CodeMemory *code, uint32_t index)
{
    const HandlerRow *row = &code->handlers[index];
    uint32_t mark;
    if (row->landing >= code->text_bytes || row->landing < CODE_MARK_BYTES || row->resume >= code->text_bytes) return false;
    memcpy(&mark, code->text + row->landing - CODE_MARK_BYTES, sizeof mark);
    return mark == code_handler_mark(code->seal, index, row);
}

/* No handler is found then, in no frame further out either: the throw traps. */
static bool code_handlers_damaged(WrHandler *handler)
{
    code_break(handler->code, CODE_DAMAGED);
    handler->is_boundary = true;
    return false;
}

/* From `row` on along `next`, the first that covers the offset. */
static bool code_handler_from(WrHandler *handler, uint32_t row)
{
    const CodeMemory *code = handler->code;
    while (row < code->header.num_handlers) {
        const HandlerRow *found = &code->handlers[row];
        if (!code_handler_marked(code, row)) return code_handlers_damaged(handler);
        if (handler->offset >= found->start && handler->offset < found->end) {
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

/* The last row that starts at or before the offset. That no later one does is what the next row's mark says. */
static bool code_handler_search(WrHandler *handler)
{
    const CodeMemory *code = handler->code;
    const uint32_t count = code->header.num_handlers;
    const uint32_t row = code_last_not_above(count ? &code->handlers[0].start : NULL, sizeof(HandlerRow) / 4, count, handler->offset), next = row < count ? row + 1 : 0;
    if (next < count && (code->handlers[next].start <= handler->offset || !code_handler_marked(code, next))) return code_handlers_damaged(handler);
    return code_handler_from(handler, row);
}

bool wr_code_handler_first(uintptr_t pc, WrHandler *handler)
{
    const CodeMemory *code = wr_code_read_begin(pc);
    *handler = (WrHandler){.code = code, .module_index = UINT32_MAX};
    bool found = false;
    if (code && code_is_broken(code)) {
        handler->is_boundary = true;
    } else if (code) {
        const ImageHeader *header = &code->header;
        handler->offset = (uint32_t)(pc - (uintptr_t)code->text);
        uint32_t index = code_last_not_above(header->num_modules ? &code->records[0].text_offset : NULL, sizeof(ModuleRecord) / 4, header->num_modules, handler->offset);
        if (index < header->num_modules && handler->offset - code->records[index].text_offset < code->records[index].text_bytes) {
            handler->module_index = index;
            handler->is_boundary = (code->records[index].flags & WR_MODULE_BOUNDARY) != 0;
            found = code_handler_search(handler);
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

static bool code_verify_func(const CodeMemory *code, const ModuleRecord *record, uint32_t row, CodeMarkKind kind, uint64_t what, uint64_t first, WrError *error)
{
    const FunctionLoc loc = code->funcs[row];
    const uint64_t limit = (uint64_t)record->text_offset + record->text_bytes;
    if (loc.start >= first && code_fits(loc.start, loc.length, limit) && code_entry(code, row, kind, what)) return true;
    return wr_error_set(error, WR_ERROR_ARTIFACT, code->layout.offsets[WR_SECTION_FUNCS] + (uint64_t)row * sizeof loc, "function location %u is not what its module's text says", row);
}

static bool code_verify_funcs(const CodeMemory *code, uint32_t index, const WasmModule *module, WrError *error)
{
    const ModuleRecord *record = &code->records[index];
    const uint64_t text = (uint64_t)record->text_offset + CODE_MARK_BYTES;
    uint64_t end = text;
    for (uint32_t i = record->first_func; i < record->first_func + record->num_funcs; i++) {
        if (!code_verify_func(code, record, i, CODE_MARK_FUNC, i, end, error)) return false;
        end = (uint64_t)code->funcs[i].start + code->funcs[i].length;
    }
    for (uint32_t i = record->first_array_call; i < record->first_array_call + record->num_array_calls; i++)
        if (!code_verify_func(code, record, i, CODE_MARK_ARRAY_CALL, i, text, error)) return false;
    for (uint32_t i = 0; i < record->num_host_calls; i++) {
        const uint32_t row = record->first_host_call + i;
        const bool is_none = code->funcs[row].start == 0 && code->funcs[row].length == 0;
        if (!is_none && (module->types[i].kind != WASM_TYPE_FUNC || !code_verify_func(code, record, row, CODE_MARK_HOST_CALL, wr_code_signature_hash(module, i), text, error)))
            return wr_error_set(error, WR_ERROR_ARTIFACT, code->layout.offsets[WR_SECTION_FUNCS] + (uint64_t)row * sizeof(FunctionLoc), "function location %u is not what its module's text says", row);
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
    for (uint32_t i = 0; i < code->header.num_handlers; i++) {
        const HandlerRow *row = &code->handlers[i];
        if ((i && row->start < row[-1].start) || row->start > row->end || row->end > limit || !code_handler_marked(code, i) || (row->next >= i && row->next != HANDLER_NONE))
            return wr_error_set(error, WR_ERROR_ARTIFACT, code->layout.offsets[WR_SECTION_HANDLERS] + (uint64_t)i * sizeof *row, "exception handler %u lies outside of the text or out of order", i);
    }
    return true;
}

bool wr_code_check_records(const CodeMemory *code, WrError *error)
{
    size_t num_bytes;
    bool ok = wr_code_info(code, &num_bytes, error) != NULL;
    for (uint32_t i = 0; i < code->num_modules && ok; i++) ok = wr_code_module(code, i, error) != NULL;
    return ok;
}

bool wr_code_verify(const CodeMemory *code, WrError *error)
{
    const ImageHeader *header = &code->header;
    if (header->contents_checksum != wr_code_contents_checksum(code->bytes, &code->layout))
        return wr_error_set(error, WR_ERROR_ARTIFACT, wr_elf_first_section() + offsetof(ImageHeader, contents_checksum), "checksum of the contents: the artifact is damaged");
    if (!code_check_seal(code, error)) return false;
    for (uint32_t i = 0; i < header->num_modules; i++) {
        const WasmModule *module = wr_code_module(code, i, error);
        if (!module || !code_verify_funcs(code, i, module, error) || !wr_meta_verify(module, error)) return false;
    }
    for (uint32_t row = header->num_funcs - 2 * header->num_trampolines; row < header->num_funcs; row++) { /* their marks are looked at with their signatures, which only Python knows */
        const FunctionLoc loc = code->funcs[row];
        if (loc.length == 0 || loc.start < CODE_MARK_BYTES || !code_fits(loc.start, loc.length, code->text_bytes))
            return wr_error_set(error, WR_ERROR_ARTIFACT, code->layout.offsets[WR_SECTION_FUNCS] + (uint64_t)row * sizeof loc, "function location %u lies outside of the text", row);
    }
    return code_verify_handlers(code, error) && code_verify_offsets(code, WR_SECTION_TRAPS, code->trap_offsets, header->num_traps, error) &&
           code_verify_offsets(code, WR_SECTION_ADDRMAP, code->addr_offsets, header->num_addrs, error);
}
