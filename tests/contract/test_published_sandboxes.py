"""Sandboxes that stay, by magpie-mags 1.3.8: what its users do with `new` and with what it made."""

from __future__ import annotations

import pytest

from tests.contract.conftest import Published
from tests.contract.test_published_client import unique
from tests.e2e.running import RunningStack
from tests.e2e.visitor import Visitor

pytestmark = [pytest.mark.stack, pytest.mark.timeout(180)]


def test_new_is_running_and_found_until_it_is_stopped(published: Published) -> None:
    name = unique("box")
    code = f"""
made = m.new({name!r}, poll_interval=0.2)
job = m.status(made['request_id'])
found = m.find_job({name!r})
answer = m.stop({name!r})
import time
while m.status(made['request_id'])['status'] == 'running':
    time.sleep(0.1)
result = [made, job, found, answer, m.status(made['request_id'])]
"""
    made, job, found, answer, ended = published(code)
    assert (made["status"], made["request_id"]) == ("running", job["request_id"])
    assert job["vm_id"]
    assert (job["persistent"], job["workspace_id"], job["sandbox"]) == (True, name, "running")
    assert found["request_id"] == answer["request_id"] == job["request_id"]
    assert (ended["status"], ended["reason"]) == ("completed", "stopped")


def test_port_80_of_a_new_sandbox_is_opened(published: Published, stack: RunningStack) -> None:
    """By its URL, and by a name for that; the client must not make up a URL of its own."""
    name = unique("web")
    code = f"""
job = m.run('cd /root && echo by port 80 > index.html && python3 -m http.server 80 &',
            workspace_id={name!r}, persistent=True)['request_id']
alias = m.url_alias_create({name!r}, {name!r})
result = [job, m.enable_access(job, port=80), m.url({name!r}, port=80), alias]
"""
    job, opened, again, alias = published(code)
    assert (opened["success"], opened["port"]) == (True, 80)
    assert opened["url"] == again["url"] == f"http://{job}.apps.localhost:{stack.layout.gateway_port}"
    visitor = Visitor(stack)
    assert visitor.until(job).text == visitor.until(name).text == "by port 80\n"
    assert alias["subdomain"] == name
    published(f"result = [m.stop({name!r}), m.url_alias_delete({name!r})]")


def test_resize_keeps_the_files(published: Published) -> None:
    name = unique("disk")
    code = f"""
small = m.new({name!r}, persistent=True, disk_gb=2, poll_interval=0.2)
m.exec({name!r}, 'echo kept > /root/file')
large = m.resize({name!r}, 5, poll_interval=0.2)
read = m.exec({name!r}, 'cat /root/file')
job = m.status(large['request_id'])
result = [small, large, job, read, m.list_workspaces()['workspaces'], m.stop({name!r})]
"""
    small, large, job, read, workspaces, _ = published(code)
    assert small["request_id"] != large["request_id"]
    assert (large["status"], job["status"], job["disk_gb"]) == ("running", "running", 5)
    assert (read["exit_code"], read["output"], read["stderr"]) == (0, "kept\n", "")
    assert [found["disk_gb"] for found in workspaces if found["workspace_id"] == name] == [5]


def test_how_it_sleeps_and_wakes_is_changed(published: Published) -> None:
    name = unique("awake")
    code = f"""
job = m.run('true', workspace_id={name!r}, persistent=True, no_sleep=True,
            startup_command='echo up')['request_id']
given = m.status(job)
changed = m.update_job(job, no_sleep=False, startup_command='echo up again')
by_name = m.update_job({name!r}, no_sleep=True)
m.stop({name!r})
result = [given, changed, by_name]
"""
    given, changed, by_name = published(code)
    assert (given["no_sleep"], given["startup_command"]) == (True, "echo up")
    assert (changed["no_sleep"], changed["startup_command"]) == (False, "echo up again")
    assert (by_name["no_sleep"], by_name["startup_command"]) == (True, "echo up again")
    assert by_name["request_id"] == given["request_id"]
