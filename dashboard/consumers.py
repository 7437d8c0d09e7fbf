"""The WebSocket of every page: what of the person's changed, so that the page looks again."""

from __future__ import annotations

from accounts.models import User
from core.live import Topic, live_group, staff_group
from core.wakeup import listening
from jobs.consumers import SignedInConsumer

PACE_S = 0.25  # at most four messages a second, whatever happens


class LiveConsumer(SignedInConsumer):
    """/ws/live: the topics that changed. For our own pages, so only the session's cookie opens it."""

    takes_tokens = False

    async def follow(self, actor: User) -> None:
        topics = {live_group(actor.pk, topic): topic for topic in Topic}
        if actor.is_staff:
            topics |= {staff_group(topic): topic for topic in Topic}
        async with listening(*topics) as waiter:
            await self.tell("ready")
            while True:
                await self.recheck()
                await self.pause(waiter, PACE_S)
                if changed := sorted(topics[group] for group in waiter.rung()):
                    await self.tell("changed", changed=changed)
