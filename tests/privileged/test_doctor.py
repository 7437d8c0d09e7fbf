"""The doctor, run as `make up` runs it: by the system's own Python, without any package."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hostagent.config import Config
from hostagent.doctor import Status, examine
from hostagent.doctor.tools import check_tools
from hostagent.linux import iproute
from tests.privileged.internet import MACHINE4, RESOLVER4, Machine

ROOT = Path(__file__).resolve().parents[2]
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


COMMAND = ("/usr/bin/python3", "-S", "-B", "-W", "error", "-m", "hostagent.doctor", "--json")


def doctor(*arguments: str, **environment: str) -> tuple[int, list[dict[str, Any]]]:
    done = run(*COMMAND, *arguments, **environment)
    return done.returncode, json.loads(done.stdout)


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": PATH, "MAGS_AGENT_STATE_DIR": "/var/tmp/mags-doctor", **environment}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done


def named(findings: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(finding for finding in findings if finding["name"] == name)


@pytest.fixture
def machine() -> Iterator[Machine]:
    with Machine() as machine:
        yield machine


def test_this_machine_is_ready() -> None:
    code, findings = doctor()
    assert [finding for finding in findings if finding["status"] == "missing"] == []
    assert code == 0
    names = {finding["name"] for finding in findings}
    assert {
        "root",
        "cgroups",
        "overlay with shifted ids",
        "crun",
        "conmon",
        "nftables",
        "DNS",
        "disk",
    } <= names
    assert named(findings, "crun")["found"][0].isdigit()


def test_probes_leave_nothing(tmp_path: Path) -> None:
    """In a mount namespace of its own, because others mount things on this machine meanwhile."""
    script = 'cat /proc/self/mountinfo; "$@" >/dev/null; echo; cat /proc/self/mountinfo'
    shown = run("unshare", "--mount", "sh", "-c", script, "sh", *COMMAND, MAGS_AGENT_STATE_DIR=str(tmp_path))
    before, after = shown.stdout.split("\n\n")
    assert before.splitlines() == after.splitlines()
    assert list(tmp_path.iterdir()) == []
    _, findings = doctor(MAGS_AGENT_STATE_DIR=str(tmp_path))
    assert named(findings, "overlay with shifted ids")["found"] == f"tried in {tmp_path}"


def test_missing_program_names_its_package(tmp_path: Path) -> None:
    for program in ("ip", "nft", "unshare", "tar", "btrfs", "mkfs.btrfs", "losetup", "crun", "mmdebstrap"):
        target = next(path / program for path in map(Path, PATH.split(":")) if (path / program).exists())
        (tmp_path / program).symlink_to(target)
    code, findings = doctor(PATH=str(tmp_path))
    assert code == 1
    assert named(findings, "conmon")["status"] == "missing"
    assert named(findings, "conmon")["remedy"] == "apt-get install conmon"
    code, findings = doctor("--before-install", PATH=str(tmp_path))
    assert code == 0
    assert named(findings, "conmon")["status"] == "later"


def test_runtime_without_workspaces_is_noted(tmp_path: Path) -> None:
    for says, names in (("runc version 1.1.5", ["workspaces"]), ("crun version 1.8.1", [])):
        runtime = tmp_path / "runtime"
        runtime.write_text(f"#!/bin/sh\necho {says}\n")
        runtime.chmod(0o755)
        found = check_tools(Config(runtime=str(runtime)), is_before_install=False)
        assert [finding.name for finding in found if finding.status is Status.NOTE] == names


def test_taken_port_is_missing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        code, findings = doctor("--port", str(port))
        assert (code, named(findings, f"port {port}")["status"]) == (1, "missing")
    code, findings = doctor("--port", str(port))
    assert (code, named(findings, f"port {port}")["status"]) == (0, "ok")


def test_broken_setting_is_a_finding() -> None:
    code, findings = doctor(MAGS_AGENT_SANDBOXES="many")
    assert code == 1
    assert "MAGS_AGENT_SANDBOXES" in findings[0]["found"]


def test_resolver_on_loopback_is_missing_with_a_remedy() -> None:
    code, findings = doctor(MAGS_AGENT_RESOLVERS="127.0.0.53")
    assert code == 1
    assert "MAGS_AGENT_RESOLVERS" in named(findings, "DNS")["remedy"]


def test_certificates_that_are_not_there_are_missing() -> None:
    code, findings = doctor(MAGS_AGENT_CA_BUNDLE="/nonexistent")
    assert (code, named(findings, "CA bundle")["remedy"]) == (1, "apt-get install ca-certificates")


def test_output_for_people_says_what_to_do(tmp_path: Path) -> None:
    command = ["/usr/bin/python3", "-S", "-B", "-m", "hostagent.doctor"]
    done = subprocess.run(
        command, cwd=ROOT, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "-> apt-get install crun" in done.stdout
    assert "\x1b" not in done.stdout, "no colours where nobody sees them"


@pytest.mark.usefixtures("machine")
def test_firewall_of_others_that_drops_is_noted() -> None:
    config = Config(instance="nt", resolvers=RESOLVER4)
    assert _statuses(config, "other firewalls") == []
    iproute.nft("table ip other { chain FORWARD { type filter hook forward priority 0; policy drop; }; }")
    assert _statuses(config, "other firewalls") == [Status.NOTE]


@pytest.mark.usefixtures("machine")
def test_network_that_is_in_use_is_missing() -> None:
    assert _statuses(Config(instance="nt", resolvers=RESOLVER4), "sandbox networks") == [Status.OK]
    taken = Config(instance="nt", resolvers=RESOLVER4, network4=f"{MACHINE4}/22".replace("113.2", "112.0"))
    assert _statuses(taken, "sandbox networks") == [Status.MISSING]


@pytest.mark.usefixtures("machine")
def test_silent_resolver_is_noted() -> None:
    assert _statuses(Config(instance="nt", resolvers="203.0.113.77"), "DNS") == [Status.NOTE]


def _statuses(config: Config, name: str) -> list[Status]:
    return [finding.status for finding in examine(config) if finding.name == name]
