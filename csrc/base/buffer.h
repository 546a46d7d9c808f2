/* The growable byte buffer that machine code is emitted into.
 *
 * Room rule: after code_buffer_room() at least CODE_BUFFER_ROOM bytes may be written from `cursor` on,
 * always, also when memory ran out. Nothing an emitter writes between two calls is longer (an x86-64
 * instruction has at most 15 bytes, and a store may spill a few scratch bytes past it), so one predictable
 * branch an instruction is the whole bounds check.
 *
 * Out of memory (or past `max_bytes`) sets `oom`, which sticks: the contents are dropped and the cursor
 * stays inside `sink`, so emitters go on without checks and whoever finishes the code asks once. Offsets
 * taken before are then meaningless. Because of `sink` a CodeBuffer is not movable. It is owned by one
 * thread. */
#ifndef WASMRT_BASE_BUFFER_H
#define WASMRT_BASE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    CODE_BUFFER_ROOM = 32,               /* writable bytes past the cursor after code_buffer_room() */
    CODE_BUFFER_FIRST_BYTES = 16 * 1024, /* first allocation, made once `sink` is full */
    CODE_BUFFER_MAX_BYTES = 1
        << 30, /* upper bound of max_bytes: every offset fits rel32 with room to spare */
};

typedef struct CodeBuffer {
    uint8_t *start;  /* first byte; moves when the buffer grows */
    uint8_t *cursor; /* next byte to write */
    uint8_t
        *limit; /* an emit may start at any cursor <= limit; the end of memory is limit + CODE_BUFFER_ROOM */
    uint32_t max_bytes;                 /* the buffer never grows past this */
    bool oom;                           /* sticky: memory or max_bytes ran out, contents are lost */
    bool over_limit;                    /* with oom: it was max_bytes */
    bool lent;                          /* the memory is the caller's, who frees it */
    uint8_t sink[2 * CODE_BUFFER_ROOM]; /* where emits go before the first allocation and after oom */
} CodeBuffer;

/* Empty; allocates nothing yet. */
void wr_base_code_buffer_init(CodeBuffer *buffer, uint32_t max_bytes);
/* The first memory of an empty buffer, which the caller frees after the buffer. */
void wr_base_code_buffer_lend(CodeBuffer *buffer, void *memory, size_t bytes);
/* Frees the memory and leaves an empty buffer that is usable again. */
void wr_base_code_buffer_free(CodeBuffer *buffer);
/* Slow path: room for `bytes` more plus CODE_BUFFER_ROOM. False (and oom) if there is none; the room rule
 * holds anyway. */
bool wr_base_code_buffer_grow(CodeBuffer *buffer, size_t bytes);
/* Appends `bytes` bytes; false if out of memory. */
bool wr_base_code_buffer_append(CodeBuffer *buffer, const void *bytes_in, size_t bytes);

/* Empties the buffer, keeps its memory, clears oom. */
static inline void code_buffer_clear(CodeBuffer *buffer) {
    buffer->cursor = buffer->start;
    buffer->oom = false;
    buffer->over_limit = false;
}

static inline size_t code_buffer_size(const CodeBuffer *buffer) {
    return (size_t)(buffer->cursor - buffer->start);
}

/* The cursor, with CODE_BUFFER_ROOM bytes to write at it. */
static inline uint8_t *code_buffer_room(CodeBuffer *buffer) {
    if (__builtin_expect(buffer->cursor > buffer->limit, 0)) {
        wr_base_code_buffer_grow(buffer, CODE_BUFFER_ROOM);
    }
    return buffer->cursor;
}

#endif
