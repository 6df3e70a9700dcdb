"""Operations: do their chunks, each when it is due."""

from datetime import datetime, timedelta

from ..operations import walk
from ..runtime.context import SHORTEST_DELAY, Context

EVERY = timedelta(seconds=1)


class Operations:
    """The service of operations; it looks at one index entry a second while none is running."""

    def __init__(self) -> None:
        self._next: datetime | None = None

    def run_once(self, ctx: Context) -> bool:
        """Do a chunk, if one is due; other workers do those of other operations meanwhile."""
        self._next = walk.next_due(ctx)
        if self._next is None or self._next > ctx.real_now():
            return False
        return walk.next_chunk(ctx)

    def delay(self, ctx: Context, longest: timedelta) -> timedelta:
        """Say how long to wait for the next chunk: until it is due, if that is earlier."""
        if self._next is None:
            return longest
        return min(longest, max(self._next - ctx.real_now(), SHORTEST_DELAY))
