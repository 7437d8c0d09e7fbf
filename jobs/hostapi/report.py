"""Writes one report of a host: all items in one transaction, each with its own result."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec
from django.db import transaction

from core.errors import MagsError
from hosts.models import Host
from hosts.services import host_touch
from jobs import hooks
from jobs.errors import StaleLease, WrongOffset
from jobs.hostapi.messages import (
    Finished,
    Item,
    LeaseItem,
    Log,
    Report,
    SandboxEnded,
    SandboxEnding,
    SandboxItem,
    SandboxRunning,
    SshReady,
    Started,
    VolumeMeasured,
    item_of,
)
from jobs.hostapi.sandboxitems import SandboxAsleep, SandboxAwake, StartupReported
from jobs.models import Lease
from jobs.services import (
    STOPPED_EXIT_CODE,
    End,
    Outcome,
    lease_finish,
    lease_start,
    log_append,
    sandbox_over,
    sandbox_slept,
    sandbox_up,
    sandbox_woke,
    saving_settled,
    saving_troubled,
    schedule_waiting,
    startup_noted,
)
from jobs.states import LeaseState
from sandboxes.errors import StaleSandbox
from sandboxes.models import Sandbox
from sandboxes.selectors import sandboxes_of_host
from sandboxes.services import sandbox_ending, sandbox_measured
from sandboxes.states import SandboxPhase
from ssh.selectors import place_of
from ssh.services import door_answered
from workspaces.services import base_damage, workspace_damage

logger = logging.getLogger(__name__)
Result = dict[str, Any]
DAMAGED = "A host found stored data missing or changed."


def report_apply(host: Host, report: Report) -> list[Result]:
    """A result for each item, in order. Raises StaleBoot if a newer life of the agent has booted."""
    items = [_checked(raw, host) for raw in report.items]
    with transaction.atomic():
        # Checks the boot epoch and, where the database has row locks, holds the host's row: until the
        # commit nobody boots this host, gives it up or wishes a stop, so its leases stay as read here.
        host_touch(host.pk, report.boot_epoch)
        named = _Named(host, items)
        results = [item if isinstance(item, dict) else _result(item, named) for item in items]
    if any(isinstance(item, Finished | SandboxRunning | SandboxEnded) for item in items):
        schedule_waiting()
    return results


def _checked(raw: msgspec.Raw, host: Host) -> Item | Result:
    try:
        return item_of(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        logger.warning("host %s sent an invalid item: %s", host.name, error)
        return {"status": 400, "code": "invalid", "error": str(error)}


class _Named:
    """The leases and sandboxes of the host that a report is about. Most reports are about no sandbox."""

    def __init__(self, host: Host, items: Iterable[Item | Result]) -> None:
        wanted = {item.lease_id for item in items if isinstance(item, LeaseItem)}
        leases = Lease.objects.select_related("job").defer("job__script", "job__environment")
        self.leases = {lease.pk: lease for lease in leases.filter(host_id=host.pk, pk__in=wanted)}
        self.sandboxes: dict[str, Sandbox] = {}
        if ids := {item.sandbox_id for item in items if isinstance(item, SandboxItem)}:
            self.sandboxes = {sandbox.pk: sandbox for sandbox in sandboxes_of_host(host, ids)}

    def ended(self, sandbox: Sandbox) -> None:
        """The leases that ended with the sandbox are not what they were when they were read."""
        for lease in self.leases.values():
            if lease.in_sandbox_id == sandbox.pk:
                lease.state = LeaseState.ENDED

    def moved(self, sandbox: Sandbox) -> None:
        """The status of its jobs is not what it was when their leases were read."""
        for lease in self.leases.values():
            if lease.in_sandbox_id == sandbox.pk:
                lease.job.refresh_from_db(fields=["status", "sandbox", "revision"])


def _result(item: Item, named: _Named) -> Result:
    try:
        if isinstance(item, SandboxItem):
            _apply_to_sandbox(item, named)
        else:
            _apply_to_lease(item, named)
    except WrongOffset as error:
        return {"status": 409, "code": error.code, "expected": error.expected}
    except MagsError as error:
        return {"status": error.status, "code": error.code}
    return {"status": 200}


def _apply_to_lease(item: LeaseItem, named: _Named) -> None:
    lease = named.leases.get(item.lease_id)
    if lease is None or lease.epoch != item.lease_epoch:
        raise StaleLease
    if lease.state == LeaseState.ENDED:
        if isinstance(item, Finished) and lease.outcome == item.outcome:
            return  # said again: the first answer did not arrive
        raise StaleLease
    match item:
        case Started():
            lease_start(lease, _time(item.at), msgspec.to_builtins(item.stages))
        case Log():
            log_append(lease, item.offset, item.records, item.data)
        case Finished():
            lease_finish(lease, _end(item), log_bytes=item.log_bytes, dropped_bytes=item.dropped_bytes)


def _apply_to_sandbox(item: SandboxItem, named: _Named) -> None:
    sandbox = named.sandboxes.get(item.sandbox_id)
    if sandbox is None or sandbox.epoch != item.epoch:
        raise StaleSandbox
    if sandbox.state == SandboxPhase.ENDED:
        if isinstance(item, SandboxEnded) and sandbox.reason == item.reason:
            return
        raise StaleSandbox
    match item:
        case VolumeMeasured():
            _measured(item, sandbox)
        case StartupReported():
            _startup(item, sandbox)
        case SshReady():
            door_answered(place_of(sandbox.workspace_id, sandbox.pk), sandbox.pk, item.digest)
        case SandboxEnded():
            with transaction.atomic():  # all of it, or a refusal and nothing
                _sandbox_ended(item, sandbox)
            named.ended(sandbox)
        case _:
            _sandbox_moved(item, sandbox)
            named.moved(sandbox)


def _sandbox_moved(
    item: SandboxRunning | SandboxAsleep | SandboxAwake | SandboxEnding, sandbox: Sandbox
) -> None:
    match item:
        case SandboxRunning():
            sandbox_up(sandbox, msgspec.to_builtins(item.stages))
        case SandboxAsleep():
            sandbox_slept(sandbox, _time(item.at), msgspec.to_builtins(item.evidence))
        case SandboxAwake():
            sandbox_woke(sandbox, item.cause, item.ms)
        case SandboxEnding():
            sandbox_ending(sandbox)


def _startup(item: StartupReported, sandbox: Sandbox) -> None:
    detail: dict[str, Any] = {"exec_id": item.exec_id, "attempt": item.attempt}
    is_over = item.state == "exited"
    if is_over:
        detail |= {"exit_code": item.exit_code, "reason": item.reason, "again_s": item.again_s}
    job = startup_noted(sandbox, detail, is_over=is_over)
    if job is not None:
        hooks.startup_reported(job, sandbox, item)


def _measured(item: VolumeMeasured, sandbox: Sandbox) -> None:
    if item.trouble is None:
        saving_settled(sandbox)
    else:
        saving_troubled(sandbox, item.trouble.kind, _time(item.trouble.since))
    sandbox_measured(sandbox, item.tree_bytes, is_dirty=item.dirty, sync=item.sync)


def _sandbox_ended(item: SandboxEnded, sandbox: Sandbox) -> None:
    text = _clean(item.message)
    if item.damaged is not None and sandbox.workspace is not None:
        workspace_damage(sandbox.workspace, item.damaged.manifest, text or DAMAGED)
    elif item.damaged is not None and sandbox.base_manifest:
        base_damage(sandbox.owner_id, sandbox.base_manifest, item.damaged.manifest, text or DAMAGED)
    sandbox_over(sandbox, item.reason, text)


def _clean(message: str | None) -> str:
    """PostgreSQL takes no NUL."""
    return (message or "").replace("\0", "")


def _end(item: Finished) -> End:
    code = item.exit_code
    match item.outcome:
        case Outcome.STOPPED:
            code = STOPPED_EXIT_CODE
        case Outcome.TIMED_OUT:
            code = 124
        case Outcome.START_FAILED | Outcome.LOST:
            code = None
    return End(item.outcome, code, _clean(item.message), item.duration_ms, _time(item.at))


def _time(unix_ms: int) -> datetime:
    return datetime.fromtimestamp(unix_ms / 1000, UTC)
