"""What a run waits for, and what a test has to do about it."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from ..domain.reports.why import Reason
from ..engine.admin import why_run_waits
from ..engine.runtime.context import Context

_MOST_LEVELS = 20  # of functions that invoke functions


def reasons(ctx: Context, run_id: str, level: int = 0) -> Iterator[Reason]:
    """List what a run waits for; for a run that it invoked, what that waits for."""
    for reason in why_run_waits.of_run(ctx, run_id).reasons:
        child = reason.details.get("run_id") if reason.kind == "invoke" else None
        if isinstance(child, str) and level < _MOST_LEVELS:
            yield from reasons(ctx, child, level + 1)
        else:
            yield reason


def retry_at(found: list[Reason]) -> datetime | None:
    """Say when the first retry comes; None without one."""
    return min(
        (one.until for one in found if one.kind == "retry" and one.until is not None), default=None
    )


def advice(found: list[Reason], now: datetime) -> str:
    """Say what a run waits for and what would end it."""
    return " ".join(f"{one.text} {_fix(one, now)}" for one in found)


def _fix(reason: Reason, now: datetime) -> str:
    if reason.kind == "event":
        name = reason.details["event"]
        return f"Send it with inngest.send({name!r}, data={{...}}), or {_move(reason, now)}."
    if reason.kind == "signal":
        name = reason.details["signal"]
        return f"Send it with inngest.signal({name!r}), or {_move(reason, now)}."
    if reason.until is None:
        return ""
    if reason.kind == "retry":
        return "Use run.wait(), which moves the clock over it."
    text = _move(reason, now)
    return f"{text[0].upper()}{text[1:]}."


def _move(reason: Reason, now: datetime) -> str:
    if reason.until is None:
        return "use run.wait(skip_time=True)"
    return (
        f"move the clock with inngest.clock.advance({_amount(reason.until - now)}),"
        " or use run.wait(skip_time=True)"
    )


def _amount(left: timedelta) -> str:
    """Write a time as the arguments of clock.advance(); it is no shorter than the time."""
    seconds = -(-left // timedelta(seconds=1))
    for name, size in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds and seconds % size == 0:
            return f"{name}={seconds // size}"
    days, rest = divmod(seconds, 86_400)
    return f"days={days}, seconds={rest}" if days else f"seconds={rest}"
