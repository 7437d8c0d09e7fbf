"""Images go from one host to all others, and a workspace stays on the build that it began on."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from deploy.agents import Agent, agents_of
from deploy.layout import ROOT
from deploy.processes import PYTHON, environment_for_command
from hostagent.drivers import builds
from tests.e2e.fleet.fleet import Fleet, unique, until
from tests.privileged.roots import make_root, make_tarball

pytestmark = [pytest.mark.stack, pytest.mark.privileged, pytest.mark.timeout(300)]

SAY = "read -r line < /marker; echo $line"


@pytest.fixture(scope="module")
def roots(running_fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two states of one small image."""
    work = tmp_path_factory.mktemp("roots")
    standard = running_fleet.state("a") / "fs/images/standard"
    trees = [make_root(standard, work / marker, marker) for marker in ("first", "second")]
    return make_tarball(trees[0], work / "1.tar"), make_tarball(trees[1], work / "2.tar")


def agent_of(fleet: Fleet, host: str) -> Agent:
    return agents_of(fleet.stack.layout)[0] if host == "a" else fleet.stack.agent(host)


def image(fleet: Fleet, host: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """`hostagent image ...`, as an operator types it on that host."""
    environment = environment_for_command(fleet.stack.layout, agent_of(fleet, host).environment)
    command = [PYTHON, "-m", "hostagent", "image", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def publish(fleet: Fleet, name: str, tarball: Path) -> str:
    """Import on the host that may publish, and publish. Returns the build."""
    done = image(fleet, "a", "import", name, tarball)
    assert done.returncode == 0, done.stderr
    done = image(fleet, "a", "push", name)
    assert done.returncode == 0, done.stderr
    return build_on(fleet, "a", name)


def build_on(fleet: Fleet, host: str, name: str) -> str:
    return builds.build_of(fleet.state(host) / "fs/images" / name)


def test_image_of_one_host_runs_on_another(fleet: Fleet, roots: tuple[Path, Path]) -> None:
    name = unique("tiny")
    refused = fleet.http.post("/mags-jobs", json={"script": SAY, "rootfs_type": name})
    assert (refused.status_code, "standard" in refused.json()["fields"]["rootfs_type"]) == (400, True)
    build = publish(fleet, name, roots[0])
    assert "is published" in image(fleet, "a", "push", name).stdout  # again: nothing to do
    fleet.only("b")
    job, lines = fleet.run(SAY, rootfs_type=name)
    assert (job["host"], lines) == ("b", ["first"])
    assert build_on(fleet, "b", name) == build
    listed = {found["name"]: found for found in fleet.http.get("/mags-images").json()["images"]}
    assert (listed[name]["build"], listed[name]["builds"]) == (build, 1)
    assert build in image(fleet, "b", "list").stdout


def test_host_without_the_right_publishes_nothing(fleet: Fleet, roots: tuple[Path, Path]) -> None:
    name = unique("tiny")
    assert image(fleet, "b", "import", name, roots[0]).returncode == 0
    done = image(fleet, "b", "push", name)
    assert (done.returncode, "may_not_publish" in done.stderr) == (1, True)
    assert name not in fleet.http.get("/mags-images").text


def test_workspace_stays_on_its_build_while_the_head_moves_on(fleet: Fleet, roots: tuple[Path, Path]) -> None:
    name, workspace = unique("tiny"), unique("pinned")
    first = publish(fleet, name, roots[0])
    fleet.only("a")
    begun, _ = fleet.run(
        f"{SAY}; echo mine > /kept", workspace_id=workspace, persistent=True, rootfs_type=name
    )
    fleet.end(begun["id"])
    unsaved = unique("unsaved")
    assert fleet.run(SAY, workspace_id=unsaved, rootfs_type=name)[1] == ["first"]
    second = publish(fleet, name, roots[1])
    assert fleet.run(SAY, workspace_id=unsaved)[1] == ["first"]  # its files are here, and stand on that
    until(lambda: build_on(fleet, "c", name) == second, "c has the newest build")
    fleet.only("c")
    assert fleet.run(SAY, rootfs_type=name)[1] == ["second"]
    job, lines = fleet.run(f"{SAY}; read -r line < /kept; echo $line", workspace_id=workspace)
    assert (job["host"], lines) == ("c", ["first", "mine"])
    kept = fleet.state("c") / "fs/images" / f"{name}@{first}"
    assert builds.build_of(kept) == first
    fork, new = unique("fork"), unique("new")
    assert fleet.run(SAY, workspace_id=fork, base_workspace_id=workspace)[1] == ["first"]
    assert fleet.run(SAY, workspace_id=new, rootfs_type=name)[1] == ["second"]


def test_build_that_is_nowhere_is_said_and_nothing_is_mounted(fleet: Fleet, roots: tuple[Path, Path]) -> None:
    name, workspace = unique("tiny"), unique("lost")
    publish(fleet, name, roots[0])
    fleet.only("a")
    begun, _ = fleet.run("echo x > /kept", workspace_id=workspace, persistent=True, rootfs_type=name)
    fleet.end(begun["id"])
    change = f"Workspace.objects.filter(name='{workspace}').update(image_build='{name}-lost')"
    fleet.stack.manage("shell", "--command", f"from workspaces.models import Workspace; {change}")
    fleet.only("b")
    job = fleet.finish(fleet.submit(SAY, workspace_id=workspace))
    assert (job["status"], job["reason"]) == ("error", "start_failed")
    assert f"{name}-lost" in job["message"]
    assert "neither on this host nor published" in job["message"]
    assert fleet.output(job["id"]) == []
