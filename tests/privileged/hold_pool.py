"""A process that holds a pool until it is killed: one slot in use by a process of its own, the rest idle.

Prints the slot's index and the pid of its user. Run as `python -m tests.privileged.hold_pool`.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.privileged.pools import opened


async def main() -> None:
    async with opened() as pool:
        slot = await pool.take()
        command = ["nsenter", f"--net={slot.netns_path}", "--", "sleep", "600"]
        quiet = asyncio.subprocess.DEVNULL
        sleeper = await asyncio.create_subprocess_exec(*command, stdout=quiet, start_new_session=True)
        while _name(sleeper.pid) != "sleep":  # noqa: ASYNC110  nsenter, for some milliseconds
            await asyncio.sleep(0.005)
        print(slot.index, sleeper.pid, flush=True)
        await asyncio.Event().wait()


def _name(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


asyncio.run(main())
