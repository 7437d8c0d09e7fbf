"""Takes a sandbox through its life and is killed on the way: `doomed_agent <before|after> <where> ...`.

With a run it lives until its held sandbox is up, and the place is looked for in the life of the run."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import os
import signal
import sys
from typing import Any

from hostagent.config import load
from hostagent.drivers.base import RunSpec
from hostagent.drivers.oci import OciDriver
from tests.privileged.sandbox import make_spec


def die_at(when: str, where: str) -> None:
    """Wrap the function `where`, a dotted path, so that this process is killed before or after its call."""
    module_name, _, name = where.rpartition(".")
    owner: Any
    try:
        owner = importlib.import_module(module_name)
    except ModuleNotFoundError:
        module_name, _, class_name = module_name.rpartition(".")
        owner = getattr(importlib.import_module(module_name), class_name)
    original = getattr(owner, name)

    async def awaited(*args: Any, **kwargs: Any) -> Any:
        if when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        await original(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)

    def called(*args: Any, **kwargs: Any) -> Any:
        if when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        original(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, awaited if inspect.iscoroutinefunction(original) else called)


async def live(sandbox_id: str, script: str) -> None:
    die_at(sys.argv[1], sys.argv[2])
    driver = OciDriver(load())
    await driver.open()
    spec = make_spec(script, sandbox_id=sandbox_id)
    await driver.create(spec)
    await driver.start(sandbox_id)
    if not script.startswith("sleep"):
        await driver.wait(sandbox_id)
    await driver.destroy(sandbox_id)


async def live_with_a_run(sandbox_id: str, run_id: str, script: str) -> None:
    driver = OciDriver(load())
    await driver.open()
    await driver.create(make_spec("", sandbox_id=sandbox_id, is_held=True))
    await driver.start(sandbox_id)
    die_at(sys.argv[1].removeprefix("stopped "), sys.argv[2])
    launcher = driver.host.launch._child
    if sys.argv[1].startswith("stopped ") and launcher is not None:
        launcher.send_signal(signal.SIGSTOP)  # requests wait until it is let go on
    spec = RunSpec(sandbox_id, run_id, script.encode())
    await driver.runs.create(spec)
    await driver.runs.start(spec.key)
    await driver.runs.wait(spec.key)
    await driver.runs.destroy(spec.key)


if __name__ == "__main__":
    _when, _where, sandbox, text, run = sys.argv[1:]
    asyncio.run(live_with_a_run(sandbox, run, text) if run else live(sandbox, text))
