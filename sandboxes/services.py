"""Every write to sandboxes.

Whoever writes one that has a host holds the host's row first, then the sandbox's, then its workspace's:
`sandbox_lock`, or one of the host's own functions (`host_touch`, `host_sandbox_revision_next`).
"""

from __future__ import annotations

import contextlib
import secrets
import string
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from core.live import Topic, tell
from core.wakeup import wake
from hosts.models import Host
from hosts.services import host_give_room, host_sandbox_revision_next, host_touch
from sandboxes import hooks
from sandboxes.errors import NothingSaved, StaleSandbox
from sandboxes.models import Sandbox
from sandboxes.states import SANDBOX_TRANSITIONS, SandboxEnd, SandboxPhase, SaveFailure
from ssh.models import Door
from ssh.services import doors_release
from workspaces.errors import StaleHold
from workspaces.models import Version, Workspace
from workspaces.services import Commit, Hold, version_commit, workspace_place, workspace_release

ID_ALPHABET = string.ascii_lowercase + string.digits
MESSAGE_LIMIT = 500


class _GotHost(Exception):
    """While we waited for the row of a sandbox that had none."""


@dataclass(frozen=True, slots=True)
class Make:
    """What a sandbox is to be. `base_manifest` is what one without a workspace begins as."""

    owner_id: int
    image: str
    vcpus: int
    memory_mb: int
    disk_gb: int
    is_kept: bool
    is_synced: bool
    base_manifest: str = ""
    image_build: str = ""  # where the workspace does not say
    sleeps: bool = True  # if it is kept
    sleeps_with_runs: bool = False
    idle_s: int | None = None
    made_for: str = ""  # who wanted one without a script, in which the command runs
    startup_command: str = ""
    startup_environment: dict[str, str] = field(default_factory=dict)


def sandbox_id_make() -> str:
    """The id of a new sandbox, which may take a workspace before it has a row."""
    return "".join(secrets.choice(ID_ALPHABET) for _ in range(16))


def sandbox_create(sandbox_id: str, make: Make, workspace: Workspace | None, host: Host | None) -> Sandbox:
    """A sandbox that holds `workspace`, on the host whose room was taken for it, or waiting for one."""
    sandbox = Sandbox.objects.create(
        pk=sandbox_id, owner_id=make.owner_id, workspace=workspace, host=host,
        epoch=workspace.epoch if workspace else 1, image=make.image, vcpus=make.vcpus,
        memory_mb=make.memory_mb, disk_gb=make.disk_gb, is_kept=make.is_kept, is_synced=make.is_synced,
        image_build=(workspace.image_build if workspace else "") or make.image_build,
        base_manifest=make.base_manifest, checkpoint_s=settings.CHECKPOINT_S if workspace else 0,
        sleeps=make.sleeps, sleeps_with_runs=make.sleeps_with_runs, idle_s=make.idle_s,
        made_for=make.made_for, startup_command=make.startup_command,
        startup_environment=make.startup_environment,
        state=SandboxPhase.OFFERED if host else SandboxPhase.WAITING,
        revision=host_sandbox_revision_next(host.pk) if host else 0,
    )  # fmt: skip
    _tell(sandbox)
    return sandbox


def sandbox_lock(sandbox_id: str) -> Sandbox | None:
    """The live sandbox, its own and its host's row held until the transaction ends."""
    live = Sandbox.objects.exclude(state=SandboxPhase.ENDED).filter(pk=sandbox_id)
    seen = live.values_list("host_id").first()
    if seen is None:
        return None
    (host_id,) = seen
    if host_id is not None:
        Host.objects.select_for_update().filter(pk=host_id).first()
        return live.select_for_update().first()
    with contextlib.suppress(_GotHost), transaction.atomic():
        held = live.select_for_update().first()
        if held is not None and held.host_id is not None:
            raise _GotHost  # gives its row back, since its host's comes first
        return held
    return sandbox_lock(sandbox_id)


def sandbox_offer(sandbox: Sandbox, host: Host) -> bool:
    """Give a waiting sandbox to the host whose room was taken for it."""
    revision = host_sandbox_revision_next(host.pk)
    return _move(sandbox, SandboxPhase.OFFERED, host=host, revision=revision, reason="", message="")


def sandbox_explain(sandbox: Sandbox, reason: str, message: str) -> bool:
    """Note why it waits. False: it waits no longer."""
    waiting = _same(sandbox).filter(state=SandboxPhase.WAITING)
    return bool(waiting.update(reason=reason, message=message))


def sandbox_started(sandbox: Sandbox) -> bool:
    """Its host says that it is up, and so has its workspace's newest data. False: it was said before."""
    _lies_here(sandbox)  # also where its end is wished already
    if sandbox.state != SandboxPhase.OFFERED:
        return False
    if not _move(sandbox, SandboxPhase.RUNNING, up_at=timezone.now()):
        raise StaleSandbox
    return True


def sandbox_wish_end(sandbox: Sandbox) -> bool:
    """Ask the host to end it. False: that was asked before, or there is no host to ask."""
    if sandbox.is_stop_wished or sandbox.host_id is None:
        return False
    revision = host_sandbox_revision_next(sandbox.host_id)
    return _move(sandbox, SandboxPhase.ENDING, is_stop_wished=True, revision=revision)


def sandbox_wish_wake(sandbox: Sandbox) -> None:
    """Ask the host to thaw it, or not to freeze it before it was idle again."""
    sandbox_change(sandbox, wake_wished=F("wake_wished") + 1)
    sandbox.refresh_from_db(fields=["wake_wished"])


def sandbox_want_next(sandbox: Sandbox, cause: str) -> None:
    """Note that somebody waits for the one that comes after this one's end."""
    if not _same(sandbox).filter(next_for="").update(next_for=cause):
        raise StaleSandbox
    sandbox.next_for = cause


def sandbox_put_away(sandbox: Sandbox) -> None:
    """Its owner wants neither it nor the one that somebody waits for."""
    if not _same(sandbox).update(is_put_away=True, next_for=""):
        raise StaleSandbox
    sandbox.is_put_away, sandbox.next_for = True, ""


def sandbox_asleep(sandbox: Sandbox, since: datetime) -> bool:
    """Its host has frozen it; what was wished before counts as heard. False: said before, or it ends."""
    awake = _same(sandbox).filter(state=SandboxPhase.RUNNING, asleep_since__isnull=True)
    return _slept(sandbox, awake, since)


def sandbox_awake(sandbox: Sandbox) -> bool:
    """Its host has thawed it. False: it was said before."""
    asleep = _same(sandbox).filter(asleep_since__isnull=False)
    return _slept(sandbox, asleep, None)


def _slept(sandbox: Sandbox, found: QuerySet[Sandbox], since: datetime | None) -> bool:
    if not found.update(asleep_since=since, wake_done=F("wake_wished")):
        return False
    sandbox.refresh_from_db(fields=["asleep_since", "wake_wished", "wake_done"])
    hooks.sleep_changed(sandbox)
    _tell(sandbox)
    return True


def sandbox_ending(sandbox: Sandbox) -> None:
    """Its host says that nothing new can run in it; its last word comes when all is saved."""
    _move(sandbox, SandboxPhase.ENDING)


def sandbox_change(sandbox: Sandbox, **wishes: Any) -> None:
    """Change what is wished of a live sandbox, and let its host know."""
    if sandbox.host_id is not None:
        wishes["revision"] = host_sandbox_revision_next(sandbox.host_id)
    if not _same(sandbox).update(**wishes):
        raise StaleSandbox
    for name, value in wishes.items():
        setattr(sandbox, name, value)
    _tell(sandbox)


def sandbox_wish_sync(sandbox: Sandbox) -> int:
    """Ask for a version. Returns the wish's number: it is answered once `sync_done` has reached it."""
    sandbox_change(sandbox, sync_wished=F("sync_wished") + 1)
    sandbox.refresh_from_db(fields=["sync_wished"])
    if sandbox.workspace_id is not None:
        Workspace.objects.filter(pk=sandbox.workspace_id, is_saved=False).update(is_saved=True)
    return sandbox.sync_wished


def sandbox_measured(sandbox: Sandbox, tree_bytes: int, *, is_dirty: bool, sync: int) -> None:
    """What its host says of its files. `sync`: nothing changed since the head, which answers that wish."""
    _same(sandbox).update(tree_bytes=tree_bytes)
    if not sync:
        return
    workspace = sandbox.workspace
    head = workspace.head if workspace else None
    if is_dirty or head is None or head.durable_at is None:
        raise NothingSaved
    _answer(sandbox, sync)
    hooks.saved(sandbox, head)


def sandbox_troubled(sandbox: Sandbox, kind: SaveFailure | None, since: datetime | None) -> bool:
    """Note why and since when its files cannot be saved, or that they can. False: it has ended."""
    if not _same(sandbox).update(trouble=kind or "", trouble_since=since):
        return False
    sandbox.trouble, sandbox.trouble_since = kind or "", since
    return True


def sandbox_commit(sandbox: Sandbox, host: Host, boot_epoch: int, commit: Commit, *, sync: int) -> Version:
    """Publish a version of the sandbox's workspace, and note which wished sync it answers."""
    version = version_commit(sandbox_hold(sandbox), commit, check=_still_runs(sandbox, host, boot_epoch))
    if sync:
        _answer(sandbox, sync)
    hooks.saved(sandbox, version)
    return version


def sandbox_hold(sandbox: Sandbox) -> Hold:
    """The right under which the sandbox writes its workspace. Raises StaleHold where it has none."""
    if sandbox.workspace_id is None:
        raise StaleHold
    return Hold(sandbox.workspace_id, sandbox.pk, sandbox.epoch)


def sandbox_end(
    sandbox: Sandbox, reason: SandboxEnd, message: str = "", *, revision: int | None = None
) -> None:
    """Its last word, or ours: room and workspace go back, and no host commits under its epoch again.

    `revision` is the host's where the host does not know yet.
    """
    had_room = sandbox.state != SandboxPhase.WAITING
    changes: dict[str, Any] = {} if revision is None else {"revision": revision}
    text = message[:MESSAGE_LIMIT]
    if not _move(
        sandbox, SandboxPhase.ENDED, ended_at=timezone.now(), reason=reason, message=text, **changes
    ):
        raise StaleSandbox
    if had_room and sandbox.host_id is not None:  # after the guard above, so once
        host_give_room(sandbox.host_id, sandbox.memory_mb)
    if sandbox.workspace_id is not None:
        workspace_release(sandbox_hold(sandbox))
    else:
        doors_release(Door.objects.filter(sandbox_id=sandbox.pk))


def workspace_resized(workspace: Workspace) -> None:
    """The sandbox that holds it gets the new size."""
    sandbox = sandbox_lock(workspace.holder) if workspace.holder else None
    if sandbox is not None:
        sandbox_change(sandbox, disk_gb=workspace.disk_gb)
        transaction.on_commit(partial(wake, f"host.{sandbox.host_id}"))


def workspace_deleted(workspace: Workspace) -> None:
    """Its last host learns that it is to remove what it has of it; others do when they boot. Its SSH port
    leads nowhere."""
    doors_release(Door.objects.filter(workspace=workspace))
    if workspace.host_id is not None:
        host_sandbox_revision_next(workspace.host_id)
        wake(f"host.{workspace.host_id}")


def _move(sandbox: Sandbox, to: SandboxPhase, **changes: Any) -> bool:
    """The only writer of a sandbox's state: from the one that it was read with."""
    if to not in SANDBOX_TRANSITIONS[SandboxPhase(sandbox.state)]:
        return False
    if not _same(sandbox).filter(state=sandbox.state).update(state=to, **changes):
        return False
    for name, value in {"state": to, **changes}.items():
        setattr(sandbox, name, value)
    _tell(sandbox)
    return True


def _tell(sandbox: Sandbox) -> None:
    """Pages show who holds a workspace, too."""
    tell(sandbox.owner_id, Topic.SANDBOXES, *([Topic.WORKSPACES] if sandbox.workspace_id else []))


def _same(sandbox: Sandbox) -> QuerySet[Sandbox]:
    live = Sandbox.objects.exclude(state=SandboxPhase.ENDED)
    return live.filter(Q(host_id=sandbox.host_id), pk=sandbox.pk, epoch=sandbox.epoch)


def _lies_here(sandbox: Sandbox) -> None:
    host = sandbox.host
    if host is not None and sandbox.workspace_id is not None:
        workspace_place(sandbox_hold(sandbox), host)


def _answer(sandbox: Sandbox, sync: int) -> None:
    asked = Sandbox.objects.filter(pk=sandbox.pk, epoch=sandbox.epoch, sync_done__lt=sync)
    asked.filter(sync_wished__gte=sync).update(sync_done=sync)


def _still_runs(sandbox: Sandbox, host: Host, boot_epoch: int) -> Callable[[], None]:
    def check() -> None:
        host_touch(host.pk, boot_epoch)  # locks the host's row first, as everybody does
        same = Q(pk=sandbox.pk, host=host, epoch=sandbox.epoch)
        live = Sandbox.objects.select_for_update().exclude(state=SandboxPhase.ENDED)
        if live.filter(same).first() is None:
            raise StaleSandbox

    return check
