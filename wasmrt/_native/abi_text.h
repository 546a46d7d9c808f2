/* Text and integers between CPython objects and linear memory: what the plan runner needs and CPython's own API does only with a detour.
 *
 * A str is read in place (1, 2 or 4 bytes a code point). Encoded sizes are measured exactly before the guest allocates, which is the specification's
 * algorithm for a source that is already in the target encoding: one realloc, no shrinking. Guest memory is only read inside the given range. */
#ifndef WASMRT_NATIVE_ABI_TEXT_H
#define WASMRT_NATIVE_ABI_TEXT_H

#include <Python.h>
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
    switch (Py_SIZE(value)) {
    case 0: *out = 0; return 1;
    case 1: *out = (int64_t)number->ob_digit[0]; return 1;
    case -1: *out = -(int64_t)number->ob_digit[0]; return 1;
    case 2: *out = (int64_t)((uint64_t)number->ob_digit[1] << PyLong_SHIFT | number->ob_digit[0]); return 1;
    case -2: *out = -(int64_t)((uint64_t)number->ob_digit[1] << PyLong_SHIFT | number->ob_digit[0]); return 1;
    default: return 0;
    }
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

/* How many of eight bytes come before the first that is not ASCII; `high` are their top bits, not all zero. */
static inline int abi_ascii_before(uint64_t high) { return __builtin_ctzll(high) >> 3; }

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
            while (end - text >= 8) { /* there is room for eight bytes: a code point takes at least one */
                uint64_t eight = abi_load64(text), high = eight & 0x8080808080808080u;
                abi_store64(out, eight);
                if (high == 0) {
                    out += 8, text += 8;
                    continue;
                }
                out += abi_ascii_before(high), text += abi_ascii_before(high);
                out = abi_put_utf8(out, *text++);
                /* runs, four at a time in 16-bit lanes: 110000xx 10xxxxxx */
                for (uint64_t four; end - text >= 4 && ((four = abi_load32(text)) & 0x80808080u) == 0x80808080u; text += 4, out += 8) {
                    four = (four | four << 16) & 0x0000FFFF0000FFFFu;
                    four = (four | four << 8) & 0x00FF00FF00FF00FFu;
                    abi_store64(out, (four >> 6 & 0x0003000300030003u) | (four & 0x003F003F003F003Fu) << 8 | 0x80C080C080C080C0u);
                }
            }
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

/* A new str, or NULL with *out_error (ABI_TEXT_MEMORY: an exception is set) and where the fault lies. CPython's decoder is fast except for plain ASCII,
 * where a copy is faster; what it refuses is looked at again for the words of the trap. */
static inline PyObject *abi_text_from_utf8(const uint8_t *text, size_t size, int *out_error, size_t *out_at, int *out_bad) {
    size_t at = abi_ascii_prefix(text, size);
    *out_error = ABI_TEXT_MEMORY;
    if (at == size) {
        PyObject *ascii = PyUnicode_New((Py_ssize_t)size, 127);
        if (ascii != NULL && size != 0) memcpy(PyUnicode_DATA(ascii), text, size);
        return ascii;
    }
    PyObject *string = PyUnicode_DecodeUTF8((const char *)text, (Py_ssize_t)size, "strict");
    if (string != NULL || !PyErr_ExceptionMatches(PyExc_UnicodeDecodeError)) return string;
    PyErr_Clear();
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
