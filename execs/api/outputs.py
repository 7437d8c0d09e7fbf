"""The shape of what people get about execs."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from execs.models import Exec
from execs.states import ExecEnd, ExecState, Origin
from execs.talk import KEPT_BYTES
from execs.wire import exec_object

_EXACT = "The exact bytes, where the text is not: it is UTF-8 with replacements."


class ExecOutput(serializers.Serializer[Exec]):
    """One command in one sandbox. All keys are always there."""

    exec_id = serializers.CharField()
    job_id = serializers.UUIDField()
    vm_id = serializers.CharField(allow_null=True)
    command = serializers.CharField(allow_null=True, help_text="Null: a login shell.")
    terminal = serializers.BooleanField(help_text="It has one stream, stdout.")
    timeout = serializers.IntegerField(allow_null=True)
    origin = serializers.ChoiceField(list(Origin))
    token = serializers.CharField(allow_null=True, help_text="The name of the token it was started with.")
    state = serializers.ChoiceField(list(ExecState))
    reason = serializers.ChoiceField(list(ExecEnd), allow_null=True)
    message = serializers.CharField(allow_null=True)
    exit_code = serializers.IntegerField(allow_null=True, help_text="Never guessed: null for lost ones.")
    stdout_bytes = serializers.IntegerField(allow_null=True, help_text="In all; null while nobody has told.")
    stderr_bytes = serializers.IntegerField(allow_null=True)
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)

    def to_representation(self, instance: Exec) -> dict[str, Any]:
        return exec_object(instance)


class ExecListOutput(serializers.Serializer[Any]):
    execs = ExecOutput(many=True)
    total = serializers.IntegerField()
    page = serializers.IntegerField()
    page_size = serializers.IntegerField()


class ExecResultOutput(serializers.Serializer[Any]):
    """How a command ended."""

    exec_id = serializers.CharField()
    state = serializers.ChoiceField(list(ExecState))
    exit_code = serializers.IntegerField(
        allow_null=True, help_text="124 after a timeout; null where nobody knows."
    )
    reason = serializers.ChoiceField(list(ExecEnd))
    message = serializers.CharField(allow_null=True)
    stdout = serializers.CharField(help_text=f"At most {KEPT_BYTES // 1024} KiB, the beginning.")
    stderr = serializers.CharField(help_text="The same.")
    stdout_base64 = serializers.CharField(required=False, help_text=_EXACT)
    stderr_base64 = serializers.CharField(required=False, help_text=_EXACT)
    stdout_bytes = serializers.IntegerField(allow_null=True, help_text="In all; null for lost ones.")
    stderr_bytes = serializers.IntegerField(allow_null=True)
    truncated_bytes = serializers.IntegerField(help_text="What this answer leaves out, of both streams.")
    next_offsets = serializers.DictField(
        child=serializers.IntegerField(), help_text="Where `output` has the rest: stdout, stderr."
    )


class ExecEndOutput(serializers.Serializer[Any]):
    exit_code = serializers.IntegerField(allow_null=True)
    reason = serializers.ChoiceField(list(ExecEnd))
    message = serializers.CharField(allow_null=True)
    stdout_bytes = serializers.IntegerField(allow_null=True)
    stderr_bytes = serializers.IntegerField(allow_null=True)


class ExecPageOutput(serializers.Serializer[Any]):
    """A part of one stream."""

    exec_id = serializers.CharField()
    stream = serializers.ChoiceField(["stdout", "stderr"])
    offset = serializers.IntegerField(help_text="Where `data` begins; what was before it may be gone.")
    data = serializers.CharField()  # type: ignore[assignment]  # the wire's key
    data_base64 = serializers.CharField(required=False, help_text=_EXACT)
    gap_bytes = serializers.IntegerField(help_text="Before `offset`, and not kept any more.")
    next_offset = serializers.IntegerField(help_text="Where to go on reading.")
    end = ExecEndOutput(allow_null=True, help_text="Null until it has ended and nothing follows this page.")


class SignalledOutput(serializers.Serializer[Any]):
    exec_id = serializers.CharField()
    signal = serializers.CharField()
