#include "code/elf.h"

#include <elf.h>
#include <string.h>

enum {
    ELF_NUM_SEGMENTS = 4, /* read-only, text, unwind index, no executable stack */
    ELF_NUM_SECTIONS = WR_SECTION_COUNT + 2, /* the null section first, .shstrtab last */
    ELF_SECTION_HEADERS = sizeof(Elf64_Ehdr) + ELF_NUM_SEGMENTS * sizeof(Elf64_Phdr),
    ELF_NAMES = ELF_SECTION_HEADERS + ELF_NUM_SECTIONS * sizeof(Elf64_Shdr),
};

static const char elf_names[] = "\0"
#define SECTION(name, elf_name, elf_type, alignment, executable, doc) elf_name "\0"
#include "wasmrt/sections.def"
#undef SECTION
                                ".shstrtab"; /* and its terminating zero */

typedef struct ElfSectionRow {
    const char *name;
    uint32_t type, alignment;
    bool executable;
} ElfSectionRow;

static const ElfSectionRow elf_rows[] = {
#define SECTION(name, elf_name, elf_type, alignment, executable, doc) {elf_name, SHT_##elf_type, alignment, (executable) != 0},
#include "wasmrt/sections.def"
#undef SECTION
};

enum { ELF_FIRST_SECTION = (ELF_NAMES + sizeof elf_names + 15) & ~15u };

_Static_assert(sizeof(ElfSymbol) == sizeof(Elf64_Sym) && offsetof(ElfSymbol, value) == offsetof(Elf64_Sym, st_value), "a symbol of the ELF format");
_Static_assert(WR_SECTION_ENGINE == 0, "the image header is at a fixed place");
_Static_assert((int)WR_SECTION_TEXT == (int)WR_SECTION_COUNT - 1, "text has the last pages for itself");

uint64_t wr_elf_first_section(void) { return ELF_FIRST_SECTION; }
const char *wr_elf_section_name(uint32_t section) { return elf_rows[section].name; }

void wr_elf_place(ElfLayout *layout)
{
    uint64_t offset = ELF_FIRST_SECTION;
    for (uint32_t i = 0; i < WR_SECTION_COUNT; i++) {
        uint64_t mask = elf_rows[i].alignment - 1u;
        offset = (offset + mask) & ~mask;
        layout->offsets[i] = offset;
        offset += layout->sizes[i];
    }
    layout->num_bytes = (offset + ELF_PAGE_BYTES - 1) & ~(uint64_t)(ELF_PAGE_BYTES - 1);
}

void wr_elf_write(const ElfLayout *layout, uint8_t *out)
{
    const uint64_t text = layout->offsets[WR_SECTION_TEXT], text_bytes = layout->sizes[WR_SECTION_TEXT];
    const uint64_t index = layout->offsets[WR_SECTION_UNWIND_INDEX], index_bytes = layout->sizes[WR_SECTION_UNWIND_INDEX];
    Elf64_Ehdr header = {
        .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT, ELFOSABI_NONE},
        .e_type = ET_DYN,
        .e_machine = EM_X86_64,
        .e_version = EV_CURRENT,
        .e_phoff = sizeof(Elf64_Ehdr),
        .e_shoff = ELF_SECTION_HEADERS,
        .e_ehsize = sizeof(Elf64_Ehdr),
        .e_phentsize = sizeof(Elf64_Phdr),
        .e_phnum = ELF_NUM_SEGMENTS,
        .e_shentsize = sizeof(Elf64_Shdr),
        .e_shnum = ELF_NUM_SECTIONS,
        .e_shstrndx = ELF_NUM_SECTIONS - 1,
    };
    Elf64_Phdr segments[ELF_NUM_SEGMENTS] = {
        {.p_type = PT_LOAD, .p_flags = PF_R, .p_filesz = text, .p_memsz = text, .p_align = ELF_PAGE_BYTES},
        {.p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_offset = text, .p_vaddr = text, .p_paddr = text, .p_filesz = text_bytes, .p_memsz = text_bytes, .p_align = ELF_PAGE_BYTES},
        {.p_type = PT_GNU_EH_FRAME, .p_flags = PF_R, .p_offset = index, .p_vaddr = index, .p_paddr = index, .p_filesz = index_bytes, .p_memsz = index_bytes, .p_align = 4},
        {.p_type = PT_GNU_STACK, .p_flags = PF_R | PF_W, .p_align = 16},
    };
    Elf64_Shdr sections[ELF_NUM_SECTIONS] = {{.sh_type = SHT_NULL}};
    uint32_t name = 1;
    for (uint32_t i = 0; i < WR_SECTION_COUNT; i++) {
        Elf64_Shdr *section = &sections[i + 1];
        *section = (Elf64_Shdr){
            .sh_name = name,
            .sh_type = elf_rows[i].type,
            .sh_flags = SHF_ALLOC | (elf_rows[i].executable ? SHF_EXECINSTR : 0u),
            .sh_addr = layout->offsets[i],
            .sh_offset = layout->offsets[i],
            .sh_size = layout->sizes[i],
            .sh_addralign = elf_rows[i].alignment,
        };
        if (elf_rows[i].type == SHT_SYMTAB) { /* all symbols are local */
            section->sh_link = WR_SECTION_STRINGS + 1;
            section->sh_info = (uint32_t)(layout->sizes[i] / sizeof(Elf64_Sym));
            section->sh_entsize = sizeof(Elf64_Sym);
        }
        if (elf_rows[i].type != SHT_PROGBITS) { /* for tools alone, as in any shared object */
            section->sh_flags = 0;
            section->sh_addr = 0;
        }
        name += (uint32_t)strlen(elf_rows[i].name) + 1;
    }
    sections[ELF_NUM_SECTIONS - 1] = (Elf64_Shdr){.sh_name = name, .sh_type = SHT_STRTAB, .sh_offset = ELF_NAMES, .sh_size = sizeof elf_names, .sh_addralign = 1};
    memcpy(out, &header, sizeof header);
    memcpy(out + header.e_phoff, segments, sizeof segments);
    memcpy(out + ELF_SECTION_HEADERS, sections, sizeof sections);
    memcpy(out + ELF_NAMES, elf_names, sizeof elf_names);
}

ElfSymbol wr_elf_symbol(const ElfLayout *layout, uint32_t name, FunctionLoc loc)
{
    return (ElfSymbol){name, ELF64_ST_INFO(STB_LOCAL, STT_FUNC), STV_DEFAULT, WR_SECTION_TEXT + 1, layout->offsets[WR_SECTION_TEXT] + loc.start, loc.length};
}

uint64_t wr_elf_engine(const uint8_t *bytes, size_t num_bytes)
{
    Elf64_Ehdr header;
    Elf64_Shdr section;
    if (num_bytes < sizeof header || memcmp(bytes, ELFMAG, SELFMAG) != 0) return 0;
    memcpy(&header, bytes, sizeof header);
    if (header.e_shoff > num_bytes || num_bytes - header.e_shoff < 2 * sizeof section) return 0;
    memcpy(&section, bytes + header.e_shoff + sizeof section, sizeof section);
    return section.sh_offset < num_bytes ? section.sh_offset : 0;
}

static bool elf_wrong(WrError *error, size_t offset, const char *what, uint64_t found, uint64_t wanted)
{
    return wr_error_set(error, WR_ERROR_ARTIFACT, offset, "%s: found %llu, wanted %llu", what, (unsigned long long)found, (unsigned long long)wanted);
}

/* Names the first difference that a reader of the message can do something with. */
static bool elf_differs(const uint8_t *bytes, const uint8_t *wanted, const ElfLayout *layout, WrError *error)
{
    Elf64_Ehdr found_header, header;
    memcpy(&found_header, bytes, sizeof found_header);
    memcpy(&header, wanted, sizeof header);
    if (found_header.e_ident[EI_CLASS] != header.e_ident[EI_CLASS]) return elf_wrong(error, EI_CLASS, "ELF class", found_header.e_ident[EI_CLASS], header.e_ident[EI_CLASS]);
    if (found_header.e_type != header.e_type) return elf_wrong(error, offsetof(Elf64_Ehdr, e_type), "ELF type", found_header.e_type, header.e_type);
    if (found_header.e_machine != header.e_machine) return elf_wrong(error, offsetof(Elf64_Ehdr, e_machine), "ELF machine", found_header.e_machine, header.e_machine);
    if (found_header.e_shnum != header.e_shnum) return elf_wrong(error, offsetof(Elf64_Ehdr, e_shnum), "number of sections", found_header.e_shnum, header.e_shnum);
    for (uint32_t i = 0; i < WR_SECTION_COUNT; i++) {
        size_t place = ELF_SECTION_HEADERS + (i + 1) * sizeof(Elf64_Shdr);
        Elf64_Shdr section;
        memcpy(&section, bytes + place, sizeof section);
        if (section.sh_offset != layout->offsets[i])
            return wr_error_set(error, WR_ERROR_ARTIFACT, place, "section %s: found offset %llu, wanted %llu", elf_rows[i].name, (unsigned long long)section.sh_offset,
                                (unsigned long long)layout->offsets[i]);
    }
    size_t at = 0;
    while (bytes[at] == wanted[at]) at++;
    return wr_error_set(error, WR_ERROR_ARTIFACT, at, "ELF header: found byte 0x%02x, wanted 0x%02x", bytes[at], wanted[at]);
}

bool wr_elf_read(const uint8_t *bytes, size_t num_head, size_t num_bytes, ElfLayout *out_layout, WrError *error)
{
    if (num_head < SELFMAG || memcmp(bytes, ELFMAG, SELFMAG) != 0) return wr_error_set(error, WR_ERROR_ARTIFACT, 0, "not an artifact: no ELF header");
    ImageHeader engine;
    uint64_t place_of_engine = wr_elf_engine(bytes, num_head);
    if (place_of_engine && num_head - place_of_engine >= sizeof engine) { /* sections differ from format to format */
        memcpy(&engine, bytes + place_of_engine, sizeof engine);
        if (engine.magic == WR_IMAGE_MAGIC && engine.format != WR_IMAGE_FORMAT)
            return elf_wrong(error, place_of_engine + offsetof(ImageHeader, format), "format version", engine.format, WR_IMAGE_FORMAT);
    }
    if (num_head < ELF_FIRST_SECTION) return elf_wrong(error, num_bytes, "size: truncated in the headers", num_bytes, ELF_FIRST_SECTION);
    for (uint32_t i = 0; i < WR_SECTION_COUNT; i++) {
        size_t place = ELF_SECTION_HEADERS + (i + 1) * sizeof(Elf64_Shdr) + offsetof(Elf64_Shdr, sh_size);
        memcpy(&out_layout->sizes[i], bytes + place, sizeof out_layout->sizes[i]);
        if (out_layout->sizes[i] > num_bytes)
            return wr_error_set(error, WR_ERROR_ARTIFACT, place, "section %s: %llu bytes do not fit the %llu of the file", elf_rows[i].name,
                                (unsigned long long)out_layout->sizes[i], (unsigned long long)num_bytes);
    }
    uint8_t wanted[ELF_FIRST_SECTION] = {0};
    wr_elf_place(out_layout);
    wr_elf_write(out_layout, wanted);
    if (memcmp(bytes, wanted, sizeof wanted) != 0) return elf_differs(bytes, wanted, out_layout, error);
    if (num_bytes != out_layout->num_bytes) return elf_wrong(error, num_bytes, "size", num_bytes, out_layout->num_bytes);
    return true;
}
