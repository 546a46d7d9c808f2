"""Engine: the settings and the type registry that modules and components of one kind of configuration share."""

from __future__ import annotations

import itertools
import os
from typing import Any

from wasmrt._native import core, images, options
from wasmrt.errors import ArgumentTypeError, WasmError

from .allocation import allocator
from .cache import Cache, log
from .config import Config
from .pickling import name_engine, restore_engine
from .progress import Report, watched

GUARDED_RESERVATION = 1 << 32

# CompiledModuleId: one counter for modules and components, unique in the process.
_compiled_ids = itertools.count(1)


def next_compiled_module_id() -> int:
    return next(_compiled_ids)


class Engine:
    """Compiles modules and components, and holds the types they share. Immutable and safe to share between threads.

    >>> engine = Engine()
    """

    def __repr__(self) -> str:
        return f"<wasmrt.Engine {self.config!r}>"

    def __init__(self, config: Config | None = None) -> None:
        if config is None:
            config = Config()
        elif not isinstance(config, Config):
            raise ArgumentTypeError(f"expected a Config, got {type(config).__name__}")
        self.config = config.copy()
        self.wasm_features = self.config.wasm_features
        host, baseline = core.cpu_features()
        if host & baseline != baseline:
            raise WasmError("this CPU lacks features of x86-64-v2, which wasmrt needs")
        guarded = (
            self.config.signals_based_traps
            and self.config.memory_reservation >= GUARDED_RESERVATION
            and address_space_allows(self.config.memory_reservation + self.config.memory_guard_size)
        )
        self.tunables = core.Tunables(
            cpu_features=baseline if self.config.portable else host,
            memory_reservation=self.config.memory_reservation,
            memory_guard_bytes=self.config.memory_guard_size,
            guarded_memories=guarded,
            signals_based_traps=self.config.signals_based_traps,
            consume_fuel=self.config.consume_fuel,
            nan_canonicalization=self.config.cranelift_nan_canonicalization,
            relaxed_simd_deterministic=self.config.wasm_relaxed_simd_deterministic,
            debug_checks=self.config.debug_checks,
            careful_functions=self.config.careful_functions,
        )
        self.allocator = allocator(self.tunables, self.config.allocation_strategy)
        self.cache = self._open_cache()
        self.profiler = self.config.profiler if self.config.profiler in ("perfmap", "jitdump") else None
        if self.config.profiler == "gdb":
            images.announce_all_to_gdb()
        self.types = core.TypeRegistry()
        self.epoch = core.EpochCounter()
        self._token = name_engine(self)
        self.store_settings = core.StoreSettings(
            self.types,
            self.epoch,
            self.config.max_wasm_stack,
            self.config.epoch_interruption,
            options.make_options(self.config.gil, self.config.results, self.config.copy_results, self.config.timeout),
            self.allocator.pool,
            self.config.memory_init_cow,
            self.config.gc_stress,
        )
        if self.config.signals_based_traps:
            core.install_signal_handlers()

    def _open_cache(self) -> Cache | None:
        """A folder that was named must be usable; a machine without the default one only goes without."""
        wanted = self.config.cache
        if wanted is None:
            return None
        try:
            return Cache(wanted, self.config.compiled_settings, self.tunables, self.wasm_features)
        except (WasmError, RuntimeError) as error:  # RuntimeError: no home
            if wanted.directory is not None:
                raise
            log("cache: off: %s", error)
            return None

    @property
    def compile_threads(self) -> int:
        """Threads of one compilation: 0 is one per core."""
        return 0 if self.config.parallel_compilation else 1

    def __reduce__(self) -> tuple[object, ...]:
        """As Config: another process makes its own engine, once; in this one it is this engine."""
        return restore_engine, (type(self), self.config, self._token)

    def increment_epoch(self) -> None:
        """Advances the epoch; stores whose deadline has passed trap at their next check. Safe from any thread."""
        self.epoch.increment()

    def is_pulley(self) -> bool:
        """False: guest code is always native machine code."""
        return False

    def precompile_component(self, source: Any, *, progress: Report | None = None) -> bytes:
        """Compiles a component, binary or text, to an artifact for `Component.deserialize`, without making it executable here. Raises what `Component` does."""
        from .component import Component, component_image
        from .source import binary_of

        if self.cache is not None:
            return Component(self, source, progress=progress).serialize()
        image = watched(progress, lambda seen: component_image(self, binary_of(source, "Component"), False, seen))
        assert isinstance(image, bytes)
        return image

    def precompile_module(self, source: Any, *, progress: Report | None = None) -> bytes:
        """Compiles a module, binary or text, to an artifact for `Module.deserialize`, without making it executable here. Raises what `Module` does."""
        from .module import Module, module_image
        from .source import binary_of

        if self.cache is not None:
            return Module(self, source, progress=progress).serialize()
        image = watched(progress, lambda seen: module_image(self, binary_of(source, "Module"), False, seen))
        assert isinstance(image, bytes)
        return image

    @staticmethod
    def detect_precompiled(data: Any) -> str | None:
        """`"module"`, `"component"`, or None when these bytes (the first 4 KiB are enough) do not start an artifact. Says nothing of whether it fits."""
        return {1: "module", 2: "component"}.get(images.CodeMemory.detect(memoryview(data)[:4096]))

    @staticmethod
    def detect_precompiled_file(path: str | os.PathLike[str]) -> str | None:
        """The same, from the first bytes of a file."""
        with open(path, "rb") as file:
            return Engine.detect_precompiled(file.read(4096))


def address_space_allows(size: int) -> bool:
    """Whether a few reservations of `size` bytes fit under RLIMIT_AS."""
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return soft == resource.RLIM_INFINITY or soft >= 16 * size
