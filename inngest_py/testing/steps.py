"""The steps of a run, as a test sees them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import RowMapping

from ..domain.runs import outputs
from ..domain.values import canonical
from ..domain.values.ids import step_hash
from .errors import InngestTestError

Json = Any  # what the app made: its test knows the type


@dataclass(frozen=True, slots=True)
class Error:
    """An error of a step or a run, as the app told it."""

    name: str
    message: str
    stack: str

    def __str__(self) -> str:
        return f"{self.name}: {self.message}"


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a run. `attempts` counts how often it was tried; a sleep or a wait is not.

    `error` is its last one, also if a later attempt has succeeded; `failed` says that it failed
    for good.
    """

    id: str
    done: bool
    failed: bool
    attempts: int
    output: Json
    error: Error | None


class Steps(Mapping[str, Step]):
    """The steps of a run by their ids, in the order in which they were met."""

    def __init__(self, steps: Mapping[str, Step]) -> None:
        self._steps = steps

    def __getitem__(self, step_id: str) -> Step:
        try:
            return self._steps[step_id]
        except (KeyError, TypeError):
            met = ", ".join(map(repr, self._steps)) or "none"
            text = f"the run has not met a step {step_id!r}; it has met: {met}"
            raise InngestTestError(text) from None

    def __contains__(self, step_id: object) -> bool:
        return isinstance(step_id, str) and step_id in self._steps

    def __iter__(self) -> Iterator[str]:
        return iter(self._steps)

    def __len__(self) -> int:
        return len(self._steps)

    def __repr__(self) -> str:
        return f"<Steps {', '.join(map(repr, self._steps))}>"


def steps_of(
    tried: Sequence[RowMapping], stored: Sequence[RowMapping], queued: Sequence[RowMapping]
) -> Steps:
    """Make the steps of a run of its rows."""
    names: dict[str, str] = {}
    for row in tried:
        if row["step"] is not None:
            names.setdefault(row["step"], row["name"])
    for row in stored:
        names.setdefault(row["hash"], row["name"])
    for row in queued:
        if row["step"] is not None:
            names.setdefault(row["step"], row["step_name"] or row["step"])
    results = {row["hash"]: row["output"] for row in stored}
    made = {}
    for hashed, name in names.items():
        mine = [row for row in tried if row["step"] == hashed]
        made[_unique(hashed, name)] = _step(_unique(hashed, name), mine, results.get(hashed))
    return Steps(made)


def _unique(hashed: str, name: str) -> str:
    """Return the id of a step; "name:1" for the second one of a name, as the SDK counts them."""
    if step_hash(name) == hashed:
        return name
    for index in range(1, 1001):
        if step_hash(name, index) == hashed:
            return f"{name}:{index}"
    return name


def _step(step_id: str, tried: Sequence[RowMapping], stored: str | None) -> Step:
    tries = [row for row in tried if row["status"] in ("completed", "errored", "failed")]
    texts = [row["error"] for row in tried if row["error"] is not None]
    value = None if stored is None else canonical.loads(stored)
    failed = isinstance(value, dict) and set(value) == {"error"}
    if failed:
        texts.append(stored)
    if isinstance(value, dict) and set(value) == {"data"}:
        value = value["data"]
    return Step(
        id=step_id,
        done=stored is not None,
        failed=failed,
        attempts=len(tries),
        output=None if failed else value,
        error=error_of(texts[-1]) if texts else None,
    )


def error_of(stored: str) -> Error:
    """Read a stored error."""
    found = outputs.error_object(canonical.loads(stored))
    return Error(str(found["name"]), str(found["message"]), str(found.get("stack", "")))
