"""`manage.py host_list`: the hosts and how full they are."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from hosts.selectors import host_list


class Command(BaseCommand):
    help = (
        "List the hosts: name, state, sandboxes used/offered, memory used/offered (MB), last seen, version."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        for host in host_list():
            seen = f"{host.last_seen_at:%Y-%m-%dT%H:%M:%SZ}" if host.last_seen_at else "never"
            self.stdout.write(
                f"{host.name}\t{host.state}\t{host.used_sandboxes}/{host.capacity_sandboxes}"
                f"\t{host.used_memory_mb}/{host.capacity_memory_mb}\t{seen}\t{host.agent_version}"
            )
