"""The server is away, fails, loses replies, repeats itself, changes its mind or is hostile."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable

import pytest
from aiohttp import web

from hostagent.errors import ApiError
from hostagent.journal import Journal, Phase
from hostagent.logs.output import RECORD_LIMIT_BYTES
from tests.agent.conftest import Agent
from tests.agent.fake_control_plane import FakeControlPlane


async def test_server_away_while_the_job_runs_and_ends(
    agent: Agent, plane: FakeControlPlane, runs: Callable[[], int], tmp_path: object
) -> None:
    script = "echo ran >> $T/runs; echo up; until [ -e $T/go ]; do sleep 0.02; done; seq 5000; exit 4"
    lease = await plane.submit(script, environment={"T": str(tmp_path)})
    await plane.wait(lambda: lease.text == "up\n")
    await plane.stop()
    (agent.config.state_dir.parent / "go").touch()
    await _until_phase(agent, lease.sandbox_id, Phase.EXITED)
    await plane.start()
    end = await plane.finished(lease)
    assert (end["exit_code"], runs()) == (4, 1)
    assert lease.text == "up\n" + "".join(f"{n}\n" for n in range(1, 5001))


async def test_agent_is_replaced_while_the_server_is_away(agent: Agent, plane: FakeControlPlane) -> None:
    lease = await plane.submit("seq 3000; exit 4")
    await plane.wait(lambda: lease.started is not None)
    await plane.stop()
    await agent.detach()
    await agent.start()
    await _until_phase(agent, lease.sandbox_id, Phase.EXITED)
    await plane.start()
    end = await plane.finished(lease)
    assert end["exit_code"] == 4
    assert lease.text == "".join(f"{n}\n" for n in range(1, 3001))


@pytest.mark.parametrize("call", ["boot", "poll", "heartbeat", "report"])
async def test_server_answers_500_for_a_while(
    make_agent: Callable[..., Agent], plane: FakeControlPlane, call: str
) -> None:
    plane.failing[call] = 3
    await make_agent().start()
    lease = await plane.submit("echo hi; exit 2")
    assert (await plane.finished(lease))["exit_code"] == 2
    assert lease.text == "hi\n"
    await plane.wait(lambda: plane.requests[call] > 3)


@pytest.mark.parametrize("call", ["boot", "poll", "report"])
async def test_replies_are_lost_after_the_call_was_carried_out(
    make_agent: Callable[..., Agent],
    plane: FakeControlPlane,
    runs: Callable[[], int],
    tmp_path: object,
    call: str,
) -> None:
    plane.losing[call] = 4
    await make_agent().start()
    lease = await plane.submit(f"echo ran >> {tmp_path}/runs; seq 2000; exit 2")
    assert (await plane.finished(lease))["exit_code"] == 2
    assert lease.text == "".join(f"{n}\n" for n in range(1, 2001))
    assert runs() == 1


async def test_polls_that_repeat_everything_start_nothing_twice(
    agent: Agent, plane: FakeControlPlane, runs: Callable[[], int], tmp_path: object
) -> None:
    plane.repeats = True
    leases = [await plane.submit(f"echo ran >> {tmp_path}/runs; sleep 0.3") for _ in range(4)]
    for lease in leases:
        await plane.finished(lease)
    await agent.until_clean()
    assert runs() == 4


async def test_answer_from_before_the_end_does_not_start_the_lease_again(
    agent: Agent, plane: FakeControlPlane, runs: Callable[[], int], tmp_path: object
) -> None:
    lease = await plane.submit(f"echo ran >> {tmp_path}/runs")
    await plane.finished(lease)
    await agent.until_clean()
    lease.state = "offered"  # as the server saw it when it wrote the late answer
    polls = plane.requests["poll"]
    await plane._touch(lease)
    await plane.wait(lambda: plane.requests["poll"] > polls + 1 or plane.beats)
    other = await plane.submit("true")
    await plane.finished(other)
    assert runs() == 1


async def test_stale_lease_is_killed_and_forgotten(
    agent: Agent, plane: FakeControlPlane, tmp_path: object
) -> None:
    lease = await plane.submit(
        f"echo up; until [ -e {tmp_path}/go ]; do sleep 0.02; done; echo more; sleep 60"
    )
    await plane.wait(lambda: lease.text == "up\n")
    lease.state = "ended"
    (agent.config.state_dir.parent / "go").touch()  # makes the agent say something, to be told
    await agent.until_clean()
    assert lease.finished is None
    assert lease.text == "up\n"


async def test_dropped_lease_is_killed_and_forgotten(agent: Agent, plane: FakeControlPlane) -> None:
    lease = await plane.submit("echo up; sleep 60")
    await plane.wait(lambda: lease.text == "up\n")
    await plane.end(lease)
    await agent.until_clean()
    assert lease.finished is None


async def test_lease_that_ended_while_the_agent_was_away_is_dropped_at_boot(
    agent: Agent, plane: FakeControlPlane
) -> None:
    lease = await plane.submit("echo up; sleep 60")
    await plane.wait(lambda: lease.text == "up\n")
    await agent.detach()
    lease.state = "ended"
    await agent.start()
    await plane.wait(lambda: plane.boot_epoch == 2)
    await agent.until_clean()


async def test_sandboxes_without_a_journal_entry_are_destroyed(agent: Agent, plane: FakeControlPlane) -> None:
    lease = await plane.submit("echo up; sleep 60")
    await plane.wait(lambda: lease.text == "up\n")
    await agent.detach()
    shutil.rmtree(agent.journal)
    lease.state = "ended"  # as the server does: started, and not reported
    await agent.start()
    await plane.wait(lambda: plane.boot_epoch == 2)
    await agent.until_clean()


async def test_host_down_ends_its_leases_as_lost(agent: Agent, plane: FakeControlPlane) -> None:
    lease = await plane.submit("echo up; sleep 60")
    await plane.wait(lambda: lease.text == "up\n")
    await agent.detach()
    await agent.driver.close(everything=True)
    await agent.start()
    end = await plane.finished(lease)
    assert (end["outcome"], end["exit_code"], lease.text) == ("lost", None, "up\n")
    assert "removed" in end["message"]


async def test_reboot_of_the_machine_loses_what_ran(agent: Agent, plane: FakeControlPlane) -> None:
    lease = await plane.submit("echo up; sleep 60")
    await plane.wait(lambda: lease.text == "up\n")
    await agent.detach()
    await agent.driver.close(everything=True)
    journal = Journal(agent.journal)
    (record,) = journal.load()
    record.machine_boot_id = "another boot"
    journal.write(record)
    await agent.start()
    end = await plane.finished(lease)
    assert (end["outcome"], end["exit_code"]) == ("lost", None)
    assert "restarted" in end["message"]


async def test_damaged_journal_entry_does_not_stop_the_agent(agent: Agent, plane: FakeControlPlane) -> None:
    await plane.wait(lambda: plane.beats)
    await agent.detach()
    (agent.journal / ("z" * 16)).mkdir()
    (agent.journal / ("z" * 16) / "lease.json").write_text('{"lease_id": 1')
    await agent.start()
    assert (await plane.finished(await plane.submit("exit 5")))["exit_code"] == 5


@pytest.mark.parametrize("offset", [0, 3, 70_000])
async def test_server_asks_for_another_offset(agent: Agent, plane: FakeControlPlane, offset: int) -> None:
    """It lost what it had: the same bytes are sent again, from any place."""
    lease = await plane.submit("seq 20000; until [ -e $GO ]; do sleep 0.02; done; echo end",
                               environment={"GO": str(agent.config.state_dir.parent / "go")})  # fmt: skip
    whole = "".join(f"{n}\n" for n in range(1, 20001))
    await plane.wait(lambda: lease.text == whole)
    del lease.log[offset:]
    (agent.config.state_dir.parent / "go").touch()
    await plane.finished(lease)
    assert lease.text == whole + "end\n"


async def test_server_claims_to_have_more_than_there_is(agent: Agent, plane: FakeControlPlane) -> None:
    lease = await plane.submit("echo up; sleep 60")
    await plane.wait(lambda: lease.text == "up\n")
    lease.log += b"never written by this job"
    await plane.wish_stop(lease)
    end = await plane.finished(lease)
    assert (end["outcome"], end["exit_code"]) == ("lost", None)
    await agent.until_clean()


@pytest.mark.parametrize(
    "change",
    [
        {"sandbox_id": "../../etc/passwd"}, {"sandbox_id": "k3v9x0a1b2c3d4e5\n"}, {"sandbox_id": 7},
        {"tenant": "root"}, {"image": "../x"}, {"image": "-rm"}, {"wish": "dance"}, {"vcpus": 0},
        {"memory_mb": 10**12}, {"disk_gb": -1}, {"timeout_s": 0}, {"script": "a\0b"}, {"script": None},
        {"environment": {"A=B": "c"}}, {"environment": {"A": "c\0"}}, {"environment": []},
    ],
)  # fmt: skip
async def test_hostile_assignment_is_refused_and_the_agent_goes_on(
    agent: Agent, plane: FakeControlPlane, change: dict[str, object]
) -> None:
    lease = await plane.submit("echo never", **change)
    end = await plane.finished(lease)
    assert (end["outcome"], end["exit_code"], lease.started) == ("start_failed", None, None)
    assert (await plane.finished(await plane.submit("exit 6")))["exit_code"] == 6
    assert len(agent.driver.created) == 1


@pytest.mark.parametrize("key", [{"lease_id": -4}, {"lease_id": "x"}, {"lease_epoch": None}])
async def test_assignment_of_nobody_is_ignored(
    agent: Agent, plane: FakeControlPlane, key: dict[str, object]
) -> None:
    lease = await plane.submit("echo never")
    await plane.finished(lease)
    lease.state, lease.assignment = "offered", lease.assignment | key
    await plane._touch(lease)
    assert (await plane.finished(await plane.submit("exit 6")))["exit_code"] == 6
    lease.state = "ended"


async def test_sandbox_id_of_another_lease_is_refused(agent: Agent, plane: FakeControlPlane) -> None:
    first = await plane.submit("echo up; sleep 60")
    await plane.wait(lambda: first.text == "up\n")
    second = await plane.submit("echo never", sandbox_id=first.sandbox_id)
    assert (await plane.finished(second))["outcome"] == "start_failed"
    assert first.finished is None


async def test_refused_item_ends_the_lease_as_lost(agent: Agent, plane: FakeControlPlane) -> None:
    """`invalid` is a bug on either side: it must not be repeated for ever, nor spoil other leases."""
    real = plane._log

    def refuse(lease: object, item: dict[str, object]) -> dict[str, object]:
        if lease is bad:
            return {"status": 400, "code": "invalid", "error": "I do not like it"}
        return real(lease, item)  # type: ignore[arg-type]

    plane._log = refuse  # type: ignore[assignment,method-assign]
    bad = await plane.submit("echo up; sleep 60")
    good = await plane.submit("echo fine")
    end = await plane.finished(bad)
    assert (end["outcome"], end["exit_code"]) == ("lost", None)
    assert (await plane.finished(good))["exit_code"] == 0
    assert good.text == "fine\n"
    await agent.until_clean()


async def test_unknown_host_key_ends_the_agent(
    make_agent: Callable[..., Agent], plane: FakeControlPlane
) -> None:
    agent = make_agent()
    await agent.start()
    await plane.wait(lambda: plane.beats)
    plane._item = _unauthorized  # type: ignore[method-assign]
    await plane.submit("true")
    error = await agent.ended()
    assert isinstance(error, BaseExceptionGroup)
    assert error.subgroup(ApiError) is not None


def _unauthorized(_: object) -> dict[str, object]:
    raise web.HTTPUnauthorized(text='{"error": "unknown key", "code": "bad_host_key"}')


async def test_drain_by_the_operator_is_kept_and_undone(agent: Agent, plane: FakeControlPlane) -> None:
    await plane.wait(lambda: plane.beats)
    assert agent.worker is not None
    assert (await agent.worker.command("drain"))["draining"] is True
    await plane.wait(lambda: plane.beats[-1]["draining"])
    assert (await agent.worker.command("undrain"))["draining"] is False
    await plane.wait(lambda: not plane.beats[-1]["draining"])


async def test_heartbeat_says_what_the_host_has(agent: Agent, plane: FakeControlPlane) -> None:
    await plane.wait(lambda: plane.beats)
    beat = plane.beats[-1]
    assert beat["capacity"]["sandboxes"] == 4
    assert beat["capacity"]["memory_mb"] > 0
    assert beat["running"] == 0
    assert beat["load"] >= 0


async def test_reports_stay_within_the_limits(
    make_agent: Callable[..., Agent], plane: FakeControlPlane
) -> None:
    """Much output of several jobs at once, after an outage: many reports, none too large."""
    agent = make_agent()
    await agent.start()
    go = agent.config.state_dir.parent / "go"
    leases = [
        await plane.submit(f"{script}; until [ -e $GO ]; do sleep 0.05; done", environment={"GO": str(go)})
        for script in ("head -c 3000000 /dev/zero", "yes 2>/dev/null | head -c 2000000", "seq 200000")
    ]
    await plane.wait(lambda: all(lease.started for lease in leases))
    await plane.stop()
    go.touch()
    for lease in leases:
        await _until_phase(agent, lease.sandbox_id, Phase.EXITED)
    await plane.start()
    for lease in leases:
        await plane.finished(lease)
    assert bytes(leases[0].log) == bytes(3_000_000)
    assert bytes(leases[1].log) == b"y\n" * 1_000_000
    assert leases[2].text == "".join(f"{n}\n" for n in range(1, 200_001))
    assert plane.largest_report < 4 << 20
    assert max(length for lease in leases for _, _, length in lease.records) <= RECORD_LIMIT_BYTES


async def _until_phase(agent: Agent, sandbox_id: str, phase: Phase) -> None:
    path = agent.journal / sandbox_id / "lease.json"
    for _ in range(1200):
        if json.loads(path.read_text())["phase"] == phase:
            return
        await asyncio.sleep(0.025)  # polls a file
    raise AssertionError(f"{sandbox_id} does not become {phase}")
