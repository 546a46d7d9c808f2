/* Files, as far as artifacts need them: opened to read, mapped, closed. */
#ifndef WR_OS_FILES_H
#define WR_OS_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A regular file, open to read (not inherited by programs that are executed), and its size; -1 with errno set. Never blocks on what is no regular file. */
int wr_os_file_open(const char *path, size_t *out_num_bytes);
/* The same for a file that is open already: another handle on it. */
int wr_os_file_again(int file, size_t *out_num_bytes);
/* Reads from its start; returns how many bytes. */
size_t wr_os_file_read(int file, void *out, size_t num_bytes);
/* Its first bytes, private and read-only; NULL with errno set. They become SIGBUS where the file is cut off later. */
void *wr_os_file_map(int file, size_t num_bytes);
/* Reads or writes at the file's position, in order, whatever is there or fits at once; -1 with errno set. The vectors are the system's `struct iovec`. */
typedef struct WrOsVector { void *base; size_t num_bytes; } WrOsVector;
int64_t wr_os_file_readv(int file, const WrOsVector *vectors, int count);
int64_t wr_os_file_writev(int file, const WrOsVector *vectors, int count);
/* Whence as lseek's. */
int64_t wr_os_file_seek(int file, int64_t offset, int whence);
/* What is mapped at an address, when it is a private and writable mapping of a file; where in the file the address lies. For signal handlers: it reads
 * /proc/self/maps, and is false where there is none. */
typedef struct WrOsMapping { uintptr_t end; uint64_t inode, offset; } WrOsMapping;
bool wr_os_mapping_at(uintptr_t address, WrOsMapping *out_mapping);
/* Whether it is that file, and ends before `offset`. For signal handlers. */
bool wr_os_file_lacks(int file, uint64_t inode, uint64_t offset);
bool wr_os_file_is_shorter(int file, uint64_t num_bytes);
/* -1 is fine; errno stays. */
void wr_os_file_close(int file);
/* Whether the last failure of wr_os_protect says that this mapping may never be executed: its file system is mounted noexec. */
bool wr_os_is_noexec(void);

#endif
