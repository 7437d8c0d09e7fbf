"""The part of the host API that is about questions (docs/reference/host-api.md)."""

from __future__ import annotations

import logging

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from hosts.api.caller import HostView, host_of
from workspaces.hostapi.messages import Failed, answer_of
from workspaces.services import question_answer

logger = logging.getLogger(__name__)


@extend_schema(exclude=True)
class AnswersView(HostView):
    def post(self, request: Request) -> Response:
        said = answer_of(request._request.body)
        host = host_of(request)
        if isinstance(said.answer, Failed):
            logger.warning(
                "host %s cannot answer question %d: %s %r",
                host.name, said.question, said.answer.reason, said.answer.message,
            )  # fmt: skip
        question_answer(host, said.boot_epoch, said.question, said.answer.found())
        return Response({})
