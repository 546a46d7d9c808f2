"""Owns how `csrc/**/*.c` becomes one shared library, `libwasmrt.so`, and how C unit tests link with it.

Why not setuptools: the library is plain C that Cython extensions share; it wants hidden visibility, incremental and
parallel compiling by header dependencies (-MMD), and sanitizer variants beside the normal build. A variant differs in
the library alone: the extensions find it by RUNPATH $ORIGIN, so LD_LIBRARY_PATH swaps in build/<variant>/lib.

    python tools/native_build.py [--variant release|debug|asan|ubsan] [--tests [NAME ...]]

Environment: CC, CFLAGS (appended), WRT_JOBS (parallel compiles), CI (warnings become errors),
WRT_SANITIZE=address,undefined and WRT_DEBUG=1 (what the variants set).
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIBRARY = "libwasmrt.so"

STANDARD = ["-std=c11", "-D_GNU_SOURCE", "-fvisibility=hidden", "-fno-omit-frame-pointer", "-pthread", "-fPIC"]
WARNINGS = ["-Wall", "-Wextra", "-Wshadow", "-Wconversion"]
VARIANTS = {
    "release": {},
    "debug": {"WRT_DEBUG": "1"},
    "asan": {"WRT_DEBUG": "1", "WRT_SANITIZE": "address,undefined"},
    "ubsan": {"WRT_DEBUG": "1", "WRT_SANITIZE": "undefined"},
}


class BuildError(SystemExit):
    """Ends the build with one line that says what to do."""

    def __init__(self, message: str) -> None:
        super().__init__(f"wasmrt: {message}")


def check_host() -> None:
    """Raise BuildError unless this machine can build wasmrt."""
    if sys.platform != "linux" or platform.machine() not in ("x86_64", "AMD64"):
        raise BuildError(f"needs Linux on x86-64, this is {sys.platform} on {platform.machine() or 'an unknown machine'}")
    if sys.version_info < (3, 11):
        raise BuildError(f"needs Python 3.11 or later, this is {platform.python_version()}")
    compiler = compiler_command()[0]
    if shutil.which(compiler) is None:
        raise BuildError(f"no C compiler `{compiler}`: apt-get install gcc (or set CC)")
    header = Path(sysconfig.get_path("include")) / "Python.h"
    if not header.exists():
        raise BuildError(f"Python.h not found (looked for {header}): apt-get install python3-dev")


def compiler_command() -> list[str]:
    return shlex.split(os.environ.get("CC", "gcc"))


def base_flags() -> list[str]:
    """What the library and the extensions have in common."""
    return ["-std=c11", "-O2", "-g1", "-fvisibility=hidden", "-fno-omit-frame-pointer", "-pthread"]


def library_flags() -> list[str]:
    sanitize = os.environ.get("WRT_SANITIZE", "")
    flags = [*STANDARD, *WARNINGS]
    if sanitize:
        # recovering would let a test pass over undefined behaviour
        flags += ["-O1", "-g", f"-fsanitize={sanitize}", "-fno-sanitize-recover=undefined"]
    elif os.environ.get("WRT_DEBUG"):
        flags += ["-O1", "-g"]
    else:
        flags += ["-O2", "-g1"]
    if os.environ.get("WRT_DEBUG"):
        flags.append("-DWR_DEBUG=1")
    else:
        flags.append("-DNDEBUG")
    if os.environ.get("CI"):
        flags.append("-Werror")
    # recorded in artifacts
    flags += [f"-DWR_VERSION_{part}={number}" for part, number in zip(("MAJOR", "MINOR", "PATCH"), version(), strict=True)]
    return [*flags, f"-I{ROOT / 'include'}", f"-I{ROOT / 'csrc'}", *shlex.split(os.environ.get("CFLAGS", ""))]


def version() -> tuple[int, int, int]:
    found = re.search(r'__version__ = "(\d+)\.(\d+)\.(\d+)', (Path(__file__).resolve().parent.parent / "wasmrt" / "_version.py").read_text())
    assert found is not None
    major, minor, patch = map(int, found.groups())
    return major, minor, patch


def jobs() -> int:
    return int(os.environ.get("WRT_JOBS", "0")) or os.cpu_count() or 1


def _dependencies(depfile: Path) -> list[Path] | None:
    """The files a depfile names, None if there is no depfile."""
    try:
        text = depfile.read_text()
    except OSError:
        return None
    _, _, names = text.replace("\\\n", " ").partition(":")
    return [ROOT / name.replace("\\ ", " ") for name in shlex.split(names.split("\n")[0])]


def _stale(product: Path, dependencies: list[Path] | None) -> bool:
    if dependencies is None or not product.exists():
        return True
    made = product.stat().st_mtime_ns
    try:
        return any(path.stat().st_mtime_ns > made for path in dependencies)
    except OSError:
        return True


def _compile(source: Path, product: Path, flags: list[str]) -> str | None:
    """Compile one file; None or the compiler's complaint."""
    product.parent.mkdir(parents=True, exist_ok=True)
    depfile = product.with_suffix(".d")
    partial = product.with_suffix(".o.tmp")
    command = [*compiler_command(), *flags, "-MMD", "-MF", str(depfile), "-c", str(source), "-o", str(partial)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.stderr:
        sys.stderr.write(done.stderr)
    if done.returncode != 0:
        return f"compiling {source.relative_to(ROOT)} failed (see above)"
    partial.replace(product)
    return None


def compile_sources(objects: Path, sources: list[Path]) -> list[Path]:
    """Compile what changed, in parallel; return the object files."""
    flags = library_flags()
    digest = hashlib.sha256("\0".join([*compiler_command(), *flags]).encode()).hexdigest()[:12]
    folder = objects / digest
    products = [folder / source.relative_to(ROOT).with_suffix(".o") for source in sources]
    work = [
        (source, product)
        for source, product in zip(sources, products, strict=True)
        if _stale(product, _dependencies(product.with_suffix(".d")))
    ]
    if work:
        started = time.monotonic()
        with ThreadPoolExecutor(jobs()) as pool:
            failures = [text for text in pool.map(lambda pair: _compile(*pair, flags), work) if text]
        if failures:
            raise BuildError("; ".join(failures))
        print(f"compiled {len(work)} of {len(sources)} C files in {time.monotonic() - started:.1f} s")
    return products


def library_sources() -> list[Path]:
    return sorted((ROOT / "csrc").rglob("*.c"))


def build_library(target: Path, objects: Path) -> bool:
    """Make `target` (a path ending in libwasmrt.so) up to date; False if there are no C sources."""
    sources = library_sources()
    if not sources:
        return False
    products = compile_sources(objects, sources)
    # a removed source changes the list but no time stamp
    listing = objects / f"{hashlib.sha256(str(target).encode()).hexdigest()[:12]}.link"
    names = "\n".join(map(str, products))
    if not _stale(target, products) and listing.exists() and listing.read_text() == names:
        return True
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + ".tmp")
    sanitize = [flag for flag in library_flags() if flag.startswith("-fsanitize")]
    # -z defs: an undefined symbol is found here, not at import; a sanitized library gets its symbols by preloading
    defs = [] if sanitize else ["-Wl,-z,defs"]
    hardening = ["-Wl,-z,noexecstack", "-Wl,-z,relro", "-Wl,-z,now"]
    link = ["-shared", "-pthread", f"-Wl,-soname,{LIBRARY}", *hardening, *defs, *sanitize]
    done = subprocess.run([*compiler_command(), *map(str, products), *link, "-lm", "-o", str(partial)], cwd=ROOT)
    if done.returncode != 0:
        raise BuildError(f"linking {LIBRARY} failed (see above)")
    # replaced, not rewritten: a process that has the old one mapped goes on undisturbed
    partial.replace(target)
    listing.write_text(names)
    return True


def build_tests(objects: Path, out: Path, names: list[str]) -> list[Path]:
    """Link each tests/c/test_*.c with all of csrc (hidden symbols included); return the programs."""
    chosen = [path for path in sorted((ROOT / "tests" / "c").glob("test_*.c")) if not names or path.stem in names]
    missing = set(names) - {path.stem for path in chosen}
    if missing:
        raise BuildError(f"no such C test: {', '.join(sorted(missing))}")
    if not chosen:
        return []
    library = compile_sources(objects, library_sources())
    tests = compile_sources(objects, chosen)
    sanitize = [flag for flag in library_flags() if flag.startswith("-fsanitize")]
    out.mkdir(parents=True, exist_ok=True)
    programs = []
    for product in tests:
        program = out / product.stem
        programs.append(program)
        if not _stale(program, [*library, product]):
            continue
        command = [*compiler_command(), str(product), *map(str, library), "-pthread", *sanitize, "-lm", "-o", str(program)]
        if subprocess.run(command, cwd=ROOT).returncode != 0:
            raise BuildError(f"linking {product.stem} failed (see above)")
    return programs


def run_tests(programs: list[Path]) -> int:
    """Run each program with a time limit; return the number that failed."""
    environment = dict(os.environ)
    # handlers of ours must see SIGSEGV first; leaks are checked in C tests since nothing else owns memory there
    environment.setdefault("ASAN_OPTIONS", "handle_segv=0:handle_sigbus=0:handle_sigfpe=0:allow_user_segv_handler=1")
    environment.setdefault("UBSAN_OPTIONS", "print_stacktrace=1:halt_on_error=1")
    failed = 0
    for program in programs:
        started = time.monotonic()
        try:
            code = subprocess.run([str(program)], cwd=ROOT, env=environment, timeout=300).returncode
        except subprocess.TimeoutExpired:
            code = -1
        verdict = "ok" if code == 0 else f"FAILED (exit {code})"
        print(f"{program.name:32} {verdict:20} {time.monotonic() - started:6.2f} s", flush=True)
        failed += code != 0
    print(f"C tests: {len(programs) - failed} passed, {failed} failed")
    return failed


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--variant", choices=VARIANTS, default="release")
    parser.add_argument("--check-host", action="store_true", help="only look whether this machine can build wasmrt")
    parser.add_argument("--tests", nargs="*", metavar="NAME", help="build and run C tests instead of the library")
    options = parser.parse_args()
    os.environ.update(VARIANTS[options.variant])
    check_host()
    if options.check_host:
        return 0
    objects = ROOT / "build" / options.variant / "obj"
    if options.tests is not None:
        return 1 if run_tests(build_tests(objects, ROOT / "build" / options.variant / "tests", options.tests)) else 0
    library = ROOT / "wasmrt" / "_native" / LIBRARY
    if options.variant != "release":
        library = ROOT / "build" / options.variant / "lib" / LIBRARY
    if not build_library(library, objects):
        print("no C sources under csrc/")
    return 0


if __name__ == "__main__":
    sys.exit(main())
