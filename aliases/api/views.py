"""The public API of aliases (WIRE.md section 2)."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.actor import actor_of
from aliases import selectors
from aliases.api import examples
from aliases.api.inputs import AliasInput
from aliases.api.outputs import AliasListOutput, AliasOutput
from aliases.services import alias_create, alias_release
from core.api.idempotency import IDEMPOTENCY_KEY, answer_once
from core.api.pagination import PAGE_PARAMETERS, paginated
from core.idempotency import Answer


class AliasesView(APIView):
    @extend_schema(
        operation_id="alias_create",
        request=AliasInput,
        responses={201: AliasOutput},
        parameters=[IDEMPOTENCY_KEY],
        examples=examples.CREATE,
    )
    def post(self, request: Request) -> Response:
        """Give a workspace a URL of your choice. It leads to whatever sandbox has the workspace."""
        form = AliasInput(data=request.data)
        form.is_valid(raise_exception=True)
        given, actor = form.validated_data, actor_of(request)

        def create() -> Answer:
            alias = alias_create(actor, given["subdomain"].lower(), given["workspace_id"], given.get("port"))
            return status.HTTP_201_CREATED, dict(AliasOutput(alias).data)

        code, answer = answer_once(actor, request, create)
        return Response(answer, status=code)

    @extend_schema(
        operation_id="alias_list",
        parameters=PAGE_PARAMETERS,
        responses=AliasListOutput,
        examples=examples.LIST,
    )
    def get(self, request: Request) -> Response:
        """Your aliases, newest first."""
        aliases = selectors.alias_list(actor_of(request))
        return Response(paginated(request, "aliases", aliases, AliasOutput))


class AliasView(APIView):
    @extend_schema(operation_id="alias_get", responses=AliasOutput, examples=examples.ALIAS)
    def get(self, request: Request, subdomain: str) -> Response:
        """One alias."""
        return Response(AliasOutput(selectors.alias_get(actor_of(request), subdomain)).data)

    @extend_schema(operation_id="alias_delete", responses={204: None})
    def delete(self, request: Request, subdomain: str) -> Response:
        """Give the name back: its URL leads nowhere. For some weeks nobody but you can have it again."""
        alias_release(selectors.alias_get(actor_of(request), subdomain))
        return Response(status=status.HTTP_204_NO_CONTENT)
