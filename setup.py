"""Builds the tables, `libwasmrt.so` and the Cython extensions; everything else is in pyproject.toml.

Each `wasmrt/_native/*.pyx` is one extension, linked to the one C library beside it (RUNPATH $ORIGIN). The library comes
first (tools/native_build.py), the Python tables of `include/wasmrt/*.def` before everything (tools/gen_tables.py).
"""

import os
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT))
os.chdir(ROOT)

from tools import gen_tables, native_build  # noqa: E402

NATIVE = Path("wasmrt/_native")


class BuildNative(build_ext):
    """The C library, then the extensions."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.parallel = self.parallel or native_build.jobs()

    def run(self) -> None:
        native_build.check_host()
        objects = ROOT / "build" / "release" / "obj"
        # setuptools builds in build_lib and copies to the source tree afterwards for an editable install
        folders = [Path(self.build_lib) / NATIVE]
        if self.inplace or getattr(self, "editable_mode", False):
            folders = [NATIVE]
        for folder in folders:
            native_build.build_library((ROOT / folder / native_build.LIBRARY), objects)
            self.library_dirs.append(str(ROOT / folder))
        super().run()

    def build_extension(self, ext: Extension) -> None:
        ext.library_dirs = [*self.library_dirs, *(ext.library_dirs or [])]
        super().build_extension(ext)

    def get_outputs(self) -> list[str]:
        return [*super().get_outputs(), str(Path(self.build_lib) / NATIVE / native_build.LIBRARY)]


def extensions() -> list[Extension]:
    sources = sorted(NATIVE.glob("*.pyx"))
    if not sources or not native_build.library_sources():
        return []
    native_build.check_host()
    try:
        from Cython.Build import cythonize
    except ImportError:
        raise native_build.BuildError(
            "Cython 3 is missing: pip install 'cython>=3.0' (or build without --no-build-isolation)"
        ) from None
    headers = [str(path) for path in sorted(NATIVE.glob("*.h"))]
    headers += [str(path) for pattern in ("*.h", "*.def") for path in sorted(Path("include").rglob(pattern))]
    modules = [
        Extension(
            f"wasmrt._native.{source.stem}",
            [str(source)],
            include_dirs=["include", "csrc"],
            libraries=["wasmrt"],
            # no jump tables: what runs plans switches on few ops, and a jump through a register costs more than comparing (10 of 80 ns of a small call)
            extra_compile_args=[*native_build.base_flags(), "-Wno-unused-function", "-Wno-maybe-uninitialized", "-fno-jump-tables"],
            extra_link_args=["-Wl,-rpath,$ORIGIN", "-Wl,--enable-new-dtags", "-pthread"],
            depends=headers,
        )
        for source in sources
    ]
    return cythonize(
        modules,
        build_dir="build/cython",
        language_level=3,
        annotate=bool(os.environ.get("WRT_ANNOTATE")),
        compiler_directives={"embedsignature": True, "embedsignature.format": "python"},
        quiet=True,
    )


try:
    gen_tables.generate()
except gen_tables.TableError as error:
    raise native_build.BuildError(f"malformed table {error}") from None

setup(ext_modules=extensions(), cmdclass={"build_ext": BuildNative})
