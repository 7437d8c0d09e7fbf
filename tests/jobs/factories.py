"""Users, hosts and jobs in the database, and an agent that speaks the host API to the test server."""

from __future__ import annotations

import base64
import itertools
import time
from collections.abc import Iterable
from typing import Any

from django.test import Client

from accounts.models import User
from accounts.services import token_create
from hosts.models import Host
from hosts.services import digest_of
from jobs.models import Job, JobEvent, Lease
from jobs.services import JobSpec, job_submit
from jobs.states import LeaseState
from sandboxes.models import Sandbox

_count = itertools.count(1)
API = "/api/v1"
HOST_API = "/api/host/v1"


def user() -> User:
    return User.objects.create(email=f"user{next(_count)}@example.org")


def client_of(owner: User) -> Client:
    """A client that sends a token of `owner`."""
    _, text = token_create(owner, "test")
    return Client(headers={"Authorization": f"Bearer {text}"})


def job(owner: User | None = None, **spec: Any) -> Job:
    spec.setdefault("script", "echo hi")
    return job_submit(owner or user(), None, JobSpec(**spec))


def submit(client: Client, *, key: str = "", **body: Any) -> tuple[int, dict[str, Any]]:
    """The API's status and answer."""
    headers = {"Idempotency-Key": key} if key else {}
    body = {"script": "true"} | body
    response = client.post(f"{API}/mags-jobs", body, content_type="application/json", headers=headers)
    return response.status_code, response.json()


def kinds(job: Job) -> list[str]:
    """What happened to the job, in order."""
    return list(JobEvent.objects.filter(job=job).order_by("pk").values_list("kind", flat=True))


def lease_of(job: Job) -> Lease:
    """The job's live lease."""
    return Lease.objects.exclude(state=LeaseState.ENDED).get(job_id=job.pk)


class Agent:
    """A host agent's side of the contract, over HTTP, without sandboxes."""

    def __init__(
        self,
        *,
        sandboxes: int = 4,
        memory_mb: int = 8192,
        vcpus: int = 4,
        boot: bool = True,
        data_port: dict[str, Any] | None = None,
    ) -> None:
        key = f"magshost_{next(_count)}"
        self.host = Host.objects.create(name=f"host{next(_count)}", key_digest=digest_of(key))
        self.capacity = {"sandboxes": sandboxes, "memory_mb": memory_mb, "vcpus": vcpus}
        self.client = Client(headers={"Authorization": f"Bearer {key}"})
        self.data_port = data_port
        self.boot_epoch = 0
        self.revision = 0
        if boot:
            self.boot()

    def call(self, method: str, path: str, body: Any = None) -> tuple[int, dict[str, Any]]:
        arguments: dict[str, Any] = {} if body is None else {"data": body, "content_type": "application/json"}
        response = getattr(self.client, method)(HOST_API + path, **arguments)
        return response.status_code, response.json()

    def boot(
        self,
        leases: Iterable[Lease] = (),
        machine: str = "boot-1",
        sandboxes: Iterable[Sandbox] = (),
        volumes: Iterable[str] = (),
    ) -> dict[str, Any]:
        body = self.boot_body(leases, machine, sandboxes, volumes)
        status, answer = self.call("post", "/boot", body)
        assert status == 200, answer
        self.boot_epoch, self.revision = answer["boot_epoch"], answer["revision"]
        return answer

    def boot_body(
        self,
        leases: Iterable[Lease] = (),
        machine: str = "boot-1",
        sandboxes: Iterable[Sandbox] = (),
        volumes: Iterable[str] = (),
    ) -> dict[str, Any]:
        held = [{"sandbox_id": x.pk, "epoch": x.epoch, "phase": "running"} for x in sandboxes]
        reported = [{"lease_id": x.pk, "lease_epoch": x.epoch, "phase": "running"} for x in leases]
        return {
            "machine_boot_id": machine, "agent_version": "1", "isolation": "container",
            "capacity": self.capacity, "leases": reported, "sandboxes": held, "volumes": list(volumes),
            "data_port": self.data_port,
        }  # fmt: skip

    def poll(self, wait: float = 0) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.poll_all(wait)["assignments"]
        return found

    def poll_all(self, wait: float = 0) -> dict[str, Any]:
        status, answer = self.call(
            "get", f"/poll?boot_epoch={self.boot_epoch}&after={self.revision}&wait={wait}"
        )
        assert status == 200, answer
        self.revision = answer["revision"]
        return answer

    def report(self, *items: dict[str, Any]) -> list[dict[str, Any]]:
        status, answer = self.call("post", "/report", {"boot_epoch": self.boot_epoch, "items": list(items)})
        assert status == 200, answer
        results: list[dict[str, Any]] = answer["results"]
        return results

    def run(self, job: Job, output: bytes = b"hi\n", exit_code: int = 0) -> None:
        """The whole life of a short job."""
        lease = lease_of(job)
        total = lease.log_offset + len(output)
        results = self.report(
            started(lease), log(lease, lease.log_offset, output), finished(lease, total, exit_code=exit_code)
        )
        assert [r["status"] for r in results] == [200, 200, 200], results


def now_ms() -> int:
    return int(time.time() * 1000)


def started(lease: Lease, **fields: Any) -> dict[str, Any]:
    stages = {"assigned": 1, "restored": 2, "started": 3}
    return _item("started", lease, {"at": now_ms(), "stages": stages} | fields)


def log(
    lease: Lease, offset: int, data: bytes, records: list[list[int]] | None = None, **fields: Any
) -> dict[str, Any]:
    records = [[now_ms(), 1, len(data)]] if records is None else records
    encoded = base64.b64encode(data).decode()
    return _item("log", lease, {"offset": offset, "records": records, "data": encoded} | fields)


def finished(lease: Lease, log_bytes: int, **fields: Any) -> dict[str, Any]:
    end = {
        "at": now_ms(), "outcome": "exited", "exit_code": 0, "log_bytes": log_bytes, "dropped_bytes": 0,
        "duration_ms": 5, "message": "",
    }  # fmt: skip
    return _item("finished", lease, end | fields)


def sandbox_running(sandbox: Sandbox, **fields: Any) -> dict[str, Any]:
    stages = {"assigned": 1, "restored": 2, "started": 3}
    return _about(sandbox, "sandbox", {"at": now_ms(), "state": "running", "stages": stages} | fields)


def sandbox_ending(sandbox: Sandbox) -> dict[str, Any]:
    return _about(sandbox, "sandbox", {"at": now_ms(), "state": "ending"})


def sandbox_ended(sandbox: Sandbox, reason: str = "done", **fields: Any) -> dict[str, Any]:
    end = {"at": now_ms(), "state": "ended", "reason": reason, "message": "", "damaged": None}
    return _about(sandbox, "sandbox", end | fields)


def sandbox_asleep(sandbox: Sandbox, **evidence: int) -> dict[str, Any]:
    found = {"idle_ms": 600_000, "cpu_ms": 1, "window_ms": 600_000, "connections": 0, "execs": 0, "runs": 0}
    return _about(sandbox, "sandbox", {"at": now_ms(), "state": "asleep", "evidence": found | evidence})


def sandbox_awake(sandbox: Sandbox, **fields: Any) -> dict[str, Any]:
    woken = {"at": now_ms(), "state": "awake", "cause": "connection", "ms": 3}
    return _about(sandbox, "sandbox", woken | fields)


def startup(sandbox: Sandbox, state: str, **fields: Any) -> dict[str, Any]:
    said = {"at": now_ms(), "exec_id": "ab" * 16, "attempt": 1, "state": state}
    return _about(sandbox, "startup", said | fields)


def volume(sandbox: Sandbox, **fields: Any) -> dict[str, Any]:
    return _about(sandbox, "volume", {"tree_bytes": 1, "dirty": False, "sync": 0} | fields)


def _about(sandbox: Sandbox, kind: str, fields: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, "sandbox_id": sandbox.pk, "epoch": sandbox.epoch} | fields


def _item(kind: str, lease: Lease, fields: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, "lease_id": lease.pk, "lease_epoch": lease.epoch} | fields
