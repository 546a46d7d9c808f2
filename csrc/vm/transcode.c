/* What fused adapters ask of C: traps with a reason of their own, and strings from one memory to another.
 *
 * Both are VMArrayCalls of host contexts, without Python. A transcoder's context has the slots of its two memories in `data` and `data2` (they are
 * filled after it is made), and its row of transcode.def in `index`. Adapters check lengths and bounds before they call; they are checked again here,
 * since this writes to memory that no guard region protects. Sources are well formed or the call traps: what was written before stays.
 *
 * Source and destination never overlap: they belong to different component instances. */
#include <string.h>

#include "base/utf8.h"
#include "vm/objects.h"
#include "vm/store.h"

enum {
#define TRANSCODE(name, doc) TRANSCODE_##name,
#include "wasmrt/transcode.def"
#undef TRANSCODE
};

#define NOT_THERE UINT32_MAX /* a character that the narrow encoding lacks */
#define UTF16_TAG UINT32_C(0x80000000)

static bool adapter_trap(VMContext *vmctx, uint32_t trap_code)
{
    wr_store_trap(vm_store_of(vm_header(vmctx)->store), trap_code);
    return false;
}

bool wr_adapter_trap(VMContext *callee, VMContext *caller, ValRaw *values, size_t capacity)
{
    (void)caller, (void)capacity;
    return adapter_trap(callee, (uint32_t)values[0].i32);
}

/* ---- reading and writing characters ----------------------------------------------------------------------------------------------------------- */

static uint32_t utf16_unit(const uint8_t *text, size_t at) { return (uint32_t)text[2 * at] | (uint32_t)text[2 * at + 1] << 8; }

static void utf16_put(uint8_t *text, size_t at, uint32_t unit)
{
    text[2 * at] = (uint8_t)unit;
    text[2 * at + 1] = (uint8_t)(unit >> 8);
}

/* The character at *at, which moves past it; UINT32_MAX for half a pair. */
static uint32_t utf16_next(const uint8_t *text, size_t units, size_t *at)
{
    uint32_t unit = utf16_unit(text, (*at)++);
    if ((unit & 0xf800) != 0xd800) return unit;
    if (unit >= 0xdc00 || *at == units) return UINT32_MAX;
    uint32_t low = utf16_unit(text, *at);
    if ((low & 0xfc00) != 0xdc00) return UINT32_MAX;
    (*at)++;
    return 0x10000 + ((unit & 0x3ff) << 10 | (low & 0x3ff));
}

/* The same of UTF-8 that was found valid. */
static uint32_t utf8_next(const uint8_t *text, size_t *at)
{
    const uint8_t *p = text + *at;
    if (p[0] < 0x80) return *at += 1, p[0];
    if (p[0] < 0xe0) return *at += 2, (uint32_t)(p[0] & 0x1f) << 6 | (p[1] & 0x3f);
    if (p[0] < 0xf0) return *at += 3, (uint32_t)(p[0] & 0x0f) << 12 | (uint32_t)(p[1] & 0x3f) << 6 | (p[2] & 0x3f);
    return *at += 4, (uint32_t)(p[0] & 0x07) << 18 | (uint32_t)(p[1] & 0x3f) << 12 | (uint32_t)(p[2] & 0x3f) << 6 | (p[3] & 0x3f);
}

static size_t utf8_put(uint8_t *out, uint32_t point)
{
    if (point < 0x80) {
        out[0] = (uint8_t)point;
        return 1;
    }
    if (point < 0x800) {
        out[0] = (uint8_t)(0xc0 | point >> 6);
        out[1] = (uint8_t)(0x80 | (point & 0x3f));
        return 2;
    }
    if (point < 0x10000) {
        out[0] = (uint8_t)(0xe0 | point >> 12);
        out[1] = (uint8_t)(0x80 | (point >> 6 & 0x3f));
        out[2] = (uint8_t)(0x80 | (point & 0x3f));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | point >> 18);
    out[1] = (uint8_t)(0x80 | (point >> 12 & 0x3f));
    out[2] = (uint8_t)(0x80 | (point >> 6 & 0x3f));
    out[3] = (uint8_t)(0x80 | (point & 0x3f));
    return 4;
}

static size_t utf8_length(uint32_t point) { return 1 + (size_t)(point >= 0x80) + (size_t)(point >= 0x800) + (size_t)(point >= 0x10000); }

/* Bytes at the start that are ASCII. */
static size_t ascii_prefix(const uint8_t *text, size_t count)
{
    size_t i = 0;
    for (; count - i >= 8; i += 8) {
        uint64_t word;
        memcpy(&word, text + i, 8);
        if (word & UINT64_C(0x8080808080808080)) break;
    }
    while (i < count && text[i] < 0x80) i++;
    return i;
}

/* ---- one encoding to another; each returns how a guest counts what was written ----------------------------------------------------------------- */

typedef struct Transcoding {
    const uint8_t *src;
    size_t units; /* of the source */
    uint8_t *dst;
    size_t room;  /* bytes */
    uint32_t trap; /* 0: none, since no transcoder overflows the stack */
} Transcoding;

static uint32_t transcode_fail(Transcoding *t, uint32_t trap_code)
{
    t->trap = trap_code;
    return 0;
}

static uint32_t transcode_UTF8_TO_UTF8(Transcoding *t)
{
    if (t->units > t->room) return transcode_fail(t, TRAP_STRING_OUT_OF_BOUNDS);
    if (!wr_utf8_valid(t->src, t->units)) return transcode_fail(t, TRAP_INVALID_UTF8);
    memcpy(t->dst, t->src, t->units);
    return (uint32_t)t->units;
}

static uint32_t transcode_UTF8_TO_UTF16(Transcoding *t)
{
    size_t out = 0, units = t->room / 2;
    if (!wr_utf8_valid(t->src, t->units)) return transcode_fail(t, TRAP_INVALID_UTF8);
    for (size_t at = 0; at < t->units;) {
        uint32_t point = utf8_next(t->src, &at);
        if (units - out < 1 + (size_t)(point >= 0x10000)) return transcode_fail(t, TRAP_STRING_OUT_OF_BOUNDS);
        if (point >= 0x10000) {
            utf16_put(t->dst, out++, 0xd800 | (point - 0x10000) >> 10);
            point = 0xdc00 | (point & 0x3ff);
        }
        utf16_put(t->dst, out++, point);
    }
    return (uint32_t)out;
}

static uint32_t transcode_UTF8_TO_LATIN1(Transcoding *t)
{
    size_t out = 0;
    if (!wr_utf8_valid(t->src, t->units)) return transcode_fail(t, TRAP_INVALID_UTF8);
    for (size_t at = 0; at < t->units;) {
        uint32_t point = utf8_next(t->src, &at);
        if (point > 0xff) return NOT_THERE;
        if (out == t->room) return transcode_fail(t, TRAP_STRING_OUT_OF_BOUNDS);
        t->dst[out++] = (uint8_t)point;
    }
    return (uint32_t)out;
}

static uint32_t transcode_UTF16_TO_UTF8(Transcoding *t)
{
    size_t out = 0;
    for (size_t at = 0; at < t->units;) {
        uint32_t point = utf16_next(t->src, t->units, &at);
        if (point == UINT32_MAX) return transcode_fail(t, TRAP_INVALID_UTF16);
        if (t->room - out < utf8_length(point)) return transcode_fail(t, TRAP_STRING_OUT_OF_BOUNDS);
        out += utf8_put(t->dst + out, point);
    }
    return (uint32_t)out;
}

static bool utf16_valid(const uint8_t *text, size_t units)
{
    for (size_t at = 0; at < units;)
        if (utf16_next(text, units, &at) == UINT32_MAX) return false;
    return true;
}

static uint32_t transcode_UTF16_TO_UTF16(Transcoding *t)
{
    if (2 * t->units > t->room) return transcode_fail(t, TRAP_STRING_OUT_OF_BOUNDS);
    if (!utf16_valid(t->src, t->units)) return transcode_fail(t, TRAP_INVALID_UTF16);
    memcpy(t->dst, t->src, 2 * t->units);
    return (uint32_t)t->units;
}

/* Code units below `limit` as bytes. */
static uint32_t utf16_narrow(Transcoding *t, uint32_t limit)
{
    if (t->units > t->room) return transcode_fail(t, TRAP_STRING_OUT_OF_BOUNDS);
    for (size_t i = 0; i < t->units; i++) {
        uint32_t unit = utf16_unit(t->src, i);
        if (unit >= limit) return NOT_THERE;
        t->dst[i] = (uint8_t)unit;
    }
    return (uint32_t)t->units;
}

static uint32_t transcode_UTF16_TO_LATIN1(Transcoding *t) { return utf16_narrow(t, 0x100); }
static uint32_t transcode_UTF16_TO_ASCII(Transcoding *t) { return utf16_narrow(t, 0x80); }

static uint32_t transcode_UTF16_TO_COMPACT(Transcoding *t)
{
    uint32_t bits = 0;
    transcode_UTF16_TO_UTF16(t);
    if (t->trap) return 0;
    for (size_t i = 0; i < t->units; i++) bits |= utf16_unit(t->dst, i);
    if (bits > 0xff) return (uint32_t)t->units | UTF16_TAG;
    for (size_t i = 0; i < t->units; i++) t->dst[i] = t->dst[2 * i];
    return (uint32_t)t->units;
}

static uint32_t transcode_LATIN1_TO_UTF8(Transcoding *t)
{
    size_t out = 0;
    for (size_t i = 0; i < t->units; i++) {
        if (t->room - out < utf8_length(t->src[i])) return transcode_fail(t, TRAP_STRING_OUT_OF_BOUNDS);
        out += utf8_put(t->dst + out, t->src[i]);
    }
    return (uint32_t)out;
}

static uint32_t transcode_LATIN1_TO_UTF16(Transcoding *t)
{
    if (2 * t->units > t->room) return transcode_fail(t, TRAP_STRING_OUT_OF_BOUNDS);
    for (size_t i = 0; i < t->units; i++) utf16_put(t->dst, i, t->src[i]);
    return (uint32_t)t->units;
}

static uint32_t transcode_LATIN1_TO_ASCII(Transcoding *t)
{
    size_t count = ascii_prefix(t->src, t->units);
    if (t->units > t->room) return transcode_fail(t, TRAP_STRING_OUT_OF_BOUNDS);
    memcpy(t->dst, t->src, count);
    return count == t->units ? (uint32_t)count : NOT_THERE;
}

static uint32_t (*const transcoders[])(Transcoding *t) = {
#define TRANSCODE(name, doc) [TRANSCODE_##name] = transcode_##name,
#include "wasmrt/transcode.def"
#undef TRANSCODE
};

static size_t source_unit_bytes(uint64_t op) { return op >= TRANSCODE_UTF16_TO_UTF8 && op <= TRANSCODE_UTF16_TO_ASCII ? 2 : 1; }

static bool in_memory(const VMMemoryDef *memory, uint64_t address, uint64_t bytes)
{
    return bytes <= memory->length_bytes && address <= memory->length_bytes - bytes;
}

bool wr_adapter_transcode(VMContext *callee, VMContext *caller, ValRaw *values, size_t capacity)
{
    const VMHostContext *context = (const VMHostContext *)(const void *)callee;
    const VMMemoryDef *from = *(VMMemoryDef *const *)context->data, *to = *(VMMemoryDef *const *)context->data2;
    uint64_t src = (uint32_t)values[0].i32, units = (uint32_t)values[1].i32, dst = (uint32_t)values[2].i32, room = (uint32_t)values[3].i32;
    (void)caller, (void)capacity;
    if (context->index >= sizeof transcoders / sizeof transcoders[0] || !in_memory(from, src, units * source_unit_bytes(context->index)) || !in_memory(to, dst, room))
        return adapter_trap(callee, TRAP_STRING_OUT_OF_BOUNDS);
    Transcoding transcoding = { .src = from->base + src, .units = (size_t)units, .dst = to->base + dst, .room = (size_t)room };
    uint32_t result = transcoders[context->index](&transcoding);
    if (transcoding.trap) return adapter_trap(callee, transcoding.trap);
    values[0].i64 = result;
    return true;
}
