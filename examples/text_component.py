"""A component written in text: `words.wat` beside this file, loaded, asked for its world, and called (`python examples/text_component.py`)."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import wasmrt

WORDS = Path(__file__).with_name("words.wat")


def main() -> None:
    words = wasmrt.load(WORDS, {"log": lambda text: print(f"the guest says: {text}")})
    print(wasmrt.handle(words).component.wit())
    print(words.text.rot13("Hello, Component!"))
    stats = words.text.count("a component written in text")
    print(f"{stats.bytes} bytes, {stats.vowels} vowels, {words.text.total([1, 2, 3])} in all")
    with words.text.Counter(40) as counter:
        counter.increment(1)
        print("counted to", counter.increment(1))
    try:
        words.text.parse("4z")
    except wasmrt.WitError as error:
        print("refused:", error.value)


if __name__ == "__main__":
    main()
