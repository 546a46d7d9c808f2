/* References from emitted code to what is placed later: other functions, trampolines, data. The assembler
 * records them and leaves a zero field; whoever lays out the image patches the field. All kinds are
 * position independent (rel32), nothing is patched after the image is mapped.
 *
 * With S = address of the target in the image, A = addend, P = address of the 32-bit field (image address
 * of the code buffer + offset), each kind stores S + A - P as an int32: ELF's R_X86_64_PC32. The -4 for
 * "relative to the end of the field" (and what follows it in the instruction) is already in the addend. */
#ifndef WASMRT_X64_RELOC_H
#define WASMRT_X64_RELOC_H

#include <stdint.h>

typedef enum CodeRelocKind {
    CODE_RELOC_CALL_FUNC, /* call/jmp to the wasm_call entry of function `target` (function index space) */
    CODE_RELOC_LEA_FUNC,  /* lea of the wasm_call entry of function `target` */
    CODE_RELOC_LEA_FUNC_ARRAY, /* lea of the array_call entry of function `target` */
    CODE_RELOC_CALL_STUB,      /* call/jmp/jcc to shared stub `target` of the image (out-of-line code) */
    CODE_RELOC_LEA_STUB,       /* lea of shared stub `target` */
    CODE_RELOC_LEA_RODATA,     /* lea into the image's read-only data, `target` = byte offset there */
    CODE_RELOC_KIND_COUNT,
} CodeRelocKind;

typedef struct CodeReloc {
    uint32_t offset; /* of the 32-bit field, from the start of the code buffer */
    uint32_t kind;   /* CodeRelocKind */
    uint32_t target; /* index in the space that the kind names */
    int32_t addend;
} CodeReloc;

#endif
