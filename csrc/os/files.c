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

bool wr_os_is_noexec(void) { return errno == EACCES || errno == EPERM; }

_Static_assert(sizeof(WrOsVector) == sizeof(struct iovec) && offsetof(WrOsVector, base) == offsetof(struct iovec, iov_base) &&
                   offsetof(WrOsVector, num_bytes) == offsetof(struct iovec, iov_len),
               "vectors are passed on as they are");

int64_t wr_os_file_readv(int file, const WrOsVector *vectors, int count) { return readv(file, (const struct iovec *)(const void *)vectors, count); }

int64_t wr_os_file_writev(int file, const WrOsVector *vectors, int count) { return writev(file, (const struct iovec *)(const void *)vectors, count); }

int64_t wr_os_file_seek(int file, int64_t offset, int whence) { return lseek(file, offset, whence); }
