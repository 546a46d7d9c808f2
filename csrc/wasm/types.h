/* Value types as packed 32-bit words: the same word in the reader, the validator, the compilers, the artifact and Python.
 *
 *   bits 0-3 kind, bit 4 nullable, bit 5 mutable (fields only), bits 8-30 heap type code or type index, bit 31 set when it is an index ("concrete").
 *
 * 0 is the bottom type of unreachable code. Numbers stay as they are forever: artifacts hold them. */
#ifndef WR_WASM_TYPES_H
#define WR_WASM_TYPES_H

#include <stdbool.h>
#include <stdint.h>

typedef uint32_t ValType;

enum {
    WR_KIND_BOTTOM, WR_KIND_I32, WR_KIND_I64, WR_KIND_F32, WR_KIND_F64, WR_KIND_V128, WR_KIND_REF,
    WR_KIND_I8, WR_KIND_I16 /* packed fields of structs and arrays only */
};
enum { /* heap types that are not an index */
    WR_HEAP_FUNC, WR_HEAP_EXTERN, WR_HEAP_ANY, WR_HEAP_EQ, WR_HEAP_I31, WR_HEAP_STRUCT, WR_HEAP_ARRAY, WR_HEAP_EXN,
    WR_HEAP_NONE, WR_HEAP_NOFUNC, WR_HEAP_NOEXTERN, WR_HEAP_NOEXN
};

#define WR_VT_NULLABLE 0x10u
#define WR_VT_MUTABLE 0x20u
#define WR_VT_CONCRETE 0x80000000u
#define WR_VT_REF(nullable, heap) ((ValType)(WR_KIND_REF | ((nullable) ? WR_VT_NULLABLE : 0u) | ((uint32_t)(heap) << 8)))
#define WR_VT_REF_INDEX(nullable, index) ((ValType)(WR_VT_REF(nullable, index) | WR_VT_CONCRETE))

#define WR_VALTYPE_BOTTOM ((ValType)WR_KIND_BOTTOM)
#define WR_VALTYPE_I32 ((ValType)WR_KIND_I32)
#define WR_VALTYPE_I64 ((ValType)WR_KIND_I64)
#define WR_VALTYPE_F32 ((ValType)WR_KIND_F32)
#define WR_VALTYPE_F64 ((ValType)WR_KIND_F64)
#define WR_VALTYPE_V128 ((ValType)WR_KIND_V128)
#define WR_VALTYPE_FUNCREF WR_VT_REF(true, WR_HEAP_FUNC)
#define WR_VALTYPE_EXTERNREF WR_VT_REF(true, WR_HEAP_EXTERN)

static inline uint32_t wr_vt_kind(ValType t) { return t & 0xfu; }
static inline bool wr_vt_is_ref(ValType t) { return (t & 0xfu) == WR_KIND_REF; }
static inline bool wr_vt_nullable(ValType t) { return (t & WR_VT_NULLABLE) != 0; }
static inline bool wr_vt_concrete(ValType t) { return (t & WR_VT_CONCRETE) != 0; }
static inline uint32_t wr_vt_heap(ValType t) { return (t >> 8) & 0x7fffffu; }

struct WasmModule;
/* Whether a value of type `sub` can stand where `super` is wanted. Indices in both are canonical, as everywhere in a decoded module. */
bool wr_vt_matches_slow(const struct WasmModule *module, ValType sub, ValType super);
static inline bool wr_vt_matches(const struct WasmModule *module, ValType sub, ValType super)
{
    return sub == super || wr_vt_matches_slow(module, sub, super);
}
/* Whether locals and table elements of it can start as zero or null. */
static inline bool wr_vt_defaultable(ValType t) { return !wr_vt_is_ref(t) || wr_vt_nullable(t); }

/* What a field of storage type `t` gives on the operand stack. */
static inline ValType wr_vt_unpacked(ValType t)
{
    return wr_vt_kind(t) == WR_KIND_I8 || wr_vt_kind(t) == WR_KIND_I16 ? WR_VALTYPE_I32 : t & ~WR_VT_MUTABLE;
}

/* The text format's spelling, for messages; returns `text`. */
typedef struct WrVtText { char text[40]; } WrVtText;
const char *wr_vt_text(ValType type, WrVtText *text);

#endif
