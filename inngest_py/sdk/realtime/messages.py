"""Messages as subscribers get them (realtime.md §4)."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

# between server and subscriber; not for users
_OF_THE_CONNECTION = {"ping", "pong", "closing", "sub", "unsub"}


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a topic."""

    kind: str
    """`data` for what was published; `run` and `step` for what the server says of a run.

    A stream is a `datastream-start`, its `chunk`s and a `datastream-end`.
    """
    channel: str
    topic: str
    data: Any
    """What was published: any JSON. A chunk's text, or a stream's id at its start and end."""
    created_at: datetime | None
    """When the server got it."""
    run_id: str | None
    """The run that published it, None if no run did."""
    stream_id: str | None
    """The stream that it belongs to, None for others."""


def read(frame: str | bytes) -> Message | None:
    """Read a frame of the subscription; None if it holds no message for users."""
    try:
        found = json.loads(frame)
    except ValueError:
        return None
    if not isinstance(found, dict) or found.get("kind") in _OF_THE_CONNECTION:
        return None
    kind, data = str(found.get("kind", "")), found.get("data")
    is_edge = kind in ("datastream-start", "datastream-end")
    return Message(
        kind=kind,
        channel=found.get("channel") or "",
        topic=found.get("topic") or "",
        data=data,
        created_at=_time(found.get("created_at")),
        run_id=found.get("run_id"),
        stream_id=data if is_edge else found.get("stream_id"),
    )


def _time(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
