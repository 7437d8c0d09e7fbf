"""docs/reference/settings.md says what the code reads, no more and no less."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from deploy import layout
from hostagent.config import PREFIX, Config

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/reference/settings.md").read_text(encoding="utf-8")


def rows(title: str) -> dict[str, str]:
    """{setting: default} of the table under a heading."""
    section = PAGE.split(f"## {title}", 1)[1].split("\n## ", 1)[0]
    return dict(re.findall(r"^\| `(MAGS_\w+)` \| (.*?) \|", section, re.MULTILINE))


def test_every_server_setting_is_on_the_page() -> None:
    source = (ROOT / "mags_project/settings.py").read_text(encoding="utf-8")
    read = {f"MAGS_{name}" for name in re.findall(r"(?:env\.\w+|secret)\(\s*\"([A-Z0-9_]+)\"", source)}
    assert len(read) > 15
    assert set(rows("Server")) == read


def test_every_agent_setting_is_on_the_page_with_its_default() -> None:
    defaults = {PREFIX + field.name.upper(): field.default for field in fields(Config)}
    documented = rows("Agent")
    assert set(documented) == set(defaults)
    for name, text in documented.items():
        if name != "MAGS_AGENT_DENY":  # too long for a table
            default = defaults[name]
            plain = str(default).lower() if isinstance(default, bool) else str(default)
            assert text == (f"`{plain}`" if plain else "empty"), name


def test_every_stack_setting_is_on_the_page_with_its_default() -> None:
    documented = rows("The stack")
    source = Path(layout.__file__).read_text(encoding="utf-8")
    read = set(re.findall(r"values(?:\.get\(|, )\"(MAGS_\w+)\"", source)) - {"MAGS_AGENT_INSTANCE"}
    assert set(documented) == read
    plain = layout.Layout(var=ROOT)
    assert documented["MAGS_WEB_PORT"] == f"`{plain.web_port}`"
    assert documented["MAGS_REDIS_PORT"] == f"`{plain.redis_port}`"
    assert documented["MAGS_S3_PORT"] == f"`{plain.s3_port}`"
    assert documented["MAGS_GATEWAY_PORT"] == f"`{plain.gateway_port}`"
    assert documented["MAGS_DATA_PORT_PORT"] == f"`{plain.data_port}`"
    assert documented["MAGS_BIND"] == f"`{plain.bind}`"
    assert documented["MAGS_SYSTEM_USER"] == f"`{plain.user}`"
