/* What leaves libwasmrt.so. Everything else is hidden. */
#ifndef WASMRT_API_H
#define WASMRT_API_H
#define WR_API __attribute__((visibility("default")))
#endif
