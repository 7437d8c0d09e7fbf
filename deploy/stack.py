"""A stack, and how its commands are run."""

from __future__ import annotations

import pwd
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from deploy import credentials as credential_files
from deploy.agents import Agent, agents_of
from deploy.credentials import Credentials
from deploy.errors import SetupError
from deploy.health import Health
from deploy.layout import ROOT, Layout
from deploy.processes import (
    PYTHON,
    Process,
    all_processes,
    drop_rights,
    environment_for_command,
    run_as,
    server_environment,
)
from deploy.supervise import Supervisor


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack and everything needed to act on it."""

    layout: Layout
    credentials: Credentials
    agents: list[Agent]
    processes: list[Process]
    user: pwd.struct_passwd
    supervisor: Supervisor
    health: Health

    @classmethod
    def load(cls, layout: Layout) -> Stack:
        credentials = credential_files.load(layout.secrets)
        supervisor = Supervisor(layout)
        return cls(
            layout, credentials, agents_of(layout), all_processes(layout, credentials), run_as(layout),
            supervisor, Health(layout, credentials, supervisor),
        )  # fmt: skip

    def names(self) -> list[str]:
        return [process.name for process in self.processes]

    def server_names(self) -> list[str]:
        of_hosts = {name for agent in self.agents for name in (agent.process, agent.data_process)}
        return [name for name in self.names() if name not in of_hosts]

    def manage(self, arguments: list[str], failure: str) -> str:
        """Run manage.py as the servers' user; returns what it printed."""
        environment = environment_for_command(self.layout, server_environment(self.layout, self.credentials))
        return run([*drop_rights(self.user), PYTHON, "manage.py", *arguments], environment, failure)


def run(command: list[str], environment: Mapping[str, str], failure: str, text: str = "") -> str:
    """Standard output of a command; on failure the end of what it said."""
    done = subprocess.run(
        command, cwd=ROOT, env=dict(environment), input=text, capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = "\n".join((done.stdout + done.stderr).splitlines()[-25:])
        raise SetupError(f"{failure} ({' '.join(command[-3:])} ended with {done.returncode})", said)
    return done.stdout
