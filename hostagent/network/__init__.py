"""The sandboxes' network: prepared namespaces, the firewall between them and the world, resolvers."""

from __future__ import annotations

from hostagent.network.layout import INNER_INTERFACE, NetworkSlot
from hostagent.network.pool import NetworkPool
from hostagent.network.resolvers import resolvers

__all__ = ["INNER_INTERFACE", "NetworkPool", "NetworkSlot", "resolvers"]
