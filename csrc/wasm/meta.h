/* A module's flat arrays as one position-independent blob in an artifact, and a view of it without copying.
 *
 * What goes in: every array of WasmModule but custom sections and names of functions, and the bytes that its spans name (names, constant expressions), without code bodies;
 * data segments go to a blob of their own, one after the other, or as they lie in memory (images.h). Spans count from their blob's start. The same module gives the same bytes.
 * What comes out may be hostile: opening checks array bounds, and wr_meta_verify all rows, which whoever opens one does before it is used. */
#ifndef WR_WASM_META_H
#define WR_WASM_META_H

#include "wasm/images.h"

/* Bytes of both blobs; false: more than an image may hold. With `images` (NULL: none), data begin with the images, whole pages. */
bool wr_meta_size(const WasmModule *module, const WasmImages *images, size_t *out_meta_bytes, size_t *out_data_bytes, WrError *error);
/* Fills blobs of these sizes, which are zero; `meta` is 16-byte aligned. */
void wr_meta_write(const WasmModule *module, const WasmImages *images, uint8_t *meta, uint8_t *data);
/* A module whose arrays and bytes lie in the blobs, which stay; wr_module_free frees it. `meta` is 16-byte aligned. Errors: WR_ERROR_ARTIFACT. */
bool wr_meta_open(const uint8_t *meta, size_t num_meta_bytes, const uint8_t *data, size_t num_data_bytes, WasmModule **out_module, WrError *error);
/* Checks every row of an opened module: indices, spans, kinds. */
bool wr_meta_verify(const WasmModule *module, WrError *error);

#endif
