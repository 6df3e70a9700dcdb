"""Messages on their way to other processes: those that wait leave together, in their order."""

import itertools
import threading
from collections.abc import Callable, Mapping

import orjson

from ...domain.realtime.messages import Delivery, pack

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
    """Sends a process's messages from a thread of its own, and knows them when they come back.

    `send_all` sends a JSON array of messages, and says whether it could; it must not raise.
    `deliver` hands a message to the subscribers here.
    """

    def __init__(
        self, name: str, send_all: Callable[[bytes], bool], deliver: Callable[[Delivery], None]
    ) -> None:
        self._name, self._send_all, self._deliver = name, send_all, deliver
        self._numbers = itertools.count()
        self._to_come: dict[int, Delivery] = {}  # those to be handed over when they come back
        self._handing_over = threading.Lock()
        self._lock = threading.Lock()
        self._waiting: list[_Sending] = []
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    def send(self, delivery: Delivery, *, comes_back: bool, wait: bool) -> bool:
        """Send a message; with `wait`, until it is on its way, two seconds at most.

        False: it will not be handed over when it comes back, so the caller must do it now. A frozen
        broker may pass on what nobody waits for any more.
        """
        number = next(self._numbers)
        comes_back = comes_back and len(self._to_come) < _MOST_WAITING
        if comes_back:
            self._to_come[number] = delivery
        packed = pack(delivery) | {"by": self._name, "number": number}
        if self._send(orjson.dumps(packed), wait=wait):
            return comes_back
        if not comes_back:
            return False
        with self._handing_over:  # where it is missing, the subscribers have it when we return
            return not self._take(number)

    def hands_over(self, given: Mapping[str, object]) -> bool:
        """Say whether a message that was read is for the subscribers here. Each of ours is once."""
        return given.get("by") != self._name or self._take(given.get("number"))

    def expect_none_back(self) -> None:
        """Hand over our messages that did not come back: they are not read any more.

        One may be on its way just now. If it were only forgotten, its publisher would take it for
        one that came back, and nobody would get it.
        """
        with self._handing_over:
            for number in sorted(self._to_come.copy()):
                delivery = self._to_come.pop(number, None)
                if delivery is not None:
                    self._deliver(delivery)

    def _take(self, number: object) -> bool:
        try:
            del self._to_come[number]  # type: ignore[arg-type]
        except KeyError:
            return False
        return True

    def _send(self, text: bytes, *, wait: bool) -> bool:
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
