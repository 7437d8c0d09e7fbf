"""Which of the machine's package sources an image is built from."""

from __future__ import annotations

from pathlib import Path

import pytest

from hostagent.errors import AgentError
from hostagent.images.sources import KEYRING, debian_sources

MAIN = "deb http://mirror.example/debian bookworm main\n"


def write(apt: Path, **files: str) -> Path:
    (apt / "sources.list.d").mkdir()
    for name, text in files.items():
        path = apt / name.replace("__", ".d/").replace("_", ".")
        path.write_text(text)
    return apt


def test_machine_without_sources_is_told_what_to_add(tmp_path: Path) -> None:
    with pytest.raises(AgentError, match=r"no repository of Debian bookworm(.|\n)*sources.list.d"):
        debian_sources(tmp_path)


def test_one_line_format(tmp_path: Path) -> None:
    apt = write(
        tmp_path,
        sources_list="# comment\n"
        "deb [arch=amd64 signed-by=/x] http://mirror.example/debian/ bookworm main non-free # x\n"
        "deb-src http://src.example/debian bookworm-updates main\n"
        "deb https://sec.example/debian-security bookworm-security main\n",
    )
    assert debian_sources(apt) == [
        f"deb [signed-by={KEYRING}] http://mirror.example/debian/ bookworm main",
        f"deb [signed-by={KEYRING}] https://sec.example/debian-security bookworm-security main",
    ]


def test_deb822_format_with_comments_and_several_suites(tmp_path: Path) -> None:
    text = (
        "Types: deb deb-src\n# why not\nURIs: http://mirror.example/debian\n"
        "Suites: bookworm\n bookworm-updates\n"
        "Components: main\nSigned-By: /k.gpg\n\n"
        "Enabled: no\nTypes: deb\nURIs: http://off.example/debian-security\n"
        "Suites: bookworm-security\nComponents: main\n"
    )
    found = debian_sources(write(tmp_path, sources_list__debian_sources=text))
    assert [line.split()[2] for line in found[:2]] == ["http://mirror.example/debian"] * 2
    assert len(found) == 2, "the security suite is switched off"


def test_repositories_of_others_are_left_out(tmp_path: Path) -> None:
    text = MAIN + (
        "deb https://download.docker.com/linux/debian bookworm stable\n"
        "deb https://apt.example.com bookworm main\n"
        "deb http://other.example/debian trixie main\n"
        "deb mirror+file:///etc/apt/mirrors/debian.list bookworm main\n"
        "deb http://deb.example/debian bookworm-backports main\n"
        "deb file:///srv/debian bookworm main\n"
    )
    found = debian_sources(write(tmp_path, sources_list__others_list=text))
    assert found == [f"deb [signed-by={KEYRING}] http://mirror.example/debian bookworm main"]
