/* A decoded core module: flat arrays of plain records, each text or blob an (offset, length) into `bytes`.
 *
 * The same struct describes a module that was just decoded (bytes = the wasm file) and one that lies in an artifact (bytes = its meta blob, without
 * code bodies; data segments are in the image's DATA section, names of functions in NAMES and STRINGS): see meta.h. Immutable once wr_module_decode returned. The decoder checks sections,
 * limits and index spaces; function bodies are validated by wr_func_validate, called by the compiler's first pass per function, in parallel. */
#ifndef WR_WASM_MODULE_H
#define WR_WASM_MODULE_H

#include <stddef.h>

#include "base/error.h"
#include "wasm/features.h"
#include "wasm/limits.h"
#include "wasm/types.h"
#include "wasmrt/api.h"

typedef struct WasmSpan { uint32_t offset, length; } WasmSpan; /* into WasmModule.bytes */

typedef struct WasmFuncType { uint32_t params, num_params, results, num_results; } WasmFuncType; /* starts into WasmModule.valtypes */
typedef enum WasmTypeKind { WASM_TYPE_FUNC, WASM_TYPE_STRUCT, WASM_TYPE_ARRAY } WasmTypeKind;
typedef struct WasmTypeDef {
    uint8_t kind;       /* WasmTypeKind */
    uint8_t is_final;
    uint16_t depth;     /* number of supertypes above it */
    uint32_t supertype; /* UINT32_MAX: none */
    uint32_t rec_group; /* index of its recursion group */
    uint32_t canonical; /* the first type of the module that is the same type: equal types have equal ones. Value types name canonical types only */
    WasmFuncType func;  /* structs and arrays: fields as params, with WR_VT_MUTABLE */
} WasmTypeDef;
typedef struct WasmRecGroup { uint32_t first_type, num_types; } WasmRecGroup;

typedef enum WasmExternKind { WASM_EXTERN_FUNC, WASM_EXTERN_TABLE, WASM_EXTERN_MEMORY, WASM_EXTERN_GLOBAL, WASM_EXTERN_TAG } WasmExternKind;

#define WASM_LIMITS_HAS_MAX 1u
#define WASM_LIMITS_SHARED 2u
#define WASM_LIMITS_64 4u
typedef struct WasmLimits { uint64_t min, max; uint8_t flags; uint8_t page_size_log2; /* memories: 16 */ uint16_t reserved; uint32_t reserved2; } WasmLimits;

/* An item of an element segment, in the compact form that nearly all have. */
typedef struct WasmElemItem {
    uint32_t kind;  /* WASM_CONST_REF_FUNC, _REF_NULL, _GLOBAL or _EXPR */
    uint32_t index; /* of the function or global; EXPR: into elem_exprs */
} WasmElemItem;

/* A constant expression: its bytes, with the common one-instruction forms already folded, so that instantiation is a loop without decoding. */
typedef enum WasmConstKind { WASM_CONST_BITS, WASM_CONST_GLOBAL, WASM_CONST_REF_NULL, WASM_CONST_REF_FUNC, WASM_CONST_EXPR } WasmConstKind;
typedef struct WasmConst {
    uint32_t kind;      /* WasmConstKind */
    ValType type;
    uint64_t bits[2];   /* BITS: the value; GLOBAL, REF_FUNC: the index in bits[0] */
    WasmSpan expr;      /* EXPR: instructions without `end`: evaluated by a small stack machine (extended constants) */
} WasmConst;

typedef struct WasmImport { WasmSpan module, name; uint32_t kind, index; /* into its index space */ } WasmImport;
typedef struct WasmExport { WasmSpan name; uint32_t kind, index; } WasmExport;
typedef struct WasmTable { ValType element; uint32_t has_init; WasmLimits limits; WasmConst init; } WasmTable;
typedef struct WasmMemory { WasmLimits limits; } WasmMemory;
typedef struct WasmGlobal { ValType type; uint32_t is_mutable; WasmConst init; /* defined globals only */ } WasmGlobal;
typedef struct WasmTag { uint32_t type_index; } WasmTag;
typedef enum WasmSegmentMode { WASM_SEGMENT_PASSIVE, WASM_SEGMENT_ACTIVE, WASM_SEGMENT_DECLARED } WasmSegmentMode;
typedef struct WasmElem { uint32_t mode, table; ValType type; uint32_t first_item, num_items; /* into elem_items */ uint32_t is_plain; /* functions and nulls alone */ WasmConst offset; } WasmElem;
typedef struct WasmData { uint32_t mode, memory; WasmConst offset; WasmSpan bytes; } WasmData; /* span into WasmModule.data_bytes */
typedef struct WasmFunc { uint32_t type_index; WasmSpan body; /* defined: locals and code, `end` included, in the wasm file (not in a meta blob's bytes); imports: empty */ uint32_t escape_index; /* into func_refs, UINT32_MAX: its address is never taken; imports, whose VMFuncRef is the exporter's: 0 or UINT32_MAX */ } WasmFunc;
typedef struct WasmFuncName { uint32_t func; WasmSpan name; } WasmFuncName;
typedef struct WasmCustom { WasmSpan name, bytes; } WasmCustom;

/* Every array of a module: WASM_ARRAY(item type, name); funcs, tables, memories, globals and tags hold the imported ones first. */
#define WASM_MODULE_ARRAYS \
    WASM_ARRAY(ValType, valtypes) \
    WASM_ARRAY(WasmTypeDef, types) \
    WASM_ARRAY(WasmRecGroup, rec_groups) \
    WASM_ARRAY(WasmImport, imports) \
    WASM_ARRAY(WasmExport, exports) \
    WASM_ARRAY(WasmFunc, funcs) \
    WASM_ARRAY(WasmTable, tables) \
    WASM_ARRAY(WasmMemory, memories) \
    WASM_ARRAY(WasmGlobal, globals) \
    WASM_ARRAY(WasmTag, tags) \
    WASM_ARRAY(WasmElem, elems) \
    WASM_ARRAY(WasmElemItem, elem_items) \
    WASM_ARRAY(WasmConst, elem_exprs) \
    WASM_ARRAY(WasmData, datas) \
    WASM_ARRAY(WasmFuncName, func_names) \
    WASM_ARRAY(WasmCustom, customs)

typedef struct WasmModule {
    const uint8_t *bytes; size_t num_bytes;           /* borrowed; outlives the module */
    const uint8_t *data_bytes; size_t num_data_bytes; /* where WasmData.bytes point: = bytes when decoded */
    const uint8_t *name_bytes; size_t num_name_bytes; /* where WasmFuncName.name point: = bytes when decoded */
    uint64_t features;                                /* WASM_FEATURE_* (features.h) that were on */
#define WASM_ARRAY(type, name) type *name; uint32_t num_##name;
    WASM_MODULE_ARRAYS
#undef WASM_ARRAY
    uint32_t num_imported_funcs, num_imported_tables, num_imported_memories, num_imported_globals, num_imported_tags;
    uint32_t num_escaped_funcs; /* defined ones: exported, in an element segment (declared ones too), in a ref.func of a constant, or the start function */
    uint32_t has_data_count;    /* memory.init and data.drop need that section */
    uint32_t start_func;        /* UINT32_MAX: none; it has an escape index */
    uint32_t start_undeclared;  /* it has one for being the start function only, which does not allow ref.func */
    WasmSpan module_name;
    WasmSpan code_section;
    bool owns_arrays;           /* each from malloc; else they lie in a meta blob */
    uint8_t *copied_bytes;      /* that blob, when it goes with the module; else NULL */
} WasmModule;

/* The signature of a function, which the decoder has checked to be one. */
static inline const WasmFuncType *wr_module_func_type(const WasmModule *module, uint32_t func) { return &module->types[module->funcs[func].type_index].func; }

/* Decodes and checks everything but function bodies. `bytes` is borrowed. On failure *out_module is untouched. */
WR_API bool wr_module_decode(const uint8_t *bytes, size_t num_bytes, uint64_t features, WasmModule **out_module, WrError *error);
WR_API void wr_module_free(WasmModule *module);

/* Names from the name section; false: there is none. Not zero-terminated, perhaps not UTF-8; they live as long as the module's bytes. */
WR_API bool wr_module_func_name(const WasmModule *module, uint32_t func_index, const char **out_name, size_t *out_length);
WR_API bool wr_module_name(const WasmModule *module, const char **out_name, size_t *out_length);

#endif
