"""Lines for slots: let in items that no transaction let in, such as after a pause of a function.

Each look reads a bounded number of lines, without locks, and starts where the last look ended:
thousands of lines that rightly wait cost a few reads per second.
"""

from ...storage.queue import concurrency_slots
from ..flow import concurrency
from ..runtime.context import Context

_AT_ONCE = 50


class StuckLines:
    """The service; `after` is the group that was read last."""

    def __init__(self) -> None:
        self.after = ""

    def run_once(self, ctx: Context) -> bool:
        """Let in the first of each line where there is room."""
        now, firsts = ctx.now(), dict[str, str]()
        with ctx.db.reading() as tx:
            if not concurrency_slots.anything_waits(tx):
                return False
            while len(firsts) < _AT_ONCE and (found := concurrency_slots.next_line(tx, self.after)):
                self.after, run_id = found
                firsts[self.after] = run_id
            if len(firsts) < _AT_ONCE:
                self.after = ""
            lines = concurrency.with_room(tx, ctx, firsts, now) if firsts else {}
        if not lines:
            return False
        with ctx.db.transaction() as tx:
            hints = concurrency.let_in(tx, ctx, lines, now)
        if hints:
            ctx.hints.send(hints)
        return False
