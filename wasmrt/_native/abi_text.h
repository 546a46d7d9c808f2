/* Text and integers between CPython objects and linear memory: what the plan runner needs and CPython's own API does only with a detour.
 *
 * A str is read in place (1, 2 or 4 bytes a code point). Encoded sizes are measured exactly before the guest allocates, which is the specification's
 * algorithm for a source that is already in the target encoding: one realloc, no shrinking. Guest memory is only read inside the given range. */
#ifndef WASMRT_NATIVE_ABI_TEXT_H
#define WASMRT_NATIVE_ABI_TEXT_H

#include <Python.h>
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "wasmrt/abi.h"

#define ABI_UTF16_TAG 0x80000000u

/* ---- integers -------------------------------------------------------------------------------------------------------------------------------- */

/* The value of an exact int when it is small: true and *out, else false (use the API). */
static inline int abi_small_int(PyObject *value, int64_t *out) {
#if PY_VERSION_HEX >= 0x030C0000
    if (!PyUnstable_Long_IsCompact((PyLongObject *)value)) return 0;
    *out = PyUnstable_Long_CompactValue((PyLongObject *)value);
    return 1;
#else
    const PyLongObject *number = (const PyLongObject *)value;
    const Py_ssize_t size = Py_SIZE(value); /* the sign is the number's */
    if ((size_t)(size + 1) <= 2) {
        *out = size * (int64_t)number->ob_digit[0];
        return 1;
    }
    if (size != 2 && size != -2) return 0;
    *out = (int64_t)((uint64_t)number->ob_digit[1] << PyLong_SHIFT | number->ob_digit[0]) * (size / 2);
    return 1;
#endif
}

static inline uint32_t abi_load32(const uint8_t *at) { uint32_t word; memcpy(&word, at, 4); return word; }
static inline uint64_t abi_load64(const uint8_t *at) { uint64_t word; memcpy(&word, at, 8); return word; }
static inline void abi_store32(uint8_t *at, uint32_t word) { memcpy(at, &word, 4); }
static inline void abi_store64(uint8_t *at, uint64_t word) { memcpy(at, &word, 8); }

/* ---- encoding -------------------------------------------------------------------------------------------------------------------------------- */

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC push_options
#pragma GCC optimize("O3") /* these loops are what vector units are for */
#endif

/* Bytes that `units` code points of `width` bytes take up in UTF-8 (UTF-16 if `utf16`); UINT64_MAX when one is a surrogate. */
static inline uint64_t abi_text_measure(const void *data, int width, uint64_t units, int utf16) {
    uint64_t bytes = units, bad = 0;
    if (width == 1) {
        const uint8_t *text = data;
        uint64_t i = 0;
        if (utf16) return units * 2;
        for (; i + 8 <= units; i += 8) bytes += ((abi_load64(text + i) >> 7 & 0x0101010101010101u) * 0x0101010101010101u) >> 56;
        for (; i < units; i++) bytes += text[i] >> 7;
        return bytes;
    }
    if (width == 2) {
        const uint16_t *text = data;
        if (utf16) bytes = units * 2;
        for (uint64_t i = 0; i < units; i++) {
            bad |= (text[i] & 0xF800u) == 0xD800u;
            if (!utf16) bytes += (uint64_t)(text[i] >= 0x80) + (uint64_t)(text[i] >= 0x800);
        }
    } else {
        const uint32_t *text = data;
        if (utf16) bytes = units * 2;
        for (uint64_t i = 0; i < units; i++) {
            bad |= (text[i] & 0xFFFFF800u) == 0xD800u;
            if (utf16) bytes += 2 * (uint64_t)(text[i] >= 0x10000);
            else bytes += (uint64_t)(text[i] >= 0x80) + (uint64_t)(text[i] >= 0x800) + (uint64_t)(text[i] >= 0x10000);
        }
    }
    return bad ? UINT64_MAX : bytes;
}

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC pop_options
#endif

static uint8_t abi_with_leads[256][16]; /* of 8 pairs (lead, byte): all bytes, and the leads whose bit is set (filled by abi_text_init) */

/* Eight code points of Latin-1; writes 16 bytes, of which the first so many count. */
__attribute__((target("ssse3,popcnt"))) static inline uint8_t *abi_latin1_eight(uint8_t *out, const uint8_t *text) {
    __m128i bytes = _mm_loadl_epi64((const __m128i *)(const void *)text);
    unsigned high = (unsigned)_mm_movemask_epi8(bytes) & 0xFF;
    if (high == 0) {
        _mm_storel_epi64((__m128i *)(void *)out, bytes);
        return out + 8;
    }
    /* 1100001b 10bbbbbb: the lead is C2 or C3, the other byte loses bit 6; ASCII stays, its lead is left out */
    __m128i is_high = _mm_cmpgt_epi8(_mm_setzero_si128(), bytes);
    __m128i leads = _mm_or_si128(_mm_and_si128(_mm_srli_epi16(bytes, 6), _mm_set1_epi8(3)), _mm_set1_epi8((char)0xC0));
    __m128i others = _mm_andnot_si128(_mm_and_si128(is_high, _mm_set1_epi8(0x40)), bytes);
    __m128i pairs = _mm_unpacklo_epi8(leads, others);
    _mm_storeu_si128((__m128i *)(void *)out, _mm_shuffle_epi8(pairs, _mm_loadu_si128((const __m128i *)(const void *)abi_with_leads[high])));
    return out + 8 + __builtin_popcount(high);
}

static inline uint8_t *abi_put_utf8(uint8_t *out, uint32_t point) {
    if (point < 0x80) {
        *out++ = (uint8_t)point;
    } else if (point < 0x800) {
        *out++ = (uint8_t)(0xC0 | point >> 6);
        *out++ = (uint8_t)(0x80 | (point & 0x3F));
    } else if (point < 0x10000) {
        *out++ = (uint8_t)(0xE0 | point >> 12);
        *out++ = (uint8_t)(0x80 | (point >> 6 & 0x3F));
        *out++ = (uint8_t)(0x80 | (point & 0x3F));
    } else {
        *out++ = (uint8_t)(0xF0 | point >> 18);
        *out++ = (uint8_t)(0x80 | (point >> 12 & 0x3F));
        *out++ = (uint8_t)(0x80 | (point >> 6 & 0x3F));
        *out++ = (uint8_t)(0x80 | (point & 0x3F));
    }
    return out;
}

/* Writes what abi_text_measure counted. `encoding` is ABI_UTF8 or ABI_UTF16. */
static inline void abi_text_encode(uint8_t *out, const void *data, int width, uint64_t units, int encoding) {
    if (encoding == ABI_UTF8) {
        if (width == 1) {
            const uint8_t *text = data, *end = text + units;
            /* 16 bytes are written for every 8 that are read: until 16 are left there is room, since a code point takes at least one */
            while (end - text >= 16) out = abi_latin1_eight(out, text), text += 8;
            while (text < end) out = abi_put_utf8(out, *text++);
        } else if (width == 2) {
            const uint16_t *text = data;
            for (uint64_t i = 0; i < units; i++) out = abi_put_utf8(out, text[i]);
        } else {
            const uint32_t *text = data;
            for (uint64_t i = 0; i < units; i++) out = abi_put_utf8(out, text[i]);
        }
        return;
    }
    if (width == 1) {
        const uint8_t *text = data;
        for (uint64_t i = 0; i < units; i++) out[2 * i] = text[i], out[2 * i + 1] = 0;
    } else if (width == 2) {
        memcpy(out, data, units * 2);
    } else {
        const uint32_t *text = data;
        for (uint64_t i = 0; i < units; i++) {
            uint32_t point = text[i], low = point;
            if (point >= 0x10000) {
                uint32_t high = 0xD7C0u + (point >> 10);
                *out++ = (uint8_t)high, *out++ = (uint8_t)(high >> 8);
                low = 0xDC00u | (point & 0x3FF);
            }
            *out++ = (uint8_t)low, *out++ = (uint8_t)(low >> 8);
        }
    }
}

/* ---- decoding -------------------------------------------------------------------------------------------------------------------------------- */

enum { ABI_TEXT_OK, ABI_TEXT_INVALID, ABI_TEXT_INCOMPLETE, ABI_TEXT_MEMORY };

static inline size_t abi_ascii_prefix(const uint8_t *text, size_t size) {
    size_t i = 0;
    for (; i + 32 <= size; i += 32) {
        uint64_t any = abi_load64(text + i) | abi_load64(text + i + 8) | abi_load64(text + i + 16) | abi_load64(text + i + 24);
        if (any & 0x8080808080808080u) break;
    }
    for (; i + 8 <= size && !(abi_load64(text + i) & 0x8080808080808080u); i += 8) {}
    while (i < size && text[i] < 0x80) i++;
    return i;
}

/* Length of the well-formed sequence at `text` (2 to 4; its first byte is not ASCII); 0: ill-formed with *out_bad bytes to blame; -1: cut off. */
static inline int abi_utf8_sequence(const uint8_t *text, size_t left, int *out_bad) {
    uint8_t first = text[0], low = 0x80, high = 0xBF;
    int length;
    *out_bad = 1;
    if (first >= 0xC2 && first <= 0xDF) length = 2;
    else if (first >= 0xE0 && first <= 0xEF) length = 3, low = first == 0xE0 ? 0xA0 : 0x80, high = first == 0xED ? 0x9F : 0xBF;
    else if (first >= 0xF0 && first <= 0xF4) length = 4, low = first == 0xF0 ? 0x90 : 0x80, high = first == 0xF4 ? 0x8F : 0xBF;
    else return 0;
    for (int i = 1; i < length; i++) {
        if ((size_t)i >= left) return -1;
        if (text[i] < low || text[i] > high) { *out_bad = i; return 0; }
        low = 0x80, high = 0xBF;
    }
    return length;
}

/* Tables of shuffles, by a mask of 8 lanes: which bytes stay. SSSE3 is part of the oldest CPU that an Engine starts on. */
static uint8_t abi_without_leads[256][8];  /* decoding Latin-1: bytes of 8 whose bit is not set */

static inline void abi_text_init(void) {
    for (unsigned mask = 0; mask < 256; mask++) {
        unsigned kept = 0, written = 0;
        for (unsigned lane = 0; lane < 8; lane++) {
            if (!(mask >> lane & 1)) abi_without_leads[mask][kept++] = (uint8_t)lane;
            if (mask >> lane & 1) abi_with_leads[mask][written++] = (uint8_t)(2 * lane);
            abi_with_leads[mask][written++] = (uint8_t)(2 * lane + 1);
        }
        while (kept < 8) abi_without_leads[mask][kept++] = 0x80;
        while (written < 16) abi_with_leads[mask][written++] = 0x80;
    }
}

/* What pairs of bytes say is wrong. A pair is bad when one of these bits is in all three rows that its nibbles name (the method of Keiser and Lemire). */
enum {
    UTF8_TOO_SHORT = 1,        /* a lead, and no continuation after it */
    UTF8_TOO_LONG = 2,         /* ASCII, and a continuation after it */
    UTF8_OVERLONG_3 = 4,       /* E0 80..9F */
    UTF8_TOO_LARGE = 8,        /* F4 90..BF, F5.. */
    UTF8_SURROGATE = 16,       /* ED A0..BF */
    UTF8_OVERLONG_2 = 32,      /* C0, C1 */
    UTF8_OVERLONG_4 = 64,      /* F0 80..8F; and F5.. with 80..8F, which TOO_LARGE leaves out */
    UTF8_TWO_CONTINUATIONS = 128, /* allowed only where a longer sequence wants them */
    UTF8_CARRY = UTF8_TOO_SHORT | UTF8_TOO_LONG | UTF8_TWO_CONTINUATIONS,
};

/* Whether `size` bytes are UTF-8, how many code points they are, and the largest byte. */
__attribute__((target("ssse3,popcnt"))) static inline int abi_utf8_scan(const uint8_t *text, size_t size, size_t *out_points, unsigned *out_largest) {
    const __m128i first_high = _mm_setr_epi8(UTF8_TOO_LONG, UTF8_TOO_LONG, UTF8_TOO_LONG, UTF8_TOO_LONG, UTF8_TOO_LONG, UTF8_TOO_LONG, UTF8_TOO_LONG,
        UTF8_TOO_LONG, (char)UTF8_TWO_CONTINUATIONS, (char)UTF8_TWO_CONTINUATIONS, (char)UTF8_TWO_CONTINUATIONS, (char)UTF8_TWO_CONTINUATIONS,
        UTF8_TOO_SHORT | UTF8_OVERLONG_2, UTF8_TOO_SHORT, UTF8_TOO_SHORT | UTF8_OVERLONG_3 | UTF8_SURROGATE, UTF8_TOO_SHORT | UTF8_TOO_LARGE | UTF8_OVERLONG_4);
    const char large = (char)(UTF8_CARRY | UTF8_TOO_LARGE | UTF8_OVERLONG_4);
    const __m128i first_low = _mm_setr_epi8((char)(UTF8_CARRY | UTF8_OVERLONG_2 | UTF8_OVERLONG_3 | UTF8_OVERLONG_4), (char)(UTF8_CARRY | UTF8_OVERLONG_2),
        (char)UTF8_CARRY, (char)UTF8_CARRY, (char)(UTF8_CARRY | UTF8_TOO_LARGE), large, large, large, large, large, large, large, large,
        (char)(large | UTF8_SURROGATE), large, large);
    const char low = (char)(UTF8_TOO_LONG | UTF8_OVERLONG_2 | UTF8_TWO_CONTINUATIONS);
    const __m128i second_high = _mm_setr_epi8(UTF8_TOO_SHORT, UTF8_TOO_SHORT, UTF8_TOO_SHORT, UTF8_TOO_SHORT, UTF8_TOO_SHORT, UTF8_TOO_SHORT, UTF8_TOO_SHORT,
        UTF8_TOO_SHORT, (char)(low | UTF8_OVERLONG_3 | UTF8_OVERLONG_4), (char)(low | UTF8_OVERLONG_3 | UTF8_TOO_LARGE), (char)(low | UTF8_SURROGATE | UTF8_TOO_LARGE),
        (char)(low | UTF8_SURROGATE | UTF8_TOO_LARGE), UTF8_TOO_SHORT, UTF8_TOO_SHORT, UTF8_TOO_SHORT, UTF8_TOO_SHORT);
    const __m128i nibble = _mm_set1_epi8(0x0F), top = _mm_set1_epi8((char)0x80);
    __m128i before = _mm_setzero_si128(), bad = _mm_setzero_si128(), largest = _mm_setzero_si128();
    size_t points = 0;
    for (size_t at = 0; at < size; at += 16) {
        uint8_t last[16] = {0}; /* zeros after the end are ASCII: a sequence that is cut off is too short */
        size_t left = size - at;
        __m128i bytes;
        if (left >= 16) {
            bytes = _mm_loadu_si128((const __m128i *)(const void *)(text + at));
        } else {
            memcpy(last, text + at, left);
            bytes = _mm_loadu_si128((const __m128i *)(const void *)last);
        }
        __m128i one = _mm_alignr_epi8(bytes, before, 15), two = _mm_alignr_epi8(bytes, before, 14), three = _mm_alignr_epi8(bytes, before, 13);
        __m128i pairs = _mm_and_si128(_mm_and_si128(_mm_shuffle_epi8(first_high, _mm_and_si128(_mm_srli_epi16(one, 4), nibble)),
            _mm_shuffle_epi8(first_low, _mm_and_si128(one, nibble))), _mm_shuffle_epi8(second_high, _mm_and_si128(_mm_srli_epi16(bytes, 4), nibble)));
        /* the top bit where a third or fourth byte must be: there, and only there, two continuations are right */
        __m128i wanted = _mm_or_si128(_mm_subs_epu8(two, _mm_set1_epi8(0xE0 - 0x80)), _mm_subs_epu8(three, _mm_set1_epi8(0xF0 - 0x80)));
        bad = _mm_or_si128(bad, _mm_xor_si128(_mm_and_si128(wanted, top), pairs));
        largest = _mm_max_epu8(largest, bytes);
        /* continuations are -128..-65 */
        unsigned starts = (unsigned)_mm_movemask_epi8(_mm_cmpgt_epi8(bytes, _mm_set1_epi8(-65)));
        points += (size_t)__builtin_popcount(left >= 16 ? starts : starts & ((1u << left) - 1));
        before = bytes;
    }
    /* what the last block leaves open: its last bytes want more */
    uint8_t tail[16], all[16];
    unsigned most = 0, wrong = 0;
    _mm_storeu_si128((__m128i *)(void *)tail, before);
    if (tail[15] >= 0xC0 || tail[14] >= 0xE0 || tail[13] >= 0xF0) wrong = 1;
    _mm_storeu_si128((__m128i *)(void *)all, bad);
    for (int i = 0; i < 16; i++) wrong |= all[i];
    _mm_storeu_si128((__m128i *)(void *)all, largest);
    for (int i = 0; i < 16; i++) most = all[i] > most ? all[i] : most;
    *out_points = points;
    *out_largest = most;
    return wrong == 0;
}

/* Valid UTF-8 whose code points are below 0x100. */
__attribute__((target("ssse3,popcnt"))) static inline void abi_utf8_to_latin1(Py_UCS1 *out, const Py_UCS1 *out_end, const uint8_t *text, const uint8_t *end) {
    uint8_t before = 0;
    while (end - text >= 8 && out_end - out >= 8) {
        __m128i bytes = _mm_loadl_epi64((const __m128i *)(const void *)text);
        __m128i previous = _mm_or_si128(_mm_slli_si128(bytes, 1), _mm_cvtsi32_si128(before));
        /* C2 80..BF stay as they are, C3 80..BF get the bit */
        __m128i values = _mm_or_si128(bytes, _mm_and_si128(_mm_cmpeq_epi8(previous, _mm_set1_epi8((char)0xC3)), _mm_set1_epi8(0x40)));
        unsigned leads = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_and_si128(bytes, _mm_set1_epi8((char)0xFE)), _mm_set1_epi8((char)0xC2))) & 0xFF;
        _mm_storel_epi64((__m128i *)(void *)out, _mm_shuffle_epi8(values, _mm_loadl_epi64((const __m128i *)(const void *)abi_without_leads[leads])));
        out += 8 - __builtin_popcount(leads);
        before = text[7];
        text += 8;
    }
    for (; text < end; before = *text++) {
        if ((*text & 0xFE) != 0xC2) *out++ = (Py_UCS1)(*text | (before == 0xC3 ? 0x40 : 0));
    }
}

/* One code point of valid UTF-8. */
static inline uint32_t abi_utf8_point(const uint8_t **text) {
    const uint8_t *at = *text;
    if (at[0] < 0x80) return *text += 1, at[0];
    if (at[0] < 0xE0) return *text += 2, (at[0] & 0x1Fu) << 6 | (at[1] & 0x3Fu);
    if (at[0] < 0xF0) return *text += 3, (at[0] & 0xFu) << 12 | (at[1] & 0x3Fu) << 6 | (at[2] & 0x3Fu);
    return *text += 4, (at[0] & 7u) << 18 | (at[1] & 0x3Fu) << 12 | (at[2] & 0x3Fu) << 6 | (at[3] & 0x3Fu);
}

/* A new str, or NULL with *out_error (ABI_TEXT_MEMORY: an exception is set) and where the fault lies. One pass finds out whether it is UTF-8, how long and
 * how wide the str is, the second writes it; what is refused is looked at again for the words of the trap. */
static inline PyObject *abi_text_from_utf8(const uint8_t *text, size_t size, int *out_error, size_t *out_at, int *out_bad) {
    size_t at = abi_ascii_prefix(text, size);
    *out_error = ABI_TEXT_MEMORY;
    if (at == size) {
        PyObject *ascii = PyUnicode_New((Py_ssize_t)size, 127);
        if (ascii != NULL && size != 0) memcpy(PyUnicode_DATA(ascii), text, size);
        return ascii;
    }
    size_t points;
    unsigned largest;
    if (abi_utf8_scan(text + at, size - at, &points, &largest)) {
        points += at;
        PyObject *string = PyUnicode_New((Py_ssize_t)points, largest < 0xC4 ? 0xFF : largest < 0xF0 ? 0xFFFF : 0x10FFFF);
        if (string == NULL) return NULL;
        const uint8_t *from = text, *end = text + size;
        if (largest < 0xC4) {
            Py_UCS1 *out = PyUnicode_1BYTE_DATA(string);
            memcpy(out, text, at);
            abi_utf8_to_latin1(out + at, out + points, text + at, end);
        } else if (largest < 0xF0) {
            Py_UCS2 *out = PyUnicode_2BYTE_DATA(string);
            while (from < end) *out++ = (Py_UCS2)abi_utf8_point(&from);
        } else {
            Py_UCS4 *out = PyUnicode_4BYTE_DATA(string);
            while (from < end) *out++ = abi_utf8_point(&from);
        }
        return string;
    }
    *out_error = ABI_TEXT_INVALID, *out_at = at, *out_bad = 1;
    while (at < size) {
        int length = text[at] < 0x80 ? 1 : abi_utf8_sequence(text + at, size - at, out_bad);
        if (length > 0) {
            at += (size_t)length;
            continue;
        }
        *out_error = length < 0 ? ABI_TEXT_INCOMPLETE : ABI_TEXT_INVALID;
        *out_at = at;
        break;
    }
    return NULL;
}

static inline uint32_t abi_load16(const uint8_t *at) { return (uint32_t)at[0] | (uint32_t)at[1] << 8; }

/* The same from UTF-16; *out_bad is the lone surrogate. */
static inline PyObject *abi_text_from_utf16(const uint8_t *text, size_t units, int *out_error, size_t *out_at, int *out_bad) {
    size_t pairs = 0;
    uint32_t any = 0, surrogates = 0;
    *out_error = ABI_TEXT_MEMORY;
    for (size_t i = 0; i < units; i++) {
        uint32_t unit = abi_load16(text + 2 * i);
        any |= unit;
        surrogates |= (unit & 0xF800u) == 0xD800u;
    }
    if (surrogates) {
        for (size_t i = 0; i < units; i++) {
            uint32_t unit = abi_load16(text + 2 * i);
            if ((unit & 0xF800u) != 0xD800u) continue;
            if ((unit & 0x400u) || i + 1 == units || (abi_load16(text + 2 * i + 2) & 0xFC00u) != 0xDC00u) {
                *out_error = ABI_TEXT_INVALID, *out_at = i, *out_bad = (int)unit;
                return NULL;
            }
            pairs++, i++;
        }
        PyObject *wide = PyUnicode_New((Py_ssize_t)(units - pairs), 0x10FFFF);
        if (wide == NULL) return NULL;
        Py_UCS4 *out = PyUnicode_4BYTE_DATA(wide);
        for (size_t i = 0; i < units; i++) {
            uint32_t unit = abi_load16(text + 2 * i);
            if ((unit & 0xF800u) == 0xD800u) {
                i++;
                unit = 0x10000u + ((unit & 0x3FFu) << 10) + (abi_load16(text + 2 * i) & 0x3FFu);
            }
            *out++ = unit;
        }
        return wide;
    }
    PyObject *string = PyUnicode_New((Py_ssize_t)units, any < 0x80 ? 0x7F : any < 0x100 ? 0xFF : 0xFFFF);
    if (string == NULL || units == 0) return string;
    if (any < 0x100) {
        Py_UCS1 *out = PyUnicode_1BYTE_DATA(string);
        for (size_t i = 0; i < units; i++) out[i] = text[2 * i];
    } else {
        memcpy(PyUnicode_2BYTE_DATA(string), text, units * 2);
    }
    return string;
}

#endif
