"""The `ts` of events that apps send while the server's clock is virtual."""

from datetime import timedelta

from ...domain.values.json_types import JsonObject
from ..runtime.context import Context

# SDKs write the time of their machine; so far it may differ from ours, and so long requests take
_NEAR = timedelta(minutes=1)


def by_the_clock(ctx: Context, event: object) -> object:
    """Return an event as sent at the time of the virtual clock, if its `ts` is the real time.

    SDKs write a `ts` into each event by themselves. By a clock that was moved ahead this would be
    long ago, and by one that stands it would be in the future, where the event would wait. Another
    `ts` was meant, and stays.
    """
    if ctx.real_clock is None or not isinstance(event, dict):
        return event
    ts = event.get("ts")
    if isinstance(ts, bool) or not isinstance(ts, int | float):
        return event
    if abs(ts - ctx.real_now().timestamp() * 1000) > _NEAR / timedelta(milliseconds=1):
        return event
    changed: JsonObject = {**event, "ts": int(ctx.now().timestamp() * 1000)}
    return changed
