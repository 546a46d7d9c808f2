import re

import wasmrt


def test_version_is_semantic() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", wasmrt.__version__)
