"""The public API of uploads (WIRE.md section 2)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponseBase, QueryDict, StreamingHttpResponse
from django.utils.datastructures import MultiValueDict
from django.utils.http import content_disposition_header
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.actor import actor_of
from accounts.errors import OutsideWorkspace
from core.api.idempotency import IDEMPOTENCY_KEY, answer_once
from core.api.pagination import PAGE_PARAMETERS, paginated
from core.api.views import WaitingView
from core.errors import Invalid
from core.idempotency import Answer, key_of
from files import selectors
from files.api import examples, outputs
from files.api.parsers import FormParser, Received
from files.errors import FileNotFound
from files.models import Upload
from files.services import upload_create, upload_delete, upload_put
from files.wire import file_object
from workspaces import keys, objectstore

INTO_THE_WORKSPACE = (
    "Use a token for all workspaces; or have the script write or fetch the file, which the workspace keeps."
)


class FilesView(APIView):
    parser_classes = (FormParser,)

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        # The CSRF check of a signed-in browser would look for its token in the form and read all of it,
        # in Django's way. It is told that there is nothing: the token comes in the header.
        request._post, request._files = QueryDict(), MultiValueDict()  # type: ignore[attr-defined]
        return super().initialize_request(request, *args, **kwargs)

    @extend_schema(
        operation_id="file_upload",
        request={"multipart/form-data": outputs.FileInput},
        responses={201: outputs.FileOutput},
        parameters=[IDEMPOTENCY_KEY],
        examples=examples.UPLOAD,
    )
    def post(self, request: Request) -> Response:
        """Upload a file: the part `file` of a form. Jobs name it by its id."""
        actor = actor_of(request)
        if actor.only_workspace:  # before the form is read: whatever it has, it is too much
            raise OutsideWorkspace(
                "Files are for all workspaces, and this token is for one.", remediation=INTO_THE_WORKSPACE
            )
        received = request.FILES.get("file")
        if not isinstance(received, Received):
            raise Invalid("The form has no file in its part `file`.", fields={"file": "is required"})
        key_of(request.headers)  # refuses a bad one before anything is stored
        upload = upload_put(actor, received.name, received.body)

        def create() -> Answer:
            return 201, file_object(upload_create(upload))

        told = {"name": upload.name, "sha256": upload.sha256}
        status, answer = answer_once(actor, request, create, body=told)
        return Response(answer, status=status)

    @extend_schema(
        operation_id="file_list",
        parameters=PAGE_PARAMETERS,
        responses=outputs.FileListOutput,
        examples=examples.LIST,
    )
    def get(self, request: Request) -> Response:
        """Your files that have not expired, newest first."""
        return Response(
            paginated(request, "files", selectors.upload_list(actor_of(request)), outputs.FileOutput)
        )


class FileView(APIView):
    @extend_schema(operation_id="file_get", responses=outputs.FileOutput, examples=examples.FILE)
    def get(self, request: Request, file_id: str) -> Response:
        """What is known of one file."""
        return Response(file_object(selectors.upload_get(actor_of(request), file_id)))

    @extend_schema(operation_id="file_delete", responses={204: None})
    def delete(self, request: Request, file_id: str) -> Response:
        """Remove a file now."""
        upload_delete(selectors.upload_get(actor_of(request), file_id))
        return Response(status=204)


class FileContentView(WaitingView):
    @extend_schema(
        operation_id="file_content", responses={(200, "application/octet-stream"): OpenApiTypes.BINARY}
    )
    def get(self, request: Request, file_id: str) -> HttpResponseBase:
        """The bytes of one file."""
        upload = selectors.upload_get(actor_of(request), file_id)
        body = objectstore.stream(keys.file_key(upload.owner_id, upload.pk))
        if body is None:
            raise FileNotFound
        return StreamingHttpResponse(_pieces(body), headers=_headers(upload))


def _headers(upload: Upload) -> dict[str, str]:
    """What somebody uploaded is never shown by a browser as a page of ours."""
    return {
        "Content-Type": "application/octet-stream",
        "Content-Length": str(upload.size_bytes),
        "Content-Disposition": content_disposition_header(True, upload.name) or "attachment",
    }


async def _pieces(body: Any) -> AsyncIterator[bytes]:
    """One piece at a time in memory, each read on a thread."""
    pieces = objectstore.chunks(body)
    try:
        while piece := await sync_to_async(_next)(pieces):
            yield piece
    finally:
        body.close()


def _next(pieces: Iterator[bytes]) -> bytes:
    return next(pieces, b"")
