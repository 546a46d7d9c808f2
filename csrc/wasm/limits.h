/* WR_LIMIT_* constants, one a row of limits.def. */
#ifndef WR_WASM_LIMITS_H
#define WR_WASM_LIMITS_H

#include <stdint.h>

#define LIMIT(name, value, text) static const uint32_t WR_LIMIT_##name = value;
#include "wasmrt/limits.def"
#undef LIMIT

#endif
