"""Metadata of runs and steps: small objects that user code and scores attach (api.md §2, §4).

Invariant: a target's metadata stays within the limits, whatever updates came and in which order.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeGuard

from ..errors import Invalid, TooLarge
from ..limits import MAX_STEP_ID_BYTES
from ..values import canonical, ids
from ..values.checks import MOST_LEVELS, check_text, is_deeper, kind
from ..values.json_types import JsonObject

MAX_SPAN_BYTES = 64 * 1024
MAX_RUN_BYTES = 1024 * 1024
MAX_UPDATES = 100
MAX_KIND_BYTES = 256
SCORE = "inngest.score"  # the kind of scores, whose values are `{name: {value}}`
_HASH_CHARS = 40


class OpNotes(Protocol):
    """An op with the metadata that came with it."""

    @property
    def id(self) -> str:
        """The hash of its step."""

    @property
    def notes(self) -> tuple[JsonObject, ...]:
        """Its metadata, not checked yet."""


class Scope(StrEnum):
    """What metadata is attached to."""

    RUN = "run"
    STEP = "step"
    ATTEMPT = "step_attempt"
    SPAN = "extended_trace"


class UpdateOp(StrEnum):
    """How an update changes the metadata that is there."""

    MERGE = "merge"
    SET = "set"
    DELETE = "delete"
    ADD = "add"


@dataclass(frozen=True, slots=True)
class Target:
    """A run (no field is set), a step by its hash, an attempt of it, or a span of user code."""

    step: str | None = None
    attempt: int | None = None
    span: str | None = None

    @property
    def scope(self) -> Scope:
        """What kind of target it is."""
        if self.span is not None:
            return Scope.SPAN
        if self.step is None:
            return Scope.RUN
        return Scope.STEP if self.attempt is None else Scope.ATTEMPT

    @property
    def key(self) -> str:
        """The key that is unique among the run's targets."""
        if self.span is not None:
            return f"span:{self.span}"
        return (self.step or "") + ("" if self.attempt is None else f"#{self.attempt}")


@dataclass(frozen=True, slots=True)
class Update:
    """A change of one kind of metadata."""

    kind: str
    op: UpdateOp
    values: JsonObject


def parse(body: object) -> tuple[Target, list[Update]]:
    """Check the body of `POST /v1/runs/{id}/metadata`; raises Invalid, which names the field."""
    given = _object(body, "the body", "")
    found = given.get("metadata")
    if not isinstance(found, list) or not found:
        raise Invalid("metadata must be an array of updates, not empty", field="metadata")
    if len(found) > MAX_UPDATES:
        raise Invalid(f"metadata holds more than {MAX_UPDATES} updates", field="metadata")
    updates = [_update(item, f"metadata[{place}]") for place, item in enumerate(found)]
    return _target(_object(given.get("target") or {}, "target", "target")), updates


def of_ops(ops: Iterable[OpNotes], attempt: int) -> list[tuple[Target, Update]]:
    """Read the metadata that came with ops; what is not valid is left out.

    A step must not fail because of its metadata.
    """
    found = []
    for op in ops:
        for note in op.notes[:MAX_UPDATES]:
            try:
                update = _update(note, "metadata")
            except Invalid:
                continue
            found.append((_scoped(note.get("scope"), op.id, attempt), update))
    return found


def _scoped(scope: object, step: str, attempt: int) -> Target:
    if scope == Scope.RUN or not step:
        return Target()
    return Target(step, attempt if scope == Scope.ATTEMPT else None)


def step_hash(step_id: str, index: int = 0) -> str:
    """Return the hash of a step; `step_id` may be the hash already."""
    if len(step_id) == _HASH_CHARS and all(char in "0123456789abcdef" for char in step_id):
        return step_id
    return ids.step_hash(step_id, index)


def _target(given: JsonObject) -> Target:
    span = _text(given, "span_id", "target", 256)
    if span:
        return Target(span=span)
    step_id = _text(given, "step_id", "target", MAX_STEP_ID_BYTES)
    index, attempt = _number(given, "step_index"), _number(given, "step_attempt")
    if not step_id:
        if attempt is not None or index:
            raise Invalid("target.step_id is missing", field="target.step_id")
        return Target()
    return Target(step_hash(step_id, index or 0), attempt)


def _update(item: object, path: str) -> Update:
    given = _object(item, path, path)
    name = _text(given, "kind", path, MAX_KIND_BYTES)
    if not name:
        raise Invalid(f"{path}.kind is missing", field=f"{path}.kind")
    op = given.get("op", UpdateOp.MERGE.value)
    if not isinstance(op, str) or op not in list(UpdateOp):
        raise Invalid(f"{path}.op must be one of {', '.join(UpdateOp)}", field=f"{path}.op")
    values = _object(given.get("values") or {}, f"{path}.values", f"{path}.values")
    # what has no canonical form cannot be stored
    if is_deeper(canonical.dumps(values).decode(), MOST_LEVELS):
        text = f"{path}.values is nested deeper than {MOST_LEVELS} levels"
        raise Invalid(text, field=f"{path}.values")
    return Update(name, UpdateOp(op), values)


def change(current: Mapping[str, object], update: Update) -> JsonObject:
    """Return the values after an update; a deletion without keys deletes all."""
    if update.op is UpdateOp.SET:
        return dict(update.values)
    if update.op is UpdateOp.DELETE:
        left = current if update.values else {}
        return {key: value for key, value in left.items() if key not in update.values}
    if update.op is UpdateOp.ADD:
        return {**current, **{k: _sum(current.get(k), v) for k, v in update.values.items()}}
    return {**current, **update.values}


def _sum(old: object, new: object) -> object:
    return old + new if _is_number(old) and _is_number(new) else new


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def check_sizes(sizes: Mapping[str, int]) -> None:
    """Raise TooLarge when one target's bytes, or those of all the run's targets, are too many."""
    if any(size > MAX_SPAN_BYTES for size in sizes.values()):
        raise TooLarge(f"the metadata of a span is over {MAX_SPAN_BYTES} bytes")
    if sum(sizes.values()) > MAX_RUN_BYTES:
        raise TooLarge(f"the metadata of the run is over {MAX_RUN_BYTES} bytes")


def _object(value: object, what: str, field: str) -> JsonObject:
    if not isinstance(value, dict):
        raise Invalid(f"{what} must be an object, not {kind(value)}", field=field or None)
    return value


def _text(given: JsonObject, key: str, path: str, most: int) -> str:
    value = given.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Invalid(f"{path}.{key} must be a string, not {kind(value)}", field=f"{path}.{key}")
    return check_text(value, f"{path}.{key}", most, f"{path}.{key}")


def _number(given: JsonObject, key: str) -> int | None:
    value = given.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**31:
        raise Invalid(f"target.{key} must be a whole number", field=f"target.{key}")
    return value
