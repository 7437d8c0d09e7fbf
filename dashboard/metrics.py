"""The text of /metrics (docs/reference/metrics.md).

Read from the database when asked, so that any of several web processes says the same; but for
`mags_process_*`, which is about the process that answers. Labels have values of ours only: never a name
or an address that somebody chose.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from django.conf import settings
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from core import counting
from dashboard import figures

CONTENT_TYPE = CONTENT_TYPE_LATEST


class Figures(Collector):
    def collect(self) -> Iterator[Metric]:
        now = figures.now()
        queue, storage, orphans = figures.queue(now), figures.storage(), figures.orphans()
        yield InfoMetricFamily("mags_build", "What runs here.", value={"version": settings.VERSION})
        yield _by("mags_jobs", "Jobs by status.", "status", figures.jobs_by_status())
        yield _one("mags_queue_jobs", "Jobs that wait for a host.", queue.length)
        yield _one("mags_queue_oldest_seconds", "How long the first of them has waited.", queue.oldest_s)
        yield _by(
            "mags_failures_last_hour", "Jobs that ended in error, by reason.", "reason", figures.failures(now)
        )
        yield _by("mags_hosts", "Hosts by state.", "state", figures.hosts_by_state())
        yield from _room()
        yield _by(
            "mags_sandboxes", "Kept sandboxes that have not ended.", "state", figures.sandboxes_by_state()
        )
        yield _one("mags_sandboxes_asleep", "Those of them that are frozen.", figures.sandboxes_asleep())
        yield _by("mags_execs", "Execs that have not ended.", "state", figures.execs_by_state())
        yield _one("mags_stored_bytes", "Of versions of workspaces, as last known.", storage.stored_bytes)
        yield _one("mags_upload_bytes", "Of uploaded files.", storage.upload_bytes)
        yield _one("mags_database_bytes", "Of the database.", storage.database_bytes)
        yield _one("mags_disk_free_bytes", "Where this web process keeps its state.", storage.disk_free_bytes)
        yield _one("mags_orphans", "Rows that nobody holds.", orphans.total)
        if (swept_at := figures.swept_at()) is not None:
            yield _one(
                "mags_last_sweep_timestamp_seconds", "When beat and worker last ran.", swept_at.timestamp()
            )


def text() -> bytes:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Figures())
    return generate_latest(registry) + generate_latest(counting.registry)


def _room() -> Iterator[Metric]:
    found = figures.room()
    yield _by("mags_room_used", "Of online hosts.", "what", {what: used for what, (used, _) in found.items()})
    yield _by(
        "mags_room_total", "Of online hosts.", "what", {what: total for what, (_, total) in found.items()}
    )


def _one(name: str, about: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, about, value=value)


def _by(name: str, about: str, label: str, values: Mapping[str, int]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, about, labels=[label])
    for value, count in values.items():
        family.add_metric([value], count)
    return family
