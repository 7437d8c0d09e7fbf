"""Scripts that take what they can get: contained, told apart, and the neighbours go on."""

from __future__ import annotations

import asyncio
import time

import pytest

from hostagent.drivers import bundle
from tests.privileged.sandbox import Output, Sandboxes

MIB = 1 << 20


async def test_memory_eater_is_killed_and_told(sandboxes: Sandboxes) -> None:
    run = await sandboxes.run(
        "#!/usr/bin/python3\nx = bytearray(400 << 20)\nprint('survived')", memory_mb=128
    )
    assert (run.exit.exit_code, run.exit.is_oom) == (137, True)
    assert run.output.stdout == b""


async def test_same_script_with_room_survives(sandboxes: Sandboxes) -> None:
    run = await sandboxes.run(
        "#!/usr/bin/python3\nx = bytearray(400 << 20)\nprint('survived')", memory_mb=1024
    )
    assert (run.exit.exit_code, run.exit.is_oom, run.output.stdout) == (0, False, b"survived\n")


@pytest.mark.parametrize("path", ["/dev/shm/x", "/run/x"])
async def test_memory_file_systems_count_as_memory(sandboxes: Sandboxes, path: str) -> None:
    """Filled side by side with anonymous memory, they end at the same limit."""
    fill = f"x = bytearray(90 << 20)\nopen('{path}', 'wb').write(bytes(60 << 20))"
    script = f"#!/usr/bin/python3\n{fill}\nprint('survived')"
    run = await sandboxes.run(script, memory_mb=128)
    assert run.exit.is_oom
    assert run.output.stdout == b""


async def test_disk_filler_meets_its_limit(sandboxes: Sandboxes) -> None:
    run = await sandboxes.run("dd if=/dev/zero of=/root/x bs=1M count=2000 2>&1", disk_gb=1)
    assert run.exit.exit_code == 1
    assert run.exit.is_disk_full
    assert b"No space left on device" in run.output.stdout or b"quota exceeded" in run.output.stdout


async def test_half_full_disk_is_not_full(sandboxes: Sandboxes) -> None:
    run = await sandboxes.run("dd if=/dev/zero of=/root/x bs=1M count=500 2>/dev/null; exit 3", disk_gb=1)
    assert (run.exit.exit_code, run.exit.is_disk_full) == (3, False)


async def test_deleted_files_give_room_again(sandboxes: Sandboxes) -> None:
    write = "dd if=/dev/zero of=/root/x bs=1M count=700 2>/dev/null && rm /root/x && sync"
    run = await sandboxes.run(f"{write} && {write} && echo fits", disk_gb=1)
    assert (run.output.stdout, run.exit.is_disk_full) == (b"fits\n", False)


async def test_fork_bomb_is_contained_and_killed(sandboxes: Sandboxes) -> None:
    bomb = "import os\nprint('up', flush=True)\nwhile True:\n  try: os.fork()\n  except OSError: pass"
    async with sandboxes.started(f"#!/usr/bin/python3\n{bomb}", vcpus=1) as sandbox_id:
        await sandboxes.says(sandbox_id, b"up")
        neighbour = await sandboxes.run("exit 3", timeout_s=30)
        began = time.monotonic()
        await sandboxes.driver.kill(sandbox_id)
        exit_ = await asyncio.wait_for(sandboxes.driver.wait(sandbox_id), 2)
        assert neighbour.exit.exit_code == 3
        assert exit_.exit_code == 137
        assert time.monotonic() - began < 2


async def test_process_limit(sandboxes: Sandboxes) -> None:
    script = "for i in $(seq 2000); do sleep 60 & done 2>&1 | head -1; jobs -p | wc -l"
    run = await sandboxes.run(script)
    assert b"Resource temporarily unavailable" in run.output.stdout


async def test_flood_is_slowed_by_the_shims_share_of_a_cpu(sandboxes: Sandboxes) -> None:
    async with sandboxes.started("echo up; exec yes") as sandbox_id:
        await sandboxes.says(sandbox_id, b"up")
        driver = sandboxes.driver
        quota = driver.host.groups.path("cpu", driver.host.group(f"shim-{sandbox_id}")) / "cpu.stat"
        async with asyncio.timeout(30):
            while _throttled(quota.read_text()) == 0:  # noqa: ASYNC110 - the kernel tells nobody
                await asyncio.sleep(0.05)
        await driver.kill(sandbox_id)
        assert (await driver.wait(sandbox_id)).exit_code == 137


def _throttled(stat: str) -> int:
    return int(dict(line.split() for line in stat.splitlines())["nr_throttled"])


async def test_spool_that_nobody_drains_ends_at_its_limit(
    sandboxes: Sandboxes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle, "SPOOL_LIMIT_BYTES", 4 * MIB)
    run = await sandboxes.run("head -c 8000000 /dev/zero | tr '\\0' x; echo end >&2; exit 5", timeout_s=60)
    assert run.exit.exit_code == 5
    assert len(run.output.stdout) <= 4 * MIB


async def test_long_line_without_newline_is_whole(sandboxes: Sandboxes) -> None:
    run = await sandboxes.run("head -c 5000000 /dev/zero | tr '\\0' x")
    assert run.output.stdout == b"x" * 5_000_000


async def test_end_comes_while_a_child_floods(sandboxes: Sandboxes) -> None:
    run = await sandboxes.run("yes & sleep 0.2; exit 6", timeout_s=10)
    assert run.exit.exit_code == 6


async def test_thousands_of_lines_are_all_there_in_order(sandboxes: Sandboxes) -> None:
    run = await sandboxes.run("seq 20000")
    assert run.output == Output(b"".join(b"%d\n" % i for i in range(1, 20001)), b"")
