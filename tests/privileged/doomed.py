"""Start an agent that is going to be killed at a named place."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from hostagent.config import Config

ROOT = Path(__file__).resolve().parents[2]


def run_doomed_agent(
    config: Config, sandbox_id: str, when: str, where: str, script: str = "sleep 60", run_id: str = ""
) -> None:
    """Another process takes a sandbox, or a run in a held one, through its life until it is killed there."""
    command = [sys.executable, "-m", "tests.privileged.doomed_agent", when, where, sandbox_id, script, run_id]
    environment = {
        "PATH": os.environ["PATH"],
        "MAGS_AGENT_STATE_DIR": str(config.state_dir),
        "MAGS_AGENT_INSTANCE": config.instance,
        "MAGS_AGENT_SANDBOXES": str(config.sandboxes),
        "MAGS_AGENT_NETWORK4": config.network4,
        "MAGS_AGENT_NETWORK6": config.network6,
    }
    with tempfile.TemporaryFile() as output:  # not a pipe: what the agent leaves behind keeps it open
        ended = subprocess.run(
            command, env=environment, cwd=ROOT, stdout=output, stderr=output, timeout=60, check=False
        )
        output.seek(0)
        assert ended.returncode == -signal.SIGKILL, output.read().decode()
