"""Which server to talk to and with which token.

An argument wins over the environment (`MAGS_API_URL`; `MAGS_API_TOKEN`, then `MAGS_TOKEN`), which
wins over what `mags login` saved in `~/.mags/config.json`.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from mags.errors import MagsError

DEFAULT_URL = "http://127.0.0.1:8080"  # where `make up` puts a server


@dataclass(frozen=True)
class Config:
    """`token_from` names where the token came from, for people."""

    api_url: str
    api_token: str = field(repr=False)
    token_from: str


@dataclass(frozen=True)
class Saved:
    api_url: str = ""
    api_token: str = field(default="", repr=False)


def config_path() -> Path:
    return Path.home() / ".mags" / "config.json"


def resolve(api_url: str | None = None, api_token: str | None = None) -> Config:
    """The settings in force; `not_logged_in` when there is no token for the server."""
    env_token = next((name for name in ("MAGS_API_TOKEN", "MAGS_TOKEN") if os.environ.get(name)), None)
    # Where nothing of it is needed, a broken file is no reason to fail.
    given_url = api_url or os.environ.get("MAGS_API_URL")
    saved = Saved() if given_url and (api_token or env_token) else read_saved()
    url = normal_url(given_url or saved.api_url or DEFAULT_URL)
    if api_token:
        return Config(url, checked_token(api_token), "the argument")
    if env_token:
        return Config(url, checked_token(os.environ[env_token]), env_token)
    if not saved.api_token:
        raise MagsError(
            f"You are not logged in to {url}.",
            code="not_logged_in",
            remediation="Run `mags login`, or set MAGS_API_TOKEN.",
        )
    saved_url = normal_url(saved.api_url or DEFAULT_URL)
    if saved_url != url:  # a token never goes to a server that it is not of
        raise MagsError(
            f"The saved login is for {saved_url}, not for {url}.",
            code="not_logged_in",
            remediation=f"Run `mags login --url {url}`, or set MAGS_API_TOKEN.",
        )
    return Config(url, checked_token(saved.api_token), str(config_path()))


def normal_url(url: str) -> str:
    """`url` without a trailing slash or `/api/v1`, refused when it is not http(s)."""
    parts = urlsplit(url.strip())
    try:
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none
        is_good = False
    if not is_good or parts.username is not None or parts.query or parts.fragment:
        raise MagsError(
            f"{url!r} is not the address of a Mags server.",
            code="bad_config",
            remediation="Give one like https://mags.example.org or http://127.0.0.1:8080.",
        )
    path = parts.path.rstrip("/")
    for version in ("/api/v1", "/api/v2"):
        path = path.removesuffix(version)
    return f"{parts.scheme}://{parts.netloc}{path}"


def checked_token(token: str) -> str:
    """`token` without surrounding space, refused when it cannot be a header's value."""
    token = token.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise MagsError(
            "The token is empty or has characters that no token has.",
            code="bad_config",
            remediation="Copy it again from the dashboard, or make a new one.",
        )
    return token


def read_saved() -> Saved:
    """What `mags login` saved; empty values when it has not."""
    path = config_path()
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Saved()
    except (OSError, ValueError) as error:
        raise MagsError(
            f"Cannot read {path}: {error}",
            code="bad_config",
            remediation="Run `mags login` to write it anew, or set MAGS_API_URL and MAGS_API_TOKEN.",
        ) from error
    if not isinstance(data, dict):
        data = {}
    return Saved(*(str(data.get(key) or "") for key in ("api_url", "api_token")))


def save(saved: Saved) -> Path:
    """Write the file, readable by its owner only, whole or not at all."""
    path = config_path()
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.parent.chmod(0o700)
    fresh = path.with_name(f".config.json.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump({"api_url": saved.api_url, "api_token": saved.api_token}, file, indent=2)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
    return path


def forget() -> bool:
    """Delete the file; False when there was none."""
    try:
        config_path().unlink()
    except FileNotFoundError:
        return False
    return True
