"""The context: everything that the engine needs, made at the edges and passed down."""

import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

from sqlalchemy import Connection

from ...domain.access.reach import Reach
from ...domain.alerts.rules import AlertRules
from ...domain.limits import RunLimits
from ...domain.runs.items import LEASE, Item, ItemKind
from ...domain.runs.retention import Keep
from ...domain.values import ids
from ...storage.db.session import Database
from ..realtime.hub import Hub
from ..transport.gateway import Fetcher, Fetches
from ..transport.http import Transport
from .api_tokens import ApiTokens
from .app_fairness import Fairness
from .apps_down import AppsDown
from .catalog import Catalog
from .celery_apps import CeleryApps
from .connections import Connections
from .entropy import entropy
from .failed_runs import FailedRuns
from .group_commit import Committer

Hint = tuple[ItemKind, str]
Held = tuple[str, str]  # an item's id and its lease
# the shortest time between two runs of a service; in a backlog, sent hints take effect meanwhile
SHORTEST_DELAY = timedelta(milliseconds=20)


class Hints(Protocol):
    """How the engine says, after a commit, that items are due. Never raises."""

    def send(self, hints: Sequence[Hint]) -> None:
        """Pass the hints on, or lose them; never blocks."""

    def ask(self) -> None:
        """Start the check that reachable() waits for, so that it waits for less time."""

    def reachable(self) -> bool:
        """Check whether the broker can be reached now; waits two seconds at most."""


class AtOnce(Protocol):
    """Begins items in the process that stores them: in one transaction, and without a hint."""

    def claim(self, tx: Connection, ctx: "Context", hints: Sequence[Hint]) -> list[Hint]:
        """Claim items that a transaction stores, as its last writes, and begin them at its end.

        Returns the hints that are still to be sent.
        """


class NoHints:
    """Loses every hint: upkeep finds the items."""

    def send(self, hints: Sequence[Hint]) -> None:
        """Do nothing."""

    def ask(self) -> None:
        """Do nothing."""

    def reachable(self) -> bool:
        """Say yes: there is no broker."""
        return True


@dataclass(frozen=True, slots=True)
class Tuning:
    """The engine's own settings.

    `linear_retry` replaces the backoff table. `continue_for` bounds how long a worker continues
    with one run in place, so that other runs get their chance. `alone` says that no other process
    uses the database.
    """

    lease: timedelta = LEASE
    linear_retry: timedelta | None = None
    continue_for: timedelta = timedelta(seconds=10)
    tick: timedelta = timedelta(milliseconds=250)
    # the first key signs; the second is for apps that refuse the first: see signed_requests.py
    signing_keys: tuple[str, ...] = field(default=(), repr=False)
    slots: int = 100
    alone: bool = False
    cron_missed: str = "skip"
    alerts: AlertRules = field(default_factory=AlertRules)
    keep: Keep = field(default_factory=Keep)
    keep_audit: timedelta | None = None  # None: for ever
    reach: Reach = field(default_factory=Reach)


def utc_now() -> datetime:
    """Read the wall clock."""
    return datetime.now(UTC)


def new_ulid(now: datetime) -> str:
    """Make a random ULID of this moment."""
    return ids.ulid(int(now.timestamp() * 1000), entropy())


class Leases:
    """The items that this process works on now; the heartbeat extends their leases.

    Items of one claim share a lease id but end at different times, so each is noted by itself.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: set[Held] = set()

    def hold(self, item: Item) -> None:
        """Note an item."""
        with self._lock:
            self._held.add((item.id, item.lease_id))

    def drop(self, item: Item) -> None:
        """Forget an item: the work on it has ended."""
        with self._lock:
            self._held.discard((item.id, item.lease_id))

    def let_go(self, held: Held) -> None:
        """Forget an item that others answer for now."""
        with self._lock:
            self._held.discard(held)

    def pass_on(self, item: Item, following: Item) -> None:
        """Note that the work continues with another item, or with the same one again."""
        with self._lock:
            self._held.discard((item.id, item.lease_id))
            self._held.add((following.id, following.lease_id))

    def all(self) -> list[Held]:
        """List the items held, with their leases."""
        with self._lock:
            return sorted(self._held)

    def __len__(self) -> int:
        with self._lock:
            return len(self._held)


@dataclass(slots=True)
class Context:
    """What one process works with: database, HTTP clients, hints, clock and settings."""

    db: Database
    transport: Transport
    committer: Committer
    hints: Hints = field(default_factory=NoHints)
    at_once: AtOnce | None = None  # in a process that serves the API and works, with SQLite
    fetcher: Fetches = field(default_factory=Fetcher)
    tuning: Tuning = field(default_factory=Tuning)
    worker_id: str = ""
    worker_name: str | None = None  # of a process that works; None in others
    clock: Callable[[], datetime] = utc_now
    # the time of others when `clock` is one that can be moved; None: the same clock
    real_clock: Callable[[], datetime] | None = None
    # Python seeds this anew in forked processes, which must not jitter alike. The system's random
    # source took 8 µs, twice a step
    jitter: Callable[[], float] = random.random
    catalog: Catalog = field(default_factory=Catalog)
    leases: Leases = field(default_factory=Leases)
    celery_apps: CeleryApps = field(default_factory=CeleryApps)
    apps_down: AppsDown = field(default_factory=AppsDown)
    failed_runs: FailedRuns = field(default_factory=FailedRuns)
    api_tokens: ApiTokens = field(default_factory=ApiTokens)
    connections: Connections = field(default_factory=Connections)
    hub: Hub = field(default_factory=Hub)
    fairness: Fairness = field(default_factory=lambda: Fairness(0))
    phase: timedelta = timedelta(0)  # of the wake-ups of upkeep
    # limits that a test suite has set for functions, by their ids; empty otherwise
    run_limits: dict[str, RunLimits] = field(default_factory=dict)
    # services of upkeep whose last run raised, with the name of the error
    faults: dict[str, str] = field(default_factory=dict)
    # what to do when a virtual clock has been moved: write heartbeats by its new time
    moved: list[Callable[["Context"], object]] = field(default_factory=list)
    warned: set[str] = field(default_factory=set)  # steps whose waits were warned of in the log
    # set as soon as the process is asked to stop: it takes no new work from balancers then
    stopping: threading.Event = field(default_factory=threading.Event)

    def now(self) -> datetime:
        """Read the context's clock: the time that runs, waits and schedules go by."""
        return self.clock()

    def real_now(self) -> datetime:
        """Read the clock that others have, too, whatever the context's clock says.

        Signatures, tokens and connections go by it: apps check them by their own clocks.
        """
        return self.clock() if self.real_clock is None else self.real_clock()

    def new_id(self, now: datetime | None = None) -> str:
        """Make an id that sorts by creation."""
        return new_ulid(now or self.clock())

    def close(self) -> None:
        """Close connections."""
        self.transport.close()
        self.fetcher.close()
        self.db.close()
