"""`make host`: further hosts on this machine, to see what several of them do without a second machine."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Mapping

from deploy import agents, down, up
from deploy.agents import Agent
from deploy.errors import SetupError
from deploy.layout import Layout
from deploy.progress import step
from deploy.stack import Stack
from deploy.supervise import Supervisor
from hostagent import control
from hostagent.errors import AgentError


def add(layout: Layout, name: str, settings: Mapping[str, str]) -> None:
    """Define a host and start it. `make up` and `make down` take it along from now on."""
    _require_up(layout)
    define(layout, name, settings)
    up.up(layout)


def define(layout: Layout, name: str, settings: Mapping[str, str]) -> None:
    """Nothing is noted where another stack's agent goes by the name: neither `up` nor `down` could go on."""
    agents.define(layout, name, settings)
    try:
        up.refuse_taken_names(layout)
    except SetupError:
        shutil.rmtree(layout.hosts / name)
        raise


def remove(layout: Layout, name: str, *, is_forced: bool = False) -> None:
    """End a host for good: its key, everything it made, and its files. Refuses while it has work."""
    _require_up(layout)
    stack = Stack.load(layout)
    agent = agents.further(layout, name)
    if not is_forced:
        _require_empty(agent, name)
    if agent.is_enrolled:  # what is in its sandboxes starts elsewhere, or ends
        with step("taking its key away"), _perhaps(is_forced):
            stack.manage(["host_revoke", agent.environment["MAGS_AGENT_HOST_NAME"]], "its key is still good")
    with step(f"stopping {agent.process}"):
        for process in (agent.data_process, agent.process):
            _stop(stack.supervisor, process)
    with step("removing its sandboxes, mounts and networks"):
        down.undo(stack, agent)
        down.refuse_remains(lambda: down.remaining_of(agent))
    shutil.rmtree(layout.hosts / name)
    agent.started_with.unlink(missing_ok=True)
    up.write_configs(Stack.load(layout))
    stack.supervisor.apply_config()


def _perhaps(is_forced: bool) -> contextlib.AbstractContextManager[None]:
    """A host that the server does not know can be removed by force."""
    return contextlib.suppress(SetupError) if is_forced else contextlib.nullcontext()


def _require_up(layout: Layout) -> None:
    if not Supervisor(layout).is_up():
        raise SetupError("the stack is not running", "run `make up`")


def _stop(supervisor: Supervisor, process: str) -> None:
    if process in {state.name for state in supervisor.states()}:  # else its first start never came so far
        supervisor.stop([process])


def _require_empty(agent: Agent, name: str) -> None:
    """What was not saved goes with the host."""
    if not agent.is_enrolled:  # nothing was ever on it
        return
    hint = f"`python3 -m deploy host remove {name} --force` ends what it has, and loses what is not saved"
    try:
        answer = asyncio.run(control.ask(agent.state, "drain"))
    except AgentError as error:
        raise SetupError(f"{agent.process} does not answer: nobody knows what is on {name}", hint) from error
    count = len(answer["leases"]) + len(answer["sandboxes"])
    if count:
        raise SetupError(
            f"there is work on {name} (scripts and sandboxes: {count}); it takes no more now",
            f"wait; or {hint}",
        )
