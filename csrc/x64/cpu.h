/* Which instruction sets this machine has, as a bit set: one bit a row of cpu_features.def.
 *
 * x86-64-v2 (SSE4.2, POPCNT; every x86-64 server since about 2009) is the baseline: the compiler uses it
 * without asking, the engine refuses machines without it. Everything above is asked for in
 * Asm.cpu_features, and recorded in the artifact. */
#ifndef WASMRT_X64_CPU_H
#define WASMRT_X64_CPU_H

#include <stdint.h>

enum {
#define X64_CPU_FEATURE(name, leaf, subleaf, reg, bit, needs, level) X64_CPU_BIT_##name,
#include "wasmrt/cpu_features.def"
    X64_CPU_FEATURE_COUNT,
};

enum {
    X64_CPU_SSE = 0, /* part of x86-64 itself: no bit */
    X64_CPU_SSE2 = 0,
#define X64_CPU_FEATURE(name, leaf, subleaf, reg, bit, needs, level) X64_CPU_##name = 1 << X64_CPU_BIT_##name,
#include "wasmrt/cpu_features.def"
#define X64_CPU_FEATURE(name, leaf, subleaf, reg, bit, needs, level)                                         \
    | ((level) <= 2 ? 1 << X64_CPU_BIT_##name : 0)
    X64_CPU_BASELINE = 0
#include "wasmrt/cpu_features.def"
    ,
#define X64_CPU_FEATURE(name, leaf, subleaf, reg, bit, needs, level) | 1 << X64_CPU_BIT_##name
    X64_CPU_ALL = 0
#include "wasmrt/cpu_features.def"
    ,
};

/* The features of the running machine. Executes cpuid (slow in a virtual machine): ask once and keep it. */
uint32_t wr_x64_cpu_features(void);
/* "SSE4_1" etc. for bit numbers below X64_CPU_FEATURE_COUNT, else NULL. */
const char *wr_x64_cpu_feature_name(uint32_t bit);

#endif
