"""The table of `rules` in the kernel: put there once, and put back when somebody else removes it."""

from __future__ import annotations

import logging

from hostagent.linux import iproute, nfevents
from hostagent.network import rules
from hostagent.network.layout import Layout

_log = logging.getLogger(__name__)


class Firewall:
    """Made in, and used from, a thread in the host's network namespace; `is_damaged` from anywhere."""

    def __init__(self, layout: Layout, policy: rules.Policy) -> None:
        self._table = layout.instance
        self._digest = rules.digest(layout, policy)
        self._rules = rules.replace(layout, policy)
        if not self._is_there():  # equal rules stay: they count the connections of running sandboxes
            iproute.nft(self._rules)
        self.events = nfevents.listen()

    def is_damaged(self) -> bool:
        """Read what happened since. After `events` turned readable."""
        return nfevents.has_deletions(self.events, self._table)

    def restore(self) -> None:
        _log.warning("the table inet %s was changed from outside; its rules are put back", self._table)
        iproute.nft(self._rules)
        self.is_damaged()  # our own replacement shows as deletions too
        if not self._is_there():
            iproute.nft(self._rules)

    def _is_there(self) -> bool:
        return self._digest in iproute.nft_table(self._table)
