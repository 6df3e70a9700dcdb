"""Reads answers from Redis: up to 64 in one round trip, acknowledged together.

A consumer of kombu needs three round trips for each message, and loses the one that it has popped
and not yet noted when it is killed. Here a message is always in a list: in the queue's, or in one
that belongs to a reader and whose name is in an index. A reader deletes its list when all messages
of it are stored. Lists that are left are put back into the queue.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import redis
from celery import Celery
from kombu.entity import Queue
from kombu.message import Message
from kombu.transport.redis import Channel
from kombu.utils.uuid import uuid

from ... import observe
from ...domain.values import canonical
from .deliveries import MOST_TOGETHER, Delivery, Reader

PUT_BACK_SECONDS = 30.0  # how old a list of a reader gets before others may have its messages
_EVERY_SECONDS = 5.0  # how often a reader looks for such lists, and binds the queue anew
# How long to let more messages come, for each that came at once: transactions have a cost of their
# own. From 200 a second on it grows to the most; one alone is answered at once.
_LINGER_SECONDS, _MOST_LINGER_SECONDS = 0.005, 0.04
_PRIORITY_SECONDS = 60.0
_SHORT_WAIT_SECONDS = 0.05

# KEYS: the reader's list, and the lists of the queue, one for each priority. ARGV: how many.
_TAKE = """
local left = tonumber(ARGV[1]) - redis.call('LLEN', KEYS[1])
for i = 2, #KEYS do
  if left > 0 then
    local part = redis.call('LRANGE', KEYS[i], -left, -1)
    if #part > 0 then
      redis.call('LTRIM', KEYS[i], 0, -#part - 1)
      redis.call('RPUSH', KEYS[1], unpack(part))
      left = left - #part
    end
  end
end
return redis.call('LRANGE', KEYS[1], 0, -1)
"""
# KEYS: the index, the queue. ARGV: the time before which a list counts as left.
_PUT_BACK = """
for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, 100)) do
  local part = redis.call('LRANGE', name, 0, -1)
  if #part > 0 then redis.call('RPUSH', KEYS[2], unpack(part)) end
  redis.call('DEL', name)
  redis.call('ZREM', KEYS[1], name)
end
"""


def _index_of(channel: Channel, queue: str) -> str:
    return f"{channel.global_keyprefix}{queue}.taken"


def kept_since(channel: Channel, queue: str, before: float) -> bool:
    """Say whether a reader took messages of a queue before a time and has not stored them."""
    client = redis.Redis(connection_pool=channel.pool)
    lists = client.zrangebyscore(_index_of(channel, queue), "-inf", before)
    return bool(lists) and bool(client.exists(*lists))


class _Batch:
    """Messages that were taken together: acknowledged when the last of them is settled."""

    def __init__(self, reader: "_RedisReader", name: str, size: int) -> None:
        self._reader, self._name, self._left = reader, name, size

    def settle(self) -> None:
        self._left -= 1
        if not self._left:
            self._reader.settled.append(self._name)
            self._reader.unsettled.discard(self._name)


class _RedisReader:
    """Reads one queue; acknowledges what is settled when it reads again."""

    def __init__(self, channel: Channel, queue: Queue) -> None:
        self._channel, self._queue = channel, queue
        self._client = redis.Redis(connection_pool=channel.pool)
        prefix = channel.global_keyprefix
        steps = channel.priority_steps
        self._lists = [prefix + channel._q_for_pri(queue.name, step) for step in steps]
        self._index = _index_of(channel, queue.name)
        self._own, self._count = f"{self._index}.{uuid()}", 0
        self.settled: list[str] = []
        self.unsettled: set[str] = set()
        self._together = 0
        self._tidied = self._had_priority = float("-inf")

    def read(self, seconds: float) -> Sequence[Delivery]:
        if self._together > 1:
            time.sleep(min(self._together * _LINGER_SECONDS, _MOST_LINGER_SECONDS))
        if time.monotonic() - self._tidied > _EVERY_SECONDS:
            self._tidy()
        if time.monotonic() - self._had_priority < _PRIORITY_SECONDS:
            seconds = min(seconds, _SHORT_WAIT_SECONDS)
        mine = f"{self._own}.{self._count}"
        settled, self.settled = self.settled, []
        first, found = self._wait_and_take(mine, settled, seconds)
        self._together = len(found)
        if not found:
            return []
        self._count += 1
        if first is None:  # they came with a priority: a wait for the queue's own list misses them
            self._had_priority = time.monotonic()
        self.unsettled.add(mine)
        batch = _Batch(self, mine, len(found))
        return [
            Delivery(message, batch.settle)
            for raw in found
            if (message := self._message(raw, batch)) is not None
        ]

    def _wait_and_take(
        self, mine: str, settled: Sequence[str], seconds: float
    ) -> tuple[bytes | None, list[bytes]]:
        """Acknowledge, wait, and take, in one round trip; return the awaited message, and all."""
        with self._client.pipeline(transaction=False) as pipe:
            if settled:
                pipe.delete(*settled)
                pipe.zrem(self._index, *settled)
            pipe.zadd(self._index, {mine: time.time()})  # before: a list must never be unknown
            # redis-py wants whole seconds here; Redis takes fractions since its version 6
            pipe.execute_command("BRPOPLPUSH", self._lists[0], mine, seconds)
            pipe.eval(_TAKE, 1 + len(self._lists), mine, *self._lists, MOST_TOGETHER)
            *_, first, found = pipe.execute()
        return first, found

    def _message(self, raw: bytes, batch: _Batch) -> Message | None:
        """Read what kombu wrote; what it did not write is settled, with a log line."""
        try:
            made: Message = self._channel.Message(canonical.loads(raw), channel=self._channel)
        except Exception as error:
            observe.event("celery.strange_answer", level=30, error=type(error).__name__)
            batch.settle()
            return None
        return made

    def _tidy(self) -> None:
        """Put back what ended readers have left; bind the queue, should the broker be flushed."""
        before = time.time() - PUT_BACK_SECONDS
        with self._client.pipeline(transaction=False) as pipe:
            pipe.eval(_PUT_BACK, 2, self._index, self._lists[0], before)
            pipe.execute()
        name = self._queue.name
        self._channel._queue_bind(self._queue.exchange.name, self._queue.routing_key, "", name)
        self._tidied = time.monotonic()

    def close(self) -> None:
        """Acknowledge what is settled; let the rest be put back by the next that looks."""
        mine = f"{self._own}.{self._count}"  # waited for, and empty
        with self._client.pipeline(transaction=False) as pipe:
            pipe.delete(*self.settled, mine)
            pipe.zrem(self._index, *self.settled, mine)
            if self.unsettled:
                pipe.zadd(self._index, dict.fromkeys(self.unsettled, 0))
            pipe.execute()


@contextmanager
def redis_reader(client: Celery, queue: Queue) -> Iterator[Reader]:
    """Connect, and read messages of a queue. Raises what the transport raises."""
    with client.connection_for_read() as connection:
        connection.connect()
        channel = connection.channel()
        queue(channel).declare()
        reader = _RedisReader(channel, queue)
        yield reader
        reader.close()
