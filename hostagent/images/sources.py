"""Debian's own repositories as the machine has them: its mirrors are those that work from here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from hostagent.errors import AgentError
from hostagent.images.recipe import SUITE

APT = Path("/etc/apt")
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"  # of debian-archive-keyring, also inside the image
SUITES = (SUITE, f"{SUITE}-updates", f"{SUITE}-security")


def debian_sources(apt: Path = APT) -> list[str]:
    """One sources.list line for each of Debian's suites that this machine names."""
    found: dict[str, str] = {}
    for uri, suite, components in _entries(apt):
        if suite in SUITES and "main" in components and _is_debian(uri):
            found.setdefault(suite, uri)
    if SUITE not in found:
        raise AgentError(
            f"{apt} names no repository of Debian {SUITE} to build an image from",
            f"add one: echo 'deb http://YOUR-MIRROR/debian {SUITE} main' > {apt}/sources.list.d/{SUITE}.list",
        )
    return [f"deb [signed-by={KEYRING}] {found[suite]} {suite} main" for suite in SUITES if suite in found]


def _is_debian(uri: str) -> bool:
    """Others use Debian's suite names as well. Their signatures would fail; their paths differ before."""
    parts = urlsplit(uri)
    last = parts.path.rstrip("/").rpartition("/")[2]
    return (
        parts.scheme in ("http", "https")
        and last in ("debian", "debian-security")
        and "docker" not in parts.netloc
    )


def _entries(apt: Path) -> Iterator[tuple[str, str, list[str]]]:
    """URI, suite and components of every binary repository, in either of apt's formats."""
    directory = apt / "sources.list.d"
    for path in [apt / "sources.list", *sorted(directory.glob("*.list"))]:
        yield from _one_line_entries(_text(path))
    for path in sorted(directory.glob("*.sources")):
        yield from _deb822_entries(_text(path))


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _one_line_entries(text: str) -> Iterator[tuple[str, str, list[str]]]:
    for line in text.splitlines():
        before, bracket, after = line.partition("[")
        if bracket:
            line = before + after.partition("]")[2]  # noqa: PLW2901  options are not ours to follow
        words = line.partition("#")[0].split()
        if len(words) >= 4 and words[0] == "deb":
            yield words[1], words[2], words[3:]


def _deb822_entries(text: str) -> Iterator[tuple[str, str, list[str]]]:
    for paragraph in text.split("\n\n"):
        fields: dict[str, list[str]] = {}
        name = ""
        for line in paragraph.splitlines():
            if line.startswith("#"):
                continue
            if line[:1] not in (" ", "\t"):
                name, _, line = line.partition(":")  # noqa: PLW2901
            fields.setdefault(name.strip().lower(), []).extend(line.split())
        if "deb" not in fields.get("types", []) or fields.get("enabled") == ["no"]:
            continue
        for uri in fields.get("uris", []):
            for suite in fields.get("suites", []):
                yield uri, suite, fields.get("components", [])
