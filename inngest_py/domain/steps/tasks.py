"""Task steps: calls of Celery tasks, and the tokens by which their answers are known.

A token comes back with the answer from the app's workers. It names the queue item, the attempt and
the place in the canvas, and it is signed with the app's secret, so a forged answer is refused.
"""

import hashlib
import hmac
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from ..canvas import interpret
from ..canvas.expressions import Skipped
from ..canvas.interpret import Call
from ..canvas.nodes import Canvas
from ..canvas.places import following
from ..errors import Invalid
from ..values import canonical, ids

OP = "CeleryTask"  # the kind of such steps in timelines
FAILED_OP = "CeleryTaskFailed"  # the kind of a stored error: no result of its task
_DIGEST_BYTES = 16
_MOST_CHARS = 1024
_CALL = tuple(field.name for field in fields(Call))


def call_to_json(call: Call) -> str:
    """Write a call for its queue item. Raises TooDeep if results make it deeper than is read."""
    # not by asdict(), which copies all arguments
    return canonical.dumps_exact({name: getattr(call, name) for name in _CALL})


def call_from_json(stored: str) -> Call:
    """Read what call_to_json() wrote."""
    return Call(**canonical.loads(stored))


def result_to_json(value: object) -> str:
    """Write a task's result, or that it was skipped, as its step stores it. Raises TooDeep."""
    found = {"data": None, "skipped": value.by} if isinstance(value, Skipped) else {"data": value}
    return canonical.dumps_exact(found)


def result_from_json(stored: str) -> object:
    """Read what result_to_json() wrote."""
    found = canonical.loads(stored)
    return Skipped(found["skipped"]) if "skipped" in found else found["data"]


def is_result(stored: str) -> bool:
    """Say whether a step stores a result, and not the error of a task that has failed."""
    return "data" in canonical.loads(stored)


def edited_from_json(stored: str) -> interpret.Edited:
    """Read the new arguments that a rerun gives to its step: a list, or an object of both."""
    given = canonical.loads(stored)["input"]
    return {"args": given} if isinstance(given, list) else given


def with_deadline(call: Call, since: datetime) -> Call:
    """Write `expires` as a time where it is a number of seconds, which count from `since`."""
    seconds = call.options.get("expires")
    if not isinstance(seconds, int | float):
        return call
    until = since + timedelta(seconds=seconds)
    return replace(call, options={**call.options, "expires": until.isoformat()})


def deadline(call: Call) -> datetime | None:
    """Return the time by which a worker must have begun a call that has been given one."""
    text = call.options.get("expires")
    if not isinstance(text, str):
        return None
    at = datetime.fromisoformat(text)
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


@lru_cache(maxsize=4096)
def step_of(path: str) -> str:
    """Hash the place of a task in its canvas to the id of its step."""
    return ids.step_hash(f"task:{path}")


def kept(canvas: Canvas, step: str) -> set[str]:
    """List the steps whose results a rerun from one keeps. Raises Invalid for an errback's step."""
    paths = {step_of(path): path for path, _, _ in interpret.tasks(canvas)}
    if step not in paths:
        problem = "the step is an errback: run again from the task that has failed"
        raise Invalid(problem, field="fromStep.stepId")
    again = set(following(canvas, paths[step]))
    return {known for known, path in paths.items() if path not in again}


def is_of_errback(path: str) -> bool:
    """Say whether a task stands in an errback."""
    return "!" in path


def task_id(item_id: str, attempt: int) -> str:
    """Name an attempt for the app's workers: sent again after a crash it has the same name."""
    return f"{item_id.lower()}-{attempt}"


def info(item_id: str, attempt: int) -> str:
    """Write what the timeline has of an attempt beside its times: the task's id (JSON)."""
    return canonical.dumps({"task": task_id(item_id, attempt)}).decode()


def item_and_attempt(name: str) -> tuple[str, int] | None:
    """Read a name that task_id() made; None for any other task."""
    item_id, _, attempt = name.upper().rpartition("-")
    if not (ids.is_ulid(item_id) and attempt.isascii() and attempt.isdigit()):
        return None
    return item_id, int(attempt[:9])


@dataclass(frozen=True, slots=True)
class Token:
    """Which attempt of which task an answer belongs to, and when it was sent."""

    item_id: str
    attempt: int
    path: str
    sent: datetime

    def signed(self, secret: str) -> str:
        """Write and sign it."""
        sent_ms = round(self.sent.timestamp() * 1000)
        text = f"{self.item_id}:{self.attempt}:{sent_ms}:{self.path}"
        return f"{text}:{_digest(text, secret)}"


def read_token(given: object, secret: str) -> Token:
    """Read a signed token. Raises Invalid for one that was not signed with the secret."""
    text = given if isinstance(given, str) and len(given) <= _MOST_CHARS else ""
    signed, _, digest = text.rpartition(":")
    if not hmac.compare_digest(digest.encode(), _digest(signed, secret).encode()):
        raise Invalid("the answer's token is not signed by this installation")
    item_id, attempt, sent_ms, path = signed.split(":", 3)
    sent = datetime.fromtimestamp(int(sent_ms) / 1000, UTC)
    return Token(item_id, int(attempt), path, sent)


def _digest(text: str, secret: str) -> str:
    raw = hmac.digest(secret.encode(), text.encode(), hashlib.sha256)
    return raw[:_DIGEST_BYTES].hex()
