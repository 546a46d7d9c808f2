#include "wasm/images.h"

#include <stdlib.h>

/* On demand, up to this many bytes from first to last are copied. That costs a page fault (1.3 us where it was measured, and about as much to empty the page
 * again), but no mapping: each live memory has two already, an image makes it three or four, and vm.max_map_count is 65,530. Slots of a pool are few, and
 * their images stay mapped: there an image costs nothing from the second instance on. */
#define IMAGES_SMALL_BYTES UINT64_C(4096)
/* Pages that nobody reads cost memory and room in artifacts: at least half must be data. */
#define IMAGES_SPARSE_FACTOR UINT64_C(2)
/* Beyond it, building the image would double the memory that a component takes; the segments are paged in from the artifact instead. */
#define IMAGES_HUGE_BYTES (UINT64_C(256) << 20)

bool wr_images_segment(const WasmModule *module, const WasmData *data, uint64_t *out_offset)
{
    if (data->memory < module->num_imported_memories || data->memory >= module->num_memories || data->offset.kind != WASM_CONST_BITS) return false;
    const WasmLimits *limits = &module->memories[data->memory].limits;
    if (limits->page_size_log2 > 16 || limits->min > UINT64_MAX >> 17) return false;
    uint64_t length = limits->min << limits->page_size_log2;
    *out_offset = limits->flags & WASM_LIMITS_64 ? data->offset.bits[0] : (uint32_t)data->offset.bits[0];
    if (data->bytes.offset > module->num_data_bytes || data->bytes.length > module->num_data_bytes - data->bytes.offset) return false;
    return *out_offset <= length && data->bytes.length <= length - *out_offset;
}

static void images_range(const WasmModule *module, WasmImages *images, uint32_t own_memory)
{
    uint64_t first = UINT64_MAX, end = 0, filled = 0, offset;
    for (uint32_t i = 0; i < images->num_datas; i++) {
        const WasmData *data = &module->datas[i];
        if (data->mode != WASM_SEGMENT_ACTIVE || data->memory - module->num_imported_memories != own_memory || data->bytes.length == 0) continue;
        if (!wr_images_segment(module, data, &offset)) continue;
        if (offset < first) first = offset;
        if (offset + data->bytes.length > end) end = offset + data->bytes.length;
        filled += data->bytes.length;
    }
    if (filled == 0) return;
    if (end - first > IMAGES_HUGE_BYTES || (end - first) / IMAGES_SPARSE_FACTOR > filled) {
        images->is_static = false;
        return;
    }
    WasmImageRange *range = &images->ranges[own_memory];
    range->is_small = end - first <= IMAGES_SMALL_BYTES;
    range->memory_offset = first / WASM_IMAGE_PAGE * WASM_IMAGE_PAGE;
    range->bytes = (end - range->memory_offset + WASM_IMAGE_PAGE - 1) / WASM_IMAGE_PAGE * WASM_IMAGE_PAGE;
    range->image_offset = images->bytes;
    images->bytes += range->bytes;
    images->any_large |= !range->is_small;
}

bool wr_images_find(const WasmModule *module, WasmImages *out_images)
{
    uint32_t own = module->num_memories - module->num_imported_memories, count = 0;
    uint64_t offset;
    *out_images = (WasmImages){ .ranges = calloc((size_t)own + 1, sizeof *out_images->ranges) };
    if (out_images->ranges == NULL) return false;
    while (count < module->num_datas && (module->datas[count].mode != WASM_SEGMENT_ACTIVE || wr_images_segment(module, &module->datas[count], &offset))) count++;
    out_images->num_datas = count;
    out_images->is_static = count == module->num_datas;
    /* one pass a memory: their number is limited to 100, and nearly all modules have one */
    for (uint32_t i = 0; i < own; i++) images_range(module, out_images, i);
    return true;
}

void wr_images_free(WasmImages *images) { free(images->ranges); }
