"""Why a task failed or is retried, as the events of workers tell it: a repr and a traceback."""

import re

from ...domain.reply.task_answers import EXPIRED
from ...domain.values.json_types import JsonObject

_CALL = re.compile(r"(?P<name>[A-Za-z_][\w.]*)\((?P<rest>.*)\)", re.DOTALL)
_MOST_CHARS = 20_000


def reason_of(event: JsonObject) -> JsonObject:
    """Make an error of what the event of a failure says."""
    return _reason(*_told(event))


def _told(event: JsonObject) -> tuple[str, str]:
    return str(event.get("exception")), str(event.get("traceback") or "")


def _reason(exception: str, stack: str) -> JsonObject:
    last = stack.strip().rpartition("\n")[2]
    found = _CALL.fullmatch(exception)
    name = found["name"] if found else exception.partition(":")[0] or "TaskFailed"
    _, colon, message = last.partition(": ")
    return {
        "name": name[:255],
        "message": (message if colon else exception)[:_MOST_CHARS],
        "stack": stack[-_MOST_CHARS:],
    }


def retry_reason_of(event: JsonObject) -> JsonObject:
    """Make an error of what the event of a retry says.

    The traceback ends with Celery's `Retry`; the exception that caused it, if any, stands before.
    """
    exception, stack = _told(event)
    if exception == "None":  # self.retry() without an exception
        return _reason("Retry()", stack)
    name = _reason(exception, "")["name"]
    said = re.findall(rf"^(?:\w+\.)*{re.escape(str(name))}: (.*)$", stack, re.MULTILINE)
    return _reason(exception, stack) | {"message": (said[-1] if said else exception)[:_MOST_CHARS]}


def dropped_reason_of(event: JsonObject) -> JsonObject:
    """Make an error of the event of a task that a worker has not run to its end."""
    if event.get("expired"):
        return {"name": EXPIRED, "message": "its deadline was over when a worker got the task"}
    what = "revoked" if event.get("type") == "task-revoked" else "rejected"
    return {"name": "TaskRevoked", "message": f"the task was {what} in the app's worker"}
