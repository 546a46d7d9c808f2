"""A plugin system: a guest that calls a host object and owns a host resource, composed with a second guest at run time.

Both plugins are components written in text. `formatter` exports an interface; `greeter` imports it, and the host's `app:host/log` beside it: a
resource `sink`, whose handles carry Python objects. The host wires the one to the other: an interface that `load` returns is an object like any other.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import wasmrt

FORMATTER = """
(component
  (core module $M (func (export "double") (param i32) (result i32) (i32.mul (local.get 0) (i32.const 2))))
  (core instance $m (instantiate $M))
  (func $double (param "n" u32) (result u32) (canon lift (core func $m "double")))
  (instance $format (export "double" (func $double)))
  (export "plugin:format/numbers@1.0.0" (instance $format)))
"""

GREETER = """
(component
  (import "plugin:format/numbers@1.0.0" (instance $numbers (export "double" (func (param "n" u32) (result u32)))))
  (import "app:host/log@1.0.0" (instance $log
    (export "sink" (type $sink (sub resource)))
    (export "open-sink" (func (param "name" string) (result (own $sink))))
    (export "[method]sink.write" (func (param "self" (borrow $sink)) (param "text" string) (param "n" u32)))))
  (alias export $log "sink" (type $sink))
  (core module $Memory
    (memory (export "memory") 1)
    (data (i32.const 0) "greeter") (data (i32.const 16) "hello from a guest"))
  (core instance $memory (instantiate $Memory))
  (core func $double (canon lower (func $numbers "double")))
  (core func $open (canon lower (func $log "open-sink") (memory $memory "memory")))
  (core func $write (canon lower (func $log "[method]sink.write") (memory $memory "memory")))
  (core func $close (canon resource.drop $sink))
  (core module $M
    (import "" "double" (func $double (param i32) (result i32)))
    (import "" "open" (func $open (param i32 i32) (result i32)))
    (import "" "write" (func $write (param i32 i32 i32 i32)))
    (import "" "close" (func $close (param i32)))
    (func (export "run") (param i32) (local $sink i32)
      (local.set $sink (call $open (i32.const 0) (i32.const 7)))
      (call $write (local.get $sink) (i32.const 16) (i32.const 18) (call $double (local.get 0)))
      (call $close (local.get $sink))))
  (core instance $m (instantiate $M (with "" (instance
    (export "double" (func $double)) (export "open" (func $open)) (export "write" (func $write)) (export "close" (func $close))))))
  (func (export "run") (param "n" u32) (canon lift (core func $m "run"))))
"""


class Sink:
    """What a guest's handle of the resource `sink` refers to."""

    def __init__(self, name: str) -> None:
        self.name = name

    def write(self, text: str, n: int) -> None:
        print(f"[{self.name}] {text}: {n}")

    def close(self) -> None:
        print(f"[{self.name}] closed")


class Log:
    """Serves `app:host/log`: functions are methods, resources are classes."""

    Sink = Sink

    def open_sink(self, name: str) -> Sink:
        return Sink(name)


def main() -> None:
    formatter = wasmrt.load(FORMATTER)
    greeter = wasmrt.load(GREETER, {"app:host/log": Log(), "plugin:format/numbers": formatter.numbers})
    print(wasmrt.handle(greeter).component.wit())
    greeter.run(21)


if __name__ == "__main__":
    main()
