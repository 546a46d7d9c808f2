/* The artifact image: ELF64, built in memory from compiled modules and component trampolines, or read from bytes; sections.def names its parts.
 *
 * An image is one contiguous range. wr_image_build makes it in anonymous pages (RW, then text RX, the rest R); wr_image_load takes bytes (copied to
 * such pages) or a mapping used in place. Both end in the same CodeMemory, registered by pc so that the signal handler and backtraces find it, so
 * every program exercises the loader. Reference counted: instances and Python objects hold it. Never patched after it is sealed. */
#ifndef WR_CODE_IMAGE_H
#define WR_CODE_IMAGE_H

#include "compile/compile.h"

enum { WR_IMAGE_MODULE = 1, WR_IMAGE_COMPONENT = 2 };

typedef struct CodeMemory CodeMemory;

typedef struct WrTrampolineRequest { const ValType *params; uint32_t num_params; const ValType *results; uint32_t num_results; } WrTrampolineRequest; /* each gets a wasm_call (host call) and an array_call */

typedef struct WrImageInput {
    uint32_t kind;
    const WrTunables *tunables;
    uint64_t wasm_features;
    const WasmModule *const *modules; const CompiledModule *const *compiled; uint32_t num_modules;
    const WrTrampolineRequest *trampolines; uint32_t num_trampolines;
    const uint8_t *info; size_t num_info_bytes;
} WrImageInput;

bool wr_image_build(const WrImageInput *input, CodeMemory **out_code, WrError *error);
/* copy: bytes are copied into pages of our own. Otherwise `bytes` is page aligned, stays mapped and unchanged until `release(owner)` is called. */
bool wr_image_load(const uint8_t *bytes, size_t num_bytes, bool copy, void (*release)(void *owner), void *owner, CodeMemory **out_code, WrError *error);
/* 0, WR_IMAGE_MODULE or WR_IMAGE_COMPONENT, from the first bytes */
uint32_t wr_image_detect(const uint8_t *bytes, size_t num_bytes);

#endif
