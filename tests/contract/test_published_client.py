"""magpie-mags 1.3.8 from PyPI, unmodified, works with our server."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from tests.contract.conftest import Published

pytestmark = pytest.mark.stack


def unique(stem: str) -> str:
    return f"{stem}-{uuid.uuid4().hex[:8]}"


def messages(logs: list[dict[str, Any]]) -> list[str]:
    return [entry["message"] for entry in logs if entry.get("source") != "platform"]


def test_it_is_the_published_one(published: Published) -> None:
    code = (
        "import importlib.metadata, mags\nresult = [importlib.metadata.version('magpie-mags'), mags.__file__]"
    )
    version, path = published(code)
    assert version == "1.3.8"
    assert "magpie-venv" in path


def test_run_answers_with_an_id(published: Published) -> None:
    answer = published("result = m.run('true')")
    assert str(uuid.UUID(answer["request_id"])) == answer["request_id"]
    assert answer["status"] == "accepted"
    assert isinstance(answer["message"], str)


def test_run_and_wait_has_output_and_exit_code(published: Published) -> None:
    result = published("result = m.run_and_wait('echo Hello World; exit 3', poll_interval=0.1)")
    assert (result["status"], result["exit_code"]) == ("completed", 3)
    assert messages(result["logs"]) == ["Hello World"]
    assert isinstance(result["duration_ms"], int)


def test_environment_name_and_ephemeral_are_taken(published: Published) -> None:
    name = unique("env")
    code = f"""
given = dict(ephemeral=True, disk_gb=3, no_sync=True, rootfs_type='standard')
who = {{'WHO': 'me & "you"'}}
r = m.run_and_wait('echo $WHO', name={name!r}, environment=who, poll_interval=0.1, **given)
result = [r, m.status(r['request_id'])]
"""
    ran, job = published(code)
    assert messages(ran["logs"]) == ['me & "you"']
    assert (job["name"], job["disk_gb"]) == (name, 3)


def test_status_is_a_whole_job(published: Published) -> None:
    job = published("result = m.status(m.run_and_wait('true', poll_interval=0.1)['request_id'])")
    assert job["request_id"] == job["id"]
    assert (job["status"], job["exit_code"]) == ("completed", 0)
    assert job["script_duration_ms"] >= 0
    for moment in ("created_at", "started_at", "finished_at"):
        assert job[moment].endswith("Z")
    assert "subdomain" not in job  # the client would build a URL of its own from it


def test_logs_are_every_line_in_order_with_levels(published: Published) -> None:
    code = """
r = m.run_and_wait('seq 3000; sleep 0.2; echo oops >&2', poll_interval=0.1)
result = m.logs(r['request_id'])
"""
    answer = published(code)
    assert messages(answer["logs"]) == [*map(str, range(1, 3001)), "oops"]
    assert {entry["level"] for entry in answer["logs"][:3000]} == {"info"}
    assert answer["logs"][-1]["level"] == "error"
    assert all(set(entry) >= {"timestamp", "level", "message"} for entry in answer["logs"])


def test_logs_can_be_fetched_again_and_sliced_by_count(published: Published) -> None:
    code = """
import time
job = m.run('for i in 1 2 3 4 5; do echo $i; sleep 0.2; done')['request_id']
seen = []
while True:
    is_over = m.status(job)['status'] in ('completed', 'error')
    seen += m.logs(job)['logs'][len(seen):]
    if is_over:
        break
    time.sleep(0.05)
result = seen
"""
    assert messages(published(code)) == ["1", "2", "3", "4", "5"]


def test_list_jobs_is_newest_first_and_paged(published: Published) -> None:
    code = """
ids = [m.run('true')['request_id'] for _ in range(3)]
result = [ids, m.list_jobs(page_size=2), m.list_jobs(page=2, page_size=2), m.list_jobs()]
"""
    ids, first, second, default = published(code)
    listed = [job["request_id"] for job in first["jobs"] + second["jobs"]]
    assert listed[:3] == ids[::-1]
    assert (first["page"], first["page_size"], second["page"]) == (1, 2, 2)
    assert first["total"] >= 3
    assert default["page_size"] == 20


@pytest.mark.parametrize("by", ["name", "id"])
def test_stop_ends_a_running_job(published: Published, by: str) -> None:
    name = unique("stop")
    code = f"""
import time
job = m.run('echo up; sleep 300', name={name!r})['request_id']
while not m.logs(job)['logs']:
    time.sleep(0.05)
answer = m.stop({name!r} if {by!r} == 'name' else job)
while m.status(job)['status'] not in ('completed', 'error'):
    time.sleep(0.05)
result = [job, answer, m.status(job), m.stop(job)]
"""
    job, answer, ended, again = published(code)
    assert answer["request_id"] == job
    assert (ended["status"], ended["reason"], ended["exit_code"]) == ("completed", "stopped", 143)
    assert again["status"] == "completed"


def test_find_job_finds_by_name(published: Published) -> None:
    name = unique("find")
    code = f"""
job = m.run_and_wait('true', name={name!r}, poll_interval=0.1)['request_id']
result = [job, m.find_job({name!r}), m.find_job('nobody-of-that-name')]
"""
    job, by_name, nobody = published(code)
    assert by_name["request_id"] == job
    assert nobody is None


@pytest.mark.parametrize(
    ("code", "status", "text"),
    [
        ("result = m.run('')", 400, "script"),
        ("result = m.run('x' * 2_000_000)", 413, "script"),
        ("result = m.run('a\\x00b')", 400, "nul"),
        ("result = m.run('true', name='bad name')", 400, "name"),
        ("result = m.run('true', environment={'A': 1})", 400, "environment"),
        ("result = m.status('nobody-of-that-name')", 404, "job"),
        ("result = m.logs('00000000-0000-4000-8000-000000000000')", 404, "job"),
        ("result = m.stop('nobody-of-that-name')", None, "nobody-of-that-name"),
        ("result = m.list_jobs(page=0)", 400, "page"),
        ("result = m.run('true', base_workspace_id='nobody')", 404, "no such workspace"),
        ("result = m.update_job(m.run('true')['request_id'], no_sleep=True)", None, "persistent"),
    ],
)
def test_errors_are_mags_errors_with_a_sentence(
    published: Published, code: str, status: int | None, text: str
) -> None:
    message, got = published.error(code)
    assert text in message.lower()
    assert not message.startswith("{")
    if status:
        assert got == status


def test_refused_job_does_not_exist(published: Published) -> None:
    before = published("result = m.list_jobs(page_size=1)['total']")
    published.error("result = m.run('true', name='bad name')")
    assert published("result = m.list_jobs(page_size=1)['total']") == before


@pytest.mark.parametrize("token", ["mags_unknown", "x"])
def test_unknown_token_is_401(published: Published, token: str) -> None:
    assert published.error("result = m.list_jobs()", MAGS_API_TOKEN=token)[1] == 401


def test_giving_up_waiting_leaves_the_job(published: Published) -> None:
    name = unique("slow")
    code = f"result = m.run_and_wait('sleep 300', name={name!r}, timeout=0.5, poll_interval=0.1)"
    message, status = published.error(code)
    assert "timed out" in message
    assert status is None
    assert published(f"result = m.stop({name!r})")["request_id"]
