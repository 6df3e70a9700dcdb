"""How many connections to PostgreSQL a process keeps, and how many it may have."""

from dataclasses import dataclass

_FEWEST, _MOST_KEPT = 5, 40


@dataclass(frozen=True, slots=True)
class PoolSize:
    """`kept` connections stay open between uses; a process has `most` at a time."""

    kept: int
    most: int


def pool_size(slots: int, kept: int | None = None, most: int | None = None) -> PoolSize:
    """Size the pool of a process with so many calls in flight; None leaves a number to the rule.

    A call holds a connection only while its result is written, so 40 serve hundreds of calls. For
    bursts there may be twice as many.
    """
    if kept is None:
        kept = max(_FEWEST, min(_MOST_KEPT, slots))
        kept = kept if most is None else min(kept, most)
    return PoolSize(kept, 2 * kept if most is None else most)
