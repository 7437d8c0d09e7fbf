"""What people send about jobs."""

from __future__ import annotations

import re
from typing import Any

from django.conf import settings
from rest_framework import serializers

from core.api.ports import SSH_PORT, PortField, UrlPortField
from images.selectors import image_exists, image_names
from jobs import limits
from jobs.errors import NotPersistent, ScriptTooLarge
from jobs.selectors import NAME
from jobs.services import DEFAULT_IMAGE, JobSpec

ALIAS_PREFIX = "__MAGS_"
ENVIRONMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
IMAGE = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
NAME_RULE = "1 to 63 letters, digits, dots, dashes or underscores, beginning with a letter or digit"

# Refused with a clear word rather than ignored: a job that runs without what it asked for is worse than one
# that does not run.
PERSISTENT_ONLY = ("no_sleep", "url", "startup_command")
TRUE = ("1", "true", "yes", "on")
URL_PORT = 8080  # where none is named


class StringField(serializers.CharField):
    """Text as it is: numbers are not text, and nothing is trimmed."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"trim_whitespace": False} | options)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return str(super().to_internal_value(data))


class NameField(StringField):
    """A name of a job or workspace; empty or null means none."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"required": False, "allow_blank": True, "allow_null": True} | options)

    def run_validation(self, data: Any = serializers.empty) -> Any:
        name = super().run_validation(data) or ""
        if name and not NAME.fullmatch(name):
            raise serializers.ValidationError(f"must be {NAME_RULE}")
        return name


class StartupField(StringField):
    """A shell command; empty means none, null that nothing is said."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"required": False, "allow_blank": True, "allow_null": True} | options)

    def to_internal_value(self, data: Any) -> str:
        command = super().to_internal_value(data)
        if len(command.encode()) > limits.STARTUP_LIMIT_BYTES:
            raise serializers.ValidationError(f"at most {limits.STARTUP_LIMIT_BYTES} bytes")
        return command if command.strip() else ""


class EnvironmentField(serializers.DictField):
    """{name: value}, both text, as the kernel takes them."""

    child = StringField(allow_blank=True)

    def to_internal_value(self, data: Any) -> dict[str, str]:
        if not isinstance(data, dict):
            self.fail("not_a_dict", input_type=type(data).__name__)
        if len(data) > limits.ENVIRONMENT_COUNT_LIMIT:
            raise serializers.ValidationError(f"at most {limits.ENVIRONMENT_COUNT_LIMIT} variables")
        wrong = [name for name in data if not ENVIRONMENT_NAME.fullmatch(name)]
        if wrong:
            rule = "a name has letters, digits and underscores and does not begin with a digit"
            raise serializers.ValidationError(f"{wrong[0][:80]!r}: {rule}")
        found: dict[str, str] = super().to_internal_value(data)
        sizes = [len(name) + len(value.encode()) + 1 for name, value in found.items()]
        if sizes and max(sizes) > limits.ENVIRONMENT_ITEM_LIMIT_BYTES:
            raise serializers.ValidationError(
                f"one variable has at most {limits.ENVIRONMENT_ITEM_LIMIT_BYTES} bytes"
            )
        if sum(sizes) > limits.ENVIRONMENT_LIMIT_BYTES:
            raise serializers.ValidationError(f"at most {limits.ENVIRONMENT_LIMIT_BYTES} bytes together")
        return found


class FileIdsField(serializers.ListField):
    """Ids of uploads. How many is checked before what they are: there may be a million."""

    child = StringField(max_length=100)

    def to_internal_value(self, data: Any) -> list[Any]:
        if not isinstance(data, list):
            self.fail("not_a_list", input_type=type(data).__name__)
        if len(data) > limits.FILES_LIMIT:
            raise serializers.ValidationError(f"at most {limits.FILES_LIMIT} files")
        found: list[Any] = super().to_internal_value(data)
        return found


def _whole(least: int, most: int, **options: Any) -> serializers.IntegerField:
    return serializers.IntegerField(
        min_value=least, max_value=most, required=False, allow_null=True, **options
    )


def _optional() -> dict[str, Any]:
    return {"required": False, "allow_null": True}


class JobInput(serializers.Serializer[Any]):
    """A job to run. Unknown fields are ignored."""

    script = StringField(help_text="A shell script.")
    type = serializers.ChoiceField(
        ["inline"], **_optional(), error_messages={"invalid_choice": 'must be "inline"'}
    )
    name = NameField()
    environment = EnvironmentField(**_optional())
    vcpus = _whole(1, limits.VCPUS_LIMIT, help_text="Default 2.")
    memory_mb = _whole(limits.MEMORY_MB_LEAST, limits.MEMORY_MB_LIMIT, help_text="Default 1024.")
    disk_gb = _whole(1, limits.DISK_GB_LIMIT, help_text="Default 2; a workspace that has less grows to it.")
    timeout = _whole(1, limits.TIMEOUT_S_LIMIT, help_text="Seconds; none by default.")
    retries = _whole(0, limits.RETRIES_LIMIT, help_text="New attempts after an `error`.")
    rootfs_type = StringField(**_optional(), allow_blank=True, help_text='The image; default "standard".')
    persistent = serializers.BooleanField(
        **_optional(), help_text="The sandbox outlives the script, and its workspace is saved."
    )
    no_sleep = serializers.BooleanField(
        **_optional(),
        help_text="Always on: the sandbox does not sleep, and comes back when it is lost. Needs `persistent`;"
        " left out, it is as the workspace's newest persistent job says.",
    )
    no_sync = serializers.BooleanField(**_optional(), help_text="Save nothing unless a sync asks for it.")
    url = serializers.BooleanField(
        **_optional(), help_text="Give the sandbox a public URL. Needs `persistent`."
    )
    port = UrlPortField(help_text=f"Where the URL leads in the sandbox; default {URL_PORT}.")
    workspace_id = NameField(help_text="The workspace to run in; made where there is none.")
    base_workspace_id = NameField(
        help_text="What a new workspace begins as; alone: read-only below what the job writes."
    )
    startup_command = StartupField(
        help_text="Run in each sandbox that is made for the workspace without a script. Needs `persistent`;"
        " left out, it is as the workspace's newest persistent job says."
    )
    file_ids = FileIdsField(**_optional(), help_text="Uploads, at `/uploads/<name>` in the sandbox.")

    def validate_script(self, script: str) -> str:
        size = len(script.encode())
        if size > settings.SCRIPT_LIMIT_BYTES:
            words = f"The script has {size} bytes; at most {settings.SCRIPT_LIMIT_BYTES} are taken."
            raise ScriptTooLarge(words, fields={"script": words})
        if not script.strip():
            raise serializers.ValidationError("must not be blank")
        return script

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        _take_aliases(attrs)
        image = attrs.get("rootfs_type") or DEFAULT_IMAGE
        if not IMAGE.fullmatch(image):
            raise serializers.ValidationError({"rootfs_type": "is not the name of an image"})
        if not image_exists(image):
            names = ", ".join(image_names())
            raise serializers.ValidationError({"rootfs_type": f"there is no such image; there are: {names}"})
        attrs["rootfs_type"] = image
        wanting = {name: "needs persistent" for name in PERSISTENT_ONLY if attrs.get(name)}
        if wanting and not attrs.get("persistent"):
            raise NotPersistent(f"{', '.join(wanting)}: needs persistent.", fields=wanting)
        return attrs

    def spec(self) -> JobSpec:
        """What was asked for, once it is valid."""
        given = self.validated_data
        return JobSpec(
            script=given["script"],
            name=given.get("name") or "",
            environment=given.get("environment") or {},
            # Clients name the default too; that is no wish for another image than a workspace has.
            image=given["rootfs_type"] if given["rootfs_type"] != DEFAULT_IMAGE else None,
            vcpus=given.get("vcpus"),
            memory_mb=given.get("memory_mb"),
            disk_gb=given.get("disk_gb"),
            timeout_s=given.get("timeout"),
            retries=given.get("retries") or 0,
            workspace=given.get("workspace_id") or "",
            base=given.get("base_workspace_id") or "",
            is_persistent=bool(given.get("persistent")),
            is_synced=not given.get("no_sync"),
            url_port=(given.get("port") or URL_PORT) if given.get("url") else None,
            no_sleep=given.get("no_sleep"),
            startup_command=given.get("startup_command"),
            idle_s=given.get("idle_s"),
            file_ids=tuple(given.get("file_ids") or ()),
        )


def _take_aliases(attrs: dict[str, Any]) -> None:
    """Published clients pass some options as environment variables. A field of its own wins; those about
    sleep mean nothing to jobs whose sandbox does not outlive them."""
    environment = attrs.get("environment") or {}
    aliases = {name: environment.pop(name) for name in list(environment) if name.startswith(ALIAS_PREFIX)}
    if attrs.get("memory_mb") is None and (text := aliases.get("__MAGS_MEM_GB")):
        attrs["memory_mb"] = _memory_mb(text)
    if not attrs.get("rootfs_type"):
        attrs["rootfs_type"] = aliases.get("__MAGS_ROOTFS_TYPE")
    if attrs.get("persistent"):
        if attrs.get("no_sleep") is None and (text := aliases.get("__MAGS_KEEP_ALIVE")):
            attrs["no_sleep"] = text.strip().lower() in TRUE
        if text := aliases.get("__MAGS_IDLE_MIN"):
            attrs["idle_s"] = _idle_s(text)


def _memory_mb(text: str) -> int:
    if re.fullmatch(r"[0-9]{1,5}(\.[0-9]{1,3})?", text):
        found = round(float(text) * 1024)
        if limits.MEMORY_MB_LEAST <= found <= limits.MEMORY_MB_LIMIT:
            return found
    raise serializers.ValidationError({"environment.__MAGS_MEM_GB": "must be a number of GB"})


def _idle_s(text: str) -> int:
    if re.fullmatch(r"[0-9]{1,5}(\.[0-9]{1,3})?", text):
        found = round(float(text) * 60)
        if found > 0:
            return found
    raise serializers.ValidationError({"environment.__MAGS_IDLE_MIN": "must be a number of minutes"})


class JobPatchInput(serializers.Serializer[Any]):
    """What may be changed about a job."""

    name = NameField()
    startup_command = StartupField(help_text="Persistent jobs only; empty: none.")
    no_sleep = serializers.BooleanField(**_optional(), help_text="Persistent jobs only.")

    def changes(self) -> dict[str, Any]:
        """What is to be changed, once it is valid. Null changes nothing but takes a name away."""
        given = self.validated_data
        return {name: value for name, value in given.items() if value is not None}


class AccessInput(serializers.Serializer[Any]):
    """Which port of a job's sandbox is wanted."""

    port = PortField(help_text=f"Where the server listens; default {URL_PORT}. {SSH_PORT}: SSH.")
