"""Sleep: end at a time."""

import math
from collections.abc import Awaitable
from datetime import timedelta
from typing import overload

import inngest

from ..internals import AnyContext
from .arguments import check_id, milliseconds


@overload
def sleep(ctx: inngest.ContextSync, step_id: str, duration: timedelta | str) -> None: ...


@overload
def sleep(ctx: inngest.Context, step_id: str, duration: timedelta | str) -> Awaitable[None]: ...


def sleep(ctx: AnyContext, step_id: str, duration: timedelta | str) -> Awaitable[None] | None:
    """Sleep for a length of time: a timedelta, or text such as "3 days" or "1 hour 30 minutes".

    Parts of a second count as one. 366 days at most. Raises ValueError or TypeError.
    """
    check_id(ctx, step_id)
    # the server rounds to whole seconds: half a second would be none
    seconds = math.ceil(milliseconds("duration", duration) / 1000)
    return ctx.step.sleep(step_id, timedelta(seconds=seconds))
