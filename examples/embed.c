/* A C program that runs guest code without Python: loads an artifact, gives it a function, calls it, and reads why a call failed.
 *
 *     wasmrt compile examples/embed.wat -o embed.cwasm
 *     python -c 'import wasmrt.ffi; print(wasmrt.ffi.header())' > wasmrt.h
 *     lib=$(python -c 'import wasmrt.ffi; print(wasmrt.ffi.library_path())')
 *     cc -I. examples/embed.c "$lib" -Wl,-rpath,"$(dirname "$lib")" -o embed && ./embed embed.cwasm */
#include <stdio.h>

#include "wasmrt.h"

/* host.scale: multiplies by the number that `data` points at; negative numbers trap */
static bool scale(wasmrt_caller *caller, wasmrt_context *context, wasmrt_value *values, size_t capacity)
{
    (void)context, (void)capacity;
    if (values[0].i32 < 0) return wasmrt_trap(caller, "no negative numbers");
    values[0].i32 *= *(const int *)wasmrt_caller_data(caller);
    return true;
}

/* host.print: text in the memory of the instance that calls, whose bounds are ours to check */
static bool print(wasmrt_caller *caller, wasmrt_context *context, wasmrt_value *values, size_t capacity)
{
    uint8_t *memory;
    size_t length;
    (void)capacity;
    uint32_t at = (uint32_t)values[0].i32, count = (uint32_t)values[1].i32;
    if (!wasmrt_context_memory(context, &memory, &length) || at > length || count > length - at) return wasmrt_trap(caller, "no such text");
    printf("%.*s\n", (int)count, (const char *)memory + at);
    return true;
}

int main(int count, char **arguments)
{
    wasmrt_error error = { "" };
    int factor = 2;
    wasmrt_import imports[] = { { "host", "scale", "i:i", scale, &factor }, { "host", "print", "ii:", print, NULL } };
    wasmrt_engine *engine = wasmrt_engine_new(&error);
    wasmrt_store *store = engine ? wasmrt_store_new(engine, &error) : NULL;
    wasmrt_module *module = store && count == 2 ? wasmrt_module_load_file(engine, arguments[1], &error) : NULL;
    if (module == NULL) return fprintf(stderr, "%s\n", count == 2 ? error.message : "usage: embed FILE.cwasm"), 1;
    wasmrt_store_limit_memory(store, 16 << 20);
    wasmrt_instance *instance = wasmrt_instance_new(store, module, imports, 2, &error);
    if (instance == NULL) return fprintf(stderr, "%s\n", error.message), 1;

    wasmrt_func *run = wasmrt_instance_func(instance, "run");
    const int given[] = { 20, -1 };
    for (int i = 0; i < 2; i++) {
        wasmrt_value values[1] = { { .i32 = given[i] } };
        if (wasmrt_call(store, run, values, 1, &error))
            printf("run(%d) = %d\n", given[i], values[0].i32);
        else
            printf("run(%d): %s\n", given[i], error.message);
    }
    wasmrt_value pages[1] = { { .i32 = 1000 } };
    if (wasmrt_call(store, wasmrt_instance_func(instance, "grow"), pages, 1, &error)) printf("grow(1000) = %d\n", pages[0].i32);
    wasmrt_store_delete(store), wasmrt_module_delete(module), wasmrt_engine_delete(engine);
    return 0;
}
