"""What each kind of item asks for: a function per kind, which gives the plan and the call.

Each does its work without a database connection and without a change of rows; `apply` writes the
plan afterwards.
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
from .timeout import time_out
from .wait import end_wait

Handler = Callable[[Context, Job], tuple[Plan, Call]]
_HANDLERS: dict[ItemKind, Handler] = {
    ItemKind.SLEEP: end_sleep,
    ItemKind.GATEWAY: call_gateway,
    ItemKind.TIMEOUT: time_out,
    ItemKind.WAIT: end_wait,
}


def handler_of(kind: ItemKind) -> Handler:
    """Give the handler of an item's kind: the app is asked where no other is named."""
    return _HANDLERS.get(kind, send_request)
