/* The ELF64 frame of an image: what every section header must be follows from the sizes of the sections, so that the loader compares instead of parsing.
 *
 * The image is a shared object (ET_DYN) without dynamic section: virtual addresses are file offsets, so that readelf, objdump, debuggers and profilers
 * read it. In the file: ELF header, program headers, section headers, their names, then the sections in table order, then zeros to the end of the page. */
#ifndef WR_CODE_ELF_H
#define WR_CODE_ELF_H

#include "code/image.h"

typedef struct ElfLayout {
    uint64_t offsets[WR_SECTION_COUNT];
    uint64_t sizes[WR_SECTION_COUNT];
    uint64_t num_bytes; /* of the file: whole pages */
} ElfLayout;

#define ELF_PAGE_BYTES 4096u

/* Rows of SYMBOLS. */
typedef struct ElfSymbol { uint32_t name; uint8_t info, other; uint16_t section; uint64_t value, size; } ElfSymbol;
/* A function of the text; `name` into STRINGS, `start` into TEXT. */
ElfSymbol wr_elf_symbol(const ElfLayout *layout, uint32_t name, FunctionLoc loc);
/* What a symbol table starts with: the symbol that is none. */
enum { ELF_FIRST_SYMBOL = 1 };

/* Where ENGINE lies in every image. */
uint64_t wr_elf_first_section(void);
/* Where it lies in these hostile bytes, whatever their format version: 0 if they are no ELF file that says so. */
uint64_t wr_elf_engine(const uint8_t *bytes, size_t num_bytes);
/* Offsets and num_bytes from the sizes, none of which is over 2^40. */
void wr_elf_place(ElfLayout *layout);
/* All headers, into wr_elf_first_section() zeroed bytes. */
void wr_elf_write(const ElfLayout *layout, uint8_t *out);
/* The layout of an image of num_bytes hostile bytes, of which the first num_head are given. Succeeds only if every header is what wr_elf_write gives for it and num_bytes is exact. */
bool wr_elf_read(const uint8_t *bytes, size_t num_head, size_t num_bytes, ElfLayout *out_layout, WrError *error);
const char *wr_elf_section_name(uint32_t section);

#endif
