"""One request with events, and what its answer means."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol
from urllib.parse import quote, urljoin

import httpx

TIMEOUT = httpx.Timeout(30.0, connect=10.0)
_NO_KEY = "NO_EVENT_KEY_SET"  # what the SDK sends to a dev server


class Target(Protocol):
    """The server, as the SDK's client knows it."""

    @property
    def event_api_origin(self) -> str:
        """Where it takes events."""

    @property
    def event_key(self) -> str | None:
        """The key; a dev server needs none."""

    @property
    def env(self) -> str | None:
        """The environment, if there are several."""


class Meaning(Enum):
    """What an answer means for the events."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    """One is bad: those before it were accepted, those after it were not looked at."""
    TOO_LARGE = "too large"
    FAILED = "failed"
    """Nobody knows whether they were accepted, or they can be once something is put right."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """An answer."""

    meaning: Meaning
    accepted: int = 0
    error: str = ""
    is_of_event: bool = False
    """Whether one of the events may be the cause of a failure."""


def post(http: httpx.Client, target: Target, events: Sequence[str], seed: str) -> Outcome:
    """Send the events. Whatever goes wrong is an outcome."""
    key = quote(target.event_key or _NO_KEY, safe="")
    headers = {"Content-Type": "application/json", "x-inngest-event-id-seed": seed}
    if target.env:
        headers["x-inngest-env"] = target.env
    body = f"[{','.join(events)}]".encode()
    url = urljoin(target.event_api_origin, f"/e/{key}")
    try:
        answer = http.post(url, content=body, headers=headers)
    except httpx.HTTPError as error:
        where = target.event_api_origin
        return Outcome(Meaning.FAILED, error=f"{type(error).__name__} at {where}: {error}")
    return _read(answer, len(events))


def _read(answer: httpx.Response, count: int) -> Outcome:
    status = answer.status_code
    ids, error = _fields(answer)
    text = f"HTTP {status}: {error}"
    if answer.is_success:
        if len(ids) == count:
            return Outcome(Meaning.ACCEPTED, accepted=count)
        where = f"{len(ids)} ids for {count} events: is {answer.url.host} the server?"
        return Outcome(Meaning.FAILED, error=where)
    if status == 400 and len(ids) < count:
        return Outcome(Meaning.REFUSED, accepted=len(ids), error=text)
    if status == 413:
        return Outcome(Meaning.TOO_LARGE, error=text)
    if status == 401:
        text += " (is the event key, INNGEST_EVENT_KEY, one of the server's?)"
    return Outcome(Meaning.FAILED, error=text, is_of_event=status in (403, 500))


def _fields(answer: httpx.Response) -> tuple[list[str], str]:
    """Read the ids of what was accepted, and what is wrong."""
    try:
        body = answer.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        return [], answer.text.strip()[:500]
    ids = body.get("ids")
    found = [one for one in ids if one] if isinstance(ids, list) else []
    return found, str(body.get("error") or "")[:500]
