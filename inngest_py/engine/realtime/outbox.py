"""Messages on their way to other processes: those that wait leave together, in their order."""

import threading
from collections.abc import Callable

_MOST_BYTES = 1024 * 1024  # of what leaves together
_MOST_WAITING = 10_000
SEND_SECONDS = 2.0


class _Sending:
    """A message that waits; so does its publisher."""

    __slots__ = ("is_given_up", "is_sent", "over", "text")

    def __init__(self, text: bytes) -> None:
        self.text = text
        self.over = threading.Event()
        self.is_sent = self.is_given_up = False


class Outbox:
    """Sends from a thread of its own, which begins with the first message.

    `send_all` sends a JSON array of messages, and says whether it could; it must not raise.
    """

    def __init__(self, send_all: Callable[[bytes], bool]) -> None:
        self._send_all = send_all
        self._lock = threading.Lock()
        self._waiting: list[_Sending] = []
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    def send(self, text: bytes, *, wait: bool) -> bool:
        """Send a message (JSON). With `wait`, says whether it left, after two seconds at most.

        Without, it says whether there was room for it.
        """
        if not wait and len(self._waiting) >= _MOST_WAITING:
            return False
        sending = _Sending(text)
        with self._lock:
            self._waiting.append(sending)
            if self._thread is None:
                self._thread = threading.Thread(target=self._loop, name="realtime", daemon=True)
                self._thread.start()
        self._wake.set()
        if not wait:
            return True
        sending.over.wait(SEND_SECONDS)
        sending.is_given_up = True
        return sending.is_sent

    def _loop(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            with self._lock:
                batch, self._waiting = self._waiting, []
            batch = [one for one in batch if not one.is_given_up]
            while batch:
                batch = self._send_some(batch)

    def _send_some(self, batch: list[_Sending]) -> list[_Sending]:
        """Send the first ones; return the others."""
        size = count = 0
        for one in batch:
            size += len(one.text)
            if count and size > _MOST_BYTES:
                break
            count += 1
        sent = self._send_all(b"[" + b",".join(one.text for one in batch[:count]) + b"]")
        for one in batch[:count]:
            one.is_sent = sent
            one.over.set()
        return batch[count:]
