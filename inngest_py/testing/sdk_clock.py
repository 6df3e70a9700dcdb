"""The SDK makes a moment of a duration by the real time: in a test, by the test's clock.

Only what the SDK computes is changed. An app that reads the time itself reads the real time.
"""

from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime, timedelta
from unittest.mock import patch

import inngest
import orjson

# an event's time that is so near to the real time was not given by the app, but by the SDK
_NOW = timedelta(seconds=30)


def follow(stack: ExitStack, now: Callable[[], datetime]) -> None:
    """Let sleeps and RetryAfterError of the SDK go by a clock, until the stack is closed."""

    def sleep(step: inngest.StepSync, step_id: str, duration: int | timedelta) -> None:
        step.sleep_until(step_id, now() + _length(duration))

    async def sleep_async(step: inngest.Step, step_id: str, duration: int | timedelta) -> None:
        await step.sleep_until(step_id, now() + _length(duration))

    original = inngest.RetryAfterError.__init__

    def made(
        error: inngest.RetryAfterError,
        message: str | None,
        retry_after: int | timedelta | datetime,
        quiet: bool = False,
    ) -> None:
        moment = retry_after if isinstance(retry_after, datetime) else now() + _length(retry_after)
        original(error, message, moment, quiet)

    stack.enter_context(patch.object(inngest.StepSync, "sleep", sleep))
    stack.enter_context(patch.object(inngest.Step, "sleep", sleep_async))
    stack.enter_context(patch.object(inngest.RetryAfterError, "__init__", made))


def _length(given: int | timedelta) -> timedelta:
    return timedelta(milliseconds=given) if isinstance(given, int) else given


def without_real_times(body: bytes, real: datetime) -> bytes:
    """Take the times out of events that the SDK has stamped just now; the server stamps them."""
    try:
        events = orjson.loads(body)
    except ValueError:
        return body
    for event in events if isinstance(events, list) else [events]:
        ts = event.get("ts") if isinstance(event, dict) else None
        if isinstance(ts, int) and abs(ts / 1000 - real.timestamp()) < _NOW.total_seconds():
            del event["ts"]
    return orjson.dumps(events)
