"""Functions that start themselves, again and again at one moment: their test would never end."""

from collections import Counter
from datetime import datetime

from ..storage.db.in_memory import InMemory
from ..storage.queries import run_list
from ..storage.queries.run_filters.run_query import RunQuery
from .errors import InngestTestError

# The first rounds are not looked at, so other tests pay nothing. A round takes 10 ms, and code that
# works on page after page by starting itself has fewer.
_UNSEEN, MOST_GENERATIONS = 100, 200
_COLUMNS = ("id", "function_slug", "event_name")


class SelfStarts:
    """Counts at one moment the rounds of work in which a function had new runs."""

    def __init__(self) -> None:
        self._rounds = 0
        self._newest = ""
        self._generations: Counter[str] = Counter()

    def look(self, db: InMemory, now: datetime) -> None:
        """Look at the runs that a round has started. Raises InngestTestError for an endless row."""
        self._rounds += 1
        if self._rounds <= _UNSEEN:
            return
        with db.reading() as tx:
            [*rows] = run_list.look(tx, RunQuery(), limit=1, columns=_COLUMNS).rows
        if not rows or rows[0]["id"] == self._newest:
            return
        self._newest = rows[0]["id"]
        function = rows[0]["function_slug"]
        self._generations[function] += 1
        if self._generations[function] > MOST_GENERATIONS:
            raise InngestTestError(
                f"the function {function} seems to start itself without end: at"
                f" {now:%Y-%m-%dT%H:%M:%SZ}, {MOST_GENERATIONS} of its runs have begun one after"
                f" the other, the last by the event {rows[0]['event_name']!r}. If that is meant to"
                " end, let it sleep between its runs, and move the clock"
            )
