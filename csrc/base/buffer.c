/* Growth of CodeBuffer; see buffer.h for the room rule. The buffer starts in its own `sink` (so that init
 * cannot fail, and a buffer that is never written allocates nothing) and falls back to it when memory runs
 * out. */
#include "base/buffer.h"

#include <stdlib.h>
#include <string.h>

static bool buffer_is_sink(const CodeBuffer *buffer) { return buffer->start == buffer->sink; }

void wr_base_code_buffer_init(CodeBuffer *buffer, uint32_t max_bytes) {
    buffer->start = buffer->cursor = buffer->sink;
    buffer->limit = buffer->sink + CODE_BUFFER_ROOM;
    buffer->max_bytes = max_bytes < CODE_BUFFER_MAX_BYTES ? max_bytes : CODE_BUFFER_MAX_BYTES;
    buffer->oom = false;
    buffer->over_limit = false;
    buffer->lent = false;
}

void wr_base_code_buffer_lend(CodeBuffer *buffer, void *memory, size_t bytes) {
    if (bytes < 2 * CODE_BUFFER_ROOM || bytes > buffer->max_bytes) { return; }
    buffer->start = buffer->cursor = memory;
    buffer->limit = buffer->start + bytes - CODE_BUFFER_ROOM;
    buffer->lent = true;
}

/* The memory is not from malloc. */
static bool buffer_is_borrowed(const CodeBuffer *buffer) { return buffer_is_sink(buffer) || buffer->lent; }

void wr_base_code_buffer_free(CodeBuffer *buffer) {
    if (!buffer_is_borrowed(buffer)) { free(buffer->start); }
    wr_base_code_buffer_init(buffer, buffer->max_bytes);
}

/* Drops everything; from here on emits circle inside the sink. */
static bool buffer_fail(CodeBuffer *buffer, bool over_limit) {
    if (!buffer_is_borrowed(buffer)) { free(buffer->start); }
    buffer->lent = false;
    buffer->start = buffer->cursor = buffer->sink;
    buffer->limit = buffer->sink + CODE_BUFFER_ROOM;
    if (!buffer->oom) {
        buffer->oom = true;
        buffer->over_limit = over_limit;
    }
    return false;
}

bool wr_base_code_buffer_grow(CodeBuffer *buffer, size_t bytes) {
    if (buffer->oom) {
        buffer->cursor = buffer->start;
        return false;
    }
    size_t used = code_buffer_size(buffer);
    if (bytes > CODE_BUFFER_MAX_BYTES || used + bytes > buffer->max_bytes) {
        return buffer_fail(buffer, true);
    }
    size_t needed = used + bytes + CODE_BUFFER_ROOM;
    size_t capacity = buffer_is_sink(buffer) ? CODE_BUFFER_FIRST_BYTES
                                             : 2 * (size_t)(buffer->limit + CODE_BUFFER_ROOM - buffer->start);
    if (capacity < needed) { capacity = needed; }
    if (capacity > (size_t)buffer->max_bytes + CODE_BUFFER_ROOM) {
        capacity = (size_t)buffer->max_bytes + CODE_BUFFER_ROOM;
    }
    bool borrowed = buffer_is_borrowed(buffer);
    uint8_t *memory = realloc(borrowed ? NULL : buffer->start, capacity);
    if (!memory) { return buffer_fail(buffer, false); }
    if (borrowed) { memcpy(memory, buffer->start, used); }
    buffer->lent = false;
    buffer->start = memory;
    buffer->cursor = memory + used;
    buffer->limit = memory + capacity - CODE_BUFFER_ROOM;
    return true;
}

bool wr_base_code_buffer_append(CodeBuffer *buffer, const void *bytes_in, size_t bytes) {
    if (buffer->oom || buffer->cursor > buffer->limit || bytes > (size_t)(buffer->limit - buffer->cursor)) {
        if (!wr_base_code_buffer_grow(buffer, bytes)) { return false; }
    }
    if (bytes) {
        memcpy(buffer->cursor, bytes_in, bytes);
        buffer->cursor += bytes;
    }
    return true;
}
