/* Memory that is freed all at once: chunks from malloc, allocations never moved or freed singly. Not shared between threads. */
#ifndef WR_BASE_ARENA_H
#define WR_BASE_ARENA_H

#include <stddef.h>
#include <stdint.h>

typedef struct WrArenaChunk WrArenaChunk;
typedef struct WrArena {
    WrArenaChunk *chunks; /* newest first */
    uint8_t *next, *end;  /* free room of the newest chunk */
} WrArena;

/* A zeroed arena is ready for use. */
/* 16-byte aligned, uninitialized; NULL when the system refuses. */
void *wr_arena_alloc(WrArena *arena, size_t bytes);
/* count * size with an overflow check, zeroed. For count 0 a valid pointer that must not be read. */
void *wr_arena_calloc(WrArena *arena, size_t count, size_t size);
void wr_arena_free(WrArena *arena);

#endif
