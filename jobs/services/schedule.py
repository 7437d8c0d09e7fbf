"""Which host runs which job, and why a job still waits."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from datetime import timedelta

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from core.prepared import Prepared
from hosts.models import Host
from jobs.models import Job, Lease
from jobs.services import held
from jobs.services.alone import (
    alone_assign,
    alone_explain,
    alone_waiting,
    is_anybody_alone,
)
from jobs.services.room import assigned, could_fit, has_room, hosts_known, offer, open_ones, place, waits
from jobs.services.transition import Lost, change
from jobs.states import JobStatus, LeaseState, Reason
from sandboxes.models import Sandbox

# A job that found no room for this long stops younger ones from passing it, so that a stream of small
# jobs cannot keep a large one waiting for ever. Below it, small jobs use the room that is left.
PASS_OVER_LIMIT_S = 60
QUEUE_LIMIT = 50  # jobs of one owner looked at in one pass
EXPLAIN_LIMIT = 1000  # waiting jobs looked at in one pass, the oldest


def waiting() -> QuerySet[Job]:
    """Jobs without a host, whoever owns them."""
    return Job.objects.filter(status=JobStatus.ACCEPTED, assigned_at__isnull=True)


_WAITING = Prepared(lambda: waiting().only("pk")[:1])
# A job that waits for its workspace, or for the one host where that is, is in nobody's way.
_WAITING_FOR_ROOM = Prepared(
    lambda: waiting().filter(Q(in_sandbox__isnull=True) | Q(reason=Reason.NO_CAPACITY)).only("pk")[:1]
)


def is_waited() -> bool:
    """Whether any job is without a host because there is no room for it. Sandboxes without a job are not
    asked for, which would cost every submit a query: they get the next room that is given back."""
    return _WAITING_FOR_ROOM.first() is not None


def schedule_waiting(*, explain: bool = False) -> int:
    """Start what fits, jobs and sandboxes without one, oldest first and fairly among owners. Returns how many
    got a host.

    Call it after the commit that may have made room: then, of a submit that saw no room and an end
    that saw no waiting job, at least one sees the other. `explain` rewrites the reasons of those that
    go on waiting; it is for when hosts came, went or changed.
    """
    if _WAITING.first() is None and not is_anybody_alone():
        return 0
    hosts = hosts_known()
    count = 0
    for job in _fair_order():
        if isinstance(job, Sandbox):
            count += _assign_alone(job, hosts)
        elif job.in_sandbox_id is not None:  # it may wait for other things than room: nobody waits for it
            count += held.assign(job, hosts)
        elif not any(has_room(host) for host in open_ones(hosts)):
            continue
        elif _assign(job, hosts):
            count += 1
        elif _is_overdue(job) and any(could_fit(job, host) for host in open_ones(hosts)):
            break
    if explain:
        _explain(hosts)
    return count


def _is_overdue(job: Job) -> bool:
    return timezone.now() - job.created_at > timedelta(seconds=PASS_OVER_LIMIT_S)


def _fair_order() -> Iterator[Job | Sandbox]:
    """Who waits, in the order in which they may start: next is the oldest of the owner with the
    fewest live sandboxes, counting those that were named before."""
    live = Lease.objects.exclude(state=LeaseState.ENDED)
    counts = Counter(live.values_list("job__owner_id", flat=True))
    queues: dict[int, deque[Job | Sandbox]] = {}
    owners = waiting().values_list("owner_id", flat=True).distinct()
    for owner in {*owners, *alone_waiting().values_list("owner_id", flat=True)}:
        oldest = waiting().filter(owner_id=owner).defer("script", "environment").order_by("created_at")
        alone = alone_waiting().filter(owner_id=owner).select_related("workspace").order_by("created_at")
        both: list[Job | Sandbox] = [*oldest[:QUEUE_LIMIT], *alone[:QUEUE_LIMIT]]
        queues[owner] = deque(sorted(both, key=lambda one: one.created_at)[:QUEUE_LIMIT])
    while queues := {owner: queue for owner, queue in queues.items() if queue}:
        owner = min(queues, key=lambda owner: (counts[owner], queues[owner][0].created_at))
        yield queues[owner].popleft()
        counts[owner] += 1


def _assign(job: Job, hosts: list[Host]) -> bool:
    try:
        with transaction.atomic():
            host = place(job, hosts)
            if host is None:
                return False
            changes = assigned(job, timezone.now())
            if not change(job, event=None, guard=Q(assigned_at__isnull=True), **changes):
                raise Lost
            offer(job, host).save()
    except Lost:
        return False
    host.used_sandboxes += 1  # for the rest of the pass
    return True


def _assign_alone(sandbox: Sandbox, hosts: list[Host]) -> bool:
    if alone_assign(sandbox, hosts):
        return True
    alone_explain(sandbox, hosts)
    return False


def _explain(hosts: list[Host]) -> None:
    """Tell those who wait why, where the reason is another one now."""
    for job in waiting().defer("script", "environment").order_by("created_at")[:EXPLAIN_LIMIT]:
        changes = waits(job, hosts) if job.in_sandbox_id is None else held.waits(job, hosts)
        if job.message != changes["message"]:
            with transaction.atomic():
                change(job, event=None, guard=Q(assigned_at__isnull=True), **changes)
