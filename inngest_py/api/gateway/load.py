"""What a gateway's workers may make it keep in memory, all of them together and each alone."""

from dataclasses import dataclass

# Answers of all workers that are not stored yet. One more message is read from each worker.
MOST_UNSTORED_BYTES = 256 * 1024 * 1024
# Unfinished messages of connections that have not introduced themselves; each may be 8 MiB large.
MOST_GREETING_BYTES = 64 * 1024 * 1024


@dataclass(slots=True)
class Load:
    """The bytes that the connections of a process make it keep."""

    unstored: int = 0
    greeting: int = 0

    @property
    def is_full(self) -> bool:
        """Whether workers have to wait with further answers."""
        return self.unstored >= MOST_UNSTORED_BYTES

    @property
    def is_crowded(self) -> bool:
        """Whether nobody unknown may send more."""
        return self.greeting > MOST_GREETING_BYTES


def most_tasks(capacity: int) -> int:
    """Say how many frames of a worker are worked on at once; it is not read while there are more.

    Each of its calls may end and be extended at the same time.
    """
    return 2 * capacity + 16
