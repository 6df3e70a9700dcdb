"""What pairs of measurements say: the ratio of two things measured in turns, and how sure that is.

Each pair is measured within seconds, so that the machine's speed of the hour, which moves by a
third, is in both and falls out of the ratio. What is left is noise of single pairs, of unknown
shape. The interval takes no shape for granted: were the true ratio at a mark, each pair would be
as likely above it as below, as a coin that is tossed. Of fifteen tosses, fewer than four or more
than eleven heads come up in 3.5 of 100 cases; so the fourth lowest and the fourth highest pair
hold the true median between them in 96.5. See "Sign test" in any textbook. No I/O, no clock.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from statistics import median
from typing import TypeVar

T = TypeVar("T")
CONFIDENCE = 0.95
Pair = tuple[float, float]


class Verdict(Enum):
    """How an interval lies to a mark."""

    AT_LEAST = "at least"  # all of it at the mark or above
    UNCLEAR = "unclear"  # the mark is within it
    BELOW = "below"  # all of it below the mark


@dataclass(frozen=True, slots=True)
class Interval:
    """The median ratio of some pairs, and between what the true one lies with `CONFIDENCE`."""

    ratio: float
    low: float
    high: float
    pairs: int

    def against(self, mark: float) -> Verdict:
        """Say where the interval lies."""
        if self.high < mark:
            return Verdict.BELOW
        return Verdict.AT_LEAST if self.low >= mark else Verdict.UNCLEAR

    def inverse(self) -> "Interval":
        """The same of second to first."""
        return Interval(1 / self.ratio, 1 / self.high, 1 / self.low, self.pairs)

    def __str__(self) -> str:
        """Word it for people."""
        return f"{self.ratio:.2f} ({self.low:.2f} to {self.high:.2f})"


def coverage(pairs: int, depth: int) -> float:
    """Say how surely the true median lies from the `depth`-th lowest to the `depth`-th highest."""
    outside: int = sum(math.comb(pairs, heads) for heads in range(depth))
    return 1 - 2 * outside / 2**pairs


def least_pairs(confidence: float = CONFIDENCE) -> int:
    """Tell how many pairs an interval needs at least: the lowest and the highest must do."""
    return next(pairs for pairs in range(1, 100) if coverage(pairs, 1) >= confidence)


def interval(pairs: Sequence[Pair], confidence: float = CONFIDENCE) -> Interval:
    """Give the interval of the median of first to second. Raises ValueError for too few pairs.

    The middle is taken of logarithms: twice as fast and half as fast are the same distance.
    """
    least = least_pairs(confidence)
    if len(pairs) < least:
        raise ValueError(f"an interval needs {least} pairs at least, these are {len(pairs)}")
    logs = sorted(math.log(first / second) for first, second in pairs)
    depth = max(
        depth for depth in range(1, len(logs) // 2 + 1) if coverage(len(logs), depth) >= confidence
    )
    low, high = logs[depth - 1], logs[-depth]
    return Interval(math.exp(median(logs)), math.exp(low), math.exp(high), len(logs))


def in_turns(first: Callable[[], T], second: Callable[[], T]) -> Iterator[tuple[T, T]]:
    """Measure pairs without end. Who comes first alternates: each leaves the machine as it is."""
    while True:
        one = first()
        yield one, second()
        other = second()
        yield first(), other
