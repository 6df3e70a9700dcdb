"""Rounds: requests of a run, one after another, without progress.

An answer may leave nothing to do: it reports steps that are stored already, or nothing at all. The
app is then asked again, up to MOST times, and after that the run fails. Rounds are counted in the
item that asks again, so a parallel branch without progress does not end the others.
"""

from datetime import timedelta

from ..values import canonical
from .items import Item, ItemKind

MOST = 10
# The first round is asked at once: a sibling may have ended while the answer was on its way.
_DELAY = timedelta(seconds=1)
_LONG_DELAY = timedelta(minutes=1)


def before(item: Item) -> int:
    """Count the rounds without progress that led to an item's request."""
    if item.kind is not ItemKind.EDGE or item.opts is None:
        return 0
    found = canonical.loads(item.opts)
    return int(found.get("rounds", 0)) if isinstance(found, dict) else 0


def after(item: Item, step: str | None) -> int:
    """Count the rounds of a request that follows an answer without progress.

    `step` is the step of that request, None for a discovery. A step that a discovery has planned
    adds no round, because it may bring progress.
    """
    return before(item) + (item.step is not None or step is None)


def written(rounds: int) -> str | None:
    """Write the number of rounds as an item's opts."""
    return canonical.dumps({"rounds": rounds}).decode() if rounds else None


def delay(rounds: int) -> timedelta:
    """Return how long to wait before a request after so many rounds."""
    if rounds > MOST:
        return _LONG_DELAY
    return _DELAY if rounds > 1 else timedelta(0)


def stalled(item: Item, *, by_api: bool) -> str:
    """Word the error of a run after too many rounds; its last request was that of `item`."""
    asked = f"the request for step {item.step_name or item.step!r}" if item.step else "the request"
    text = (
        f"The app has answered {MOST} times in a row without bringing the run any further: its"
        f" answer to {asked} reported no step that was not known already."
    )
    if by_api:
        text += (
            " The run's state is too large for a request, so the app has to fetch it"
            " (ctx.use_api): check that its SDK can reach this server's API."
        )
    return text
