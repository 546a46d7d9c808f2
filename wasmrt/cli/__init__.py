"""The command line: `wasmrt print|wat2wasm|wast FILE...`."""
