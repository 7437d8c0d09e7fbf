"""A public URL leads to whichever host has the workspace."""

from __future__ import annotations

import pytest

from tests.e2e.fleet.fleet import Fleet, unique
from tests.e2e.visitor import Visitor

pytestmark = [pytest.mark.stack, pytest.mark.privileged, pytest.mark.timeout(300)]

SERVER = "cd /root && echo $MAGS_SAYS > index.html && python3 -m http.server 8000 &"


def test_a_url_follows_its_workspace_to_another_host(fleet: Fleet) -> None:
    name, visitor = unique("site"), Visitor(fleet.stack)
    options = {"workspace_id": name, "persistent": True, "url": True, "port": 8000}
    first = ""
    for host in ("a", "b"):
        fleet.only(host)
        job, _ = fleet.run(SERVER, environment={"MAGS_SAYS": f"from {host}"}, **options)
        first = first or job["id"]
        assert (job["host"], visitor.until(first).text) == (host, f"from {host}\n")
        fleet.end(job["id"])
        assert visitor.until(first, 503).json()["code"] == "sandbox_stopped"
