"""The steps of `make up` that can be tried without a stack."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest

from deploy import credentials, down, layout, up
from deploy.errors import SetupError
from deploy.layout import Layout
from deploy.processes import MARKER, Process
from deploy.stack import Stack
from deploy.supervise import end_leftovers, leftovers
from hostagent.drivers import owner


def test_a_taken_port_is_named_with_the_setting_that_moves_it(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        stack = Stack.load(Layout(var=tmp_path, web_port=port, user="nobody"))
        with pytest.raises(SetupError, match=rf"port {port} .*web(.|\n)*MAGS_WEB_PORT"):
            up.recover(stack)


def test_a_name_of_another_stack_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    name = f"u{os.getpid():x}"[:8]
    layout = Layout(var=tmp_path / "second", instance=name)
    owner.claim(name, tmp_path)
    try:
        with pytest.raises(SetupError, match=rf"{tmp_path}(.|\n)*MAGS_AGENT_INSTANCE"):
            up.up(layout)
    finally:
        (owner.RUN / name / owner.OWNER).unlink()
        (owner.RUN / name).rmdir()
    assert not layout.var.exists()


@pytest.mark.parametrize("text", ["http", "0", "70000", "-1", ""])
def test_a_port_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(SetupError, match="MAGS_WEB_PORT"):
        layout.load({"MAGS_WEB_PORT": text})


def test_the_clients_settings_do_not_leak_into_the_servers() -> None:
    found = dict(layout.load({"MAGS_API_TOKEN": "secret", "MAGS_LOG_LEVEL": "DEBUG"}).settings)
    assert "MAGS_API_TOKEN" not in found
    assert found["MAGS_LOG_LEVEL"] == "DEBUG"


def test_an_env_file_is_private_and_reads_back(tmp_path: Path) -> None:
    file = tmp_path / "dev.env"
    file.write_text("old")
    file.chmod(0o644)
    layout.write_env_file(file, {"A": "1", "B": "x=y"})
    assert file.stat().st_mode & 0o777 == 0o600
    assert layout.read_env_file(file) == {"A": "1", "B": "x=y"}


def test_an_env_file_may_be_written_by_hand(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("# ports\n\nexport A=1\nB = 'two words'\nnonsense\n")
    assert layout.read_env_file(file) == {"A": "1", "B": "two words"}


def test_secrets_are_made_once_and_are_private(tmp_path: Path) -> None:
    first = credentials.load(tmp_path / "secrets")
    assert credentials.load(tmp_path / "secrets") == first
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "secrets").iterdir()} == {0o600}
    assert credentials.load(tmp_path / "others").secret_key != first.secret_key


@pytest.mark.parametrize(
    ("name", "is_ours"),
    [
        ("mags", True),
        ("mags12", True),
        ("mags-pool", True),
        ("mags_x", True),
        ("magsx", False),
        ("eth0", False),
    ],
)
def test_kernel_names_of_an_instance(name: str, *, is_ours: bool) -> None:
    assert down.is_of("mags", name) == is_ours


def test_leftovers_are_told_by_marker_and_program(tmp_path: Path) -> None:
    """Same program without the marker, same marker with another program: neither is ours."""
    marked = {**os.environ, MARKER: str(tmp_path), "MAGS_PROCESS": "sleeper"}
    sleeper = Process("sleeper", ["/usr/bin/sleep", "60"])
    ours = subprocess.Popen(sleeper.command, env=marked)
    unmarked = subprocess.Popen(sleeper.command)
    other_program = subprocess.Popen(["/usr/bin/tail", "-f", "/dev/null"], env=marked)
    chosen = Layout(var=tmp_path)
    try:
        assert leftovers(chosen, [sleeper]) == [ours.pid]
        assert end_leftovers(chosen, [sleeper]) == 1
        assert ours.wait(5) == -15
        assert unmarked.poll() is other_program.poll() is None
    finally:
        for process in (ours, unmarked, other_program):
            process.kill()
            process.wait()
