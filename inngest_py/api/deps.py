"""What routes need of the process: settings and context, found through the Flask app."""

from dataclasses import dataclass

from flask import current_app
from prometheus_client import CollectorRegistry

from ..config import Settings
from ..engine.clock.mover import Mover
from ..engine.runtime.context import Context
from ..engine.runtime.probe import Probe


@dataclass(frozen=True, slots=True)
class Deps:
    """What the app that serves the request has; `/metrics` shows the registries `metrics`."""

    settings: Settings
    ctx: Context
    probe: Probe
    metrics: tuple[CollectorRegistry, ...] = ()
    mover: Mover | None = None  # of a server with a virtual clock


def deps() -> Deps:
    """Return the serving app's settings and context."""
    found: Deps = current_app.extensions["inngest_py"]
    return found


def context() -> Context:
    """Return the serving app's context."""
    return deps().ctx
