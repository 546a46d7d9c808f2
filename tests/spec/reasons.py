"""Whether a refusal is for the reason that a script names.

A script's text is a hint in the words of the reference interpreter. Ours agrees when it has these words in it, or the words of
a row of `reasons.txt` for them. `other_reasons.txt` lists the cases that do not agree, by line, and why that is right.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path

SYNONYMS = Path(__file__).with_name("reasons.txt")
OTHERS = Path(__file__).with_name("other_reasons.txt")
_HOLE = re.compile(r"\{(\w+)\}")


def _rows(path: Path, separator: str) -> list[tuple[str, str]]:
    found = []
    for line in path.read_text().splitlines():
        if line and not line.startswith("#"):
            left, _, right = line.partition(separator)
            found.append((left, right))
    return found


@functools.cache
def synonyms() -> list[tuple[re.Pattern[str], list[str]]]:
    """The script's text as a pattern with a group for each {x}, and ours with the same holes."""
    return [
        (re.compile("".join(f"(?P<{part}>.+?)" if number % 2 else re.escape(part) for number, part in enumerate(_HOLE.split(theirs)))), ours.split(" | "))
        for theirs, ours in _rows(SYNONYMS, " = ")
    ]


def agrees(expected: str, message: str) -> bool:
    """Whether a message of ours says what a script expects."""
    if expected in message:
        return True
    for theirs, ours in synonyms():
        match = theirs.fullmatch(expected)
        if match is not None and any(words.format_map(match.groupdict()) in message for words in ours):
            return True
    return False


@functools.cache
def others() -> dict[str, dict[int, str]]:
    """Script, line, and why its reason is another one."""
    found: dict[str, dict[int, str]] = {}
    for cases, why in _rows(OTHERS, ": "):
        for case in cases.split():
            script, _, lines = case.partition(":")
            for line in lines.split(","):
                found.setdefault(script, {})[int(line)] = why
    return found
