"""Tokens: the right to follow topics, for a minute in which a subscription is opened."""

import asyncio
import json
from collections.abc import Sequence

import inngest

from . import errors, posting


def token(client: inngest.Inngest, channel: str, topics: Sequence[str]) -> str:
    """Make a token for these topics of a channel, to hand to a browser.

    It opens subscriptions for a minute; an open one goes on after that. Blocks; raises ValueError
    for names that cannot be, RealtimeError if the server makes none.
    """
    names = check_topics(channel, topics)
    wanted = [{"channel": channel, "name": name, "kind": "run"} for name in names]
    body = json.dumps(wanted).encode()
    answer = posting.post(client, "/v1/realtime/token", body, asked="make a realtime token")
    try:
        made = answer.json()["jwt"]
    except (ValueError, KeyError, TypeError):
        made = None
    if not isinstance(made, str):
        raise errors.RealtimeError(f"{client.api_origin} answered without a token: is it a server?")
    return made


async def token_async(client: inngest.Inngest, channel: str, topics: Sequence[str]) -> str:
    """Make a token as `token` does, without blocking the event loop."""
    return await asyncio.to_thread(token, client, channel, topics)


def check_topics(channel: str, topics: Sequence[str]) -> tuple[str, ...]:
    """Return the topics' names. Raises ValueError, which names the field."""
    check_name("channel", channel)
    if isinstance(topics, str):
        raise ValueError("topics must be a list of names, such as ['status'], not one string")
    if not topics:
        raise ValueError("topics must have at least one name")
    return tuple(check_name("topics", name) for name in topics)


def check_name(field: str, name: object) -> str:
    """Return the name of a channel or topic. Raises ValueError, which names the field."""
    if not isinstance(name, str) or not name:
        raise ValueError(f"{field}: a name must be text, and not empty, but it is {name!r}")
    return name
