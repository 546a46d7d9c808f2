/* The name section: the module's name and those of functions. It is for humans, so nothing in it makes a module invalid: reading stops where it is malformed.
 * Whether names are UTF-8 is left to whoever shows them. */
#include "wasm/decode.h"

enum { NAMES_MODULE = 0, NAMES_FUNCTIONS = 1 };

static bool names_u32(const uint8_t **p, const uint8_t *end, uint32_t *out_value) { return wr_leb_check_u32(p, end, out_value) == WR_LEB_OK; }

static bool names_name(const WasmDecoder *decoder, const uint8_t **p, const uint8_t *end, WasmSpan *out_name)
{
    uint32_t length;
    if (!names_u32(p, end, &length) || length > (size_t)(end - *p)) return false;
    *out_name = (WasmSpan){(uint32_t)(*p - decoder->reader.bytes), length};
    *p += length;
    return true;
}

static void names_functions(WasmDecoder *decoder, const uint8_t *p, const uint8_t *end)
{
    WasmModule *m = decoder->module;
    uint32_t count;
    int64_t previous = -1;
    if (m->num_func_names || !names_u32(&p, end, &count)) return;
    while (count--) {
        WasmFuncName name;
        /* in order and each once, so that a function's name is found by bisection */
        if (!names_u32(&p, end, &name.func) || name.func <= previous || name.func >= m->num_funcs || !names_name(decoder, &p, end, &name.name)) return;
        previous = name.func;
        if (wr_array_reserve((void **)&m->func_names, m->num_func_names, &decoder->cap_func_names, 1, sizeof *m->func_names)) m->func_names[m->num_func_names++] = name;
    }
}

void wr_decode_names(WasmDecoder *decoder, const uint8_t *p, const uint8_t *end)
{
    while (p < end) {
        uint8_t id = *p++;
        uint32_t size;
        if (!names_u32(&p, end, &size) || size > (size_t)(end - p)) return;
        const uint8_t *inside = p;
        p += size;
        if (id == NAMES_MODULE) names_name(decoder, &inside, p, &decoder->module->module_name);
        if (id == NAMES_FUNCTIONS) names_functions(decoder, inside, p);
    }
}
