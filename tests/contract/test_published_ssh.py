"""SSH, by magpie-mags 1.3.8 and a program that logs in with what it answers."""

from __future__ import annotations

import base64
import io

import paramiko
import pytest

from tests.contract.conftest import Published
from tests.contract.test_published_client import unique

pytestmark = pytest.mark.stack


def test_a_key_is_asked_for_and_logs_in(published: Published) -> None:
    name = unique("box")
    code = f"""
job = m.new({name!r}, persistent=True)['request_id']
result = m.enable_access(job, port=22)
"""
    access = published(code)
    try:
        assert access["success"] is True
        assert output_of("hostname | wc -c; exit 5", access) == (5, b"17\n")
    finally:
        published(f"result = m.stop({name!r})")


def output_of(command: str, access: dict[str, str]) -> tuple[int, bytes]:
    """As a program does that was given the answer: nothing but it is known of the sandbox."""
    kind, host_key = access["ssh_host_key"].split()
    host, port = access["ssh_host"], int(access["ssh_port"])
    key = paramiko.Ed25519Key.from_private_key(io.StringIO(access["ssh_private_key"]))
    with paramiko.SSHClient() as ssh:
        known = paramiko.PKey.from_type_string(kind, base64.b64decode(host_key))
        ssh.get_host_keys().add(f"[{host}]:{port}", kind, known)
        ssh.connect(host, port, access["ssh_user"], pkey=key, look_for_keys=False, allow_agent=False)
        _, stdout, _ = ssh.exec_command(command)
        return stdout.channel.recv_exit_status(), stdout.read()
