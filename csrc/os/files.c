#include "os/files.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "os/pages.h"

/* Takes the handle. */
static int files_regular(int file, size_t *out_num_bytes)
{
    struct stat status;
    if (file < 0) return -1;
    if (fstat(file, &status) == 0) {
        if (S_ISREG(status.st_mode)) {
            *out_num_bytes = (size_t)status.st_size;
            return file;
        }
        errno = S_ISDIR(status.st_mode) ? EISDIR : EINVAL;
    }
    wr_os_file_close(file);
    return -1;
}

int wr_os_file_open(const char *path, size_t *out_num_bytes)
{
    /* a pipe would wait for somebody to open its other end */
    return files_regular(open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), out_num_bytes);
}

int wr_os_file_again(int file, size_t *out_num_bytes) { return files_regular(fcntl(file, F_DUPFD_CLOEXEC, 0), out_num_bytes); }

size_t wr_os_file_read(int file, void *out, size_t num_bytes)
{
    size_t count = 0;
    while (count < num_bytes) {
        ssize_t got = pread(file, (char *)out + count, num_bytes - count, (off_t)count);
        if (got > 0) count += (size_t)got;
        else if (got == 0 || errno != EINTR) break;
    }
    return count;
}

void *wr_os_file_map(int file, size_t num_bytes)
{
    if (wr_os_call_fails(WR_OS_CALL_MAP)) return NULL;
    void *start = mmap(NULL, num_bytes, PROT_READ, MAP_PRIVATE, file, 0);
    return start == MAP_FAILED ? NULL : start;
}

void wr_os_file_close(int file)
{
    int code = errno;
    if (file >= 0) (void)close(file);
    errno = code;
}

bool wr_os_file_is_shorter(int file, uint64_t num_bytes)
{
    struct stat status;
    return fstat(file, &status) == 0 && (uint64_t)status.st_size < num_bytes;
}

bool wr_os_file_lacks(int file, uint64_t inode, uint64_t offset)
{
    struct stat status;
    return fstat(file, &status) == 0 && (uint64_t)status.st_ino == inode && (uint64_t)status.st_size <= offset;
}

/* A file that is read byte by byte: stdio allocates. */
typedef struct FilesReader { int file; size_t at, end; char buffer[512]; } FilesReader;

static int files_next(FilesReader *reader)
{
    if (reader->at == reader->end) {
        ssize_t got;
        do got = read(reader->file, reader->buffer, sizeof reader->buffer);
        while (got < 0 && errno == EINTR);
        if (got <= 0) return -1;
        reader->at = 0;
        reader->end = (size_t)got;
    }
    return (unsigned char)reader->buffer[reader->at++];
}

/* A number, and one character behind it. */
static uint64_t files_number(FilesReader *reader, unsigned base)
{
    uint64_t value = 0;
    for (;;) {
        const int c = files_next(reader);
        const unsigned digit = c >= '0' && c <= '9' ? (unsigned)(c - '0') : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10 : base;
        if (digit >= base) return value;
        value = value * base + digit;
    }
}

bool wr_os_mapping_at(uintptr_t address, WrOsMapping *out_mapping)
{
    const int code = errno;
    FilesReader reader = {.file = open("/proc/self/maps", O_RDONLY | O_CLOEXEC)};
    bool found = false;
    /* start-end rwxp offset major:minor inode path */
    for (int c = 0; reader.file >= 0 && c >= 0 && !found;) {
        const uintptr_t start = files_number(&reader, 16), end = files_number(&reader, 16);
        char access[5];
        for (size_t i = 0; i < sizeof access; i++) access[i] = (char)files_next(&reader);
        const uint64_t offset = files_number(&reader, 16);
        (void)files_number(&reader, 16);
        (void)files_number(&reader, 16);
        const uint64_t inode = files_number(&reader, 10);
        if (start <= address && address < end) {
            *out_mapping = (WrOsMapping){.end = end, .inode = inode, .offset = offset + (address - start)};
            found = inode != 0 && access[1] == 'w' && access[3] == 'p';
            break;
        }
        /* what follows the inode is spaces and a path, or the end of the line, which the number may have read */
        c = reader.at && reader.buffer[reader.at - 1] == '\n' ? '\n' : files_next(&reader);
        while (c >= 0 && c != '\n') c = files_next(&reader);
    }
    wr_os_file_close(reader.file);
    errno = code;
    return found;
}

bool wr_os_is_noexec(void) { return errno == EACCES || errno == EPERM; }

_Static_assert(sizeof(WrOsVector) == sizeof(struct iovec) && offsetof(WrOsVector, base) == offsetof(struct iovec, iov_base) &&
                   offsetof(WrOsVector, num_bytes) == offsetof(struct iovec, iov_len),
               "vectors are passed on as they are");

int64_t wr_os_file_readv(int file, const WrOsVector *vectors, int count) { return readv(file, (const struct iovec *)(const void *)vectors, count); }

int64_t wr_os_file_writev(int file, const WrOsVector *vectors, int count) { return writev(file, (const struct iovec *)(const void *)vectors, count); }

int64_t wr_os_file_seek(int file, int64_t offset, int whence) { return lseek(file, offset, whence); }
