/* Call frame information of an image, .eh_frame and .eh_frame_hdr: how debuggers, profilers and C++ unwinders pass through our frames. Nothing of ours
 * reads it: traps and backtraces walk frame pointers.
 *
 * Every function keeps a frame pointer, so three descriptions do: code that starts with `push rbp; mov rbp, rsp`; stubs that touch no stack; and what lies
 * between functions (entry bodies, interrupt stubs: shared, so found in no table), of which only the frame is described. Epilogues are not. */
#ifndef WR_CODE_UNWIND_H
#define WR_CODE_UNWIND_H

#include "code/elf.h"

/* What is described: ranges of the text in ascending order. */
typedef struct UnwindPlan {
    FunctionLoc *ranges;
    uint32_t count;
} UnwindPlan;

/* `locs` are the image's rows of FUNCS in any order, with repetitions and empty ones; takes them over as storage, with room for 2 * count + 1. */
UnwindPlan wr_unwind_plan(FunctionLoc *locs, uint32_t count, uint32_t text_bytes);
uint64_t wr_unwind_bytes(const UnwindPlan *plan);
uint64_t wr_unwind_index_bytes(const UnwindPlan *plan);
/* Into an image whose text is written. */
void wr_unwind_write(const UnwindPlan *plan, const ElfLayout *layout, uint8_t *bytes);

#endif
