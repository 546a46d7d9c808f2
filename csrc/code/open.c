/* Opens images: from pages of our own, from pages in place, from a file.
 *
 * Opening believes nothing: headers are compared with what the layout demands (elf.c), checksum and counts come before the first use of a record, ranges
 * of records before the first use of a row. What it reads does not grow with the number of functions: headers and MODULES, which lie together. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "code/gdb.h"
#include "code/marks.h"
#include "code/memory.h"
#include "os/files.h"
#include "os/pages.h"
#include "wasm/features.h"
#include "wasm/images.h"
#include "wasmrt/wasmrt.h"
#include "x64/cpu.h"

enum { OPEN_HEAD_BYTES = 4096 /* of a file are read at once: the head of all but components of more than 20 core modules */ };

enum {
#define TUNABLE(name, type, compared, doc) OPEN_BYTES_##name = sizeof(type),
#include "wasmrt/tunables.def"
    OPEN_TUNABLES_BYTES = 0
#define TUNABLE(name, type, compared, doc) + OPEN_BYTES_##name
#include "wasmrt/tunables.def"
    ,
#define HEADER_FIELD(name, type, doc) OPEN_HEADER_##name = sizeof(type),
#define COUNT_FIELD(name, type, doc) OPEN_HEADER_##name = sizeof(type),
#define MODULE_FIELD(name, type, doc) OPEN_MODULE_##name = sizeof(type),
#include "wasmrt/image_records.def"
    OPEN_HEADER_BYTES = OPEN_TUNABLES_BYTES
#define HEADER_FIELD(name, type, doc) + OPEN_HEADER_##name
#define COUNT_FIELD(name, type, doc) + OPEN_HEADER_##name
#include "wasmrt/image_records.def"
    ,
    OPEN_MODULE_BYTES = 0
#define MODULE_FIELD(name, type, doc) + OPEN_MODULE_##name
#include "wasmrt/image_records.def"
};

_Static_assert(sizeof(WrTunables) == OPEN_TUNABLES_BYTES && sizeof(ImageHeader) == OPEN_HEADER_BYTES, "records of the format have no padding");
_Static_assert(sizeof(ModuleRecord) == OPEN_MODULE_BYTES && sizeof(FunctionLoc) == 8 && sizeof(HandlerRow) == 24, "records of the format have no padding");

/* ---- fingerprint and checksums ------------------------------------------------------------------------------------------------ */

uint64_t wr_code_abi_fingerprint(void)
{
    static _Atomic uint64_t cached;
    uint64_t known = atomic_load_explicit(&cached, memory_order_relaxed);
    if (known) return known;
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
        offsetof(VMContextHeader, type_ids), offsetof(VMHostContext, call), offsetof(VMMemoryDef, length_bytes), offsetof(VMTableDef, length), offsetof(VMTableDef, writable), VM_CHUNK_FUNC_REFS,
        offsetof(VMMemoryImport, def), offsetof(VMFuncImport, vmctx), offsetof(VMStoreContext, last_entry), offsetof(VMStoreContext, exit_fp),
        offsetof(VMStoreContext, fuel), offsetof(VMStoreContext, real_stack_limit), offsetof(VMStoreContext, trap_code),
        offsetof(VMStoreContext, exception), offsetof(VMStoreContext, landing), offsetof(VMException, values), (uint16_t)-WR_FRAME_VMCTX,
        offsetof(VMContextHeader, supertypes), offsetof(VMStoreContext, allocs), sizeof(VMAlloc), offsetof(VMAlloc, limit), sizeof(VMObject),
        offsetof(VMObject, length), VM_ALLOC_MIN_BYTES, VM_ALLOC_MAX_BYTES,
    };
    known = wr_hash_bytes(wr_hash_bytes(0, (const uint8_t *)rows, sizeof rows), (const uint8_t *)layout, sizeof layout);
    atomic_store_explicit(&cached, known, memory_order_relaxed);
    return known;
}

uint64_t wr_code_header_checksum(const uint8_t *bytes, const ElfLayout *layout)
{
    const uint64_t engine = layout->offsets[WR_SECTION_ENGINE], rest = engine + sizeof(ImageHeader);
    uint64_t hash = wr_hash_checksum(0, bytes, engine + offsetof(ImageHeader, header_checksum));
    return wr_hash_checksum(hash, bytes + rest, layout->offsets[WR_SECTION_INFO] - rest);
}

uint64_t wr_code_contents_checksum(const uint8_t *bytes, const ElfLayout *layout)
{
    const uint64_t first = layout->offsets[WR_SECTION_INFO];
    return wr_hash_checksum(0, bytes + first, layout->num_bytes - first);
}

_Static_assert(WR_SECTION_MODULES == WR_SECTION_ENGINE + 1 && WR_SECTION_INFO == WR_SECTION_MODULES + 1,
               "what every load reads lies together");

/* ---- opening ------------------------------------------------------------------------------------------------------------------ */

#define OPEN_TEXT_OF(number) #number
#define OPEN_TEXT(number) OPEN_TEXT_OF(number)
#define OPEN_PLACE(field) (wr_elf_first_section() + offsetof(ImageHeader, field))

static bool open_same(WrError *error, uint64_t place, const char *what, uint64_t found, uint64_t wanted)
{
    if (found == wanted) return true;
    return wr_error_set(error, WR_ERROR_ARTIFACT, place, "%s: found %llu, wanted %llu", what, (unsigned long long)found, (unsigned long long)wanted);
}

bool wr_code_version_fits(uint32_t found_major, uint32_t found_minor, uint32_t major, uint32_t minor)
{
    return found_major == major && (major != 0 || found_minor == minor);
}

static bool open_check_header(const uint8_t *bytes, const ElfLayout *layout, const ImageHeader *header, WrError *error)
{
    const uint64_t *sizes = layout->sizes;
    if (header->magic != WR_IMAGE_MAGIC) return wr_error_set(error, WR_ERROR_ARTIFACT, OPEN_PLACE(magic), "not an artifact of wasmrt: no magic number");
    if (!open_same(error, OPEN_PLACE(format), "format version", header->format, WR_IMAGE_FORMAT)) return false;
    if (!open_same(error, OPEN_PLACE(target), "target", header->target, WR_IMAGE_TARGET_X86_64_LINUX)) return false;
    if (header->header_checksum != wr_code_header_checksum(bytes, layout)) {
        return wr_error_set(error, WR_ERROR_ARTIFACT, OPEN_PLACE(header_checksum), "checksum: found 0x%llx, wanted 0x%llx; the artifact is damaged",
                            (unsigned long long)header->header_checksum, (unsigned long long)wr_code_header_checksum(bytes, layout));
    }
    if (!wr_code_version_fits(header->version_major, header->version_minor, WR_VERSION_MAJOR, WR_VERSION_MINOR)) {
        return wr_error_set(error, WR_ERROR_ARTIFACT, OPEN_PLACE(version_major), "version: found %u.%u.%u, wanted %s", header->version_major, header->version_minor,
                            header->version_patch, WR_VERSION_MAJOR ? OPEN_TEXT(WR_VERSION_MAJOR) ".x" : "0." OPEN_TEXT(WR_VERSION_MINOR) ".x");
    }
    /* what follows cannot be damage, but another version, or somebody who computes checksums */
    if (!open_same(error, OPEN_PLACE(header_bytes), "header size", header->header_bytes, sizeof(ImageHeader))) return false;
    if (!open_same(error, OPEN_PLACE(abi_fingerprint), "interface of the runtime", header->abi_fingerprint, wr_code_abi_fingerprint())) return false;
    if (header->kind != WR_IMAGE_MODULE && header->kind != WR_IMAGE_COMPONENT)
        return wr_error_set(error, WR_ERROR_ARTIFACT, OPEN_PLACE(kind), "kind: found %u, wanted a module or a component", header->kind);
    uint64_t host, baseline;
    (void)wr_cpu_features(&host, &baseline);
    uint64_t missing = header->tunables.cpu_features & ~host;
    if (missing) {
        const char *name = wr_x64_cpu_feature_name((uint32_t)__builtin_ctzll(missing));
        return wr_error_set(error, WR_ERROR_ARTIFACT, OPEN_PLACE(tunables), "CPU feature of the artifact: found %s, wanted one of this machine", name ? name : "one of a later version");
    }
    if (!open_same(error, OPEN_PLACE(num_modules), "number of modules times their size", (uint64_t)header->num_modules * sizeof(ModuleRecord), sizes[WR_SECTION_MODULES])) return false;
    if (!open_same(error, OPEN_PLACE(num_funcs), "number of functions times their size", (uint64_t)header->num_funcs * sizeof(FunctionLoc), sizes[WR_SECTION_FUNCS])) return false;
    if (!open_same(error, OPEN_PLACE(num_traps), "number of traps times their size", (uint64_t)header->num_traps * 5, sizes[WR_SECTION_TRAPS])) return false;
    if (!open_same(error, OPEN_PLACE(num_addrs), "number of places times their size", (uint64_t)header->num_addrs * 8, sizes[WR_SECTION_ADDRMAP])) return false;
    if (!open_same(error, OPEN_PLACE(num_handlers), "number of exception handlers times their size", (uint64_t)header->num_handlers * sizeof(HandlerRow), sizes[WR_SECTION_HANDLERS])) return false;
    if (!open_same(error, OPEN_PLACE(num_names), "number of names times their size", (uint64_t)header->num_names * sizeof(WasmFuncName), sizes[WR_SECTION_NAMES])) return false;
    if ((uint64_t)header->num_trampolines * 2 > header->num_funcs)
        return wr_error_set(error, WR_ERROR_ARTIFACT, OPEN_PLACE(num_trampolines), "number of trampolines: %u do not fit %u functions", header->num_trampolines, header->num_funcs);
    if (sizes[WR_SECTION_TEXT] > WR_IMAGE_MAX_TEXT_BYTES || sizes[WR_SECTION_TEXT] < CODE_SEAL_BYTES)
        return wr_error_set(error, WR_ERROR_ARTIFACT, WR_NO_OFFSET, "section .text: found %llu bytes, wanted %d to %u", (unsigned long long)sizes[WR_SECTION_TEXT], CODE_SEAL_BYTES, WR_IMAGE_MAX_TEXT_BYTES);
    if (header->kind == WR_IMAGE_MODULE && !open_same(error, OPEN_PLACE(num_modules), "number of modules", header->num_modules, 1)) return false;
    return true;
}

static bool open_fits(uint64_t first, uint64_t count, uint64_t limit) { return first <= limit && count <= limit - first; }

static bool open_data_fits(const ModuleRecord *record, const uint64_t *sizes)
{
    if ((record->flags & WR_MODULE_IMAGES) == 0) return open_fits(record->data_offset, record->data_bytes, sizes[WR_SECTION_DATA]);
    return record->data_offset % WASM_IMAGE_PAGE == 0 && open_fits(record->data_offset, record->data_bytes, sizes[WR_SECTION_IMAGES]);
}

static bool open_check_records(const ElfLayout *layout, const ImageHeader *header, const ModuleRecord *records, WrError *error)
{
    const uint64_t *sizes = layout->sizes;
    uint64_t text_end = 0, num_rows = header->num_funcs - 2u * header->num_trampolines;
    for (uint32_t i = 0; i < header->num_modules; i++) {
        const ModuleRecord *record = &records[i];
        const char *what = !open_fits(record->meta_offset, record->meta_bytes, sizes[WR_SECTION_META]) || record->meta_offset % 16   ? "meta"
                           : !open_data_fits(record, sizes)                                                                          ? "data"
                           : !open_fits(record->text_offset, record->text_bytes, sizes[WR_SECTION_TEXT]) || record->text_offset < text_end ? "text"
                           : !open_fits(record->first_func, record->num_funcs, num_rows)                                             ? "functions"
                           : !open_fits(record->first_array_call, record->num_array_calls, num_rows)                                 ? "array calls"
                           : !open_fits(record->first_host_call, record->num_host_calls, num_rows)                                   ? "host calls"
                           : !open_fits(record->first_trap, record->num_traps, header->num_traps)                                    ? "traps"
                           : !open_fits(record->first_addr, record->num_addrs, header->num_addrs)                                    ? "places"
                           : !open_fits(record->first_name, record->num_names, header->num_names)                                    ? "names"
                                                                                                                                     : NULL;
        uint64_t place = layout->offsets[WR_SECTION_MODULES] + i * sizeof *record;
        if (what) return wr_error_set(error, WR_ERROR_ARTIFACT, place, "module %u: its %s lie outside of their section", i, what);
        text_end = (uint64_t)record->text_offset + record->text_bytes;
    }
    return true;
}

enum { OPEN_COMPARE_ALWAYS, OPEN_COMPARE_GUARDED, OPEN_COMPARE_NEVER };

static bool open_check_config(const ImageHeader *header, const WrTunables *wanted, uint64_t wasm_features, WrError *error)
{
    const WrTunables *found = &header->tunables;
    uint64_t extra = header->wasm_features & ~wasm_features;
    if (extra)
        return wr_error_set(error, WR_ERROR_ARTIFACT, OPEN_PLACE(wasm_features), "wasm feature %s: found on, wanted off", wr_wasm_feature_text((unsigned)__builtin_ctzll(extra)));
#define TUNABLE(name, type, compared, doc)                                                                                             \
    if ((OPEN_COMPARE_##compared == OPEN_COMPARE_ALWAYS || (OPEN_COMPARE_##compared == OPEN_COMPARE_GUARDED && found->guarded_memories)) && \
        !open_same(error, OPEN_PLACE(tunables.name), #name, found->name, wanted->name)) return false;
#include "wasmrt/tunables.def"
    return true;
}

static bool open_check_wanted(const ImageHeader *header, const WrImageWanted *wanted, WrError *error)
{
    if (header->kind != wanted->kind) {
        bool is_module = header->kind == WR_IMAGE_MODULE;
        return wr_error_set(error, WR_ERROR_ARTIFACT, OPEN_PLACE(kind), "the artifact holds a %s: found %s, wanted %s", is_module ? "module" : "component",
                            is_module ? "module" : "component", wanted->kind == WR_IMAGE_MODULE ? "module" : "component");
    }
    return open_check_config(header, wanted->tunables, wanted->wasm_features, error);
}

void wr_code_close(CodeMemory *code)
{
    CodePages *pages = &code->pages;
    wr_gdb_retract(code->announced);
    if (code->registered) {
        wr_code_unregister(code);
        if (pages->kind == CODE_PAGES_FOREIGN) (void)wr_os_protect((void *)(uintptr_t)code->text, wr_os_round_to_pages(code->text_bytes), WR_OS_READ);
    }
    void *attached = atomic_load(&code->attached);
    if (attached) atomic_load(&code->free_attached)(attached);
    for (uint32_t i = 0; i < code->num_modules; i++) {
        WasmModule *module = atomic_load_explicit(&code->modules[i], memory_order_relaxed);
        if (module) wr_module_free(module);
    }
    if (pages->kind != CODE_PAGES_FOREIGN) wr_os_release(pages->bytes, pages->num_bytes);
    wr_os_file_close(code->file);
    free(code);
}

/* W^X: the text goes from writable (ours) or readable (others') to executable in one step. A file that may not be executed is replaced by a copy. */
static bool open_seal(CodePages *pages, const ElfLayout *layout, WrError *error)
{
    const uint64_t text = layout->offsets[WR_SECTION_TEXT];
    if (pages->kind == CODE_PAGES_OURS && !wr_os_protect(pages->bytes, text, WR_OS_READ)) return wr_error_set(error, WR_ERROR_MEMORY, WR_NO_OFFSET, "cannot protect an image: %s", strerror(errno));
    if (wr_os_protect(pages->bytes + text, pages->num_bytes - text, WR_OS_READ_EXECUTE)) return true;
    if (pages->kind != CODE_PAGES_FILE || !wr_os_is_noexec())
        return wr_error_set(error, pages->kind == CODE_PAGES_FOREIGN ? WR_ERROR_ARTIFACT : WR_ERROR_MEMORY, WR_NO_OFFSET, "cannot make the text executable: %s", strerror(errno));
    uint8_t *copy = wr_os_alloc_dense(pages->num_bytes);
    if (!copy) return wr_os_memory_error(error, "a copy of an artifact", pages->num_bytes);
    memcpy(copy, pages->bytes, pages->num_bytes);
    wr_os_release(pages->bytes, pages->num_bytes);
    pages->bytes = copy;
    pages->kind = CODE_PAGES_OURS;
    return open_seal(pages, layout, error);
}

static const ImageHeader *open_header(const uint8_t *head, const ElfLayout *layout) { return (const ImageHeader *)(const void *)(head + layout->offsets[WR_SECTION_ENGINE]); }

/* Everything that is checked before there is a CodeMemory. `head`: the image up to INFO, or all of it. */
static bool open_check(const uint8_t *head, const ElfLayout *layout, const WrImageWanted *wanted, WrError *error)
{
    const uint64_t *offsets = layout->offsets;
    if (!open_same(error, offsets[WR_SECTION_ENGINE], "size of section .wasmrt.engine", layout->sizes[WR_SECTION_ENGINE], sizeof(ImageHeader))) return false;
    const ImageHeader *header = open_header(head, layout);
    return open_check_header(head, layout, header, error) &&
           open_check_records(layout, header, (const ModuleRecord *)(const void *)(head + offsets[WR_SECTION_MODULES]), error) && (!wanted || open_check_wanted(header, wanted, error));
}

/* Header and records are set already: they come from `head`, which sealing may have moved. */
static void open_fill(CodeMemory *code, const CodePages *pages, const ElfLayout *layout)
{
    const uint64_t *offsets = layout->offsets;
    const ImageHeader *header = &code->header;
    const uint8_t *bytes = pages->bytes;
    atomic_init(&code->references, 1);
    code->pages = *pages;
    code->file = -1;
    code->layout = *layout;
    code->bytes = bytes;
    code->funcs = (const FunctionLoc *)(const void *)(bytes + offsets[WR_SECTION_FUNCS]);
    code->trap_offsets = (const uint32_t *)(const void *)(bytes + offsets[WR_SECTION_TRAPS]);
    code->trap_codes = bytes + offsets[WR_SECTION_TRAPS] + 4 * (size_t)header->num_traps;
    code->addr_offsets = (const uint32_t *)(const void *)(bytes + offsets[WR_SECTION_ADDRMAP]);
    code->addr_places = code->addr_offsets + header->num_addrs;
    code->handlers = (const HandlerRow *)(const void *)(bytes + offsets[WR_SECTION_HANDLERS]);
    code->text = bytes + offsets[WR_SECTION_TEXT];
    code->text_bytes = (uint32_t)layout->sizes[WR_SECTION_TEXT];
    code->num_modules = header->num_modules;
    code->seal = code_seal(header, code->records);
}

static CodeMemory *open_new(const uint8_t *head, const ElfLayout *layout)
{
    const ImageHeader *header = open_header(head, layout);
    const size_t modules = header->num_modules * sizeof((CodeMemory *)0)->modules[0], records = header->num_modules * sizeof(ModuleRecord);
    CodeMemory *code = calloc(1, sizeof *code + modules + records);
    if (!code) return NULL;
    code->header = *header;
    memcpy((uint8_t *)(code + 1) + modules, head + layout->offsets[WR_SECTION_MODULES], records);
    code->records = (const ModuleRecord *)(const void *)((const uint8_t *)(code + 1) + modules);
    return code;
}

/* Makes the CodeMemory of checked pages: the text executable, the image registered. Takes the pages, on failure too, unless they are foreign. */
static bool open_pages(const CodePages *taken, const uint8_t *head, const ElfLayout *layout, CodeMemory **out_code, WrError *error)
{
    CodePages pages = *taken;
    CodeMemory *code = open_new(head, layout);
    bool ok = code != NULL || wr_error_set(error, WR_ERROR_MEMORY, WR_NO_OFFSET, "cannot allocate the record of an image");
    if (ok && open_seal(&pages, layout, error)) {
        open_fill(code, &pages, layout);
        code->registered = wr_code_register(code);
        if (code->registered) {
            code->announced = wr_gdb_announce_image(code);
            *out_code = code;
            return true;
        }
        wr_error_set(error, WR_ERROR_MEMORY, WR_NO_OFFSET, "cannot allocate the registry of code");
    }
    if (pages.kind != CODE_PAGES_FOREIGN) wr_os_release(pages.bytes, pages.num_bytes);
    free(code);
    return false;
}

bool wr_code_open(const CodePages *pages, CodeMemory **out_code, WrError *error)
{
    ElfLayout layout;
    if (wr_elf_read(pages->bytes, pages->num_bytes, pages->num_bytes, &layout, error) && open_check(pages->bytes, &layout, NULL, error))
        return open_pages(pages, pages->bytes, &layout, out_code, error);
    if (pages->kind != CODE_PAGES_FOREIGN) wr_os_release(pages->bytes, pages->num_bytes);
    return false;
}

bool wr_image_load(const uint8_t *bytes, size_t num_bytes, bool copy, void (*release)(void *owner), void *owner, CodeMemory **out_code, WrError *error)
{
    CodePages pages = {CODE_PAGES_FOREIGN, (uint8_t *)(uintptr_t)bytes, num_bytes, release, owner};
    if (!copy) {
        if ((uintptr_t)bytes % wr_os_page_size() == 0 && num_bytes % wr_os_page_size() == 0) return wr_code_open(&pages, out_code, error);
        return wr_error_set(error, WR_ERROR_ARTIFACT, WR_NO_OFFSET, "an artifact that is used in place must be page aligned, in whole pages");
    }
    /* before any allocation: most of what is no artifact ends here */
    ElfLayout layout;
    if (!wr_elf_read(bytes, num_bytes, num_bytes, &layout, error)) return false;
    pages = (CodePages){.kind = CODE_PAGES_OURS, .num_bytes = num_bytes, .bytes = wr_os_alloc_dense(num_bytes)};
    if (!pages.bytes) return wr_os_memory_error(error, "an artifact", num_bytes);
    memcpy(pages.bytes, bytes, num_bytes);
    return wr_code_open(&pages, out_code, error);
}

/* Maps a file whose head, the part that every load reads, was read: so that mapping touches no page, and faults none in. */
static bool open_mapped(int file, size_t num_bytes, const uint8_t *head, const ElfLayout *layout, const WrImageWanted *wanted, CodeMemory **out_code, int *out_errno, WrError *error)
{
    if (!open_check(head, layout, wanted, error)) return false;
    CodePages pages = {.kind = CODE_PAGES_FILE, .num_bytes = num_bytes, .bytes = wr_os_file_map(file, num_bytes)};
    if (!pages.bytes) *out_errno = errno;
    return pages.bytes && open_pages(&pages, head, layout, out_code, error);
}

/* Takes the file. */
static bool open_file(int file, size_t num_bytes, const WrImageWanted *wanted, CodeMemory **out_code, int *out_errno, WrError *error)
{
    _Alignas(16) uint8_t first[OPEN_HEAD_BYTES];
    uint8_t *head = first;
    ElfLayout layout;
    size_t num_read = wr_os_file_read(file, first, num_bytes < sizeof first ? num_bytes : sizeof first);
    bool ok = num_read == (num_bytes < sizeof first ? num_bytes : sizeof first) || wr_error_set(error, WR_ERROR_ARTIFACT, num_read, "size: the file cannot be read or is being truncated");
    ok = ok && wr_elf_read(first, num_read, num_bytes, &layout, error);
    if (ok && layout.offsets[WR_SECTION_INFO] > num_read) { /* no more than the file has: the layout was compared with its size */
        const size_t num_head = layout.offsets[WR_SECTION_INFO];
        head = malloc(num_head);
        ok = head != NULL || wr_error_set(error, WR_ERROR_MEMORY, WR_NO_OFFSET, "cannot allocate the head of an artifact, %zu bytes", num_head);
        ok = ok && (wr_os_file_read(file, head, num_head) == num_head || wr_error_set(error, WR_ERROR_ARTIFACT, num_head, "size: the file cannot be read or is being truncated"));
    }
    ok = ok && open_mapped(file, num_bytes, head, &layout, wanted, out_code, out_errno, error);
    if (head != first) free(head);
    if (ok && (*out_code)->pages.kind == CODE_PAGES_FILE && layout.sizes[WR_SECTION_IMAGES]) {
        (*out_code)->file = file;
    } else {
        wr_os_file_close(file);
    }
    return ok;
}

bool wr_image_map(const char *path, const WrImageWanted *wanted, CodeMemory **out_code, int *out_errno, WrError *error)
{
    size_t num_bytes;
    int file = wr_os_file_open(path, &num_bytes);
    *out_errno = file < 0 ? errno : 0;
    return file >= 0 && open_file(file, num_bytes, wanted, out_code, out_errno, error);
}

bool wr_image_map_open(int given, const WrImageWanted *wanted, CodeMemory **out_code, int *out_errno, WrError *error)
{
    size_t num_bytes;
    int file = wr_os_file_again(given, &num_bytes);
    *out_errno = file < 0 ? errno : 0;
    return file >= 0 && open_file(file, num_bytes, wanted, out_code, out_errno, error);
}

uint32_t wr_image_detect(const uint8_t *bytes, size_t num_bytes)
{
    ImageHeader header;
    uint64_t place = wr_elf_engine(bytes, num_bytes);
    if (!place || num_bytes - place < sizeof header) return 0;
    memcpy(&header, bytes + place, sizeof header);
    return header.magic == WR_IMAGE_MAGIC && (header.kind == WR_IMAGE_MODULE || header.kind == WR_IMAGE_COMPONENT) ? header.kind : 0;
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
    return open_check_config(&code->header, wanted, wasm_features, error);
}

bool wr_image_fits(const CodeMemory *code, const WrImageWanted *wanted, WrError *error) { return open_check_wanted(&code->header, wanted, error); }
