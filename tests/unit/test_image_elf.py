"""The artifact image as readers that are not ours see it: pyelftools, and readelf and objdump where binutils is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from tools import native_build
from wasmrt.spec._gen.sections import SECTION

NAMES = [row.elf_name for row in SECTION]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A component of two modules, written by the C test of the image."""
    build = native_build.ROOT / "build" / "release"
    (program,) = native_build.build_tests(build / "obj", build / "tests", ["test_image"])
    path = tmp_path_factory.mktemp("image") / "component.elf"
    subprocess.run([program, path], check=True, timeout=60)
    return path


def test_sections_are_those_of_the_table(image: Path) -> None:
    with image.open("rb") as file:
        elf = ELFFile(file)
        assert elf["e_machine"] == "EM_X86_64"
        assert elf["e_type"] == "ET_DYN"
        sections = list(elf.iter_sections())
        assert [section.name for section in sections] == ["", *NAMES, ".shstrtab"]
        end = 0
        for row, section in zip(SECTION, sections[1:-1], strict=True):
            assert section["sh_addralign"] == row.alignment
            assert section["sh_offset"] % row.alignment == 0
            loaded = row.elf_type == "PROGBITS"
            assert section["sh_type"] == f"SHT_{row.elf_type}"
            assert section["sh_addr"] == (section["sh_offset"] if loaded else 0)
            assert section["sh_offset"] >= end
            assert bool(section["sh_flags"] & 4) == bool(row.mapped_executable)
            end = section["sh_offset"] + section["sh_size"]
        assert -(-end // 4096) * 4096 == image.stat().st_size
        assert elf.get_section_by_name(".wasmrt.engine").data().startswith(b"wasmrt\0\1")
        assert elf.get_section_by_name(".wasmrt.info").data() == b"info of the component"


def test_only_text_is_executable(image: Path) -> None:
    with image.open("rb") as file:
        elf = ELFFile(file)
        text = elf.get_section_by_name(".text")
        loads = [segment for segment in elf.iter_segments() if segment["p_type"] == "PT_LOAD"]
        assert [segment["p_flags"] for segment in loads] == [4, 5]
        assert loads[1].section_in_segment(text)
        for row in SECTION[:-1]:
            # an empty section at the end of a segment belongs to the next
            if row.elf_type == "PROGBITS" and elf.get_section_by_name(row.elf_name)["sh_size"]:
                assert loads[0].section_in_segment(elf.get_section_by_name(row.elf_name))


def test_same_input_same_bytes(image: Path, tmp_path: Path) -> None:
    build = native_build.ROOT / "build" / "release"
    again = tmp_path / "again.elf"
    subprocess.run([build / "tests" / "test_image", again], check=True, timeout=60)
    assert again.read_bytes() == image.read_bytes()


@pytest.mark.parametrize("command", [["readelf", "-W", "-a"], ["objdump", "-d"]])
def test_binutils_read_it(image: Path, command: list[str]) -> None:
    if shutil.which(command[0]) is None:
        pytest.skip(f"no {command[0]} here")
    done = subprocess.run([*command, image], capture_output=True, text=True, timeout=60, env={**os.environ, "LC_ALL": "C"})
    assert done.returncode == 0
    assert done.stderr == ""
    assert ".text" in done.stdout
