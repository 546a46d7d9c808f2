/* Feature detection by cpuid and xgetbv (Intel SDM vol. 1, 14.3: AVX needs OSXSAVE and both SSE and AVX
 * state in xcr0). */
#include "x64/cpu.h"

#include <cpuid.h>
#include <stdbool.h>
#include <stddef.h>

static bool cpu_saves_avx_state(void) {
    unsigned eax, ebx, ecx, edx;
    if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || !(ecx & 1u << 27)) { return false; }
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (low & 6) == 6;
}

uint32_t wr_x64_cpu_features(void) {
    enum { CPU_NEEDS_NONE, CPU_NEEDS_AVX };
    bool saved[] = {[CPU_NEEDS_NONE] = true, [CPU_NEEDS_AVX] = cpu_saves_avx_state()};
    uint32_t features = 0;
    unsigned eax, ebx, ecx, edx;
#define X64_CPU_FEATURE(name, leaf, subleaf, reg, bit, needs, level)                                         \
    if (saved[CPU_NEEDS_##needs] && __get_cpuid_count(leaf, subleaf, &eax, &ebx, &ecx, &edx) &&              \
        (reg >> (bit) & 1)) {                                                                                \
        features |= X64_CPU_##name;                                                                          \
    }
#include "wasmrt/cpu_features.def"
    return features;
}

const char *wr_x64_cpu_feature_name(uint32_t bit) {
    static const char *const names[] = {
#define X64_CPU_FEATURE(name, leaf, subleaf, reg, bit, needs, level) #name,
#include "wasmrt/cpu_features.def"
    };
    return bit < X64_CPU_FEATURE_COUNT ? names[bit] : NULL;
}
