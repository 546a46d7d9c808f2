#include "base/arena.h"

#include <stdlib.h>
#include <string.h>

struct WrArenaChunk {
    WrArenaChunk *older;
    size_t reserved; /* keeps what follows 16-byte aligned */
};

enum { ARENA_CHUNK_BYTES = 16384 };

void *wr_arena_alloc(WrArena *arena, size_t bytes)
{
    if (bytes > SIZE_MAX / 2) return NULL;
    bytes = (bytes + 15) & ~(size_t)15;
    if (bytes == 0) bytes = 16;
    if (bytes <= (size_t)(arena->end - arena->next)) {
        void *result = arena->next;
        arena->next += bytes;
        return result;
    }
    size_t room = bytes > ARENA_CHUNK_BYTES ? bytes : ARENA_CHUNK_BYTES;
    WrArenaChunk *chunk = malloc(sizeof *chunk + room);
    if (!chunk) return NULL;
    chunk->older = arena->chunks;
    arena->chunks = chunk;
    uint8_t *start = (uint8_t *)(chunk + 1);
    if (room - bytes >= (size_t)(arena->end - arena->next)) { /* keep whichever rest is larger */
        arena->next = start + bytes;
        arena->end = start + room;
    }
    return start;
}

void *wr_arena_calloc(WrArena *arena, size_t count, size_t size)
{
    if (size && count > SIZE_MAX / 2 / size) return NULL;
    void *result = wr_arena_alloc(arena, count * size);
    if (result) memset(result, 0, count * size);
    return result;
}

void wr_arena_free(WrArena *arena)
{
    for (WrArenaChunk *chunk = arena->chunks; chunk;) {
        WrArenaChunk *older = chunk->older;
        free(chunk);
        chunk = older;
    }
    arena->chunks = NULL;
    arena->next = arena->end = NULL;
}
