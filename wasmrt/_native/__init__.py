"""The Cython side of the native library `libwasmrt.so`; only `wasmrt.runtime` imports it (`_native.wasm` excepted)."""
