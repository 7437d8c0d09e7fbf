"""Does the kernel mount a sandbox's root? Tried with the agent's own launcher, on empty directories.

The launcher lives in a private mount namespace, so nothing is seen outside, and all is gone with it.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hostagent.doctor.finding import Finding, missing, ok

NAME = "overlay with shifted ids"
REMEDY = "Linux 5.19 or newer with overlayfs, as root and outside of an unprivileged container"
ID_BASE = 1_048_576
TIMEOUT_S = 10
PACKAGE_ROOT = Path(__file__).resolve().parents[2]


def probe_root(state_dir: Path) -> Finding:
    """Any directory will do: the state lies on btrfs in the end, which can shift ids since Linux 5.15."""
    if os.geteuid() != 0:
        return missing(NAME, "not tried: needs root", "run it as root")
    reasons = []
    for directory in dict.fromkeys((state_dir, Path("/var/tmp"), Path("/dev/shm"))):  # noqa: S108  a private subdirectory
        try:
            with tempfile.TemporaryDirectory(prefix=".mags-probe-", dir=directory) as work:
                _mount(Path(work))
        except OSError as error:
            reasons.append(f"{directory}: {error.strerror or error}")
        else:
            return ok(NAME, f"tried in {directory}")
    return missing(NAME, "; ".join(reasons), REMEDY)


def _mount(work: Path) -> None:
    for path in ("root", "root.layers/lower", "root.layers/upper", "lower", "upper/upper", "upper/work"):
        (work / path).mkdir(parents=True)
    request = {
        "id": 1,
        "call": "root",
        "base": ID_BASE,
        "options": [],
        "target": str(work / "root"),
        "lower": str(work / "lower"),
        "upper": str(work / "upper"),
    }
    answer = _ask(request)
    if "error" in answer:
        raise OSError(answer.get("errno") or 0, answer["error"])


def _ask(request: dict[str, object]) -> dict[str, str]:
    with _launcher() as connection:
        connection.send(json.dumps(request).encode())
        return dict(json.loads(connection.recv(1 << 16) or b'{"error": "the launcher died"}'))


@contextmanager
def _launcher() -> Iterator[socket.socket]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    no_state = os.devnull  # where the agent's state would be mounted
    command = [sys.executable, "-m", "hostagent.linux.launcher", str(theirs.fileno()), no_state]
    environment = {"PATH": os.defpath, "PYTHONPATH": str(PACKAGE_ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    process = subprocess.Popen(command, env=environment, pass_fds=[theirs.fileno()])
    theirs.close()
    try:
        with ours:
            ours.settimeout(TIMEOUT_S)
            yield ours
    finally:
        process.wait(TIMEOUT_S)
