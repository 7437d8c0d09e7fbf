"""Public URLs, by magpie-mags 1.3.8: what its users do with them."""

from __future__ import annotations

import pytest

from tests.contract.conftest import Published
from tests.contract.test_published_client import unique

pytestmark = pytest.mark.stack


def test_a_sandbox_is_published_and_its_url_named(published: Published) -> None:
    name = unique("site")
    code = f"""
job = m.run('python3 -m http.server 8000 &', workspace_id={name!r}, persistent=True)['request_id']
opened = m.enable_access(job, port=8000)
default = m.url({name!r})
alias = m.url_alias_create({name!r}, {name!r})
try:
    m.url_alias_create({name!r}, {name!r})
except MagsError as error:
    taken = [error.status_code, str(error)]
listed = m.url_alias_list()
m.url_alias_delete({name!r})
result = [job, opened, default, alias, taken, listed, m.url_alias_list(), m.stop(job)]
"""
    job, opened, default, alias, taken, listed, left, _ = published(code)
    assert (opened["success"], opened["port"], default["port"]) == (True, 8000, 8080)
    assert opened["url"] == default["url"]
    assert opened["url"].startswith(f"http://{job}.apps.localhost:")
    assert alias["url"].startswith(f"http://{name}.apps.localhost:")
    assert (taken[0], "already exists" in taken[1]) == (409, True)
    assert alias["id"] in {found["id"] for found in listed["aliases"]}
    assert left["total"] == listed["total"] - 1
