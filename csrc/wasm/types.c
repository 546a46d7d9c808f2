/* Subtyping and spelling of value types. */
#include "wasm/types.h"

#include <stdio.h>

#include "wasm/module.h"

/* Whether abstract heap type `sub` is at or below abstract `super`. */
static bool types_heap_below(uint32_t sub, uint32_t super)
{
    if (sub == super) return true;
    switch (super) {
    case WR_HEAP_ANY: return sub == WR_HEAP_EQ || sub == WR_HEAP_I31 || sub == WR_HEAP_STRUCT || sub == WR_HEAP_ARRAY || sub == WR_HEAP_NONE;
    case WR_HEAP_EQ: return sub == WR_HEAP_I31 || sub == WR_HEAP_STRUCT || sub == WR_HEAP_ARRAY || sub == WR_HEAP_NONE;
    case WR_HEAP_I31: case WR_HEAP_STRUCT: case WR_HEAP_ARRAY: return sub == WR_HEAP_NONE;
    case WR_HEAP_FUNC: return sub == WR_HEAP_NOFUNC;
    case WR_HEAP_EXTERN: return sub == WR_HEAP_NOEXTERN;
    case WR_HEAP_EXN: return sub == WR_HEAP_NOEXN;
    default: return false;
    }
}

static uint32_t types_heap_of_kind(uint8_t kind)
{
    return kind == WASM_TYPE_FUNC ? WR_HEAP_FUNC : kind == WASM_TYPE_STRUCT ? WR_HEAP_STRUCT : WR_HEAP_ARRAY;
}

bool wr_vt_matches_slow(const struct WasmModule *module, ValType sub, ValType super)
{
    if (sub == super || sub == WR_VALTYPE_BOTTOM) return true;
    if (!wr_vt_is_ref(sub) || !wr_vt_is_ref(super)) return false;
    if (wr_vt_nullable(sub) && !wr_vt_nullable(super)) return false;
    uint32_t a = wr_vt_heap(sub), b = wr_vt_heap(super);
    if (!wr_vt_concrete(sub)) {
        if (!wr_vt_concrete(super)) return types_heap_below(a, b);
        return a == (module->types[b].kind == WASM_TYPE_FUNC ? (uint32_t)WR_HEAP_NOFUNC : (uint32_t)WR_HEAP_NONE);
    }
    if (!wr_vt_concrete(super)) return types_heap_below(types_heap_of_kind(module->types[a].kind), b);
    for (; a != UINT32_MAX; a = module->types[a].supertype) {
        a = module->types[a].canonical;
        if (a == b) return true;
    }
    return false;
}

const char *wr_vt_text(ValType type, WrVtText *out)
{
    static const char *const kinds[] = {"any type", "i32", "i64", "f32", "f64", "v128", "ref", "i8", "i16"};
    static const char *const heaps[] = {"func", "extern", "any", "eq", "i31", "struct", "array", "exn", "none", "nofunc", "noextern", "noexn"};
    static const char *const nullable[] = {"funcref", "externref", "anyref", "eqref", "i31ref", "structref", "arrayref", "exnref", "nullref", "nullfuncref",
                                           "nullexternref", "nullexnref"};
    uint32_t kind = wr_vt_kind(type), heap = wr_vt_heap(type);
    if (kind != WR_KIND_REF) snprintf(out->text, sizeof out->text, "%s", kind < sizeof kinds / sizeof kinds[0] ? kinds[kind] : "?");
    else if (wr_vt_concrete(type)) snprintf(out->text, sizeof out->text, "(ref %s%u)", wr_vt_nullable(type) ? "null " : "", heap);
    else if (heap >= sizeof heaps / sizeof heaps[0]) snprintf(out->text, sizeof out->text, "(ref ?)");
    else if (wr_vt_nullable(type)) snprintf(out->text, sizeof out->text, "%s", nullable[heap]);
    else snprintf(out->text, sizeof out->text, "(ref %s)", heaps[heap]);
    return out->text;
}
