/* Where the fields of a struct and the items of an array lie in an object: behind its header, in order of declaration, each at a multiple of its size
 * (a v128 of 8). So the fields that a type has in common with its supertype have the same places in both, and neither the compilers nor the runtime
 * need a table from each other: both ask here. */
#ifndef WR_WASM_FIELDS_H
#define WR_WASM_FIELDS_H

#include "wasm/types.h"
#include "wasmrt/vm.h"

static inline uint32_t wr_field_bytes(ValType storage)
{
    switch (wr_vt_kind(storage)) {
    case WR_KIND_I8: return 1;
    case WR_KIND_I16: return 2;
    case WR_KIND_I32: case WR_KIND_F32: return 4;
    case WR_KIND_V128: return 16;
    default: return 8;
    }
}

/* The place of the next field; *at is where the one before ends (0 before the first), and becomes the end of this one. */
static inline uint32_t wr_field_place(uint32_t *at, ValType storage)
{
    uint32_t bytes = wr_field_bytes(storage), align = bytes < 8 ? bytes : 8, start = *at ? *at : (uint32_t)sizeof(VMObject);
    start = (start + align - 1) & ~(align - 1);
    *at = start + bytes;
    return start;
}

/* Of a whole object that ends at `at`: a multiple of 8, and at least what the smallest size class has. */
static inline uint32_t wr_object_bytes(uint32_t at) { return at <= VM_ALLOC_MIN_BYTES ? VM_ALLOC_MIN_BYTES : (at + 7) & ~7u; }

#endif
