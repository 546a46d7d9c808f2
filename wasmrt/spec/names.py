"""Names of imports, exports and labels: their grammar, strong uniqueness and versions.

From the component model's Explainer, "Import and Export Definitions" and "Name Uniqueness". Dependency names (`url=<...>` and its kin) were in it until
July 2026, and imports of components made before have them. Versions are those of
Semantic Versioning 2.0; `semver_key` is how linkers match compatible ones.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

NameKind = Literal["label", "constructor", "method", "static", "interface", "dependency"]

_LABEL = re.compile(r"(?:[a-z][0-9a-z]*|[A-Z][0-9A-Z]*)(?:-(?:[0-9a-z]+|[0-9A-Z]+))*", re.ASCII)
_WORDS = re.compile(r"[a-z][0-9a-z]*(?:-[0-9a-z]+)*", re.ASCII)
_NUMBER = re.compile(r"0|[1-9][0-9]*", re.ASCII)
_HASH = re.compile(r"sha(?:256|384|512)-[A-Za-z0-9+/]+={0,2}(?:\?[!-~]*)?", re.ASCII)
_DEPENDENCY = re.compile(r"(url|integrity|locked-dep|unlocked-dep)=<")
_IDENTIFIERS = re.compile(r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*", re.ASCII)


class NameError_(ValueError):
    """A name breaks the grammar; the message says how."""


@dataclass(frozen=True, slots=True)
class Semver:
    major: int
    minor: int
    patch: int
    prerelease: str = ""
    build: str = ""

    def key(self) -> tuple[int, int, int, bool, list[tuple[int, int, str]]]:
        """Sorts by precedence: a prerelease comes before its release, build metadata does not count."""
        parts = [(0, int(p), "") if p.isdecimal() else (1, 0, p) for p in self.prerelease.split(".") if p]
        return self.major, self.minor, self.patch, not self.prerelease, parts


@dataclass(frozen=True, slots=True)
class ParsedName:
    """`resource` is the first label of a constructor, method or static; `label` the plain or the second one."""

    kind: NameKind
    unique_key: str
    label: str = ""
    resource: str = ""
    version: Semver | None = None


def is_label(text: str) -> bool:
    return _LABEL.fullmatch(text) is not None


def _label(text: str) -> str:
    if not is_label(text):
        raise NameError_(f"`{text}` is not in kebab case")
    return text


def parse_name(name: str) -> ParsedName:
    """The parts of an import or export name; NameError_ when it is none."""
    if name.startswith("["):
        kind, bracket, rest = name[1:].partition("]")
        if bracket and kind == "constructor":
            resource = _label(rest)
            return ParsedName("constructor", "[constructor]" + resource.lower(), resource=resource)
        if bracket and kind in ("method", "static"):
            first, dot, second = rest.partition(".")
            if not dot:
                raise NameError_(f"failed to find `.` character in `{name}`")
            resource, label = _label(first), _label(second)
            low, high = resource.lower(), label.lower()
            key = low if low == high else f"{low}.{high}"
            return ParsedName("method" if kind == "method" else "static", key, label, resource)
        raise NameError_(f"unknown annotation in `{name}`")
    if ":" in name:
        return _interface(name)
    if not is_label(name):
        raise NameError_(f"`{name}` is not in kebab case")
    return ParsedName("label", name.lower(), name)


def is_dependency_name(name: str) -> bool:
    """Whether it begins as a dependency name does; `parse_import_name` says whether it is one."""
    return _DEPENDENCY.match(name) is not None


def parse_import_name(name: str) -> ParsedName:
    """As `parse_name`, with the names that only imports may have: `url=<...>`, `integrity=<...>`, `locked-dep=<...>`, `unlocked-dep=<...>`."""
    match = _DEPENDENCY.match(name)
    if match is None:
        return parse_name(name)
    kind = match.group(1)
    # the versions of a range are compared by `>=` and `<`
    inside, close, rest = name[match.end() :].partition(">") if kind != "unlocked-dep" else _range(name, match.end())
    if not close:
        raise NameError_(f"failed to find `>` in `{name}`")
    if "<" in inside and kind != "unlocked-dep":
        raise NameError_(f"`{kind}=<...>` cannot contain `<` in `{name}`")
    if kind == "integrity":
        _integrity(inside, name)
    elif kind != "url":
        _package(inside, kind == "unlocked-dep", name)
    if rest and kind in ("url", "locked-dep"):
        if not (rest.startswith(",integrity=<") and rest.endswith(">")):
            raise NameError_(f"expected `,integrity=<...>` at `{rest}` in `{name}`")
        _integrity(rest[len(",integrity=<") : -1], name)
    elif rest:
        raise NameError_(f"trailing characters found: `{rest}` in `{name}`")
    return ParsedName("dependency", name)


def _range(name: str, start: int) -> tuple[str, str, str]:
    """As `partition`, at the bracket behind the range's brace."""
    brace = name.find("}", start)
    end = name.find(">", max(brace, start))
    return (name[start:], "", "") if end < 0 else (name[start:end], ">", name[end + 1 :])


def _integrity(text: str, name: str) -> None:
    """The metadata of W3C's Subresource Integrity: hashes, with options, between spaces."""
    hashes = text.split()
    if not hashes:
        raise NameError_(f"integrity hash cannot be empty in `{name}`")
    for one in hashes:
        if not _HASH.fullmatch(one):
            raise NameError_(f"`{one}` is not a sha256, sha384 or sha512 hash in base64 in `{name}`")


def _package(text: str, is_query: bool, name: str) -> None:
    """`ns:pkg`, with a version, or with a range of versions for a query."""
    path, at, version = text.partition("@")
    namespace, colon, rest = path.partition(":")
    package, *projections = rest.split("/")
    if not colon or not _WORDS.fullmatch(namespace) or not _WORDS.fullmatch(package):
        raise NameError_(f"`{path}` is not a package name in kebab case (lowercase) in `{name}`")
    for projection in projections:
        _label(projection)
    if not at or (is_query and version == "*"):
        return
    if not is_query:
        parse_semver(version)
        return
    if not (version.startswith("{") and version.endswith("}")):
        raise NameError_(f"expected `*` or a range in braces after `@` in `{name}`")
    low, space, high = version[1:-1].partition(" ")
    bounds = [low, high] if space else [low]
    wanted = [">=", "<"] if space else [">=" if low.startswith(">=") else "<"]
    for bound, operator in zip(bounds, wanted, strict=True):
        if not bound.startswith(operator):
            raise NameError_(f"expected `{operator}` and a version at `{bound}` in `{name}`")
        parse_semver(bound[len(operator) :])


def _interface(name: str) -> ParsedName:
    base, at, version = name.partition("@")
    namespace, _, rest = base.partition(":")
    if not _WORDS.fullmatch(namespace):
        raise NameError_(f"`{namespace}` is not in kebab case (lowercase) in `{name}`")
    package, slash, projection = rest.partition("/")
    if ":" in package or (package and not slash):
        raise NameError_(f"expected `/` after package name in `{name}`")
    if not _WORDS.fullmatch(package):
        raise NameError_(f"`{package}` is not in kebab case (lowercase) in `{name}`")
    interface, slash, trailing = projection.partition("/")
    if slash:
        raise NameError_(f"trailing characters found: `/{trailing}` in `{name}`")
    _label(interface)
    return ParsedName(
        "interface",
        name.lower() if not at else base.lower() + "@" + version,
        interface,
        version=parse_semver(version) if at else None,
    )


def parse_semver(text: str) -> Semver:
    """A version such as `1.2.3-rc.1+build`; NameError_ says where it goes wrong."""
    if not text:
        raise NameError_("empty string, expected a semver version")
    numbers: list[int] = []
    position = 0
    for part in ("major", "minor", "patch"):
        if numbers:
            if position >= len(text):
                raise NameError_(f"unexpected end of input while parsing {part} version number of `{text}`")
            if text[position] != ".":
                raise NameError_(f"unexpected character '{text[position]}' before {part} version number of `{text}`")
            position += 1
        if position >= len(text):
            raise NameError_(f"unexpected end of input while parsing {part} version number of `{text}`")
        match = _NUMBER.match(text, position)
        if match is None:
            raise NameError_(f"unexpected character '{text[position]}' while parsing {part} version number of `{text}`")
        if len(match.group()) > 20 or int(match.group()) >= 1 << 64:
            raise NameError_(f"value of {part} version number of `{text}` exceeds 2^64")
        numbers.append(int(match.group()))
        position = match.end()
    rest = text[position:]
    prerelease = build = ""
    if rest.startswith("-"):
        prerelease, _, tail = rest[1:].partition("+")
        _identifiers(prerelease, "pre-release", text)
        if any(p.isdecimal() and len(p) > 1 and p[0] == "0" for p in prerelease.split(".")):
            raise NameError_(f"invalid leading zero in pre-release identifier of `{text}`")
        rest = "+" + tail if "+" in rest else ""
    if rest.startswith("+"):
        build = rest[1:]
        _identifiers(build, "build metadata", text)
        rest = ""
    if rest:
        raise NameError_(f"unexpected character '{rest[0]}' after patch version number of `{text}`")
    return Semver(numbers[0], numbers[1], numbers[2], prerelease, build)


def _identifiers(text: str, what: str, version: str) -> None:
    if not all(text.split(".")):
        raise NameError_(f"empty identifier segment in {what} of `{version}`")
    if not _IDENTIFIERS.fullmatch(text):
        raise NameError_(f"unexpected character in {what} of `{version}`")


def semver_key(name: str) -> tuple[str, Semver] | None:
    """For linking: `(compatible, version)` where two interface names with the same `compatible` may stand for each
    other, the host's higher version first. None for a name without a version or with a prerelease.

    >>> semver_key("wasi:io/streams@0.2.3")[0]
    'wasi:io/streams@0.2'
    """
    base, at, text = name.rpartition("@")
    if not at:
        return None
    try:
        version = parse_semver(text)
    except NameError_:
        return None
    if version.prerelease:
        return None
    if version.major:
        return f"{base}@{version.major}", version
    if version.minor:
        return f"{base}@0.{version.minor}", version
    return f"{base}@0.0.{version.patch}", version
