"""The relay: sends what is in the outbox, one request after another, until it is stopped."""

import logging
import random
import threading
import time
from datetime import timedelta
from typing import Self

import httpx

from ..databases.choose import choose
from ..databases.database import Database, is_conflict
from . import claims, waking
from .choosing import ALONE_AFTER
from .claims import Leased
from .parking import read_status
from .posting import TIMEOUT, Meaning, Outcome, Target, post
from .table import TABLE, now_ms

LOG = logging.getLogger("inngest_py.outbox")
_FIRST_DELAY, _LONGEST_DELAY = 0.25, 30.0  # seconds between tries while the server is away
_SWEEP_SECONDS = 300.0
# how often it says what it has done, if there is anything to say
_REPORT_SECONDS = 60.0
# A connection says that it is about to commit; the rows are there a moment later.
_AFTER_WAKING = (0.002, 0.005, 0.01, 0.02, 0.05)


class Relay:
    """Sends the events of an outbox to the server of a client.

    Several may work on one outbox, in one process or in many. `start()` and `stop()` (or `with`)
    run it in a thread; a process that was forked has none of its parent's, so start it in each.
    """

    def __init__(
        self,
        database: object,
        client: Target,
        *,
        keep: timedelta | None = None,
        poll: timedelta = timedelta(seconds=0.5),
    ) -> None:
        """Take an engine or a sessionmaker of SQLAlchemy or the name of a Django database.

        `client` is the SDK's client: its server, event key and environment are used, its
        middleware is not. Sent rows are kept for the time `keep`; None deletes them. `poll` is the
        time between looks; a commit in this process is seen at once. Raises TypeError, ValueError.
        """
        self._database: Database | None = choose(database, "database").apart()
        if self._database is None:
            raise ValueError("database: one in memory cannot be shared with a thread: use a file")
        if client.event_key is None and getattr(client, "is_production", False):
            raise ValueError("client: it has no event key: set INNGEST_EVENT_KEY, or event_key=")
        if poll <= timedelta(0):
            raise ValueError(f"poll: must be more than 0, but it is {poll}")
        self._client, self._keep, self._poll = client, keep, poll.total_seconds()
        self._woken, self._stopped = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._failures = 0
        self._swept_at = 0.0
        self._reported_at, self._reported = time.monotonic(), 0
        self.sent = 0
        """Events that the server has taken from this relay."""
        self.parked = 0
        """Events that it refused."""

    def start(self) -> Self:
        """Send in a thread of its own from now on."""
        if self._thread is None or not self._thread.is_alive():  # a fork leaves a dead one
            self._stopped.clear()
            self._thread = threading.Thread(target=self.run, name="inngest-outbox", daemon=True)
            self._thread.start()
        return self

    def stop(self, timeout: float = 40.0) -> bool:
        """Stop after the request that is under way; False if it takes longer than so many seconds.

        What was not sent stays in the outbox.
        """
        self.ask_to_stop()
        if self._thread is not None:
            self._thread.join(timeout)
            if self._thread.is_alive():
                return False
            self._thread = None
        return True

    def ask_to_stop(self) -> None:
        """Let run() return soon; for signal handlers."""
        self._stopped.set()
        self._woken.set()

    def __enter__(self) -> Self:
        """Start it."""
        return self.start()

    def __exit__(self, *_error: object) -> None:
        """Stop it."""
        self.stop()

    def run(self) -> None:
        """Send until stop() is called. Whatever goes wrong is logged, and tried again later."""
        assert self._database is not None
        self._database.run_here(self._loop)

    def _loop(self) -> None:
        waking.add(self._woken)
        with httpx.Client(timeout=TIMEOUT) as http:
            looks = 0  # left, at short intervals
            while not self._stopped.is_set():
                if self._woken.is_set():
                    self._woken.clear()
                    looks = len(_AFTER_WAKING)
                was_busy, delay = self._safely(http)
                if was_busy and not delay:
                    continue
                if looks and not delay:
                    delay, looks = _AFTER_WAKING[-looks], looks - 1
                self._rest(delay or self._poll)

    def _rest(self, seconds: float) -> None:
        if self._failures:  # commits do not bring the server back
            self._stopped.wait(seconds)
        else:
            self._woken.wait(seconds)

    def _safely(self, http: httpx.Client) -> tuple[bool, float]:
        """Do one round; return whether there was something to send, and how long to rest."""
        try:
            return self._round(http)
        except Exception as error:
            if isinstance(error, claims.TakenError) or is_conflict(error):
                return True, random.uniform(0.001, 0.02)
            LOG.error("outbox: %s", self._missing(error) or _cause(error))
            return False, self._delay()

    def _missing(self, error: Exception) -> str | None:
        database = self._database
        try:
            if database is not None and database.is_of_database(error):
                return TABLE.missing(database)
        except Exception:
            LOG.debug("outbox: the table cannot be looked for", exc_info=True)
        return None

    def _round(self, http: httpx.Client) -> tuple[bool, float]:
        assert self._database is not None
        self._report(self._database)
        leased = claims.lease(self._database)
        if leased is None:
            self._failures = 0
            self._sweep(self._database)
            return False, 0.0
        outcome = post(http, self._client, leased.events, leased.seed)
        return True, self._settle(self._database, leased, outcome)

    def _settle(self, database: Database, leased: Leased, outcome: Outcome) -> float:
        """Write what became of a request; return the seconds until the next may be made."""
        keep, count = self._keep is not None, len(leased.ids)
        if outcome.meaning is Meaning.ACCEPTED:
            claims.settle_accepted(database, leased, keep=keep)
            self.sent += count
        elif outcome.meaning is Meaning.REFUSED or (
            outcome.meaning is Meaning.TOO_LARGE and count == 1
        ):
            accepted = outcome.accepted
            claims.settle_refused(database, leased, accepted, outcome.error, keep=keep)
            self.sent += accepted
            self.parked += 1
            LOG.error("outbox: row %s is parked: %s", leased.ids[accepted], outcome.error)
        elif outcome.meaning is Meaning.TOO_LARGE or (
            outcome.is_of_event and count > 1 and leased.attempts >= ALONE_AFTER
        ):
            claims.settle_split(database, leased)
        else:
            return self._put_off(database, leased, outcome)
        self._failures = 0
        return 0.0

    def _put_off(self, database: Database, leased: Leased, outcome: Outcome) -> float:
        """Have a request made again later; return the seconds until another may be made."""
        if outcome.is_of_event and leased.attempts > ALONE_AFTER:
            # it was alone: the events of other keys need not wait as long
            delay = _backoff(leased.attempts - ALONE_AFTER)
            rest = min(delay, _FIRST_DELAY) / 4
        else:
            delay = rest = self._delay()
        claims.settle_failed(database, leased, delay, outcome.error)
        LOG.warning("outbox: not sent, again in %.1f s: %s", delay, outcome.error)
        return rest

    def _delay(self) -> float:
        """Give the time to wait after one more failure of any request."""
        self._failures += 1
        return _backoff(self._failures)

    def _report(self, database: Database) -> None:
        """Log what was sent and what waits; as a warning if something has waited for long."""
        if time.monotonic() - self._reported_at < _REPORT_SECONDS:
            return
        self._reported_at = time.monotonic()
        with database.begin() as transaction:
            found = read_status(transaction.execute)
        sent, self._reported = self.sent - self._reported, self.sent
        is_late = found.waiting and found.oldest_seconds > _REPORT_SECONDS
        if sent or is_late:
            LOG.log(
                logging.WARNING if is_late else logging.INFO,
                "outbox: %d events were sent, %d wait, the oldest for %.0f s, and %d are parked",
                *(sent, found.waiting, found.oldest_seconds, found.parked),
            )

    def _sweep(self, database: Database) -> None:
        """Delete rows that were kept long enough, now and then."""
        if self._keep is None or time.monotonic() - self._swept_at < _SWEEP_SECONDS:
            return
        self._swept_at = time.monotonic()
        claims.sweep_sent(database, now_ms() - int(self._keep.total_seconds() * 1000))


def _backoff(failures: int) -> float:
    """Give the time after so many failures: twice as long each time, less a random part."""
    longest = min(_LONGEST_DELAY, _FIRST_DELAY * 2.0 ** min(failures - 1, 10))
    return longest * random.uniform(0.5, 1.0)


def _cause(error: Exception) -> str:
    """Say what the driver said: SQLAlchemy's own text has the values of the statement."""
    cause = getattr(error, "orig", None) or error
    first = (str(cause).strip().splitlines() or [""])[0][:300]
    return f"{type(cause).__name__}: {first}"
