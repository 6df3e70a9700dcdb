"""What a process is: its version, and what Linux tells of its CPU, memory and files."""

import platform
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ..version import __version__


class _Build(Collector):
    """Its value is always 1; what there is to know stands in the labels."""

    def collect(self) -> Iterable[Metric]:
        names = ["version", "python"]
        found = GaugeMetricFamily("inngest_build_info", "What runs here.", labels=names)
        found.add_metric([__version__, platform.python_version()], 1)
        return [found]


def add_to(registry: CollectorRegistry) -> None:
    """Show this process in a registry."""
    ProcessCollector(registry=registry)
    registry.register(_Build())
