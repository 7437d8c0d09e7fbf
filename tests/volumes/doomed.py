"""Saves and restores in processes that are to be killed: `python -m tests.volumes.doomed <S3 port>`.

Forks one for each line on stdin, `save|restore <root> <workspace> <head>`, and answers its process id: a new
interpreter for each would take ten times as long as what it is killed in.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from uuid import UUID

import aiohttp

from hostagent.volumes.objects import SignedObjects
from hostagent.volumes.restore import restore
from hostagent.volumes.store import VolumeStore
from tests.volumes.s3 import Signing, client
from tests.volumes.saving import TENANT, send_pending


async def run(signing: Signing, what: str, root: Path, workspace: UUID, head: str) -> None:
    store = VolumeStore(root)
    store.open()
    async with aiohttp.ClientSession() as session:
        objects = SignedObjects(session, signing)
        if what == "save":
            await send_pending(store.volume(TENANT, workspace), objects)
        else:
            await restore(store, TENANT, workspace, head, objects)


def main() -> None:
    signing = Signing(client(int(sys.argv[1])))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    for line in sys.stdin:
        what, root, workspace, head = line.split()
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            asyncio.run(run(signing, what, Path(root), UUID(workspace), head))
            os._exit(0)
        print(pid, flush=True)


if __name__ == "__main__":
    main()
