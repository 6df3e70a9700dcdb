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
from ..values.checks import MOST_LEVELS, is_deeper
from ..values.json_fields import JsonFields
from ..values.json_types import JsonObject

MAX_SPAN_BYTES = 64 * 1024
MAX_RUN_BYTES = 1024 * 1024
MAX_UPDATES = 100
MAX_KIND_BYTES = MAX_SPAN_ID_BYTES = 256
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
    given = JsonFields(body)
    updates = [_update(item) for item in given.objects("metadata", MAX_UPDATES)]
    if not updates:
        raise given.wrong("metadata", "must be an array of updates, not empty")
    return _target(_object(given, "target")), updates


def of_ops(ops: Iterable[OpNotes], attempt: int) -> list[tuple[Target, Update]]:
    """Read the metadata that came with ops; what is not valid is left out.

    A step must not fail because of its metadata.
    """
    found = []
    for op in ops:
        for note in op.notes[:MAX_UPDATES]:
            try:
                update = _update(JsonFields(note, "metadata"))
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


def _object(given: JsonFields, key: str) -> JsonFields:
    """Read an object; anything empty, such as an empty array, counts as one without fields."""
    found = given.object(key) if given.get(key) else None
    return JsonFields({}) if found is None else found


def _target(given: JsonFields) -> Target:
    span = given.text("span_id", MAX_SPAN_ID_BYTES)
    if span is not None:
        return Target(span=span)
    step_id = given.text("step_id", MAX_STEP_ID_BYTES)
    index, attempt = given.integer("step_index"), given.integer("step_attempt")
    if step_id is None:
        if attempt is not None or index:
            raise given.missing("step_id")
        return Target()
    return Target(step_hash(step_id, index or 0), attempt)


def _update(given: JsonFields) -> Update:
    name = given.needed("kind", MAX_KIND_BYTES)
    op = given.get("op")
    if op is None:
        op = UpdateOp.MERGE.value
    if not isinstance(op, str) or op not in list(UpdateOp):
        raise given.wrong("op", f"must be one of {', '.join(UpdateOp)}")
    found = _object(given, "values").given
    # what has no canonical form cannot be stored
    if is_deeper(canonical.dumps(found).decode(), MOST_LEVELS):
        raise given.wrong("values", f"is nested deeper than {MOST_LEVELS} levels")
    return Update(name, UpdateOp(op), found)


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
