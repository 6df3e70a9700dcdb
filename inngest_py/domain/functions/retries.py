"""When a failed attempt is retried: by the protocol's table (execution.md §7.4), or an own rule."""

import math
from dataclasses import dataclass
from datetime import timedelta

from ..values.checks import kind
from .config_fields import Fields, wrong

_BASE_SECONDS = (15, 30, 60, 120, 300, 600, 1200, 2400, 3600, 7200)
_JITTER_MS = 30_000
MOST_WAIT = timedelta(days=7)
_MAXIMUM = timedelta(hours=2)
_FACTOR, _MOST_FACTOR = 2.0, 100.0
_KEYS = ("initial", "factor", "maximum", "jitter")


@dataclass(frozen=True, slots=True)
class Backoff:
    """A function's own rule: `initial`, then `factor` times as long after each failed attempt.

    No delay is longer than `maximum`. `jitter` is the share of a delay, from 0 to 1, that may be
    taken off at random.
    """

    initial: timedelta
    factor: float = _FACTOR
    maximum: timedelta = _MAXIMUM
    jitter: float = 0.0

    def delay(self, failed_attempt: int, draw: float) -> timedelta:
        """Return the delay after an attempt, counted from 0, in whole milliseconds.

        `draw` in [0, 1) is the random number for the jitter.
        """
        most = self.maximum / timedelta(milliseconds=1)
        length = self.initial / timedelta(milliseconds=1)
        for _ in range(failed_attempt):
            if length >= most or self.factor == 1:
                break
            length *= self.factor
        return timedelta(milliseconds=int(min(length, most) * (1 - self.jitter * draw)))


def backoff(
    failed_attempt: int, jitter: float, linear: timedelta | None = None, own: Backoff | None = None
) -> timedelta:
    """Return the delay after a failed attempt, counted from 0.

    `jitter` is a random number in [0, 1) that spreads the retries over half a minute, in whole
    milliseconds. `linear` is the dev server's retry interval: always the same, without jitter. The
    function's own rule replaces both.
    """
    if own is not None:
        return own.delay(failed_attempt, jitter)
    if linear is not None:
        return linear
    base = _BASE_SECONDS[min(failed_attempt, len(_BASE_SECONDS) - 1)]
    return timedelta(seconds=base, milliseconds=int(jitter * _JITTER_MS))


def parse_backoff(config: Fields) -> Backoff | None:
    """Read a function's own rule; None without one.

    By default `factor` is 2, `jitter` is 0, and `maximum` is two hours, or `initial` if that is
    longer. Raises Invalid with the field's path.
    """
    item = config.object("backoff")
    if item is None:
        return None
    unknown = sorted(set(item.given).difference(_KEYS))
    if unknown:
        raise wrong(item.at(unknown[0][:64]), f"is not known here: only {', '.join(_KEYS)} are")
    initial = item.positive("initial", most=MOST_WAIT)
    maximum = item.duration("maximum", least=initial, most=MOST_WAIT)
    return Backoff(
        initial,
        _number(item, "factor", 1.0, _MOST_FACTOR, _FACTOR),
        max(initial, _MAXIMUM) if maximum is None else maximum,
        _number(item, "jitter", 0.0, 1.0, 0.0),
    )


def _number(item: Fields, key: str, least: float, most: float, default: float) -> float:
    value = item.get(key)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong(item.at(key), f"must be a number, not {kind(value)}")
    if not math.isfinite(value) or not least <= value <= most:
        raise wrong(item.at(key), f"must lie between {least:g} and {most:g}")
    return float(value)
