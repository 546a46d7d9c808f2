/* Counts lines and bytes of a file into another: a command of WASI 0.1, for an adapter to turn into one of WASI 0.2. */

#include <stdio.h>
#include <string.h>
#include <time.h>
int main(int argc, char **argv)
{
    if (argc != 3) return 1;
    FILE *in = fopen(argv[1], "r");
    if (in == NULL) { perror(argv[1]); return 2; }
    FILE *out = fopen(argv[2], "w");
    if (out == NULL) { perror(argv[2]); return 2; }
    long lines = 0, bytes = 0; int c;
    while ((c = getc(in)) != EOF) { bytes++; lines += c == '\n'; }
    fprintf(out, "%ld %ld\n", lines, bytes);
    printf("%s: %ld lines, %ld bytes\n", argv[1], lines, bytes);
    return fclose(out) != 0;
}
