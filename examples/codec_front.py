"""A published codec component, used as a Python object: compress and decompress bytes."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import wasmrt
from tools.fetch import codec_path
from wasmrt.component import Variant


def log(level: str, context: str, message: str) -> None:
    print(f"{level}: {context}: {message}", file=sys.stderr)


codec = wasmrt.load(codec_path("zstd"), {"logging": {"log": log}}).codec
data = b"What repeats compresses. " * 1000
with codec.Codec.from_config('{"level": 3}') as zstd:
    packed = zstd.encode({"data": Variant("u8", data), "shape": [len(data)]})
    back = zstd.decode(packed)
assert back.data.payload == data
print(f"{codec.codec_id()}: {len(data)} bytes, {len(packed.data.payload)} compressed")
try:
    codec.Codec.from_config('{"level": "high"}')
except wasmrt.WitError as error:
    print(f"refused: {error.value.message}")
