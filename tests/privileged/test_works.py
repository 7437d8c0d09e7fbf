"""What people do in a sandbox, which the isolation must not break. Needs this machine's package mirrors."""

from __future__ import annotations

import pytest

from tests.privileged.sandbox import Sandboxes

LONG_S = 150


async def test_apt_get_install_and_gdb(sandboxes: Sandboxes) -> None:
    """gdb: ptrace, personality, process_vm_readv and breakpoints."""
    script = """
set -e
apt-get update -qq
apt-get install -y -qq --no-install-recommends gdb >/dev/null
gdb -q -batch -ex 'set breakpoint pending on' -ex 'break exit' -ex run -ex 'x/i $pc' -ex 'info inferiors' \\
    --args /bin/true 2>&1
"""
    run = await sandboxes.run(script, timeout_s=LONG_S)
    assert run.exit.exit_code == 0, run.output.text[-3000:]
    assert b"Breakpoint 1, " in run.output.stdout
    assert b"process " in run.output.stdout


async def test_pip_install(sandboxes: Sandboxes) -> None:
    run = await sandboxes.run(
        "set -e; python3 -m venv /root/v; /root/v/bin/pip install -q sortedcontainers; /root/v/bin/python -c "
        "'import sortedcontainers; print(sortedcontainers.SortedList([2, 1])[0])'",
        timeout_s=LONG_S,
    )
    assert (run.exit.exit_code, run.output.stdout) == (0, b"1\n"), run.output.text


async def test_npm_install(sandboxes: Sandboxes) -> None:
    run = await sandboxes.run(
        "set -e; mkdir p; cd p; npm install --silent is-odd >/dev/null\n"
        "node -e 'console.log(require(\"is-odd\")(3))'",
        timeout_s=LONG_S,
    )
    assert (run.exit.exit_code, run.output.stdout) == (0, b"true\n"), run.output.text


async def test_server_on_port_80_and_ping(sandboxes: Sandboxes) -> None:
    run = await sandboxes.run(
        "echo hello > index.html; python3 -m http.server 80 >/dev/null 2>&1 &\n"
        "curl -sS --retry 20 --retry-connrefused --retry-delay 1 http://127.0.0.1/"
        " && ping -c 1 -W 2 127.0.0.1 >/dev/null && ping -6 -c 1 -W 2 ::1 >/dev/null && echo pinged"
    )
    assert (run.exit.exit_code, run.output.stdout) == (0, b"hello\npinged\n"), run.output.text


@pytest.mark.parametrize(
    "script",
    [
        "mkdir a && chown 1234:5678 a && chmod 2750 a && ln -s a b && mkfifo f && setfattr -n user.x -v y a",
        "useradd -m someone && su someone -c 'touch ~/x' && test $(stat -c %U /home/someone/x) = someone",
        "python3 -c 'import multiprocessing as m; m.Pool(2).map(abs, [1, 2])'",
        "script -qc 'tty' /dev/null",
        "python3 -c 'import threading; t = threading.Thread(target=print); t.start(); t.join()'",
        "git init -q r && cd r && git -c user.name=x -c user.email=x@y commit -q --allow-empty -m x",
        "ssh-keygen -q -t ed25519 -N '' -f k",
        "node -e 'require(\"worker_threads\")'",
        "nice -n 5 true && timeout 5 true && setsid true && nproc",
        "tar cf /tmp/x.tar /etc 2>/dev/null && tar xf /tmp/x.tar -C /tmp",
        "ip addr | grep -q eth0 && ss -tln && getent hosts localhost",
    ],
)
async def test_everyday_commands(sandboxes: Sandboxes, script: str) -> None:
    tool = "apt-get update -qq && apt-get install -y -qq attr >/dev/null; " if "setfattr" in script else ""
    run = await sandboxes.run(tool + "set -e; " + script, timeout_s=LONG_S)
    assert run.exit.exit_code == 0, run.output.text
