"""What a call of an app is and gives, by WSGI or ASGI alike."""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

from ...domain.reply.read import Reply


@dataclass(frozen=True, slots=True)
class Request:
    """A request to the app under test."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True)
class Seen:
    """What the SDK of an app did during a call: how its client was made, and what it registered.

    `registered` is the URL that it gave; `refusal` is why the server did not take it.
    """

    production: bool = False
    signing_key: str | None = None
    registered: str | None = None
    refusal: str | None = None


Call = Callable[[Request], Reply]
Watch = Callable[[Callable[[], Reply]], tuple[Reply, Seen]]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiCallable = Callable[[Message, Receive, Send], Awaitable[None]]
