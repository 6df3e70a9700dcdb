"""Why a task failed or is retried, as the events of workers tell it: a repr and a traceback."""

import re

from ...domain.reply.task_answers import EXPIRED
from ...domain.values.json_types import JsonObject

_CALL = re.compile(r"(?P<name>[A-Za-z_][\w.]*)\((?P<rest>.*)\)", re.DOTALL)
_MOST_CHARS = 20_000
# billiard's own, around what its main process raises: a lost process, a time limit
_WRAPPER = "ExceptionWithTraceback"
# its frames are indented, the lines of a message need not be
_TRACEBACK = re.compile(
    r"Traceback \(most recent call last\):\n(?: .*\n)*(?P<name>[^\s:]+)(?:: ?(?P<message>(?s:.*)))?"
)
_BETWEEN = re.compile(
    r"\n\n(?:During handling of the above exception, another exception occurred"
    r"|The above exception was the direct cause of the following exception):\n\n"
)


def reason_of(event: JsonObject) -> JsonObject:
    """Make an error of what the event of a failure says."""
    return _reason(*_told(event))


def _told(event: JsonObject) -> tuple[str, str]:
    return str(event.get("exception")), str(event.get("traceback") or "")


def _reason(exception: str, stack: str) -> JsonObject:
    found, (raised, message) = _CALL.fullmatch(exception), _ends(stack)[-1]
    if found and found["name"] == _WRAPPER and raised:
        found = None
    name = found["name"] if found else raised or exception.partition(":")[0] or "TaskFailed"
    return {
        "name": name[:255],
        "message": (message or exception)[:_MOST_CHARS],
        "stack": stack[-_MOST_CHARS:],
    }


def _ends(stack: str) -> list[tuple[str, str]]:
    """List the name and the message, with all its lines, of each exception of a traceback.

    They are in the order in which they were raised; both are empty for text that is no traceback.
    """
    found = (_TRACEBACK.fullmatch(part) for part in _BETWEEN.split(stack.strip()))
    ends = [(one["name"].rpartition(".")[2], one["message"] or "") for one in found if one]
    return ends or [("", stack.strip().rpartition("\n")[2].partition(": ")[2])]


def retry_reason_of(event: JsonObject) -> JsonObject:
    """Make an error of what the event of a retry says.

    The traceback ends with Celery's `Retry`; the exception that caused it, if any, stands before.
    """
    exception, stack = _told(event)
    if exception == "None":  # self.retry() without an exception
        return _reason("Retry()", stack)
    reason = _reason(exception, stack)
    name = str(reason["name"]).rpartition(".")[2]
    said = [message for raised, message in _ends(stack) if raised == name]
    return reason | {"message": (said[-1] if said else exception)[:_MOST_CHARS]}


def dropped_reason_of(event: JsonObject) -> JsonObject:
    """Make an error of the event of a task that a worker has not run to its end."""
    if event.get("expired"):
        return {"name": EXPIRED, "message": "its deadline was over when a worker got the task"}
    what = "revoked" if event.get("type") == "task-revoked" else "rejected"
    return {"name": "TaskRevoked", "message": f"the task was {what} in the app's worker"}
