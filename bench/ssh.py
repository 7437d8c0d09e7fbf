"""One `ssh ... true` at a time into a sandbox that is up; beside `mags ssh`, which asks for the key first;
and, where this machine has an sshd, beside that one, without gateway and sandbox. In turns; as root.

    python -m bench.ssh [--runs 50]
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.common import ROOT, Figures, Server, figures, save, settings

WARM_UP = 3
SSHD = "/usr/sbin/sshd"
Call = Callable[[], object]


def measure(runs: int) -> list[Figures]:
    server = Server()
    name = f"bench-ssh-{os.getpid()}"
    server.finish(server.submit("true", workspace_id=name, persistent=True))
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stack.callback(server.http.post, f"/mags-jobs/{name}/stop")
        calls = {"ssh true": plain(home, name), "mags ssh true": by_mags(home, name)}
        if Path(SSHD).exists():
            calls["ssh true, this machine's sshd"] = stack.enter_context(own_sshd(home))
        samples: dict[str, list[float]] = {series: [] for series in calls}
        for turn in range(WARM_UP + runs):
            for series, call in calls.items():
                began = time.perf_counter()
                call()
                if turn >= WARM_UP:
                    samples[series].append((time.perf_counter() - began) * 1000)
    return [figures(series, values) for series, values in samples.items()]


def by_mags(home: Path, name: str) -> Call:
    return lambda: run(home, sys.executable, "-m", "mags", "ssh", name, "true")


def plain(home: Path, name: str) -> Call:
    config = home / "config"
    asked = run(home, sys.executable, "-m", "mags", "ssh", "--config", name)
    config.write_text(asked)
    return lambda: run(home, "ssh", "-F", str(config), f"mags-{name}", "true")


@contextmanager
def own_sshd(home: Path) -> Iterator[Call]:
    """A sshd of ours on loopback, with the options that sandboxes' have."""
    for key in ("host", "user"):
        run(home, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(home / key))
    (home / "authorized_keys").write_bytes((home / "user.pub").read_bytes())
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    options = [
        "UsePAM=no",
        "SetEnv=SHLVL=1",  # or bash reads this machine's .bashrc, however long that takes
        f"AuthorizedKeysFile={home}/authorized_keys",
        "ListenAddress=127.0.0.1",
        "StrictModes=no",
    ]
    command = [SSHD, "-D", "-f", "/dev/null", "-h", str(home / "host"), "-p", port, *flags(options)]
    client = ["IdentitiesOnly=yes", "StrictHostKeyChecking=accept-new", f"UserKnownHostsFile={home}/known"]
    login = [
        "ssh",
        "-F",
        "/dev/null",
        "-i",
        str(home / "user"),
        "-p",
        port,
        *flags(client),
        "root@127.0.0.1",
        "true",
    ]
    Path("/run/sshd").mkdir(exist_ok=True)
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        while subprocess.run(login, capture_output=True, check=False).returncode:
            time.sleep(0.1)
        yield lambda: run(home, *login)
    finally:
        process.terminate()
        process.wait()


def flags(options: list[str]) -> list[str]:
    return [word for option in options for word in ("-o", option)]


def run(home: Path, *command: str) -> str:
    source = {"PYTHONPATH": str(ROOT / "clients/python/src"), "HOME": str(home)}
    done = subprocess.run(
        command, env={**os.environ, **settings(), **source}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.stderr}")
    return done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=50)
    runs = parser.parse_args().runs
    if shutil.which("ssh") is None:
        sys.exit("ssh is not installed")
    series = measure(runs)
    ratio = {}
    if len(series) > 2:
        ratio = {"ratio to this machine's sshd (p50)": round(series[0].p50_ms / series[2].p50_ms, 2)}
    save("ssh", series, {"load": os.getloadavg()[0], **ratio})


if __name__ == "__main__":
    main()
