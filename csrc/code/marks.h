/* What text says of itself, so that tables which somebody changed are found out where they are used, whatever was done to their checksums.
 *
 * An image's text starts with its seal: a hash of the header and the module records, and through the checksums in these of the component records and of
 * each module's meta blob: all that its code was compiled for. It is compared before any of them is first used. Before every place where code may be
 * entered from a table lies a mark of 32 bits: a hash of the seal, of the row that leads there, and of what calls it expects. So which function a row
 * names, its signature, which exception a handler catches, is decided by the text alone, at the cost of one look at the cache line before the
 * code. Who changes text can make marks too: text is what an artifact is trusted for. */
#ifndef WR_CODE_MARKS_H
#define WR_CODE_MARKS_H

#include <stddef.h>

#include "base/hash.h"
#include "code/image.h"

enum { CODE_SEAL_BYTES = 16 /* at the start of the text; 8 are used */ };

typedef enum CodeMarkKind { CODE_MARK_FUNC = 1, CODE_MARK_ARRAY_CALL, CODE_MARK_HOST_CALL, CODE_MARK_TRAMPOLINE, CODE_MARK_HOST_ARRAY_CALL, CODE_MARK_HANDLER } CodeMarkKind;

/* All of the header but the versions, which the loader compares and which say nothing about the code, and the checksums of the text itself. */
static inline uint64_t code_seal(const ImageHeader *header, const ModuleRecord *records)
{
    const size_t first = offsetof(ImageHeader, abi_fingerprint);
    uint64_t hash = wr_hash_mix(wr_hash_mix(0, header->kind), header->target);
    hash = wr_hash_checksum(hash, (const uint8_t *)header + first, offsetof(ImageHeader, contents_checksum) - first);
    return wr_hash_checksum(hash, (const uint8_t *)records, header->num_modules * sizeof *records);
}

/* `what`: the row of FUNCS, or for bodies that rows share the hash of their signature. */
static inline uint32_t code_mark(uint64_t seal, CodeMarkKind kind, uint64_t what, FunctionLoc loc)
{
    uint64_t hash = wr_hash_mix(wr_hash_mix(wr_hash_mix(seal, (uint64_t)kind), what), (uint64_t)loc.start << 32 | loc.length);
    return (uint32_t)(hash ^ hash >> 32);
}

static inline uint32_t code_handler_mark(uint64_t seal, uint32_t index, const HandlerRow *row)
{
    uint64_t hash = wr_hash_mix(wr_hash_mix(seal, (uint64_t)CODE_MARK_HANDLER << 32 | index), (uint64_t)row->start << 32 | row->end);
    hash = wr_hash_mix(wr_hash_mix(hash, (uint64_t)row->tag << 32 | row->landing), (uint64_t)row->resume << 32 | row->next);
    return (uint32_t)(hash ^ hash >> 32);
}

#endif
