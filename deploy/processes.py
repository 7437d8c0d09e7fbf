"""The processes of a stack: what each runs, as whom, with which environment."""

from __future__ import annotations

import os
import pwd
import resource
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from deploy.agents import agents_of, data_environment
from deploy.credentials import Credentials
from deploy.errors import SetupError
from deploy.layout import ROOT, Layout

VENV_BIN = ROOT / ".venv" / "bin"
PYTHON = str(VENV_BIN / "python")
# Every descendant carries this in its environment: how leftovers of a killed supervisor are told apart.
MARKER = "MAGS_STACK"
# Settings of processes that are no Django, and those of them that Django needs too.
NOT_THE_SERVERS = ("MAGS_AGENT_", "MAGS_GATEWAY_", "MAGS_DATA_PORT_")
SHARED = ("MAGS_GATEWAY_KEY", "MAGS_GATEWAY_KEY_FILE")
NO_RIGHTS = ["--clear-groups", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"]


@dataclass(frozen=True, slots=True)
class Process:
    """One supervised process. `command` is what remains after the drop of rights."""

    name: str
    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    is_root: bool = False
    is_started_first: bool = True  # False: started by `up` when what it needs is there
    stop_wait_s: int = 10


def all_processes(layout: Layout, credentials: Credentials) -> list[Process]:
    server = server_environment(layout, credentials)
    celery = [PYTHON, "-m", "celery", "--app=mags_project"]
    return [
        Process("redis", ["/usr/bin/redis-server", str(layout.run / "redis.conf")]),
        # Its polite end waits 15 s for streams that never close; what it answered is with the kernel.
        Process("s3", _seaweedfs(layout), stop_wait_s=3),
        Process("web", [PYTHON, "-m", "daphne", "--verbosity=0", f"--bind={layout.bind}",
                        f"--port={layout.web_port}", "mags_project.asgi:application"], server),
        # Warm shutdown ends the running task first; tasks are short.
        Process("worker", [*celery, "worker", "--loglevel=INFO", "--concurrency=2",
                           "--without-gossip", "--without-mingle"], server, stop_wait_s=30),
        Process("beat", [*celery, "beat", "--loglevel=INFO", "--pidfile="], server),
        # What it does when it is stopped takes MAGS_GATEWAY_GRACE_S.
        Process("gateway", [PYTHON, "-m", "gateway"], gateway_environment(layout, credentials),
                stop_wait_s=35),
        *(Process(agent.process, [PYTHON, "-m", "hostagent", "run"], dict(agent.environment),
                  is_root=True, is_started_first=False, stop_wait_s=20) for agent in agents_of(layout)),
        *(Process(agent.data_process, [PYTHON, "-m", "hostagent", "data"], data_environment(layout, agent),
                  is_root=True, is_started_first=False) for agent in agents_of(layout)),
    ]  # fmt: skip


def _seaweedfs(layout: Layout) -> list[str]:
    roles = ["s3", "master", "volume", "filer"]
    ports = [f"-{role}.port={layout.s3_port + n}" for n, role in enumerate(roles)]
    grpc = [f"-{role}.port.grpc={layout.s3_port + 4 + n}" for n, role in enumerate(roles)]
    return [
        str(VENV_BIN / "weed"), "-logtostderr",  # otherwise its log files pile up in /tmp
        f"-config_dir={layout.run}", "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
        f"-dir={layout.var / 's3'}",
        *ports, *grpc, "-s3", f"-s3.config={layout.run / 's3.json'}", "-master.volumeSizeLimitMB=1024",
        "-volume.max=0", "-master.telemetry=false", "-s3.port.iceberg=0", "-s3.port.lance=0",
        # One master has nobody to agree with: ready in 3 s instead of 15.
        "-master.electionTimeout=1s", "-volume.preStopSeconds=0",
    ]  # fmt: skip


def server_environment(layout: Layout, credentials: Credentials) -> dict[str, str]:
    """What web, worker, beat and `deploy/manage` run with. Derived values give way to the operator's."""
    return {
        "DJANGO_SETTINGS_MODULE": "mags_project.settings",
        "MAGS_VAR_DIR": str(layout.var),
        "MAGS_SECRET_KEY": credentials.secret_key,
        "MAGS_REDIS_URL": f"redis://:{credentials.redis_password}@127.0.0.1:{layout.redis_port}/0",
        "MAGS_PUBLIC_URL": layout.web_url,
        "MAGS_INTERNAL_URL": layout.web_url,
        "MAGS_S3_ENDPOINT": f"http://127.0.0.1:{layout.s3_port}",
        "MAGS_S3_BUCKET": "mags",
        "MAGS_S3_ACCESS_KEY": credentials.s3_access_key,
        "MAGS_S3_SECRET_KEY": credentials.s3_secret_key,
        "MAGS_URL_FORM": layout.url_form,
        "MAGS_GATEWAY_KEY": credentials.gateway_key,
        "MAGS_TICKET_KEY": credentials.ticket_key,
        "MAGS_SSH_SECRET": credentials.ssh_secret,
        **{k: v for k, v in layout.settings if k in SHARED or not k.startswith(NOT_THE_SERVERS)},
        "MAGS_ALLOWED_HOSTS": ",".join(allowed_hosts(layout)),
    }


def gateway_environment(layout: Layout, credentials: Credentials) -> dict[str, str]:
    """The operator's settings win, as everywhere."""
    return {
        "MAGS_GATEWAY_CONTROL_URL": layout.web_url,
        "MAGS_GATEWAY_KEY": credentials.gateway_key,
        "MAGS_GATEWAY_ADDRESS": layout.gateway_address,
        "MAGS_GATEWAY_SSH_ADDRESS": layout.bind,
        **{k: v for k, v in layout.settings if k.startswith("MAGS_GATEWAY_")},
        "MAGS_GATEWAY_PORT": str(layout.gateway_port),
    }


def allowed_hosts(layout: Layout) -> list[str]:
    """The operator's names, else the public one; and always how this machine itself reaches web."""
    public = urlsplit(layout.public_url).hostname or ""
    chosen = dict(layout.settings).get("MAGS_ALLOWED_HOSTS", public).split(",")
    return list(dict.fromkeys([*chosen, urlsplit(layout.web_url).hostname or "", "127.0.0.1", "localhost"]))


def base_environment(layout: Layout) -> dict[str, str]:
    """All that a process inherits: nothing of the shell that typed `make up`."""
    return {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8",
            "HOME": "/nonexistent", "PYTHONUNBUFFERED": "1", MARKER: str(layout.var)}  # fmt: skip


def run_as(layout: Layout) -> pwd.struct_passwd:
    """The system user where it can read the checkout, else root (then without any capability)."""
    user = pwd.getpwnam(layout.user)
    probe = [
        *drop_rights(user),
        PYTHON,
        "-c",
        "import django; open('manage.py'); open('mags_project/settings.py')",
    ]
    is_readable = subprocess.run(probe, cwd=ROOT, capture_output=True, check=False).returncode == 0
    return user if is_readable else pwd.getpwnam("root")


def drop_rights(user: pwd.struct_passwd) -> list[str]:
    """The command prefix that becomes `user` and gives up every right for good."""
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", *NO_RIGHTS, "--"]


def supervisor_config(layout: Layout, processes: list[Process], user: pwd.struct_passwd) -> str:
    limit = min(16384, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    head = f"""\
[unix_http_server]
file={layout.run}/supervisor.sock
chmod=0700
[supervisord]
user=root
pidfile={layout.run}/supervisord.pid
logfile={layout.log}/supervisord.log
logfile_maxbytes=5MB
logfile_backups=2
childlogdir={layout.log}
directory={ROOT}
minfds={limit}
identifier={layout.instance}
[supervisorctl]
serverurl=unix://{layout.run}/supervisor.sock
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
"""
    return head + "".join(_program(layout, process, user) for process in processes)


def _program(layout: Layout, process: Process, user: pwd.struct_passwd) -> str:
    command = process.command if process.is_root else [*drop_rights(user), *process.command]
    environment = {**process.environment, "MAGS_PROCESS": process.name}
    return f"""\
[program:{process.name}]
command={_escape(shlex.join(command))}
environment={",".join(f'{key}="{_quote(key, value)}"' for key, value in environment.items())}
umask={"022" if process.is_root else "077"}
autostart={str(process.is_started_first).lower()}
autorestart=true
startsecs=1
startretries=20
stopwaitsecs={process.stop_wait_s}
redirect_stderr=true
stdout_logfile={layout.log}/{process.name}.log
stdout_logfile_maxbytes=10MB
stdout_logfile_backups=3
"""


def _escape(text: str) -> str:
    return text.replace("%", "%%")  # supervisor expands %(name)s


def _quote(key: str, value: str) -> str:
    """Supervisor's format has no escapes: what it would read differently is refused, loudly."""
    if any(odd in value for odd in ('"', "\n", " ;")) or value != value.strip("'"):
        raise SetupError(
            f"supervisor cannot pass on the value of {key}", 'avoid ", line breaks, " ;" and outer \''
        )
    return _escape(value)


def redis_config(layout: Layout, credentials: Credentials) -> str:
    """Redis only wakes people up, so it keeps nothing on disk."""
    return f"""\
bind 127.0.0.1
port {layout.redis_port}
requirepass {credentials.redis_password}
save ""
appendonly no
daemonize no
maxmemory 256mb
maxmemory-policy noeviction
set-proc-title no
"""


def environment_for_command(layout: Layout, environment: Mapping[str, str]) -> dict[str, str]:
    """For a command run in front of the user: as supervised, but with the shell's proxy settings."""
    proxies = {k: v for k, v in os.environ.items() if k.lower().endswith("_proxy")}
    return {**base_environment(layout), **proxies, **environment}
