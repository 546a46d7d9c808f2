"""The vocabulary of the specifications: types, limits, flattening. Imports nothing of wasmrt but errors."""
