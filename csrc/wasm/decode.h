/* Shared by the files of the decoder: decode.c (sections), decode_types.c (the type section), constant.c (constant expressions), names.c. */
#ifndef WR_WASM_DECODE_H
#define WR_WASM_DECODE_H

#include "base/array.h"
#include "wasm/checked.h"

typedef struct WasmConstOperand {
    ValType type;
    bool known;       /* its value is `bits` */
    uint64_t bits[2];
} WasmConstOperand;

typedef struct WasmDecoder {
    WasmReader reader;
    WasmModule *module; /* arrays grow by capacity below */
#define WASM_ARRAY(type, name) uint32_t cap_##name;
    WASM_MODULE_ARRAYS
#undef WASM_ARRAY
    uint32_t num_declared_funcs; /* of the function section, to compare with the code section */
    uint32_t num_bodies;
    const uint8_t *bodies_at;    /* where the code section says how many */
    uint32_t data_count;
    bool is_verifying; /* the module lies in an artifact, which may be hostile and must not be written to */
    WR_ARRAY(WasmConstOperand) operands; /* of the constant expression being read */
} WasmDecoder;

/* Room for `more` items of a module array; fails with WR_ERROR_MEMORY. */
#define decoder_room(decoder, name, more) \
    (wr_array_reserve((void **)&(decoder)->module->name, (decoder)->module->num_##name, &(decoder)->cap_##name, (more), sizeof *(decoder)->module->name) || \
     wr_reader_fail(&(decoder)->reader, WR_ERROR_MEMORY, (decoder)->reader.p, "no memory for the module's " #name))
/* The same for one item at a time. */
#define decoder_push(decoder, name, ...) \
    (((decoder)->module->num_##name < (decoder)->cap_##name || decoder_room(decoder, name, 1)) && \
     ((decoder)->module->name[(decoder)->module->num_##name++] = (__VA_ARGS__), true))

bool wr_decode_type_section(WasmDecoder *decoder);
/* An expression up to its `end` (when verifying: to the end of the bytes), of type `type` or a subtype. Functions that it refers to are marked as escaping. */
bool wr_decode_const(WasmDecoder *decoder, ValType type, WasmConst *out_const);
/* Never fails: a malformed name section is ignored from where it goes wrong. */
void wr_decode_names(WasmDecoder *decoder, const uint8_t *bytes, const uint8_t *end);

/* Marks a function whose address can be taken. */
static inline void decoder_escape(WasmDecoder *decoder, uint32_t func) { decoder->module->funcs[func].escape_index = 0; }

#endif
