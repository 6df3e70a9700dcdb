"""Messages about alerts: one JSON object, and what each kind of receiver gets of it. Pure rules."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NotRequired, TypedDict

import orjson

from .receivers import Receiver, ReceiverKind
from .rules import Alert, AlertKind

# A receiver that is away is tried again for about six hours.
MOST_ATTEMPTS = 12
FIRING, RESOLVED = "firing", "resolved"
_FIRST_DELAY = timedelta(seconds=10)
_LONGEST_DELAY = timedelta(hours=1)
_MOST_SUBJECT_CHARS = 150
_MOST_PAGERDUTY_CHARS = 1024  # of a summary, as the Events API v2 says
_URGENT = frozenset({AlertKind.APP_DOWN, AlertKind.BACKLOG, AlertKind.GROWING_BACKLOG})


class _Told(TypedDict):
    """What message() writes, without what it is about."""

    text: str
    alert: str
    key: str
    state: str
    at: str
    url: NotRequired[str]


@dataclass(frozen=True, slots=True)
class HttpMessage:
    """A POST of JSON."""

    url: str = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Mail:
    """A message by e-mail."""

    to: list[str]
    subject: str
    text: str


def message(alert: Alert, at: datetime, state: str, dashboard_url: str | None = None) -> str:
    """Write the JSON of an alert: `text` for people, and fields for programs.

    `url` is the page to look at, if the settings say where the dashboard is.
    """
    sign = "🔴" if state == FIRING else "🟢 resolved:"
    sent: dict[str, object] = {
        "text": f"{sign} {alert.text}",
        "alert": alert.kind,
        "key": alert.key,
        "state": state,
        "at": at.isoformat(),
    }
    if dashboard_url is not None:
        sent["url"] = dashboard_url.rstrip("/") + alert.path
    return orjson.dumps({**alert.about, **sent}).decode()


def for_receiver(receiver: Receiver, body: str) -> HttpMessage | Mail:
    """Shape a message for its receiver."""
    if receiver.kind is ReceiverKind.WEBHOOK:
        return HttpMessage(receiver.target, body.encode())
    told: _Told = orjson.loads(body)
    if receiver.kind is ReceiverKind.EMAIL:
        return _mail(receiver, told)
    if receiver.kind is ReceiverKind.PAGERDUTY:
        url, key = receiver.pagerduty
        return HttpMessage(url, orjson.dumps(_pagerduty(key, told)))
    text = "\n".join([told["text"], *_link(told)])
    return HttpMessage(receiver.target, orjson.dumps({"text": text}))


def _link(told: _Told) -> list[str]:
    return [told["url"]] if "url" in told else []


def _mail(receiver: Receiver, told: _Told) -> Mail:
    text = told["text"]
    facts = [f"{name}: {value}" for name, value in told.items() if name not in ("text", "url")]
    # a header is one line
    subject = " ".join(f"[inngest-py] {text}".split())[:_MOST_SUBJECT_CHARS]
    return Mail(receiver.addresses, subject, "\n".join([text, *_link(told), "", *facts, ""]))


def _pagerduty(key: str, told: _Told) -> dict[str, object]:
    """Write an event of PagerDuty's Events API v2; `key` is the integration's."""
    event: dict[str, object] = {
        "routing_key": key,
        "event_action": "trigger" if told["state"] == FIRING else "resolve",
        "dedup_key": f"inngest-py:{told['key']}"[:255],
        "payload": {
            "summary": told["text"][:_MOST_PAGERDUTY_CHARS],
            "source": "inngest-py",
            "severity": "critical" if told["alert"] in _URGENT else "error",
            "timestamp": told["at"],
            "class": told["alert"],
            "custom_details": dict(told),
        },
    }
    if "url" in told:
        event["links"] = [{"href": told["url"], "text": "Open the dashboard"}]
    return event


def retry_delay(attempt: int, jitter: float) -> timedelta:
    """Return the delay after a failed attempt, counted from 1; `jitter` is in [0, 1)."""
    longest = min(_FIRST_DELAY * float(2 ** min(attempt - 1, 20)), _LONGEST_DELAY)
    return longest * (0.9 + 0.2 * jitter)
