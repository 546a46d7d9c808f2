"""The timing harness itself, with made-up clocks."""

from bench.interleave import Clock, Comparison, Samples, interleave
from bench.programs import code_bytes, core_modules


def test_order_alternates_and_ratio_is_per_round() -> None:
    order = []

    def candidate(name: str, seconds: float):  # type: ignore[no-untyped-def]
        def run(clock: Clock) -> None:
            order.append(name)
            clock.wall += seconds
            clock.cpu += seconds

        return run

    result = interleave({"a": candidate("a", 2.0), "b": candidate("b", 1.0)}, rounds=2, warmups=1)
    assert order == ["a", "b", "a", "b", "b", "a"]
    assert result.ratio("a", "b").median == 2.0
    assert result.samples["a"].median("wall") == 2.0


def test_ratio_spread() -> None:
    result = Comparison({"a": Samples(cpu=[1.0, 2.0, 3.0]), "b": Samples(cpu=[1.0, 1.0, 1.0])}, 3, 0)
    ratio = result.ratio("a", "b")
    assert (ratio.low, ratio.median, ratio.high) == (1.5, 2.0, 2.5)


def test_code_bytes_looks_into_nested_components() -> None:
    module = b"\0asm\x01\0\0\0" + b"\x0a\x03\x01\x01\x00"
    inner = b"\0asm\x0d\0\x01\0" + b"\x01" + bytes([len(module)]) + module
    outer = b"\0asm\x0d\0\x01\0" + b"\x04" + bytes([len(inner)]) + inner + b"\x01" + bytes([len(module)]) + module
    assert core_modules(outer) == [module, module]
    assert code_bytes(outer) == 6
