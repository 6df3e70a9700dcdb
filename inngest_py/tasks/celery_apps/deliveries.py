"""Answers as messages of a broker: taken by one worker, acknowledged when they are stored."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from kombu.message import Message

MOST_TOGETHER = 64  # messages that are taken at once, and stored in one transaction


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message that was taken. `settle` acknowledges it: it does not come again."""

    message: Message
    settle: Callable[[], None]


class Reader(Protocol):
    """Takes messages from a queue of answers; used by one thread."""

    def read(self, seconds: float) -> Sequence[Delivery]:
        """Wait so long for messages, and take MOST_TOGETHER of them at most.

        Raises what the transport raises.
        """
