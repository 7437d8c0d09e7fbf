"""The images of this host and what the registry has of them: fetched when the registry has a newer build, or
when a sandbox is to stand on one that is not here.

An agent that may publish does so by a process of its own, so that no sandbox waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from uuid import uuid4

import structlog

from hostagent.backoff import Backoff
from hostagent.client import Client
from hostagent.drivers import builds
from hostagent.errors import AgentError, ApiError, DriverError, ImageMissing, Unreachable
from hostagent.images import store
from hostagent.imagewire import Build, PublishRequest
from hostagent.volumes.objects import SignedObjects
from hostagent.volumes.restore import restore
from hostagent.volumes.send import send
from hostagent.volumes.store import VolumeStore
from hostagent.volumes.threads import blocking

logger = structlog.get_logger(__name__)

TENANT = "images"  # of the volumes that images are received into
ASK_S = 30.0  # a start waits so long for a registry that does not answer


class Library:
    """`root` is the state file system. Any number of calls at once: nothing is fetched twice."""

    def __init__(self, root: Path, client: Client) -> None:
        self._volumes = VolumeStore(root)
        self._images = root / "images"
        self._client = client
        self._heads: dict[str, Build] = {}
        self._fetches: dict[tuple[str, str], asyncio.Task[None]] = {}
        self.changed = asyncio.Event()  # what the registry says

    async def open(self) -> None:
        """Remove what an agent that was killed had received. Once, before anything else."""
        for tenant, workspace in await blocking(self._volumes.volumes):
            if tenant == TENANT:
                await blocking(self._volumes.volume(tenant, workspace).delete)

    def learn(self, heads: Iterable[Build]) -> None:
        """What the control plane says that new sandboxes stand on."""
        self._heads = {head.image: head for head in heads}
        self.changed.set()

    async def have(self, name: str, build: str = "") -> str:
        """Have this build here, or any of the image. Returns which one. DriverError where that cannot be."""
        path = await blocking(partial(builds.find, self._images, name, build))
        if path is not None:
            return build or await blocking(partial(builds.build_of, path))
        wanted = await self._published(name, build)
        try:
            await self._fetch(wanted, is_present=not build)
        except (AgentError, OSError) as error:
            words = error.message if isinstance(error, AgentError) else str(error)
            raise DriverError(f"the image build {wanted.build} could not be fetched: {words}") from error
        return wanted.build

    async def keep_up(self, *, may_publish: bool) -> list[str]:
        """Have the newest builds as the present ones. Returns the images of which a newer build is here: only
        a host that may publish has such. Raises the first failure after trying all."""
        newer, failure = [], None
        for head in list(self._heads.values()):
            try:
                if may_publish and await self._is_newer(head):
                    newer.append(head.image)
                else:
                    await self._follow(head)
            except (AgentError, OSError) as error:
                logger.warning("image_not_fetched", image=head.image, build=head.build, error=str(error))
                failure = failure or error
        if failure is not None:
            raise failure
        local = await blocking(partial(builds.present, self._images)) if may_publish else []
        return [*newer, *(name for name in local if name not in self._heads)]

    async def push(self, name: str, build: str = "") -> Build:
        """Publish a build of an image, the present one by default. What was put by an earlier try stays."""
        path = await blocking(partial(builds.find, self._images, name, build))
        build = await blocking(partial(builds.build_of, path)) if path is not None else ""
        if path is None or not build:
            raise ImageMissing(
                f"there is no image {name} on this host", "`hostagent image list` says what there is"
            )
        if (known := await self._find(name, build)) is not None:
            return known
        made_at = await blocking(partial(builds.made_at, path))
        size_bytes = await blocking(partial(store.size_bytes, path))
        objects = SignedObjects(self._client.storage, self._client.sign_images)
        sent = await send(path, None, objects, made_at=made_at)
        return await self._client.publish(PublishRequest(name, build, sent.sha256, made_at, size_bytes))

    async def close(self) -> None:
        for task in self._fetches.values():
            task.cancel()
        await asyncio.gather(*self._fetches.values(), return_exceptions=True)

    async def _follow(self, head: Build) -> None:
        if await self._build_here(head.image) != head.build:
            await self._fetch(head, is_present=True)

    async def _is_newer(self, head: Build) -> bool:
        """Whether the present build was made after the registry's newest, which does not know it."""
        build = await self._build_here(head.image)
        if build in ("", head.build):
            return False
        made_at = await blocking(partial(builds.made_at, self._images / head.image))
        return made_at > head.made_at and await self._find(head.image, build) is None

    async def _build_here(self, name: str) -> str:
        return await blocking(partial(builds.build_of, self._images / name))

    async def _published(self, name: str, build: str) -> Build:
        head = self._heads.get(name)
        if head is not None and build in ("", head.build):
            return head
        if not build:
            raise ImageMissing(
                f"there is no image {name} on this host, and none is published",
                "`hostagent image build` or `hostagent image import` on a host that may publish",
            )
        found = await self._find(name, build)
        if found is None:
            raise ImageMissing(
                f"the workspace was saved on the build {build} of the image {name}, which is neither on this"
                " host nor published; nothing else can stand under its files",
                f"publish it from a host that has it: `hostagent image push {name}@{build}`",
            )
        return found

    async def _find(self, name: str, build: str) -> Build | None:
        backoff = Backoff()
        try:
            async with asyncio.timeout(ASK_S):
                while True:
                    try:
                        return await self._client.build(name, build)
                    except Unreachable as error:
                        logger.warning("registry_unanswered", error=error.message)
                    await asyncio.sleep(backoff.next_s())
        except TimeoutError as error:
            raise DriverError("the registry of images does not answer", "try again") from error
        except ApiError as error:
            if error.code == "build_not_found":
                return None
            raise

    async def _fetch(self, wanted: Build, *, is_present: bool) -> None:
        """One at a time of each build; who is cancelled does not end it for the others."""
        key = (wanted.image, wanted.build)
        while (task := self._fetches.get(key)) is not None:  # somebody else's, who may want it beside only
            await asyncio.shield(task)
            if not is_present or await self._build_here(wanted.image) == wanted.build:
                return
        task = self._fetches[key] = asyncio.create_task(self._receive(wanted, is_present=is_present))
        task.add_done_callback(lambda _: self._fetches.pop(key, None))
        await asyncio.shield(task)

    async def _receive(self, wanted: Build, *, is_present: bool) -> None:
        adopt = partial(store.adopt, self._images, wanted.image, wanted.build, is_present=is_present)
        here = await blocking(partial(builds.find, self._images, wanted.image, wanted.build))
        if here is not None:
            await blocking(partial(adopt, here))
            return
        objects = SignedObjects(self._client.storage, self._client.sign_images)
        workspace = uuid4()
        try:
            restored = await restore(self._volumes, TENANT, workspace, wanted.manifest, objects)
            await blocking(partial(adopt, restored.version.path))
        finally:
            await blocking(self._volumes.volume(TENANT, workspace).delete)
        logger.info("image_fetched", image=wanted.image, build=wanted.build, stored=restored.stored_bytes)
