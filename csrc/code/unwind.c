/* DWARF numbers: System V ABI, x86-64 supplement, 3.6.2 and 4.2.4; pointer encodings: Linux Standard Base core 5.0, 10.5 and 10.6. Registers: 6 is rbp, 7
 * rsp, 16 the return address. Every record has the same size, so that the table by address is a loop. */
#include "code/unwind.h"

#include <stdlib.h>
#include <string.h>

enum {
    UNWIND_CIE_BYTES = 24,
    UNWIND_FDE_BYTES = 28,
    UNWIND_END_BYTES = 4,
    UNWIND_INDEX_HEADER_BYTES = 12,
    UNWIND_INDEX_ROW_BYTES = 8,
    UNWIND_LEAST_GAP = 16 + CODE_MARK_BYTES, /* less is alignment and a mark */
};

#define UNWIND_GAP 0x80000000u /* in a range's length; text is shorter */

/* version 1, "zR", code alignment 1, data alignment -8, return address 16, one byte of augmentation: addresses are 32 bits relative to their place.
 * At the first instruction of anything: the frame starts at rsp + 8, the return address lies 8 below. */
static const uint8_t unwind_cie[] = {1, 'z', 'R', 0, 1, 0x78, 16, 1, 0x1b, 0x0c, 7, 8, 0x80 | 16, 1};
/* After 1 byte (push rbp): rsp + 16, rbp 16 below; after 3 more (mov rbp, rsp): rbp + 16. */
static const uint8_t unwind_framed[] = {0x40 | 1, 0x0e, 16, 0x80 | 6, 2, 0x40 | 3, 0x0d, 6};
static const uint8_t unwind_between[] = {0x0c, 6, 16, 0x80 | 6, 2};
static const uint8_t unwind_frame_start[] = {0x55, 0x48};

_Static_assert(8 + sizeof unwind_cie <= UNWIND_CIE_BYTES && 17 + sizeof unwind_framed <= UNWIND_FDE_BYTES, "the rest is DW_CFA_nop");

static int unwind_order(const void *a, const void *b)
{
    uint32_t left = ((const FunctionLoc *)a)->start, right = ((const FunctionLoc *)b)->start;
    return (left > right) - (left < right);
}

UnwindPlan wr_unwind_plan(FunctionLoc *locs, uint32_t count, uint32_t text_bytes)
{
    UnwindPlan plan = {.ranges = locs};
    uint32_t end = 0;
    /* most come in order: each module's functions, then its stubs and trampolines */
    qsort(locs, count, sizeof *locs, unwind_order);
    /* the rows are moved up, so that the result can grow into the room that is left */
    FunctionLoc *rows = locs + count + 1;
    memmove(rows, locs, count * sizeof *rows);
    for (uint32_t i = 0; i < count; i++) {
        if (rows[i].length == 0 || rows[i].start < end) continue;
        if (rows[i].start - end >= UNWIND_LEAST_GAP) plan.ranges[plan.count++] = (FunctionLoc){end, UNWIND_GAP | (rows[i].start - end)};
        plan.ranges[plan.count++] = rows[i];
        end = rows[i].start + rows[i].length;
    }
    if (text_bytes - end >= UNWIND_LEAST_GAP) plan.ranges[plan.count++] = (FunctionLoc){end, UNWIND_GAP | (text_bytes - end)};
    return plan;
}

uint64_t wr_unwind_bytes(const UnwindPlan *plan) { return UNWIND_CIE_BYTES + (uint64_t)plan->count * UNWIND_FDE_BYTES + UNWIND_END_BYTES; }
uint64_t wr_unwind_index_bytes(const UnwindPlan *plan) { return UNWIND_INDEX_HEADER_BYTES + (uint64_t)plan->count * UNWIND_INDEX_ROW_BYTES; }

static void unwind_word(uint8_t *out, uint64_t word)
{
    uint32_t low = (uint32_t)word; /* differences are taken modulo 2^32: both ends lie in 2 GiB */
    memcpy(out, &low, sizeof low);
}

void wr_unwind_write(const UnwindPlan *plan, const ElfLayout *layout, uint8_t *bytes)
{
    const uint64_t frames = layout->offsets[WR_SECTION_UNWIND], index = layout->offsets[WR_SECTION_UNWIND_INDEX], text = layout->offsets[WR_SECTION_TEXT];
    unwind_word(bytes + frames, UNWIND_CIE_BYTES - 4);
    memcpy(bytes + frames + 8, unwind_cie, sizeof unwind_cie);

    /* version 1; where .eh_frame lies: relative to its place; count: plain; rows: relative to this section, 32 bits each */
    static const uint8_t index_start[] = {1, 0x1b, 0x03, 0x3b};
    memcpy(bytes + index, index_start, sizeof index_start);
    unwind_word(bytes + index + 4, frames - (index + 4));
    unwind_word(bytes + index + 8, plan->count);

    for (uint32_t i = 0; i < plan->count; i++) {
        const FunctionLoc range = {plan->ranges[i].start, plan->ranges[i].length & ~UNWIND_GAP};
        const uint64_t place = frames + UNWIND_CIE_BYTES + (uint64_t)i * UNWIND_FDE_BYTES, row = index + UNWIND_INDEX_HEADER_BYTES + (uint64_t)i * UNWIND_INDEX_ROW_BYTES;
        uint8_t *out = bytes + place;
        unwind_word(out, UNWIND_FDE_BYTES - 4);
        unwind_word(out + 4, place + 4 - frames);
        unwind_word(out + 8, text + range.start - (place + 8));
        unwind_word(out + 12, range.length);
        if (plan->ranges[i].length & UNWIND_GAP) {
            memcpy(out + 17, unwind_between, sizeof unwind_between);
        } else if (range.length > 4 && memcmp(bytes + text + range.start, unwind_frame_start, sizeof unwind_frame_start) == 0) {
            memcpy(out + 17, unwind_framed, sizeof unwind_framed);
        }
        unwind_word(bytes + row, text + range.start - index);
        unwind_word(bytes + row + 4, place - index);
    }
}
