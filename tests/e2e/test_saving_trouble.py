"""Stored data that is damaged, and a store that is away, as their users meet it: on a whole stack."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import httpx
import pytest

from hostagent.volumes.store import VolumeStore
from tests.e2e.running import RunningStack

pytestmark = [pytest.mark.stack, pytest.mark.privileged, pytest.mark.timeout(300)]

LIMIT_S = 90
Job = dict[str, Any]


@pytest.fixture
def api(stack: RunningStack) -> Iterator[httpx.Client]:
    with stack.client() as client:
        yield client


@pytest.fixture
def bucket(stack: RunningStack) -> Any:
    found = {
        name: (stack.layout.secrets / f"s3_{name}_key").read_text().strip() for name in ("access", "secret")
    }
    s3 = boto3.resource(
        "s3", endpoint_url=f"http://127.0.0.1:{stack.layout.s3_port}", region_name="us-east-1",
        aws_access_key_id=found["access"], aws_secret_access_key=found["secret"],
    )  # fmt: skip
    return s3.Bucket("mags")


def submit(api: httpx.Client, workspace: str, script: str) -> str:
    body = {"script": script, "workspace_id": workspace, "persistent": True, "memory_mb": 256}
    answer = api.post("/mags-jobs", json=body)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["request_id"])


def until(api: httpx.Client, job: str, condition: Callable[[Job], object]) -> Job:
    """The job as soon as it is so."""
    deadline = time.monotonic() + LIMIT_S
    found: Job = api.get(f"/mags-jobs/{job}").json()
    while not condition(found):
        assert time.monotonic() < deadline, found
        time.sleep(0.1)  # of a job that has ended, the status comes at once
        found = api.get(f"/mags-jobs/{job}/status", params={"wait": 2}).raise_for_status().json()
    return found


def ended(api: httpx.Client, job: str) -> Job:
    return until(api, job, lambda found: found["status"] in ("completed", "error"))


def output(api: httpx.Client, job: str) -> list[str]:
    entries = api.get(f"/mags-jobs/{job}/logs").json()["logs"]
    return [entry["message"] for entry in entries if entry["stream"] == "stdout"]


def run(api: httpx.Client, workspace: str, script: str) -> list[str]:
    job = submit(api, workspace, script)
    found = ended(api, job)
    assert (found["status"], found["exit_code"]) == ("completed", 0), found
    return output(api, job)


def stop(api: httpx.Client, workspace: str) -> None:
    """End the workspace's sandbox; its files are saved when this returns."""
    job = api.get(f"/mags-jobs/{workspace}").json()["request_id"]
    assert api.post(f"/mags-jobs/{job}/stop").status_code == 200
    until(api, job, lambda found: found["sandbox"] == "none")


def forget_local_files(stack: RunningStack) -> None:
    """As if the next sandbox were on another host."""
    stack.stop("agent")
    store = VolumeStore(stack.layout.var / "agent/fs")
    for tenant, workspace in store.volumes():
        store.volume(tenant, workspace).delete()
    stack.start("agent")


def segment_of(bucket: Any, api: httpx.Client, workspace: str, number: int) -> Any:
    """The first object of a version's data."""
    versions = api.get(f"/mags-workspaces/{workspace}/versions").json()["versions"]
    [sha256] = [version["sha256"] for version in versions if version["version"] == number]
    [manifest] = [o for o in bucket.objects.all() if o.key.endswith(f"/objects/{sha256}")]
    name = json.loads(manifest.get()["Body"].read())["segments"][0][0]
    return bucket.Object(manifest.key.replace(sha256, name))


def test_damage_is_told_healed_and_restored_from(stack: RunningStack, api: httpx.Client, bucket: Any) -> None:
    for text in ("one", "two"):
        run(api, "broken", f"echo {text} > /root/file")
        stop(api, "broken")
    segment = segment_of(bucket, api, "broken", 2)
    right = segment.get()["Body"].read()
    wrong = bytes([right[0] ^ 1]) + right[1:]
    for damage in (lambda: segment.put(Body=wrong), segment.delete):
        forget_local_files(stack)
        damage()
        job = ended(api, submit(api, "broken", "echo ran"))
        assert (job["status"], job["reason"], job["exit_code"]) == ("error", "workspace_damaged", None), job
        assert job["message"].endswith("Restore version 1, or delete the workspace.")
        found = api.get("/mags-workspaces/broken").json()
        assert (found["damaged"]["last_good_version"], found["active_job"]) == (1, None)
        refused = api.post("/mags-jobs", json={"script": "true", "workspace_id": "broken"})
        assert (refused.status_code, refused.json()["code"]) == (409, "version_damaged")
        assert refused.json()["remediation"] == "Restore version 1, or delete the workspace."
        if damage is not segment.delete:  # somebody puts it right: a check of all that is stored finds that
            segment.put(Body=right)
            stack.manage("workspaces_fsck")
            assert run(api, "broken", "cat /root/file") == ["two"]
            stop(api, "broken")
    assert api.post("/mags-workspaces/broken/restore", json={"version": 1}).status_code == 200
    assert api.get("/mags-workspaces/broken").json()["damaged"] is None
    assert run(api, "broken", "cat /root/file") == ["one"]
    stop(api, "broken")


def test_store_that_is_away(stack: RunningStack, api: httpx.Client) -> None:
    """The sandbox goes on, nothing is called durable that is not, and nothing is lost."""
    run(api, "patient", "echo saved > /root/file")
    assert api.post("/mags-jobs/patient/sync").status_code == 200
    before = api.get("/mags-workspaces/patient").json()
    stack.stop("s3")
    try:
        second = submit(api, "patient", "echo unsaved > /root/file; cat /root/file")
        assert ended(api, second)["exit_code"] == 0
        assert api.post(f"/mags-jobs/{second}/stop").status_code == 200
        failing = until(api, second, lambda job: job["unsaved_since"])
        assert (failing["durable_at"], failing["sandbox"]) == (None, "running")
        assert api.get("/mags-workspaces/patient").json()["durable_at"] == before["durable_at"]
        third = submit(api, "patient", "cat /root/file")
        waiting = until(api, third, lambda job: "could not save" in (job["message"] or ""))
        assert (waiting["status"], waiting["reason"]) == ("accepted", "saving")
        refused = api.delete("/mags-workspaces/patient")
        assert refused.status_code == 409
        assert "already in use. Its last changes are on one host only" in refused.json()["error"]
    finally:
        stack.start("s3")
    assert ended(api, third)["exit_code"] == 0
    assert output(api, third) == ["unsaved"]
    done = api.get(f"/mags-jobs/{second}").json()
    assert (done["unsaved_since"], done["sandbox"]) == (None, "none")
    assert done["durable_at"] > before["durable_at"]
    kinds = [event["kind"] for event in api.get(f"/mags-jobs/{second}/events").json()["events"]]
    assert [kind for kind in kinds if kind.startswith("save_")] == ["save_failing", "save_works"]
    stop(api, "patient")
