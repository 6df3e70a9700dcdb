"""What each kind of item asks for: a function per kind, which gives the plan and the call.

Each does its work without a database connection and without a change of rows; `apply` writes the
plan afterwards. None instead of a plan means that a Celery app has the
item now, or that it waits for a worker to connect.
"""

from collections.abc import Callable

from ....domain.reply.plans import Plan
from ....domain.runs.items import ItemKind
from ...runtime.context import Context
from ...runtime.jobs import Job
from ..writes import Call
from .gateway import call_gateway
from .request import send_request
from .sleep import end_sleep
from .task import run_tasks
from .timeout import time_out
from .wait import end_wait

Handler = Callable[[Context, Job], tuple[Plan, Call] | None]
_HANDLERS: dict[ItemKind, Handler] = {
    ItemKind.SLEEP: end_sleep,
    ItemKind.GATEWAY: call_gateway,
    ItemKind.TIMEOUT: time_out,
    ItemKind.WAIT: end_wait,
}


def handler_of(job: Job) -> Handler:
    """Give the handler of an item's kind: the app is asked where no other is named."""
    handler = _HANDLERS.get(job.item.kind)
    if handler is not None:
        return handler
    return send_request if job.function.config.celery is None else run_tasks
