"""The public API of workspaces (WIRE.md section 2)."""

from __future__ import annotations

import json

from django.conf import settings
from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.actor import actor_of
from accounts.errors import OutsideWorkspace
from core.api.idempotency import IDEMPOTENCY_KEY, answer_once
from core.api.pagination import PAGE_PARAMETERS, paginated
from core.api.views import WaitingView
from core.idempotency import Answer
from workspaces import selectors
from workspaces.api import examples, inputs, outputs
from workspaces.errors import DiffPending
from workspaces.services import (
    group_of,
    version_restore,
    versions_compare,
    workspace_delete,
    workspace_fork,
    workspace_resize,
)
from workspaces.wire import diff_object, version_object, workspace_object

DIFF_WAIT_S = 30.0
DIFF_RETRY_S = 1.0  # the next call waits by itself


class WorkspacesView(APIView):
    @extend_schema(
        operation_id="workspace_list",
        parameters=PAGE_PARAMETERS,
        responses=outputs.WorkspaceListOutput,
        examples=examples.LIST,
    )
    def get(self, request: Request) -> Response:
        """Your workspaces, newest first."""
        workspaces = selectors.workspace_list(actor_of(request))
        return Response(paginated(request, "workspaces", workspaces, outputs.WorkspaceOutput))


class WorkspaceView(APIView):
    @extend_schema(
        operation_id="workspace_get", responses=outputs.WorkspaceOutput, examples=examples.WORKSPACE
    )
    def get(self, request: Request, name: str) -> Response:
        """One workspace, by name."""
        return Response(workspace_object(selectors.workspace_get(actor_of(request), name)))

    @extend_schema(
        operation_id="workspace_update",
        request=inputs.WorkspacePatchInput,
        responses=outputs.WorkspaceOutput,
        examples=examples.PATCH,
    )
    def patch(self, request: Request, name: str) -> Response:
        """Change how much a workspace may hold."""
        workspace = selectors.workspace_get(actor_of(request), name)
        form = inputs.WorkspacePatchInput(data=request.data)
        form.is_valid(raise_exception=True)
        workspace_resize(workspace, form.validated_data["disk_gb"])
        return Response(workspace_object(workspace))

    @extend_schema(operation_id="workspace_delete", responses={204: None})
    def delete(self, request: Request, name: str) -> Response:
        """Delete a workspace and all of its versions. Not while a job uses it; forks stay."""
        workspace_delete(selectors.workspace_get(actor_of(request), name))
        return Response(status=204)


class VersionsView(APIView):
    @extend_schema(
        operation_id="workspace_versions",
        parameters=PAGE_PARAMETERS,
        responses=outputs.VersionListOutput,
        examples=examples.VERSIONS,
    )
    def get(self, request: Request, name: str) -> Response:
        """What a workspace can be restored to, newest first."""
        workspace = selectors.workspace_get(actor_of(request), name)
        versions = selectors.version_list(workspace).select_related("workspace")
        return Response(paginated(request, "versions", versions, outputs.VersionOutput))


class DiffView(WaitingView):
    @extend_schema(
        operation_id="workspace_diff",
        parameters=[inputs.DiffQuery],
        responses=outputs.DiffOutput,
        examples=examples.DIFF,
    )
    def get(self, request: Request, name: str) -> HttpResponse | None:
        """Which paths differ between two versions. A host compares them; where that takes longer than half
        a minute, the answer is 503 `diff_pending`, and the same call later has the result."""
        query = inputs.DiffQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        wanted = query.validated_data
        workspace = selectors.workspace_get(actor_of(request), name)
        self._pair = selectors.version_pair(workspace, wanted.get("from"), wanted.get("to"))
        self.wait_for(min(DIFF_WAIT_S, settings.WAIT_LIMIT_S), group_of(*self._pair))
        return self.look()

    def look(self) -> HttpResponse | None:
        diff = versions_compare(*self._pair)
        if diff is not None:
            # Not through DRF's renderer, which writes UTF-8: names may have surrogates in them.
            body = json.dumps(diff_object(*self._pair, diff))
            return HttpResponse(body, content_type="application/json")
        if self.is_over:
            raise DiffPending(retry_after_s=DIFF_RETRY_S)
        return None


class RestoreView(APIView):
    @extend_schema(
        operation_id="workspace_restore",
        request=inputs.RestoreInput,
        responses=outputs.VersionOutput,
        parameters=[IDEMPOTENCY_KEY],
        examples=examples.RESTORE,
    )
    def post(self, request: Request, name: str) -> Response:
        """Make an older version the newest one again, as a new version: nothing is overwritten. Not
        while a job uses the workspace."""
        actor = actor_of(request)
        workspace = selectors.workspace_get(actor, name)
        form = inputs.RestoreInput(data=request.data)
        form.is_valid(raise_exception=True)

        def create() -> Answer:
            return 200, {"version": version_restore(workspace, form.validated_data["version"]).number}

        _, made = answer_once(actor, request, create)
        # As it is now: it has become durable after that.
        return Response(version_object(selectors.version_get(workspace, made["version"])))


class ForkView(APIView):
    @extend_schema(
        operation_id="workspace_fork",
        request=inputs.ForkInput,
        responses={201: outputs.WorkspaceOutput},
        parameters=[IDEMPOTENCY_KEY],
        examples=examples.FORK,
    )
    def post(self, request: Request, name: str) -> Response:
        """A new workspace that begins as this one is (or was). Nothing is copied."""
        actor = actor_of(request)
        source = selectors.workspace_get(actor, name)
        form = inputs.ForkInput(data=request.data)
        form.is_valid(raise_exception=True)
        wanted = form.validated_data
        if actor.only_workspace:
            raise OutsideWorkspace("A fork is another workspace, and this token is for one.")

        def create() -> Answer:
            workspace_fork(actor, source, wanted["name"], number=wanted.get("version"))
            return 201, {}

        status, _ = answer_once(actor, request, create)
        return Response(workspace_object(selectors.workspace_get(actor, wanted["name"])), status=status)
