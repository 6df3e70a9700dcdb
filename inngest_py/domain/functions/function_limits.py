"""A function's limits of flow control, and how to read them (sync.md §5, §5.2; flow-control.md)."""

from dataclasses import dataclass
from datetime import timedelta

from ..values.json_fields import whole
from .config_fields import CONFIG, Fields, wrong

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
MAX_DEBOUNCE = timedelta(days=7)
MAX_STEP_CONCURRENCY = 2
MAX_FN_CONCURRENCY = 1
MIN_BATCH = 2
_CONCURRENCY = "concurrency_limit_invalid"
_SCOPES = ("fn", "env", "account")
_MODES = ("skip", "cancel")


@dataclass(frozen=True, slots=True)
class Concurrency:
    """At most `limit` at a time in a scope (fn, env or account), per value of the key."""

    limit: int
    scope: str = "fn"
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Throttle:
    """At most `limit` starts per period, and `burst` more at once; the others wait."""

    limit: int
    period: timedelta
    burst: int = 0
    key: str | None = None


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most `limit` starts per period; other events are dropped. Idempotency is 1 per day."""

    limit: int
    period: timedelta
    key: str | None = None
    idempotency: bool = False


@dataclass(frozen=True, slots=True)
class Debounce:
    """A run starts when no event has come for the period, at the latest after the time-out."""

    period: timedelta
    key: str | None = None
    timeout: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """A run gets up to `max_size` events, or those that have come when the time-out ends."""

    max_size: int
    timeout: timedelta
    key: str | None = None
    expression: str | None = None


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long a run may wait for its first request (`start`), and how long it may take then."""

    start: timedelta | None = None
    finish: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Singleton:
    """One run at a time: a later one is skipped (mode skip) or cancels the first (mode cancel)."""

    mode: str
    key: str | None = None


def parse_concurrency(config: Fields) -> tuple[tuple[Concurrency, ...], Concurrency | None]:
    """Read the limits of steps, in ascending order, and the limit of whole runs.

    A 0 sets no limit. A value that is neither number, array nor object is ignored.
    """
    value, path = config.get("concurrency"), config.at("concurrency")
    shaped = Fields(value, path) if isinstance(value, dict) else Fields({})
    if shaped.has("fn") or shaped.has("step"):
        steps = _entries(shaped.get("step"), shaped.at("step"), MAX_STEP_CONCURRENCY)
        return steps, _run_entry(shaped)
    if isinstance(value, int | float) and not isinstance(value, bool):
        limit = whole(value, path, code=_CONCURRENCY)
        return ((Concurrency(limit),) if limit else ()), None
    if isinstance(value, dict):
        entry = _entry(shaped)
        return ((entry,) if entry.limit else ()), None
    if isinstance(value, list):
        return _entries(value, path, MAX_STEP_CONCURRENCY), None
    return (), None


def _entries(value: object, path: str, most: int) -> tuple[Concurrency, ...]:
    if value is None:
        return ()
    entries = [_entry(item) for item in Fields.listed(value, path, most, _CONCURRENCY)]
    return tuple(sorted((entry for entry in entries if entry.limit), key=lambda entry: entry.limit))


def _run_entry(shaped: Fields) -> Concurrency | None:
    for item in shaped.objects("fn", MAX_FN_CONCURRENCY, _CONCURRENCY):
        entry = _entry(item)
        if not entry.limit:
            raise wrong(item.at("limit"), "must be above 0", _CONCURRENCY)
        if entry.scope != "fn":
            raise wrong(item.at("scope"), "must be fn: runs are limited by function", _CONCURRENCY)
        return entry
    return None


def _entry(item: Fields) -> Concurrency:
    scope = (item.text("scope", code=_CONCURRENCY) or "fn").lower()
    if scope not in _SCOPES:
        raise wrong(item.at("scope"), "must be fn, env or account", _CONCURRENCY)
    key = item.expression("key")
    if key is None and scope != "fn":
        raise wrong(item.at("key"), f"is missing: the scope {scope} needs one", _CONCURRENCY)
    return Concurrency(item.integer("limit", code=_CONCURRENCY) or 0, scope, key)


def parse_throttle(config: Fields) -> Throttle | None:
    """Read the throttle; a limit of 0 means 1."""
    item = config.object("throttle")
    if item is None:
        return None
    return Throttle(
        limit=item.integer("limit") or 1,
        period=item.positive("period"),
        burst=item.integer("burst") or 0,
        key=item.expression("key"),
    )


def parse_rate_limit(config: Fields) -> RateLimit | None:
    """Read the rate limit; `idempotency` makes one of 1 per day and replaces any other."""
    key = config.expression("idempotency")
    if key is not None:
        return RateLimit(1, DAY, key, idempotency=True)
    item = config.object("rateLimit")
    if item is None:
        return None
    limit = item.integer("limit")
    if not limit:
        raise wrong(item.at("limit"), "must be above 0")
    return RateLimit(limit, item.positive("period", most=DAY), item.expression("key"))


def parse_debounce(config: Fields) -> Debounce | None:
    """Read the debounce; its period must be between 1 s and 7 d."""
    item = config.object("debounce")
    if item is None:
        return None
    period = item.duration("period", SECOND, MAX_DEBOUNCE)
    if period is None:
        raise wrong(item.at("period"), "is missing: write a duration between 1s and 7d")
    timeout = item.duration("timeout", timedelta(0))
    return Debounce(period, item.expression("key"), timeout or None)


def parse_batch(config: Fields) -> Batch | None:
    """Read the event batch; each of its fields has its own error code (sync.md §5.4)."""
    item = config.object("batchEvents")
    if item is None:
        return None
    size = item.integer("maxSize", MIN_BATCH, "batch_size_invalid")
    if size is None:
        raise wrong(
            item.at("maxSize"), f"is missing: write {MIN_BATCH} or more", "batch_size_invalid"
        )
    timeout = item.duration("timeout", SECOND, code="batch_timeout_invalid")
    if timeout is None:
        problem = "is missing: write a duration of 1s or more"
        raise wrong(item.at("timeout"), problem, "batch_timeout_invalid")
    return Batch(
        max_size=size,
        timeout=timeout,
        key=item.expression("key", "batch_key_expression_invalid"),
        expression=item.expression("if", "batch_if_expression_invalid"),
    )


def parse_priority(config: Fields) -> str | None:
    """Read the expression that gives a run's priority in seconds."""
    item = config.object("priority")
    return None if item is None else item.expression("run")


def parse_timeouts(config: Fields) -> Timeouts | None:
    """Read the time-outs of runs; zero sets none."""
    item = config.object("timeouts")
    if item is None:
        return None
    start, finish = (item.duration(key, timedelta(0)) or None for key in ("start", "finish"))
    return Timeouts(start, finish) if start or finish else None


def parse_singleton(config: Fields) -> Singleton | None:
    """Read the singleton rule."""
    item = config.object("singleton")
    if item is None:
        return None
    mode = item.text("mode", code=CONFIG)
    if mode not in _MODES:
        raise wrong(item.at("mode"), "must be skip or cancel")
    return Singleton(mode, item.expression("key"))
