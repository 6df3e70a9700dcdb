"""What the database keeps of a virtual clock: a time in the future must not become the past.

A database whose clock was moved holds runs, crons and waits of later days. A server with the real
time would do nothing for them until that day, so it refuses such a database.
"""

import os
import socket
from datetime import UTC, datetime, timedelta

from ...domain.errors import Conflict
from ...storage.db import meta
from ...storage.db.session import Database
from ...storage.queries import worker_list
from ..runtime.context import utc_now
from .virtual import VirtualClock

_AT, _SAVED = "clock_at_us", "clock_saved_us"  # `_SAVED` is 0 for a clock that stands
_MICROSECOND = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def load(db: Database) -> VirtualClock:
    """Make the clock as the database has it; one that shows the real time if it has none."""
    with db.reading() as tx:
        at, saved = meta.value(tx, _AT), meta.value(tx, _SAVED)
    if at is None:
        return VirtualClock()
    if not saved:
        return VirtualClock(_time(at), is_frozen=True)
    return VirtualClock(utc_now() + (_time(at) - _time(saved)))


def save(db: Database, clock: VirtualClock, *, stands: bool) -> None:
    """Keep where the clock is, and whether it stands: one that is moved runs or stands, too."""
    at, saved = clock.now(), 0 if stands else _number(clock.real())
    with db.transaction() as tx:
        meta.put(tx, _AT, _number(at))
        meta.put(tx, _SAVED, saved)


def refuse_moved(db: Database) -> None:
    """Raise Conflict if the clock of this database is virtual."""
    with db.reading() as tx:
        at = meta.value(tx, _AT)
    if at is not None:
        raise Conflict(
            f"the clock of this database is virtual and was last at {_time(at):%Y-%m-%dT%H:%M:%SZ}:"
            " start it with `inngest-py dev --clock virtual`, or use another database"
        )


def refuse_company(db: Database) -> None:
    """Raise Conflict if another server or worker uses this database now."""
    host = socket.gethostname()
    with db.reading() as tx:
        known = worker_list.alive(tx, utc_now())
    for one in known:
        if one["pid"] != os.getpid() and (one["host"] != host or _runs(one["pid"])):
            raise Conflict(
                f"another server works on this database (process {one['pid']} on {one['host']}):"
                " a virtual clock needs a database for itself; stop that server, or give --db"
                " or --in-memory"
            )


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _number(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def _time(number: int) -> datetime:
    return _EPOCH + number * _MICROSECOND
