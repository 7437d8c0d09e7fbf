"""An agent as a process of its own that kills itself (SIGKILL) at a named point.

    python -m tests.agent.agent_process STATE_DIR [POINT]

Points: before or after each journal write, driver call and report, e.g. `after journal starting`,
`before driver start`, `after report finished`. Each life dies there at most once: `POINT` is given to one.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Awaitable, Callable
from functools import wraps
from pathlib import Path
from typing import Any

from hostagent import cli, heldwire, wire
from hostagent.client import Client
from hostagent.config import Config, load
from hostagent.drivers.oci import OciDriver
from hostagent.drivers.shim import Engine
from hostagent.holdings import HeldRecord, Holdings
from hostagent.journal import Journal, Record
from hostagent.logs import tailer
from hostagent.shelf import Shelf
from hostagent.volumes.objects import SignedObjects
from hostagent.volumes.volume import Volume
from tests.agent.drivers import ScriptDriver

tailer.CHECKPOINT_STEP_BYTES = 64 * 1024  # so that small outputs have checkpoints


class Death:
    """Ends the process, as the kernel would, when its point is reached."""

    def __init__(self, point: str) -> None:
        self.point = point

    def at(self, point: str) -> None:
        if point == self.point:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, name: str, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        @wraps(call)
        async def dying(*arguments: Any, **keywords: Any) -> Any:
            self.at(f"before {name}")
            answer = await call(*arguments, **keywords)
            self.at(f"after {name}")
            return answer

        return dying

    def between(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(call)
        def dying(*arguments: Any, **keywords: Any) -> Any:
            self.at(f"before {name}")
            answer = call(*arguments, **keywords)
            self.at(f"after {name}")
            return answer

        return dying


def arm(death: Death, driver: ScriptDriver | OciDriver) -> None:
    for name in ("create", "start", "wait", "destroy"):
        setattr(driver, name, death.around(f"driver {name}", getattr(driver, name)))
    write, write_checkpoint, forget, report = (
        Journal.write, Journal.write_checkpoint, Journal.forget, Client.report,
    )  # fmt: skip

    def dying_write(self: Journal, record: Record) -> None:
        death.at(f"before journal {record.phase}")
        write(self, record)
        death.at(f"after journal {record.phase}")

    def dying_checkpoint(self: Journal, *arguments: Any) -> None:
        death.at("before checkpoint")
        write_checkpoint(self, *arguments)
        death.at("after checkpoint")

    def dying_forget(self: Journal, sandbox_id: str) -> None:
        death.at("before forget")
        forget(self, sandbox_id)
        death.at("after forget")

    async def dying_report(self: Client, items: list[wire.Item]) -> list[wire.Result]:
        kinds = [type(item).__name__.lower() for item in items]
        for kind in kinds:
            death.at(f"before report {kind}")
        results = await report(self, items)
        for kind in kinds:
            death.at(f"after report {kind}")
        return results

    Journal.write, Journal.write_checkpoint, Journal.forget = dying_write, dying_checkpoint, dying_forget  # type: ignore[method-assign]
    Client.report = dying_report  # type: ignore[method-assign]


def arm_keeping(death: Death, driver: OciDriver) -> None:
    """Points in the life of a held sandbox and its volume. Commits say for what: `before commit sync`."""
    for name in ("create", "start", "wait", "destroy"):
        setattr(driver.runs, name, death.around(f"run {name}", getattr(driver.runs, name)))
    for name in ("freeze", "thaw"):
        setattr(driver, name, death.around(f"driver {name}", getattr(driver, name)))
    write, forget, commit = Holdings.write, Holdings.forget, Client.commit

    def dying_write(self: Holdings, record: HeldRecord) -> None:
        death.at(f"before held {record.phase}")
        write(self, record)
        death.at(f"after held {record.phase}")

    def dying_forget(self: Holdings, sandbox_id: str) -> None:
        death.at("before held forget")
        forget(self, sandbox_id)
        death.at("after held forget")

    async def dying_commit(self: Client, version: heldwire.VersionRequest) -> heldwire.Receipt:
        death.at(f"before commit {version.reason}")
        receipt = await commit(self, version)
        death.at(f"after commit {version.reason}")
        return receipt

    Holdings.write, Holdings.forget, Client.commit = dying_write, dying_forget, dying_commit  # type: ignore[method-assign]
    SignedObjects.put = death.around("put", SignedObjects.put)  # type: ignore[method-assign]
    for owner, name in ((Volume, "make_live"), (Volume, "take"), (Volume, "keep"), (Shelf, "note")):
        setattr(owner, name, death.between(name, getattr(owner, name)))


def arm_runtime(death: Death) -> None:
    """Points between `driver.start`'s own note and the script's start."""
    open_gate = Engine.open_gate

    def dying(self: Engine, sandbox_id: str) -> bool:
        death.at("before runtime start")
        is_started = open_gate(self, sandbox_id)
        assert is_started, "the runtime was asked instead: these points show nothing"
        death.at("after runtime start")
        return is_started

    Engine.open_gate = dying  # type: ignore[method-assign]


def main() -> int:
    state_dir = Path(sys.argv[1])
    death = Death(sys.argv[2] if len(sys.argv) > 2 else "")
    if "MAGS_AGENT_INSTANCE" in os.environ:  # real sandboxes, with the test's settings
        config = load(state_dir=state_dir)
        real = OciDriver(config)
        arm_runtime(death)
        arm_keeping(death, real)
        driver: ScriptDriver | OciDriver = real
    else:
        config = Config(state_dir=state_dir, sandboxes=4, stop_grace_ms=300, log_head_bytes=512 * 1024)
        driver = ScriptDriver(state_dir / "sandboxes")
    arm(death, driver)
    return cli.run_agent(config, driver)


if __name__ == "__main__":
    sys.exit(main())
