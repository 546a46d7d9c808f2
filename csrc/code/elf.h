/* The ELF side of an image: where sections lie and what the headers say, both a function of the sections' sizes alone.
 *
 * ELF64 little endian, ET_DYN without a dynamic section: file offsets and virtual addresses are equal, text on pages of its own, so that readelf,
 * objdump and debuggers read it. In the file: ELF header, program headers, section headers, their names, then the sections in table order. */
#ifndef WR_CODE_ELF_H
#define WR_CODE_ELF_H

#include "code/image.h"

typedef struct ElfLayout {
    uint64_t offsets[WR_SECTION_COUNT];
    uint64_t sizes[WR_SECTION_COUNT];
    uint64_t num_bytes; /* of the file */
} ElfLayout;

#define ELF_PAGE_BYTES 4096u

/* Where ENGINE lies in every image. */
uint64_t wr_elf_first_section(void);
/* Offsets and num_bytes from the sizes, none of which is over 2^40. */
void wr_elf_place(ElfLayout *layout);
/* All headers, into wr_elf_first_section() zeroed bytes. */
void wr_elf_write(const ElfLayout *layout, uint8_t *out);
/* The layout of hostile bytes. Succeeds only if every header is what wr_elf_write gives for it and num_bytes is exact. */
bool wr_elf_read(const uint8_t *bytes, size_t num_bytes, ElfLayout *out_layout, WrError *error);
const char *wr_elf_section_name(uint32_t section);

#endif
