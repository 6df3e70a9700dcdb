"""Deferred functions: a run asks for them while it is live, and they start when it has ended.

Protocol: execution.md §4, rows 15 and 16. The ops are lazy: a bad one is rejected, but never
makes its run fail.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeGuard

from ..errors import Invalid
from ..events.event_record import DEFERRED, Event, internal
from ..limits import MAX_DEFER_BYTES, MAX_DEFERS, MAX_NAME_CHARS
from ..values import canonical
from ..values.checks import MOST_LEVELS, is_deeper
from .opcodes import LAZY, Op, Opcode


class DeferStatus(StrEnum):
    """Whether a deferred function will start."""

    SCHEDULED = "scheduled"
    ABORTED = "aborted"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Defer:
    """A deferred function of a run; `hash` is that of its id, `input` and `meta` are JSON texts."""

    hash: str
    status: DeferStatus
    name: str = ""
    slug: str = ""
    input: str | None = None
    meta: str | None = None
    reason: str | None = None

    @property
    def size(self) -> int:
        """The bytes that count against the run's limit."""
        return canonical.size(self.input or "") + canonical.size(self.meta or "")


def read(ops: Iterable[Op]) -> list[Defer]:
    """Read the lazy ops among the ops; those without a valid id are left out."""
    found = [_read(op) for op in ops if op.code in LAZY]
    return [defer for defer in found if defer is not None]


def _read(op: Op) -> Defer | None:
    if op.code is Opcode.DEFER_ABORT:
        target = op.opts.get("target_hashed_id")
        return Defer(str(target), DeferStatus.ABORTED, op.label) if _is_hash(target) else None
    if not _is_hash(op.id):
        return None
    try:
        return _read_add(op)
    except Invalid as error:
        return Defer(op.id, DeferStatus.REJECTED, op.label, reason=error.message)


def _is_hash(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and value.isalnum() and value.isascii() and len(value) <= 64


def _read_add(op: Op) -> Defer:
    slug, given, meta = op.opts.get("fn_slug"), op.opts.get("input"), op.opts.get("meta")
    if not isinstance(slug, str) or not slug or "\0" in slug or len(slug) > MAX_NAME_CHARS:
        raise Invalid("opts.fn_slug names no function")
    if not isinstance(given, dict | None):
        raise Invalid("opts.input is not an object")
    text = canonical.dumps(given or {}).decode()
    if is_deeper(text, MOST_LEVELS):
        raise Invalid(f"opts.input is nested deeper than {MOST_LEVELS} levels")
    about = canonical.dumps(meta).decode() if isinstance(meta, dict) and meta else None
    made = Defer(op.id, DeferStatus.SCHEDULED, op.label, slug, text, about)
    if made.size > MAX_DEFER_BYTES:
        raise Invalid(f"opts.input is over {MAX_DEFER_BYTES} bytes")
    return made


def changes(known: Mapping[str, Defer], given: Iterable[Defer]) -> dict[str, Defer]:
    """Return the run's defers that `given` changes; of several adds of an id the first counts.

    An abort that comes before its add is kept, so that the later add starts nothing.
    """
    now = dict(known)
    for defer in given:
        before = now.get(defer.hash)
        if before is None:
            if len(now) < MAX_DEFERS:
                now[defer.hash] = _within_limit(defer, now)
        elif defer.status is DeferStatus.ABORTED and before.status is DeferStatus.SCHEDULED:
            now[defer.hash] = Defer(before.hash, DeferStatus.ABORTED, before.name, before.slug)
    return {key: defer for key, defer in now.items() if defer != known.get(key)}


def _within_limit(defer: Defer, known: Mapping[str, Defer]) -> Defer:
    total = defer.size + sum(other.size for other in known.values())
    if total <= MAX_DEFER_BYTES:
        return defer
    reason = f"the run's deferred inputs are over {MAX_DEFER_BYTES} bytes together"
    return Defer(defer.hash, DeferStatus.REJECTED, defer.name, defer.slug, reason=reason)


def shown(defers: Iterable[Defer]) -> str:
    """Write the field `defers` of a request's body as canonical JSON (execution.md §1.2)."""
    state = {d.hash: {"abortable": d.status is DeferStatus.SCHEDULED} for d in defers}
    return canonical.dumps(state).decode()


def event(defer: Defer, *, run_id: str, function_slug: str, id: str, ts_ms: int) -> Event:
    """Build the event that starts a deferred function, once its run has ended."""
    routing = {
        "fn_slug": defer.slug,
        "parent_fn_slug": function_slug,
        "parent_run_id": run_id,
    }
    data = canonical.loads(defer.input or "{}") | {"_inngest": routing}
    meta = canonical.loads(defer.meta) if defer.meta else None
    return internal(DEFERRED, data, id=id, ts_ms=ts_ms, meta=meta)
