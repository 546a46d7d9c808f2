/* wasmrt for C programs: load an artifact of a core module, instantiate it, call it.
 *
 * Artifacts come from Python (`Module.serialize()`, `engine.precompile_module`) or from `wasmrt compile`; loading one runs its machine code later, so load
 * only what you trust. Link with libwasmrt.so; Python has all of this as `wasmrt.ffi.lib`, through cffi. examples/embed.c is a whole program.
 *
 * Components need Python: their values are made from guest memory as Python objects at once, and there is no second canonical ABI, for C values. Their
 * artifacts are refused by name. Nothing here limits the time of a call.
 *
 *     wasmrt_error error = { "" };
 *     wasmrt_engine *engine = wasmrt_engine_new(&error);
 *     wasmrt_module *module = wasmrt_module_load_file(engine, "add.cwasm", &error);
 *     wasmrt_store *store = wasmrt_store_new(engine, &error);
 *     wasmrt_instance *instance = wasmrt_instance_new(store, module, NULL, 0, &error);
 *     wasmrt_func *add = wasmrt_instance_func(instance, "add");
 *     wasmrt_value values[2] = { { .i32 = 2 }, { .i32 = 3 } };
 *     if (wasmrt_call(store, add, values, 2, &error)) printf("%d\n", values[0].i32);
 *
 * What fails returns NULL or false and says why in `error`, which may be NULL. A store and what belongs to it is used by one thread at a time; an engine
 * and its modules by any. Delete in any order: what is still used stays, but a store takes its instances and functions with it. */
#ifndef WASMRT_C_API_H
#define WASMRT_C_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WASMRT_API __attribute__((visibility("default")))

#ifdef __cplusplus
extern "C" {
#endif

typedef struct wasmrt_engine wasmrt_engine;
typedef struct wasmrt_module wasmrt_module;
typedef struct wasmrt_store wasmrt_store;
typedef struct wasmrt_instance wasmrt_instance; /* belongs to its store */
typedef struct wasmrt_func wasmrt_func;         /* belongs to its store */
typedef struct wasmrt_caller wasmrt_caller;     /* of a callback, while it runs */
typedef struct wasmrt_context wasmrt_context;   /* the instance that calls a callback, while it runs */

typedef struct wasmrt_error { char message[256]; } wasmrt_error;

/* Arguments and results share one array, results from its start. Bits above a value's own are undefined. Vectors are little endian. */
typedef union wasmrt_value {
    int32_t i32;
    int64_t i64;
    float f32;
    double f64;
    uint8_t v128[16];
    void *ref;
} wasmrt_value;

/* A host function of any type: takes `capacity` values, leaves its results there, and returns true; `return wasmrt_trap(caller, "why")` traps. It may
 * not jump out. Given to Python's `Linker.define_func` or `Func` as a cffi function, it is called as it is, perhaps without the GIL. */
typedef bool (*wasmrt_callback)(wasmrt_caller *caller, wasmrt_context *context, wasmrt_value *values, size_t capacity);

/* What a module imports. `signature`: letters of parameters, a colon, letters of results: i i32, I i64, f f32, F f64, v v128; "ii:i". */
typedef struct wasmrt_import {
    const char *module;
    const char *name;
    const char *signature;
    wasmrt_callback call;
    void *data; /* for wasmrt_caller_data */
} wasmrt_import;

/* Installs the signal handlers that make guests' faults traps, once for the process; handlers that were there go on getting all other faults. */
WASMRT_API wasmrt_engine *wasmrt_engine_new(wasmrt_error *error);
WASMRT_API void wasmrt_engine_delete(wasmrt_engine *engine);

/* Copies the bytes. Refuses what is damaged, of another version or target, made for CPU features that are not there, and components. */
WASMRT_API wasmrt_module *wasmrt_module_load(wasmrt_engine *engine, const void *bytes, size_t num_bytes, wasmrt_error *error);
WASMRT_API wasmrt_module *wasmrt_module_load_file(wasmrt_engine *engine, const char *path, wasmrt_error *error);
WASMRT_API void wasmrt_module_delete(wasmrt_module *module);

WASMRT_API wasmrt_store *wasmrt_store_new(wasmrt_engine *engine, wasmrt_error *error);
WASMRT_API void wasmrt_store_delete(wasmrt_store *store);
/* What each linear memory of its instances may grow to, in bytes; memory.grow then fails as guests expect, instantiation with an error. */
WASMRT_API void wasmrt_store_limit_memory(wasmrt_store *store, uint64_t max_bytes);

/* Links functions by name (a module's other imports cannot be given here), and runs the start function. */
WASMRT_API wasmrt_instance *wasmrt_instance_new(wasmrt_store *store, wasmrt_module *module, const wasmrt_import *imports, size_t num_imports, wasmrt_error *error);
WASMRT_API wasmrt_func *wasmrt_instance_func(wasmrt_instance *instance, const char *name); /* NULL: no function of that name is exported */
/* A linear memory: where it is, which never changes, and how long it is now. */
WASMRT_API bool wasmrt_instance_memory(wasmrt_instance *instance, const char *name, uint8_t **out_base, size_t *out_num_bytes);

/* Calls a function: `capacity` is at least the number of its parameters and of its results. False: it trapped. */
WASMRT_API bool wasmrt_call(wasmrt_store *store, wasmrt_func *func, wasmrt_value *values, size_t capacity, wasmrt_error *error);
/* Letters as in wasmrt_import, cut to `size` with the end; the length that it has. */
WASMRT_API size_t wasmrt_func_signature(wasmrt_store *store, wasmrt_func *func, char *out, size_t size);

/* In a callback: the import's data; a trap (returns false, for the callback to return); the first memory of the instance that calls. */
WASMRT_API void *wasmrt_caller_data(wasmrt_caller *caller);
WASMRT_API bool wasmrt_trap(wasmrt_caller *caller, const char *message);
WASMRT_API bool wasmrt_context_memory(wasmrt_context *context, uint8_t **out_base, size_t *out_num_bytes);

#ifdef __cplusplus
}
#endif
#endif
