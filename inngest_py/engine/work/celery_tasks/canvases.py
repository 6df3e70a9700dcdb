"""The canvas of a run, read once per process while the run's tasks are worked on."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime

from ....domain.canvas import interpret, signatures
from ....domain.canvas.interpret import Moves
from ....domain.canvas.nodes import Canvas, is_line
from ....domain.errors import Invalid, NotFound
from ....domain.events.event_record import INVOKED
from ....domain.functions import task_inputs
from ....domain.functions.function_config import FunctionConfig
from ....domain.steps import tasks
from ....domain.values import canonical
from ...runtime.context import Context
from ...runtime.jobs import Job
from . import workflows

_MOST = 2048  # a chain of five takes 3 kB
_MOST_CHARS = 32 * 1024 * 1024  # of the events they were read from; in memory they are larger


class _Canvases:
    """The canvases that were used last, by their runs' ids; safe across threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._read: OrderedDict[str, tuple[Canvas, int, bool]] = OrderedDict()
        self._chars = 0

    def get(self, run_id: str) -> Canvas | None:
        with self._lock:
            known = self._read.get(run_id)
            if known is None:
                return None
            self._read.move_to_end(run_id)
            return known[0]

    def is_line(self, run_id: str) -> bool:
        with self._lock:
            known = self._read.get(run_id)
            return known is not None and known[2]

    def put(self, run_id: str, canvas: Canvas, chars: int) -> None:
        with self._lock:
            before = self._read.pop(run_id, None)
            self._chars += chars - (0 if before is None else before[1])
            self._read[run_id] = canvas, chars, is_line(canvas)
            while len(self._read) > 1 and (len(self._read) > _MOST or self._chars > _MOST_CHARS):
                self._chars -= self._read.popitem(last=False)[1][1]


_canvases = _Canvases()


def of_run(ctx: Context, job: Job) -> Canvas:
    """Read the canvas of a job's run. Raises Invalid, which names what is wrong with it."""
    run, task = job.run, job.function.config.celery
    known = _canvases.get(run.id)
    if known is None:
        if task is not None and task.workflow:
            known = workflows.of_run(ctx, run.id, task.queue)
        else:
            known = signatures.read(_signature(ctx, job))
        _canvases.put(run.id, known, max(len(run.event), sum(map(len, run.events))))
    return known


def has_one_task_at_a_time(job: Job) -> bool:
    """Say whether a run is known to have no other task than the job's under way."""
    return _canvases.is_line(job.run.id)


def errbacks(ctx: Context, job: Job, path: str) -> Moves:
    """Say what the failure of a task calls; nothing when the run has no canvas any more."""
    try:
        name = tasks.task_id(job.item.id, job.item.attempt)
        return interpret.failed(of_run(ctx, job), path, name)
    except (Invalid, NotFound):
        return Moves(ended=True)


def _signature(ctx: Context, job: Job) -> object:
    config, run = job.function.config, job.run
    if config.celery is None:
        raise Invalid(f"function {job.function.slug} is not a Celery task any more")
    return _of_events(config, run.event_name, run.events or (run.event,), ctx.now())


def read(config: FunctionConfig, event_name: str, events: Sequence[str], now: datetime) -> Canvas:
    """Read the canvas that events (JSON) start. Raises Invalid."""
    return signatures.read(_of_events(config, event_name, events, now))


def _of_events(
    config: FunctionConfig, event_name: str, events: Sequence[str], now: datetime
) -> object:
    given = [canonical.loads(event) for event in events]
    return task_inputs.signature(config, given, invoked=event_name == INVOKED, now=now)
