"""Benchmarks: the only place where time is measured. `make bench` runs all beside wasmtime, `make bench-smoke` a quick part."""
