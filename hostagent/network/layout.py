"""Names and addresses of a slot, all derived from its index: nothing of this needs to be stored."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from hostagent.config import Config
from hostagent.errors import ConfigError

PREFIX4 = 30  # a /30 holds the host's and the sandbox's end of one veth
PREFIX6 = 126
STEP = 4  # addresses in either


@dataclass(frozen=True, slots=True)
class NetworkSlot:
    """One prepared network for one sandbox. Valid from `take` until `give`."""

    index: int  # what a restarted agent needs to know: everything else follows from it
    interface: str  # the host's end of the veth; the sandbox's is INNER_INTERFACE
    netns_path: str  # for the OCI runtime; lives as long as this agent. Empty where it was adopted
    address4: str
    gateway4: str
    address6: str  # empty where the machine has no IPv6
    gateway6: str


INNER_INTERFACE = "eth0"


@dataclass(frozen=True, slots=True)
class Layout:
    """How one agent cuts its networks into slots."""

    instance: str
    network4: IPv4Network
    network6: IPv6Network | None

    @classmethod
    def of(cls, config: Config, *, has_ipv6: bool) -> Layout:
        try:
            network4 = IPv4Network(config.network4)
            network6 = IPv6Network(config.network6) if has_ipv6 else None
        except ValueError as error:
            raise ConfigError(f"network4 or network6 is not a network: {error}") from error
        layout = cls(config.instance, network4, network6)
        if layout.capacity < config.sandboxes:
            hint = f"set MAGS_AGENT_NETWORK4 to a larger network or MAGS_AGENT_SANDBOXES to {layout.capacity}"
            raise ConfigError(
                f"{network4} has room for {layout.capacity} sandboxes, not {config.sandboxes}", hint
            )
        return layout

    @property
    def capacity(self) -> int:
        rooms = [n.num_addresses // STEP for n in (self.network4, self.network6) if n is not None]
        return min(rooms)

    @property
    def prefix(self) -> str:
        """What the names of all interfaces of this agent begin with. The dash keeps `a` and `a1` apart."""
        return f"{self.instance}-"

    def index(self, interface: str) -> int | None:
        """The index behind an interface's name, where it is one of ours."""
        number = interface.removeprefix(self.prefix)
        return int(number) if number != interface and number.isdecimal() else None

    def slot(self, index: int, netns_path: str = "") -> NetworkSlot:
        if not 0 <= index < self.capacity:
            raise ConfigError(f"slot {index} lies outside {self.network4}")
        first4 = self.network4.network_address + index * STEP
        first6 = None if self.network6 is None else self.network6.network_address + index * STEP
        return NetworkSlot(
            index=index,
            interface=f"{self.prefix}{index}",
            netns_path=netns_path,
            address4=str(first4 + 2),
            gateway4=str(first4 + 1),
            address6="" if first6 is None else str(first6 + 2),
            gateway6="" if first6 is None else str(first6 + 1),
        )
