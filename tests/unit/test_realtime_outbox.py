"""A process's realtime messages on their way: each reaches its subscribers once, whatever fails."""

import orjson
import pytest

from inngest_py.domain.realtime.messages import Delivery, unpack
from inngest_py.domain.realtime.topics import Topic
from inngest_py.engine.realtime import outbox
from inngest_py.engine.realtime.outbox import Outbox

TOPIC = Topic("c", "t")


class Way:
    """An outbox whose broker takes or loses what is sent, and those who subscribe here."""

    def __init__(self, *, takes: bool, stops_reading: bool) -> None:
        self.takes, self.stops_reading = takes, stops_reading
        self.got: list[str | bytes] = []
        self.sent: list[bytes] = []
        self.outbox = Outbox("me", self._send_all, lambda one: self.got.append(one.payload))

    def _send_all(self, text: bytes) -> bool:
        if self.stops_reading:
            self.outbox.expect_none_back()
        self.sent.append(text)
        return self.takes

    def publish(self, payload: str) -> None:
        """Publish as the hub does."""
        delivery = Delivery((TOPIC,), payload)
        if not self.outbox.send(delivery, comes_back=True, wait=True):
            self.got.append(payload)

    def come_back(self) -> None:
        """Read all that was sent."""
        for text in self.sent:
            for given in orjson.loads(text):
                if self.outbox.hands_over(given):
                    self.got.append(unpack(given).payload)


@pytest.mark.parametrize("stops_reading", [False, True])
@pytest.mark.parametrize("takes", [False, True])
def test_each_message_is_handed_over_once(takes: bool, stops_reading: bool) -> None:
    """Reading may stop between the start and the end of a message's way."""
    way = Way(takes=takes, stops_reading=stops_reading)
    way.publish("one")
    way.publish("two")
    way.outbox.expect_none_back()
    assert way.got == ["one", "two"]
    way.come_back()
    assert way.got == ["one", "two"]


def test_more_than_are_kept_are_handed_over_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "_MOST_WAITING", 1)
    way = Way(takes=True, stops_reading=False)
    way.publish("one")
    way.publish("two")
    assert way.got == ["two"]
    way.outbox.expect_none_back()
    assert way.got == ["two", "one"]
    way.come_back()
    assert way.got == ["two", "one"]
