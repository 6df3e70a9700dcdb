"""What an app's answer says to a request of the replay check (execution.md §3, §4)."""

import re
from dataclasses import dataclass
from datetime import datetime

from ..errors import InngestPyError, Invalid
from ..limits import MAX_RESPONSE_BYTES
from ..reply import read
from ..reply.read import Reply
from ..steps.opcodes import ENDING, LAZY, Op, Opcode
from ..values import canonical
from .findings import Kind
from .history import kind_of_op

TIMED_OUT = "timed out"  # what the transport says
_REFUSED = frozenset({401, 403})
_NO_FUNCTION = "function_not_found"  # the Python SDK's code
_NO_FUNCTION_TEXT = re.compile(  # the messages of the Go SDK, and of two versions for TypeScript
    r'function not found: |Function ".*" was not found in this app|No function ID found in request'
)
_MOST_DETAIL_CHARS = 300
_RAN = frozenset({Opcode.STEP, Opcode.STEP_RUN, Opcode.STEP_ERROR, Opcode.STEP_FAILED})


class AppAway(InngestPyError):
    """No app answers at the URL, or it refuses the server's requests."""


class TookTooLong(InngestPyError):
    """The app took too long."""


class TooLarge(InngestPyError):
    """The app's answer is over the limit of all answers."""


class NotServed(InngestPyError):
    """The app does not have the function."""


class RanAStep(InngestPyError):
    """The app has run a step though it was told not to."""


@dataclass(frozen=True, slots=True)
class AskedStep:
    """A step that the code asks for next."""

    id: str
    name: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Asked:
    """The code goes on with these steps."""

    steps: tuple[AskedStep, ...]


@dataclass(frozen=True, slots=True)
class Returned:
    """The function has returned."""


@dataclass(frozen=True, slots=True)
class Raised:
    """The function has raised an error of this name."""

    error: str
    detail: str | None = None


Answer = Asked | Returned | Raised


def understood(reply: Reply, now: datetime) -> Answer:
    """Read an answer.

    Raises AppAway, TookTooLong, TooLarge, NotServed, and RanAStep if the answer holds a step's
    result.
    """
    if reply.unreachable == TIMED_OUT:
        raise TookTooLong("the app did not answer a request in time")
    if reply.unreachable is not None:
        raise AppAway(f"the app cannot be reached: {reply.unreachable}")
    if reply.status in _REFUSED:
        raise AppAway(
            f"the app refuses the server's signature ({reply.status}): give both the same"
            " signing key"
        )
    if not reply.header("x-inngest-sdk"):
        raise AppAway(
            f"what answers there (HTTP {reply.status}) is not an Inngest SDK: give the URL of the"
            " app's serve endpoint, such as http://localhost:3000/api/inngest"
        )
    if reply.too_large:
        most = f"{MAX_RESPONSE_BYTES // 1024**2} MiB"
        raise TooLarge(f"the app's answer is over {most}, and a run would fail with it")
    meaning = read.read(reply, now)
    if isinstance(meaning, read.Returned):
        return Returned()
    if isinstance(meaning, read.Errored):
        return _raised(meaning.output)
    return _asked(meaning.ops)


def _raised(output: str) -> Raised:
    try:
        found = canonical.loads(output)
    except Invalid:
        found = None
    error = found if isinstance(found, dict) else {"message": found}
    if isinstance(error.get("error"), dict):
        error = error["error"]
    message = str(error.get("message") or error.get("error") or "")
    if error.get("code") == _NO_FUNCTION or _NO_FUNCTION_TEXT.match(message):
        raise NotServed
    return Raised(str(error.get("name") or "Error")[:100], message[:_MOST_DETAIL_CHARS] or None)


def _asked(ops: list[Op]) -> Answer:
    asked = []
    for op in ops:
        if op.is_function and op.error is not None:
            return _raised(canonical.dumps(op.error).decode())
        if op.code in _RAN:
            raise RanAStep(
                f"the app has run step {op.label!r} though it was told not to: its SDK ignores"
                " disable_immediate_execution, so the check has stopped"
            )
        if op.code in ENDING:
            return Returned()
        if op.code not in LAZY and op.id:
            asked.append(AskedStep(op.id, op.label, kind_of_op(op.code.value)))
    return Asked(tuple(asked))
