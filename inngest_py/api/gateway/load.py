"""What a gateway's workers may make it keep in memory, all of them together and each alone."""

import threading
from dataclasses import dataclass, field

# Answers of all workers that are not stored yet. One more message is read from each worker.
MOST_UNSTORED_BYTES = 256 * 1024 * 1024
# Unfinished messages of connections that have not introduced themselves; each may be 8 MiB large.
MOST_GREETING_BYTES = 64 * 1024 * 1024
# Connections of which something is written at the same time. When a server has started again, all
# its workers connect at once, and write to one row of their app: they would take each connection to
# the database, and calls and events would get none.
MOST_WRITERS = 8


@dataclass(slots=True)
class Load:
    """The bytes that the connections of a process make it keep, and the most of each kind.

    `turns` are those of connections to have something written of them.
    """

    unstored: int = 0
    greeting: int = 0
    most_unstored: int = MOST_UNSTORED_BYTES
    most_greeting: int = MOST_GREETING_BYTES
    turns: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(MOST_WRITERS))

    @property
    def is_full(self) -> bool:
        """Whether workers have to wait with further answers."""
        return self.unstored >= self.most_unstored

    @property
    def is_crowded(self) -> bool:
        """Whether nobody unknown may send more."""
        return self.greeting > self.most_greeting


def most_tasks(capacity: int) -> int:
    """Say how many frames of a worker are worked on at once; it is not read while there are more.

    Each of its calls may end and be extended at the same time.
    """
    return 2 * capacity + 16
