"""Which shell runs scripts over an image: the image says, and never this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from hostagent.drivers.spec import shell


@pytest.mark.parametrize(
    ("links", "bash", "expected"),
    [
        ({"bin": "usr/bin"}, "usr/bin/bash", "/bin/bash"),
        ({}, "bin/bash", "/bin/bash"),
        ({"bin": "usr/bin"}, None, "/bin/sh"),
        ({"bin": "/usr/bin", "usr": "/usr"}, None, "/bin/sh"),  # this machine has one there
    ],
)
def test_bash_where_the_image_has_it(
    tmp_path: Path, links: dict[str, str], bash: str | None, expected: str
) -> None:
    for name, target in links.items():
        (tmp_path / name).symlink_to(target)
    if bash:
        (tmp_path / bash).parent.mkdir(parents=True)
        (tmp_path / bash).touch()
    assert Path("/usr/bin/bash").exists()
    assert shell(tmp_path) == expected
