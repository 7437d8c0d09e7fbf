"""Routing between the sandboxes and the world: on as narrowly as the kernel allows, put back afterwards.

IPv4 forwards by the interface a packet came in on; IPv6 does so since Linux 6.17 and knew only a switch for
the whole machine before. Where the machine forwards already, nothing is touched.

The former values are kept for the machine, not for one agent: of two agents the last one out restores them.
/run forgets at a reboot, as the kernel does.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TextIO

from hostagent.linux import sysctl

RUN = Path("/run/hostagent")
ALL4 = "net/ipv4/ip_forward"
ALL6 = "net/ipv6/conf/all/forwarding"


@dataclass
class Record:
    """Who needs forwarding, and what the switches were before: key -> value, in the order of writing."""

    instances: list[str] = field(default_factory=list)
    former: dict[str, str] = field(default_factory=dict)

    def raised(self, family: int) -> frozenset[str]:
        """The uplinks through which the machine forwards only because of us."""
        prefix = f"net/ipv{family}/conf/"
        keys = (
            key
            for key in self.former
            if key.startswith(prefix) and key.endswith("forwarding") and key != ALL6
        )
        return frozenset(key.removeprefix(prefix).split("/")[0] for key in keys)


Save = Callable[[Record], None]


def enable(instance: str, uplinks4: Iterable[str], uplinks6: Iterable[str]) -> Record:
    with _locked() as (record, save):
        if instance not in record.instances:
            record.instances.append(instance)
        if sysctl.read(ALL4) == "0":
            for name in uplinks4:
                _raise(record, f"net/ipv4/conf/{name}/forwarding", "1", save)
        if sysctl.exists(ALL6) and sysctl.read(ALL6) == "0":
            _enable6(record, list(uplinks6), save)
        return record


def own_interface(interface: str) -> dict[str, str]:
    """What the host's end of a slot needs: forwarding, strict reverse path, no redirects."""
    four, six = f"net/ipv4/conf/{interface}", f"net/ipv6/conf/{interface}"
    keys = {f"{four}/accept_redirects": "0", f"{four}/send_redirects": "0"}
    keys |= {f"{four}/rp_filter": "1", f"{four}/forwarding": "1"}
    if sysctl.exists(six):
        keys |= {f"{six}/accept_redirects": "0", f"{six}/accept_ra": "0"}
        if sysctl.exists(f"{six}/force_forwarding"):
            keys[f"{six}/force_forwarding"] = "1"
    return keys


def disable(instance: str) -> None:
    with _locked() as (record, _):
        record.instances = [name for name in record.instances if name != instance]
        if record.instances:
            return
        for key, value in reversed(record.former.items()):
            # Somebody else has switched the whole machine to forwarding since: it is theirs now.
            is_theirs = key.startswith("net/ipv4/") and sysctl.read(ALL4) == "1"
            if sysctl.exists(key) and not is_theirs:
                sysctl.write(key, value)
        record.former = {}


def _enable6(record: Record, uplinks: list[str], save: Save) -> None:
    narrow = [f"net/ipv6/conf/{name}/force_forwarding" for name in uplinks]
    if all(map(sysctl.exists, narrow)):
        for key in narrow:
            _raise(record, key, "1", save)
        return
    for name in uplinks:
        # A router forgets the default route it has from router advertisements, unless this is 2.
        if sysctl.read(f"net/ipv6/conf/{name}/accept_ra") == "1":
            _raise(record, f"net/ipv6/conf/{name}/accept_ra", "2", save)
        record.former.setdefault(f"net/ipv6/conf/{name}/forwarding", "0")
    _raise(record, ALL6, "1", save)


def _raise(record: Record, key: str, value: str, save: Save) -> None:
    """Saved first: an agent killed in between has remembered too much, never too little."""
    former = sysctl.read(key)
    if former != value:
        record.former.setdefault(key, former)
        save(record)
        sysctl.write(key, value)


@contextmanager
def _locked() -> Iterator[tuple[Record, Save]]:
    """The record of the calling thread's network namespace. It goes when nobody needs it any more."""
    RUN.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = RUN / f"forwarding-{os.stat('/proc/thread-self/ns/net').st_ino}.json"  # noqa: PTH116  a magic link
    with _lock(path) as file:
        record = Record(**_parsed(file.read()))

        def save(record: Record) -> None:
            # In one write, in place. If we are killed here, the rest behind it is not read by `_parsed`.
            os.ftruncate(file.fileno(), os.pwrite(file.fileno(), json.dumps(asdict(record)).encode(), 0))

        yield record, save
        if record.instances:
            save(record)
        else:
            path.unlink()


def _lock(path: Path) -> TextIO:
    while True:
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+")
        fcntl.flock(file, fcntl.LOCK_EX)
        if path.exists() and path.stat().st_ino == os.fstat(file.fileno()).st_ino:
            return file
        file.close()  # its last owner removed it while we waited


def _parsed(text: str) -> dict[str, Any]:
    if not text:
        return {}
    found, _ = json.JSONDecoder().raw_decode(text)
    return {name: found[name] for name in ("instances", "former")}
