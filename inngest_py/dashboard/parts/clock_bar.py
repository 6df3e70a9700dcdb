"""The bar of a server with a virtual clock: where the clock is, and what a command was refused for.

A browser without scripts is sent back to the page where the form was. So a refusal is kept until
that browser's next page.
"""

import re
from dataclasses import dataclass, field
from datetime import timedelta
from threading import Lock
from urllib.parse import urlsplit

from flask import g, request
from sqlalchemy.exc import SQLAlchemyError

from ...engine.clock.mover import ClockState, Mover
from ..places import here

_MOST_REFUSALS = 100
_ID = re.compile(r"\b[0-7][0-9A-HJKMNP-TV-Z]{25}\b")
_SECOND, _MINUTE, _HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the last command of a browser was refused; `command` is its form.

    `is_far` says that the command can be confirmed.
    """

    text: str
    command: dict[str, str]
    is_far: bool = False


@dataclass(frozen=True, slots=True)
class ClockBar:
    """What the bar shows; `back` is the page that its forms lead back to."""

    state: ClockState
    refusal: Refusal | None
    back: str

    @property
    def ahead(self) -> timedelta | None:
        """How far the clock is ahead of the real time, or behind it; None if it shows that.

        It is rounded, as people move clocks by whole hours and days.
        """
        found = self.state.now - self.state.real
        unit = _SECOND if abs(found) < _HOUR else _MINUTE
        return round(found / unit) * unit or None

    @property
    def runs(self) -> list[str]:
        """The runs that a move waits for, which the bar links to."""
        return _ID.findall(self.state.waits_for or "")


@dataclass(slots=True)
class ClockControl:
    """The mover of a server, with the refusals that browsers have not seen yet."""

    mover: Mover
    _lock: Lock = field(default_factory=Lock)
    _refusals: dict[str, Refusal] = field(default_factory=dict)

    def keep(self, refusal: Refusal) -> None:
        """Keep a refusal for the next page of this request's browser."""
        with self._lock:
            while len(self._refusals) >= _MOST_REFUSALS:
                del self._refusals[next(iter(self._refusals))]
            self._refusals[g.cookie] = refusal

    def shown(self, refusal: Refusal | None = None) -> ClockBar | None:
        """Read what the bar shows; None while the database is away."""
        try:
            state = self.mover.state()
        except SQLAlchemyError:  # the page says so itself
            return None
        if refusal is None and "HX-Request" not in request.headers:
            with self._lock:
                refusal = self._refusals.pop(g.get("cookie", ""), None)
        return ClockBar(state, refusal, _here())


def _here() -> str:
    """Return the page that is shown; of a form's answer, the page where the form was."""
    current = request.headers.get("HX-Current-URL")
    if request.method == "GET" and current is None:
        return here()
    parts = urlsplit(current or request.referrer or "")
    return parts.path + (f"?{parts.query}" if parts.query else "")
