"""Running what sets a machine up. Standard library only."""

from __future__ import annotations

import subprocess

from deploy.errors import SetupError
from deploy.layout import ROOT


def run(command: list[str], hint: str, environ: dict[str, str] | None = None) -> str:
    """Run quietly and return its output; show the output's end when it fails."""
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        tail = "\n".join(done.stdout.splitlines()[-25:])
        raise SetupError(f"{' '.join(command[:4])} ... failed with {done.returncode}:\n{tail}", hint)
    return done.stdout
