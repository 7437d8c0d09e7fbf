"""A gateway before a control plane and a data port that speak the contract."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.gateway.backends import Backend, backend
from tests.gateway.doubles import ControlPlaneServer, PlainDataPort
from tests.gateway.visiting import Visited, visited


@pytest_asyncio.fixture
async def control() -> AsyncIterator[ControlPlaneServer]:
    async with ControlPlaneServer() as server:
        yield server


@pytest_asyncio.fixture
async def data_port() -> AsyncIterator[PlainDataPort]:
    async with PlainDataPort() as server:
        yield server


@pytest_asyncio.fixture
async def inside() -> AsyncIterator[Backend]:
    """A server as somebody could run it in a sandbox."""
    async with backend() as server:
        yield server


@pytest_asyncio.fixture
async def site(
    control: ControlPlaneServer, data_port: PlainDataPort, inside: Backend
) -> AsyncIterator[Visited]:
    """The gateway, with `inside` running behind the label `app`."""
    control.run("app", data_port.port, inside.port)
    async with visited(control) as site:
        yield site
