"""What a wish for a held sandbox may say of sleep, of its startup command and of SSH."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from hostagent.heldwire import SandboxWish, wish_of

KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaA==\n-----END OPENSSH PRIVATE KEY-----\n"


def wish(**fields: Any) -> SandboxWish:
    volume = {"id": None, "head": None, "base": None, "is_saved": False}
    body = {
        "sandbox_id": "a" * 16, "epoch": 1, "revision": 1, "wish": "run", "tenant": "u1", "image": "standard",
        "vcpus": 1, "memory_mb": 64, "disk_gb": 1, "is_kept": True, "checkpoint_s": 0, "volume": volume,
    }  # fmt: skip
    return wish_of(msgspec.Raw(msgspec.json.encode(body | fields)))


def test_wish_of_an_older_server_says_nothing_of_them() -> None:
    old = wish()
    assert (old.sleep, old.wake, old.startup, old.ssh) == (None, 0, None, None)


def test_wish_with_all_of_them() -> None:
    new = wish(
        sleep={"idle_s": 600, "cpu_percent": 2, "stop_s": None},
        wake=3,
        startup={"command": "python3 app.py &\n", "environment": {"PORT": "80"}},
        ssh={"host_key": KEY, "authorized_keys": ["ssh-ed25519 AAAA bob"], "digest": "0" * 64},
    )
    assert new.sleep is not None
    assert new.sleep.idle_s == 600
    assert not new.sleep.with_runs
    assert new.startup is not None
    assert new.startup.environment == {"PORT": "80"}
    assert new.wake == 3
    assert KEY not in repr(new)
    assert "authorized_keys=1" in repr(new)


@pytest.mark.parametrize(
    "fields",
    [
        {"sleep": {"idle_s": 0, "cpu_percent": 2}},
        {"sleep": {"idle_s": 600, "cpu_percent": -1}},
        {"sleep": {"idle_s": 600, "cpu_percent": 2, "stop_s": -5}},
        {"sleep": {"idle_s": "600", "cpu_percent": 2}},
        {"wake": -1},
        {"startup": {"command": ""}},
        {"startup": {"command": "a\0b"}},
        {"startup": {"command": "x" * (16 * 1024 + 1)}},
        {"startup": {"command": "true", "environment": {"A=B": "c"}}},
        {"startup": {"command": "true", "environment": {"A": "b\0"}}},
        {"ssh": {"host_key": "none", "authorized_keys": [], "digest": "0" * 64}},
        {"ssh": {"host_key": f"{KEY}é", "authorized_keys": [], "digest": "0" * 64}},
        {"ssh": {"host_key": KEY, "authorized_keys": ["ssh-ed25519 AAAA\nssh-rsa BBBB"], "digest": "0" * 64}},
        {"ssh": {"host_key": KEY}},
    ],
)
def test_wish_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        wish(**fields)


def test_wish_is_refused_whose_command_is_no_unicode() -> None:
    lone = msgspec.json.encode("x").replace(b"x", rb"\ud800")
    with pytest.raises(msgspec.DecodeError):
        wish(startup={"command": msgspec.Raw(lone)})
