"""Metrics of a process: its version, and its CPU, memory and files as Linux reports them."""

import platform
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ..version import __version__


class Build(Collector):
    """A gauge that is always 1; its labels name the versions."""

    def collect(self) -> Iterable[Metric]:
        names = ["version", "python"]
        found = GaugeMetricFamily("inngest_build_info", "What runs here.", labels=names)
        found.add_metric([__version__, platform.python_version()], 1)
        return [found]


def add_to(registry: CollectorRegistry) -> None:
    """Add the metrics of this process to a registry."""
    ProcessCollector(registry=registry)
    registry.register(Build())
