"""Failures of Celery tasks that are losses, told by what workers say of them."""

import pytest

from inngest_py.domain.reply.task_losses import loss_of

_HEAD = "Traceback (most recent call last):\n"
_CELERY = "/site-packages/celery/app"
_CAUSE = "\nThe above exception was the direct cause of the following exception:\n\n"
_WHILE = "\nDuring handling of the above exception, another exception occurred:\n\n"
REFUSED = "[Errno 111] Connection refused"


def part(line: str, end: str) -> str:
    """Write a traceback as Celery does; `line` is that of its frame which runs tasks."""
    first = f'  File "{_CELERY}/trace.py", line 599, in trace_task\n    {line}\n    ^^^^^^\n'
    return f'{_HEAD}{first}  File "/x/kombu/connection.py", line 1, in f\n    raise\n{end}\n'


OS_ERROR = f'{_HEAD}  File "/x/socket.py", line 1, in f\n    raise\nOSError: {REFUSED}\n'
BROKER = f"kombu.exceptions.OperationalError: {REFUSED}"
RUN = "R = retval = fun(*args, **kwargs)"
ON_ERROR = "I, R, state, retval = on_error(task_request, exc)"


def from_pool(stack: str) -> str:
    """Put the frames of the pool before it, as where the errback could not be sent either."""
    pool = '  File "/x/billiard/pool.py", line 369, in workloop\n    r = fun(*args, **kwargs)\n'
    fast = f'  File "{_CELERY}/trace.py", line 798, in fast_trace_task\n    R = tasks[task]\n'
    return stack.replace(_HEAD, _HEAD + pool + fast)


NESTED = part(RUN, "").rstrip() + "\n" + part("_dispatch(", BROKER).removeprefix(_HEAD)


@pytest.mark.parametrize(
    "stack",
    [
        part("_dispatch_callbacks_and_chain(", BROKER),
        OS_ERROR + _CAUSE + part("sig.apply_async(", BROKER),
        part(RUN, "ValueError: no") + _WHILE + part(ON_ERROR, BROKER),
        OS_ERROR + _CAUSE + from_pool(part(ON_ERROR, BROKER)),
    ],
)
def test_answer_that_could_not_be_sent_is_lost(stack: str) -> None:
    error = {"name": "OperationalError", "message": REFUSED, "stack": stack}
    assert loss_of(error) == f"its worker could not send the answer: OperationalError: {REFUSED}"


@pytest.mark.parametrize(
    ("name", "stack"),
    [
        ("OperationalError", part(RUN, BROKER)),  # the task's own use of a broker
        ("OperationalError", OS_ERROR + _CAUSE + part(RUN, BROKER)),
        ("OperationalError", part("_dispatch(", "x") + _CAUSE + part(RUN, BROKER)),
        ("OperationalError", from_pool(part(RUN, BROKER))),
        ("OperationalError", NESTED),
        ("OperationalError", ""),
        ("OperationalError", "not a traceback"),
        ("EncodeError", part("_dispatch_callbacks_and_chain(", "EncodeError: no")),  # no JSON
        ("ValueError", part(RUN, "ValueError: no")),
        ("NotRegistered", part(RUN, "NotRegistered: 'shop.add'")),
    ],
)
def test_failure_of_the_task_is_none(name: str, stack: str) -> None:
    assert loss_of({"name": name, "message": REFUSED, "stack": stack}) is None


def test_task_that_its_worker_does_not_know_is_lost() -> None:
    told = {"name": "NotRegistered", "message": "NotRegistered('shop.add')", "stack": ""}
    assert loss_of(told) == (
        "a worker got this task and has none of the name 'shop.add': start workers that have it"
    )
