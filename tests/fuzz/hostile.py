"""The child process of test_hostile.py: feeds damaged binaries to one entry point and counts what comes back.

    python tests/fuzz/hostile.py SUBJECT PATH KIND FIRST COUNT PROGRESS

Subjects: `component` and `module` compile PATH; `guest` also instantiates what still compiles and calls its exports, for a
moment each; `mapped` maps files that are damaged in what every load reads and in the component records, `verified` such that are damaged behind it, with `verify`; `forged` has
right checksums over the damage, wherever it is, and loads with `verify` without running what it gets; `used` has them over damage in arrays, loads
without `verify`, and runs what it gets; `artifact` compiles PATH as it is, loads damaged copies of what that serializes to, and runs what loads.

A case is made from its number alone, so that one that crashed is made again by FIRST=number COUNT=1. The number is written
to PROGRESS before the case runs; a case that takes longer than LIMIT_SECONDS ends the process with a traceback. Prints a
JSON object: outcomes by class name, the cases whose exception was none of ours, errors without an offset, and peak memory.
"""

from __future__ import annotations

import faulthandler
import json
import os
import random
import resource
import struct
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

LIMIT_SECONDS = 20
ADDRESS_SPACE_BYTES = 200 << 30  # room for guarded memories; peak memory is counted
ARTIFACTS = ("artifact", "mapped", "verified", "forged", "used")
INTERESTING = (0x00, 0x01, 0x0B, 0x3F, 0x40, 0x41, 0x60, 0x6F, 0x70, 0x7E, 0x7F, 0x80, 0xFF)


def prefix(data: bytes, number: int) -> bytes:
    """The first thousand lengths one by one, then lengths spread over the rest by a fixed irrational step."""
    if number < 1000:
        return data[:number]
    return data[: 1000 + int((number * 0.6180339887498949 % 1.0) * max(0, len(data) - 1000))]


def mutation(data: bytes, number: int) -> bytes:
    """One to four small damages; half of them fall on the outer thousandths, where headers, types and imports are."""
    dice = random.Random(number)
    out = bytearray(data)
    for _ in range(dice.choice((1, 1, 1, 2, 4))):
        span = len(out)
        if dice.random() < 0.5:
            edge = max(64, span // 100)
            place = dice.randrange(8, edge) if dice.random() < 0.5 else dice.randrange(max(8, span - edge), span)
        else:
            place = dice.randrange(8, span)
        kind = dice.randrange(7)
        if kind == 0:
            out[place] ^= 1 << dice.randrange(8)
        elif kind == 1:
            out[place] = dice.choice(INTERESTING)
        elif kind == 2:
            out[place] = dice.randrange(256)
        elif kind == 3:
            out[place:place] = bytes([dice.choice(INTERESTING)])
        elif kind == 4:
            del out[place : place + dice.choice((1, 1, 2, 8, 64))]
        elif kind == 5:
            # the largest LEB128 numbers: a count or size that nothing may be allocated for
            out[place : place + 5] = dice.choice((b"\xff\xff\xff\xff\x0f", b"\xff\xff\xff\xff\x7f", b"\x80\x80\x80\x80\x08"))
        else:
            source = dice.randrange(8, span)
            out[place:place] = out[source : source + dice.randrange(1, 32)]
        if len(out) < 16:
            break
    return bytes(out)


def overwriting(data: bytes, number: int) -> bytes:
    """One to three damages that move nothing: bits, bytes, and numbers of four or eight bytes that are extreme or a little off."""
    dice = random.Random(number)
    out = bytearray(data)
    for _ in range(dice.choice((1, 1, 2, 3))):
        kind = dice.randrange(5)
        if kind < 2:
            place = dice.randrange(len(out))
            out[place] = out[place] ^ 1 << dice.randrange(8) if kind == 0 else dice.choice(INTERESTING)
            continue
        letter, bits = dice.choice((("<I", 32), ("<Q", 64)))
        place = dice.randrange(len(out) // 8) * 8 + dice.choice((0, 64 - bits)) // 8
        (value,) = struct.unpack_from(letter, out, place)
        value = dice.choice((0, 1, 1 << 31, (1 << bits) - 1, (1 << bits) - 16)) if kind == 2 else value + dice.choice((-1, 1, 8, 16, 4096, 1 << 31))
        struct.pack_into(letter, out, place, value & (1 << bits) - 1)
    return bytes(out)


KINDS: dict[str, Callable[[bytes, int], bytes]] = {"prefix": prefix, "mutation": mutation, "overwriting": overwriting}


def arguments_for(ty: Any) -> list[Any]:
    """Some value for each parameter of a function type; None where there is none to be had, as for resources."""
    simple = {"bool": True, "char": "c", "string": "text", "f32": 1.5, "f64": 2.5}
    found: list[Any] = []
    for _, param in ty.params:
        text = str(param)
        if text.startswith("list<u8>"):
            found.append(b"bytes")
        elif text.startswith("list"):
            found.append([])
        else:
            found.append(simple.get(text, 1 if text[:1] in "su" and text[1:].isdigit() else None))
    return found


def call_exports(exports: Any) -> None:
    """Calls what can be called, half a second each at most. Whatever a guest does is fine, as long as it comes back as an exception."""
    for item in exports.values():
        if hasattr(item, "values"):
            call_exports(item)
        elif callable(item):
            try:
                item(*arguments_for(item.type()))
            except Exception as error:
                str(error)


def run_guest(component: Any) -> object:
    """Instantiates with imports that trap, and calls."""
    import wasmrt
    from wasmrt.component import Linker

    linker = Linker(component.engine)
    linker.add_wasip2()
    linker.define_unknown_imports_as_traps(component)
    store = wasmrt.Store(component.engine)
    store.set_limits(memory_size=64 << 20, table_elements=100_000)
    store.set_fuel(10_000_000)
    try:
        call_exports(linker.instantiate(store, component).exports)
    except (wasmrt.Trap, wasmrt.LinkError, wasmrt.LimitError) as error:
        str(error)
    return component


def subject(name: str, whole: bytes) -> tuple[bytes, Callable[[bytes], object]]:
    """(what to damage, what to do with it)."""
    import wasmrt
    from wasmrt.component import Component

    engine = wasmrt.Engine(wasmrt.Config(consume_fuel=name in ("guest", *ARTIFACTS), wasm_memory64=name == "module"))
    if name == "component":
        return whole, lambda data: Component(engine, data)
    if name == "module":
        return whole, lambda data: wasmrt.Module(engine, data)
    if name == "guest":
        return whole, lambda data: run_guest(Component(engine, data))
    if name == "artifact":
        image = Component(engine, whole).serialize()
        return image, lambda data: run_guest(Component.deserialize(engine, data))
    if name in ARTIFACTS:
        image = engine.precompile_component(whole)
        return used_subject(engine, image) if name == "used" else artifact_subject(name, engine, image)
    raise SystemExit(f"unknown subject {name}")


def artifact_subject(name: str, engine: Any, image: bytes) -> tuple[bytes, Callable[[bytes], object]]:
    """Damage in a part of an artifact that is mapped. What is accepted is what was made, or else somebody made the checksums."""
    import checksums

    from wasmrt.component import Component

    artifact = checksums.read(image)
    place = {section.name: section for section in artifact.sections}
    info = place["INFO"]
    ranges = {"mapped": (0, info.offset + info.size), "verified": (info.offset, len(image)), "forged": (0, place["TEXT"].offset)}
    first, end = ranges[name]

    def run(data: bytes) -> None:
        whole = image[:first] + data + image[end:]
        if name == "forged":
            whole = checksums.sign(whole, artifact)
        component = Component.deserialize_file(engine, written(whole), verify=name != "mapped")
        if name != "forged":
            _ = component.type  # which reads the component records
            assert whole == image, "damage was accepted"
            run_guest(component)

    return image[first:end], run


USED = ("INFO", "META", "FUNCS", "TRAPS", "HANDLERS", "STACKMAP", "ADDRMAP", "NAMES", "DATA", "IMAGES", "UNWIND", "UNWIND_INDEX", "SYMBOLS", "STRINGS")


def used_subject(engine: Any, image: bytes) -> tuple[bytes, Callable[[bytes], object]]:
    """Damage in the contents of one array after the other, which sections and counts do not show."""
    import checksums

    from wasmrt.artifact import reader
    from wasmrt.cli import objdump
    from wasmrt.component import Component
    from wasmrt.errors import ArtifactError

    artifact = checksums.read(image)
    arrays = [section for section in artifact.sections if section.size and section.name in USED]
    whole = b"".join(image[section.offset : section.offset + section.size] for section in arrays)

    def run(data: bytes) -> None:
        out = bytearray(image)
        at = 0
        for section in arrays:
            out[section.offset : section.offset + section.size] = data[at : at + section.size]
            at += section.size
        path = written(checksums.sign(bytes(out), artifact))
        component = Component.deserialize_file(engine, path)
        for look in (lambda: list(reader.read(out).functions()), lambda: list(objdump.listing(engine, Path(path), ()))):
            try:
                look()
            except ArtifactError as error:
                str(error)
        _ = component.type, component.static_modules, [module.exports for module in component.static_modules]
        component.wit()
        run_guest(component)

    return whole, run


def written(data: bytes) -> str:
    """The path of a file in memory."""
    handle = os.memfd_create("artifact")
    os.write(handle, data)
    path = f"/proc/self/fd/{handle}"
    files.append(handle)
    while len(files) > 2:
        os.close(files.pop(0))
    return path


files: list[int] = []


def main() -> None:
    name, path, kind, first, count, progress_path = sys.argv[1:]
    from wasmrt.errors import ArtifactError, DecodeError, LimitError, ValidationError, WasmError

    whole, run = subject(name, Path(path).read_bytes())
    run(whole)
    faulthandler.enable()
    if os.environ.get("WASMRT_VARIANT") != "asan":  # whose shadow is larger
        resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES, ADDRESS_SPACE_BYTES))
    outcomes: Counter[str] = Counter()
    strange: list[tuple[int, str]] = []
    unplaced: list[tuple[int, str]] = []
    with open(progress_path, "r+b", buffering=0) as progress:
        for number in range(int(first), int(first) + int(count)):
            progress.seek(0)
            progress.write(struct.pack("<q", number))
            faulthandler.dump_traceback_later(LIMIT_SECONDS, exit=True)
            data = KINDS[kind](whole, number)
            try:
                run(data)
            except (DecodeError, ValidationError, LimitError) as error:
                outcomes[type(error).__name__] += 1
                if getattr(error, "offset", None) is None:
                    unplaced.append((number, str(error)[:200]))
            except ArtifactError as error:
                outcomes[type(error).__name__] += 1
                if name not in ARTIFACTS:
                    strange.append((number, f"{type(error).__name__}: {error}"[:300]))
            except WasmError as error:
                # bytes whose magic number is damaged are text to `Component`, and no text either
                outcomes[type(error).__name__] += 1
                if data[:4] == b"\0asm":
                    strange.append((number, f"{type(error).__name__}: {error}"[:300]))
            except Exception as error:
                outcomes[type(error).__name__] += 1
                strange.append((number, f"{type(error).__name__}: {error}"[:300]))
            else:
                outcomes["accepted"] += 1
            faulthandler.cancel_dump_traceback_later()
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"outcomes": outcomes, "strange": strange, "unplaced": unplaced, "peak_bytes": peak_bytes}))


if __name__ == "__main__":
    main()
