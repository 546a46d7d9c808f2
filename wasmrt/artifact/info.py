"""Records of an image's INFO section: ModuleInfo for a module, ComponentArtifacts for a component. Written and read with msgspec.

An image's text, metadata and data are C's (csrc/code/image.h); this is only what Python needs to link and to introspect. A record that does not
decode is an ArtifactError: the bytes are corrupted, or of another version.
"""

from __future__ import annotations

import threading
from typing import Any, TypeVar

import msgspec

from wasmrt.errors import ArtifactError
from wasmrt.spec.core_types import CoreExternType
from wasmrt.translate.info import Component


class ModuleInfo(msgspec.Struct, array_like=True):
    """A core module as linking sees it: names and types, in the order of the binary; initial sizes of the memories (pages) and tables it defines."""

    name: str | None
    imports: list[tuple[str, str, CoreExternType]]
    exports: list[tuple[str, CoreExternType]]
    memories: list[int]
    tables: list[int]


class CompiledComponentInfo(msgspec.Struct, array_like=True):
    """The linear program of a component, and what its world is printed from (wasmrt.wit). Where its trampolines lie is in the image's FUNCS."""

    component: Component
    skeleton: bytes = b""


class ComponentArtifacts(msgspec.Struct, array_like=True):
    """A component: its program, its type rows (`ComponentTypes.rows`), and its core modules by StaticModuleIndex."""

    info: CompiledComponentInfo
    type_rows: list[list[object]]
    static_modules: list[ModuleInfo]

    @property
    def component(self) -> Component:
        return self.info.component

    @property
    def skeleton(self) -> bytes:
        return self.info.skeleton


Info = TypeVar("Info", ModuleInfo, ComponentArtifacts)


def encode(info: ModuleInfo | ComponentArtifacts) -> bytes:
    return msgspec.msgpack.encode(info)


# msgspec resolves the types of a Struct when they are first decoded, which is not safe in two threads at once.
_decoders: dict[type, msgspec.msgpack.Decoder[Any]] = {}
_decoders_lock = threading.Lock()


def _decoder(kind: type) -> msgspec.msgpack.Decoder[Any]:
    with _decoders_lock:
        if kind not in _decoders:
            _decoders[kind] = msgspec.msgpack.Decoder(kind)
        return _decoders[kind]


def decode(data: bytes, kind: type[Info]) -> Info:
    try:
        found: Info = (_decoders.get(kind) or _decoder(kind)).decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ArtifactError(f"the artifact's info section is corrupted ({error})") from None
    return found
