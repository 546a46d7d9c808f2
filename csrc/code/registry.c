/* Which image a pc lies in: a sorted array that is never changed, only replaced.
 *
 * Readers are signal handlers and frame walks: they count themselves in, load the array and search it. A writer (under the mutex) publishes a new array
 * and then waits until it has seen no reader once: whoever comes later sees the new one, so the old array and an unregistered image can go. Reads are
 * a few dozen instructions, so the wait is over at once; it yields since a reader's thread may have been preempted. Sequentially consistent operations
 * order "count in, load" against "publish, look at the count". After a fork the readers of the parent's other threads are not in the child. */
#include <stdatomic.h>
#include <stdlib.h>

#include "code/memory.h"
#include "os/files.h"
#include "os/thread.h"

typedef struct RegistryRow {
    uintptr_t start;        /* text */
    _Atomic uintptr_t end;
    const CodeMemory *code; /* NULL: was unregistered while there was no memory for a new array */
} RegistryRow;

typedef struct RegistryRows {
    size_t count;
    RegistryRow rows[]; /* by start */
} RegistryRows;

static pthread_mutex_t registry_mutex = PTHREAD_MUTEX_INITIALIZER;
static _Atomic(RegistryRows *) registry_rows;
static _Atomic uint32_t registry_readers;
static pthread_once_t registry_once = PTHREAD_ONCE_INIT;

static void registry_lock(void) { pthread_mutex_lock(&registry_mutex); }
static void registry_unlock(void) { pthread_mutex_unlock(&registry_mutex); }
static void registry_child(void)
{
    atomic_store(&registry_readers, 0);
    registry_unlock();
}
static void registry_init(void) { pthread_atfork(registry_lock, registry_unlock, registry_child); }

/* Index of the first row that starts after pc. */
static size_t registry_after(const RegistryRows *rows, uintptr_t pc)
{
    size_t low = 0, high = rows ? rows->count : 0;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (rows->rows[middle].start <= pc) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static RegistryRow registry_row(const CodeMemory *code)
{
    return (RegistryRow){(uintptr_t)code->text, (uintptr_t)code->text + code->text_bytes, code};
}

/* Waits until every reader that may have seen what was published before has left. */
static void registry_wait(void)
{
    while (atomic_load(&registry_readers) != 0) wr_os_yield();
}

/* Publishes the rows without `removed`, with `added` (either may be NULL), and frees the old array. False: no memory, nothing has changed. */
static bool registry_replace(const CodeMemory *removed, const CodeMemory *added)
{
    RegistryRows *old = atomic_load(&registry_rows);
    size_t old_count = old ? old->count : 0;
    RegistryRows *rows = malloc(sizeof *rows + (old_count + 1) * sizeof rows->rows[0]);
    if (!rows) return false;
    RegistryRow *out = rows->rows;
    for (size_t i = 0; i < old_count; i++) {
        const RegistryRow *row = &old->rows[i];
        if (added && (uintptr_t)added->text < row->start) {
            *out++ = registry_row(added);
            added = NULL;
        }
        if (row->code != NULL && row->code != removed) *out++ = (RegistryRow){row->start, row->end, row->code};
    }
    if (added) *out++ = registry_row(added);
    rows->count = (size_t)(out - rows->rows);
    atomic_store(&registry_rows, rows);
    registry_wait();
    free(old);
    return true;
}

bool wr_code_register(const CodeMemory *code)
{
    pthread_once(&registry_once, registry_init);
    registry_lock();
    bool ok = registry_replace(NULL, code);
    registry_unlock();
    return ok;
}

void wr_code_unregister(const CodeMemory *code)
{
    registry_lock();
    if (!registry_replace(code, NULL)) {
        /* No memory for a shorter array: the row becomes an empty range, which the next array leaves out. */
        RegistryRows *rows = atomic_load(&registry_rows);
        size_t at = 0;
        while (rows->rows[at].code != code) at++;
        atomic_store(&rows->rows[at].end, 0);
        registry_wait();
        rows->rows[at].code = NULL;
    }
    registry_unlock();
}

const CodeMemory *wr_code_read_begin(uintptr_t pc)
{
    atomic_fetch_add(&registry_readers, 1);
    const RegistryRows *rows = atomic_load(&registry_rows);
    size_t at = registry_after(rows, pc);
    if (at == 0 || pc >= atomic_load(&rows->rows[at - 1].end)) return NULL;
    return rows->rows[at - 1].code;
}

const CodeMemory *wr_code_read_begin_at(uintptr_t address)
{
    atomic_fetch_add(&registry_readers, 1);
    const RegistryRows *rows = atomic_load(&registry_rows);
    size_t after = registry_after(rows, address);
    for (size_t i = after ? after - 1 : 0; rows && i < rows->count && i <= after; i++) { /* in the text of one, or before that of the next */
        const CodeMemory *code = rows->rows[i].code;
        if (code && atomic_load(&rows->rows[i].end) && address - (uintptr_t)code->bytes < code->pages.num_bytes) return code;
    }
    return NULL;
}

const CodeMemory *wr_code_read_begin_file(uint64_t inode, uint64_t offset)
{
    atomic_fetch_add(&registry_readers, 1);
    const RegistryRows *rows = atomic_load(&registry_rows);
    for (size_t i = 0; rows && i < rows->count; i++) {
        const CodeMemory *code = rows->rows[i].code;
        if (!code || !atomic_load(&rows->rows[i].end) || code->file < 0) continue;
        if (offset - code->layout.offsets[WR_SECTION_IMAGES] < code->layout.sizes[WR_SECTION_IMAGES] && wr_os_file_lacks(code->file, inode, offset)) return code;
    }
    return NULL;
}

void wr_code_read_end(void) { atomic_fetch_sub(&registry_readers, 1); }
