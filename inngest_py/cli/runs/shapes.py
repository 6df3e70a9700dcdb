"""What commands use of a run as the server shows it, and how they write it."""

from typing import TypedDict

_MOST_ERROR = 100


class RunError(TypedDict):
    """Why a run failed, or its last attempt."""

    name: str
    message: str


class Run(TypedDict):
    """A run in a list."""

    id: str
    status: str
    phase: str | None
    function: str
    app: str
    event: str | None
    queued_at: str
    started_at: str | None
    ended_at: str | None
    error: RunError | None


class RunPage(TypedDict):
    """A page of a list of runs."""

    data: list[Run]
    cursor: str | None
    has_more: bool
    fetched_at: str


class Attempt(TypedDict):
    """An attempt of a run."""

    step: str | None
    name: str | None
    attempt: int
    status: str
    queued_at: str | None
    started_at: str | None
    ended_at: str | None
    error: object


class WholeRun(Run):
    """A run with its attempts."""

    attempts: list[Attempt]


def line_of(error: object) -> str:
    """Write an error, as the server or an SDK has it, in one line."""
    if not isinstance(error, dict):
        return "" if error is None else _cut(str(error))
    inner = error.get("error")
    error = inner if isinstance(inner, dict) else error  # a function's is within its output
    name, message = str(error.get("name") or "Error"), str(error.get("message") or "")
    return _cut(f"{name}: {message}" if message else name)


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MOST_ERROR else f"{line[:_MOST_ERROR]}…"


def attempt_line(one: Attempt) -> str:
    """Write an attempt: which step, how often it was tried, and what became of it."""
    at = one["ended_at"] or one["started_at"] or one["queued_at"] or ""
    step = one["name"] or "the function"
    tried = f", attempt {one['attempt'] + 1}" if one["attempt"] else ""
    wrong = f"  {line_of(one['error'])}" if one["error"] is not None else ""
    return f"{at}  {one['status'].lower():<10}  {step}{tried}{wrong}"
