"""The gateway API (docs/reference/gateway-api.md)."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from core.api.views import WaitingView
from core.errors import Invalid
from core.labels import label_of_host
from gateways.api.authentication import GatewayAuthentication, IsGateway
from gateways.api.queries import query_of
from gateways.api.wire import route_object
from gateways.errors import NoSuchLabel
from gateways.selectors import Place, job_behind, label_exists, place_find
from jobs.errors import CannotWake
from jobs.services import sandbox_wake
from jobs.standing import Standing
from jobs.states import WakeCause
from ssh.selectors import ports_listed, revision_of
from ssh.services import LIST_GROUP, ports_heard


@extend_schema(exclude=True)
class RouteView(APIView):
    authentication_classes = (GatewayAuthentication,)
    permission_classes = (IsGateway,)
    throttle_classes = ()  # one gateway asks for everybody

    def get(self, request: Request, label: str) -> Response:
        query = query_of(request.query_params.dict())
        return Response(route_object(place_find(label, query.kind)))


@extend_schema(exclude=True)
class WakeView(WaitingView):
    authentication_classes = (GatewayAuthentication,)
    permission_classes = (IsGateway,)
    throttle_classes = ()

    def post(self, request: Request, label: str) -> Response | None:
        query = query_of(request.query_params.dict())
        self._label, self._kind = label, query.kind
        self.wait_for(query.wait_s, *self._place().groups)
        return self.look()

    def look(self) -> Response | None:
        place = self._place()
        is_due = place.standing is Standing.RUNNING or self.is_over
        return Response(route_object(place)) if is_due else None

    def _place(self) -> Place:
        """Where the label leads, to something that runs or is coming up. Raises CannotWake."""
        place = place_find(self._label, self._kind)
        if place.standing is not Standing.STOPPED:
            return place
        job = None if place.why else job_behind(self._label, self._kind)
        if job is None:
            raise CannotWake(place.why)
        sandbox_wake(job, WakeCause.SSH if self._kind == "ssh" else WakeCause.URL)
        woken = place_find(self._label, self._kind)
        self.waiter.listen(*woken.groups)
        return woken


@extend_schema(exclude=True)
class SshPortsView(WaitingView):
    authentication_classes = (GatewayAuthentication,)
    permission_classes = (IsGateway,)
    throttle_classes = ()

    def get(self, request: Request) -> Response | None:
        query = query_of(request.query_params.dict())
        self._after = query.after
        self.wait_for(query.wait_s, LIST_GROUP)
        ports = ports_listed()
        if self._after == revision_of(ports):
            ports_heard(ports, query.blocked_ports)
        return self.look()

    def look(self) -> Response | None:
        ports = ports_listed()
        revision = revision_of(ports)
        is_due = self._after != revision or self.is_over
        return Response({"revision": revision, "ports": ports}) if is_due else None


@extend_schema(exclude=True)
class CertificateView(APIView):
    """Whether the TLS proxy may get a certificate for a name. Open: proxies ask without a key, and a visit of
    the URL tells the same."""

    authentication_classes = ()
    permission_classes = ()

    def get(self, request: Request) -> Response:
        if "domain" not in request.query_params:
            raise Invalid("Name the domain.", fields={"domain": "is required"})
        label = label_of_host(request.query_params["domain"])
        if label is None or not label_exists(label):
            raise NoSuchLabel
        return Response({})
