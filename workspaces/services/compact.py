"""When a chain of versions is to begin anew with a full stream.

A restore fetches and receives the whole chain, and nothing in it can go before all of it can. So its
increments are weighed against its full version: each counts its bytes in the bucket, and STEP_BYTES for the
time that it takes to restore however small it is. A full version costs about what the increments did that
led to it, so it never more than doubles what is stored, and restoring takes at most about three times as long
as restoring a full version would; or CHAIN_VERSIONS steps more, where that is longer.
"""

from __future__ import annotations

from enum import StrEnum

from django.conf import settings

from workspaces.chains import chain_weight
from workspaces.models import Version

STEP_BYTES = 4 << 20  # 45 ms, which is what `btrfs receive` takes for a small step, at 100 MB/s


class FullNext(StrEnum):
    """What the host is told with the receipt of a version."""

    NO = "no"
    LATER = "later"  # where nobody waits for it: a checkpoint, or the end of the sandbox
    NOW = "now"  # twice as much has come together: the next version, whatever it is for


def full_next(head: Version) -> FullNext:
    """Whether the version after this one is to be a full one."""
    weight = chain_weight(head.pk)
    increments = weight.increments_bytes + weight.increments * STEP_BYTES
    limit = max(settings.CHAIN_VERSIONS * STEP_BYTES, weight.full_bytes)
    if increments > 2 * limit:
        return FullNext.NOW
    return FullNext.LATER if increments > limit else FullNext.NO
