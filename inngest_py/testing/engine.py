"""The engine of one test: a database in memory, a clock that stands, and no thread of its own.

What is due is done in the thread of the test, one item after the other, so that a test does the
same each time.
"""

import itertools
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

from sqlalchemy import Connection

from ..domain.values import ids
from ..engine.clock import moves
from ..engine.clock.virtual import VirtualClock
from ..engine.runtime.context import Context, Hint, utc_now
from ..engine.runtime.group_commit import Committer, T, V
from ..engine.transport.gateway import Fetches
from ..engine.transport.http import Transport
from ..engine.upkeep import lease_keeping
from ..engine.upkeep.due_items import DueItems
from ..engine.work import run_item
from ..storage.db.in_memory import InMemory
from ..storage.schema import migrate
from .errors import InngestTestError
from .fetches import NoFetches
from .self_starts import SelfStarts

# what one round makes due is done in the next; a run has at most 1,000 steps
MOST_ROUNDS = 5_000
# how long after the leases of a server that has died others take its work over
TAKEN_OVER = timedelta(seconds=1)
# for another thread of the test, which may move the clock over weeks
LONGEST_WAIT = timedelta(minutes=1)
_CLOSE_SECONDS = 5.0


class ServerCrash(BaseException):
    """The server dies here: what it knows but has not committed is lost."""


class CollectedHints:
    """Keeps hints, for the test's own thread to work on."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._item_ids: list[str] = []

    def send(self, hints: Sequence[Hint]) -> None:
        """Keep the hints."""
        with self._lock:
            self._item_ids += [item_id for _, item_id in hints]

    def put_back(self, item_ids: Sequence[str]) -> None:
        """Keep what was taken and not worked on, before the others."""
        with self._lock:
            self._item_ids[:0] = item_ids

    def take(self) -> list[str]:
        """Return the items that were hinted at since the last call."""
        with self._lock:
            taken, self._item_ids = self._item_ids, []
        return taken

    def ask(self) -> None:
        """Do nothing."""

    def reachable(self) -> bool:
        """Say yes: there is no broker."""
        return True


class OrderedIds(Context):
    """A context whose ids of one moment sort by their making: the clock may stand for long."""

    def new_id(self, now: datetime | None = None) -> str:
        """Make an id that sorts by creation."""
        # some are left out: the server numbers on from an id
        number = next(_numbers) << 20
        return ids.ulid(int((now or self.now()).timestamp() * 1000), number.to_bytes(10))


_numbers = itertools.count(1)


class CrashingCommitter(Committer):
    """Commits as the server does, and crashes after the next commit if it is told to."""

    crashes_next = False

    def run(
        self, key: str, write_all: Callable[[Connection, Sequence[V]], Sequence[T]], value: V
    ) -> T:
        """Commit a write, as Committer.run() does. Raises ServerCrash."""
        done = super().run(key, write_all, value)
        if self.crashes_next:
            self.crashes_next = False
            raise ServerCrash
        return done


class Databases:
    """The databases of a process's tests. Each is used by one test at a time, and then again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[InMemory] = []
        self._fresh: sqlite3.Connection | None = None  # one that has a schema and no rows

    def take(self) -> InMemory:
        """Return a database that has a schema and no rows."""
        with self._lock:
            db = self._idle.pop() if self._idle else InMemory()
            if self._fresh is None:
                migrate.prepare(db)
                self._fresh = sqlite3.connect(":memory:", check_same_thread=False)
                db.copy_to(self._fresh)
            db.copy_from(self._fresh)
        return db

    def give_back(self, db: InMemory) -> None:
        """Let other tests use it."""
        with self._lock:
            self._idle.append(db)


DATABASES = Databases()


class Engine:
    """A context whose items this object runs; `ctx` is another one after a crash."""

    def __init__(
        self, transport: Transport, start: datetime | None, fetcher: Fetches | None = None
    ) -> None:
        self.db = DATABASES.take()
        self.clock = VirtualClock(start or utc_now(), is_frozen=True)
        self._transport = transport
        self._fetcher = NoFetches() if fetcher is None else fetcher
        self._closed = False
        self._hints = CollectedHints()
        self._lock = threading.RLock()
        self.is_called: Callable[[], bool] = lambda: False  # whether an app's function asks
        self.ctx, self.committer = self._started()

    def _started(self) -> tuple[Context, CrashingCommitter]:
        committer = CrashingCommitter(self.db, shared=False)
        ctx = OrderedIds(
            db=self.db,
            transport=self._transport,
            committer=committer,
            hints=self._hints,
            fetcher=self._fetcher,
            worker_id="test",
            clock=self.clock.now,
            real_clock=utc_now,
        )
        return ctx, committer

    def settle(self) -> None:
        """Do all that is due now. Does nothing for a function that runs: that is being done."""
        if self._closed:
            raise InngestTestError("the server of this test has been stopped: the test is over")
        if not self.is_called():
            with self.driving():
                moves.fire(self.ctx, self._work_off)

    def move(self, target: datetime) -> None:
        """Move the clock, and do all that becomes due on the way. Raises Invalid."""
        with self.driving():
            moves.move(self.ctx, self.clock, target, self._work_off)

    @contextmanager
    def driving(self) -> Iterator[None]:
        """Let this thread alone do what is due and move the clock; others wait.

        Raises InngestTestError for a function that runs, and after LONGEST_WAIT.
        """
        if self.is_called():
            raise InngestTestError("the clock cannot be moved from within a function that runs")
        if not self._lock.acquire(timeout=LONGEST_WAIT.total_seconds()):
            raise InngestTestError(
                f"another thread has been working with this test's server for {LONGEST_WAIT}: wait"
                " for it first, or give each thread a server of its own"
            )
        try:
            yield
        finally:
            self._lock.release()

    def _work_off(self) -> None:
        starts = SelfStarts()
        for _ in range(MOST_ROUNDS):
            item_ids = self._hints.take() or self._due()
            if not item_ids:
                return
            self._work(item_ids)
            starts.look(self.db, self.clock.now())
        raise InngestTestError(
            f"at {self.clock.now():%Y-%m-%dT%H:%M:%SZ}, more is due after {MOST_ROUNDS} rounds of"
            " work: does a function go on without end?"
        )

    def _due(self) -> list[str]:
        DueItems().run_once(self.ctx)
        return self._hints.take()

    def _work(self, item_ids: Sequence[str]) -> None:
        for place, item_id in enumerate(item_ids, start=1):
            try:
                run_item.work(self.ctx, [item_id])
            except ServerCrash:
                self._hints.put_back(item_ids[place:])  # others do that, and do not wait
                self._restart()
                return

    def _restart(self) -> None:
        """Go on as other servers do when one has died, until its leases have lapsed.

        What else becomes due meanwhile is done, each thing at its own moment.
        """
        self.ctx, self.committer = self._started()
        taken_over_at = self.clock.now() + self.ctx.tuning.lease + TAKEN_OVER
        moves.move(self.ctx, self.clock, taken_over_at, self._work_off)
        while lease_keeping.free_lapsed(self.ctx, self.clock.now()):
            pass

    def close(self) -> None:
        """Give the database back, unless another thread of the test still works with it."""
        if self._closed:
            return
        self._closed = True
        self._fetcher.close()
        if self._lock.acquire(timeout=_CLOSE_SECONDS):
            self._lock.release()
            DATABASES.give_back(self.db)
