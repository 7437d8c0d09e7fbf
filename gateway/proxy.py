"""A request on its way through the gateway."""

from __future__ import annotations

import asyncio
import time

import aiohttp
from aiohttp import web

from gateway import answers, headers
from gateway.asking import ask
from gateway.body import Body
from gateway.errors import (
    BadRequest,
    ExpectationFailed,
    GatewayError,
    HostAway,
    Misdirected,
    NoAnswer,
    NothingListens,
    RefusedByHost,
)
from gateway.headers import Trust
from gateway.names import Names, Site
from gateway.passing import pass_on
from gateway.routes import Routes
from gateway.settings import Settings
from gateway.settling import Settling
from gateway.trip import Trip
from gateway.tunnel import add_upgrade, is_websocket, tunnel
from gateway.upstreams import Upstream, Upstreams


class Proxy:
    def __init__(self, settings: Settings, routes: Routes) -> None:
        self._settings = settings
        self._routes = routes
        self._upstreams = Upstreams(settings)
        self._settling = Settling(settings.connect_s)
        self._names = Names(settings.apps_domain, settings.path_host)
        self._trust = Trust(settings.trusted_networks())

    async def close(self) -> None:
        await self._upstreams.close()

    async def answer(self, request: web.BaseRequest, trip: Trip) -> web.StreamResponse:
        try:
            return await self._answer(request, trip)
        except GatewayError as error:
            trip.code = error.code
            response = answers.refusal(request, error, trip.request_id)
            if isinstance(error, BadRequest | Misdirected) or not request.content.is_eof():
                response.force_close()  # what follows is the rest of its body, or cannot be trusted
            return response

    async def _answer(self, request: web.BaseRequest, trip: Trip) -> web.StreamResponse:
        show_page_at = time.monotonic() + self._settings.waiting_page_s
        site = trip.site = self._names.site(request.headers.getall("Host", []), request.raw_path)
        trip.body = self._body(request)
        if answers.is_navigation(request):
            try:
                async with asyncio.timeout(self._settings.waiting_page_s):
                    await self._routes.target(site.label)
            except TimeoutError:
                return answers.waiting(trip.request_id)
        try:
            return await self._pass(request, site, trip)
        except NothingListens:
            until = self._routes.settling_until(site.label)
            if time.monotonic() >= until:
                raise
            if not await self._has_settled(request, site.label, until, show_page_at):
                return answers.waiting(trip.request_id)
        except (HostAway, RefusedByHost) as error:
            await self._routes.look_again(site.label, error)
        return await self._pass(request, site, trip)  # nothing of the request was sent to anybody yet

    async def _has_settled(
        self, request: web.BaseRequest, label: str, until: float, show_page_at: float
    ) -> bool:
        """Wait while the server inside may be starting. False: a browser has waited long enough."""
        wait = self._settling.wait(label, await self._routes.target(label), until)
        if not answers.is_navigation(request):
            await wait
            return True
        try:
            async with asyncio.timeout(max(0.0, show_page_at - time.monotonic())):
                await wait
        except TimeoutError:
            return False
        return True

    def _body(self, request: web.BaseRequest) -> Body | None:
        expectation = request.headers.get("Expect", "").lower()
        if expectation not in ("", "100-continue"):
            raise ExpectationFailed("this gateway knows 100-continue only")
        if not request.can_read_body:
            return None
        if is_websocket(request):
            raise BadRequest("a request for a WebSocket has no body")
        is_awaited = expectation != "" and request.version >= aiohttp.HttpVersion11
        return Body(request, self._settings.body_quiet_s, is_awaited=is_awaited)

    async def _pass(self, request: web.BaseRequest, site: Site, trip: Trip) -> web.StreamResponse:
        target = await self._routes.target(site.label)
        async with self._upstreams.use(site.label, target) as upstream:
            answer = await self._ask(upstream, request, site, trip)
            try:
                return await self._return(request, answer, site, trip)
            finally:
                answer.release()  # what is left of it closes the connection

    async def _ask(
        self, upstream: Upstream, request: web.BaseRequest, site: Site, trip: Trip
    ) -> aiohttp.ClientResponse:
        peer = request.remote or ""
        is_trusted = self._trust.holds(peer)
        sent = headers.to_sandbox(request.raw_headers, site, peer, is_trusted=is_trusted)
        if is_websocket(request):
            add_upgrade(sent)
        return await ask(upstream, request, site, sent, trip, self._settings.answer_s)

    async def _return(
        self, request: web.BaseRequest, answer: aiohttp.ClientResponse, site: Site, trip: Trip
    ) -> web.StreamResponse:
        received = headers.from_sandbox(answer.raw_headers, site)
        if answer.status != 101:
            return await pass_on(request, answer, received, trip)
        if not is_websocket(request):
            raise NoAnswer("the server in the sandbox switched to a protocol that nobody asked for")
        return await tunnel(request, answer, received, trip)
