"""Files that stay, by magpie-mags 1.3.8: what its users do with workspaces."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contract.conftest import Published
from tests.contract.test_published_client import messages, unique

pytestmark = pytest.mark.stack


def test_a_package_installed_once_is_there_for_the_next_job(published: Published) -> None:
    name = unique("app")
    code = f"""
def run(script):
    return m.run_and_wait(script, workspace_id={name!r}, persistent=True, poll_interval=0.2, timeout=120)
installed = run('python3 -m venv /root/v && /root/v/bin/pip install -q flask')
app = "from flask import Flask; app = Flask('hello'); app.get('/')(lambda: 'Hello from flask')"
call = "print(app.test_client().get('/').text)"
result = [installed, run(f'/root/v/bin/python -c "{{app}}; {{call}}"'), m.stop({name!r})]
"""
    installed, ran, _ = published(code)
    assert (installed["status"], installed["exit_code"]) == ("completed", 0), installed
    assert messages(ran["logs"]) == ["Hello from flask"]


def test_two_forks_of_a_golden_image_leave_it_as_it_is(published: Published) -> None:
    golden, left, right = unique("golden"), unique("left"), unique("right")
    code = f"""
from concurrent.futures import ThreadPoolExecutor
import time
tree = 'cd /root && find data -type f -exec sha256sum {{}} + | sort'
def saved(script, **options):
    return m.run_and_wait(script, poll_interval=0.2, **options)
made = m.run_and_wait('mkdir /root/data && seq 1000 > /root/data/a && ' + tree,
                      workspace_id={golden!r}, persistent=True, poll_interval=0.2)
receipt = m.sync(made['request_id'])
def fork(name):
    return saved('echo ' + name + ' >> /root/data/a && rm -rf /root/none && ' + tree,
                 workspace_id=name, base_workspace_id={golden!r}, persistent=True)
with ThreadPoolExecutor(2) as pool:
    forks = list(pool.map(fork, [{left!r}, {right!r}]))
again = saved(tree, workspace_id={golden!r}, persistent=True)
listed = {{w['workspace_id']: w for w in m.list_workspaces()['workspaces']}}
result = [made, receipt, forks, again, listed]
"""
    made, receipt, forks, again, listed = published(code)
    assert receipt["version"] == 1
    assert len(receipt["sha256"]) == 64
    assert messages(again["logs"]) == messages(made["logs"])
    assert len({tuple(messages(run["logs"])) for run in [made, *forks]}) == 3
    assert {golden, left, right} <= set(listed)
    assert listed[golden]["durable_at"].endswith("Z")


def test_a_workspace_in_use_is_not_deleted(published: Published) -> None:
    name = unique("busy")
    code = f"""
m.run_and_wait('true', workspace_id={name!r}, persistent=True, poll_interval=0.2)
try:
    refused = m.delete_workspace({name!r})
except MagsError as error:
    refused = [error.status_code, str(error)]
m.stop({name!r})
import time
for _ in range(100):
    try:
        m.delete_workspace({name!r})
        break
    except MagsError as error:
        assert error.status_code == 409, error
        time.sleep(0.2)
result = [refused, [w['workspace_id'] for w in m.list_workspaces()['workspaces']]]
"""
    refused, names = published(code)
    assert refused[0] == 409
    assert "in use" in refused[1]
    assert name not in names


def test_uploads_are_there_before_the_script(published: Published, tmp_path: Path) -> None:
    file = tmp_path / "numbers.txt"
    file.write_text("1\n2\n3\n")
    code = f"""
files = m.upload_files([{str(file)!r}])
result = m.run_and_wait('cat /uploads/numbers.txt', file_ids=files, poll_interval=0.2)
"""
    assert messages(published(code)["logs"]) == ["1", "2", "3"]
