"""The part of the host API that is about images (docs/reference/host-api.md)."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from core.api.body import error_body
from hosts.api.caller import HostView, host_of
from images import keys, selectors
from images.hostapi.messages import ObjectsRequest, objects_of, publish_of, query_of
from images.hostapi.wire import build_object
from images.services import Publication, build_publish
from images.services.publish import require_publisher
from workspaces import objectstore
from workspaces.errors import MissingObjects
from workspaces.limits import SIGNED_FOR_S
from workspaces.records import time_of, unix_ms


@extend_schema(exclude=True)
class ObjectsView(HostView):
    def post(self, request: Request) -> Response:
        wanted = objects_of(request._request.body)
        if wanted.put:
            require_publisher(host_of(request))
        gets = {name: objectstore.sign_get(keys.object_key(name)) for name in wanted.get}
        return Response({"get": gets, "put": _put(wanted), "expires_s": SIGNED_FOR_S})


@extend_schema(exclude=True)
class BuildsView(HostView):
    def get(self, request: Request) -> Response:
        asked = query_of(request.query_params.dict())
        return Response(build_object(selectors.build_get(asked.image, asked.build)))

    def post(self, request: Request) -> Response:
        said = publish_of(request._request.body)
        publication = Publication(
            said.image, said.build, said.manifest, time_of(said.made_at), said.tree_bytes
        )
        try:
            build = build_publish(host_of(request), publication)
        except MissingObjects as error:
            return Response(error_body(error) | {"missing": error.missing}, status=error.status)
        assert build.durable_at is not None  # noqa: S101 - nothing else is answered; for the type checker
        receipt = {"bytes": build.stored_bytes, "durable_at": unix_ms(build.durable_at)}
        return Response(build_object(build) | receipt)


def _put(wanted: ObjectsRequest) -> dict[str, dict[str, Any]]:
    answer = {}
    for name, size_bytes in wanted.put:
        signed = objectstore.sign_put(keys.object_key(name), name, size_bytes)
        answer[name] = {"url": signed.url, "headers": signed.headers}
    return answer
