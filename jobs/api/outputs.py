"""The shape of what people get about jobs."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from rest_framework import serializers

from jobs.models import Job, JobEvent
from jobs.services.ssh import Entrance
from jobs.states import JobStatus, SandboxState
from jobs.wire import job_object, stamp
from ssh import keys


class JobAcceptedOutput(serializers.Serializer[Any]):
    request_id = serializers.UUIDField()
    status = serializers.CharField()
    message = serializers.CharField()


class JobStopOutput(serializers.Serializer[Any]):
    request_id = serializers.UUIDField()
    status = serializers.ChoiceField(list(JobStatus))


class AccessOutput(serializers.Serializer[Any]):
    success = serializers.BooleanField()
    url = serializers.CharField()
    port = serializers.IntegerField(help_text="Where the URL leads in the sandbox.")


class SshAccessOutput(serializers.Serializer[Entrance]):
    """Where to log in, and with which key. Answered again, it is the same until you revoke it."""

    success = serializers.BooleanField()
    ssh_host = serializers.CharField()
    ssh_port = serializers.IntegerField()
    ssh_user = serializers.CharField()
    ssh_private_key = serializers.CharField(help_text="In OpenSSH's form. Whoever has it gets in.")
    ssh_host_key = serializers.CharField(help_text="What the sandbox proves itself with, now and later.")
    known_hosts = serializers.CharField(help_text="The same as a line of a known_hosts file.")

    def to_representation(self, instance: Entrance) -> dict[str, Any]:
        host, port = settings.SSH_HOST, instance.door.port
        host_key = keys.public_text(keys.host_key(instance.door))
        return {
            "success": True,
            "ssh_host": host,
            "ssh_port": port,
            "ssh_user": "root",
            "ssh_private_key": keys.private_text(keys.user_key(instance.grant)),
            "ssh_host_key": host_key,
            "known_hosts": f"[{host}]:{port} {host_key}",
        }


class SshKeyRevokedOutput(serializers.Serializer[Any]):
    success = serializers.BooleanField()
    in_force = serializers.BooleanField(
        help_text="Whether the sandbox's host has said so; if not, it will have to before anything else."
    )


class ReceiptOutput(serializers.Serializer[Any]):
    """A version of a workspace that is durable."""

    workspace_id = serializers.CharField(help_text="The workspace's name.")
    version = serializers.IntegerField()
    sha256 = serializers.CharField(help_text="The version's identity.")
    bytes = serializers.IntegerField(help_text="What the version added to the object store.")
    synced_at = serializers.DateTimeField()


class JobOutput(serializers.Serializer[Job]):
    """A job. All keys are always there."""

    request_id = serializers.UUIDField()
    id = serializers.UUIDField()
    name = serializers.CharField(allow_null=True)
    status = serializers.ChoiceField(list(JobStatus))
    reason = serializers.CharField(allow_null=True, help_text="Why it waits or ended the way it did.")
    message = serializers.CharField(allow_null=True, help_text="The reason in a sentence.")
    exit_code = serializers.IntegerField(allow_null=True)
    vm_id = serializers.CharField(allow_null=True, help_text="The sandbox, once commands can run in it.")
    workspace_id = serializers.CharField(allow_null=True)
    base_workspace_id = serializers.CharField(allow_null=True)
    persistent = serializers.BooleanField()
    no_sleep = serializers.BooleanField(help_text="Its sandbox is always on.")
    startup_command = serializers.CharField(allow_null=True)
    url = serializers.CharField(allow_null=True)
    ssh = serializers.CharField(
        allow_null=True, help_text="Where to log in, once somebody has asked for a key: ssh://root@host:port"
    )
    script_duration_ms = serializers.IntegerField(allow_null=True)
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    stop_requested_at = serializers.DateTimeField(allow_null=True)
    host = serializers.CharField(allow_null=True)
    isolation = serializers.ChoiceField(["container", "gvisor", "microvm"], allow_null=True)
    sandbox = serializers.ChoiceField(list(SandboxState))
    sandbox_message = serializers.CharField(
        allow_null=True, help_text="Why the sandbox that is to be there is not up, in a sentence."
    )
    durable_at = serializers.DateTimeField(allow_null=True, help_text="When its files were last saved.")
    unsaved_since = serializers.DateTimeField(
        allow_null=True, help_text="Saving them has failed since then, and goes on being tried."
    )
    timings = serializers.DictField(
        child=serializers.IntegerField(), help_text="queued, assigned, restored, started: ms."
    )
    attempt = serializers.IntegerField(help_text="0 before the first one.")
    revision = serializers.IntegerField(help_text="Counts up with every change of the job.")
    vcpus = serializers.IntegerField()
    memory_mb = serializers.IntegerField()
    disk_gb = serializers.IntegerField()
    timeout = serializers.IntegerField(allow_null=True)
    retries = serializers.IntegerField()
    log_bytes = serializers.IntegerField(help_text="Output stored so far.")

    def to_representation(self, instance: Job) -> dict[str, Any]:
        return job_object(instance)


class JobListOutput(serializers.Serializer[Any]):
    jobs = JobOutput(many=True)
    total = serializers.IntegerField()
    page = serializers.IntegerField()
    page_size = serializers.IntegerField()


class LogEntryOutput(serializers.Serializer[Any]):
    timestamp = serializers.DateTimeField()
    level = serializers.ChoiceField(["info", "error"])
    message = serializers.CharField(help_text="Without its newline; bytes that are not UTF-8 are replaced.")
    stream = serializers.ChoiceField(["stdout", "stderr", "platform"])
    offset = serializers.IntegerField(help_text="Where it begins in the job's output.")
    source = serializers.ChoiceField(["platform"], required=False)  # type: ignore[assignment]  # the wire's key
    partial = serializers.BooleanField(  # type: ignore[assignment]  # the wire's key
        required=False, help_text="No newline ended it."
    )
    base64 = serializers.CharField(
        required=False,
        help_text="The exact bytes, with the newline if there was one, where `message` is not exact.",
    )


class JobEndOutput(serializers.Serializer[Any]):
    status = serializers.CharField(help_text="completed or error")
    reason = serializers.CharField(allow_null=True)
    exit_code = serializers.IntegerField(allow_null=True)


class LogsOutput(serializers.Serializer[Any]):
    logs = LogEntryOutput(many=True)
    next_offset = serializers.IntegerField(help_text="Where to go on reading.")
    truncated_bytes = serializers.IntegerField(help_text="Output over the caps, which was not kept.")
    expired = serializers.BooleanField(help_text="Retention has removed the output.")
    end = JobEndOutput(
        allow_null=True, help_text="Null until the job has ended and nothing follows this page."
    )


class JobEventOutput(serializers.Serializer[JobEvent]):
    kind = serializers.CharField()
    at = serializers.DateTimeField()
    detail = serializers.DictField()

    def to_representation(self, instance: JobEvent) -> dict[str, Any]:
        return {"kind": instance.kind, "at": stamp(instance.at), "detail": instance.detail}


class JobEventsOutput(serializers.Serializer[Any]):
    events = JobEventOutput(many=True)
    total = serializers.IntegerField()
    page = serializers.IntegerField()
    page_size = serializers.IntegerField()


class PoolOutput(serializers.Serializer[Any]):
    idle_vms = serializers.IntegerField()
    busy_vms = serializers.IntegerField()
    total_vms = serializers.IntegerField()
    min_pool_size = serializers.IntegerField()
    max_pool_size = serializers.IntegerField()
