/* The validator's loop: one instruction after the other over a stack of types, calling the compiler's gathering hooks as it goes.
 *
 * The common instruction costs a few nanoseconds: position and stack top live in registers, operands are compared with the instruction's row, and
 * everything else (polymorphic stacks, subtypes, long integers, errors) is a call that saves and reloads them. */
#include "wasm/validator.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "wasm/reader.h"

enum { OP_PUSHES = 8 }; /* more than any instruction of fixed arity pushes */

WasmValidateScratch *wr_validate_scratch_new(void) { return calloc(1, sizeof(WasmValidateScratch)); }

void wr_validate_scratch_free(WasmValidateScratch *scratch)
{
    if (!scratch) return;
    free(scratch->operands);
    free(scratch->frames);
    free(scratch->locals);
    free(scratch->is_init);
    free(scratch->inits);
    free(scratch);
}

#define SCRATCH_ROOM(v, array, want) \
    (wr_array_reserve((void **)&(v)->scratch->array, 0, &(v)->scratch->cap_##array, (want), sizeof *(v)->scratch->array) || \
     validate_fail(v, WR_ERROR_MEMORY, "no memory for validating a function"))

/* ---- operands ----------------------------------------------------------------------------------------------------------------------------------- */

bool validate_reserve(WasmValidator *v, uint32_t more)
{
    WasmValidateScratch *s = v->scratch;
    uint32_t height = (uint32_t)(v->top - s->operands), base = (uint32_t)(v->base - s->operands);
    if (height + more > WR_LIMIT_OPERAND_DEPTH) return validate_fail(v, WR_ERROR_LIMIT, "operand stack too deep: the limit OPERAND_DEPTH is %u", WR_LIMIT_OPERAND_DEPTH);
    if (!wr_array_reserve((void **)&s->operands, height, &s->cap_operands, more + OP_PUSHES, sizeof *s->operands)) return validate_fail(v, WR_ERROR_MEMORY, "no memory for validating a function");
    v->top = s->operands + height;
    v->base = s->operands + base;
    v->high = s->operands + v->max_operands;
    uint32_t room = s->cap_operands - OP_PUSHES;
    v->limit = s->operands + (room < WR_LIMIT_OPERAND_DEPTH ? room : WR_LIMIT_OPERAND_DEPTH);
    return true;
}

static WasmFrame *validate_frame(WasmValidator *v) { return &v->scratch->frames[v->num_frames - 1]; }

static bool validate_mismatch(WasmValidator *v, ValType want, ValType found)
{
    WrVtText want_text, found_text;
    return validate_fail(v, WR_ERROR_VALIDATION, "type mismatch: expected %s, found %s", wr_vt_text(want, &want_text), wr_vt_text(found, &found_text));
}

static bool validate_missing(WasmValidator *v, ValType want)
{
    WrVtText text;
    return validate_fail(v, WR_ERROR_VALIDATION, "type mismatch: expected %s, found no operand", wr_vt_text(want, &text));
}

bool validate_pop(WasmValidator *v, ValType want, ValType *out_found)
{
    if (v->top == v->base) {
        if (!validate_frame(v)->unreachable) return validate_missing(v, want);
        if (out_found) *out_found = WR_VALTYPE_BOTTOM;
        return true;
    }
    ValType found = *--v->top;
    if (out_found) *out_found = found;
    return want == WR_VALTYPE_BOTTOM || wr_vt_matches(v->module, found, want) || validate_mismatch(v, want, found);
}

bool validate_pop_ref(WasmValidator *v, ValType *out_found)
{
    WrVtText text;
    if (!validate_pop(v, WR_VALTYPE_BOTTOM, out_found)) return false;
    return *out_found == WR_VALTYPE_BOTTOM || wr_vt_is_ref(*out_found) ||
           validate_fail(v, WR_ERROR_VALIDATION, "type mismatch: expected a reference, found %s", wr_vt_text(*out_found, &text));
}

bool validate_push(WasmValidator *v, ValType type)
{
    if (v->top >= v->limit && !validate_reserve(v, 1)) return false;
    *v->top++ = type;
    return true;
}

bool validate_pop_list(WasmValidator *v, const ValType *types, uint32_t count)
{
    if (!count) return true;
    if ((size_t)(v->top - v->base) >= count && !memcmp(v->top - count, types, count * sizeof *types)) {
        v->top -= count;
        return true;
    }
    while (count--) {
        if (v->top == v->base && validate_frame(v)->unreachable) return true;
        if (!validate_pop(v, types[count], NULL)) return false;
    }
    return true;
}

bool validate_push_list(WasmValidator *v, const ValType *types, uint32_t count)
{
    if (!count) return true;
    if ((size_t)(v->limit - v->top) < count && !validate_reserve(v, count)) return false;
    memcpy(v->top, types, count * sizeof *types);
    v->top += count;
    return true;
}

void validate_unreachable(WasmValidator *v)
{
    if (v->info) v->info->head = false; /* what follows is not reached */
    v->top = v->base;
    validate_frame(v)->unreachable = true;
}

/* Whether the operands fit `types`, leaving them. */
static bool validate_peek_list(WasmValidator *v, const ValType *types, uint32_t count)
{
    ValType *top = v->top;
    bool fits = validate_pop_list(v, types, count);
    v->top = top;
    return fits;
}

/* ---- control ------------------------------------------------------------------------------------------------------------------------------------ */

bool validate_index(WasmValidator *v, uint32_t count, uint32_t *out_index, const char *what)
{
    const uint8_t *at = v->reader.p;
    if (!wr_reader_u32(&v->reader, out_index, what)) return false;
    return *out_index < count || wr_reader_fail(&v->reader, WR_ERROR_VALIDATION, at, "unknown %s %u, expected an index below %u", what, *out_index, count);
}

bool validate_block_type(WasmValidator *v, WasmTypeList *out_params, WasmTypeList *out_results)
{
    WasmReader *r = &v->reader;
    const uint8_t *at = r->p;
    ValType type;
    int64_t index;
    *out_params = *out_results = (WasmTypeList){0};
    if (at < r->end && *at == 0x40) {
        r->p++;
        return true;
    }
    if (at < r->end && *at > 0x40 && *at < 0x80) { /* one byte of a negative number: a value type */
        if (!wr_reader_valtype(r, &type, "a block type")) return false;
        *out_results = (WasmTypeList){.count = 1, .single = type};
        return true;
    }
    if (!wr_reader_signed(r, 33, &index, "a block type")) return false;
    if (index < 0) return wr_reader_fail(r, WR_ERROR_DECODE, at, "malformed block type, expected a value type or a type index");
    if (!wr_reader_need(r, WASM_FEATURE_BIT_MULTI_VALUE, at, "a block of a function type")) return false;
    if (index >= v->module->num_types || v->module->types[index].kind != WASM_TYPE_FUNC)
        return wr_reader_fail(r, WR_ERROR_VALIDATION, at, "unknown type %lld, expected a function type for a block", (long long)index);
    const WasmFuncType *func = &v->module->types[index].func;
    *out_params = (WasmTypeList){.types = v->module->valtypes + func->params, .count = func->num_params};
    *out_results = (WasmTypeList){.types = v->module->valtypes + func->results, .count = func->num_results};
    return true;
}

bool validate_frame_push(WasmValidator *v, WasmFrameKind kind, const WasmTypeList *params, const WasmTypeList *results)
{
    WasmValidateScratch *s = v->scratch;
    if (v->num_frames >= WR_LIMIT_BLOCK_DEPTH) return validate_fail(v, WR_ERROR_LIMIT, "blocks nested too deeply: the limit BLOCK_DEPTH is %u", WR_LIMIT_BLOCK_DEPTH);
    if (v->num_frames >= s->cap_frames && !SCRATCH_ROOM(v, frames, s->cap_frames ? s->cap_frames * 2 : 64)) return false;
    if (v->top >= v->limit && !validate_reserve(v, 1)) return false;
    s->frames[v->num_frames++] = (WasmFrame){
        .height = (uint32_t)(v->top - s->operands), .num_inits = v->num_inits, .kind = (uint8_t)kind, .params = *params, .results = *results};
    v->base = v->top;
    if (v->num_frames > v->max_frames) v->max_frames = v->num_frames;
    return validate_push_list(v, validate_types(params), params->count);
}

static void validate_gather_block(WasmValidator *v, uint32_t kind)
{
    if (v->info) wr_gather_block(v->info, kind);
}

bool validate_block(WasmValidator *v, WasmFrameKind kind)
{
    WasmTypeList params, results;
    if (!validate_block_type(v, &params, &results)) return false;
    if (kind == WASM_FRAME_IF && !validate_pop(v, WR_VALTYPE_I32, NULL)) return false;
    if (params.count && !validate_pop_list(v, validate_types(&params), params.count)) return false;
    validate_gather_block(v, kind == WASM_FRAME_LOOP ? WASM_GATHER_LOOP : kind == WASM_FRAME_IF ? WASM_GATHER_IF : WASM_GATHER_BLOCK);
    return validate_frame_push(v, kind, &params, &results);
}

static void validate_forget_inits(WasmValidator *v, uint32_t num_inits)
{
    while (v->num_inits > num_inits) v->scratch->is_init[v->scratch->inits[--v->num_inits]] = 0;
}

/* The operands of the innermost frame are exactly its results; drops them. */
static bool validate_frame_results(WasmValidator *v)
{
    const WasmFrame *frame = validate_frame(v);
    if (!validate_pop_list(v, validate_types(&frame->results), frame->results.count)) return false;
    return v->top == v->base || validate_fail(v, WR_ERROR_VALIDATION, "type mismatch: values remaining on stack at end of block: %u more than its %u results",
                                              (uint32_t)(v->top - v->base), frame->results.count);
}

static bool validate_else(WasmValidator *v)
{
    WasmFrame *frame = validate_frame(v);
    if (frame->kind != WASM_FRAME_IF) return validate_fail(v, WR_ERROR_DECODE, "else without an if, expected an instruction or end");
    if (!validate_frame_results(v)) return false;
    frame->kind = WASM_FRAME_ELSE;
    frame->unreachable = false;
    validate_forget_inits(v, frame->num_inits);
    if (v->info) wr_gather_else(v->info);
    return validate_push_list(v, validate_types(&frame->params), frame->params.count);
}

static bool validate_end(WasmValidator *v)
{
    if (!validate_frame_results(v)) return false;
    const WasmFrame *frame = validate_frame(v);
    if (frame->kind == WASM_FRAME_IF) { /* without an else, parameters fall through */
        bool fits = frame->params.count == frame->results.count;
        for (uint32_t i = 0; fits && i < frame->params.count; i++) fits = wr_vt_matches(v->module, validate_types(&frame->params)[i], validate_types(&frame->results)[i]);
        if (!fits) return validate_fail(v, WR_ERROR_VALIDATION, "type mismatch: if without else must have the same parameter and result types");
    }
    validate_forget_inits(v, frame->num_inits);
    if (frame->kind == WASM_FRAME_FUNC) {
        v->num_frames--;
        return true;
    }
    if (v->info) wr_gather_end(v->info, (uint32_t)(v->at - v->reader.bytes));
    WasmTypeList results = frame->results;
    v->num_frames--;
    v->base = v->scratch->operands + validate_frame(v)->height;
    return validate_push_list(v, validate_types(&results), results.count);
}

bool validate_label(WasmValidator *v, uint32_t *out_depth, const WasmTypeList **out_types)
{
    if (!validate_index(v, v->num_frames, out_depth, "label")) return false;
    *out_types = validate_label_types(&v->scratch->frames[v->num_frames - 1 - *out_depth]);
    if (v->info) wr_gather_branch(v->info, *out_depth);
    return true;
}

static bool validate_br(WasmValidator *v)
{
    uint32_t depth;
    const WasmTypeList *types;
    if (!validate_label(v, &depth, &types) || !validate_pop_list(v, validate_types(types), types->count)) return false;
    validate_unreachable(v);
    return true;
}

static bool validate_br_if(WasmValidator *v)
{
    uint32_t depth;
    const WasmTypeList *types;
    if (!validate_label(v, &depth, &types) || !validate_pop(v, WR_VALTYPE_I32, NULL)) return false;
    return !types->count || (validate_pop_list(v, validate_types(types), types->count) && validate_push_list(v, validate_types(types), types->count));
}

static bool validate_br_table(WasmValidator *v)
{
    uint32_t count, depth, arity = 0, last_depth = UINT32_MAX;
    const WasmTypeList *types;
    if (!wr_reader_count(&v->reader, WR_LIMIT_BR_TABLE_TARGETS, "BR_TABLE_TARGETS", 1, &count, "the number of targets of a br_table") || !validate_pop(v, WR_VALTYPE_I32, NULL)) return false;
    for (uint32_t i = 0; i <= count; i++) {
        if (!validate_label(v, &depth, &types)) return false;
        if (depth == last_depth) continue;
        if (i && types->count != arity)
            return validate_fail(v, WR_ERROR_VALIDATION, "type mismatch: br_table target %u takes %u operands, expected %u as those before", i, types->count, arity);
        arity = types->count;
        last_depth = depth;
        if (arity && !validate_peek_list(v, validate_types(types), arity)) return false;
    }
    validate_unreachable(v);
    return true;
}

static bool validate_return(WasmValidator *v)
{
    const WasmTypeList *results = &v->scratch->frames[0].results;
    if (!validate_pop_list(v, validate_types(results), results->count)) return false;
    validate_unreachable(v);
    return true;
}

bool validate_call_type(WasmValidator *v, const WasmFuncType *type, bool is_tail_call)
{
    const WasmModule *m = v->module;
    if (v->info) wr_gather_call(v->info);
    if (!validate_pop_list(v, m->valtypes + type->params, type->num_params)) return false;
    if (!is_tail_call) return validate_push_list(v, m->valtypes + type->results, type->num_results);
    const WasmTypeList *results = &v->scratch->frames[0].results;
    bool fits = results->count == type->num_results;
    for (uint32_t i = 0; fits && i < results->count; i++) fits = wr_vt_matches(m, m->valtypes[type->results + i], validate_types(results)[i]);
    if (!fits) return validate_fail(v, WR_ERROR_VALIDATION, "type mismatch: a tail call must return what the function returns");
    validate_unreachable(v);
    return true;
}

static bool validate_call(WasmValidator *v, bool is_tail_call)
{
    uint32_t func;
    return validate_index(v, v->module->num_funcs, &func, "function") && validate_call_type(v, wr_module_func_type(v->module, func), is_tail_call);
}

static bool validate_call_indirect(WasmValidator *v, bool is_tail_call)
{
    const WasmModule *m = v->module;
    const uint8_t *table_at;
    uint32_t type, table;
    if (!validate_index(v, m->num_types, &type, "type")) return false;
    if (m->types[type].kind != WASM_TYPE_FUNC) return validate_fail(v, WR_ERROR_VALIDATION, "type %u is not a function type", type);
    table_at = v->reader.p;
    if (!validate_index(v, m->num_tables, &table, "table")) return false;
    if (v->reader.p != table_at + 1 && !wr_reader_need(&v->reader, WASM_FEATURE_BIT_REFERENCE_TYPES, table_at, "a table index of more than a zero byte")) return false;
    if (!wr_vt_matches(m, m->tables[table].element, WR_VALTYPE_FUNCREF)) return validate_fail(v, WR_ERROR_VALIDATION, "type mismatch: call_indirect through table %u, expected a table of functions", table);
    return validate_pop(v, validate_table_address(&m->tables[table]), NULL) && validate_call_type(v, &m->types[type].func, is_tail_call);
}

/* ---- parametric, variables ------------------------------------------------------------------------------------------------------------------------ */

static bool validate_select(WasmValidator *v)
{
    ValType a, b;
    WrVtText text;
    if (!validate_pop(v, WR_VALTYPE_I32, NULL) || !validate_pop(v, WR_VALTYPE_BOTTOM, &b) || !validate_pop(v, WR_VALTYPE_BOTTOM, &a)) return false;
    if (wr_vt_is_ref(a) || wr_vt_is_ref(b))
        return validate_fail(v, WR_ERROR_VALIDATION, "type mismatch: select of %s needs its type annotated", wr_vt_text(wr_vt_is_ref(a) ? a : b, &text));
    if (a != b && a != WR_VALTYPE_BOTTOM && b != WR_VALTYPE_BOTTOM) return validate_mismatch(v, a, b);
    return validate_push(v, a == WR_VALTYPE_BOTTOM ? b : a);
}

static bool validate_select_typed(WasmValidator *v)
{
    uint32_t count;
    ValType type;
    if (!wr_reader_u32(&v->reader, &count, "the number of types of a select")) return false;
    if (count != 1) return validate_fail(v, WR_ERROR_VALIDATION, "invalid result arity: select of %u types, expected 1", count);
    if (!wr_reader_valtype(&v->reader, &type, "the type of a select")) return false;
    return validate_pop(v, WR_VALTYPE_I32, NULL) && validate_pop(v, type, NULL) && validate_pop(v, type, NULL) && validate_push(v, type);
}

/* Functions with locals that have no default value only. */
static bool validate_local_is_init(WasmValidator *v, uint32_t local)
{
    return v->scratch->is_init[local] || validate_fail(v, WR_ERROR_VALIDATION, "uninitialized local %u: it has no default value and was not set", local);
}

static void validate_local_set_init(WasmValidator *v, uint32_t local)
{
    if (v->scratch->is_init[local]) return;
    v->scratch->is_init[local] = 1;
    v->scratch->inits[v->num_inits++] = local;
}

static bool validate_global(WasmValidator *v, bool is_set)
{
    uint32_t index;
    if (!validate_index(v, v->module->num_globals, &index, "global")) return false;
    const WasmGlobal *global = &v->module->globals[index];
    if (!is_set) return validate_push(v, global->type);
    if (!global->is_mutable) return validate_fail(v, WR_ERROR_VALIDATION, "immutable global %u, expected a mutable global", index);
    return validate_pop(v, global->type, NULL);
}

/* ---- memory, vectors ------------------------------------------------------------------------------------------------------------------------------ */

static ValType validate_memory_address(const WasmModule *m, uint32_t memory) { return m->memories[memory].limits.flags & WASM_LIMITS_64 ? WR_VALTYPE_I64 : WR_VALTYPE_I32; }

static bool validate_memory_index(WasmValidator *v, uint32_t *out_memory)
{
    const uint8_t *at = v->reader.p;
    if (!wr_reader_u32(&v->reader, out_memory, "a memory index")) return false;
    if (v->reader.p != at + 1 || *at) /* before multi-memory this was a zero byte */
        if (!wr_reader_need(&v->reader, WASM_FEATURE_BIT_MULTI_MEMORY, at, "a memory index")) return false;
    return *out_memory < v->module->num_memories || wr_reader_fail(&v->reader, WR_ERROR_VALIDATION, at, "unknown memory %u, expected an index below %u", *out_memory, v->module->num_memories);
}

static bool validate_memarg(WasmValidator *v, const WasmOpInfo *info, bool is_atomic, ValType *out_address)
{
    WasmReader *r = &v->reader;
    const uint8_t *at = r->p;
    uint32_t flags, memory = 0;
    uint64_t offset;
    if (!wr_reader_u32(r, &flags, "an alignment")) return false;
    if (flags >= WASM_MEMARG_HAS_MEMORY * 2 || (flags & WASM_MEMARG_HAS_MEMORY && !(r->features & WASM_FEATURE_MULTI_MEMORY)))
        return wr_reader_fail(r, WR_ERROR_DECODE, at, "malformed memop flags 0x%x, expected an alignment", flags);
    if (flags & WASM_MEMARG_HAS_MEMORY) {
        if (!validate_memory_index(v, &memory)) return false;
    } else if (!v->module->num_memories) {
        return validate_fail(v, WR_ERROR_VALIDATION, "unknown memory 0: the module has no memory");
    }
    flags &= ~WASM_MEMARG_HAS_MEMORY;
    if (flags > info->align_log2)
        return wr_reader_fail(r, WR_ERROR_VALIDATION, at, "alignment must not be larger than natural: 2^%u, expected at most 2^%u", flags, info->align_log2);
    if (is_atomic && flags != info->align_log2) return wr_reader_fail(r, WR_ERROR_VALIDATION, at, "atomic alignment must be natural: 2^%u, expected 2^%u", flags, info->align_log2);
    at = r->p;
    if (!wr_reader_u64(r, &offset, "an offset")) return false;
    *out_address = validate_memory_address(v->module, memory);
    return *out_address == WR_VALTYPE_I64 || offset <= UINT32_MAX || wr_reader_fail(r, WR_ERROR_DECODE, at, "offset out of range: %llu in a 32-bit memory", (unsigned long long)offset);
}

static bool validate_lane(WasmValidator *v, const WasmOpInfo *info)
{
    const uint8_t *at = v->reader.p;
    uint8_t lane;
    if (!wr_reader_byte(&v->reader, &lane, "a lane")) return false;
    return lane < 16 >> info->align_log2 || wr_reader_fail(&v->reader, WR_ERROR_VALIDATION, at, "invalid lane index %u, expected one below %u", lane, 16 >> info->align_log2);
}

static bool validate_data(WasmValidator *v, uint32_t data)
{
    const uint32_t count = v->module->num_datas;
    if (!v->module->has_data_count) return validate_fail(v, WR_ERROR_DECODE, "data count section required");
    return data < count || validate_fail(v, WR_ERROR_VALIDATION, "unknown data segment %u, expected an index below %u", data, count);
}

static bool validate_memory_copy(WasmValidator *v)
{
    uint32_t to, from;
    if (!validate_memory_index(v, &to) || !validate_memory_index(v, &from)) return false;
    ValType to_address = validate_memory_address(v->module, to), from_address = validate_memory_address(v->module, from);
    ValType count = to_address == WR_VALTYPE_I64 ? from_address : WR_VALTYPE_I32; /* the narrower */
    if (v->info) wr_gather_call(v->info);
    return validate_pop(v, count, NULL) && validate_pop(v, from_address, NULL) && validate_pop(v, to_address, NULL);
}

/* The immediates of an instruction that is typed by its row. */
static bool validate_imm(WasmValidator *v, WasmOp op, const WasmOpInfo *info, ValType *out_address)
{
    WasmReader *r = &v->reader;
    const uint8_t *bytes;
    int64_t value;
    uint32_t index, data;
    switch ((WasmImm)info->imm) {
    case WASM_IMM_NONE: return true;
    case WASM_IMM_I32: return wr_reader_signed(r, 32, &value, "an i32");
    case WASM_IMM_I64: return wr_reader_signed(r, 64, &value, "an i64");
    case WASM_IMM_F32: return wr_reader_bytes(r, 4, &bytes, "an f32");
    case WASM_IMM_F64: return wr_reader_bytes(r, 8, &bytes, "an f64");
    case WASM_IMM_V128: return wr_reader_bytes(r, 16, &bytes, "a v128");
    case WASM_IMM_MEMARG:
        if (op == WASM_OP_MEMORY_ATOMIC_NOTIFY || op == WASM_OP_MEMORY_ATOMIC_WAIT32 || op == WASM_OP_MEMORY_ATOMIC_WAIT64)
            if (v->info) wr_gather_call(v->info);
        return validate_memarg(v, info, info->feature_bit == WASM_FEATURE_BIT_THREADS, out_address);
    case WASM_IMM_MEMARG_LANE: return validate_memarg(v, info, false, out_address) && validate_lane(v, info);
    case WASM_IMM_LANE: return validate_lane(v, info);
    case WASM_IMM_SHUFFLE:
        if (!wr_reader_bytes(r, 16, &bytes, "16 lanes")) return false;
        for (int i = 0; i < 16; i++)
            if (bytes[i] >= 32) return wr_reader_fail(r, WR_ERROR_VALIDATION, bytes + i, "invalid lane index %u, expected one below 32", bytes[i]);
        return true;
    case WASM_IMM_ZERO:
        if (!wr_reader_bytes(r, 1, &bytes, "a zero byte")) return false;
        return !*bytes || wr_reader_fail(r, WR_ERROR_DECODE, bytes, "zero byte expected, found 0x%02x", *bytes);
    case WASM_IMM_DATA_MEMORY:
        if (!wr_reader_u32(r, &data, "the index of a data segment")) return false;
        if (v->info) wr_gather_call(v->info);
        if (!validate_memory_index(v, &index) || !validate_data(v, data)) return false; /* as the rule has them */
        *out_address = validate_memory_address(v->module, index);
        return true;
    case WASM_IMM_MEMORY:
        if (op != WASM_OP_MEMORY_SIZE && v->info) wr_gather_call(v->info);
        if (!validate_memory_index(v, &index)) return false;
        *out_address = validate_memory_address(v->module, index);
        return true;
    case WASM_IMM_DATA: return wr_reader_u32(r, &data, "the index of a data segment") && validate_data(v, data);
    case WASM_IMM_ELEM: return validate_index(v, v->module->num_elems, &index, "elem segment");
    default: return validate_reference_op(v, op); /* no row of letters has another kind */
    }
}

/* Any instruction that its row types, by the long way. */
static bool validate_row(WasmValidator *v, WasmOp op)
{
    const WasmOpInfo *info = &wr_wasm_ops[op];
    ValType address = WR_VALTYPE_I32;
    if (!validate_imm(v, op, info, &address)) return false;
    for (uint32_t i = info->num_params; i--;)
        if (!validate_pop(v, info->param_kinds[i] == WASM_KIND_ADDRESS ? address : info->param_kinds[i], NULL)) return false;
    for (uint32_t i = 0; i < info->num_results; i++)
        if (!validate_push(v, info->result_kinds[i] == WASM_KIND_ADDRESS ? address : info->result_kinds[i])) return false;
    return true;
}

/* ---- the loop ------------------------------------------------------------------------------------------------------------------------------------- */

/* Calls something that works on the validator's own position and stack. */
#define CALL(expression) \
    do { \
        v->reader.p = p; \
        v->top = top; \
        if (!(expression)) return false; \
        p = v->reader.p; \
        top = v->top; \
        base = v->base; \
    } while (0)
#define POPS_1(type) (top != base && top[-1] == (type))
/* Alignment and flags of an access to memory 0, which has 32-bit addresses. */
#define PLAIN_MEMARG (plain_memory && p < end && *p <= row->align_log2)
/* An index immediate: one byte nearly always. */
#define INDEX(out, what) \
    do { \
        if (__builtin_expect(p < end && *p < 0x80, 1)) out = *p++; \
        else CALL(wr_reader_u32_slow(&v->reader, &(out), what)); \
    } while (0)

/* The operands stand higher than ever in this function: this happens a few times in each, so that the loop has one comparison for room and maximum. */
static bool validate_raise(WasmValidator *v)
{
    if (v->top >= v->limit && !validate_reserve(v, 1)) return false;
    v->max_operands = (uint32_t)(v->top - v->scratch->operands);
    v->high = v->top;
    return true;
}

static ValidateOp validate_shape(WasmOp op)
{
    const WasmOpInfo *info = &wr_wasm_ops[op];
    ValidateOp row = {.key = (uint16_t)op, .op = (uint16_t)op, .first = info->param_kinds[0], .second = info->param_kinds[1], .result = info->result_kinds[0], .align_log2 = info->align_log2};
    if (info->special) return row;
    if (info->imm == WASM_IMM_NONE && info->num_results == 1) {
        if (info->num_params == 2) row.key = VALIDATE_BINARY;
        if (info->num_params == 1) row.key = VALIDATE_UNARY;
    } else if (info->imm == WASM_IMM_MEMARG) {
        if (info->num_params == 1 && info->num_results == 1) row.key = VALIDATE_LOAD;
        if (info->num_params == 2 && info->num_results == 0) row.key = VALIDATE_STORE;
    }
    return row;
}

/* One-byte opcodes of the features that are on. */
static const ValidateOp *validate_ops(WasmValidator *v)
{
    WasmValidateScratch *s = v->scratch;
    if (s->ops_features == v->reader.features) return s->ops; /* never 0: MVP is always on */
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint16_t op = wr_wasm_op_bytes[byte];
        s->ops[byte] = validate_shape(v->reader.features >> wr_wasm_ops[op].feature_bit & 1 ? (WasmOp)op : WASM_OP_INVALID);
    }
    s->ops_features = v->reader.features;
    return s->ops;
}

/* Bytes of the LEB128 integer at `p` if it has at most `max` (and cannot be too large then), else 0. */
static inline uint32_t validate_short_leb(const uint8_t *p, const uint8_t *end, uint32_t max)
{
    for (uint32_t i = 0; i < max && p + i < end; i++)
        if (p[i] < 0x80) return i + 1;
    return 0;
}
enum { SHORT_32 = 4, SHORT_64 = 9 };

static bool validate_code(WasmValidator *v)
{
    const uint8_t *const end = v->reader.end;
    const ValidateOp *const ops = validate_ops(v);
    const ValType *const locals = v->locals;
    const WasmModule *const m = v->module;
    WasmFuncInfo *const gather = v->info;
    const bool plain_memory = m->num_memories && !(m->memories[0].limits.flags & WASM_LIMITS_64);
    const uint8_t *p = v->reader.p;
    ValType *top = v->top, *base = v->base;
    uint32_t index, length;
    for (;;) {
        v->at = p;
        if (__builtin_expect(top > v->high, 0)) CALL(validate_raise(v));
        if (p >= end) return validate_fail(v, WR_ERROR_DECODE, "unexpected end of section or function: END opcode expected at the end of a function body");
        const ValidateOp *row = &ops[*p];
        uint32_t key = row->key;
        if (__builtin_expect(key != WASM_OP_INVALID, 1)) {
            p++;
        } else {
            WasmOp prefixed;
            CALL(wr_reader_op(&v->reader, &prefixed));
            key = prefixed;
        }
        switch (key) {
        case VALIDATE_BINARY:
            if (__builtin_expect(top - base >= 2 && top[-1] == row->second && top[-2] == row->first, 1)) {
                top--;
                top[-1] = row->result;
            } else {
                CALL(validate_row(v, (WasmOp)row->op));
            }
            break;
        case VALIDATE_UNARY:
            if (__builtin_expect(POPS_1(row->first), 1)) top[-1] = row->result;
            else CALL(validate_row(v, (WasmOp)row->op));
            break;
        case VALIDATE_LOAD: /* of memory 0, with a short offset */
            if (__builtin_expect(PLAIN_MEMARG && (length = validate_short_leb(p + 1, end, SHORT_32)) != 0 && POPS_1(WR_VALTYPE_I32), 1)) {
                p += 1 + length;
                top[-1] = row->result;
            } else {
                CALL(validate_row(v, (WasmOp)row->op));
            }
            break;
        case VALIDATE_STORE:
            if (__builtin_expect(PLAIN_MEMARG && (length = validate_short_leb(p + 1, end, SHORT_32)) != 0 && top - base >= 2 && top[-1] == row->second && top[-2] == WR_VALTYPE_I32, 1)) {
                p += 1 + length;
                top -= 2;
            } else {
                CALL(validate_row(v, (WasmOp)row->op));
            }
            break;
        case WASM_OP_NOP: break;
        case WASM_OP_UNREACHABLE: CALL((validate_unreachable(v), true)); break;
        case WASM_OP_BLOCK: CALL(validate_block(v, WASM_FRAME_BLOCK)); break;
        case WASM_OP_LOOP: CALL(validate_block(v, WASM_FRAME_LOOP)); break;
        case WASM_OP_IF: CALL(validate_block(v, WASM_FRAME_IF)); break;
        case WASM_OP_ELSE: CALL(validate_else(v)); break;
        case WASM_OP_END:
            CALL(validate_end(v));
            if (v->num_frames) break;
            return p == end || wr_reader_fail(&v->reader, WR_ERROR_DECODE, p, "END opcode expected: operators remaining after the end of the function");
        case WASM_OP_BR: CALL(validate_br(v)); break;
        case WASM_OP_BR_IF: CALL(validate_br_if(v)); break;
        case WASM_OP_BR_TABLE: CALL(validate_br_table(v)); break;
        case WASM_OP_RETURN: CALL(validate_return(v)); break;
        case WASM_OP_CALL: CALL(validate_call(v, false)); break;
        case WASM_OP_RETURN_CALL: CALL(validate_call(v, true)); break;
        case WASM_OP_CALL_INDIRECT: CALL(validate_call_indirect(v, false)); break;
        case WASM_OP_RETURN_CALL_INDIRECT: CALL(validate_call_indirect(v, true)); break;
        case WASM_OP_DROP:
            if (top != base) top--;
            else CALL(validate_pop(v, WR_VALTYPE_BOTTOM, NULL));
            break;
        case WASM_OP_SELECT: CALL(validate_select(v)); break;
        case WASM_OP_SELECT_T: CALL(validate_select_typed(v)); break;
        case WASM_OP_LOCAL_GET:
            INDEX(index, "a local index");
            if (__builtin_expect(index >= v->num_locals, 0)) return validate_fail(v, WR_ERROR_VALIDATION, "unknown local %u, expected an index below %u", index, v->num_locals);
            if (v->track_inits && !validate_local_is_init(v, index)) return false;
            if (gather) wr_gather_local_get(gather, index, (uint32_t)(v->at - v->reader.bytes));
            *top++ = locals[index];
            break;
        case WASM_OP_LOCAL_SET: case WASM_OP_LOCAL_TEE:
            INDEX(index, "a local index");
            if (__builtin_expect(index >= v->num_locals, 0)) return validate_fail(v, WR_ERROR_VALIDATION, "unknown local %u, expected an index below %u", index, v->num_locals);
            if (__builtin_expect(POPS_1(locals[index]), 1)) top--;
            else CALL(validate_pop(v, locals[index], NULL));
            if (v->track_inits) validate_local_set_init(v, index);
            if (gather) wr_gather_local_set(gather, index);
            if (key == WASM_OP_LOCAL_TEE) *top++ = locals[index];
            break;
        case WASM_OP_GLOBAL_GET: CALL(validate_global(v, false)); break;
        case WASM_OP_GLOBAL_SET: CALL(validate_global(v, true)); break;
        case WASM_OP_MEMORY_COPY: CALL(validate_memory_copy(v)); break;
        case WASM_OP_I32_CONST: case WASM_OP_I64_CONST:
            length = validate_short_leb(p, end, key == WASM_OP_I32_CONST ? SHORT_32 : SHORT_64);
            p += length;
            if (__builtin_expect(length != 0, 1)) *top++ = row->result;
            else CALL(validate_row(v, (WasmOp)key));
            break;
        default:
            if (wr_wasm_ops[key].special) CALL(validate_reference_op(v, (WasmOp)key));
            else CALL(validate_row(v, (WasmOp)key));
        }
    }
}

/* ---- a function ------------------------------------------------------------------------------------------------------------------------------------ */

/* Parameters, then the runs of locals in front of the code. */
static bool validate_locals(WasmValidator *v, const WasmFuncType *type)
{
    WasmReader *r = &v->reader;
    uint32_t runs, count = type->num_params;
    ValType *types, valtype;
    bool has_refs = false;
#define LOCALS_ROOM(want) \
    (v->info ? wr_func_info_reserve_locals(v->info, want) || validate_fail(v, WR_ERROR_MEMORY, "no memory for locals") : SCRATCH_ROOM(v, locals, want))
    if (!LOCALS_ROOM(count)) return false;
    types = v->info ? v->info->local_types : v->scratch->locals;
    if (count) memcpy(types, v->module->valtypes + type->params, count * sizeof *types);
    if (!wr_reader_count(r, WR_LIMIT_FUNCTION_LOCALS, "FUNCTION_LOCALS", 2, &runs, "the number of runs of locals")) return false;
    while (runs--) {
        uint32_t run;
        v->at = r->p;
        if (!wr_reader_u32(r, &run, "a number of locals")) return false;
        if (run > WR_LIMIT_FUNCTION_LOCALS - count) return validate_fail(v, WR_ERROR_LIMIT, "too many locals: the limit FUNCTION_LOCALS is %u", WR_LIMIT_FUNCTION_LOCALS);
        if (!wr_reader_valtype(r, &valtype, "the type of a local") || !LOCALS_ROOM(count + run)) return false;
#undef LOCALS_ROOM
        types = v->info ? v->info->local_types : v->scratch->locals;
        for (uint32_t i = 0; i < run; i++) types[count + i] = valtype;
        count += run;
        has_refs |= !wr_vt_defaultable(valtype);
    }
    v->locals = types;
    v->num_locals = count;
    if (!has_refs) return true;
    v->track_inits = true;
    if (!SCRATCH_ROOM(v, is_init, count) || !SCRATCH_ROOM(v, inits, count)) return false;
    for (uint32_t i = 0; i < count; i++) v->scratch->is_init[i] = i < type->num_params || wr_vt_defaultable(types[i]);
    return true;
}

static bool validate_body(WasmValidator *v, const WasmFuncType *type)
{
    const WasmTypeList none = {0}, results = {.types = v->module->valtypes + type->results, .count = type->num_results};
    if (!validate_locals(v, type)) return false;
    v->at = v->reader.p;
    if (!validate_reserve(v, 1) || !validate_frame_push(v, WASM_FRAME_FUNC, &none, &results)) return false;
    WasmFuncInfo *info = v->info;
    if (info) {
        info->num_locals = v->num_locals;
        info->num_params = type->num_params;
        info->code_start = (uint32_t)(v->reader.p - v->reader.bytes);
        wr_gather_begin(info);
        if (info->oom) return validate_fail(v, WR_ERROR_MEMORY, "no memory for validating a function");
    }
    if (!validate_code(v)) return false;
    if (info) {
        if (info->oom) return validate_fail(v, WR_ERROR_MEMORY, "no memory for validating a function");
        info->max_stack = v->max_operands;
        info->max_depth = v->max_frames;
    }
    return true;
}

bool wr_func_validate(const WasmModule *module, uint32_t func_index, WasmFuncInfo *info, WasmValidateScratch *scratch, WrError *error)
{
    const WasmFunc *func = &module->funcs[func_index];
    const uint8_t *body = module->bytes + func->body.offset;
    WasmValidator v = {
        .reader = {.bytes = module->bytes, .p = body, .end = body + func->body.length, .file_end = module->bytes + module->num_bytes, .module = module, .num_types = module->num_types,
                   .features = module->features, .error = error},
        .module = module,
        .at = body,
        .top = scratch->operands,
        .base = scratch->operands,
        .info = info,
        .scratch = scratch,
    };
    if (validate_body(&v, &module->types[func->type_index].func)) return true;
    if (error) error->func_index = func_index;
    return false;
}
