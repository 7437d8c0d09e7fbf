"""Workspaces by the SDK."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fake_server import TOKEN, FakeServer

from mags import AsyncMags, Mags, MagsError


def test_options_of_a_run_reach_the_server(server: FakeServer, client: Mags) -> None:
    client.run_and_wait(
        "true",
        workspace_id="demo",
        base_workspace_id="golden",
        persistent=True,
        no_sync=True,
        disk_gb=5,
        rootfs_type="claude",
        file_ids=["a", "b"],
    )
    assert server.next_job().sent == {
        "script": "true",
        "type": "inline",
        "workspace_id": "demo",
        "base_workspace_id": "golden",
        "persistent": True,
        "no_sync": True,
        "disk_gb": 5,
        "rootfs_type": "claude",
        "file_ids": ["a", "b"],
    }


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"ephemeral": True, "workspace_id": "demo"}, "ephemeral keeps nothing"),
        ({"ephemeral": True, "persistent": True}, "ephemeral keeps nothing"),
        ({"no_sleep": True}, "no_sleep needs persistent"),
    ],
)
def test_options_that_contradict_each_other_send_nothing(
    server: FakeServer, client: Mags, options: dict[str, Any], says: str
) -> None:
    with pytest.raises(MagsError, match=says) as caught:
        client.run_and_wait("true", **options)
    assert (caught.value.code, server.paths) == ("bad_argument", [])


def test_sync_answers_the_receipt_of_a_version(server: FakeServer, client: Mags) -> None:
    server.new_workspace("demo", a="1")
    client.run_and_wait("true", name="job", workspace_id="demo")
    receipt = client.sync("job")
    assert (receipt["workspace_id"], receipt["version"]) == ("demo", 1)
    assert receipt["sha256"] == client.workspace_versions("demo")["versions"][0]["sha256"]


def test_list_show_resize_delete(server: FakeServer, client: Mags) -> None:
    for number in range(3):
        server.new_workspace(f"w{number}")
    page = client.list_workspaces(page=2, page_size=2)
    assert ([one["name"] for one in page["workspaces"]], page["total"]) == (["w0"], 3)
    assert client.resize("w0", 7)["disk_gb"] == 7
    assert client.workspace("w0")["disk_gb"] == 7
    client.delete_workspace("w0")
    with pytest.raises(MagsError) as caught:
        client.workspace("w0")
    assert caught.value.status == 404


def test_versions_diff_restore_fork(server: FakeServer, client: Mags) -> None:
    demo = server.new_workspace("demo", kept="1", changed="1", removed="1")
    demo.save()
    demo.live = {"kept": "1", "changed": "2", "added": "1"}
    demo.save("checkpoint")
    assert [one["version"] for one in client.workspace_versions("demo")["versions"]] == [2, 1]
    assert client.workspace_diff("demo", 1) == {
        "from": 1,
        "to": 2,
        "added": ["added"],
        "changed": ["changed"],
        "removed": ["removed"],
        "totals": {"added": 1, "changed": 1, "removed": 1},
        "truncated": False,
    }
    assert client.workspace_diff("demo") == client.workspace_diff("demo", 1)
    assert client.workspace_diff("demo", 2, 2)["added"] == []
    assert client.workspace_restore("demo", 1)["version"] == 3
    assert client.workspace_diff("demo", 1, 3)["changed"] == []
    assert client.workspace_fork("demo", "copy")["name"] == "copy"
    client.workspace_fork("demo", "second", 2)
    assert [server.workspaces[name].live for name in ("copy", "second")] == [demo.live, demo.versions[1].tree]


@pytest.mark.parametrize("call", ["restore", "fork"])
def test_what_makes_something_is_repeated_under_one_key(server: FakeServer, client: Mags, call: str) -> None:
    server.new_workspace("demo").save()
    server.trouble(f"{call}$", "503", times=2)
    if call == "restore":
        client.workspace_restore("demo", 1)
    else:
        client.workspace_fork("demo", "copy")
    keys = {seen.get("idempotency-key") for seen in server.headers_seen}
    assert (len(server.paths), len(keys), None in keys) == (3, 1, False)


@pytest.mark.parametrize("name", ["", ".", "..", "\udcff"])
def test_no_workspace_named_is_an_error_before_any_request(
    server: FakeServer, client: Mags, name: str
) -> None:
    with pytest.raises(MagsError, match="Name a workspace"):
        client.delete_workspace(name)
    assert server.paths == []


def test_name_of_a_workspace_cannot_reach_another_path(server: FakeServer, client: Mags) -> None:
    with pytest.raises(MagsError):
        client.workspace("../mags-jobs?x=#y")
    assert server.paths == ["GET /api/v1/mags-workspaces/..%2Fmags-jobs%3Fx%3D%23y"]


def test_async_client_does_the_same(server: FakeServer) -> None:
    server.new_workspace("demo", a="1").save()

    async def scenario() -> None:
        async with AsyncMags(TOKEN, server.url) as mags:
            await asyncio.gather(*(mags.workspace_fork("demo", f"fork{n}") for n in range(3)))
            assert (await mags.list_workspaces())["total"] == 4
            assert (await mags.resize("fork1", 3))["disk_gb"] == 3
            await mags.delete_workspace("fork2")

    asyncio.run(scenario())
    assert sorted(server.workspaces) == ["demo", "fork0", "fork1"]
