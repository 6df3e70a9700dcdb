"""What pages need of the process, found through the Flask app."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from flask import current_app
from sqlalchemy import Connection

from ..config import Settings
from ..engine.runtime.context import Context
from ..storage.db.session import limit_time
from .live.minutes import Minutes
from .live.news import Pulse
from .live.run_counts import RunCounts
from .parts.clock_bar import ClockControl

T = TypeVar("T")
EXTENSION = "inngest_py.dashboard"
# a page whose queries take longer shows an error
_MOST_TIME = timedelta(seconds=3)


@dataclass(frozen=True, slots=True)
class Deps:
    """Settings, context, and what the pages of one process share."""

    settings: Settings
    ctx: Context
    pulse: Pulse
    minutes: Minutes
    run_counts: RunCounts
    clock: ClockControl | None = None  # of a server with a virtual clock

    @property
    def in_band(self) -> bool:
        """Whether SDKs are asked to sync in band (sync.md §8.2)."""
        return not self.settings.dev and self.settings.signing_key is not None


def deps() -> Deps:
    """Return the serving app's settings, context and shared objects."""
    found: Deps = current_app.extensions[EXTENSION]
    return found


def context() -> Context:
    """Return the serving app's context."""
    return deps().ctx


def read(query: Callable[[Connection], T]) -> T:
    """Run queries in one reading transaction, each with a time limit."""
    return read_with(context(), query)


def read_with(ctx: Context, query: Callable[[Connection], T]) -> T:
    """Do what read() does, outside a request."""
    with ctx.db.reading() as tx:
        limit_time(tx, _MOST_TIME)
        return query(tx)
