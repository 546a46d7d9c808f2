/* Names of functions in an image, once for two readers: NAMES, by function index, for backtraces; SYMBOLS, by address, for debuggers and profilers. Both
 * point into STRINGS. A function without a name gets a made-up one there, wasm[module]:func[index], which NAMES does not have. */
#ifndef WR_CODE_SYMBOLS_H
#define WR_CODE_SYMBOLS_H

#include "code/elf.h"

/* What the modules before one have taken. */
typedef struct SymbolsPlace { uint32_t names, symbols; uint64_t strings; } SymbolsPlace;

SymbolsPlace wr_symbols_start(void);
/* Counts a module's: `place` moves behind them. */
void wr_symbols_count(const WasmModule *module, uint32_t module_index, SymbolsPlace *place);
/* Writes them: `funcs` are the module's rows of FUNCS, `place` moves as before. */
void wr_symbols_write(const WasmModule *module, uint32_t module_index, const FunctionLoc *funcs, const ElfLayout *layout, uint8_t *bytes, SymbolsPlace *place);

#endif
