"""Components that others' tools made: published ones from PyPI, and some built here with clang, wasm-tools, componentize-py and ComponentizeJS."""

from __future__ import annotations

import gc
import io
import time
from pathlib import Path
from typing import Any

import pytest

import wasmrt
from tests.real import build
from wasmrt import wasi
from wasmrt.component import Component, Variant

pytestmark = pytest.mark.network


@pytest.fixture(scope="session")
def engine() -> wasmrt.Engine:
    return wasmrt.Engine()


def path_of(name: str) -> Path:
    try:
        return build.ALL[name]()
    except build.Missing as reason:
        pytest.skip(str(reason))


# ---- from PyPI --------------------------------------------------------------------------------------------------------------------------------------


class Arcjet:
    """The five interfaces that the rules of arcjet ask their host."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []

    def imports(self) -> dict[str, Any]:
        answer = self.asked.append
        return {
            "email-validator-overrides": {
                "is-free-email": lambda domain: answer(("free", domain)) or "no",
                "is-disposable-email": lambda domain: "yes" if domain == "throwaway.example" else "no",
                "has-mx-records": lambda domain: "no" if domain == "nomail.example" else "yes",
                "has-gravatar": lambda email: "unknown",
            },
            "sensitive-information-identifier": {"detect": lambda tokens: [Variant("custom", "name") if t == "Ada" else None for t in tokens]},
            "verify-bot": {"verify": lambda bot, ip: "verified" if ip == "66.249.66.1" else "unverifiable"},
            "bot-identifier": {"detect": lambda request: []},
            "filter-overrides": {"ip-lookup": lambda ip: answer(("ip", ip))},
        }


def test_arcjet(engine: wasmrt.Engine) -> None:
    host = Arcjet()
    arcjet: Any = wasmrt.load(path_of("arcjet"), host.imports(), engine=engine)

    def valid(email: str) -> Any:
        deny = {"require-top-level-domain": True, "allow-domain-literal": False, "deny": ["FREE", "DISPOSABLE", "NO_MX_RECORDS", "INVALID"]}
        result = arcjet.is_valid_email(email, Variant("deny-email-validation-config", deny))
        return result.validity, result.blocked

    assert valid("ada@example.com") == ("valid", []) and host.asked == [("free", "example.com")]
    assert valid("a@throwaway.example") == ("invalid", ["DISPOSABLE"])
    assert valid("a@nomail.example") == ("invalid", ["NO_MX_RECORDS"])
    assert valid("no address")[0] == "invalid"
    found = arcjet.detect_sensitive_info(
        "Ada writes to ada@example.com from 10.1.2.3",
        {"entities": Variant("deny", [Variant("email"), Variant("custom", "name")]), "context_window_size": 1, "skip_custom_detect": False},
    )
    assert [(e.start, e.end, e.identified_type.tag) for e in found.denied] == [(0, 3, "custom"), (14, 29, "email")]
    assert [e.identified_type.tag for e in found.allowed] == ["ip-address"]
    request = '{"ip": "8.8.8.8", "method": "GET", "host": "example.com", "path": "/a", "headers": {"user-agent": "curl/8.0"}}'
    fingerprint = arcjet.generate_fingerprint(request, ["ip.src"])
    assert fingerprint.startswith("fp::2::") and arcjet.generate_fingerprint(request, ["ip.src"]) == fingerprint
    bots = arcjet.detect_bot(request, Variant("denied-bot-config", {"entities": ["CURL"], "skip-custom-detect": True}))
    assert bots.denied == ["CURL"] and bots.allowed == []
    result = arcjet.match_filters(request, "{}", ['http.request.method eq "GET"'], True)
    assert result.allowed and result.matched_expressions == ['http.request.method eq "GET"']
    with pytest.raises(wasmrt.WitError) as refused:
        arcjet.validate_characteristics(request, ["no.such"])
    assert isinstance(refused.value.value, str)
    with pytest.raises(TypeError, match="argument 'request'"):
        arcjet.generate_fingerprint(3, [])


class Tools:
    def dispatch(self, name: str, args_json: str) -> str:
        if name != "add":
            raise wasmrt.WitError(f"no tool {name}")
        return str(sum(__import__("json").loads(args_json).values()))


def test_a_python_interpreter(engine: wasmrt.Engine, tmp_path: Path) -> None:
    """CPython 3.14 by componentize-py, with all of WASI 0.2 imported, sockets and HTTP as well."""
    config = wasmrt.WasiConfig()
    config.preopen_dir(tmp_path, "/data")
    config.env = {"GREETING": "hej"}
    sandbox: Any = wasmrt.load(path_of("python-sandbox"), {"tools": Tools()}, wasi=config, engine=engine)

    def run(code: str) -> str:
        result = sandbox.executor.run(code)
        assert result.exit_code == 0, result.stderr
        return str(result.stdout)

    assert run("print(sum(i * i for i in range(1000)), 'æøå ✓'.upper())") == f"{sum(i * i for i in range(1000))} ÆØÅ ✓\n"
    assert run("import json, re, math; print(json.dumps([1, {'a': None}]), re.sub('b+', '-', 'abbc'), math.pi)") == '[1, {"a": null}] a-c 3.141592653589793\n'
    assert run("n = 41") == "" and "m" not in run("print('ok')")
    assert run("import time; a = time.monotonic(); time.sleep(0.01); print(time.monotonic() - a >= 0.01)") == "True\n"
    assert run("import os; print(len(os.urandom(5)))") == "5\n"
    failed = sandbox.executor.run("1/0")
    assert failed.exit_code == 1 and "ZeroDivisionError" in failed.stderr
    written = "open('/data/out.txt', 'w').write('from the guest'); print(open('/data/out.txt').read())"
    if sandbox.executor.run(written).exit_code == 0:  # a snapshot may have been taken before there were preopened directories
        assert (tmp_path / "out.txt").read_text() == "from the guest"
    outside = sandbox.executor.run("print(open('/etc/passwd').read())")
    assert outside.exit_code == 1 and "Error" in outside.stderr


# ---- built here -------------------------------------------------------------------------------------------------------------------------------------


def test_c_without_a_library(engine: wasmrt.Engine) -> None:
    log: list[str] = []
    loaded: Any = wasmrt.load(path_of("shapes-c"), {"log": log.append}, engine=engine)
    drawing = loaded.drawing
    with drawing.Canvas(100, 50) as canvas:
        assert canvas.add(10, {"bold"}) == 0  # the case is clear from the payload
        assert canvas.add([{"x": 0, "y": 0}, {"x": 4, "y": 0}, {"x": 4, "y": 3}], set()) == 1
        assert canvas.add(Variant("text", "hej ✓"), {"bold", "dashed"}) == 2 and log == ["hej ✓"]
        with pytest.raises(wasmrt.WitError, match="the circle is too large"):
            canvas.add(26, set())
        with pytest.raises(wasmrt.WitError, match="three points"):
            canvas.add([], set())
        assert canvas.doubled_area() == 12 and canvas.describe() == "100x50, 3 shapes, 2 bold ✓"
        other = drawing.Canvas(1, 1)
        both = drawing.Canvas.merge(other, canvas)
        assert both.describe() == "1x1, 3 shapes, 2 bold ✓" and both.doubled_area() == 12
        with pytest.raises(wasmrt.WasmError):
            other.describe()  # it was given away
        assert drawing.counts() == (2, 2)
    assert drawing.counts() == (1, 2)
    del both
    gc.collect()
    assert drawing.counts() == (0, 2)
    with pytest.raises(TypeError, match=r"argument 'shape'\[1\]\.y: expected s32, got str"):
        drawing.Canvas(1, 1).add([{"x": 0, "y": 0}, {"x": 4, "y": "0"}], set())
    big = drawing.Canvas(1, 1)
    assert big.add([(0, 0)] * 0 + [{"x": i, "y": i * i} for i in range(20_000)], set()) == 0 and big.doubled_area() != 0


def test_c_with_files(engine: wasmrt.Engine, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("ab\ncd\n" * 40_000)
    out: list[bytes] = []

    def run(*argv: str) -> Any:
        config = wasmrt.WasiConfig()
        config.argv = ["wc", *argv]
        config.preopen_dir(tmp_path, "/data")
        config.stdout_custom = config.stderr_custom = out.append
        command: Any = wasmrt.load(path_of("wc-c"), wasi=config, engine=engine)
        return command.run.run()

    assert run("/data/in", "/data/out") is None
    assert (tmp_path / "out").read_text() == "80000 240000\n" and b"".join(out) == b"/data/in: 80000 lines, 240000 bytes\n"
    for path in ("/data/none", "/etc/passwd", "/data/../../../etc/passwd"):
        out.clear()
        with pytest.raises((wasmrt.ExitTrap, wasmrt.WitError)):
            run(path, "/data/out2")
        assert b"No such file" in b"".join(out) or b"not permitted" in b"".join(out) or b"Capabilities" in b"".join(out)


@pytest.mark.parametrize("name", ["text-py", "text-js"])
def test_interpreters_with_a_program(engine: wasmrt.Engine, name: str) -> None:
    """One world in Python by componentize-py and in JavaScript by ComponentizeJS."""
    log: list[str] = []
    shapes = wasmrt.load(path_of(name), {"log": log.append}, engine=engine).shapes  # type: ignore[attr-defined]
    found = shapes.find("ab\ncab", "ab")
    assert [(p.line, p.column) for p in found] == [(0, 0), (1, 1)] and log == ["finding ab"]
    one = shapes.find("xx✓y", "y")
    assert (one.line, one.column) == (0, 3) and shapes.find("", "y") is None
    assert shapes.shout("hej æ", "loud", {"bold"}) == "HEJ Æ" and shapes.shout("hej", "calm", set()) == "hej"
    with pytest.raises(wasmrt.WitError, match="nothing to shout"):
        shapes.shout("", "calm", set())
    text = " ".join(f"w{i % 100}" for i in range(10_000))
    assert dict(shapes.words(text)) == {f"w{i}": 100 for i in range(100)}
    with pytest.raises(ValueError, match="argument 'mood'"):
        shapes.shout("hej", "sleepy", set())
    assert shapes.find.__doc__.startswith("find: func(text: string, needle: string) -> answer")


# ---- the proxy world --------------------------------------------------------------------------------------------------------------------------------


def ask(app: Any, path: str, body: bytes = b"", query: str = "") -> tuple[str, dict[str, str], bytes]:
    answer: list[Any] = []
    environ = {"REQUEST_METHOD": "POST" if body else "GET", "SERVER_NAME": "x", "SERVER_PORT": "80", "PATH_INFO": path, "QUERY_STRING": query, "HTTP_X_NAME": "Ada"}
    environ |= {"wsgi.url_scheme": "http", "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}  # type: ignore[dict-item]
    chunks = app(environ, lambda status, headers: answer.extend((status, headers)))
    return answer[0], dict(answer[1]), b"".join(chunks)


def test_a_proxy_in_javascript(engine: wasmrt.Engine) -> None:
    def handler(request: wasi.HttpRequest) -> Any:
        return 203, {}, f"{request.method} {request.authority}{request.path} {dict(request.headers).get('x-asks')} ".encode() + request.body.read()

    config = wasmrt.WasiConfig()
    config.http_handler = handler
    component = Component.from_file(engine, path_of("proxy-js"))
    app = wasi.wsgi(component, wasi=config)
    status, headers, body = ask(app, "/hello")
    assert (status, headers["x-guest"], body) == ("200 OK", "js", b"hello from Ada")
    assert ask(app, "/echo", b"abc")[::2] == ("201 Created", b"ABC")
    assert ask(app, "/stream", b"abc" * 200_000)[2] == b"abc" * 200_000
    assert ask(app, "/ask", query="url=http://a.example/b%3Fc")[2] == b"203: POST a.example/b?c b'yes' question"
    assert ask(app, "/both")[2].count(b"GET both.example/") == 2
    assert ask(app, "/none")[0] == "404 Not Found"
    began = time.monotonic()
    assert ask(wasi.wsgi(component, timeout=0.5), "/spin")[0].startswith("500") and time.monotonic() - began < 10


def test_a_proxy_in_python(engine: wasmrt.Engine) -> None:
    app = wasi.wsgi(Component.from_file(engine, path_of("proxy-py")))
    status, headers, body = ask(app, "/a b", b"hello " * 20_000, "q=1")
    assert status == "200 OK" and headers == {"x-guest": "python", "x-path": "/a%20b?q=1"} and body == b"HELLO " * 20_000
