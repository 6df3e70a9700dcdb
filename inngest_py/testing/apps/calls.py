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


@dataclass(frozen=True, slots=True)
class Mode:
    """How an app's client was made: whether it is in production mode, and its signing key."""

    production: bool
    signing_key: str | None


Call = Callable[[Request], Reply]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiCallable = Callable[[Message, Receive, Send], Awaitable[None]]
