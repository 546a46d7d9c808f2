/* The few macros that C unit tests need. A test is one program, tests/c/test_<what>.c, linked with all of csrc (hidden symbols too) and run
 * under ASan and UBSan by `make test-c` (TESTS=test_x for one). It exits 0 when everything held.
 *
 *     #include "check.h"
 *     static void adds(void) { CHECK_EQ(1 + 1, 2); }
 *     int main(void) { RUN(adds); return check_result(); }
 *
 * A failed check prints its place and values and goes on; REQUIRE ends the program. */
#ifndef WR_TESTS_CHECK_H
#define WR_TESTS_CHECK_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int check_failures;
static const char *check_current = "";

#define CHECK_FAIL(...)                                                                                                \
    do {                                                                                                               \
        fprintf(stderr, "%s:%d: in %s: ", __FILE__, __LINE__, check_current);                                          \
        fprintf(stderr, __VA_ARGS__);                                                                                  \
        fputc('\n', stderr);                                                                                           \
        check_failures++;                                                                                              \
    } while (0)

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) CHECK_FAIL("not true: %s", #condition);                                                      \
    } while (0)

#define REQUIRE(condition)                                                                                             \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            CHECK_FAIL("required: %s", #condition);                                                                    \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

/* Integers and pointers; both sides are compared as 64 bits. */
#define CHECK_EQ(actual, expected)                                                                                     \
    do {                                                                                                               \
        uint64_t check_a = (uint64_t)(actual), check_e = (uint64_t)(expected);                                         \
        if (check_a != check_e)                                                                                        \
            CHECK_FAIL("%s is %lld (0x%llx), expected %s = %lld (0x%llx)", #actual, (long long)check_a,                \
                       (unsigned long long)check_a, #expected, (long long)check_e, (unsigned long long)check_e);       \
    } while (0)

#define CHECK_STR(actual, expected)                                                                                    \
    do {                                                                                                               \
        const char *check_a = (actual), *check_e = (expected);                                                         \
        if (strcmp(check_a, check_e) != 0) CHECK_FAIL("%s is \"%s\", expected \"%s\"", #actual, check_a, check_e);     \
    } while (0)

/* The expected text occurs in the actual one. */
#define CHECK_CONTAINS(actual, expected)                                                                               \
    do {                                                                                                               \
        const char *check_a = (actual), *check_e = (expected);                                                         \
        if (strstr(check_a, check_e) == NULL)                                                                          \
            CHECK_FAIL("%s is \"%s\", expected it to contain \"%s\"", #actual, check_a, check_e);                      \
    } while (0)

#define CHECK_BYTES(actual, expected, length)                                                                          \
    do {                                                                                                               \
        const uint8_t *check_a = (const uint8_t *)(actual), *check_e = (const uint8_t *)(expected);                    \
        size_t check_n = (size_t)(length), check_i = 0;                                                                \
        while (check_i < check_n && check_a[check_i] == check_e[check_i]) check_i++;                                   \
        if (check_i < check_n)                                                                                         \
            CHECK_FAIL("%s differs at byte %zu: 0x%02x, expected 0x%02x", #actual, check_i, check_a[check_i],          \
                       check_e[check_i]);                                                                              \
    } while (0)

#define RUN(test)                                                                                                      \
    do {                                                                                                               \
        check_current = #test;                                                                                         \
        test();                                                                                                        \
    } while (0)

static inline int check_result(void)
{
    if (check_failures) fprintf(stderr, "%d check(s) failed\n", check_failures);
    return check_failures ? 1 : 0;
}

#endif
