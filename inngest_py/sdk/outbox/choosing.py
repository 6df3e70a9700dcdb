"""Which rows are sent next: pure rules over the waiting rows in the order of their ids.

The first waiting row of a key is its head. Whoever has the head has the key: no other relay sends a
row of it. A row without a key is a head by itself.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

MOST_EVENTS, MOST_BYTES = 100, 500_000  # of a request; many proxies take 1 MB
ALONE_AFTER = 3  # attempts; then a row is sent by itself, as one of its request may be the cause


class Row(NamedTuple):
    """A waiting row, without its event."""

    id: int
    key: str | None
    due_at: int
    attempts: int
    seed: str | None
    size: int


@dataclass(slots=True)
class Choice:
    """What is to be sent in one request: a request that was made before, or rows for a new one."""

    seed: str | None = None
    heads: list[int] = field(default_factory=list)
    followers: list[int] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Whether there is something."""
        return self.seed is not None or bool(self.heads)


class Chooser:
    """Looks at pages of rows, one after another, until there is something to send."""

    def __init__(self, now: int) -> None:
        self._now = now
        self._blocked: set[str] = set()

    def choose(self, page: Iterable[Row]) -> Choice:
        """Choose from the next page: as much of it as one request takes."""
        choice, chosen, size = Choice(), set[str](), 0
        for row in page:
            if row.key in self._blocked:
                continue
            follows = row.key in chosen
            if row.seed is not None or row.due_at > self._now:
                if not follows and row.seed is not None and row.due_at <= self._now and not choice:
                    return Choice(seed=row.seed)
                self._block(row, chosen)
                continue
            size += row.size
            if choice and (self._is_full(choice, size) or row.attempts >= ALONE_AFTER):
                return choice
            (choice.followers if follows else choice.heads).append(row.id)
            if row.attempts >= ALONE_AFTER:
                return choice
            if row.key is not None:
                chosen.add(row.key)
        return choice

    def _block(self, row: Row, chosen: set[str]) -> None:
        if row.key is not None:
            self._blocked.add(row.key)
            chosen.discard(row.key)

    @staticmethod
    def _is_full(choice: Choice, size: int) -> bool:
        return size > MOST_BYTES or len(choice.heads) + len(choice.followers) >= MOST_EVENTS
