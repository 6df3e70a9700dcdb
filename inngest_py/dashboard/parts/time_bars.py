"""The bars of a plot by time: which span each stands for. Pure."""

from datetime import UTC, datetime, timedelta

MOST_BARS = 60
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
# what people count in; between two of them a plot has at least a third of its bars
_SIZES = (
    *(1, 2, 5, 10, 15, 30, _MINUTE, 2 * _MINUTE, 5 * _MINUTE, 10 * _MINUTE, 15 * _MINUTE),
    *(30 * _MINUTE, _HOUR, 2 * _HOUR, 3 * _HOUR, 6 * _HOUR, 12 * _HOUR),
    *(_DAY, 2 * _DAY, 7 * _DAY, 14 * _DAY, 30 * _DAY, 60 * _DAY),
)


def edges(begin: datetime, end: datetime) -> list[datetime]:
    """Divide a span into up to MOST_BARS bars and the two that are cut at its ends.

    Between begin and end there are whole seconds, which are the same for spans that are moved a
    little: what was counted for a bar can be kept.
    """
    seconds = max((end - begin).total_seconds(), 1)
    wanted = -(-seconds // MOST_BARS)
    size = next((one for one in _SIZES if one >= wanted), int(wanted))
    first = int(begin.timestamp() // size + 1) * size
    inner = range(first, int(-(-end.timestamp() // 1)), size)
    found = [datetime.fromtimestamp(at, UTC) for at in inner if at < end.timestamp()]
    return [begin, *found, max(end, begin + timedelta(milliseconds=1))]
