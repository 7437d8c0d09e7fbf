"""What people send about execs."""

from __future__ import annotations

import re
from typing import Any

from rest_framework import serializers

from execs import limits
from execs.services import Command
from execs.states import Origin
from jobs.api.inputs import EnvironmentField, StringField


class ExecInput(serializers.Serializer[Any]):
    """A command to execute. Unknown fields are ignored."""

    command = StringField(
        help_text=f"For `sh -lc`, at most {limits.COMMAND_LIMIT_BYTES // 1024} KiB: quotes and newlines too."
    )
    timeout = serializers.IntegerField(
        min_value=1,
        max_value=limits.TIMEOUT_S_LIMIT,
        required=False,
        allow_null=True,
        help_text="Seconds; none by default.",
    )
    environment = EnvironmentField(required=False, allow_null=True)

    def validate_command(self, command: str) -> str:
        if not limits.is_command(command):
            raise serializers.ValidationError(limits.COMMAND_RULE)
        return command

    def call(self) -> Command:
        data = self.validated_data
        return Command(
            data["command"],
            Origin.API,
            environment=data.get("environment") or {},
            timeout_s=data.get("timeout"),
        )


class SignalInput(serializers.Serializer[Any]):
    signal = StringField(help_text="INT, TERM, HUP ... with or without SIG. KILL ends all its processes.")

    def validate_signal(self, signal: str) -> str:
        name = re.sub("^SIG", "", signal.upper())
        if name not in limits.SIGNALS:
            raise serializers.ValidationError(f"must be one of {', '.join(sorted(limits.SIGNALS))}")
        return name
