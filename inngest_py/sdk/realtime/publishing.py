"""Publish messages: as a step of a run, or at once."""

import asyncio
import json
from collections.abc import Awaitable
from typing import overload

import inngest

from .. import internals
from . import posting, tokens


@overload
def publish(
    source: inngest.Inngest | inngest.ContextSync,
    channel: str,
    topic: str,
    data: object,
    *,
    step_id: str | None = None,
) -> None: ...


@overload
def publish(
    source: inngest.Context, channel: str, topic: str, data: object, *, step_id: str | None = None
) -> Awaitable[None]: ...


def publish(
    source: inngest.Inngest | inngest.Context | inngest.ContextSync,
    channel: str,
    topic: str,
    data: object,
    *,
    step_id: str | None = None,
) -> Awaitable[None] | None:
    """Publish JSON to those who are subscribed to a topic now.

    With the context of a function it is a step: it is retried as steps are, and not published again
    when the run goes on. In an async function it must be awaited. Inside the code of another step,
    and with the client, it is published at once, by one try; that blocks, see `publish_async`.

    `step_id` names the step; None means `publish:TOPIC`. Raises ValueError for a name or data that
    cannot be sent, RealtimeError if the server did not take it.
    """
    query = {
        "channel": tokens.check_name("channel", channel),
        "topic": tokens.check_name("topic", topic),
    }
    body = _json(data)
    if isinstance(source, inngest.Inngest):
        _send(source, query, body)
        return None
    query["run_id"] = source.run_id
    client = internals.client_of(source)
    name = step_id or f"publish:{topic}"
    if isinstance(source, inngest.ContextSync):
        if internals.in_step.get():
            _send(client, query, body)
        else:
            source.step.run(name, _send, client, query, body)
        return None
    if internals.in_step.get():
        return _send_async(client, query, body)
    return source.step.run(name, _send_async, client, query, body)


async def publish_async(client: inngest.Inngest, channel: str, topic: str, data: object) -> None:
    """Publish at once, as `publish` does with the client, without blocking the event loop."""
    await asyncio.to_thread(publish, client, channel, topic, data)


def _json(data: object) -> bytes:
    try:
        return json.dumps(data, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError) as error:
        raise ValueError(f"data must be JSON: {error}") from None


def _send(client: inngest.Inngest, query: dict[str, str], body: bytes) -> None:
    asked = "publish the message"
    posting.post(client, "/v1/realtime/publish", body, query=query, asked=asked)


async def _send_async(client: inngest.Inngest, query: dict[str, str], body: bytes) -> None:
    await asyncio.to_thread(_send, client, query, body)
