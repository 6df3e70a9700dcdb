"""Rounds: requests of a run, one after another, that bring it no further.

An answer may leave nothing to do: it reports steps that are stored, or nothing at all. The run is
then asked again, for as many rounds as MOST; after those it fails and says so. A round is counted
in the item that asks again, so a parallel branch that makes no progress does not end the others.
"""

from datetime import timedelta

from ..values import canonical
from .items import Item, ItemKind

MOST = 10
# The first time it is asked at once: the answer may have crossed the end of a sibling.
_PAUSE = timedelta(seconds=1)
_LONG_PAUSE = timedelta(minutes=1)


def before(item: Item) -> int:
    """Say how many rounds without progress led to an item's request."""
    if item.kind is not ItemKind.EDGE or item.opts is None:
        return 0
    found = canonical.loads(item.opts)
    return int(found.get("rounds", 0)) if isinstance(found, dict) else 0


def after(item: Item, step: str | None) -> int:
    """Count the rounds of a request that follows an answer without progress.

    `step` is what that request is for, None for a discovery. What a discovery has planned is no
    round of its own: it is the way to progress.
    """
    return before(item) + (item.step is not None or step is None)


def written(rounds: int) -> str | None:
    """Write the opts of an item of so many rounds."""
    return canonical.dumps({"rounds": rounds}).decode() if rounds else None


def pause(rounds: int) -> timedelta:
    """Say how long to wait before a request of so many rounds."""
    if rounds > MOST:
        return _LONG_PAUSE
    return _PAUSE if rounds > 1 else timedelta(0)


def stalled(item: Item, *, by_api: bool) -> str:
    """Word the error of a run that has made too many rounds, whose last answer was to `item`."""
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
