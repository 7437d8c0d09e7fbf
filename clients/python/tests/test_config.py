"""Which server and which token, and how they are kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mags import config
from mags.errors import MagsError

HERE, THERE = "http://127.0.0.1:1", "https://mags.example.org"


def test_argument_wins_over_environment_wins_over_file(monkeypatch: pytest.MonkeyPatch) -> None:
    config.save(config.Saved(HERE, "from-file"))
    assert config.resolve().api_token == "from-file"
    monkeypatch.setenv("MAGS_TOKEN", "second")
    assert config.resolve().api_token == "second"
    monkeypatch.setenv("MAGS_API_TOKEN", "first")
    assert config.resolve().token_from == "MAGS_API_TOKEN"
    monkeypatch.setenv("MAGS_API_URL", THERE)
    assert config.resolve(api_token="argument") == config.Config(THERE, "argument", "the argument")
    assert config.resolve(HERE).api_url == HERE


def test_saved_token_is_not_sent_to_another_server(monkeypatch: pytest.MonkeyPatch) -> None:
    config.save(config.Saved(HERE, "secret"))
    monkeypatch.setenv("MAGS_API_URL", THERE)
    with pytest.raises(MagsError, match=r"is for http://127.0.0.1:1, not for https") as caught:
        config.resolve()
    assert caught.value.code == "not_logged_in"
    assert "mags login --url" in caught.value.remediation


def test_without_a_token_says_how_to_get_one() -> None:
    with pytest.raises(MagsError) as caught:
        config.resolve()
    assert "mags login" in caught.value.remediation


def test_file_is_private_even_where_it_was_not(home: Path) -> None:
    directory = home / ".mags"
    directory.mkdir(mode=0o755)
    (directory / "config.json").write_text("{}")
    (directory / "config.json").chmod(0o644)
    path = config.save(config.Saved(HERE, "secret"))
    assert (path.stat().st_mode & 0o777, directory.stat().st_mode & 0o777) == (0o600, 0o700)
    assert json.loads(path.read_text()) == {"api_url": HERE, "api_token": "secret"}
    assert list(directory.iterdir()) == [path]


def test_failed_save_leaves_the_old_file_whole(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    config.save(config.Saved(HERE, "old"))
    with pytest.raises(TypeError):
        config.save(config.Saved(HERE, object()))  # type: ignore[arg-type]
    assert config.read_saved().api_token == "old"
    assert [path.name for path in (home / ".mags").iterdir()] == ["config.json"]


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"[1]", b'{"api_token": 3}'])
def test_broken_file_is_an_error_only_where_it_is_needed(home: Path, content: bytes) -> None:
    (home / ".mags").mkdir()
    (home / ".mags" / "config.json").write_bytes(content)
    assert config.resolve(HERE, "given").api_token == "given"
    if b"token" not in content:
        with pytest.raises(MagsError):
            config.resolve()


def test_token_is_not_shown_by_repr() -> None:
    assert "secret" not in repr(config.resolve(HERE, "secret")) + repr(config.Saved(HERE, "secret"))


@pytest.mark.parametrize(
    ("given", "normal"),
    [
        ("https://mags.example.org/", "https://mags.example.org"),
        ("http://[::1]:8080/api/v1/", "http://[::1]:8080"),
        ("https://example.org/mags", "https://example.org/mags"),
    ],
)
def test_address_is_brought_to_one_form(given: str, normal: str) -> None:
    assert config.normal_url(given) == normal


@pytest.mark.parametrize(
    "url",
    ["mags.example.org", "ftp://host", "http://", "http://u:p@host", "http://host:x", "http://h?a=b", ""],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(MagsError, match="not the address"):
        config.normal_url(url)


@pytest.mark.parametrize("token", ["", " ", "a b", "a\nb", "tokén", "a\x00b"])
def test_what_cannot_be_a_header_is_no_token(token: str) -> None:
    with pytest.raises(MagsError, match="token"):
        config.checked_token(token)
