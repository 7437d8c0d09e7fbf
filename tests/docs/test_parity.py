"""Nothing that people can call is missing from the docs."""

from __future__ import annotations

import re
from functools import cache

import pytest
import yaml
from mags import AsyncMags, Mags

from deploy.layout import ROOT
from scripts import cli_docs
from tests.docs.pages import DOCS


@cache
def text_of(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


@cache
def all_text() -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in DOCS.rglob("*.md"))


def paths() -> list[str]:
    return list(yaml.safe_load((ROOT / "openapi.yaml").read_text(encoding="utf-8"))["paths"])


def methods() -> list[str]:
    return sorted({name for kind in (Mags, AsyncMags) for name in dir(kind) if not name.startswith("_")})


def test_the_page_of_the_command_line_is_up_to_date() -> None:
    assert cli_docs.generate() == text_of("cli.md"), "run scripts/cli_docs.py --write"


def test_every_command_is_shown() -> None:
    headings = re.findall(r"^##+ (.+)$", text_of("cli.md"), re.MULTILINE)
    assert headings == [path for path, _ in cli_docs.commands(cli_docs.app, "")]


@pytest.mark.parametrize("path", paths())
def test_every_path_of_the_api_is_mentioned(path: str) -> None:
    """By its last words at least: `/mags-jobs/{job}/execs/{exec_id}/output` as `/output`."""
    words = [word for word in path.removeprefix("/api/v1").split("/") if word]
    named = [word for word in words if not word.startswith("{")]
    assert f"/{named[-1]}" in all_text(), f"{path} is on no page"


@pytest.mark.parametrize("name", methods())
def test_every_method_of_the_sdk_is_in_its_page(name: str) -> None:
    assert re.search(rf"\b{name}\b", text_of("sdk/python.md")), f"{name} is not in docs/sdk/python.md"
