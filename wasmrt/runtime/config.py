"""Config: what an Engine compiles for and how its guests run. One table of options; feature switches come from include/wasmrt/features.def.

Names are wasmtime-py's, where every option is write-only; here they can be read too. Options that only choose among Cranelift's own settings are
accepted and checked for their type, so that programs written for the peer run, and have no effect.
"""

from __future__ import annotations

from typing import Any

from wasmrt.errors import ArgumentTypeError, ArgumentValueError, WasmError
from wasmrt.spec._gen import features
from wasmrt.spec.features import SWITCHES

from .allocation import strategy_of
from .cache import cache_config
from .pickling import restore_config

# name: (type, default, what it does)
OPTIONS: dict[str, tuple[type, Any, str]] = {
    "epoch_interruption": (bool, False, "guest code traps once the engine's epoch passes the store's deadline"),
    "consume_fuel": (bool, False, "guest code counts instructions and traps when Store.set_fuel's amount is used up"),
    "max_wasm_stack": (int, 512 * 1024, "bytes of stack that guest code may use in one outermost call"),
    "parallel_compilation": (bool, True, "compile large modules on all cores"),
    "memory_reservation": (int, 1 << 32, "bytes of address space that a 32-bit memory reserves"),
    "memory_guard_size": (int, 32 << 20, "bytes of unmapped guard after the reservation"),
    "memory_init_cow": (bool, True, "map dense initial memory contents copy-on-write"),
    "signals_based_traps": (bool, True, "use hardware faults for traps; off compiles explicit checks"),
    "cranelift_nan_canonicalization": (bool, False, "every NaN that arithmetic makes is the canonical one"),
    "wasm_relaxed_simd_deterministic": (bool, False, "relaxed SIMD computes the same on all machines, not what is fastest on this one"),
    "gc_stress": (bool, False, "collect before every object and exception that a guest makes, to find what a collection misses"),
    "debug_checks": (bool, False, "compile checks of the compiler's own invariants into guest code"),
    "careful_functions": (
        tuple,
        (0, 0),
        "(first, end): functions of modules with these indices are compiled one instruction at a time, to find a miscompile",
    ),
    "portable": (bool, False, "use only the CPU features of x86-64-v2, so that artifacts run on other machines"),
    "wasm_component_model": (bool, True, "components at all"),
    **{name: (bool, default, meaning) for name, default, meaning in SWITCHES.values()},
    "cache": (object, None, "keep what is compiled in a folder: True, its path, or a CacheConfig"),
    "profiler": (str, "none", 'tell `perf` of compiled functions: "perfmap" or "jitdump"; or a debugger: "gdb"'),
    "shared_memory": (bool, False, "shared memories can be made by the host"),
    "gil": (str, None, "of calls: None lets go of the GIL after about a millisecond in guest code, 'hold' never, 'release' at once"),
    "results": (str, None, "lists of numbers in results: None (bytes or lists), 'memoryview', 'array' or 'numpy'"),
    "copy_results": (bool, True, "off: such results are views on guest memory until they are released"),
    "timeout": (float, None, "seconds after which one call of guest code is interrupted; None: no limit"),
    "allocation_strategy": (object, None, '"on-demand" (None), "pooling", or a PoolingAllocationConfig: where instances come from'),
}

# Accepted for programs written for the peer; without effect here.
INERT: dict[str, type] = {
    "debug_info": bool,
    "strategy": str,
    "cranelift_debug_verifier": bool,
    "cranelift_opt_level": str,
    "gc_support": bool,
    "memory_may_move": bool,
    "memory_reservation_for_growth": int,
    "native_unwind_info": bool,
    "macos_use_mach_ports": bool,
    "wasm_stack_switching": bool,
}

PROFILERS = ("none", "perfmap", "jitdump", "gdb", "vtune")  # the last is the peer's, and does nothing

# Options that do not change what is compiled. All others are part of a cache entry's name.
RUN_TIME = {
    "allocation_strategy", "cache", "epoch_interruption", "gc_stress", "max_wasm_stack", "memory_init_cow", "parallel_compilation", "profiler", "shared_memory",
}  # fmt: skip

FEATURE_ROWS = {row.attribute: row for row in features.WASM_FEATURE if row.attribute}


class Config:
    """Options of an Engine. Set attributes before giving it to `Engine(config)`; an engine keeps its own copy.

    >>> config = Config()
    >>> config.consume_fuel = True
    >>> config.wasm_multi_memory = False

    Raises ArgumentTypeError for a value of the wrong type and AttributeError for an unknown option.
    """

    __slots__ = ("_features", "_values")

    def __init__(self, **options: Any) -> None:
        object.__setattr__(self, "_values", {name: default for name, (_, default, _) in OPTIONS.items()})
        bits = 0
        for row in features.WASM_FEATURE:
            bits |= row.default_on << row.bit
        object.__setattr__(self, "_features", bits)
        for name, value in options.items():
            setattr(self, name, value)

    def __repr__(self) -> str:
        plain = Config()
        changed = (f"{name}={getattr(self, name)!r}" for name in (*OPTIONS, *FEATURE_ROWS) if getattr(self, name) != getattr(plain, name))
        return f"Config({', '.join(changed)})"

    def __setattr__(self, name: str, value: Any) -> None:
        if name in FEATURE_ROWS:
            _check(name, value, bool)
            bit = 1 << FEATURE_ROWS[name].bit
            features_now = self._features | bit if value else self._features & ~bit
            object.__setattr__(self, "_features", features_now)
        elif name == "cache":
            self._values[name] = cache_config(value)
        elif name == "allocation_strategy":
            self._values[name] = strategy_of(value)
        elif name in OPTIONS:
            if not (value is None and OPTIONS[name][1] is None):
                _check(name, value, (int, float) if OPTIONS[name][0] is float else OPTIONS[name][0])
            if OPTIONS[name][0] is int and value < 0:
                raise ArgumentValueError(f"Config.{name} cannot be negative")
            if name == "profiler" and value not in PROFILERS:
                raise ArgumentValueError(f"Config.profiler: expected one of {', '.join(PROFILERS)}, got {value!r}")
            if name == "careful_functions" and not _is_range(value):
                raise ArgumentValueError(f"Config.{name}: expected two function indices")
            self._values[name] = value
        elif name in INERT:
            _check(name, value, INERT[name])
        elif name == "target":
            if value not in ("x86_64-unknown-linux-gnu", "x86_64-linux", "x86_64"):
                raise WasmError(f"target {value!r} is not supported: wasmrt compiles for x86_64-unknown-linux-gnu")
        else:
            raise AttributeError(f"Config has no option {name!r}")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if name in FEATURE_ROWS:
            return bool(self._features >> FEATURE_ROWS[name].bit & 1)
        try:
            return self._values[name]
        except KeyError:
            raise AttributeError(f"Config has no option {name!r}") from None

    def __dir__(self) -> list[str]:
        return sorted([*OPTIONS, *FEATURE_ROWS, *INERT, "target"])

    @property
    def wasm_features(self) -> int:
        """WASM_FEATURE bits that are on."""
        return int(self._features)

    @property
    def compiled_settings(self) -> bytes:
        """All that decides what is compiled, as bytes to hash."""
        values = {name: value for name, value in sorted(self._values.items()) if name not in RUN_TIME}
        return repr((self._features, values)).encode()

    def copy(self) -> Config:
        """An independent copy."""
        other = Config()
        object.__setattr__(other, "_values", dict(self._values))
        object.__setattr__(other, "_features", self._features)
        return other

    __copy__ = copy

    def __deepcopy__(self, memo: object) -> Config:
        return self.copy()

    def __reduce__(self) -> tuple[Any, ...]:
        defaults = Config()
        names = [*OPTIONS, *FEATURE_ROWS]
        changed = {name: getattr(self, name) for name in names if getattr(self, name) != getattr(defaults, name)}
        return restore_config, (type(self), changed)

    def cranelift_flag_enable(self, flag: str) -> None:
        """Accepted for programs written for the peer; without effect."""
        _check("cranelift_flag_enable", flag, str)

    def cranelift_flag_set(self, key: str, value: str) -> None:
        """Accepted for programs written for the peer; without effect."""
        _check("cranelift_flag_set", key, str)
        _check("cranelift_flag_set", value, str)


def _is_range(value: tuple[Any, ...]) -> bool:
    return len(value) == 2 and all(type(end) is int and 0 <= end < 1 << 32 for end in value)


def _check(name: str, value: Any, wanted: type | tuple[type, ...]) -> None:
    if not isinstance(value, wanted) or (wanted in (int, (int, float)) and isinstance(value, bool)):
        expected = "a number" if isinstance(wanted, tuple) else wanted.__name__
        raise ArgumentTypeError(f"Config.{name}: expected {expected}, got {type(value).__name__}")
