/* The artifact image: ELF64, built in memory from compiled modules and component trampolines, or read from bytes; sections.def names its parts,
 * image_records.def the fields of its records.
 *
 * An image is one contiguous range of whole pages: ELF header, program headers, section headers and names, then the sections in the order of the table,
 * text last on pages of its own. wr_image_build makes it in anonymous pages (RW, then text RX, the rest R); wr_image_load takes bytes (copied to such
 * pages) or pages used in place, wr_image_map a file. All end in the same CodeMemory, registered by pc so that the signal handler and backtraces find
 * it, so every program exercises the loader. Reference counted: instances and Python objects hold it. Never patched after it is sealed, no pointer in it.
 *
 * What the loader believes: headers and module records are covered by a checksum that every load compares; component info and a module's meta blob by ones
 * in these, compared when they are first used. The flat arrays and the text are not read when loading; rows are checked where they are used, by range
 * and by what the text says of itself (marks.h); wr_code_verify reads all of the image. Text cannot be checked: it is what an artifact is trusted for.
 *
 * A mapped file must not change. When it is truncated, pages of it are gone: guest code that meets one traps, whoever else reads one gets zeros (vm/traps.c),
 * and the image is marked as broken, so that nothing reads its tables any more. */
#ifndef WR_CODE_IMAGE_H
#define WR_CODE_IMAGE_H

#include "compile/compile.h"
#include "wasmrt/api.h"

enum { WR_IMAGE_MODULE = 1, WR_IMAGE_COMPONENT = 2 };

typedef enum WrSection {
#define SECTION(name, elf_name, elf_type, alignment, executable, doc) WR_SECTION_##name,
#include "wasmrt/sections.def"
#undef SECTION
    WR_SECTION_COUNT
} WrSection;

#define WR_IMAGE_MAGIC UINT64_C(0x010074726d736177) /* "wasmrt\0\1" */
#define WR_MODULE_IMAGES 2u   /* its data are in IMAGES, not in DATA: what its memories start with, as they lie there (wasm/images.h), then passive segments */
#define WR_MODULE_BOUNDARY 1u /* no exception leaves its functions: adapters between components */
#define WR_IMAGE_FORMAT 7u /* of the records here; the ABI fingerprint follows vm.h and the .def tables by itself */
#define WR_IMAGE_TARGET_X86_64_LINUX 1u
#define WR_IMAGE_MAX_TEXT_BYTES 0x40000000u /* LIMIT IMAGE_BYTES */

typedef struct ImageHeader {
#define HEADER_FIELD(name, type, doc) type name;
#include "wasmrt/image_records.def"
    WrTunables tunables;
#define COUNT_FIELD(name, type, doc) type name;
#include "wasmrt/image_records.def"
} ImageHeader;

typedef struct ModuleRecord {
#define MODULE_FIELD(name, type, doc) type name;
#include "wasmrt/image_records.def"
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
/* The same as bytes that are not executable here; wr_image_free frees them. */
WR_API bool wr_image_write(const WrImageInput *input, const uint8_t **out_bytes, size_t *out_num_bytes, WrError *error);
WR_API void wr_image_free(const uint8_t *bytes, size_t num_bytes);
/* Pages for bytes that wr_image_load shall use in place: zeroed and writable, then, for good, readable only. */
WR_API uint8_t *wr_image_pages(size_t num_bytes, WrError *error);
WR_API bool wr_image_seal_pages(uint8_t *pages, size_t num_bytes, WrError *error);
/* copy: bytes are copied into pages of our own. Otherwise `bytes` are whole pages that stay mapped and unchanged until `release(owner)` is called;
 * their text becomes executable, and readable again before the release. On failure release is not called: the bytes stay the caller's. Errors are
 * WR_ERROR_ARTIFACT, "reason: found ..., wanted ..." where two things are compared. */
WR_API bool wr_image_load(const uint8_t *bytes, size_t num_bytes, bool copy, void (*release)(void *owner), void *owner, CodeMemory **out_code, WrError *error);
/* What the vm room knows about an image, once: freed with it. Attaching gives what is attached afterwards: another thread's, if it was first, and then
 * `data` stays the caller's. */
void *wr_code_attached(const CodeMemory *code);
void *wr_code_attach(CodeMemory *code, void *data, void (*free_data)(void *data));

/* What an engine can use: kind, and what wr_code_check_config compares. */
typedef struct WrImageWanted { uint32_t kind; const WrTunables *tunables; uint64_t wasm_features; } WrImageWanted;
/* Maps a file, private and read-only, its text executable; where the file system forbids that (noexec), loads a copy instead. Reads the headers and MODULES
 * alone. *out_errno is not 0 when the system refused the file: then `error` is not set. */
WR_API bool wr_image_map(const char *path, const WrImageWanted *wanted, CodeMemory **out_code, int *out_errno, WrError *error);
/* The same of an open file, which stays the caller's. `wanted` may be NULL. */
WR_API bool wr_image_map_open(int file, const WrImageWanted *wanted, CodeMemory **out_code, int *out_errno, WrError *error);
/* Whether an image is of the wanted kind and fits the engine. */
WR_API bool wr_image_fits(const CodeMemory *code, const WrImageWanted *wanted, WrError *error);
/* 0, WR_IMAGE_MODULE or WR_IMAGE_COMPONENT, from the first bytes */
WR_API uint32_t wr_image_detect(const uint8_t *bytes, size_t num_bytes);

#endif
