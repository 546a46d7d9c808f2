/* Which parts of a module's memories have contents that are known before it is instantiated: whole pages that can be mapped, not copied.
 *
 * Active segments count up to the first that depends on anything but the module, or that could trap: what comes after it may overwrite, or must not be
 * seen. The limits on what is worth an image are in images.c. Both the writer of artifacts, which lays such segments out as they lie in memory, and the
 * runtime ask here. */
#ifndef WR_WASM_IMAGES_H
#define WR_WASM_IMAGES_H

#include "wasm/module.h"

#define WASM_IMAGE_PAGE UINT64_C(4096)

/* Of a memory that the module defines; bytes 0: none. Offsets and sizes are multiples of WASM_IMAGE_PAGE. */
typedef struct WasmImageRange {
    uint64_t memory_offset, bytes;
    uint64_t image_offset; /* where it comes when the images of all memories lie one after the other */
    bool is_small;         /* copying costs about as much as mapping */
} WasmImageRange;

typedef struct WasmImages {
    WasmImageRange *ranges; /* per memory that the module defines */
    uint64_t bytes;         /* of all */
    uint32_t num_datas;     /* leading segments that are in them (passive ones aside) */
    bool is_static;         /* these are all active ones, and none is spread too thinly or too large for an image */
    bool any_large;
} WasmImages;

/* Fills `out_images`; ranges are from malloc. False: no memory. */
bool wr_images_find(const WasmModule *module, WasmImages *out_images);
void wr_images_free(WasmImages *images);
/* Where in its memory an active segment goes that always fits; false: that is not known. */
bool wr_images_segment(const WasmModule *module, const WasmData *data, uint64_t *out_offset);
/* Whether segments of the module lie in an artifact as they lie in memory: the images first, then what is passive. */
static inline bool wr_images_in_artifact(const WasmImages *images) { return images->is_static && images->any_large; }

#endif
