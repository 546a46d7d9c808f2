/* Code that is announced to gdb, by the interface that it watches: a list of small ELF files in memory, each with the names and the unwind information of
 * one image or trampoline at the addresses where it lies, and a function that gdb puts a breakpoint on. Only on request (Config.profiler = "gdb"): it takes a copy of the
 * symbols, and gdb reads them at each announcement. The names of the two are gdb's; they are exported, since it looks for them in the symbols that a
 * stripped library has left. */
#include "code/gdb.h"

#include <elf.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "code/memory.h"
#include "code/unwind.h"
#include "os/thread.h"
#include "wasmrt/wasmrt.h"

struct GdbEntry {
    GdbEntry *next, *prev;
    const uint8_t *file;
    uint64_t num_bytes;
};

typedef enum GdbAction { GDB_NOTHING, GDB_REGISTER, GDB_UNREGISTER } GdbAction;

typedef struct GdbDescriptor {
    uint32_t version, action;
    GdbEntry *relevant, *first;
} GdbDescriptor;

WR_API extern GdbDescriptor __jit_debug_descriptor;
WR_API void __jit_debug_register_code(void);

GdbDescriptor __jit_debug_descriptor = { .version = 1 };

/* gdb stops here and reads the descriptor. */
__attribute__((noinline)) void __jit_debug_register_code(void) { __asm__ volatile("" ::: "memory"); }

static pthread_mutex_t gdb_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t gdb_once = PTHREAD_ONCE_INIT;

static atomic_bool gdb_is_wanted;

/* In a forked child nobody holds it. What another thread was about to announce may be missing there. */
static void gdb_child(void)
{
    static const pthread_mutex_t fresh = PTHREAD_MUTEX_INITIALIZER;
    gdb_mutex = fresh;
}

static void gdb_init(void) { pthread_atfork(NULL, NULL, gdb_child); }

void wr_gdb_announce_all(void)
{
    pthread_once(&gdb_once, gdb_init);
    atomic_store(&gdb_is_wanted, true);
}

static void gdb_tell(GdbEntry *entry, GdbAction action)
{
    __jit_debug_descriptor.relevant = entry;
    __jit_debug_descriptor.action = action;
    __jit_debug_register_code();
    __jit_debug_descriptor.action = GDB_NOTHING;
    __jit_debug_descriptor.relevant = NULL;
}

/* ---- the file of an image -------------------------------------------------------------------------------------------------------- */

enum { GDB_NULL, GDB_TEXT, GDB_UNWIND, GDB_SYMBOLS, GDB_STRINGS, GDB_NAMES, GDB_NUM_SECTIONS };

static const char gdb_names[] = "\0.text\0.eh_frame\0.symtab\0.strtab\0.shstrtab";
enum { GDB_NAME_TEXT = 1, GDB_NAME_UNWIND = 7, GDB_NAME_SYMBOLS = 17, GDB_NAME_STRINGS = 25, GDB_NAME_NAMES = 33 };

static uint64_t gdb_aligned(uint64_t offset) { return (offset + 15) & ~UINT64_C(15); }

/* In front of it the entry, in one block; NULL: no memory. */
static GdbEntry *gdb_make(const ElfLayout *layout, const uint8_t *bytes, uintptr_t text)
{
    const uint64_t base = text - layout->offsets[WR_SECTION_TEXT];
    const uint64_t unwind_bytes = layout->sizes[WR_SECTION_UNWIND], symbols_bytes = layout->sizes[WR_SECTION_SYMBOLS], strings_bytes = layout->sizes[WR_SECTION_STRINGS];
    const uint64_t unwind = gdb_aligned(sizeof(Elf64_Ehdr) + GDB_NUM_SECTIONS * sizeof(Elf64_Shdr)), symbols = gdb_aligned(unwind + unwind_bytes);
    const uint64_t strings = gdb_aligned(symbols + symbols_bytes), names = strings + strings_bytes, num_bytes = names + sizeof gdb_names;
    GdbEntry *entry = calloc(1, gdb_aligned(sizeof *entry) + num_bytes);
    if (entry == NULL) return NULL;
    uint8_t *file = (uint8_t *)entry + gdb_aligned(sizeof *entry);
    entry->file = file;
    entry->num_bytes = num_bytes;
    const Elf64_Ehdr header = {
        .e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT, ELFOSABI_NONE },
        .e_type = ET_EXEC,
        .e_machine = EM_X86_64,
        .e_version = EV_CURRENT,
        .e_shoff = sizeof(Elf64_Ehdr),
        .e_ehsize = sizeof(Elf64_Ehdr),
        .e_shentsize = sizeof(Elf64_Shdr),
        .e_shnum = GDB_NUM_SECTIONS,
        .e_shstrndx = GDB_NAMES,
    };
    const Elf64_Shdr sections[GDB_NUM_SECTIONS] = {
        [GDB_TEXT] = { .sh_name = GDB_NAME_TEXT, .sh_type = SHT_NOBITS, .sh_flags = SHF_ALLOC | SHF_EXECINSTR, .sh_addr = text, .sh_offset = unwind,
                       .sh_size = layout->sizes[WR_SECTION_TEXT], .sh_addralign = 16 },
        [GDB_UNWIND] = { .sh_name = GDB_NAME_UNWIND, .sh_type = SHT_PROGBITS, .sh_flags = SHF_ALLOC, .sh_addr = base + layout->offsets[WR_SECTION_UNWIND],
                         .sh_offset = unwind, .sh_size = unwind_bytes, .sh_addralign = 8 },
        [GDB_SYMBOLS] = { .sh_name = GDB_NAME_SYMBOLS, .sh_type = SHT_SYMTAB, .sh_offset = symbols, .sh_size = symbols_bytes, .sh_link = GDB_STRINGS,
                          .sh_info = (uint32_t)(symbols_bytes / sizeof(Elf64_Sym)), .sh_addralign = 8, .sh_entsize = sizeof(Elf64_Sym) },
        [GDB_STRINGS] = { .sh_name = GDB_NAME_STRINGS, .sh_type = SHT_STRTAB, .sh_offset = strings, .sh_size = strings_bytes, .sh_addralign = 1 },
        [GDB_NAMES] = { .sh_name = GDB_NAME_NAMES, .sh_type = SHT_STRTAB, .sh_offset = names, .sh_size = sizeof gdb_names, .sh_addralign = 1 },
    };
    memcpy(file, &header, sizeof header);
    memcpy(file + header.e_shoff, sections, sizeof sections);
    memcpy(file + unwind, bytes + layout->offsets[WR_SECTION_UNWIND], unwind_bytes);
    memcpy(file + strings, bytes + layout->offsets[WR_SECTION_STRINGS], strings_bytes);
    memcpy(file + names, gdb_names, sizeof gdb_names);
    for (uint64_t at = 0; at + sizeof(Elf64_Sym) <= symbols_bytes; at += sizeof(Elf64_Sym)) {
        Elf64_Sym symbol;
        memcpy(&symbol, bytes + layout->offsets[WR_SECTION_SYMBOLS] + at, sizeof symbol);
        if (at >= ELF_FIRST_SYMBOL * sizeof(Elf64_Sym)) {
            symbol.st_value += base;
            symbol.st_shndx = GDB_TEXT;
        }
        memcpy(file + symbols + at, &symbol, sizeof symbol);
    }
    return entry;
}

static GdbEntry *gdb_announce(const ElfLayout *layout, const uint8_t *bytes, uintptr_t text)
{
    GdbEntry *entry = gdb_make(layout, bytes, text);
    if (entry == NULL) return NULL;
    pthread_mutex_lock(&gdb_mutex);
    entry->next = __jit_debug_descriptor.first;
    if (entry->next != NULL) entry->next->prev = entry;
    __jit_debug_descriptor.first = entry;
    gdb_tell(entry, GDB_REGISTER);
    pthread_mutex_unlock(&gdb_mutex);
    return entry;
}

GdbEntry *wr_gdb_announce_image(const CodeMemory *code)
{
    return atomic_load(&gdb_is_wanted) ? gdb_announce(&code->layout, code->bytes, (uintptr_t)code->text) : NULL;
}

GdbEntry *wr_gdb_announce_function(const void *start, uint32_t num_bytes, const char *name)
{
    FunctionLoc locs[3] = { { 0, num_bytes } };
    GdbEntry *entry = NULL;
    if (!atomic_load(&gdb_is_wanted)) return NULL;
    UnwindPlan plan = wr_unwind_plan(locs, 1, num_bytes);
    ElfLayout layout = { 0 };
    layout.sizes[WR_SECTION_UNWIND] = wr_unwind_bytes(&plan);
    layout.sizes[WR_SECTION_UNWIND_INDEX] = wr_unwind_index_bytes(&plan);
    layout.sizes[WR_SECTION_SYMBOLS] = (ELF_FIRST_SYMBOL + 1) * sizeof(ElfSymbol);
    layout.sizes[WR_SECTION_STRINGS] = strlen(name) + 2;
    layout.sizes[WR_SECTION_TEXT] = num_bytes;
    wr_elf_place(&layout);
    uint8_t *bytes = calloc(1, layout.num_bytes);
    if (bytes == NULL) return NULL;
    const ElfSymbol symbol = wr_elf_symbol(&layout, 1, locs[0]);
    memcpy(bytes + layout.offsets[WR_SECTION_TEXT], start, num_bytes);
    memcpy(bytes + layout.offsets[WR_SECTION_SYMBOLS] + ELF_FIRST_SYMBOL * sizeof symbol, &symbol, sizeof symbol);
    memcpy(bytes + layout.offsets[WR_SECTION_STRINGS] + 1, name, strlen(name));
    wr_unwind_write(&plan, &layout, bytes);
    entry = gdb_announce(&layout, bytes, (uintptr_t)start);
    free(bytes);
    return entry;
}

void wr_gdb_retract(GdbEntry *entry)
{
    if (entry == NULL) return;
    pthread_mutex_lock(&gdb_mutex);
    if (entry->next != NULL) entry->next->prev = entry->prev;
    if (entry->prev != NULL) entry->prev->next = entry->next;
    else __jit_debug_descriptor.first = entry->next;
    gdb_tell(entry, GDB_UNREGISTER);
    pthread_mutex_unlock(&gdb_mutex);
    free(entry);
}
