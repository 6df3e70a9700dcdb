"""Realtime for apps in Python: publish messages, follow topics, make tokens for browsers.

All of it takes the SDK's client (`inngest.Inngest`) and its settings: the server's address and the
signing keys. Messages are not kept: only who is subscribed gets them. See docs/realtime.md.
"""

from .errors import RealtimeError, RealtimeRefused
from .messages import Message
from .publishing import publish, publish_async
from .subscriptions import Subscription, subscribe
from .tokens import token, token_async

__all__ = [
    "Message",
    "RealtimeError",
    "RealtimeRefused",
    "Subscription",
    "publish",
    "publish_async",
    "subscribe",
    "token",
    "token_async",
]
