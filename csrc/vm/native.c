/* Host functions given as plain C function pointers: what stands between a host-call trampoline and the function, where no trampoline of its own
 * (wr_tramp_emit_native_call) calls it with the arguments in registers.
 *
 * The SysV convention lets one call site serve every signature: integers in the order of six registers, floats in the order of eight, what is left in
 * stack words; a callee ignores what it has no parameter for, and the caller cleans up. So a function is called through one of a few prototypes with
 * more arguments than it takes, and no code is made for it. Nothing here is unwound: what the function cannot take is a trap by return status. */
#include "vm/store.h"

#include <string.h>

enum { NATIVE_GPRS = 6, NATIVE_XMMS = 8 };

typedef uint64_t (*NativeInts0)(void);
typedef uint64_t (*NativeInts2)(uint64_t, uint64_t);
typedef uint64_t (*NativeInts6)(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t);

#define INTS uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t
#define FLOATS double, double, double, double, double, double, double, double
#define WORDS8 uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t
typedef uint64_t (*NativeInt)(INTS, FLOATS);
typedef double (*NativeDouble)(INTS, FLOATS);
typedef float (*NativeFloat)(INTS, FLOATS);
typedef uint64_t (*NativeIntStack)(INTS, FLOATS, WORDS8, WORDS8, WORDS8);
typedef double (*NativeDoubleStack)(INTS, FLOATS, WORDS8, WORDS8, WORDS8);
typedef float (*NativeFloatStack)(INTS, FLOATS, WORDS8, WORDS8, WORDS8);

static bool native_is_float(uint8_t kind) { return kind == WR_NATIVE_F32 || kind == WR_NATIVE_F64; }

static bool native_is_word(uint8_t kind) { return kind == WR_NATIVE_I32 || kind == WR_NATIVE_I64; }

bool wr_native_init(WrNativeFunc *native)
{
    uint32_t ints = 0, floats = 0, words = 0;
    bool plain = native->result == WR_NATIVE_NONE || native_is_word(native->result);
    if (native->num_params > WR_NATIVE_MAX_PARAMS) return false;
    for (uint32_t i = 0; i < native->num_params; i++) {
        if (native_is_float(native->params[i]))
            floats < NATIVE_XMMS ? floats++ : words++;
        else
            ints < NATIVE_GPRS ? ints++ : words++;
        plain = plain && native_is_word(native->params[i]);
    }
    if (words > WR_NATIVE_MAX_WORDS) return false;
    native->is_direct = native->result <= WR_NATIVE_F64;
    for (uint32_t i = 0; i < native->num_params; i++) native->is_direct = native->is_direct && native->params[i] <= WR_NATIVE_F64;
    native->shape = WR_NATIVE_ANY;
    if (words) native->shape = WR_NATIVE_STACK;
    else if (plain) native->shape = ints == 0 ? WR_NATIVE_INTS_0 : ints <= 2 ? WR_NATIVE_INTS_2 : WR_NATIVE_INTS_6;
    return true;
}

static bool native_is_char(uint32_t word) { return word < 0x110000 && (word & 0xFFFFF800u) != 0xD800u; }

/* A core value as the C parameter that it is given to; false: an invalid char. */
static bool native_argument(uint8_t kind, const ValRaw *value, uint64_t *out)
{
    switch (kind) {
    case WR_NATIVE_BOOL: *out = value->i32 != 0; break;
    case WR_NATIVE_S8: *out = (uint64_t)(int64_t)(int8_t)value->i32; break;
    case WR_NATIVE_U8: *out = (uint8_t)value->i32; break;
    case WR_NATIVE_S16: *out = (uint64_t)(int64_t)(int16_t)value->i32; break;
    case WR_NATIVE_U16: *out = (uint16_t)value->i32; break;
    case WR_NATIVE_CHAR: *out = (uint32_t)value->i32; return native_is_char((uint32_t)value->i32);
    default: *out = (uint64_t)value->i64; break;
    }
    return true;
}

static bool native_result(uint8_t kind, uint64_t bits, ValRaw *out)
{
    switch (kind) {
    case WR_NATIVE_BOOL: out->i64 = (uint8_t)bits != 0; break;
    case WR_NATIVE_S8: out->i64 = (uint32_t)(int8_t)bits; break;
    case WR_NATIVE_U8: out->i64 = (uint8_t)bits; break;
    case WR_NATIVE_S16: out->i64 = (uint32_t)(int16_t)bits; break;
    case WR_NATIVE_U16: out->i64 = (uint16_t)bits; break;
    case WR_NATIVE_CHAR: out->i64 = (uint32_t)bits; return native_is_char((uint32_t)bits);
    default: out->i64 = (int64_t)bits; break;
    }
    return true;
}

#define REGISTERS g[0], g[1], g[2], g[3], g[4], g[5], f[0], f[1], f[2], f[3], f[4], f[5], f[6], f[7]
#define STACK_WORDS                                                                                                                                        \
    w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7], w[8], w[9], w[10], w[11], w[12], w[13], w[14], w[15], w[16], w[17], w[18], w[19], w[20], w[21], w[22], w[23]

static __attribute__((noinline)) bool native_call_any(const WrNativeFunc *native, VMStoreContext *context, ValRaw *values)
{
    uint64_t g[NATIVE_GPRS] = { 0 }, w[WR_NATIVE_MAX_WORDS] = { 0 }, bits;
    double f[NATIVE_XMMS] = { 0 };
    uint32_t ints = 0, floats = 0, words = 0;
    for (uint32_t i = 0; i < native->num_params; i++) {
        if (!native_argument(native->params[i], &values[i], &bits)) {
            wr_store_trap(vm_store_of(context), TRAP_INVALID_CHAR);
            return false;
        }
        if (native_is_float(native->params[i])) {
            if (floats < NATIVE_XMMS) memcpy(&f[floats++], &bits, sizeof bits); /* an f32 is the low half of its register */
            else w[words++] = bits;
        } else if (ints < NATIVE_GPRS) g[ints++] = bits;
        else w[words++] = bits;
    }
    bool stack = native->shape == WR_NATIVE_STACK;
    if (native->result == WR_NATIVE_F64) {
        double number = stack ? ((NativeDoubleStack)native->function)(REGISTERS, STACK_WORDS) : ((NativeDouble)native->function)(REGISTERS);
        memcpy(&values->f64, &number, sizeof number);
        return true;
    }
    if (native->result == WR_NATIVE_F32) {
        float number = stack ? ((NativeFloatStack)native->function)(REGISTERS, STACK_WORDS) : ((NativeFloat)native->function)(REGISTERS);
        values->i64 = 0;
        memcpy(&values->f32, &number, sizeof number);
        return true;
    }
    bits = stack ? ((NativeIntStack)native->function)(REGISTERS, STACK_WORDS) : ((NativeInt)native->function)(REGISTERS);
    if (native->result == WR_NATIVE_NONE || native_result(native->result, bits, values)) return true;
    wr_store_trap(vm_store_of(context), TRAP_INVALID_CHAR);
    return false;
}

/* False with the trap recorded while the component instance must not be left. */
static inline bool native_may_leave(const VMHostContext *host)
{
    const int32_t *const *may_leave = host->data2;
    if (may_leave == NULL || **may_leave != 0) return true;
    wr_store_trap(vm_store_of(host->header.store), TRAP_CANNOT_LEAVE_COMPONENT);
    return false;
}

static inline const VMHostContext *native_host(const VMContext *callee) { return (const VMHostContext *)(const void *)callee; }

static bool native_call_0(VMContext *callee, VMContext *caller, ValRaw *values, size_t capacity)
{
    const VMHostContext *host = native_host(callee);
    (void)caller;
    if (!native_may_leave(host)) return false;
    uint64_t result = ((NativeInts0)((const WrNativeFunc *)host->data)->function)();
    if (capacity) values->i64 = (int64_t)result;
    return true;
}

static bool native_call_2(VMContext *callee, VMContext *caller, ValRaw *values, size_t capacity)
{
    const VMHostContext *host = native_host(callee);
    const WrNativeFunc *native = host->data;
    (void)caller, (void)capacity;
    if (!native_may_leave(host)) return false;
    /* of one parameter, the second register holds it again */
    values->i64 = (int64_t)((NativeInts2)native->function)((uint64_t)values[0].i64, (uint64_t)values[native->num_params - 1u].i64);
    return true;
}

static bool native_call_6(VMContext *callee, VMContext *caller, ValRaw *values, size_t capacity)
{
    const VMHostContext *host = native_host(callee);
    const WrNativeFunc *native = host->data;
    uint64_t g[NATIVE_GPRS] = { 0 };
    (void)caller, (void)capacity;
    if (!native_may_leave(host)) return false;
    for (uint32_t i = 0; i < native->num_params; i++) g[i] = (uint64_t)values[i].i64;
    values->i64 = (int64_t)((NativeInts6)native->function)(g[0], g[1], g[2], g[3], g[4], g[5]);
    return true;
}

static bool native_call_all(VMContext *callee, VMContext *caller, ValRaw *values, size_t capacity)
{
    const VMHostContext *host = native_host(callee);
    (void)caller, (void)capacity;
    return native_may_leave(host) && native_call_any(host->data, host->header.store, values);
}

VMArrayCall wr_native_call(const WrNativeFunc *native)
{
    switch (native->shape) {
    case WR_NATIVE_INTS_0: return native_call_0;
    case WR_NATIVE_INTS_2: return native_call_2;
    case WR_NATIVE_INTS_6: return native_call_6;
    default: return native_call_all;
    }
}
