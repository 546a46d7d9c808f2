/* Names of functions and modules for backtraces, from the custom name section. The rows are sorted by function, as the section demands; spans are
 * checked here again because a module view may come from an artifact. */
#include "wasmrt/wasmrt.h"

static bool names_span(const WasmModule *module, WasmSpan span, const char **out_name, size_t *out_length) {
    if (span.length == 0 || span.offset > module->num_bytes || span.length > module->num_bytes - span.offset)
        return false;
    *out_name = (const char *)module->bytes + span.offset;
    *out_length = span.length;
    return true;
}

bool wr_module_func_name(const WasmModule *module, uint32_t func_index, const char **out_name, size_t *out_length) {
    uint32_t low = 0, high = module->num_func_names;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (module->func_names[middle].func < func_index)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == module->num_func_names || module->func_names[low].func != func_index)
        return false;
    return names_span(module, module->func_names[low].name, out_name, out_length);
}

bool wr_module_name(const WasmModule *module, const char **out_name, size_t *out_length) {
    return names_span(module, module->module_name, out_name, out_length);
}
