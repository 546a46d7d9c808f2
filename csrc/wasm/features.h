/* WASM_FEATURE_* bits, one a row of features.def, and what each name stands for. */
#ifndef WR_WASM_FEATURES_H
#define WR_WASM_FEATURES_H

#include <stdint.h>

enum {
#define WASM_FEATURE(name, bit, attribute, default_on, compiled) WASM_FEATURE_BIT_##name = bit,
#include "wasmrt/features.def"
#undef WASM_FEATURE
};

#define WASM_FEATURE(name, bit, attribute, default_on, compiled) static const uint64_t WASM_FEATURE_##name = UINT64_C(1) << (bit);
#include "wasmrt/features.def"
#undef WASM_FEATURE

static const uint64_t WASM_FEATURES_DEFAULT = 0
#define WASM_FEATURE(name, bit, attribute, default_on, compiled) | (uint64_t)(default_on) << (bit)
#include "wasmrt/features.def"
#undef WASM_FEATURE
    ;
/* What the compilers take; the rest is UNSUPPORTED when met in a function. */
static const uint64_t WASM_FEATURES_COMPILED = 0
#define WASM_FEATURE(name, bit, attribute, default_on, compiled) | (uint64_t)(compiled) << (bit)
#include "wasmrt/features.def"
#undef WASM_FEATURE
    ;
static const uint64_t WASM_FEATURES_ALL = 0
#define WASM_FEATURE(name, bit, attribute, default_on, compiled) | UINT64_C(1) << (bit)
#include "wasmrt/features.def"
#undef WASM_FEATURE
    ;

/* For messages: "simd (Config.wasm_simd)". */
const char *wr_wasm_feature_text(unsigned bit);

#endif
