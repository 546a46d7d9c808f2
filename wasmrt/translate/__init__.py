"""Validates a component and flattens it into the linear list of what its instantiation does.

`whole.translate` is the way in: bytes -> records (wasmrt.binary) -> ComponentDfg (validate) -> Component (inline). Nothing is imported
here: programs that load artifacts need `info` and `type_table` alone, and the rest takes as long to import as all else of wasmrt.
"""
