"""Which parts of the component model a Config has on. Core proposals are the C reader's business."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Features:
    """Everything that has a switch; `SWITCHES` has its name in Config, and `values` none, since nothing runs it."""

    async_: bool = True
    error_context: bool = True
    threading: bool = True
    fixed_length_lists: bool = True
    map: bool = True
    implements: bool = True
    memory64: bool = True
    dependency_names: bool = True
    values: bool = False


# Field of Features: (attribute of Config, whether it is on there, what it switches). Names and defaults are wasmtime's where it has the switch.
SWITCHES: dict[str, tuple[str, bool, str]] = {
    "async_": ("wasm_component_model_async", True, "async functions, streams and futures"),
    "error_context": ("wasm_component_model_error_context", False, "the error-context type"),
    "threading": ("wasm_component_model_threading", False, "thread built-ins"),
    "fixed_length_lists": ("wasm_component_model_fixed_length_lists", False, "list<T, N> types"),
    "map": ("wasm_component_model_map", False, "map<K, V> types"),
    "implements": ("wasm_component_model_implements", False, "(implements ...) and (external-id ...) on imports and exports"),
    "memory64": ("wasm_component_model_memory64", False, "64-bit memories in canonical options: validated, but not run yet"),
    "dependency_names": (
        "wasm_component_model_dependency_names",
        True,
        "imports named url=<...>, integrity=<...>, locked-dep=<...> and unlocked-dep=<...>, which the specification had until July 2026",
    ),
}


def off(field: str, what: str) -> str:
    """The reason for refusing what a Config has off."""
    return f"{what} is not enabled in this engine's config: Config.{SWITCHES[field][0]}"
