/* The slow half of the assembler: growth of its tables, fixups, constants, function ends. See asm.h for
 * the contract. */
#include "x64/asm.h"

#include <stdlib.h>

/* ---- life of an Asm ------------------------------------------------------------------------------------ */

static void asm_forget_function(Asm *as) {
    for (uint32_t i = 0; i < as->const_count; i++) { as->const_slots[as->constants[i].slot] = 0; }
    as->const_count = 0;
    as->label_count = 0;
    as->fixup_count = 0;
    as->pending_fixups = 0;
}

void wr_x64_asm_init(Asm *as, uint32_t cpu_features) {
    memset(as, 0, sizeof *as);
    wr_base_code_buffer_init(&as->code, X64_MAX_CODE_BYTES);
    as->cpu_features = cpu_features;
    as->spare_label = (X64LabelSlot){X64_UNBOUND, X64_NO_FIXUP};
    as->labels = &as->spare_label;
}

void wr_x64_asm_free(Asm *as) {
    uint32_t cpu_features = as->cpu_features;
    wr_base_code_buffer_free(&as->code);
    if (as->labels != &as->spare_label) { free(as->labels); }
    free(as->fixups);
    free(as->relocs);
    free(as->constants);
    free(as->const_slots);
    wr_x64_asm_init(as, cpu_features);
}

void wr_x64_asm_clear(Asm *as) {
    code_buffer_clear(&as->code);
    asm_forget_function(as);
    as->status = X64_OK;
    as->function_offset = 0;
    as->reloc_count = 0;
}

void wr_x64_fail(Asm *as, X64Status status) {
    bool our_bug = status == X64_SHORT_JUMP_FAR || status == X64_LABEL_UNBOUND;
    if (as->status != X64_OK || (our_bug && as->code.oom)) { return; }
    assert(!our_bug);
    as->status = status;
}

/* ---- tables -------------------------------------------------------------------------------------------- */

/* Doubles an array up to `max` entries. On failure the array stays as it was and the Asm has failed. */
static bool asm_grow(Asm *as, void **array, uint32_t *capacity, size_t entry_bytes, uint32_t first,
                     uint32_t max) {
    uint32_t wanted = *capacity ? *capacity * 2 : first;
    if (*capacity >= max) {
        wr_x64_fail(as, X64_TOO_LARGE);
        return false;
    }
    void *memory = realloc(*array, wanted * entry_bytes);
    if (!memory) {
        wr_x64_fail(as, X64_OUT_OF_MEMORY);
        return false;
    }
    *array = memory;
    *capacity = wanted;
    return true;
}

bool wr_x64_grow_labels(Asm *as) {
    void *array = as->label_capacity ? as->labels : NULL;
    if (!asm_grow(as, &array, &as->label_capacity, sizeof *as->labels, 256, X64_MAX_LABELS)) { return false; }
    as->labels = array;
    return true;
}

bool wr_x64_grow_fixups(Asm *as) {
    void *array = as->fixups;
    if (!asm_grow(as, &array, &as->fixup_capacity, sizeof *as->fixups, 256, X64_MAX_LABELS)) { return false; }
    as->fixups = array;
    return true;
}

void wr_x64_reloc_add(Asm *as, uint32_t offset, CodeRelocKind kind, uint32_t target, int32_t addend) {
    assert(kind < CODE_RELOC_KIND_COUNT);
    if (as->reloc_count == as->reloc_capacity) {
        void *array = as->relocs;
        if (!asm_grow(as, &array, &as->reloc_capacity, sizeof *as->relocs, 256, X64_MAX_RELOCS)) { return; }
        as->relocs = array;
    }
    as->relocs[as->reloc_count++] = (CodeReloc){offset, (uint32_t)kind, target, addend};
}

/* ---- labels -------------------------------------------------------------------------------------------- */

void wr_x64_label_resolve(Asm *as, X64Label label, uint32_t offset) {
    X64LabelSlot *slot = &as->labels[label.id];
    uint32_t next = slot->fixups;
    *slot = (X64LabelSlot){offset, X64_NO_FIXUP};
    if (x64_failed(as)) { return; }
    while (next != X64_NO_FIXUP) {
        X64Fixup fixup = as->fixups[next];
        uint32_t field = fixup.offset & ~X64_FIXUP_SHORT;
        uint8_t *at = as->code.start + field;
        if (fixup.offset & X64_FIXUP_SHORT) {
            uint32_t distance = offset - (field + 1);
            if (distance > 127) { wr_x64_fail(as, X64_SHORT_JUMP_FAR); }
            *at = (uint8_t)distance;
        } else {
            x64_store32(at, x64_load32(at) + offset);
        }
        as->pending_fixups--;
        next = fixup.next;
    }
}

/* ---- constants ----------------------------------------------------------------------------------------- */

static uint32_t const_hash(uint32_t bytes, uint64_t low, uint64_t high) {
    uint64_t hash = (low ^ (high * 0x9E3779B97F4A7C15u) ^ bytes) * 0xD6E8FEB86659FD93u;
    return (uint32_t)(hash >> 32);
}

/* First free slot of the hash. */
static void const_place(Asm *as, uint32_t index) {
    X64Constant *constant = &as->constants[index];
    uint32_t mask = as->const_slot_count - 1;
    uint32_t slot = const_hash(constant->bytes, constant->low, constant->high) & mask;
    while (as->const_slots[slot]) { slot = (slot + 1) & mask; }
    as->const_slots[slot] = index + 1;
    constant->slot = slot;
}

static bool const_grow(Asm *as) {
    void *array = as->constants;
    if (as->const_count == as->const_capacity) {
        if (!asm_grow(as, &array, &as->const_capacity, sizeof *as->constants, 32, X64_MAX_LABELS / 4)) {
            return false;
        }
        as->constants = array;
    }
    if (as->const_slot_count < 2 * as->const_capacity) {
        uint32_t wanted = 2 * as->const_capacity;
        uint32_t *slots = calloc(wanted, sizeof *slots);
        if (!slots) {
            wr_x64_fail(as, X64_OUT_OF_MEMORY);
            return false;
        }
        free(as->const_slots);
        as->const_slots = slots;
        as->const_slot_count = wanted;
        for (uint32_t i = 0; i < as->const_count; i++) { const_place(as, i); }
    }
    return true;
}

X64Label wr_x64_const_pool(Asm *as, uint32_t bytes, uint64_t low, uint64_t high) {
    if (as->const_slot_count) {
        uint32_t mask = as->const_slot_count - 1;
        for (uint32_t slot = const_hash(bytes, low, high) & mask; as->const_slots[slot];
             slot = (slot + 1) & mask) {
            const X64Constant *constant = &as->constants[as->const_slots[slot] - 1];
            if (constant->low == low && constant->high == high && constant->bytes == bytes) {
                return constant->label;
            }
        }
    }
    if ((as->const_count == as->const_capacity || as->const_slot_count < 2 * as->const_capacity) &&
        !const_grow(as)) {
        return x64_label_new(as);
    }
    X64Label label = x64_label_new(as);
    as->constants[as->const_count] = (X64Constant){low, high, label, bytes, 0};
    const_place(as, as->const_count++);
    return label;
}

/* Widest first, so that only the first needs padding. */
static void asm_place_constants(Asm *as) {
    for (uint32_t bytes = 16; bytes >= 4; bytes /= 2) {
        bool first = true;
        for (uint32_t i = 0; i < as->const_count; i++) {
            const X64Constant *constant = &as->constants[i];
            if (constant->bytes != bytes) { continue; }
            while (first && (x64_offset(as) & (bytes - 1)) && !x64_failed(as)) { x64_int3(as); }
            first = false;
            x64_label_bind(as, constant->label);
            uint8_t *at = x64_room(as);
            memcpy(at, &constant->low, 8);
            memcpy(at + 8, &constant->high, 8);
            as->code.cursor = at + bytes;
        }
    }
}

/* ---- functions ----------------------------------------------------------------------------------------- */

void wr_x64_function_begin(Asm *as) {
    asm_forget_function(as);
    while ((x64_offset(as) & (X64_FUNCTION_ALIGN - 1)) && !x64_failed(as)) { x64_int3(as); }
    as->function_offset = x64_offset(as);
}

void wr_x64_room(Asm *as, uint32_t bytes) {
    for (uint32_t i = 0; i < bytes && !x64_failed(as); i++) { x64_int3(as); }
}

X64Status wr_x64_function_end(Asm *as) {
    asm_place_constants(as);
    if (as->code.oom) {
        wr_x64_fail(as, as->code.over_limit ? X64_TOO_LARGE : X64_OUT_OF_MEMORY);
    } else if (x64_offset(as) - as->function_offset > X64_MAX_FUNCTION_BYTES) {
        wr_x64_fail(as, X64_TOO_LARGE);
    } else if (as->pending_fixups && as->status == X64_OK) {
        wr_x64_fail(as, X64_LABEL_UNBOUND);
    }
    return as->status;
}

void wr_x64_nop(Asm *as, uint32_t bytes) {
    /* Intel SDM vol. 2, NOP: the recommended multi-byte forms */
    static const uint8_t nops[9][9] = {
        {0x90},
        {0x66, 0x90},
        {0x0F, 0x1F, 0x00},
        {0x0F, 0x1F, 0x40, 0x00},
        {0x0F, 0x1F, 0x44, 0x00, 0x00},
        {0x66, 0x0F, 0x1F, 0x44, 0x00, 0x00},
        {0x0F, 0x1F, 0x80, 0x00, 0x00, 0x00, 0x00},
        {0x0F, 0x1F, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00},
        {0x66, 0x0F, 0x1F, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00},
    };
    while (bytes && !as->code.oom) {
        uint32_t count = bytes < 9 ? bytes : 9;
        uint8_t *at = x64_room(as);
        memcpy(at, nops[count - 1], 9);
        as->code.cursor = at + count;
        bytes -= count;
    }
}
