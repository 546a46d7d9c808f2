/* Shared by the files of the validator: validate.c (the loop over instructions, control flow, numbers and memory) and validate_refs.c (tables, references,
 * objects, exceptions). The algorithm is that of the specification's appendix: a stack of operand types, a stack of control frames, and a frame that is
 * polymorphic after an unconditional branch. */
#ifndef WR_WASM_VALIDATOR_H
#define WR_WASM_VALIDATOR_H

#include "wasm/checked.h"
#include "wasm/gather.h"
#include "wasm/validate.h"

typedef enum WasmFrameKind { WASM_FRAME_FUNC, WASM_FRAME_BLOCK, WASM_FRAME_LOOP, WASM_FRAME_IF, WASM_FRAME_ELSE, WASM_FRAME_TRY_TABLE } WasmFrameKind;

/* The types of a block or label. Those of a single value lie in the frame itself, which may move: hence the copy. */
typedef struct WasmTypeList {
    const ValType *types; /* NULL: `single` */
    uint32_t count;
    ValType single;
} WasmTypeList;

typedef struct WasmFrame {
    uint32_t height;      /* operands below it */
    uint32_t num_inits;   /* locals that were initialized outside of it: into WasmValidateScratch.inits */
    uint8_t kind;         /* WasmFrameKind */
    bool unreachable;     /* missing operands are of any type */
    WasmTypeList params, results;
} WasmFrame;

/* What the loop does at a first byte: an instruction of its own, or a shape that many have. Taken from their rows. */
enum { VALIDATE_BINARY = WASM_OP_COUNT, VALIDATE_UNARY, VALIDATE_LOAD, VALIDATE_STORE };
typedef struct ValidateOp {
    uint16_t key;             /* WasmOp or VALIDATE_* */
    uint16_t op;
    uint8_t first, second;    /* operands' types */
    uint8_t result;
    uint8_t align_log2;
} ValidateOp;

struct WasmValidateScratch {
    ValType *operands; uint32_t cap_operands;
    WasmFrame *frames; uint32_t cap_frames;
    ValType *locals; uint32_t cap_locals;      /* when nobody gathers */
    uint8_t *is_init; uint32_t cap_is_init;    /* by local; only for functions with locals that have no default value */
    uint32_t *inits; uint32_t cap_inits;       /* which of them were set, in order */
    uint64_t ops_features; ValidateOp ops[256]; /* by first byte, for these features */
};

typedef struct WasmValidator {
    WasmReader reader;
    const WasmModule *module;
    const uint8_t *at;     /* the instruction being validated: where errors are */
    ValType *top;          /* behind the last operand */
    ValType *base;         /* of the innermost frame */
    ValType *high;         /* the highest that `top` was between instructions */
    ValType *limit;        /* end of the room, less what one instruction of fixed arity pushes */
    uint32_t num_frames;
    uint32_t num_locals;
    const ValType *locals;
    uint32_t num_inits;
    bool track_inits;
    uint32_t max_frames, max_operands;
    WasmFuncInfo *info;    /* NULL: nobody gathers */
    WasmValidateScratch *scratch;
} WasmValidator;

/* Room for `more` operands; moves the stack. */
bool validate_reserve(WasmValidator *v, uint32_t more);
bool validate_pop(WasmValidator *v, ValType want, ValType *out_found);
/* Any reference, or bottom. */
bool validate_pop_ref(WasmValidator *v, ValType *out_found);
bool validate_push(WasmValidator *v, ValType type);
bool validate_pop_list(WasmValidator *v, const ValType *types, uint32_t count);
bool validate_push_list(WasmValidator *v, const ValType *types, uint32_t count);
void validate_unreachable(WasmValidator *v);
bool validate_label(WasmValidator *v, uint32_t *out_depth, const WasmTypeList **out_types);
bool validate_block(WasmValidator *v, WasmFrameKind kind);
bool validate_block_type(WasmValidator *v, WasmTypeList *out_params, WasmTypeList *out_results);
bool validate_frame_push(WasmValidator *v, WasmFrameKind kind, const WasmTypeList *params, const WasmTypeList *results);
bool validate_call_type(WasmValidator *v, const WasmFuncType *type, bool is_tail_call);
/* An index immediate below `count`. */
bool validate_index(WasmValidator *v, uint32_t count, uint32_t *out_index, const char *what);
/* Instructions on tables, references, objects and exceptions. */
bool validate_reference_op(WasmValidator *v, WasmOp op);

static inline const ValType *validate_types(const WasmTypeList *list) { return list->types ? list->types : &list->single; }
static inline const WasmTypeList *validate_label_types(const WasmFrame *frame) { return frame->kind == WASM_FRAME_LOOP ? &frame->params : &frame->results; }
static inline ValType validate_table_address(const WasmTable *table) { return table->limits.flags & WASM_LIMITS_64 ? WR_VALTYPE_I64 : WR_VALTYPE_I32; }
#define validate_fail(v, kind, ...) wr_reader_fail(&(v)->reader, kind, (v)->at, __VA_ARGS__)

#endif
