"""When runs of this process last failed, so that their error groups are counted soon after."""

import time

_SOON_SECONDS = 5.0  # a transaction that has noted a failure is committed by then


class FailedRuns:
    """Remembers the last failure; to note one costs no statement."""

    def __init__(self) -> None:
        self._noted_at = float("-inf")

    def note(self) -> None:
        """Note that a transaction, which may not be committed yet, ends runs as failed."""
        self._noted_at = time.monotonic()

    @property
    def lately(self) -> bool:
        """Whether there may be failures of this process that are not in their groups yet."""
        return time.monotonic() - self._noted_at < _SOON_SECONDS
