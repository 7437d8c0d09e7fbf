"""What a user asks for, and the job that it makes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from accounts.errors import OutsideWorkspace
from accounts.models import ApiToken, User
from files.errors import FileNotFound
from files.selectors import upload_many
from hosts.models import Host
from jobs.errors import NeverFits, SameFileName
from jobs.models import Job

DEFAULT_VCPUS = 2
DEFAULT_MEMORY_MB = 1024
DEFAULT_DISK_GB = 2
DEFAULT_IMAGE = "standard"


@dataclass(frozen=True, slots=True)
class JobSpec:
    """What a user asked for, already validated. Sizes and image may be left to us."""

    script: str
    name: str = ""
    environment: dict[str, str] | None = None
    image: str | None = None
    vcpus: int | None = None
    memory_mb: int | None = None
    disk_gb: int | None = None
    timeout_s: int | None = None
    retries: int = 0
    workspace: str = ""
    base: str = ""
    is_persistent: bool = False
    is_synced: bool = True
    file_ids: tuple[str, ...] = ()
    url_port: int | None = None
    # Of a persistent job. None: as the newest one on its workspace, if there is one.
    no_sleep: bool | None = None
    startup_command: str | None = None
    idle_s: int | None = None

    @property
    def is_held(self) -> bool:
        """Whether its sandbox is more than its one attempt's."""
        return bool(self.workspace or self.base or self.is_persistent)


def spec_within(owner: User, spec: JobSpec) -> JobSpec:
    """What is asked for by somebody who may only use one workspace: in that one. Raises OutsideWorkspace."""
    own = owner.only_workspace
    if not own:
        return spec
    for field, name in (("workspace_id", spec.workspace), ("base_workspace_id", spec.base)):
        if name not in {"", own}:
            words = f"This token is for the workspace {own} only."
            raise OutsideWorkspace(words, fields={field: f"must be {own}, or left out"})
    return replace(spec, workspace=own)


def job_make(owner: User, token: ApiToken | None, spec: JobSpec, hosts: list[Host], **fields: Any) -> Job:
    """The job, not saved yet. Raises NeverFits, FileNotFound."""
    vcpus, memory_mb = _size(spec, hosts)
    return Job(
        owner=owner, token=token, script=spec.script, name=spec.name, environment=spec.environment or {},
        image=spec.image or DEFAULT_IMAGE, vcpus=vcpus, memory_mb=memory_mb,
        disk_gb=spec.disk_gb or DEFAULT_DISK_GB, timeout_s=spec.timeout_s, retries=spec.retries,
        files=_files(owner, spec.file_ids) if spec.file_ids else [], revision=1,
        url_port=spec.url_port, **fields,
    )  # fmt: skip


def _files(owner: User, file_ids: tuple[str, ...]) -> list[dict[str, Any]]:
    """The owner's uploads, in the order in which they were named."""
    try:
        found = upload_many(owner, list(dict.fromkeys(file_ids)))
    except FileNotFound as error:
        raise FileNotFound(
            fields={"file_ids": "names a file that does not exist, or not any more"}
        ) from error
    names = [upload.name for upload in found]
    if len(set(names)) < len(names):
        raise SameFileName
    return [
        {"id": str(upload.pk), "name": upload.name, "sha256": upload.sha256, "bytes": upload.size_bytes}
        for upload in found
    ]


def _size(spec: JobSpec, hosts: list[Host]) -> tuple[int, int]:
    """The vcpus and memory of the job; defaults shrink to the largest host, explicit wishes do not."""
    sizes = [(host.capacity_vcpus, host.capacity_memory_mb) for host in hosts]
    if not sizes:
        return spec.vcpus or DEFAULT_VCPUS, spec.memory_mb or DEFAULT_MEMORY_MB
    most_vcpus, most_memory_mb = (max(column) for column in zip(*sizes, strict=True))
    vcpus = spec.vcpus or min(DEFAULT_VCPUS, most_vcpus)
    memory_mb = spec.memory_mb or min(DEFAULT_MEMORY_MB, most_memory_mb)
    if any(vcpus <= most_v and memory_mb <= most_m for most_v, most_m in sizes):
        return vcpus, memory_mb
    raise _never_fits(vcpus, memory_mb, most_vcpus, most_memory_mb)


def _never_fits(vcpus: int, memory_mb: int, most_vcpus: int, most_memory_mb: int) -> NeverFits:
    fields = {}
    if vcpus > most_vcpus:
        fields["vcpus"] = f"At most {most_vcpus}: the largest host has no more."
    if memory_mb > most_memory_mb:
        fields["memory_mb"] = f"At most {most_memory_mb}: the largest host has no more."
    words = " ".join(f"{name}: {text}" for name, text in fields.items())
    return NeverFits(words or "No host has that many vcpus and that much memory together.", fields=fields)
