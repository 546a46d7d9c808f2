/* What C programs do with WASI 0.1 through wasi-libc: arguments, stdio, files, directories, links, times, polling. Ends with status 1 where something is
 * not as it should be. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "line %d: %s, errno %s\n", __LINE__, #condition, strerror(errno)); \
            exit(1); \
        } \
    } while (0)

static void stdio_files(void)
{
    char line[64];
    FILE *file = fopen("given", "r");
    CHECK(file != NULL && fgets(line, sizeof line, file) != NULL && strcmp(line, "given by the host\n") == 0);
    CHECK(fgets(line, sizeof line, file) == NULL && feof(file) && fclose(file) == 0);
    file = fopen("kept", "w+");
    CHECK(file != NULL);
    for (int i = 0; i < 2; i++) CHECK(fprintf(file, "line %d\n", i) == 7);
    CHECK(fseek(file, -7, SEEK_END) == 0 && fgets(line, sizeof line, file) != NULL && strcmp(line, "line 1\n") == 0 && ftell(file) == 14);
    CHECK(fclose(file) == 0);
    file = fopen("kept", "a");
    CHECK(file != NULL && fputs("line 2\n", file) >= 0 && fclose(file) == 0);
    CHECK(fopen("none", "r") == NULL && errno == ENOENT);
    CHECK(fopen("../etc/passwd", "r") == NULL);
}

static void descriptors(void)
{
    char bytes[8] = { 0 };
    struct stat status;
    int file = open("work", O_RDWR | O_CREAT | O_EXCL, 0666);
    CHECK(file >= 3 && write(file, "0123456789", 10) == 10 && lseek(file, 2, SEEK_SET) == 2 && read(file, bytes, 4) == 4 && memcmp(bytes, "2345", 4) == 0);
    CHECK(pwrite(file, "ab", 2, 0) == 2 && pread(file, bytes, 3, 0) == 3 && memcmp(bytes, "ab2", 3) == 0 && lseek(file, 0, SEEK_CUR) == 6);
    CHECK(ftruncate(file, 3) == 0 && fstat(file, &status) == 0 && status.st_size == 3 && S_ISREG(status.st_mode));
    struct timespec times[2] = { { 5, 6 }, { 7, 8 } };
    CHECK(futimens(file, times) == 0 && fstat(file, &status) == 0 && status.st_mtim.tv_sec == 7 && status.st_mtim.tv_nsec == 8);
    CHECK(fsync(file) == 0 && fcntl(file, F_SETFL, O_APPEND) == 0 && (fcntl(file, F_GETFL) & O_APPEND) != 0);
    CHECK(open("work", O_RDWR | O_CREAT | O_EXCL, 0666) == -1 && errno == EEXIST);
    CHECK(close(file) == 0 && close(file) == -1 && errno == EBADF);
    CHECK(rename("work", "moved") == 0 && access("work", F_OK) == -1 && link("moved", "hard") == 0 && symlink("moved", "soft") == 0);
    CHECK(stat("hard", &status) == 0 && status.st_nlink == 2 && lstat("soft", &status) == 0 && S_ISLNK(status.st_mode));
    CHECK(readlink("soft", bytes, sizeof bytes) == 5 && memcmp(bytes, "moved", 5) == 0);
    CHECK(unlink("hard") == 0 && unlink("soft") == 0 && unlink("moved") == 0);
}

static void directories(void)
{
    enum { FILES = 300 };
    char name[32];
    static char seen[FILES];
    CHECK(mkdir("folder", 0777) == 0 && mkdir("folder", 0777) == -1 && errno == EEXIST);
    for (int i = 0; i < FILES; i++) {
        snprintf(name, sizeof name, "folder/file-%d-ü", i);
        int file = open(name, O_WRONLY | O_CREAT, 0666);
        CHECK(file >= 0 && close(file) == 0);
    }
    DIR *folder = opendir("folder");
    CHECK(folder != NULL);
    int count = 0;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL; count++) {
        int number;
        if (sscanf(entry->d_name, "file-%d-ü", &number) == 1) {
            CHECK(number >= 0 && number < FILES && !seen[number] && entry->d_type == DT_REG);
            seen[number] = 1;
        }
    }
    CHECK(count == FILES || count == FILES + 2);
    rewinddir(folder);
    CHECK(readdir(folder) != NULL && closedir(folder) == 0);
    CHECK(rmdir("folder") == -1 && errno == ENOTEMPTY);
    for (int i = 0; i < FILES; i++) {
        snprintf(name, sizeof name, "folder/file-%d-ü", i);
        CHECK(unlink(name) == 0);
    }
    CHECK(rmdir("folder") == 0 && opendir("folder") == NULL && errno == ENOENT);
}

static void times(void)
{
    struct timespec before, after, pause = { 0, 20000000 };
    CHECK(clock_gettime(CLOCK_MONOTONIC, &before) == 0 && nanosleep(&pause, NULL) == 0 && clock_gettime(CLOCK_MONOTONIC, &after) == 0);
    CHECK((after.tv_sec - before.tv_sec) * 1000000000ll + after.tv_nsec - before.tv_nsec >= 19000000);
    CHECK(time(NULL) > 1600000000);
    struct pollfd output = { 1, POLLOUT, 0 };
    CHECK(poll(&output, 1, 1000) == 1 && output.revents == POLLOUT);
}

int main(int argc, char **argv)
{
    CHECK(argc == 2 && strcmp(argv[1], "zwei wörter") == 0 && getenv("NAME") != NULL && strcmp(getenv("NAME"), "välue") == 0 && getenv("HOME") == NULL);
    stdio_files();
    descriptors();
    directories();
    times();
    unsigned char random[2][16];
    CHECK(getentropy(random[0], 16) == 0 && getentropy(random[1], 16) == 0 && memcmp(random[0], random[1], 16) != 0);
    puts("all is well");
    return 0;
}
