"""The canvas of a run, read once per process while the run's tasks are worked on."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime

from ...domain.canvas import interpret, signatures
from ...domain.canvas.interpret import Moves
from ...domain.canvas.nodes import Canvas
from ...domain.errors import Invalid, NotFound
from ...domain.events.event_record import INVOKED
from ...domain.functions import task_inputs
from ...domain.functions.function_config import FunctionConfig
from ...domain.steps import tasks
from ...domain.values import canonical
from ..runtime.jobs import Job

_MOST = 256
_MOST_CHARS = 32 * 1024 * 1024  # of the events they were read from; in memory they are larger

_lock = threading.Lock()
_read: OrderedDict[str, tuple[Canvas, int]] = OrderedDict()


def of_run(job: Job, now: datetime) -> Canvas:
    """Read the canvas of a job's run. Raises Invalid, which names what is wrong with it."""
    with _lock:
        known = _read.get(job.run.id)
        if known is not None:
            _read.move_to_end(job.run.id)
            return known[0]
    made = signatures.read(_signature(job, now))
    with _lock:
        _read[job.run.id] = made, max(len(job.run.event), sum(map(len, job.run.events)))
        chars = sum(size for _, size in _read.values())
        while len(_read) > 1 and (len(_read) > _MOST or chars > _MOST_CHARS):
            chars -= _read.popitem(last=False)[1][1]
    return made


def errbacks(job: Job, path: str, now: datetime) -> Moves:
    """Say what the failure of a task calls; nothing when the run has no canvas any more."""
    try:
        name = tasks.task_id(job.item.id, job.item.attempt)
        return interpret.failed(of_run(job, now), path, name)
    except (Invalid, NotFound):
        return Moves(ended=True)


def _signature(job: Job, now: datetime) -> object:
    config, run = job.function.config, job.run
    if config.celery is None:
        raise Invalid(f"function {job.function.slug} is not a Celery task any more")
    return _of_events(config, run.event_name, run.events or (run.event,), now)


def read(config: FunctionConfig, event_name: str, events: Sequence[str], now: datetime) -> Canvas:
    """Read the canvas that events (JSON) start. Raises Invalid."""
    return signatures.read(_of_events(config, event_name, events, now))


def _of_events(
    config: FunctionConfig, event_name: str, events: Sequence[str], now: datetime
) -> object:
    given = [canonical.loads(event) for event in events]
    return task_inputs.signature(config, given, invoked=event_name == INVOKED, now=now)
