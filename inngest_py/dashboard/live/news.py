"""News by server-sent events: when something has changed, pages fetch their content again.

One look at the database per second serves all viewers of a process; without viewers there is none.
A viewer costs a greenlet (a thread on a threaded server), but no database connection.
"""

import random
import threading
import time
from collections.abc import Callable, Iterator

from ... import observe
from ...engine.runtime.context import Context
from ...storage.db.outages import logged, outage
from ...storage.queries import figures

_EVERY_SECONDS = 1.0
# news are sent this often anyway: a cancelled run or a lost worker makes no new id
_AT_LEAST_SECONDS = 10.0
# the page's script calls a server gone that says nothing for 45 s
_KEEP_ALIVE_SECONDS = 15.0
_RECONNECT_SECONDS = 600.0
_MOST_FIRST = 2**40  # a browser's numbers are exact up to 2**53


class Pulse:
    """Sends news to the viewers of a process."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._changed = threading.Condition()
        # A page may open its stream at another process than made it, which has had other news: with
        # versions that no two processes share, that one sends news at once.
        self._version = random.SystemRandom().randrange(_MOST_FIRST)
        self._viewers = 0
        self._watching = False
        self._closed = False

    def send_news(self) -> None:
        """Send news to every viewer."""
        with self._changed:
            self._version += 1
            self._changed.notify_all()

    def close(self) -> None:
        """End every stream."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def viewers(self) -> int:
        """How many streams are open."""
        return self._viewers

    @property
    def version(self) -> int:
        """How many news there have been; a page names it when it asks for the next."""
        return self._version

    def stream(
        self, seen: int | None = None, clock: Callable[[], float] = time.monotonic
    ) -> Iterator[str]:
        """Write news as events, until the pulse is closed or the browser should reconnect.

        `seen` is the version of the page that asks: news since then come at once.
        """
        with self._changed:
            self._viewers += 1
            seen = self._version if seen is None else seen
            if not self._watching:
                self._watching = True
                threading.Thread(target=self._watch, name="pulse", daemon=True).start()
        try:
            yield "retry: 2000\n\n"
            end = clock() + _RECONNECT_SECONDS
            while not self._closed and clock() < end:
                with self._changed:
                    self._changed.wait_for(
                        lambda seen=seen: self._closed or self._version != seen,  # type: ignore[misc]
                        _KEEP_ALIVE_SECONDS,
                    )
                    news, seen = self._version != seen, self._version
                yield f"event: {'news' if news else 'alive'}\ndata: \n\n"
        finally:
            with self._changed:
                self._viewers -= 1

    def _watch(self) -> None:
        """Look for news while there are viewers."""
        known: object = None
        quiet = 0.0
        while True:
            with self._changed:
                if not self._viewers or self._closed:
                    self._watching = False
                    return
            found: object = known
            try:
                with self._ctx.db.reading() as tx:
                    found = figures.newest(tx)
            except Exception as error:  # viewers still get news by the clock
                level = 30 if outage(error) else 40
                observe.event("dashboard.pulse", level=level, **logged(error))
            quiet += _EVERY_SECONDS
            if found != known or quiet >= _AT_LEAST_SECONDS:
                known, quiet = found, 0.0
                self.send_news()
            time.sleep(_EVERY_SECONDS)
