/* The artifact image: ELF64, built in memory from compiled modules and component trampolines, or read from bytes; sections.def names its parts.
 *
 * An image is one contiguous range: ELF header, program headers, section headers and names, then the sections in the order of the table, text last on
 * pages of its own. wr_image_build makes it in anonymous pages (RW, then text RX, the rest R); wr_image_load takes bytes (copied to such pages) or a
 * mapping used in place. Both end in the same CodeMemory, registered by pc so that the signal handler and backtraces find it, so every program
 * exercises the loader. Reference counted: instances and Python objects hold it. Never patched after it is sealed, no pointer in it.
 *
 * What the loader believes: headers, module records, meta blobs and component info are covered by a checksum and range-checked before use. The flat
 * arrays and the text are not read when loading; rows are range-checked where they are used; wr_code_verify reads all of the image.
 * Machine code cannot be checked: artifacts are trusted as far as their text. */
#ifndef WR_CODE_IMAGE_H
#define WR_CODE_IMAGE_H

#include "compile/compile.h"
#include "wasmrt/api.h"

enum { WR_IMAGE_MODULE = 1, WR_IMAGE_COMPONENT = 2 };

typedef enum WrSection {
#define SECTION(name, elf_name, alignment, executable, doc) WR_SECTION_##name,
#include "wasmrt/sections.def"
#undef SECTION
    WR_SECTION_COUNT
} WrSection;

#define WR_IMAGE_MAGIC "wasmrt\0\1"
#define WR_MODULE_BOUNDARY 1u /* no exception leaves its functions: adapters between components */
#define WR_IMAGE_FORMAT 2u /* of the records here; the ABI fingerprint follows vm.h and the .def tables by itself */
#define WR_IMAGE_TARGET_X86_64_LINUX 1u
#define WR_IMAGE_MAX_TEXT_BYTES 0x40000000u /* LIMIT IMAGE_BYTES */

/* Section ENGINE. Little endian, no padding, zero where unused, as all records of an image. */
typedef struct ImageHeader {
    uint8_t magic[8]; /* WR_IMAGE_MAGIC */
    uint32_t format;
    uint32_t kind;    /* WR_IMAGE_* */
    uint32_t target;
    uint32_t header_bytes;
    uint64_t abi_fingerprint;  /* layouts of vm.h, rows of builtins.def and traps.def */
    uint64_t wasm_features;
    WrTunables tunables;
    uint32_t num_modules;
    uint32_t num_trampolines;  /* two FUNCS rows each, after those of the modules: wasm_call, array_call */
    uint32_t num_funcs;        /* rows of FUNCS */
    uint32_t num_traps;
    uint32_t num_addrs;
    uint32_t num_handlers;
    uint64_t contents_checksum; /* of all sections that header_checksum leaves out; compared by wr_code_verify */
    uint64_t header_checksum;   /* of everything up to here, and of MODULES, META and INFO; compared by the loader */
} ImageHeader;

/* Section MODULES: where the parts of a module lie. Rows are counted from the start of the section's array. */
typedef struct ModuleRecord {
    uint64_t meta_offset, meta_bytes;
    uint64_t data_offset, data_bytes;
    uint32_t text_offset, text_bytes;           /* in TEXT */
    uint32_t first_func, num_funcs;             /* FUNCS: wasm_call of each defined function, ascending */
    uint32_t first_array_call, num_array_calls; /* FUNCS: by escape index */
    uint32_t first_host_call, num_host_calls;   /* FUNCS: by type index; length 0: not a function type */
    uint32_t first_trap, num_traps;             /* TRAPS */
    uint32_t first_addr, num_addrs;             /* ADDRMAP */
    uint32_t num_imported_funcs;
    uint32_t flags;                             /* WR_MODULE_* */
} ModuleRecord;

typedef struct CodeMemory CodeMemory;

typedef struct WrTrampolineRequest { const ValType *params; uint32_t num_params; const ValType *results; uint32_t num_results; } WrTrampolineRequest; /* each gets a wasm_call (host call) and an array_call */

typedef struct WrImageInput {
    uint32_t kind;
    const WrTunables *tunables;
    uint64_t wasm_features;
    const WasmModule *const *modules; const CompiledModule *const *compiled; uint32_t num_modules;
    const uint8_t *boundaries; /* per module: it is one (WR_MODULE_BOUNDARY); NULL: none is */
    const WrTrampolineRequest *trampolines; uint32_t num_trampolines;
    const uint8_t *info; size_t num_info_bytes;
} WrImageInput;

/* The same input gives the same bytes. The input may be freed afterwards. */
WR_API bool wr_image_build(const WrImageInput *input, CodeMemory **out_code, WrError *error);
/* copy: bytes are copied into pages of our own. Otherwise `bytes` is page aligned, stays mapped and unchanged until `release(owner)` is called, and its
 * text becomes executable. On failure release is not called: the bytes stay the caller's. Errors are WR_ERROR_ARTIFACT, "reason: found ..., wanted
 * ..." where two things are compared. */
WR_API bool wr_image_load(const uint8_t *bytes, size_t num_bytes, bool copy, void (*release)(void *owner), void *owner, CodeMemory **out_code, WrError *error);
/* What the vm room knows about an image, once: freed with it. Attaching gives what is attached afterwards: another thread's, if it was first, and then
 * `data` stays the caller's. */
void *wr_code_attached(const CodeMemory *code);
void *wr_code_attach(CodeMemory *code, void *data, void (*free_data)(void *data));
/* 0, WR_IMAGE_MODULE or WR_IMAGE_COMPONENT, from the first bytes */
WR_API uint32_t wr_image_detect(const uint8_t *bytes, size_t num_bytes);

#endif
