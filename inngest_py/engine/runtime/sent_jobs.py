"""Jobs of Celery tasks that this process has sent: their answers need not be read from rows."""

import threading
from collections import OrderedDict

from ...domain.canvas.interpret import Call
from .jobs import Job

_MOST = 2048  # a job takes 4 kB
_MOST_CHARS = 8192  # of the event of its run, and of its arguments from tasks before it


class SentJobs:
    """Keeps the newest; the oldest make room. Safe across threads.

    What is kept may be out of date: another process may have the item by now, or the run may have
    ended. So whoever writes with it must be fenced by the item's lease and the run's status, and
    read the rows if that fails.
    """

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[Job, Call]] = OrderedDict()  # by item

    def keep(self, job: Job, call: Call) -> None:
        """Keep the job of a task that is being sent, unless much belongs to it."""
        run, given = job.run, job.item.opts or ""
        if run.events or run.input or job.memo or max(len(run.event), len(given)) > _MOST_CHARS:
            return
        with self._lock:
            self._kept[job.item.id] = job, call
            if len(self._kept) > self._most:
                self._kept.popitem(last=False)

    def take(self, item_id: str, attempt: int) -> tuple[Job, Call] | None:
        """Take what is kept of an attempt; None if nothing is."""
        with self._lock:
            found = self._kept.pop(item_id, None)
        return None if found is None or found[0].item.attempt != attempt else found
