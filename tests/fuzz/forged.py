"""The child process of test_forged.py: changes one field of one record of an artifact at a time, makes the checksums right, and uses what loads.

    python tests/fuzz/forged.py SEED VALUES_A_FIELD SECONDS [CASE ...]

Every field of every record that C or Python reads is a case: header, module records, each row of each array of the metas (laid out as
`csrc/wasm/module.h` says, which is parsed here), function locations, traps, places, handlers, names, and each number of the component records. Each is set to boundary values: 0, 1,
one more and one less, the number of rows, 2^31, all bits. `sealed` leaves the text alone, so that it contradicts; `resealed` makes the seal at its start
right too, so that what lies behind is reached: every reader bounds what it reads, and no function of such an image can be entered.

CASE is how a report names one: these alone run then. Cases run in forks of a process that has everything imported, some dozens each; one that dies costs the case it was at. What an export
returns is what it returned before, or else an ArtifactError or a Trap. Prints a JSON object.
"""

from __future__ import annotations

import faulthandler
import json
import mmap
import os
import random
import re
import resource
import signal
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import checksums
import msgspec

import wasmrt
from wasmrt.artifact import reader
from wasmrt.artifact.reader import Artifact
from wasmrt.component import Component, Linker
from wasmrt.errors import ArtifactError

ROOT = Path(__file__).resolve().parents[2]
LIMIT_SECONDS = 20
CASES_A_FORK = 40
ADDRESS_SPACE_BYTES = 200 << 30

SOURCE = f"""(component
  (import "log" (func $log (param "s" string) (result u32)))
  (core module $libc (memory (export "m") 2) (global $next (mut i32) (i32.const 1024))
    (table (export "t") 8 funcref)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (global.get $next) (global.set $next (i32.add (global.get $next) (local.get 3)))))
  (core instance $libc (instantiate $libc))
  (core func $log (canon lower (func $log) (memory $libc "m") (realloc (core func $libc "realloc"))))
  (type $r' (resource (rep i32)))
  (core func $new (canon resource.new $r'))
  (core module $M
    (type $pair (struct (field i32) (field (ref null func))))
    (type $binary (func (param i32 i32) (result i32)))
    (import "libc" "m" (memory 1)) (import "libc" "t" (table $shared 1 funcref)) (import "host" "log" (func $log (param i32 i32) (result i32)))
    (import "host" "new" (func $new (param i32) (result i32)))
    (memory $own 2 5) (memory $small 1)
    (table $mine 6 funcref) (table $typed 2 (ref null $binary))
    (global $g (mut i32) (i32.const 7)) (global $h i64 (i64.add (i64.const 3) (i64.const 4))) (global $o (ref $pair) (struct.new $pair (i32.const 5) (ref.func $add)))
    (tag $boom (param i32 i64)) (tag $other)
    (elem (table $mine) (i32.const 1) func $add $sub) (elem $late func $sub) (elem (table $typed) (i32.const 0) (ref null $binary) (ref.func $add))
    (data (memory $own) (i32.const 4096) "{"x" * 6000}") (data (memory $small) (i32.const 9) "hello") (data $passive "later")
    (func $add (export "add") (type $binary) (i32.add (local.get 0) (local.get 1)))
    (func $sub (type $binary) (i32.sub (local.get 0) (local.get 1)))
    (func $start (global.set $g (i32.const 40)))
    (start $start)
    (func (export "indirect") (param i32 i32) (result i32) (call_indirect $mine (type $binary) (i32.const 9) (local.get 0) (local.get 1)))
    (func (export "typed") (result i32) (call_indirect $typed (type $binary) (i32.const 9) (i32.const 4) (i32.const 0)))
    (func (export "fill") (result i32) (table.init $mine $late (i32.const 4) (i32.const 0) (i32.const 1))
      (memory.init $small $passive (i32.const 100) (i32.const 0) (i32.const 5)) (table.set $shared (i32.const 3) (ref.func $add))
      (i32.add (i32.load8_u $small (i32.const 100)) (i32.load8_u $own (i32.const 5000))))
    (func (export "globals") (result i32) (i32.add (global.get $g) (i32.add (i32.wrap_i64 (global.get $h)) (struct.get $pair 0 (global.get $o)))))
    (func (export "load") (param i32) (result i32) (i32.load $own (local.get 0)))
    (func (export "divide") (param i32) (result i32) (i32.div_s (i32.const 84) (local.get 0)))
    (func $throw (param i32) (if (local.get 0) (then (throw $boom (local.get 0) (i64.const 1)))) (throw $other))
    (func (export "catch") (param i32) (result i32)
      (block $caught (result i32 i64)
        (block $all
          (try_table (catch $boom $caught) (catch_all $all)
            (block $inner (try_table (catch $other $inner) (call $throw (local.get 0)))) (return (i32.const 6)))) (return (i32.const 5)))
      drop)
    (func (export "log") (result i32) (call $log (i32.const 9) (i32.const 3)))
    (func (export "new") (param i32) (result i32) (call $new (local.get 0)))
    (func (export "dtor") (param i32))
    (func (export "text") (param i32 i32) (result i32) (i32.store8 (i32.const 16) (i32.const 0)) (i32.store (i32.const 16) (local.get 0)) (i32.store (i32.const 20) (local.get 1)) (i32.const 16))
    (func (export "after") (param i32) (global.set $g (i32.const 41)))
    (func (export "trap") unreachable))
  (core instance $i (instantiate $M (with "libc" (instance $libc)) (with "host" (instance (export "log" (func $log)) (export "new" (func $new))))))
  (export $r "r" (type $r'))
  (func (export "add") (param "x" u32) (param "y" u32) (result u32) (canon lift (core func $i "add")))
  (func (export "indirect") (param "x" u32) (param "y" u32) (result u32) (canon lift (core func $i "indirect")))
  (func (export "typed") (result u32) (canon lift (core func $i "typed")))
  (func (export "fill") (result u32) (canon lift (core func $i "fill")))
  (func (export "globals") (result u32) (canon lift (core func $i "globals")))
  (func (export "load") (param "x" u32) (result u32) (canon lift (core func $i "load")))
  (func (export "divide") (param "x" u32) (result u32) (canon lift (core func $i "divide")))
  (func (export "catch") (param "x" u32) (result u32) (canon lift (core func $i "catch")))
  (func (export "log") (result u32) (canon lift (core func $i "log")))
  (func (export "new") (param "x" u32) (result (own $r)) (canon lift (core func $i "new")))
  (func (export "text") (param "s" string) (result string)
    (canon lift (core func $i "text") (memory $libc "m") (realloc (core func $libc "realloc")) (post-return (core func $i "after"))))
  (func (export "trap") (canon lift (core func $i "trap"))))"""

# a trap poisons an instance: each of these has one of its own
CALLS: list[tuple[str, tuple[Any, ...]]] = [
    ("add", (1, 2)), ("indirect", (5, 1)), ("indirect", (5, 2)), ("indirect", (5, 3)), ("typed", ()), ("fill", ()), ("globals", ()), ("load", (4096,)),
    ("load", (1 << 30,)), ("divide", (2,)), ("divide", (0,)), ("catch", (3,)), ("catch", (0,)), ("log", ()), ("new", (4,)), ("text", ("hello",)), ("trap", ()),
]  # fmt: skip


# ---- fields -------------------------------------------------------------------------------------------------------------------------------------------


class Field(NamedTuple):
    """A number in the image; `limit`: what it counts or points into, where that is known."""

    name: str
    offset: int
    size: int
    limit: int


SIZES = {"uint8_t": 1, "uint16_t": 2, "uint32_t": 4, "uint64_t": 8, "ValType": 4}


def structs() -> dict[str, list[tuple[str, int, int]]]:
    """(name, offset, size) of each field of the structs of module.h, nested ones spelled out; their sizes are the last row's, under ""."""
    text = re.sub(r"/\*.*?\*/", "", (ROOT / "csrc/wasm/module.h").read_text(), flags=re.S)
    found: dict[str, list[tuple[str, int, int]]] = {kind: [("", 0, size)] for kind, size in SIZES.items()}
    for body, name in re.findall(r"typedef struct \w+ \{([^{}]*)\} (\w+);", text):
        if "*" in body:
            continue
        rows: list[tuple[str, int, int]] = []
        at = widest = 0
        for declaration in body.split(";"):
            kind, _, names = declaration.strip().partition(" ")
            for item in filter(None, (part.strip() for part in names.split(","))):
                field, count = re.fullmatch(r"(\w+)(?:\[(\d+)\])?", item).groups()  # type: ignore[union-attr]
                inner = found[kind]
                size = max(offset + length for _, offset, length in inner)
                alignment = min(8, max(length for _, _, length in inner))
                widest = max(widest, alignment)
                for number in range(int(count or 1)):
                    at = -(-at // alignment) * alignment
                    rows += [(f"{field}{number if count else ''}{'.' if sub else ''}{sub}", at + offset, length) for sub, offset, length in inner]
                    at += size
        assert at % widest == 0, name
        found[name] = rows
    return found


def meta_fields(data: bytes, at: int, prefix: str) -> Iterator[Field]:
    """A meta blob's header and the rows of its arrays (csrc/wasm/meta.c)."""
    known = structs()
    module_h, meta_c = (ROOT / "csrc/wasm/module.h").read_text(), (ROOT / "csrc/wasm/meta.c").read_text()
    arrays = re.findall(r"WASM_ARRAY\((\w+), (\w+)\)", module_h[module_h.index("#define WASM_MODULE_ARRAYS") :].split("typedef struct WasmModule")[0])
    scalars = re.findall(r"WASM_SCALAR\((\w+)\)", meta_c[meta_c.index("#define META_SCALARS") :].split("enum {")[0])
    yield Field(f"{prefix}features", at, 8, 0)
    place = at + 8
    for kind, name in arrays:
        offset, count = struct.unpack_from("<II", data, place)
        yield Field(f"{prefix}{name}.offset", place, 4, offset)
        yield Field(f"{prefix}{name}.count", place + 4, 4, count)
        place += 8
        rows = known[kind]
        size = max(start + length for _, start, length in rows)
        for index in range(count):
            for field, start, length in rows:
                yield Field(f"{prefix}{name}[{index}].{field}", at + offset + index * size + start, length, count)
    for name in ("bytes.offset", "bytes.length", "module_name.offset", "module_name.length", *scalars):
        yield Field(f"{prefix}{name}", place, 4, struct.unpack_from("<I", data, place)[0])
        place += 4


def record_fields(record: Any, at: int, prefix: str, data: bytes) -> Iterator[Field]:
    offset = 0
    for name, letter in zip(record.names, record.struct.format[1:], strict=True):
        size = struct.calcsize("<" + letter)
        yield Field(prefix + name, at + offset, size, int.from_bytes(data[at + offset : at + offset + size], "little"))
        offset += size


def all_fields(image: bytes, artifact: Artifact) -> list[Field]:
    place = {section.name: section for section in artifact.sections}
    header = artifact.header
    found = list(record_fields(reader._HEADER, place["ENGINE"].offset, "header.", image))
    found = [field for field in found if not field.name.endswith("_checksum") and field.name != "header.magic"]
    for index, module in enumerate(artifact.modules):
        at = place["MODULES"].offset + index * reader._MODULE.struct.size
        found += [field for field in record_fields(reader._MODULE, at, f"module[{index}].", image) if not field.name.endswith("_checksum")]
        found += meta_fields(image, place["META"].offset + module["meta_offset"], f"meta[{index}].")

    def rows(section: str, count: int, names: tuple[str, ...], size: int, limit: int) -> None:
        for index in range(count):
            for number, name in enumerate(names):
                found.append(Field(f"{section}[{index}].{name}", place[section].offset + (index * len(names) + number) * size, size, limit))

    text = place["TEXT"].size
    rows("FUNCS", header["num_funcs"], ("start", "length"), 4, text)
    rows("HANDLERS", header["num_handlers"], ("start", "end", "tag", "landing", "resume", "next"), 4, text)
    rows("NAMES", header["num_names"], ("func", "offset", "length"), 4, place["STRINGS"].size)
    rows("TRAPS", header["num_traps"], ("offset",), 4, text)
    traps = place["TRAPS"].offset + 4 * header["num_traps"]
    found += [Field(f"TRAPS[{index}].code", traps + index, 1, 49) for index in range(header["num_traps"])]
    rows("ADDRMAP", 2 * header["num_addrs"], ("offset or place",), 4, text)
    return found


def values(field: Field, old: int, others: list[int], dice: random.Random) -> Iterator[int]:
    """Boundary values, without the old one; `others`: what fields of its name hold in other rows."""
    bits = 8 * field.size
    edges = [0, 1, old + 1, old - 1, field.limit, field.limit + 1, field.limit - 1, 1 << bits - 1, (1 << bits) - 1, (1 << bits) - 16, old + 16, old ^ 1 << dice.randrange(bits)]
    yield from sorted({value & (1 << bits) - 1 for value in (*edges, *dice.sample(others, min(2, len(others))))} - {old})


# ---- component records ------------------------------------------------------------------------------------------------------------------------------


Patch = tuple[str, int, bytes]  # what it is, where, and what is there then


def info_cases(image: bytes, artifact: Artifact, dice: random.Random, per_leaf: int) -> Iterator[Patch]:
    """Each number, name and list of the component records changed; the skeleton makes up for their size."""
    section = next(section for section in artifact.sections if section.name == "INFO")
    data = image[section.offset : section.offset + section.size]
    whole = msgspec.msgpack.decode(data)
    skeleton: bytes = whole[0][1]

    def fitted() -> bytes | None:
        for length in range(len(skeleton) + 64, max(0, len(skeleton) - 512), -1):
            whole[0][1] = skeleton[:length].ljust(length, b"\0")
            encoded = msgspec.msgpack.encode(whole)
            if len(encoded) == len(data):
                whole[0][1] = skeleton
                return encoded
            if len(encoded) < len(data):
                break
        whole[0][1] = skeleton
        return None

    def walk(node: Any, path: str) -> Iterator[tuple[Any, Any, str]]:
        items = enumerate(node) if isinstance(node, list) else node.items() if isinstance(node, dict) else ()
        for key, value in list(items):
            if value is not skeleton:
                if node is not whole:  # what the skeleton lies in stays
                    yield node, key, f"{path}.{key}"
                yield from walk(value, f"{path}.{key}")

    for node, key, path in list(walk(whole, "info")):
        old = node[key]
        if isinstance(old, bool) or old is None:
            new: list[Any] = [not old, 0, 1]
        elif isinstance(old, int):
            new = [value for value in (0, 1, -1, old + 1, old - 1, 1 << 31, (1 << 32) - 1, 1 << 32, (1 << 63) - 1) if value != old]
        elif isinstance(old, str):
            new = ["", old + "x", "own", "func", None, 5]
        elif isinstance(old, list):
            new = [[], old[:-1], old + old[-1:], old[::-1]]
        else:
            new = [None, 0]
        for value in dice.sample(new, min(per_leaf, len(new))):
            node[key] = value
            encoded = fitted()
            node[key] = old
            if encoded is not None and encoded != data:
                yield f"{path}: {str(value)[:40]}", section.offset, encoded


# ---- cases ------------------------------------------------------------------------------------------------------------------------------------------


def cases(image: bytes, artifact: Artifact, dice: random.Random, per_field: int) -> Iterator[Patch]:
    fields = all_fields(image, artifact)
    number = {field: int.from_bytes(image[field.offset : field.offset + field.size], "little") for field in fields}
    alike: dict[str, list[int]] = {}
    for field in fields:
        alike.setdefault(re.sub(r"\d+", "", field.name), []).append(number[field])
    for field in fields:
        found = list(values(field, number[field], alike[re.sub(r"\d+", "", field.name)], dice))
        for value in dice.sample(found, min(per_field, len(found))):
            yield f"{field.name}: {number[field]} -> {value}", field.offset, value.to_bytes(field.size, "little")
    yield from info_cases(image, artifact, dice, per_field)


def outcome(run: Callable[[], Any]) -> tuple[str, str]:
    try:
        return "value", str(run())
    except wasmrt.Trap as trap:
        return "Trap", str(trap.trap_code) + " " * (str(trap) == "") + "" * len(trap.frames)
    except (ArtifactError, wasmrt.LinkError, wasmrt.LimitError) as error:
        return type(error).__name__, ""


def use(engine: wasmrt.Engine, image: bytes, verify: bool) -> list[tuple[str, str]]:
    """What using an artifact in every way comes to."""
    path = f"/proc/self/fd/{written(image)}"
    component = Component.deserialize_file(engine, path, verify=verify)
    found = [outcome(lambda: list(reader.read(image).functions()) and ""), outcome(lambda: component.type and ""), outcome(lambda: component.wit() and "")]
    found.append(outcome(lambda: [(module.name, module.imports, module.exports) for module in component.static_modules] and ""))
    found.append(outcome(lambda: component.resources_required()))
    linker = Linker(engine)
    linker.root().add_func("log", lambda store, text: len(text) + 1)
    for name, arguments in CALLS:

        def call(name: str = name, arguments: tuple[Any, ...] = arguments) -> Any:
            store = wasmrt.Store(engine)
            store.set_limits(memory_size=64 << 20, table_elements=100_000)
            store.set_fuel(1_000_000)
            func = linker.instantiate(store, component).exports[name]
            value = func(*arguments)
            return value if isinstance(value, (int, str)) else type(value).__name__

        found.append(outcome(call))
    return found


handles: list[int] = []


def written(data: bytes) -> int:
    handle = os.memfd_create("artifact")
    os.write(handle, data)
    handles.append(handle)
    while len(handles) > 2:
        os.close(handles.pop(0))
    return handle


def wrong_ones(found: list[tuple[str, str]], wanted: list[tuple[str, str]], how: str) -> list[tuple[int, tuple[str, str]]]:
    """Where something else came out than what should, or an error of ours. Traps: whichever. Descriptions: whatever, once they are somebody else's."""
    first = len(found) - len(CALLS) if how == "resealed" else 0
    return [(at, seen) for at, (seen, right) in enumerate(zip(found, wanted, strict=True)) if at >= first and seen != right and seen[0] not in ("ArtifactError", "Trap", "LimitError", "LinkError")]


def reseal(image: bytes, artifact: Artifact) -> bytes:
    """Header and records are what the text says (csrc/code/marks.h); the marks in it are not."""
    place = {section.name: section for section in artifact.sections}
    engine, modules = place["ENGINE"], place["MODULES"]
    header = image[engine.offset : engine.offset + engine.size]
    kind, target = struct.unpack_from("<II", header, 12)
    first = reader._HEADER.names.index("abi_fingerprint")
    start = struct.calcsize("<" + reader._HEADER.struct.format[1 : 1 + first])
    seal = checksums.checksum(checksums.mix(checksums.mix(0, kind), target), header[start:-16])
    seal = checksums.checksum(seal, image[modules.offset : modules.offset + modules.size])
    text = place["TEXT"].offset
    return image[:text] + struct.pack("<Q", seal) + image[text + 8 :]


def main() -> None:
    seed, per_field, seconds, single = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.argv[4:]
    engine = wasmrt.Engine(wasmrt.Config(consume_fuel=True))
    image = engine.precompile_component(SOURCE)
    artifact = checksums.read(image)
    assert reseal(image, artifact) == image
    wanted = use(engine, image, True)
    dice = random.Random(seed)
    todo = [(name, patch, how, verify) for name, *patch in cases(image, artifact, dice, per_field) for how in ("sealed", "resealed") for verify in (False, True)]
    dice.shuffle(todo)
    if single:
        todo = [case for case in todo if f"{case[0]} {case[2]} {case[3]}" in single]
    if os.environ.get("WASMRT_VARIANT") != "asan":
        resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES, ADDRESS_SPACE_BYTES))
    shared = mmap.mmap(-1, 4096)
    report, end = Path(f"/proc/self/fd/{os.memfd_create('report')}"), time.monotonic() + seconds
    outcomes: Counter[str] = Counter()
    crashes: list[str] = []
    strange: list[str] = []
    first = 0
    while first < len(todo) and len(crashes) < 10 and time.monotonic() < end:
        last = min(first + CASES_A_FORK, len(todo))
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            seen: Counter[str] = Counter()
            odd: list[str] = []
            faulthandler.enable()
            for at in range(first, last):
                name, (place, new), how, verify = todo[at]
                struct.pack_into("<q", shared, 0, at)
                faulthandler.dump_traceback_later(LIMIT_SECONDS, exit=True)
                data = checksums.sign(image[:place] + new + image[place + len(new) :], artifact, verify and how == "sealed")
                data = checksums.sign(reseal(data, artifact), artifact, verify) if how == "resealed" else data
                try:
                    wrong = wrong_ones(use(engine, data, verify), wanted, how)
                    seen["used"] += 1
                    if wrong:
                        odd.append(f"{name} {how} {verify}: {wrong}")
                except ArtifactError:
                    seen["ArtifactError"] += 1
                except Exception as error:
                    odd.append(f"{name} {how} {verify}: {type(error).__name__}: {error}")
                faulthandler.cancel_dump_traceback_later()
            report.write_text(json.dumps({"seen": seen, "odd": odd}))
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status == 0:
            told = json.loads(report.read_text())
            outcomes.update(told["seen"])
            strange += told["odd"]
            first = last
        else:
            (at,) = struct.unpack_from("<q", shared)
            crashes.append(f"{todo[at][0]} {todo[at][2]} {todo[at][3]}: {signal.Signals(-status).name if status < 0 else status}")
            outcomes["crashed"] += 1
            first = at + 1
    print(json.dumps({"outcomes": outcomes, "crashes": crashes, "strange": strange, "cases": len(todo), "done": first, "peak_bytes": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024}))


if __name__ == "__main__":
    main()
