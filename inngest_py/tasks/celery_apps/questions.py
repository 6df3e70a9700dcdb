"""Asks the workers of a broker, and reads the answers of those that write JSON alone.

Workers answer in the format of their app's `task_serializer`. kombu raises an error at the first
answer in another one than JSON, so that one such worker would hide all others of its broker.
Written against Celery 5.7 and kombu 5.7.
"""

from collections.abc import Callable
from itertools import count

from celery.app.control import Control
from kombu.message import Message
from kombu.messaging import Consumer
from kombu.pidbox import Mailbox
from kombu.transport.base import StdChannel


class _JsonMailbox(Mailbox):
    def _collect(
        self,
        ticket: str,
        limit: int | None = None,
        timeout: float = 1,
        callback: Callable[[object], object] | None = None,
        channel: StdChannel | None = None,
        accept: object = None,
    ) -> list[object]:
        """Collect the answers to a question until none has come for some seconds."""
        found: list[object] = []

        def take(message: Message) -> None:
            # a late answer to an earlier question; a pickled answer is never read
            if message.headers.get("ticket", ticket) != ticket or not _is_json(message):
                return
            found.append(message.decode())
            if callback:
                callback(found[-1])

        connection = self.connection
        assert connection is not None
        opened = channel or connection.default_channel
        queue = self.reply_queue
        with Consumer(opened, [queue], on_message=take, accept=["json"], no_ack=True):
            for _ in range(limit) if limit else count():
                try:
                    connection.drain_events(timeout=timeout)
                except TimeoutError:
                    break
        opened.after_reply_message_received(queue.name)
        return found


class JsonControl(Control):  # type: ignore[misc]
    """Celery's control of workers, which hears only those that answer in JSON."""

    Mailbox = _JsonMailbox


def _is_json(message: Message) -> bool:
    return str(message.content_type) == "application/json"
