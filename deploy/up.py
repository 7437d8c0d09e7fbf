"""`make up`: from whatever state the stack is in to a running one. Every step may be repeated."""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path

from deploy import joining
from deploy.agents import agents_of
from deploy.credentials import Credentials
from deploy.errors import SetupError
from deploy.layout import ROOT, Layout, read_env_file, write_env_file, write_private
from deploy.processes import (
    PYTHON,
    VENV_BIN,
    drop_rights,
    environment_for_command,
    redis_config,
    server_environment,
    supervisor_config,
)
from deploy.progress import say, step
from deploy.stack import Stack, run
from deploy.supervise import end_leftovers
from hostagent.drivers.owner import owner_of

ADMIN_EMAIL = "admin@mags.local"
# What runs code of this checkout, after the agents, in the order in which a restart stops it.
CODE_PROCESSES = ["beat", "worker", "web"]
PORT_LIMIT_S = 3.0


def up(layout: Layout, *, is_image_wanted: bool = True) -> Stack:
    """Bring the stack up and prove it with a job. Raises SetupError with what to do."""
    refuse_taken_names(layout)
    make_directories(layout)
    stack = Stack.load(layout)
    if stack.user.pw_uid == 0:
        say(f"  The user {layout.user} cannot read {ROOT}: the servers run as root with no capability.")
    own_directories(stack)
    write_configs(stack)
    is_running = stack.supervisor.is_up()
    if not is_running:
        recover(stack)
    provisioned = provision(stack)
    for agent in stack.agents:
        if is_image_wanted:
            joining.build_image(stack, agent)
        joining.point(stack, agent)
    start(stack, is_running=is_running)
    make_bucket(stack)
    for agent in stack.agents:
        joining.enrol(stack, agent, provisioned.pop("enrolment_token", None))
        joining.start(stack, agent)
    return stack


def restart(layout: Layout) -> Stack:
    """Run the present code: migrate, then restart what runs code of this checkout."""
    stack = Stack.load(layout)
    if not stack.supervisor.is_up():
        return up(layout)
    names = [*(agent.process for agent in stack.agents), *CODE_PROCESSES]
    with step("stopping " + " ".join(names)):
        stack.supervisor.stop(names)
    return up(layout)


def refuse_taken_names(layout: Layout) -> None:
    """Before anything is changed: another stack's agents of our names would be ended by ours."""
    for agent in agents_of(layout):
        owner = owner_of(agent.instance)
        if owner not in (None, agent.state.resolve()):
            raise SetupError(
                f"another stack on this machine uses the name {agent.instance}: its agent is in {owner}",
                "set MAGS_AGENT_INSTANCE in .env; docs/howto/several-hosts.md says what else is needed",
            )


def make_directories(layout: Layout) -> None:
    for directory in (layout.var, layout.run):
        directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        directory.chmod(0o755)  # the servers pass through to what is theirs
    for directory in (layout.log, layout.hosts, *(agent.state for agent in agents_of(layout))):
        directory.mkdir(mode=0o700, exist_ok=True)


def own_directories(stack: Stack) -> None:
    """What the servers write is theirs, also after they ran as another user before."""
    uid, gid = stack.user.pw_uid, stack.user.pw_gid
    for name in ("db", "s3", "static"):
        directory = stack.layout.var / name
        directory.mkdir(mode=0o700, exist_ok=True)
        if directory.stat().st_uid != uid:
            for path in [directory, *directory.rglob("*")]:
                os.chown(path, uid, gid, follow_symlinks=False)


def write_configs(stack: Stack) -> None:
    layout = stack.layout
    for name, text in (
        ("redis.conf", redis_config(layout, stack.credentials)),
        ("s3.json", s3_config(stack.credentials)),
    ):
        write_private(layout.run / name, text)
        os.chown(layout.run / name, stack.user.pw_uid, stack.user.pw_gid)
    write_private(stack.supervisor.config, supervisor_config(layout, stack.processes, stack.user))
    # For people and `deploy/manage`: the same environment as the processes have.
    write_env_file(layout.run / "server.env", server_environment(layout, stack.credentials))
    for agent in stack.agents:
        write_env_file(agent.started_with, agent.environment)


def s3_config(credentials: Credentials) -> str:
    keys = {"accessKey": credentials.s3_access_key, "secretKey": credentials.s3_secret_key}
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    return json.dumps({"identities": [{"name": "mags", "credentials": [keys], "actions": actions}]})


def recover(stack: Stack) -> None:
    """Clear away what a killed supervisor left, and see that our ports are free."""
    count = end_leftovers(stack.layout, stack.processes)
    if count:
        say(f"  Ended {count} processes of a former run.")
    for name in ("supervisor.sock", "supervisord.pid"):
        (stack.layout.run / name).unlink(missing_ok=True)
    for process, setting, port in stack.layout.named_ports():
        bind = stack.layout.address_of(process)
        if not becomes_free(bind, port):
            raise SetupError(
                f"port {port} on {bind} is taken, and {process} needs it",
                f"set {setting} in .env to another port",
            )
    remove_s3_sockets(stack.layout)


def remove_s3_sockets(layout: Layout) -> None:
    """SeaweedFS names sockets in /tmp by port and cannot start over those of another user."""
    for port in range(layout.s3_port, layout.s3_port + 8):
        for path in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):  # noqa: S108 - where it puts them
            path.unlink(missing_ok=True)


def becomes_free(address: str, port: int) -> bool:
    """A process that was just killed may hold its port for another moment."""
    deadline = time.monotonic() + PORT_LIMIT_S
    while not (is_free := is_port_free(address, port)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return is_free


def is_port_free(address: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port in TIME_WAIT is free
        try:
            probe.bind((address, port))
        except OSError:
            return False
        return True


def provision(stack: Stack) -> dict[str, str]:
    """Database, static files, admin, token; and a one-time token while the agent is not enrolled."""
    request = {
        "email": ADMIN_EMAIL,
        "password": stack.credentials.admin_password,
        "token": read_env_file(stack.layout.dev_env).get("MAGS_API_TOKEN", ""),
        "is_enrolment_wanted": not stack.agents[0].is_enrolled,
    }
    command = [*drop_rights(stack.user), PYTHON, "-m", "deploy.provision"]
    environment = environment_for_command(stack.layout, server_environment(stack.layout, stack.credentials))
    with step("database, static files, admin user"):
        answer = run(command, environment, "provisioning failed", json.dumps(request))
    result: dict[str, str] = json.loads(answer.splitlines()[-1])
    write_env_file(stack.layout.dev_env, {
        "MAGS_API_URL": stack.layout.public_url,
        "MAGS_API_TOKEN": result["token"],
        "MAGS_ADMIN_EMAIL": ADMIN_EMAIL,
        "MAGS_ADMIN_PASSWORD": stack.credentials.admin_password,
    })  # fmt: skip
    return result


def start(stack: Stack, *, is_running: bool) -> None:
    if is_running:
        changed = stack.supervisor.apply_config()
        if changed:
            say(f"  Configuration changed: restarted {' '.join(changed)}")
        if is_code_newer(stack.supervisor.state("web").pid):
            say("  The code changed since web was started: `make restart` runs it.")
    else:
        stack.supervisor.start()
    for name in stack.server_names():
        stack.supervisor.ensure_started(name)
    stack.health.wait_all(stack.server_names())


def make_bucket(stack: Stack) -> None:
    """Where workspaces and uploads lie. Asked of the store once for each address and name."""
    environment = server_environment(stack.layout, stack.credentials)
    wanted = f"{environment['MAGS_S3_ENDPOINT']}/{environment['MAGS_S3_BUCKET']}\n"
    made = stack.layout.run / "bucket"
    if made.exists() and made.read_text(encoding="utf-8") == wanted:
        return
    with step("the bucket for workspaces"):
        stack.manage(["bucket_create"], "the bucket could not be made")
    write_private(made, wanted)


def is_code_newer(pid: int) -> bool:
    """Whether a Python file or template changed after the process began."""
    try:
        began = Path(f"/proc/{pid}").stat().st_mtime
    except FileNotFoundError:
        return False
    apps = [path.parent for path in ROOT.glob("*/__init__.py")]
    files = (
        file
        for app in [*apps, ROOT / "templates"]
        for file in app.rglob("*")
        if file.suffix in {".py", ".html"}
    )
    return any(file.stat().st_mtime > began for file in files)


def hello(stack: Stack) -> str:
    """Run a real job through the real client; returns what it printed."""
    # Not at the public address: its DNS name and certificate may still be to come.
    dev = {**read_env_file(stack.layout.dev_env), "MAGS_API_URL": stack.layout.web_url}
    environment = environment_for_command(stack.layout, dev)
    return run(
        [str(VENV_BIN / "mags"), "run", "echo Hello World"], environment, "the first job failed"
    ).strip()
