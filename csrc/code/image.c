/* Builds an image from compiled modules and the signatures of a component's trampolines.
 *
 * Sizes first, then one allocation, then every section is written in place: what is large (text, data) is copied once. Component trampolines are emitted
 * here, one body a signature, after the modules' text; all host functions share one array_call, since they differ in their VMHostContext alone. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "code/marks.h"
#include "code/memory.h"
#include "code/symbols.h"
#include "code/unwind.h"
#include "os/pages.h"
#include "tramp/bodies.h"
#include "tramp/tramp.h"
#include "wasm/meta.h"

enum { IMAGE_BLOB_ALIGN = 16, IMAGE_TEXT_ALIGN = 64 };

typedef struct ImageModule {
    size_t meta_bytes, data_bytes;
    WasmImages images;
    bool has_images;
    uint32_t first_handler;
    ModuleRecord record;
} ImageModule;

typedef struct ImageWriter {
    const WrImageInput *input;
    Asm as;                  /* the component's trampolines */
    FunctionLoc *trampolines; /* wasm_call of each request, in `as` */
    FunctionLoc array_call;  /* of all of them */
    ImageModule *modules;
    uint64_t trampoline_text; /* offset in TEXT */
    uint32_t num_funcs, num_traps, num_addrs, num_handlers;
    SymbolsPlace symbols; /* behind the last module's */
    UnwindPlan unwind;
    ElfLayout layout;
    WrError *error;
} ImageWriter;

/* ---- trampolines -------------------------------------------------------------------------------------------------------------- */

static bool image_asm_error(ImageWriter *writer)
{
    if (writer->as.status == X64_TOO_LARGE)
        return wr_error_set(writer->error, WR_ERROR_LIMIT, WR_NO_OFFSET, "trampolines: a signature has over %u values, or their code is too large", ABI_MAX_VALUES);
    return wr_error_set(writer->error, WR_ERROR_MEMORY, WR_NO_OFFSET, "cannot allocate trampolines");
}

static FunctionLoc image_emitted(const ImageWriter *writer)
{
    uint32_t start = writer->as.function_offset;
    return (FunctionLoc){start, x64_offset(&writer->as) - start};
}

static bool image_emit_trampolines(ImageWriter *writer)
{
    const WrImageInput *input = writer->input;
    const uint32_t count = input->num_trampolines;
    if (count == 0) return true;
    TrampBodies bodies;
    FunctionLoc *locs = calloc(count, sizeof *locs); /* by body */
    writer->trampolines = calloc(count, sizeof *writer->trampolines);
    bool has_bodies = wr_tramp_bodies_init(&bodies, count), ok = has_bodies && locs && writer->trampolines;
    for (uint32_t i = 0; ok && i < count; i++) {
        const WrTrampolineRequest *request = &input->trampolines[i];
        const WrSignature signature = {request->params, request->num_params, request->results, request->num_results};
        uint32_t known = bodies.count, body = wr_tramp_bodies_number(&bodies, &signature);
        if (body == known) {
            wr_x64_room(&writer->as, CODE_MARK_BYTES);
            ok = wr_tramp_emit_host_call(&writer->as, &signature);
            locs[body] = image_emitted(writer);
        }
        writer->trampolines[i] = locs[body];
    }
    wr_x64_room(&writer->as, CODE_MARK_BYTES);
    ok = ok && wr_tramp_emit_host_array_call(&writer->as);
    if (ok) writer->array_call = image_emitted(writer);
    if (has_bodies) wr_tramp_bodies_free(&bodies);
    free(locs);
    return ok || image_asm_error(writer);
}

/* ---- layout ------------------------------------------------------------------------------------------------------------------- */

static uint64_t image_align(uint64_t offset, uint64_t alignment) { return (offset + alignment - 1) & ~(alignment - 1); }

/* Takes `count` rows from a counter of the image. False past what 32 bits hold. */
static bool image_take(uint32_t *counter, uint32_t count, uint32_t *out_first)
{
    *out_first = *counter;
    return !__builtin_add_overflow(*counter, count, counter);
}

/* Locations of `count` functions, moved by `base`; empty ones stay {0, 0}. */
static FunctionLoc *image_write_locs(FunctionLoc *out, const FunctionLoc *locs, uint32_t count, uint32_t base)
{
    for (uint32_t i = 0; i < count; i++) out[i] = locs[i].length ? (FunctionLoc){locs[i].start + base, locs[i].length} : (FunctionLoc){0, 0};
    return out + count;
}

/* All rows of FUNCS. */
static void image_write_funcs(const ImageWriter *writer, FunctionLoc *out)
{
    const WrImageInput *input = writer->input;
    for (uint32_t i = 0; i < input->num_modules; i++) {
        const CompiledModule *compiled = input->compiled[i];
        const uint32_t base = writer->modules[i].record.text_offset;
        out = image_write_locs(out, compiled->funcs, compiled->num_funcs, base);
        out = image_write_locs(out, compiled->array_calls, compiled->num_array_calls, base);
        out = image_write_locs(out, compiled->host_calls, compiled->num_host_calls, base);
    }
    for (uint32_t i = 0; i < input->num_trampolines; i++) {
        out = image_write_locs(out, &writer->trampolines[i], 1, (uint32_t)writer->trampoline_text);
        out = image_write_locs(out, &writer->array_call, 1, (uint32_t)writer->trampoline_text);
    }
}

static bool image_plan_unwind(ImageWriter *writer, uint32_t text_bytes)
{
    FunctionLoc *locs = malloc((2 * (size_t)writer->num_funcs + 1) * sizeof *locs);
    if (!locs) return wr_error_set(writer->error, WR_ERROR_MEMORY, WR_NO_OFFSET, "cannot allocate the unwind tables of %u functions", writer->num_funcs);
    image_write_funcs(writer, locs);
    writer->unwind = wr_unwind_plan(locs, writer->num_funcs, text_bytes);
    return true;
}

static bool image_place(ImageWriter *writer)
{
    const WrImageInput *input = writer->input;
    uint64_t meta = 0, plain_data = 0, images = 0, text = CODE_SEAL_BYTES;
    writer->symbols = wr_symbols_start();
    for (uint32_t i = 0; i < input->num_modules; i++) {
        const CompiledModule *compiled = input->compiled[i];
        ImageModule *module = &writer->modules[i];
        ModuleRecord *record = &module->record;
        if (!wr_images_find(input->modules[i], &module->images)) return wr_error_set(writer->error, WR_ERROR_MEMORY, WR_NO_OFFSET, "cannot allocate the images of memories");
        module->has_images = wr_images_in_artifact(&module->images);
        if (!wr_meta_size(input->modules[i], module->has_images ? &module->images : NULL, &module->meta_bytes, &module->data_bytes, writer->error)) return false;
        record->meta_offset = meta = image_align(meta, IMAGE_BLOB_ALIGN);
        record->meta_bytes = module->meta_bytes;
        uint64_t *data = module->has_images ? &images : &plain_data;
        record->data_offset = *data = image_align(*data, module->has_images ? WASM_IMAGE_PAGE : IMAGE_BLOB_ALIGN);
        record->data_bytes = module->data_bytes;
        text = image_align(text, IMAGE_TEXT_ALIGN);
        record->text_offset = (uint32_t)text;
        record->text_bytes = compiled->text_bytes;
        meta += module->meta_bytes;
        *data += module->data_bytes;
        text += compiled->text_bytes;
        record->num_imported_funcs = input->modules[i]->num_imported_funcs;
        record->num_funcs = compiled->num_funcs;
        record->num_array_calls = compiled->num_array_calls;
        record->num_host_calls = compiled->num_host_calls;
        record->num_traps = compiled->num_traps;
        record->num_addrs = compiled->num_addrs;
        record->flags = (input->boundaries && input->boundaries[i] ? WR_MODULE_BOUNDARY : 0) | (module->has_images ? WR_MODULE_IMAGES : 0);
        record->first_name = writer->symbols.names;
        wr_symbols_count(input->modules[i], i, &writer->symbols);
        record->num_names = writer->symbols.names - record->first_name;
        bool fits = image_take(&writer->num_funcs, record->num_funcs, &record->first_func) && image_take(&writer->num_funcs, record->num_array_calls, &record->first_array_call) &&
                    image_take(&writer->num_funcs, record->num_host_calls, &record->first_host_call) && image_take(&writer->num_traps, record->num_traps, &record->first_trap) &&
                    image_take(&writer->num_addrs, record->num_addrs, &record->first_addr) && image_take(&writer->num_handlers, compiled->num_handlers, &module->first_handler);
        if (!fits || writer->symbols.strings > UINT32_MAX || text > WR_IMAGE_MAX_TEXT_BYTES || meta > UINT32_MAX || *data > UINT64_C(1) << 40)
            return wr_error_set(writer->error, WR_ERROR_LIMIT, WR_NO_OFFSET, "the image is over %u bytes of machine code, or its tables over 4 GiB", WR_IMAGE_MAX_TEXT_BYTES);
    }
    uint32_t first_trampoline;
    writer->trampoline_text = text = image_align(text, IMAGE_TEXT_ALIGN);
    text += x64_offset(&writer->as);
    if (text > WR_IMAGE_MAX_TEXT_BYTES || input->num_trampolines > UINT32_MAX / 2 || !image_take(&writer->num_funcs, 2 * input->num_trampolines, &first_trampoline))
        return wr_error_set(writer->error, WR_ERROR_LIMIT, WR_NO_OFFSET, "the image is over %u bytes of machine code", WR_IMAGE_MAX_TEXT_BYTES);
    if (!image_plan_unwind(writer, (uint32_t)text)) return false;
    uint64_t *sizes = writer->layout.sizes;
    sizes[WR_SECTION_ENGINE] = sizeof(ImageHeader);
    sizes[WR_SECTION_MODULES] = input->num_modules * sizeof(ModuleRecord);
    sizes[WR_SECTION_META] = meta;
    sizes[WR_SECTION_FUNCS] = writer->num_funcs * sizeof(FunctionLoc);
    sizes[WR_SECTION_TRAPS] = (uint64_t)writer->num_traps * 5;
    sizes[WR_SECTION_ADDRMAP] = (uint64_t)writer->num_addrs * 8;
    sizes[WR_SECTION_HANDLERS] = (uint64_t)writer->num_handlers * sizeof(HandlerRow);
    sizes[WR_SECTION_NAMES] = writer->symbols.names * sizeof(WasmFuncName);
    sizes[WR_SECTION_DATA] = plain_data;
    sizes[WR_SECTION_IMAGES] = image_align(images, WASM_IMAGE_PAGE);
    sizes[WR_SECTION_UNWIND] = wr_unwind_bytes(&writer->unwind);
    sizes[WR_SECTION_UNWIND_INDEX] = wr_unwind_index_bytes(&writer->unwind);
    sizes[WR_SECTION_SYMBOLS] = writer->symbols.symbols * sizeof(ElfSymbol);
    sizes[WR_SECTION_STRINGS] = writer->symbols.strings;
    sizes[WR_SECTION_INFO] = input->num_info_bytes;
    sizes[WR_SECTION_TEXT] = text;
    wr_elf_place(&writer->layout);
    return true;
}

/* ---- writing ------------------------------------------------------------------------------------------------------------------ */

static void image_write_module(const ImageWriter *writer, uint8_t *bytes, uint32_t index)
{
    const CompiledModule *compiled = writer->input->compiled[index];
    ModuleRecord *record = &writer->modules[index].record;
    const uint64_t *offsets = writer->layout.offsets;
    const uint32_t base = record->text_offset;
    uint8_t *meta = bytes + offsets[WR_SECTION_META] + record->meta_offset;
    const ImageModule *module = &writer->modules[index];
    wr_meta_write(writer->input->modules[index], module->has_images ? &module->images : NULL, meta,
                  bytes + offsets[module->has_images ? WR_SECTION_IMAGES : WR_SECTION_DATA] + record->data_offset);
    record->meta_checksum = wr_hash_checksum(0, meta, record->meta_bytes);
    memcpy(bytes + offsets[WR_SECTION_MODULES] + index * sizeof *record, record, sizeof *record);
    if (compiled->text_bytes) memcpy(bytes + offsets[WR_SECTION_TEXT] + base, compiled->text, compiled->text_bytes);

    for (uint32_t i = 1; i < compiled->num_funcs; i++) assert(compiled->funcs[i].start >= compiled->funcs[i - 1].start + compiled->funcs[i - 1].length);

    uint32_t *trap_offsets = (uint32_t *)(void *)(bytes + offsets[WR_SECTION_TRAPS]) + record->first_trap;
    uint8_t *trap_codes = bytes + offsets[WR_SECTION_TRAPS] + 4 * (size_t)writer->num_traps + record->first_trap;
    for (uint32_t i = 0; i < compiled->num_traps; i++) {
        assert(compiled->traps[i].trap_code <= UINT8_MAX && compiled->traps[i].code_offset < compiled->text_bytes);
        assert(i == 0 || compiled->traps[i].code_offset > compiled->traps[i - 1].code_offset);
        trap_offsets[i] = base + compiled->traps[i].code_offset;
        trap_codes[i] = (uint8_t)compiled->traps[i].trap_code;
    }
    uint32_t *addr_offsets = (uint32_t *)(void *)(bytes + offsets[WR_SECTION_ADDRMAP]) + record->first_addr;
    uint32_t *addr_places = addr_offsets + writer->num_addrs;
    for (uint32_t i = 0; i < compiled->num_addrs; i++) {
        assert(compiled->addrs[i].code_offset < compiled->text_bytes && (i == 0 || compiled->addrs[i].code_offset >= compiled->addrs[i - 1].code_offset));
        addr_offsets[i] = base + compiled->addrs[i].code_offset;
        addr_places[i] = compiled->addrs[i].wasm_offset;
    }
    const uint32_t first = writer->modules[index].first_handler;
    HandlerRow *handlers = (HandlerRow *)(void *)(bytes + offsets[WR_SECTION_HANDLERS]) + first;
    for (uint32_t i = 0; i < compiled->num_handlers; i++) {
        HandlerRow row = compiled->handlers[i];
        assert(row.start <= row.end && row.end <= compiled->text_bytes && row.landing < compiled->text_bytes && (i == 0 || row.start >= compiled->handlers[i - 1].start));
        handlers[i] = (HandlerRow){base + row.start, base + row.end, row.tag, base + row.landing, base + row.resume, row.next == HANDLER_NONE ? HANDLER_NONE : first + row.next};
    }
}

static void image_mark(uint8_t *text, uint32_t start, uint32_t mark)
{
    if (start) memcpy(text + start - CODE_MARK_BYTES, &mark, CODE_MARK_BYTES);
}

static void image_mark_module(const ImageWriter *writer, uint8_t *text, uint64_t seal, const FunctionLoc *funcs, uint32_t index)
{
    const WasmModule *module = writer->input->modules[index];
    const ModuleRecord *record = &writer->modules[index].record;
    for (uint32_t i = record->first_func; i < record->first_func + record->num_funcs; i++) image_mark(text, funcs[i].start, code_mark(seal, CODE_MARK_FUNC, i, funcs[i]));
    for (uint32_t i = record->first_array_call; i < record->first_array_call + record->num_array_calls; i++)
        image_mark(text, funcs[i].start, code_mark(seal, CODE_MARK_ARRAY_CALL, i, funcs[i]));
    for (uint32_t i = 0; i < record->num_host_calls; i++) {
        const FunctionLoc loc = funcs[record->first_host_call + i];
        if (loc.length) image_mark(text, loc.start, code_mark(seal, CODE_MARK_HOST_CALL, wr_code_signature_hash(module, i), loc));
    }
}

/* What marks.h says; all but these, and the checksums over them, is written. */
static void image_mark_all(const ImageWriter *writer, uint8_t *bytes, uint64_t seal)
{
    const WrImageInput *input = writer->input;
    const uint64_t *offsets = writer->layout.offsets;
    uint8_t *text = bytes + offsets[WR_SECTION_TEXT];
    const FunctionLoc *funcs = (const FunctionLoc *)(const void *)(bytes + offsets[WR_SECTION_FUNCS]);
    const HandlerRow *handlers = (const HandlerRow *)(const void *)(bytes + offsets[WR_SECTION_HANDLERS]);
    memcpy(text, &seal, sizeof seal);
    for (uint32_t i = 0; i < input->num_modules; i++) image_mark_module(writer, text, seal, funcs, i);
    for (uint32_t i = 0; i < input->num_trampolines; i++) {
        const WrTrampolineRequest *request = &input->trampolines[i];
        const WrSignature signature = {request->params, request->num_params, request->results, request->num_results};
        const FunctionLoc *loc = &funcs[writer->num_funcs - 2 * (input->num_trampolines - i)];
        image_mark(text, loc[0].start, code_mark(seal, CODE_MARK_TRAMPOLINE, wr_tramp_signature_hash(&signature, 0), loc[0]));
        image_mark(text, loc[1].start, code_mark(seal, CODE_MARK_HOST_ARRAY_CALL, 0, loc[1]));
    }
    for (uint32_t i = 0; i < writer->num_handlers; i++) image_mark(text, handlers[i].landing, code_handler_mark(seal, i, &handlers[i]));
}

static void image_write(const ImageWriter *writer, uint8_t *bytes)
{
    const WrImageInput *input = writer->input;
    const uint64_t *offsets = writer->layout.offsets;
    FunctionLoc *funcs = (FunctionLoc *)(void *)(bytes + offsets[WR_SECTION_FUNCS]);
    SymbolsPlace symbols = wr_symbols_start();
    wr_elf_write(&writer->layout, bytes);
    image_write_funcs(writer, funcs);
    for (uint32_t i = 0; i < input->num_modules; i++) {
        image_write_module(writer, bytes, i);
        wr_symbols_write(input->modules[i], i, funcs + writer->modules[i].record.first_func, &writer->layout, bytes, &symbols);
    }

    if (input->num_trampolines) memcpy(bytes + offsets[WR_SECTION_TEXT] + writer->trampoline_text, writer->as.code.start, x64_offset(&writer->as));
    wr_unwind_write(&writer->unwind, &writer->layout, bytes);
    if (input->num_info_bytes) memcpy(bytes + offsets[WR_SECTION_INFO], input->info, input->num_info_bytes);

    ImageHeader header = {
        .magic = WR_IMAGE_MAGIC,
        .format = WR_IMAGE_FORMAT,
        .kind = input->kind,
        .target = WR_IMAGE_TARGET_X86_64_LINUX,
        .header_bytes = sizeof header,
        .version_major = WR_VERSION_MAJOR,
        .version_minor = WR_VERSION_MINOR,
        .version_patch = WR_VERSION_PATCH,
        .abi_fingerprint = wr_code_abi_fingerprint(),
        .wasm_features = input->wasm_features,
        .tunables = *input->tunables,
        .num_modules = input->num_modules,
        .num_trampolines = input->num_trampolines,
        .num_funcs = writer->num_funcs,
        .num_traps = writer->num_traps,
        .num_addrs = writer->num_addrs,
        .num_handlers = writer->num_handlers,
        .num_names = writer->symbols.names,
        .info_checksum = wr_hash_checksum(0, bytes + offsets[WR_SECTION_INFO], input->num_info_bytes),
    };
    image_mark_all(writer, bytes, code_seal(&header, (const ModuleRecord *)(const void *)(bytes + offsets[WR_SECTION_MODULES])));
    header.contents_checksum = wr_code_contents_checksum(bytes, &writer->layout);
    uint8_t *place = bytes + offsets[WR_SECTION_ENGINE];
    memcpy(place, &header, sizeof header);
    header.header_checksum = wr_code_header_checksum(bytes, &writer->layout);
    memcpy(place, &header, sizeof header);
}

/* The whole image, in writable pages. */
static bool image_make(const WrImageInput *input, CodePages *out_pages, WrError *error)
{
    ImageWriter writer = {.input = input, .error = error};
    wr_x64_asm_init(&writer.as, (uint32_t)input->tunables->cpu_features);
    writer.modules = calloc((size_t)input->num_modules + 1, sizeof *writer.modules);
    bool ok = writer.modules != NULL;
    if (!ok) wr_error_set(error, WR_ERROR_MEMORY, WR_NO_OFFSET, "cannot allocate the records of %u modules", input->num_modules);
    ok = ok && image_emit_trampolines(&writer) && image_place(&writer);
    if (ok) {
        const size_t num_bytes = writer.layout.num_bytes;
        *out_pages = (CodePages){.kind = CODE_PAGES_OURS, .num_bytes = num_bytes, .bytes = wr_os_alloc_dense(num_bytes)};
        ok = out_pages->bytes || wr_os_memory_error(error, "an image", num_bytes);
    }
    if (ok) image_write(&writer, out_pages->bytes);
    for (uint32_t i = 0; writer.modules && i < input->num_modules; i++) wr_images_free(&writer.modules[i].images);
    free(writer.modules);
    free(writer.trampolines);
    free(writer.unwind.ranges);
    wr_x64_asm_free(&writer.as);
    return ok;
}

bool wr_image_build(const WrImageInput *input, CodeMemory **out_code, WrError *error)
{
    CodePages pages;
    if (!image_make(input, &pages, error) || !wr_code_open(&pages, out_code, error)) return false;
    (*out_code)->made_here = true;
    return true;
}

bool wr_image_write(const WrImageInput *input, const uint8_t **out_bytes, size_t *out_num_bytes, WrError *error)
{
    CodePages pages;
    if (!image_make(input, &pages, error)) return false;
    *out_bytes = pages.bytes;
    *out_num_bytes = pages.num_bytes;
    return true;
}

void wr_image_free(const uint8_t *bytes, size_t num_bytes) { wr_os_release((void *)(uintptr_t)bytes, num_bytes); }

uint8_t *wr_image_pages(size_t num_bytes, WrError *error)
{
    uint8_t *pages = wr_os_alloc_dense(num_bytes);
    if (!pages) wr_os_memory_error(error, "an artifact", num_bytes);
    return pages;
}

bool wr_image_seal_pages(uint8_t *pages, size_t num_bytes, WrError *error)
{
    return wr_os_protect(pages, num_bytes, WR_OS_READ) || wr_os_memory_error(error, "an artifact", num_bytes);
}
