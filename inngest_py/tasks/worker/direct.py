"""Running directly what the broker cannot carry.

While the broker is away, workers run in their main process what they would send hints of: what
upkeep finds in the database, and what follows from their own runs. Every pool can do it: the main
process of prefork has threads, and its children need the broker's messages.
"""

import os
import threading
from collections.abc import Sequence

from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError, TimeoutError

from ... import observe
from ...domain.runs.items import ItemKind
from ...storage.queue import leases
from ..items import Runner
from ..runtime import Runtime


class Direct:
    """Runs items in threads, or greenlets, as far as the worker has calls free."""

    def __init__(self, runtime: Runtime, runner: Runner) -> None:
        self._runtime, self._runner = runtime, runner
        self._pid = os.getpid()
        self._stopping = False
        self._lock = threading.Lock()
        self._running = 0

    def take(self, kind: ItemKind, item_ids: Sequence[str]) -> None:
        """Begin to run the first of them; the others stay due, for the next look of upkeep."""
        if self._stopping or os.getpid() != self._pid:
            return
        try:
            free = self._free()
        except SQLAlchemyError:  # what looks for due items tells that the database is away
            return
        for item_id in item_ids[: max(0, free)]:
            with self._lock:
                self._running += 1
            threading.Thread(target=self._run, args=(kind, item_id), daemon=True).start()

    @property
    def is_busy(self) -> bool:
        """Whether something runs."""
        return self._running > 0

    def stop(self) -> None:
        """Begin nothing more."""
        self._stopping = True

    def _free(self) -> int:
        """Count the calls that the worker may begin; its children hold leases in its name."""
        ctx = self._runtime.context()
        with ctx.db.reading() as tx:
            held = leases.held(tx, ctx.worker_id)
        with self._lock:
            return self._runtime.slots - max(held, self._running)

    def _run(self, kind: ItemKind, item_id: str) -> None:
        try:
            self._runner.run_one(kind, item_id)
        except (OperationalError, InterfaceError, TimeoutError):  # not claimed: it is found again
            pass
        except Exception as error:
            observe.event("item.failed", level=40, exc_info=error, item_id=item_id)
        finally:
            with self._lock:
                self._running -= 1
