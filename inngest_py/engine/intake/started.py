"""What a transaction started: the hints and signals that follow from its commit."""

import time
from dataclasses import dataclass, field
from itertools import chain

from sqlalchemy import Connection

from ... import observe
from ...domain.runs.items import ItemKind
from ...domain.values.urls import is_connect
from ...storage.db.sqlite_writer import at_end
from ..runtime.catalog import Function
from ..runtime.context import Context, Hint


@dataclass(slots=True)
class Started:
    """What a transaction started; hints and signals are sent after it has committed."""

    hints: list[Hint] = field(default_factory=list)
    runs: list[tuple[str, str, str]] = field(default_factory=list)  # run, function, event
    connected: dict[str, list[Hint]] = field(default_factory=dict)  # by connected app
    begun: bool = False  # some of it was claimed at once
    told: bool = False

    def join(self, other: "Started") -> None:
        """Add what else the same transaction started."""
        self.hints += other.hints
        self.runs += other.runs
        for app_id, hints in other.connected.items():
            self.connected.setdefault(app_id, []).extend(hints)

    def hint_at_start(self, function: Function, item_id: str) -> None:
        """Note that a run may begin now."""
        if is_connect(function.url):
            self.connected.setdefault(function.app_id, []).append((ItemKind.START, item_id))
        else:
            self.hints.append((ItemKind.START, item_id))

    def send(self, ctx: Context) -> None:
        """Send the hints and the signals; call after the commit."""
        if self.hints:
            ctx.hints.send(self.hints)
        for app_id, hints in self.connected.items():
            begin = ctx.connections.begin
            if begin is not None and ctx.connections.takes(app_id):
                begin(hints)
            else:
                ctx.hints.send(hints)
        self.tell()
        if self.begun:
            time.sleep(0)  # yield: else its work would not begin before this greenlet waits

    def tell(self, committed: bool = True) -> None:
        """Send the signals, if that was not done yet; call after the commit."""
        if self.told or not committed:
            return
        self.told = True
        for run_id, function_id, event_id in self.runs:
            observe.send(
                observe.run_queued, run_id=run_id, function_id=function_id, event_id=event_id
            )

    def begin(self, tx: Connection, ctx: Context) -> None:
        """Claim what may begin now in this process; the transaction writes no more after it."""
        if ctx.at_once is None:
            return
        hints = [*self.hints, *chain.from_iterable(self.connected.values())]
        if not hints:
            return
        at_end(tx, self.tell)  # before the signals of the starts
        self.hints, self.connected = ctx.at_once.claim(tx, ctx, hints), {}
        self.begun = len(self.hints) < len(hints)
