"""Metrics of realtime in this process: subscribers, messages, and readers that were too slow."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ..engine.realtime.hub import Hub


class Realtime(Collector):
    """Reads what a hub has counted."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def collect(self) -> Iterable[Metric]:
        hub = self._hub
        yield GaugeMetricFamily(
            "inngest_realtime_subscribers", "Open realtime subscriptions.", hub.subscribers
        )
        for name, text, count in (
            ("published", "Realtime messages that were published here.", hub.published),
            ("delivered", "Realtime messages that subscribers here got.", hub.delivered),
            ("dropped", "Realtime messages for subscribers here that were closed.", hub.dropped),
            ("slow_readers", "Subscriptions that were closed as too slow.", hub.too_slow),
        ):
            yield CounterMetricFamily(f"inngest_realtime_{name}", text, count)


def add_to(registry: CollectorRegistry, hub: Hub) -> None:
    """Add the metrics of a hub to a registry."""
    registry.register(Realtime(hub))
