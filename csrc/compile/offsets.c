/* The one computation of where a module's parts lie in its VMContext. */
#include "compile/compile.h"

_Static_assert(sizeof(VMContextHeader) % 16 == 0, "memories start right after the header");

void wr_vm_offsets(const WasmModule *module, VMOffsets *out_offsets)
{
    /* the limits table keeps every count below a few million, so that all sums fit 32 bits */
    uint32_t at = (uint32_t)sizeof(VMContextHeader);
    out_offsets->memories = at;
    at += module->num_memories * (uint32_t)sizeof(VMMemoryImport);
    out_offsets->tables = at;
    at += module->num_tables * (uint32_t)sizeof(VMTableDef *);
    out_offsets->imported_globals = at;
    at += module->num_imported_globals * (uint32_t)sizeof(VMGlobalDef *);
    out_offsets->func_imports = at;
    at += module->num_imported_funcs * (uint32_t)sizeof(VMFuncImport);
    at = (at + 15) & ~15u;
    out_offsets->globals = at;
    at += (module->num_globals - module->num_imported_globals) * (uint32_t)sizeof(VMGlobalDef);
    out_offsets->func_refs = at;
    at += vm_num_chunks(module->num_escaped_funcs) * (uint32_t)sizeof(VMFuncRef *);
    out_offsets->size = (at + 15) & ~15u;
}
