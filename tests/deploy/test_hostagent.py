"""`deploy/hostagent`: the agent's command with the settings of the stack's own agent."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from deploy.layout import ROOT


def hostagent(cwd: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    command = [str(ROOT / "deploy/hostagent"), *arguments]
    environment = {**os.environ, **settings}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def test_it_has_the_settings_and_stays_where_the_caller_is(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    settings = {"MAGS_VAR_DIR": str(tmp_path / "var"), "MAGS_AGENT_INSTANCE": "tdeploy"}
    done = hostagent(tmp_path / "elsewhere", "status", **settings)
    assert (done.returncode, str(tmp_path / "var/agent") in done.stderr) == (1, True)
    unknown = hostagent(tmp_path, "status", **settings, MAGS_AGENT_NO_SUCH_SETTING="1")
    assert "MAGS_AGENT_NO_SUCH_SETTING" in unknown.stderr
    assert list((tmp_path / "elsewhere").iterdir()) == []
