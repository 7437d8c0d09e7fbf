"""The programs the agent calls, with the Debian package each comes from."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from hostagent.config import Config
from hostagent.doctor.finding import Finding, Status, missing, ok

TIMEOUT_S = 10


def check_tools(config: Config, *, is_before_install: bool) -> Iterator[Finding]:
    wanted = {
        config.runtime: ("crun", "--version"),
        config.conmon: ("conmon", "--version"),
        config.init: ("tini", "--version"),
        "btrfs": ("btrfs-progs", "version"),
        "mkfs.btrfs": ("btrfs-progs", "--version"),
        "ip": ("iproute2", "-Version"),
        "nft": ("nftables", "--version"),
        "mmdebstrap": ("mmdebstrap", "--version"),
        "unshare": ("util-linux", "--version"),
        "setpriv": ("util-linux", "--version"),
        "losetup": ("mount", "--version"),
        "tar": ("tar", "--version"),
    }
    for program, (package, option) in wanted.items():
        if shutil.which(program):
            yield ok(program, _version(program, option))
        elif is_before_install:
            yield Finding(program, Status.LATER, f"package {package}")
        else:
            yield missing(program, "not installed", f"apt-get install {package}")
    yield from _runtime_limits(config)
    yield _ca_bundle(config, is_before_install=is_before_install)


def _runtime_limits(config: Config) -> Iterator[Finding]:
    """By what it calls itself, whatever the file's name. One that does not run is told of above."""
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        if _says(config.runtime, "--version").startswith("runc "):
            what = "none with runc: its exec cannot join a held sandbox's network (seen with 1.1.5)"
            yield Finding("workspaces", Status.NOTE, what, "apt-get install crun; MAGS_AGENT_RUNTIME=crun")


def _ca_bundle(config: Config, *, is_before_install: bool) -> Finding:
    if not config.ca_bundle:
        return ok("CA bundle", "the image's own")
    path = Path(config.ca_bundle)
    if path.is_file() and b"BEGIN CERTIFICATE" in path.read_bytes():
        return ok("CA bundle", config.ca_bundle)
    debians = next(field.default for field in fields(Config) if field.name == "ca_bundle")
    if is_before_install and config.ca_bundle == debians:
        return Finding("CA bundle", Status.LATER, "package ca-certificates")
    return missing("CA bundle", f"{path} holds no certificate", "apt-get install ca-certificates")


def _version(program: str, option: str) -> str:
    try:
        found = re.search(r"\bv?(\d[\w.+~-]*)", _says(program, option))
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"does not run: {error}"
    return found[1] if found else "of unknown version"


def _says(program: str, option: str) -> str:
    done = subprocess.run(
        [program, option],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=TIMEOUT_S,
        check=False,
    )
    return done.stdout or done.stderr
