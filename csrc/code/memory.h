/* CodeMemory inside this room: an image, what was found in it, and its place in the registry of pcs. */
#ifndef WR_CODE_MEMORY_H
#define WR_CODE_MEMORY_H

#include <stdatomic.h>

#include "code/elf.h"
#include "code/image.h"

/* What an image's pages are. */
typedef enum CodePagesKind {
    CODE_PAGES_OURS,   /* anonymous, writable until the image is open */
    CODE_PAGES_FILE,   /* a file that we mapped */
    CODE_PAGES_FOREIGN /* somebody else's, given back by release(owner) */
} CodePagesKind;

typedef struct CodePages {
    CodePagesKind kind;
    uint8_t *bytes;
    size_t num_bytes;
    void (*release)(void *owner);
    void *owner;
} CodePages;

/* Why tables are not read any more. */
typedef enum CodeBroken { CODE_WHOLE, CODE_TRUNCATED /* pages of the file are gone */, CODE_DAMAGED /* tables are not those that the text wants */ } CodeBroken;

struct CodeMemory {
    _Atomic size_t references;
    CodePages pages;
    int file;                      /* what it was mapped from, kept for instances that map its IMAGES; -1: none */
    bool registered;
    bool made_here;                /* compiled by this process: its tables are right */
    uint64_t seal;                 /* what the text has to start with (marks.h) */
    _Atomic bool sealed;           /* it does */
    _Atomic uint8_t broken;        /* CodeBroken */
    ElfLayout layout;
    ImageHeader header;            /* copies: what was checked stays so, whatever becomes of the file */
    const ModuleRecord *records;   /* behind `modules` */
    const uint8_t *bytes;          /* of pages; all of these point into them */
    const FunctionLoc *funcs;
    const uint32_t *trap_offsets;
    const uint8_t *trap_codes;
    const uint32_t *addr_offsets, *addr_places;
    const HandlerRow *handlers;
    const uint8_t *text;
    uint32_t text_bytes, num_modules;
    struct GdbEntry *announced;    /* gdb.h */
    _Atomic(void *) attached;      /* wr_code_attach */
    void (*_Atomic free_attached)(void *data);
    _Atomic(WasmModule *) modules[]; /* num_modules views of META, NULL until somebody asks */
};

/* Checks the image, makes its text executable and registers it. Takes the pages, on failure too, unless they are foreign. */
bool wr_code_open(const CodePages *pages, CodeMemory **out_code, WrError *error);
/* Frees an image that nobody refers to. */
void wr_code_close(CodeMemory *code);

uint64_t wr_code_abi_fingerprint(void);
/* Of a function type of a module whose types are in range. */
uint64_t wr_code_signature_hash(const WasmModule *module, uint32_t type_index);
/* Of what every load reads: headers and MODULES, with header_checksum itself left out; and of all the rest, padding included. */
uint64_t wr_code_header_checksum(const uint8_t *bytes, const ElfLayout *layout);
uint64_t wr_code_contents_checksum(const uint8_t *bytes, const ElfLayout *layout);

/* ---- registry of pcs: registry.c -------------------------------------------------------------------------------------------- */

bool wr_code_register(const CodeMemory *code);
/* Returns when no reader, on any thread, can still see the image. Not inside a reader. */
void wr_code_unregister(const CodeMemory *code);
/* The image whose text holds pc, or NULL. Everything read of it lies between begin and end: no lock, no allocation, short. */
const CodeMemory *wr_code_read_begin(uintptr_t pc);
/* The same by any address in its pages. */
const CodeMemory *wr_code_read_begin_at(uintptr_t address);
/* One whose IMAGES lie at this offset of that file, which no longer has it. */
const CodeMemory *wr_code_read_begin_file(uint64_t inode, uint64_t offset);
void wr_code_read_end(void);

#endif
