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

static bool names_text(const uint8_t *bytes, size_t num_bytes, WasmSpan span, const char **out_name, size_t *out_length)
{
    /* an artifact's spans are not checked before they are used */
    if (!span.length || span.offset > num_bytes || span.length > num_bytes - span.offset) return false;
    *out_name = (const char *)bytes + span.offset;
    *out_length = span.length;
    return true;
}

bool wr_module_func_name(const WasmModule *module, uint32_t func_index, const char **out_name, size_t *out_length)
{
    uint32_t low = 0, high = module->num_func_names;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (module->func_names[middle].func < func_index) low = middle + 1;
        else high = middle;
    }
    return low < module->num_func_names && module->func_names[low].func == func_index &&
           names_text(module->name_bytes, module->num_name_bytes, module->func_names[low].name, out_name, out_length);
}

bool wr_module_name(const WasmModule *module, const char **out_name, size_t *out_length) { return names_text(module->bytes, module->num_bytes, module->module_name, out_name, out_length); }
