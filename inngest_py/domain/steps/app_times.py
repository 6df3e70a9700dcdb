"""Times that an app computed by its own clock, while the server's clock is virtual.

An SDK may compute the end of a sleep itself: the Python SDK makes `now + duration` of every sleep.
By a server's clock that is days ahead, such a time is long past. So it is moved by as much as the
clock is ahead. A date that a person wrote means that date: it lies on a whole second, on which a
computed one lies by chance once in 1,000 times, since SDKs write milliseconds.
"""

from dataclasses import replace
from datetime import timedelta

from ..errors import Invalid
from ..values import times
from .opcodes import Op, Opcode

_SHORTEST_DATE = 10
_FIELDS = {
    Opcode.SLEEP: "duration",
    Opcode.WAIT_FOR_EVENT: "timeout",
    Opcode.WAIT_FOR_SIGNAL: "timeout",
    Opcode.INVOKE_FUNCTION: "timeout",
}


def moved(op: Op, ahead: timedelta) -> Op:
    """Move the time of a sleep or of a wait's time-out by `ahead`, if the app computed it."""
    field = _FIELDS.get(op.code)
    if field is None:
        return op
    opts, name = op.opts, op.name
    if isinstance(given := opts.get(field), str):
        opts = {**opts, field: _moved(given, ahead)}
    if op.code is Opcode.SLEEP and isinstance(name, str):
        name = _moved(name, ahead)
    return replace(op, opts=opts, name=name)


def _moved(text: str, ahead: timedelta) -> str:
    if len(text) < _SHORTEST_DATE:
        return text
    try:
        moment = times.parse_time(text)
        if moment.microsecond:
            return (moment + ahead).isoformat()
    except (Invalid, OverflowError):  # a duration, or what is refused later
        pass
    return text
