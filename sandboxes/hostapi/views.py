"""The part of the host API that is about a sandbox's data (docs/reference/host-api.md)."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from core.api.body import error_body
from hosts.api.caller import HostView, host_of
from sandboxes.hostapi.messages import ObjectsRequest, ReadRequest, objects_of, version_of
from sandboxes.models import Sandbox
from sandboxes.selectors import sandbox_of_host
from sandboxes.services import sandbox_commit, sandbox_hold
from workspaces import keys, objectstore
from workspaces.errors import MissingObjects, StaleHold
from workspaces.limits import SIGNED_FOR_S
from workspaces.records import time_of, unix_ms
from workspaces.selectors import objects_known, question_owed, workspaces_held
from workspaces.services import Commit, full_next
from workspaces.states import VersionReason


@extend_schema(exclude=True)
class ObjectsView(HostView):
    def post(self, request: Request) -> Response:
        wanted = objects_of(request._request.body)
        host = host_of(request)
        if isinstance(wanted, ReadRequest):
            owner_id = question_owed(host, wanted.boot_epoch, wanted.question).old.workspace.owner_id
            put: dict[str, dict[str, Any]] = {}
        else:
            sandbox = sandbox_of_host(host, wanted.boot_epoch, wanted.sandbox_id, wanted.epoch)
            owner_id, put = sandbox.owner_id, _put(sandbox, wanted)
        return Response({"get": _get(owner_id, wanted.get), "put": put, "expires_s": SIGNED_FOR_S})


@extend_schema(exclude=True)
class VersionsView(HostView):
    def post(self, request: Request) -> Response:
        said = version_of(request._request.body)
        host = host_of(request)
        sandbox = sandbox_of_host(host, said.boot_epoch, said.sandbox_id, said.epoch)
        commit = Commit(
            manifest=said.manifest, parent=said.parent, reason=VersionReason(said.reason),
            made_at=time_of(said.made_at), tree_bytes=said.tree_bytes,
        )  # fmt: skip
        try:
            version = sandbox_commit(sandbox, host, said.boot_epoch, commit, sync=said.sync)
        except MissingObjects as error:
            return Response(error_body(error) | {"missing": error.missing}, status=error.status)
        assert version.durable_at is not None  # noqa: S101 - nothing else is answered; for the type checker
        return Response(
            {
                "version": version.number,
                "manifest": version.manifest,
                "sha256": version.manifest,
                "bytes": version.stored_bytes,
                "durable_at": unix_ms(version.durable_at),
                "full_next": full_next(version),
            }
        )


def _get(owner_id: int, names: list[str]) -> dict[str, str]:
    """Objects of the owner. What the owner does not have is looked for among the images, which every
    host may read."""
    if not names:
        return {}
    own = objects_known(owner_id, names)
    tenant = keys.tenant(owner_id)
    return {
        name: objectstore.sign_get(keys.object_key(tenant if name in own else keys.IMAGES, name))
        for name in names
    }


def _put(sandbox: Sandbox, wanted: ObjectsRequest) -> dict[str, dict[str, Any]]:
    if not wanted.put:
        return {}
    if not workspaces_held(sandbox_hold(sandbox)).exists():
        raise StaleHold
    tenant = keys.tenant(sandbox.owner_id)
    answer = {}
    for name, size_bytes in wanted.put:
        signed = objectstore.sign_put(keys.object_key(tenant, name), name, size_bytes)
        answer[name] = {"url": signed.url, "headers": signed.headers}
    return answer
