#include "code/symbols.h"

#include <string.h>

enum { SYMBOLS_MADE_UP_BYTES = 40 };

SymbolsPlace wr_symbols_start(void) { return (SymbolsPlace){.symbols = ELF_FIRST_SYMBOL, .strings = 1}; }

static size_t symbols_number(char *out, uint32_t number)
{
    char digits[10];
    size_t count = 0;
    do {
        digits[count++] = (char)('0' + number % 10);
        number /= 10;
    } while (number);
    for (size_t i = 0; i < count; i++) out[i] = digits[count - 1 - i];
    return count;
}

/* Without a terminating zero; snprintf would be half of the time that this file takes. */
static size_t symbols_made_up(char *out, uint32_t module_index, uint32_t func)
{
    char *p = out;
    memcpy(p, "wasm[", 5);
    p += 5 + symbols_number(p + 5, module_index);
    memcpy(p, "]:func[", 7);
    p += 7 + symbols_number(p + 7, func);
    *p++ = ']';
    return (size_t)(p - out);
}

/* One walk counts and writes: `bytes` NULL only counts. Names of imports have no symbol. */
static void symbols_walk(const WasmModule *module, uint32_t module_index, const FunctionLoc *funcs, const ElfLayout *layout, uint8_t *bytes, SymbolsPlace *place)
{
    uint32_t next = 0;
    for (uint32_t func = 0; func < module->num_funcs; func++) {
        char made_up[SYMBOLS_MADE_UP_BYTES];
        const char *name = made_up;
        size_t length;
        bool named = next < module->num_func_names && module->func_names[next].func == func;
        uint32_t string = (uint32_t)place->strings;
        if (named) {
            const WasmFuncName *row = &module->func_names[next++];
            name = (const char *)module->name_bytes + row->name.offset;
            length = row->name.length;
            if (bytes) memcpy(bytes + layout->offsets[WR_SECTION_NAMES] + place->names * sizeof *row, &(WasmFuncName){func, {string, row->name.length}}, sizeof *row);
            place->names++;
        } else {
            if (func < module->num_imported_funcs) continue;
            length = symbols_made_up(made_up, module_index, func);
        }
        if (bytes) memcpy(bytes + layout->offsets[WR_SECTION_STRINGS] + place->strings, name, length);
        place->strings += length + 1;
        if (func < module->num_imported_funcs) continue;
        if (bytes) {
            ElfSymbol symbol = wr_elf_symbol(layout, string, funcs[func - module->num_imported_funcs]);
            memcpy(bytes + layout->offsets[WR_SECTION_SYMBOLS] + place->symbols * sizeof symbol, &symbol, sizeof symbol);
        }
        place->symbols++;
    }
}

void wr_symbols_count(const WasmModule *module, uint32_t module_index, SymbolsPlace *place) { symbols_walk(module, module_index, NULL, NULL, NULL, place); }

void wr_symbols_write(const WasmModule *module, uint32_t module_index, const FunctionLoc *funcs, const ElfLayout *layout, uint8_t *bytes, SymbolsPlace *place)
{
    symbols_walk(module, module_index, funcs, layout, bytes, place);
}
