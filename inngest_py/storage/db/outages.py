"""Outages: errors whose cause is the database, not the values, and how they are logged.

An error that may pass by itself is an outage: the write is kept and tried again. An error caused by
the values, such as a violated constraint, is not an outage.
"""

import re
import threading
import time
from collections.abc import Iterator
from enum import Enum
from itertools import pairwise
from typing import NotRequired, TypedDict

from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from ... import observe


class Fault(Enum):
    """What is wrong with the database."""

    AWAY = "away"  # it cannot be reached, or does not answer
    REFUSES = "refuses"  # it answers, but does not take writes for now
    BUSY = "busy"  # other transactions are in the way: a new try may succeed at once


class NoAnswer(SQLAlchemyError):
    """The deadline came before the database, or another writer of this process, was done."""


# SQLSTATE codes and classes: https://www.postgresql.org/docs/current/errcodes-appendix.html
_CODES = {
    "25006": Fault.REFUSES,  # read-only: a standby, or made so by an administrator
    "25P03": Fault.AWAY,  # idle_in_transaction_session_timeout has closed the session
    "25P04": Fault.BUSY,  # transaction_timeout
    "3D000": Fault.AWAY,  # the database does not exist
    "42501": Fault.REFUSES,  # rights are missing
    "53300": Fault.AWAY,  # too many connections
    "55P03": Fault.BUSY,  # lock_timeout
    "57014": Fault.BUSY,  # statement_timeout, or cancelled by an administrator
}
_CLASSES = {
    "08": Fault.AWAY,  # the connection
    "28": Fault.AWAY,  # the login
    "40": Fault.BUSY,  # serialization failures and deadlocks
    "53": Fault.REFUSES,  # disk full, out of memory
    "55": Fault.REFUSES,  # an object is not in the needed state
    "57": Fault.AWAY,  # it stops, starts or recovers
    "58": Fault.REFUSES,  # its operating system or disk fails
    "XX": Fault.REFUSES,  # an internal error: its data may be damaged
}
# SQLite's primary result codes: https://www.sqlite.org/rescode.html
_SQLITE = {
    3: Fault.REFUSES,  # no permission
    5: Fault.BUSY,  # locked by another process
    6: Fault.BUSY,  # locked within this one
    8: Fault.REFUSES,  # read-only
    9: Fault.BUSY,  # interrupted
    10: Fault.REFUSES,  # the disk fails
    11: Fault.REFUSES,  # the file is damaged
    13: Fault.REFUSES,  # disk full
    14: Fault.AWAY,  # the file cannot be opened
    15: Fault.BUSY,  # the locking protocol failed
    26: Fault.REFUSES,  # the file is not a database of SQLite
}
_FULL, _READ_ONLY = ("53100", 13), ("25006", 8)
_NUMBERS = ("pgcode", "sqlite_errorcode")
_MOST_CHARS = 500
_MOST_REASONS = 5  # told of one outage
# libpq's lines are sentences without full stops, but for those that go on with one: they are
# indented and have a small letter
_SENTENCE = re.compile(r"(?<![.?!:;,\s])\s*\n(?!\s+[a-z])")
_NUMBER = re.compile(r"\d+")
# a password that is not escaped in a URL becomes part of the host's name
_SECRETS = (
    (re.compile(r"(?<=://)[^\s/@]*@"), "***@"),
    (re.compile(r'(?<=")[^"\s]*@(?=[^"\s]*")'), "***@"),
    (re.compile(r"\b(password|passwd|sslpassword|passfile)(\s*[=:]\s*)\S+", re.I), r"\1\2***"),
)


def fault(error: BaseException | None) -> Fault | None:
    """Say what is wrong with the database; None when the error is caused by the values."""
    if isinstance(error, PoolTimeout | NoAnswer):
        return Fault.AWAY
    if not isinstance(error, DBAPIError):
        return None
    orig = error.orig
    code = getattr(orig, "pgcode", None)
    if code is not None:
        return _CODES.get(code) or _CLASSES.get(code[:2])
    number = getattr(orig, "sqlite_errorcode", None)
    if number is not None:
        return _SQLITE.get(number & 0xFF)
    away = error.connection_invalidated or isinstance(error, OperationalError)
    return Fault.AWAY if away else None


def outage(error: BaseException | None) -> bool:
    """Say whether an error may pass by itself: see Fault."""
    return fault(error) is not None


def too_long(error: DBAPIError) -> bool:
    """Say whether a statement was ended by limit_time(), or by the limit of all statements."""
    return getattr(error.orig, "pgcode", None) == "57014"


def reason(error: BaseException) -> str:
    """Return the driver's message in one line, without secrets, for logs.

    Only the first line of a server's message: the others may hold values of rows.
    """
    orig = getattr(error, "orig", None) or error
    told = str(orig).strip()
    if isinstance(error, PoolTimeout):
        told = told.partition(" (Background")[0]
    elif getattr(orig, "pgcode", None) is not None:
        told = told.partition("\n")[0]
    told = " ".join(_SENTENCE.sub(". ", told).split()) or type(orig).__name__
    for secret, shown in _SECRETS:
        told = secret.sub(shown, told)
    return told[:_MOST_CHARS]


class Hidden(Exception):
    """Stands in a traceback for an error of a database, whose own words may hold values of rows."""


class Logged(TypedDict):
    """The fields of a log line about an error."""

    error: str
    exc_info: NotRequired[BaseException]


def logged(error: BaseException) -> Logged:
    """Make the fields of a log line about an error.

    For an outage the driver's message. For all other errors their name and the traceback, which
    leaves out the messages of databases, since they may hold values of rows.
    """
    if outage(error):
        return {"error": reason(error)}
    return {"error": _name(error), "exc_info": _without_values(error)}


def _without_values(error: BaseException) -> BaseException:
    chain = list(_chain(error))
    if not any(isinstance(one, SQLAlchemyError) for one in chain):
        return error
    shown = [Hidden(_name(one)).with_traceback(one.__traceback__) for one in chain]
    for outer, inner in pairwise(shown):
        outer.__cause__ = inner
    return shown[0]


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """List an error and those that it comes from, as a traceback shows them."""
    while error is not None:
        yield error
        hidden = error.__suppress_context__
        error = error.__cause__ or (None if hidden else error.__context__)


def _name(error: BaseException) -> str:
    """Name an error's class; for a database's, the driver's error, its code and the constraint."""
    if not isinstance(error, SQLAlchemyError):
        return type(error).__name__
    orig = getattr(error, "orig", None) or error
    diagnosis = getattr(orig, "diag", None)
    parts = [type(orig).__name__, getattr(orig, "pgcode", None)]
    parts.append(getattr(diagnosis, "constraint_name", None))
    return " ".join(part for part in parts if part)


def public_message(error: BaseException) -> str:
    """Write an outage's message for HTTP clients: what is wrong, without names and paths."""
    found, orig = fault(error), getattr(error, "orig", None)
    if isinstance(error, NoAnswer) or getattr(orig, "is_silence", False):
        return "the database does not answer in time"
    codes = (getattr(orig, name, None) for name in _NUMBERS)
    known = {code & 0xFF if isinstance(code, int) else code for code in codes}
    if known.intersection(_FULL):
        return "the database cannot store anything: its disk is full"
    if known.intersection(_READ_ONLY):
        return "the database cannot store anything: it is read-only"
    if "53300" in known or isinstance(error, PoolTimeout):
        return "the database has no connection left"
    if found is Fault.REFUSES:
        return "the database refuses to store anything"
    if found is Fault.BUSY:
        return "the database is busy"
    return "the database cannot be reached"


class Reasons:
    """The reasons of an outage that were logged. The first one often does not say why it lasts.

    Each reason is logged once, whatever numbers it has, and at most _MOST_REASONS of them.
    """

    def __init__(self) -> None:
        self._told: set[str] = set()

    def is_new(self, told: str) -> bool:
        """Say whether a reason has to be logged; it counts as logged from now on."""
        kind = _NUMBER.sub("#", told)
        if kind in self._told or len(self._told) >= _MOST_REASONS:
            return False
        self._told.add(kind)
        return True

    def clear(self) -> None:
        """Forget the reasons: the outage is over."""
        self._told.clear()


class Outage:
    """The outage that this process sees now, if any. Its end and each reason are logged once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._since: float | None = None
        self._seen_at = 0.0
        self._error: BaseException | None = None
        self._reasons = Reasons()

    @property
    def seen(self) -> bool:
        """Whether no write has succeeded since the last failed one."""
        return self._since is not None

    def note(self, error: SQLAlchemyError) -> None:
        """Note that a write has failed; log each reason of an outage once."""
        words = reason(error)
        with self._lock:
            self._seen_at, self._error = time.monotonic(), error
            if self._since is None:
                self._since = self._seen_at
            is_new = self._reasons.is_new(words)
        if is_new:
            observe.event("database.away", level=30, error=words)

    def over(self) -> None:
        """Note that a write has succeeded; log the end of an outage."""
        with self._lock:
            since, self._since, self._error = self._since, None, None
            self._reasons.clear()
        if since is not None:
            observe.event("database.back", seconds=round(time.monotonic() - since, 1))

    def latest(self, within: float) -> BaseException | None:
        """Return the last error of the outage if it is not older than `within` seconds."""
        recent = self._since is not None and time.monotonic() - self._seen_at <= within
        return self._error if recent else None
