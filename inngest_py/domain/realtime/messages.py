"""Messages to subscribers, and which topics they go to."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

import orjson

from ..errors import Invalid
from ..values import ids
from ..values.json_types import JsonObject
from . import topics
from .topics import Topic

MOST_BYTES = 512 * 1024
CHUNK_BYTES = 1024
# 1,000 chunks. Bytes are counted, not reads: each word of a language model may be a read.
MOST_STREAM_BYTES = 1000 * CHUNK_BYTES


class Kind(StrEnum):
    """What a message is about."""

    DATA = "data"
    RUN = "run"
    STEP = "step"
    STREAM_START = "datastream-start"
    STREAM_END = "datastream-end"
    CHUNK = "chunk"
    SUB = "sub"
    UNSUB = "unsub"
    CLOSING = "closing"


class Delivery(NamedTuple):
    """What subscribers of topics get: a message as JSON text, or bytes that are passed on."""

    topics: tuple[Topic, ...]
    payload: str | bytes


@dataclass(frozen=True, slots=True)
class Message:
    """A message; `data` and `metadata` are JSON."""

    kind: Kind
    data: bytes
    created_at: datetime
    channel: str
    topic: str
    stream_id: str | None = None
    run_id: str | None = None
    fn_id: str | None = None
    fn_slug: str | None = None
    metadata: bytes | None = None

    def delivery(self) -> Delivery:
        """Address it: a run's and a step's go to the topics of their kind, too."""
        names = {Kind.RUN: (topics.RUN,), Kind.STEP: (topics.STEP, self.topic)}
        sent_to = names.get(self.kind, (self.topic,))
        return Delivery(tuple(Topic(self.channel, name) for name in sent_to), self.to_json())

    def to_json(self) -> str:
        """Write it as subscribers get it."""
        found: JsonObject = {
            "kind": self.kind,
            "data": orjson.Fragment(self.data),
            "created_at": _stamp(self.created_at),
            "channel": self.channel,
            "env_id": ids.DEV_ENV_ID,
            "topic": self.topic,
        }
        for name in ("stream_id", "run_id", "fn_id", "fn_slug"):
            if (value := getattr(self, name)) is not None:
                found[name] = value
        if self.metadata is not None:
            found["metadata"] = orjson.Fragment(self.metadata)
        return orjson.dumps(found).decode()


def notice(kind: Kind, data: object, now: datetime) -> str:
    """Write a message of the server itself to one subscriber."""
    made = {"kind": kind, "data": data, "created_at": _stamp(now), "topic": ""}
    return orjson.dumps(made).decode()


def data_of(body: bytes) -> bytes:
    """Make the data of a published body: as it is if it is JSON, else as a JSON string."""
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError:
        return orjson.dumps(body.decode(errors="replace"))
    # only between tokens can JSON have line ends, and they would end a line of an SSE message
    return body.strip().replace(b"\r", b" ").replace(b"\n", b" ")


def metadata_of(text: str) -> bytes | None:
    """Read a message's metadata; None for an empty text. Raises Invalid if it is no JSON."""
    if not text:
        return None
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        raise Invalid("metadata must be JSON", field="metadata") from None
    return text.strip().replace("\r", " ").replace("\n", " ").encode()


def pack(delivery: Delivery) -> JsonObject:
    """Write a delivery for another process."""
    topics, payload = [list(topic) for topic in delivery.topics], delivery.payload
    if isinstance(payload, str):
        return {"topics": topics, "text": payload}
    return {"topics": topics, "bytes": base64.b64encode(payload).decode()}


def unpack(given: Mapping[str, object]) -> Delivery:
    """Read a delivery of another process. Raises ValueError if it is none."""
    listed, text, data = given.get("topics"), given.get("text"), given.get("bytes")
    if not isinstance(listed, list) or not isinstance(payload := text or data, str):
        raise ValueError("not a delivery")
    addressed = tuple(Topic(*topic) for topic in listed)
    return Delivery(addressed, payload if text else base64.b64decode(payload))


def _stamp(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
