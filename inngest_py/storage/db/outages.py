"""Outages: errors that blame the database and not what it was given, their words, one line each.

Any error of a database that may pass by itself is an outage: what was to be written is kept and
tried again. Only what blames the values, such as a constraint that they break, is not.
"""

import re
import threading
import time
from enum import Enum
from typing import Any

from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from ... import observe
from .sockets import Silent


class Fault(Enum):
    """What is wrong with the database."""

    AWAY = "away"  # it cannot be reached, or does not answer
    REFUSES = "refuses"  # it answers, but does not take writes for now
    BUSY = "busy"  # other transactions are in the way: running again may cure it at once


class NoAnswer(SQLAlchemyError):
    """The database, or whoever writes to it, kept somebody waiting who has no time left."""


# SQLSTATE codes and classes: https://www.postgresql.org/docs/current/errcodes-appendix.html
_CODES = {
    "25006": Fault.REFUSES,  # read-only: a standby, or a disk that an operator protects
    "25P03": Fault.AWAY,  # idle_in_transaction_session_timeout has closed the session
    "25P04": Fault.BUSY,  # transaction_timeout
    "3D000": Fault.AWAY,  # the database does not exist
    "42501": Fault.REFUSES,  # rights are missing
    "53300": Fault.AWAY,  # too many connections
    "55P03": Fault.BUSY,  # lock_timeout
    "57014": Fault.BUSY,  # statement_timeout, or cancelled by an operator
}
_CLASSES = {
    "08": Fault.AWAY,  # the connection
    "28": Fault.AWAY,  # the login
    "40": Fault.BUSY,  # serialization failures and deadlocks
    "53": Fault.REFUSES,  # disk full, out of memory
    "55": Fault.REFUSES,  # an object is not in the state that is needed
    "57": Fault.AWAY,  # it stops, starts or recovers
    "58": Fault.REFUSES,  # the system under it fails, as its disk does
    "XX": Fault.REFUSES,  # it finds itself broken
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
    15: Fault.BUSY,  # its locks are in disorder
    26: Fault.REFUSES,  # the file is none of SQLite's
}
_FULL, _READ_ONLY = ("53100", 13), ("25006", 8)
_NUMBERS = ("pgcode", "sqlite_errorcode")
_MOST_CHARS = 500
_MOST_REASONS = 5  # told of one outage
# libpq's lines are sentences without full stops, but for those that go on with one: they are
# indented and have a small letter
_SENTENCE = re.compile(r"(?<![.?!:;,\s])\s*\n(?!\s+[a-z])")
_NUMBER = re.compile(r"\d+")
# a password that was not escaped in a URL ends up in the name of the host
_SECRETS = (
    (re.compile(r"(?<=://)[^\s/@]*@"), "***@"),
    (re.compile(r'(?<=")[^"\s]*@(?=[^"\s]*")'), "***@"),
    (re.compile(r"\b(password|passwd|sslpassword|passfile)(\s*[=:]\s*)\S+", re.I), r"\1\2***"),
)


def fault(error: BaseException | None) -> Fault | None:
    """Say what an error tells of the database; None when it blames what was to be written."""
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
    """Say whether a statement was ended by limit_time(), or by the limit of all."""
    return getattr(error.orig, "pgcode", None) == "57014"


def reason(error: BaseException) -> str:
    """Give what the driver says of an error, in a line and without secrets, for logs.

    Of an answer of the server that is the first line: the others may hold values of rows.
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


def logged(error: BaseException) -> dict[str, Any]:
    """Make the fields of a log line about an error: the driver's words of an outage.

    Of what a database refuses else only the name, since its words may hold values of rows; of
    everything that is not a database's the traceback.
    """
    if outage(error):
        return {"error": reason(error)}
    if not isinstance(error, SQLAlchemyError):
        return {"error": type(error).__name__, "exc_info": error}
    orig = getattr(error, "orig", None) or error
    diagnosis = getattr(orig, "diag", None)
    parts = [type(orig).__name__, getattr(orig, "pgcode", None)]
    parts.append(getattr(diagnosis, "constraint_name", None))
    return {"error": " ".join(part for part in parts if part)}


def told(error: BaseException) -> str:
    """Word an outage for those who ask over HTTP: what is wrong, without names and paths."""
    found = fault(error)
    if isinstance(error, NoAnswer) or isinstance(getattr(error, "orig", None), Silent):
        return "the database does not answer in time"
    codes = (getattr(getattr(error, "orig", None), name, None) for name in _NUMBERS)
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
    """What was told of an outage: how it began often says nothing of why it lasts.

    Each reason is told once, whatever its numbers are, and no more than a few of them.
    """

    def __init__(self) -> None:
        self._told: set[str] = set()

    def is_new(self, told: str) -> bool:
        """Say whether a reason has to be told; it counts as told from now on."""
        kind = _NUMBER.sub("#", told)
        if kind in self._told or len(self._told) >= _MOST_REASONS:
            return False
        self._told.add(kind)
        return True

    def clear(self) -> None:
        """Forget them: the outage is over."""
        self._told.clear()


class Outage:
    """The outage that this process sees now, if any: its end and each of its reasons told once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._since: float | None = None
        self._seen_at = 0.0
        self._error: BaseException | None = None
        self._reasons = Reasons()

    @property
    def seen(self) -> bool:
        """Whether no write has succeeded since the last that did not."""
        return self._since is not None

    def note(self, error: SQLAlchemyError) -> None:
        """Take note of a write that failed; log each reason of an outage once."""
        words = reason(error)
        with self._lock:
            self._seen_at, self._error = time.monotonic(), error
            if self._since is None:
                self._since = self._seen_at
            is_new = self._reasons.is_new(words)
        if is_new:
            observe.event("database.away", level=30, error=words)

    def over(self) -> None:
        """Take note of a write that succeeded; log the end of an outage."""
        with self._lock:
            since, self._since, self._error = self._since, None, None
            self._reasons.clear()
        if since is not None:
            observe.event("database.back", seconds=round(time.monotonic() - since, 1))

    def latest(self, within: float) -> BaseException | None:
        """Give the last error of an outage, not older than so many seconds."""
        recent = self._since is not None and time.monotonic() - self._seen_at <= within
        return self._error if recent else None
