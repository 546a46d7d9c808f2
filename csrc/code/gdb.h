/* Code that gdb is told of (wr_gdb_announce_all); NULL: it is not wanted, or there is no memory. Who has an entry retracts it before the code goes. */
#ifndef WR_CODE_GDB_H
#define WR_CODE_GDB_H

#include "code/image.h"

typedef struct GdbEntry GdbEntry;

GdbEntry *wr_gdb_announce_image(const CodeMemory *code);
/* Code outside of images. */
GdbEntry *wr_gdb_announce_function(const void *start, uint32_t num_bytes, const char *name);
void wr_gdb_retract(GdbEntry *entry);

#endif
