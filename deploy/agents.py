"""The agents of a stack: the machine's own, and those of further hosts on the same machine (`make host`).

Agents on one machine are kept apart by what they are given: a state directory, a name for everything they
make in the kernel, addresses and ids. Standard library only: `bootstrap` needs this too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from deploy.errors import SetupError
from deploy.layout import Layout, read_env_file, write_env_file

PROCESS = "agent"
DATA_PROCESS = "data"
SETTINGS = "settings.env"
NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
DATA_PORT = "MAGS_DATA_PORT_PORT"
# One is added to the instance of the machine's own agent: `down.is_of` then keeps their names apart.
LETTERS = "bcdefghijklmnopqrstuvwxyz"
INSTANCE_LIMIT = 8  # characters: `hostagent.config`
ID_BASE_DEFAULT = 1_048_576
NETWORK4_DEFAULT = "10.213.0.0/18"
NETWORK6_DEFAULT = "fd6d:6167:7300::/64"
IDS_STEP = 1024 * 65_536  # more sandboxes than one agent has
SANDBOXES = "4"  # each prepared in advance: a second host is there to be tried, not for its room


@dataclass(frozen=True, slots=True)
class Agent:
    """One agent. `environment` is what it is configured with."""

    process: str  # its name under supervisord
    environment: Mapping[str, str]
    started_with: Path  # the environment that it was last started with
    data_process: str  # that of its data port
    data_port: int

    @property
    def state(self) -> Path:
        return Path(self.environment["MAGS_AGENT_STATE_DIR"])

    @property
    def instance(self) -> str:
        return self.environment["MAGS_AGENT_INSTANCE"]

    @property
    def is_enrolled(self) -> bool:
        return (self.state / "identity.json").exists()

    def environment_started_with(self) -> Mapping[str, str]:
        """Whatever the settings say by now."""
        return read_env_file(self.started_with) or self.environment


def agents_of(layout: Layout) -> list[Agent]:
    """The machine's own agent first."""
    own = _agent(layout, "", agent_environment(layout), layout.data_port)
    return [own, *(_further(layout, name) for name in further_names(layout))]


def agent_environment(layout: Layout) -> dict[str, str]:
    """Of the machine's own agent."""
    return {
        "MAGS_AGENT_SERVER_URL": layout.web_url,
        "MAGS_AGENT_STATE_DIR": str(layout.agent_state),
        "MAGS_AGENT_INSTANCE": layout.instance,
        "MAGS_AGENT_DATA_ADDRESS": _data_address(layout, layout.data_port),
        **{k: v for k, v in layout.settings if k.startswith("MAGS_AGENT_")},
    }


def further_names(layout: Layout) -> list[str]:
    return sorted(path.parent.name for path in layout.hosts.glob(f"*/{SETTINGS}"))


def further(layout: Layout, name: str) -> Agent:
    """The agent of a further host. Raises SetupError where there is none of this name."""
    if name not in further_names(layout):
        known = ", ".join(further_names(layout)) or "none"
        raise SetupError(f"there is no further host {name!r} on this machine", f"there are: {known}")
    return _further(layout, name)


def define(layout: Layout, name: str, settings: Mapping[str, str]) -> Agent:
    """Note that there is to be a further host, and what keeps it apart. `settings` win."""
    if not NAME.fullmatch(name):
        raise SetupError(f"{name!r} is no name for a host", "use a-z, 0-9 and -, 31 at most, a letter first")
    if name in further_names(layout):
        raise SetupError(f"there is a host {name} already", f"`python3 -m deploy host remove {name}` ends it")
    unknown = [key for key in settings if not key.startswith("MAGS_AGENT_")]
    if unknown:
        raise SetupError(f"{unknown[0]} is no setting of an agent", "see docs/reference/settings.md")
    directory = layout.hosts / name
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_env_file(directory / SETTINGS, {**_apart(layout, name), **settings})
    return _further(layout, name)


def _apart(layout: Layout, name: str) -> dict[str, str]:
    own = agent_environment(layout)
    used = {agent.instance for agent in agents_of(layout)}
    letter = next((letter for letter in LETTERS if layout.instance + letter not in used), None)
    if letter is None or len(layout.instance) >= INSTANCE_LIMIT:
        raise SetupError(
            f"there is no name for another agent beside {layout.instance!r}",
            f"remove a host, or set MAGS_AGENT_INSTANCE to fewer than {INSTANCE_LIMIT} characters",
        )
    number = LETTERS.index(letter) + 1
    network4 = IPv4Network(own.get("MAGS_AGENT_NETWORK4", NETWORK4_DEFAULT))
    network6 = IPv6Network(own.get("MAGS_AGENT_NETWORK6", NETWORK6_DEFAULT))
    first4 = network4.network_address + number * network4.num_addresses
    first6 = network6.network_address + number * network6.num_addresses
    return {
        "MAGS_AGENT_INSTANCE": layout.instance + letter,
        "MAGS_AGENT_HOST_NAME": name,
        "MAGS_AGENT_NETWORK4": f"{first4}/{network4.prefixlen}",
        "MAGS_AGENT_NETWORK6": f"{first6}/{network6.prefixlen}",
        "MAGS_AGENT_ID_BASE": str(int(own.get("MAGS_AGENT_ID_BASE", ID_BASE_DEFAULT)) + number * IDS_STEP),
        "MAGS_AGENT_SANDBOXES": SANDBOXES,
        DATA_PORT: str(layout.data_port + number),
    }


def _further(layout: Layout, name: str) -> Agent:
    directory = layout.hosts / name
    own = read_env_file(directory / SETTINGS)
    data_port = int(own.pop(DATA_PORT))
    environment = {
        **agent_environment(layout),
        "MAGS_AGENT_STATE_DIR": str(directory / "agent"),
        "MAGS_AGENT_DATA_ADDRESS": _data_address(layout, data_port),
        **own,
    }
    return _agent(layout, f"-{name}", environment, data_port)


def _data_address(layout: Layout, port: int) -> str:
    address = layout.address_of(DATA_PROCESS)
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _agent(layout: Layout, suffix: str, environment: Mapping[str, str], data_port: int) -> Agent:
    process = PROCESS + suffix
    return Agent(process, environment, layout.run / f"{process}.env", DATA_PROCESS + suffix, data_port)


def data_environment(layout: Layout, agent: Agent) -> dict[str, str]:
    """Of the agent's data port, which reads the agent's settings too."""
    common = {k: v for k, v in layout.settings if k.startswith("MAGS_DATA_PORT_")}
    return {**agent.environment, **common, "MAGS_DATA_PORT_PORT": str(agent.data_port)}
