"""`import` of components: what is found, what is granted, and what is said when it is not."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WORDS = ROOT / "examples" / "words.wat"


def run(folder: Path, program: str) -> subprocess.CompletedProcess[str]:
    """A program in a process of its own, with a cache of its own, in `folder`."""
    environment = {"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(folder / "cache")}
    return subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, timeout=120, env=environment)


def test_a_component_is_a_module(tmp_path: Path) -> None:
    shutil.copy(WORDS, tmp_path / "my-words.wat")
    program = """
import wasmrt.hook
wasmrt.hook.grant("my_words", {"log": print})
import my_words
from my_words import text
print(my_words.text.total([1, 2]), text.rot13("a"), "text" in dir(my_words), my_words.__doc__.splitlines()[0], my_words.__file__.endswith("my-words.wat"))
try:
    wasmrt.hook.grant("my_words")
except wasmrt.WasmError as error:
    print(error)
try:
    my_words.nothing
except AttributeError as error:
    print(error)
"""
    for _ in range(2):  # the second time from the cache
        done = run(tmp_path, program)
        assert (done.stdout, done.stderr) == (
            "a\n3 n True package root:component; True\nmy_words has been imported already: grant before the import\n"
            "the component exports no 'nothing'; it has 'text'\n",
            "",
        )
    assert any((tmp_path / "cache").rglob("*"))


def test_nothing_is_granted_by_itself(tmp_path: Path) -> None:
    shutil.copy(WORDS, tmp_path / "words.wat")
    done = run(tmp_path, "import wasmrt.hook, words")
    assert done.returncode == 1
    assert "log" in done.stderr and "wasmrt.hook.grant('words', ...)" in done.stderr and "LinkError" in done.stderr


@pytest.mark.parametrize("name", ["words", "plugins.words"])
def test_python_goes_first_and_packages_have_components(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "plugins" if "." in name else tmp_path
    folder.mkdir(exist_ok=True)
    shutil.copy(WORDS, folder / "words.wat")
    program = f"import wasmrt.hook, importlib; wasmrt.hook.grant({name!r}, {{'log': print}}); print(importlib.import_module({name!r}).text.total([2, 3]))"
    done = run(tmp_path, program)
    assert (done.stdout, done.stderr) == ("5\n", "")
    (folder / "words.py").write_text("class text:\n    total = sum\n")
    done = run(tmp_path, program.replace("[2, 3]", "(2, 4)"))
    assert (done.stdout, done.stderr) == ("6\n", "")


def test_a_missing_module_is_missing(tmp_path: Path) -> None:
    done = run(tmp_path, "import wasmrt.hook, nothing_of_the_kind")
    assert "ModuleNotFoundError: No module named 'nothing_of_the_kind'" in done.stderr
