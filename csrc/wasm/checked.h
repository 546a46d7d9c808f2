/* Checked reading of module bytes, for the decoder and the validator: every read names what it wants and fails with the offset where it started.
 *
 * After a failure `error` is set and nothing may be read on. Feature gating of types is done here, so that both passes say the same. */
#ifndef WR_WASM_CHECKED_H
#define WR_WASM_CHECKED_H

#include "base/error.h"
#include "base/leb128.h"
#include "wasm/module.h"
#include "wasm/ops.h"

typedef struct WasmReader {
    const uint8_t *bytes;   /* start of the module: offsets count from here */
    const uint8_t *p, *end; /* unread part of what is being read: module, section or body */
    const uint8_t *file_end; /* of the module, to say more of an integer that is cut off; NULL: where `end` is */
    const WasmModule *module; /* types known so far (read only here) */
    uint32_t num_types;     /* indices below may be referred to */
    uint64_t features;
    WrError *error;
} WasmReader;

void wr_reader_report(WasmReader *reader, WrErrorKind kind, const uint8_t *at, const char *format, ...) __attribute__((format(printf, 4, 5)));
/* (reader, kind, at, format, ...): reports, and is false. */
#define wr_reader_fail(...) (wr_reader_report(__VA_ARGS__), false)
/* True when the feature is on; else fails naming `what` needs it. */
bool wr_reader_need(WasmReader *reader, unsigned feature_bit, const uint8_t *at, const char *what);

bool wr_reader_u32_slow(WasmReader *reader, uint32_t *out_value, const char *what);
static inline bool wr_reader_u32(WasmReader *reader, uint32_t *out_value, const char *what)
{
    if (__builtin_expect(reader->p < reader->end && *reader->p < 0x80, 1)) {
        *out_value = *reader->p++;
        return true;
    }
    return wr_reader_u32_slow(reader, out_value, what);
}
bool wr_reader_u64(WasmReader *reader, uint64_t *out_value, const char *what);
bool wr_reader_signed(WasmReader *reader, unsigned bits, int64_t *out_value, const char *what);
bool wr_reader_byte(WasmReader *reader, uint8_t *out_byte, const char *what);
bool wr_reader_bytes(WasmReader *reader, size_t count, const uint8_t **out_bytes, const char *what);
/* A length-prefixed UTF-8 name. */
bool wr_reader_name(WasmReader *reader, WasmSpan *out_name, const char *what);
/* A vector's count: at most `limit` (whose row is `limit_name`). Of items of `min_bytes` or more, never more than one beyond what the bytes left hold: reading
 * them fails then with what is wrong with the last. */
bool wr_reader_count(WasmReader *reader, uint32_t limit, const char *limit_name, uint32_t min_bytes, uint32_t *out_count, const char *what);

/* Types come out with canonical indices. */
bool wr_reader_valtype(WasmReader *reader, ValType *out_type, const char *what);
bool wr_reader_reftype(WasmReader *reader, ValType *out_type, const char *what);
/* As a nullable reference type to it. */
bool wr_reader_heap_type(WasmReader *reader, ValType *out_type, const char *what);

/* An instruction whose feature is on. */
bool wr_reader_op(WasmReader *reader, WasmOp *out_op);

static inline uint64_t wr_reader_offset(const WasmReader *reader, const uint8_t *at) { return (uint64_t)(at - reader->bytes); }

#endif
