"""Compress and decompress numpy arrays through a real WebAssembly component (`make demo`).

The component is `codec.wasm` of a published package numcodecs-wasm-<name>: it exports the interface numcodecs:abc/codec,
with a resource `codec` that is made from a JSON configuration. All of that family work, by name or by path:

    python examples/demo_codec.py                  zstd
    python examples/demo_codec.py bit-round        a lossy one, checked against its error bound
    python examples/demo_codec.py some/codec.wasm --config '{"level": 3}' --dtype float32 --bound 1e-3
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import wasmrt
from tools.fetch import FetchError, codec_path
from wasmrt.component import Component, Linker, Variant

INTERFACE = "numcodecs:abc/codec"
LEVELS = ("trace", "debug", "info", "warn", "error", "critical")
FLOATS = ("float32", "float64")
WORDS = ("uint16", "int16", "uint32", "int32", "uint64", "int64", *FLOATS)
ALL = ("uint8", "int8", *WORDS)
CASES = {"uint8": "u8", "uint16": "u16", "uint32": "u32", "uint64": "u64", "float32": "f32", "float64": "f64"}
CASES |= {"int8": "i8", "int16": "i16", "int32": "i32", "int64": "i64"}
DTYPES = {case: np.dtype(name) for name, case in CASES.items()}


@dataclass(frozen=True)
class Setting:
    """How to use one codec of the family: `bound` is the largest absolute error that it may make, 0 for a lossless one."""

    config: dict[str, Any] = field(default_factory=dict)
    dtypes: tuple[str, ...] = ALL
    bound: float = 0.0
    shape: tuple[int, ...] = (-1, 256)


# keyed by what the component's own codec-id says, so that a path is as good as a name
SETTINGS = {
    "zstd.rs": Setting({"level": 3}),
    "zlib.rs": Setting({"level": 6}),
    "identity.rs": Setting(),
    "pco.rs": Setting({"level": 8, "mode": "auto", "delta": "auto", "paging": "equal-pages-up-to"}, WORDS),
    "bit-round.rs": Setting({"mode": "abs", "eb_abs": 1e-3}, FLOATS, 1e-3),
    "round.rs": Setting({"precision": 1e-2}, FLOATS, 1e-2),
    "stochastic-rounding.rs": Setting({"precision": 1e-2, "seed": 42}, FLOATS, 2e-2),
    "uniform-noise.rs": Setting({"scale": 1e-2, "seed": 42}, FLOATS, 1e-2),
    "linear-quantize.rs": Setting({"dtype": "float32", "bits": 16}, ("float32",), 1e-2),
    "fixed-offset-scale.rs": Setting({"offset": 1.0, "scale": 2.0}, FLOATS, 1e-4),
    "asinh.rs": Setting({"linear_width": 1.0}, FLOATS, 1e-2),
    "log.rs": Setting({}, FLOATS, 1e-2),
    "reinterpret.rs": Setting({"encode_dtype": "uint32", "decode_dtype": "float32"}, ("float32",)),
    "swizzle-reshape.rs": Setting({"axes": [[1], [0]]}),
    "zfp.rs": Setting({"mode": "fixed-accuracy", "tolerance": 1e-3}, FLOATS, 1e-3),
    "jpeg2000.rs": Setting({"mode": "lossless"}, ("uint8", "int8", "uint16", "int16")),
    "sperr.rs": Setting({"mode": "pwe", "pwe": 1e-3}, FLOATS, 1e-3),
    "sz3.rs": Setting({"eb_mode": "abs", "eb_abs": 1e-3}, FLOATS, 1e-3),
    "tthresh.rs": Setting({"eb_mode": "psnr", "eb_psnr": 80.0}, FLOATS, 1.0, (-1, 64, 64)),
}


class CodecError(Exception):
    """The guest returned its `error` record."""


def unwrap(result: Any) -> Any:
    """The payload of a WIT result, or CodecError with the chain of messages of its error."""
    failed = hasattr(result, "message") and hasattr(result, "chain")
    if isinstance(result, Variant):
        failed, result = result.tag == "err", result.payload
    if failed:
        raise CodecError("; ".join([result.message, *result.chain]))
    return result


class Codec:
    """The guest's resource `codec`, with numpy arrays going in and coming out."""

    def __init__(self, store: wasmrt.Store, instance: Any, component: Component, config: dict[str, Any] | None) -> None:
        interface = next(name for name in component.type.exports(store.engine) if name.startswith(INTERFACE))
        index = component.get_export_index(interface)
        self._functions = {
            name: instance.get_func(component.get_export_index(name, index))
            for name in ("codec-id", "[static]codec.from-config", "[method]codec.encode", "[method]codec.decode")
        }
        self.id = self._functions["codec-id"]()
        self.setting = SETTINGS.get(self.id, Setting())
        self.config = self.setting.config if config is None else config
        self._handle = unwrap(self._functions["[static]codec.from-config"](json.dumps(self.config)))

    def _run(self, method: str, array: np.ndarray) -> np.ndarray:
        # a contiguous array is lowered as it lies in memory
        items = np.ascontiguousarray(array)
        argument = {"data": Variant(CASES[items.dtype.name], items.reshape(-1)), "shape": list(items.shape)}
        result = unwrap(self._functions[f"[method]codec.{method}"](self._handle, argument))
        dtype = DTYPES[result.data.tag]
        payload = result.data.payload
        flat = np.frombuffer(payload, dtype) if isinstance(payload, bytes) else np.asarray(payload, dtype)
        return flat.reshape(result.shape)

    def encode(self, array: np.ndarray) -> np.ndarray:
        return self._run("encode", array)

    def decode(self, array: np.ndarray) -> np.ndarray:
        return self._run("decode", array)

    def close(self) -> None:
        self._handle.drop()


def sample(dtype: str, items: int, shape: tuple[int, ...]) -> np.ndarray:
    """Data such as measurements are: smooth with noise in the last digits, never zero or negative."""
    noise = np.random.default_rng(7)
    steps = np.arange(items, dtype=np.float64)
    wave = 60 + 40 * np.sin(steps / 97) + 15 * np.sin(steps / 1013) + noise.normal(0, 0.5, items)
    wave = np.clip(wave, 1, 126)
    flat = np.round(wave, 2).astype(dtype) if dtype in FLOATS else wave.astype(dtype)
    return flat.reshape(shape)


@dataclass
class Row:
    dtype: str
    raw_bytes: int = 0
    coded_bytes: int = 0
    encode_seconds: float = 0.0
    decode_seconds: float = 0.0
    error: float = 0.0


def run(codec: Codec, dtypes: tuple[str, ...], megabytes: float, bound: float, progress: Progress) -> list[Row]:
    """Every dtype through the codec in pieces of half a megabyte, compared with what went in."""
    piece_bytes = 1 << 19
    pieces = max(1, round(megabytes * 1e6 / piece_bytes))
    task = progress.add_task(codec.id, total=pieces * len(dtypes))
    rows = []
    for dtype in dtypes:
        row = Row(dtype)
        rows.append(row)
        data = sample(dtype, pieces * piece_bytes // np.dtype(dtype).itemsize, codec.setting.shape)
        for piece in np.array_split(data, pieces):
            progress.update(task, description=f"{codec.id} {dtype}")
            started = time.perf_counter()
            coded = codec.encode(piece)
            middle = time.perf_counter()
            back = codec.decode(coded)
            row.decode_seconds += time.perf_counter() - middle
            row.encode_seconds += middle - started
            row.raw_bytes += piece.nbytes
            row.coded_bytes += coded.nbytes
            if back.dtype != piece.dtype or back.shape != piece.shape:
                raise SystemExit(f"{dtype}: got {back.dtype}{back.shape} back for {piece.dtype}{piece.shape}")
            if bound:
                row.error = max(row.error, float(np.max(np.abs(back.astype(float) - piece.astype(float)))))
                equal = row.error <= bound
            else:
                equal = bool(np.array_equal(back, piece))
            if not equal:
                raise SystemExit(f"{dtype}: what came back differs (largest error {row.error:g}, allowed {bound:g})")
            progress.advance(task)
    return rows


def table(rows: list[Row], bound: float) -> Table:
    result = Table("dtype", "MB", "ratio", "compress MB/s", "decompress MB/s", "check")
    for column in result.columns[1:5]:
        column.justify = "right"
    for row in rows:
        check = f"error {row.error:.1g} <= {bound:g}" if bound else "equal"
        ratio, megabytes = row.raw_bytes / row.coded_bytes, row.raw_bytes / 1e6
        speeds = f"{megabytes / row.encode_seconds:.1f}", f"{megabytes / row.decode_seconds:.1f}"
        result.add_row(row.dtype, f"{megabytes:.1f}", f"{ratio:.2f}", *speeds, check)
    return result


@click.command(help=__doc__)
@click.argument("codec", default="zstd")
@click.option("--config", help="JSON configuration for the codec")
@click.option("--dtype", "dtypes", multiple=True, type=click.Choice(ALL), help="only these dtypes")
@click.option("--megabytes", default=2.0, show_default=True, help="how much of each dtype")
@click.option("--bound", type=float, help="largest absolute error allowed (0: must be equal)")
def main(codec: str, config: str | None, dtypes: tuple[str, ...], megabytes: float, bound: float | None) -> None:
    console = Console()
    try:
        path = Path(codec) if codec.endswith(".wasm") else codec_path(codec)
    except FetchError as error:
        raise SystemExit(str(error)) from None

    engine = wasmrt.Engine()
    started = time.perf_counter()
    component = Component.from_file(engine, str(path))
    compile_seconds = time.perf_counter() - started
    size = path.stat().st_size
    console.print(f"{codec}: {size / 1e6:.2f} MB compiled in {compile_seconds * 1e3:.0f} ms ({size / 1e6 / compile_seconds:.1f} MB/s)")

    def log(_store: object, level: str, context: str, message: str) -> None:
        if LEVELS.index(level) >= LEVELS.index("warn"):
            console.print(f"guest {level}: {context}: {message}", markup=False)

    linker = Linker(engine)
    linker.add_wasip2()
    with linker.root() as root, root.add_instance("wasi:logging/logging") as logging:
        logging.add_func("log", log)
    store = wasmrt.Store(engine)
    instance = linker.instantiate(store, component)
    guest = Codec(store, instance, component, json.loads(config) if config else None)
    allowed = guest.setting.bound if bound is None else bound
    columns = TextColumn("{task.description:24}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console) as progress:
        rows = run(guest, dtypes or guest.setting.dtypes, megabytes, allowed, progress)
    guest.close()

    console.print(table(rows, allowed))
    raw, coded = sum(row.raw_bytes for row in rows), sum(row.coded_bytes for row in rows)
    encode = raw / 1e6 / sum(row.encode_seconds for row in rows)
    decode = raw / 1e6 / sum(row.decode_seconds for row in rows)
    kind = f"within {allowed:g}" if allowed else "equal"
    # one plain line last, for scripts and the README
    print(
        f"ok: {raw / 1e6:.1f} MB through {guest.id} {json.dumps(guest.config)}: {kind}, ratio {raw / coded:.2f}, "
        f"compile {compile_seconds * 1e3:.0f} ms, compress {encode:.1f} MB/s, decompress {decode:.1f} MB/s"
    )


if __name__ == "__main__":
    main()
