/* CodeMemory inside this room: an image, what was found in it, and its place in the registry of pcs. */
#ifndef WR_CODE_MEMORY_H
#define WR_CODE_MEMORY_H

#include <stdatomic.h>

#include "code/elf.h"
#include "code/image.h"

struct CodeMemory {
    _Atomic size_t references;
    const uint8_t *bytes;
    size_t num_bytes;
    size_t mapped_bytes;           /* of pages of our own; 0: somebody else's, given back by release(owner) */
    void (*release)(void *owner);
    void *owner;
    bool registered;
    ElfLayout layout;
    const ImageHeader *header;     /* all of these point into bytes */
    const ModuleRecord *records;
    const FunctionLoc *funcs;
    const uint32_t *trap_offsets;
    const uint8_t *trap_codes;
    const uint32_t *addr_offsets, *addr_places;
    const HandlerRow *handlers;
    const uint8_t *text;
    uint32_t text_bytes;
    WasmModule **modules;          /* views of META; num_modules, NULL where opening stopped */
    _Atomic(void *) attached;      /* wr_code_attach */
    void (*_Atomic free_attached)(void *data);
};

/* What an image's pages are: ours (mapped_bytes) or the caller's (release). */
typedef struct CodePages {
    uint8_t *bytes;
    size_t num_bytes, mapped_bytes;
    void (*release)(void *owner);
    void *owner;
} CodePages;

/* Checks the image, makes its text executable and registers it. Takes the pages, on failure too. */
bool wr_code_open(const CodePages *pages, CodeMemory **out_code, WrError *error);

uint64_t wr_code_abi_fingerprint(void);
/* Of the parts that the loader reads anyway, with header_checksum itself left out; and of all others. */
uint64_t wr_code_header_checksum(const uint8_t *bytes, const ElfLayout *layout);
uint64_t wr_code_contents_checksum(const uint8_t *bytes, const ElfLayout *layout);

/* ---- registry of pcs: registry.c -------------------------------------------------------------------------------------------- */

bool wr_code_register(const CodeMemory *code);
/* Returns when no reader, on any thread, can still see the image. Not inside a reader. */
void wr_code_unregister(const CodeMemory *code);
/* The image whose text holds pc, or NULL. Everything read of it lies between begin and end: no lock, no allocation, short. */
const CodeMemory *wr_code_read_begin(uintptr_t pc);
void wr_code_read_end(void);

#endif
