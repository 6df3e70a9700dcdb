"""Why a task failed, read from the events of workers."""

import traceback

import pytest
from billiard.einfo import ExceptionInfo
from billiard.exceptions import TimeLimitExceeded, WorkerLostError

from inngest_py.tasks.celery_apps.event_reasons import reason_of, retry_reason_of


class Odd(Exception):
    def __repr__(self) -> str:
        return "<odd>"


class Retry(Exception):
    """Ends the traceback of Celery's own retry."""


def told(error: Exception, cause: Exception | None = None, then: Exception | None = None) -> str:
    """Raise an error, while another is handled or because of it; return its traceback."""
    try:
        try:
            if then is None:
                raise error from cause
            raise error
        except Exception:
            if then is not None:
                raise then  # noqa: B904 - as a retry does while an error is handled
            raise
    except Exception:
        return traceback.format_exc()


LINES = "2 fields are wrong\n  order: is missing\nValueError: inside\n\nmore"


@pytest.mark.parametrize(
    ("error", "cause", "name", "message"),
    [
        (ValueError("no"), None, "ValueError", "no"),
        (ValueError("a: b"), None, "ValueError", "a: b"),
        (ValueError(LINES), None, "ValueError", LINES),
        (ValueError("no"), KeyError(LINES), "ValueError", "no"),
        (ValueError(), None, "ValueError", "ValueError()"),
        (Odd(LINES), None, "Odd", LINES),
    ],
)
def test_reason_has_the_whole_message(
    error: Exception, cause: Exception | None, name: str, message: str
) -> None:
    event = {"exception": repr(error), "traceback": told(error, cause)}
    found = reason_of(event)
    assert (found["name"], found["message"]) == (name, message)


@pytest.mark.parametrize(
    ("error", "name", "message"),
    [
        (WorkerLostError("signal 9 (SIGKILL) Job: 3."), "WorkerLostError", "signal 9 (SIGKILL) J"),
        (TimeLimitExceeded(5), "TimeLimitExceeded", "TimeLimitExceeded(5,)"),
    ],
)
def test_reason_is_what_the_pool_has_wrapped(error: Exception, name: str, message: str) -> None:
    try:
        raise error
    except Exception:
        info = ExceptionInfo()
    found = reason_of({"exception": repr(info.exception), "traceback": info.traceback})
    assert found["name"] == name
    assert str(found["message"]).startswith(message)


@pytest.mark.parametrize("text", ["", "no traceback"])
def test_reason_without_a_traceback_is_the_exception(text: str) -> None:
    found = reason_of({"exception": "WorkerLostError('signal 9')", "traceback": text})
    assert (found["name"], found["message"]) == ("WorkerLostError", "WorkerLostError('signal 9')")


def test_reason_of_a_retry_is_what_caused_it() -> None:
    error = ValueError(LINES)
    event = {"exception": repr(error), "traceback": told(error, then=Retry("Retry in 0s"))}
    found = retry_reason_of(event)
    assert (found["name"], found["message"]) == ("ValueError", LINES)


def test_reason_of_a_retry_without_an_exception_is_the_retry() -> None:
    event = {"exception": "None", "traceback": told(ValueError("no"), then=Retry("Retry in 0s"))}
    found = retry_reason_of(event)
    assert (found["name"], found["message"]) == ("Retry", "Retry in 0s")
