"""Artifacts whose checksums are made anew, for tests that damage what they guard: the checksum of `csrc/base/hash.h`, over what `csrc/code/open.c` says."""

from __future__ import annotations

import struct

from wasmrt.artifact import reader
from wasmrt.artifact.reader import Artifact

MASK = (1 << 64) - 1
MODULE_CHECKSUM = 16  # ModuleRecord.meta_checksum


def mix(value: int, word: int) -> int:
    product = (value ^ word ^ 0x9E3779B97F4A7C15) * 0xD1342543DE82EF95
    return product & MASK ^ product >> 64 & MASK


def checksum(value: int, data: bytes) -> int:
    lanes, whole = [value, 1, 2, 3], len(data) // 32 * 32
    for words in struct.iter_unpack("<4Q", data[:whole]):
        lanes = [mix(lane, word) for lane, word in zip(lanes, words, strict=True)]
    for lane in lanes[1:]:
        lanes[0] = mix(lanes[0], lane)
    rest = data[whole:]
    value = mix(lanes[0], len(rest))
    for (word,) in struct.iter_unpack("<Q", rest + bytes(-len(rest) % 8)):
        value = mix(value, word)
    return value


def sign(image: bytes, like: Artifact, contents: bool = True) -> bytes:
    """The image with all checksums right again; `like`: the artifact it was before the damage, which says where they lie. Only `verify` looks at that of
    the contents."""
    out = bytearray(image)
    place = {section.name: section for section in like.sections}
    engine, info, meta, modules = place["ENGINE"], place["INFO"], place["META"], place["MODULES"]
    for index, module in enumerate(like.modules):
        at = modules.offset + index * (modules.size // len(like.modules)) + MODULE_CHECKSUM
        start = meta.offset + module["meta_offset"]
        struct.pack_into("<Q", out, at, checksum(0, bytes(out[start : start + module["meta_bytes"]])))
    rest = engine.offset + engine.size
    struct.pack_into("<Q", out, rest - 24, checksum(0, bytes(out[info.offset : info.offset + info.size])))
    if contents:
        struct.pack_into("<Q", out, rest - 16, checksum(0, bytes(out[info.offset :])))
    value = checksum(checksum(0, bytes(out[: rest - 8])), bytes(out[rest : info.offset]))
    struct.pack_into("<Q", out, rest - 8, value)
    return bytes(out)


def read(image: bytes) -> Artifact:
    """What it says of itself; its own checksums come out the same, else this file is behind the format."""
    artifact = reader.read(image)
    assert sign(image, artifact) == image
    return artifact
