"""Writes one report of a host: all items in one transaction, each with its own result."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

import msgspec
from django.db import transaction

from core.errors import MagsError
from hosts.models import Host
from hosts.services import host_touch
from jobs.errors import StaleLease, WrongOffset
from jobs.hostapi.messages import Finished, Item, Log, Report, Started, item_of
from jobs.models import Lease
from jobs.services import End, Outcome, lease_finish, lease_start, log_append, schedule_waiting
from jobs.states import LeaseState

logger = logging.getLogger(__name__)
Result = dict[str, Any]
STOPPED_EXIT_CODE = 143


def report_apply(host: Host, report: Report) -> list[Result]:
    """A result for each item, in order. Raises StaleBoot if a newer life of the agent has booted."""
    items = [_checked(raw, host) for raw in report.items]
    with transaction.atomic():
        # Checks the boot epoch and, where the database has row locks, holds the host's row: until the
        # commit nobody boots this host, gives it up or wishes a stop, so its leases stay as read here.
        host_touch(host.pk, report.boot_epoch)
        wanted = {item.lease_id for item in items if not isinstance(item, dict)}
        leases = Lease.objects.select_related("job").defer("job__script", "job__environment")
        found = {lease.pk: lease for lease in leases.filter(host_id=host.pk, pk__in=wanted)}
        results = [item if isinstance(item, dict) else _result(item, found) for item in items]
    if any(isinstance(item, Finished) for item in items):
        schedule_waiting()
    return results


def _checked(raw: msgspec.Raw, host: Host) -> Item | Result:
    try:
        return item_of(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        logger.warning("host %s sent an invalid item: %s", host.name, error)
        return {"status": 400, "code": "invalid", "error": str(error)}


def _result(item: Item, found: dict[int, Lease]) -> Result:
    try:
        lease = found.get(item.lease_id)
        if lease is None or lease.epoch != item.lease_epoch:
            raise StaleLease
        if lease.state == LeaseState.ENDED:
            if isinstance(item, Finished) and lease.outcome == item.outcome:
                return {"status": 200}  # said again: the first answer did not arrive
            raise StaleLease
        _apply(item, lease)
    except WrongOffset as error:
        return {"status": 409, "code": error.code, "expected": error.expected}
    except MagsError as error:
        return {"status": error.status, "code": error.code}
    return {"status": 200}


def _apply(item: Item, lease: Lease) -> None:
    match item:
        case Started():
            lease_start(lease, _time(item.at), msgspec.to_builtins(item.stages))
        case Log():
            log_append(lease, item.offset, item.records, item.data)
        case Finished():
            lease_finish(lease, _end(item), log_bytes=item.log_bytes, dropped_bytes=item.dropped_bytes)


def _end(item: Finished) -> End:
    code = item.exit_code
    match item.outcome:
        case Outcome.STOPPED:
            code = STOPPED_EXIT_CODE
        case Outcome.TIMED_OUT:
            code = 124
        case Outcome.START_FAILED | Outcome.LOST:
            code = None
    return End(item.outcome, code, (item.message or "").replace("\0", ""), item.duration_ms, _time(item.at))


def _time(unix_ms: int) -> datetime:
    return datetime.fromtimestamp(unix_ms / 1000, UTC)
