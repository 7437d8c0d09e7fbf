"""The programs the agent calls, with the Debian package each comes from."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator

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


def _version(program: str, option: str) -> str:
    try:
        done = subprocess.run(
            [program, option],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"does not run: {error}"
    found = re.search(r"\bv?(\d[\w.+~-]*)", done.stdout or done.stderr)
    return found[1] if found else "of unknown version"
