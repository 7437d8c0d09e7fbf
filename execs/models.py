"""Commands that were executed in sandboxes: the record. Their output is on the sandbox's host."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from execs.states import WITHOUT_EXIT_CODE, ExecEnd, ExecState, Origin
from jobs.models import Job
from sandboxes.models import Sandbox


class Exec(models.Model):
    """One command in one sandbox. The id's hexadecimal digits are its id on the host, which starts an id
    once however often it is asked; so the row is there before the host is asked for the first time."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="execs")
    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="execs")
    sandbox = models.ForeignKey(
        Sandbox, null=True, blank=True, on_delete=models.SET_NULL, related_name="execs"
    )
    token = models.ForeignKey(  # None: by somebody who was signed in to the dashboard
        "accounts.ApiToken", null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    origin = models.CharField(max_length=10, choices=[(o, o) for o in Origin])
    command = models.TextField(blank=True)  # empty: a login shell
    is_terminal = models.BooleanField(default=False)
    timeout_s = models.PositiveIntegerField(null=True, blank=True)

    state = models.CharField(max_length=10, choices=[(s, s) for s in ExecState], default=ExecState.STARTING)
    reason = models.CharField(max_length=12, blank=True, choices=[(e, e) for e in ExecEnd])
    message = models.CharField(max_length=500, blank=True)  # the reason in a sentence, for people
    exit_code = models.PositiveSmallIntegerField(null=True, blank=True)
    stdout_bytes = models.PositiveBigIntegerField(null=True, blank=True)  # in all; None: not known
    stderr_bytes = models.PositiveBigIntegerField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    asked_at = models.DateTimeField(null=True, blank=True)  # when the sweep last asked its host

    class Meta:
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["job", "-created_at"], name="exec_job_newest"),
            models.Index(fields=["asked_at"], name="exec_open", condition=~Q(state=ExecState.ENDED)),
            models.Index(fields=["ended_at"], name="exec_ended"),
        ]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(condition=Q(state__in=list(ExecState)), name="exec_state_known"),
            models.CheckConstraint(
                condition=Q(state=ExecState.ENDED, ended_at__isnull=False) & ~Q(reason="")
                | ~Q(state=ExecState.ENDED) & Q(ended_at__isnull=True, reason="", exit_code__isnull=True),
                name="exec_ended_has_a_reason",
            ),
            models.CheckConstraint(
                condition=~Q(reason__in=sorted(WITHOUT_EXIT_CODE)) | Q(exit_code__isnull=True),
                name="exec_guesses_no_exit_code",
            ),
        ]

    def __str__(self) -> str:
        return self.pk.hex
