"""`manage.py ssh_check JOB`: log in to a job's sandbox as its owner would, and say how far that went."""

from __future__ import annotations

import io
from typing import Any
from uuid import UUID

import paramiko
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from jobs.models import Job
from ssh import keys
from ssh.models import Door, Grant
from ssh.selectors import door_find, place_of

USER = "root"


class Command(BaseCommand):
    help = "Log in to a job's sandbox by SSH, which wakes it, as one who has a key to it would."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("job", type=UUID, help="the job's id")
        parser.add_argument("--timeout", type=float, default=70.0, help="seconds for it to wake and answer")

    def handle(self, *args: Any, **options: Any) -> None:
        job = Job.objects.filter(pk=options["job"]).first()
        door = door_find(place_of(job.workspace_id, job.in_sandbox_id)) if job else None
        grant = Grant.objects.filter(door=door, revoked_at__isnull=True).first() if door else None
        if door is None or grant is None:
            raise CommandError("Nobody has a key to this job's sandbox. `mags ssh JOB` makes one.")
        self.stdout.write(f"port {door.port} on {settings.SSH_HOST}, the key of {grant.user}")
        try:
            banner = self._log_in(door, grant, options["timeout"])
        except paramiko.BadHostKeyException as error:
            raise CommandError("Something else than this sandbox answers on its port.") from error
        except paramiko.AuthenticationException as error:
            raise CommandError("The sandbox answers, and does not take the key.") from error
        except (OSError, paramiko.SSHException) as error:
            words = "Is the gateway up, and its port let through? See its log."
            raise CommandError(f"Nothing answers by SSH: {error}. {words}") from error
        self.stdout.write(f"logged in: {banner}")

    def _log_in(self, door: Door, grant: Grant, timeout_s: float) -> str:
        """What its server calls itself."""
        name = f"[{settings.SSH_HOST}]:{door.port}"
        with paramiko.SSHClient() as client:
            client.get_host_keys().add(name, "ssh-ed25519", _key(keys.private_text(keys.host_key(door))))
            client.connect(
                settings.SSH_HOST, door.port, USER, pkey=_key(keys.private_text(keys.user_key(grant))),
                look_for_keys=False, allow_agent=False, timeout=timeout_s, banner_timeout=timeout_s,
                auth_timeout=timeout_s,
            )  # fmt: skip
            transport = client.get_transport()
            return transport.remote_version if transport else ""


def _key(text: str) -> paramiko.Ed25519Key:
    return paramiko.Ed25519Key.from_private_key(io.StringIO(text))
