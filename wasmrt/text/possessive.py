"""Owns how expressions say that a group repeats and never gives anything back, which is what keeps cutting a text linear.

CPython before 3.11.5 goes on in the middle of such a group when its last repetition fails (gh-106052). There the group is greedy and atomic: the
same, for some 60 bytes a repetition while it is matched.
"""

from __future__ import annotations

import re

_match = re.match(r"(?:a(?!b))*+", "ab")
_IS_SOUND = _match is not None and _match.end() == 0


def many(body: str) -> str:
    """`body` as often as it matches."""
    return f"(?:{body})*+" if _IS_SOUND else f"(?>(?:{body})*)"


def some(body: str) -> str:
    """The same, at least once."""
    return f"(?:{body})++" if _IS_SOUND else f"(?>(?:{body})+)"
