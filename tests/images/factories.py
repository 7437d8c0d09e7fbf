"""Builds of images: rows, or streams of random bytes that are put and published as a host does."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from images.models import Build, Image
from tests.workspaces.factories import Agent, Snapshot, request, snapshot

MADE_AT = 1_763_881_200_000


def published(name: str = "standard", build: str = "") -> Build:
    """A build that the database knows, with nothing in the bucket."""
    image, _ = Image.objects.get_or_create(name=name)
    number = image.last_number + 1
    made = Build.objects.create(
        image=image, number=number, name=build or f"{name}-{number}", manifest=f"{number:064x}", raw_bytes=1,
        stored_bytes=1, tree_bytes=1, made_at=timezone.now(), durable_at=timezone.now(),
    )  # fmt: skip
    image.head, image.last_number = made, number
    image.save()
    return made


def publisher() -> Agent:
    """An agent on a host that may publish."""
    agent = Agent()
    agent.host.publishes_images = True
    agent.host.save(update_fields=["publishes_images"])
    return agent


def upload(agent: Agent, made: Snapshot) -> None:
    """As a host does: ask for addresses, put there."""
    wanted = [[name, len(body)] for name, body in made.objects.items()]
    status, answer = agent.call("post", "/images/objects", {"put": wanted})
    assert (status, answer["expires_s"], answer["get"]) == (200, 900, {})
    for name, signed in answer["put"].items():
        assert request("PUT", signed["url"], made.objects[name], signed["headers"])[0] in {200, 412}


def publish(agent: Agent, made: Snapshot, build: str, **fields: Any) -> tuple[int, dict[str, Any]]:
    said = {
        "image": "standard", "build": build, "manifest": made.sha256, "made_at": MADE_AT, "tree_bytes": 77,
    }  # fmt: skip
    return agent.call("post", "/images/builds", said | fields)


def put_and_publish(agent: Agent, build: str, **fields: Any) -> Snapshot:
    made = snapshot()
    upload(agent, made)
    status, answer = publish(agent, made, build, **fields)
    assert status == 200, answer
    return made
