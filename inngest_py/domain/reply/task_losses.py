"""Failures that a worker tells and that are losses: its task may well run, or has run already.

A worker that gets a task that it does not know drops it; another one may know it, as while a new
version is rolled out. And Celery fails a task whose end it cannot publish, because the broker is
away just then, with the error of the broker.
"""

import re

from ..values.json_types import JsonObject

_UNKNOWN = "NotRegistered"
# the last part of a traceback: those before it are of exceptions that led to this one
_LAST = re.compile(r".*^Traceback \(most recent call last\):\n", re.DOTALL | re.MULTILINE)
# Celery's own frame that runs a task; its line is missing where the sources are
_FRAME = re.compile(r'  File "[^"\n]*\btrace\.py", line \d+, in trace_task\n    (?P<line>\S.*)\n')
_RUNS_TASK = "fun(*args, **kwargs)"
_OF_BROKERS = ("OperationalError", "BrokenPipeError", "TimeoutError", "OSError")


def loss_of(error: JsonObject) -> str | None:
    """Say in words how a task was lost, of the error that its worker told; None if it failed."""
    name, stack = str(error.get("name")), str(error.get("stack") or "")
    if name == _UNKNOWN and not stack:
        what = str(error.get("message")).removeprefix(_UNKNOWN).strip("()")
        return f"a worker got this task and has none of the name {what}: start workers that have it"
    if name not in _OF_BROKERS and "Connection" not in name:
        return None
    frame = _FRAME.search(_LAST.sub("", stack))  # the outermost: a task may run one in itself
    if frame is None or _RUNS_TASK in frame["line"]:
        return None  # the task itself raised it
    return f"its worker could not send the answer: {name}: {error.get('message')}"
