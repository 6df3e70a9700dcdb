"""Run items without messages while the broker is away.

A worker then runs, in its main process, the items it would send hints of: those that upkeep finds
in the database, and those that follow from its own runs. This works for every pool. Under prefork
the main process uses threads, since its children can only get work as messages of the broker.
"""

import os
import threading
from collections.abc import Sequence

from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError, TimeoutError

from ... import observe
from ...domain.runs.items import ItemKind
from ...engine.work import run_item
from ...storage.db.outages import logged, outage
from ..items import Runner
from ..runtime import Runtime


class Direct:
    """Runs items in threads or greenlets, as many as the worker has free calls for."""

    def __init__(self, runtime: Runtime, runner: Runner) -> None:
        self._runtime, self._runner = runtime, runner
        self._pid = os.getpid()
        self._stopping = False
        self._lock = threading.Lock()
        self._running = 0

    def begin(self, kind: ItemKind, item_ids: Sequence[str]) -> None:
        """Begin to run the first of the items; the others stay due until upkeep looks again."""
        if self._stopping or os.getpid() != self._pid:
            return
        try:
            free = self._free()
        except SQLAlchemyError as error:
            if not outage(error):  # upkeep, which looks for due items, logs an outage
                observe.event("item.failed", level=40, **logged(error))
            return
        for item_id in item_ids[: max(0, free)]:
            with self._lock:
                self._running += 1
            threading.Thread(target=self._run, args=(kind, item_id), daemon=True).start()

    @property
    def is_busy(self) -> bool:
        """Whether an item runs here."""
        return self._running > 0

    def stop(self) -> None:
        """Begin no more items."""
        self._stopping = True

    def _free(self) -> int:
        """Count the calls that the worker may begin; its children's leases have its worker id."""
        held = run_item.count_leased(self._runtime.context())
        with self._lock:
            return self._runtime.slots - max(held, self._running)

    def _run(self, kind: ItemKind, item_id: str) -> None:
        try:
            self._runner.run_one(kind, item_id)
        except (OperationalError, InterfaceError, TimeoutError):  # not claimed: still due
            pass
        except Exception as error:
            observe.event("item.failed", level=40, item_id=item_id, **logged(error))
        finally:
            with self._lock:
                self._running -= 1
