"""Overrides: limits that an operator sets for a function without a deploy.

An override replaces the limits that it names, each in the shape of a registration; `null` removes
a limit. It survives syncs, and lasts for a time or until it is undone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from ..errors import Invalid
from ..values import canonical, times
from ..values.dataclass_json import decode, duration_text, encode
from ..values.json_types import JsonObject
from . import exact_shapes
from .config_fields import Fields, wrong
from .function_config import FunctionConfig
from .function_limits import (
    Concurrency,
    RateLimit,
    Throttle,
    parse_concurrency,
    parse_rate_limit,
    parse_throttle,
)
from .retries import Backoff, parse_backoff

# Each limit's name in JSON, with the fields of a configuration that it sets.
RULES: Mapping[str, tuple[str, ...]] = {
    "concurrency": ("concurrency", "run_concurrency"),
    "throttle": ("throttle",),
    "rateLimit": ("rate_limit",),
    "backoff": ("backoff",),
}
_TIMES = ("expiresIn", "expiresAt")
_KNOWN = (*RULES, *_TIMES, "by")
LONGEST = timedelta(days=366)


@dataclass(frozen=True, slots=True)
class Override:
    """The limits named in `rules`, with their new values; one whose fields are empty is removed."""

    rules: tuple[str, ...]
    concurrency: tuple[Concurrency, ...] = ()
    run_concurrency: Concurrency | None = None
    throttle: Throttle | None = None
    rate_limit: RateLimit | None = None
    backoff: Backoff | None = None

    def to_json(self) -> str:
        """Write this as canonical JSON, to be stored."""
        return canonical.dumps(encode(self)).decode()


def from_json(stored: str) -> Override:
    """Read what to_json() wrote."""
    return decode(Override, canonical.loads(stored))


@dataclass(frozen=True, slots=True)
class Wanted:
    """A request for an override; `until` is None for one without end, `by` names the operator."""

    override: Override
    until: datetime | None
    by: str | None


def parse(body: object, now: datetime) -> Wanted:
    """Check a request. Raises Invalid with the field's path and the fix."""
    fields = Fields(body, "")
    unknown = sorted(set(fields.given).difference(_KNOWN))
    if unknown:
        raise wrong(unknown[0][:64], f"is not known here: only {', '.join(_KNOWN)} are")
    rules = tuple(rule for rule in RULES if rule in fields.given)
    if not rules:
        raise Invalid(f"the body sets no limit: give one of {', '.join(RULES)}", field="body")
    exact_shapes.check(fields, [rule for rule in rules if rule != "backoff"])
    steps, whole = parse_concurrency(fields)
    override = Override(
        rules,
        steps,
        whole,
        parse_throttle(fields),
        parse_rate_limit(fields),
        parse_backoff(fields),
    )
    return Wanted(override, _until(fields, now), fields.text("by"))


def _until(fields: Fields, now: datetime) -> datetime | None:
    length, text = fields.duration("expiresIn"), fields.text("expiresAt")
    if length is not None and text is not None:
        raise wrong("expiresAt", "cannot be given with expiresIn: remove one of them")
    if length is not None:
        if not timedelta(0) < length <= LONGEST:
            raise wrong("expiresIn", "must be above zero, and 366 days at most")
        return now + length
    if text is None:
        return None
    try:
        until = times.parse_time(text)
    except Invalid:
        problem = "must be an RFC 3339 time such as 2027-01-31T12:00:00Z"
        raise wrong("expiresAt", problem) from None
    if not now < until <= now + LONGEST:
        raise wrong("expiresAt", "must lie in the future, 366 days ahead at most")
    return until


def applied(config: FunctionConfig, override: Override) -> FunctionConfig:
    """Return a configuration with an override applied; an idempotency key stays."""
    kept = config.rate_limit is not None and config.rate_limit.idempotency
    changed: dict[str, Any] = {
        name: getattr(override, name)
        for rule in override.rules
        for name in RULES[rule]
        if not (kept and rule == "rateLimit")
    }
    return replace(config, **changed)


def as_override(limits: FunctionConfig | Override) -> JsonObject:
    """Show limits as they can be written in an override; one that is not set is null."""
    rules = limits.rules if isinstance(limits, Override) else RULES
    found = {
        "concurrency": _concurrency(limits),
        "throttle": _part(limits.throttle),
        "rateLimit": _rate_limit(limits.rate_limit),
        "backoff": _part(limits.backoff),
    }
    return {rule: value for rule, value in found.items() if rule in rules}


def _concurrency(limits: FunctionConfig | Override) -> JsonObject | None:
    steps = [_part(entry) for entry in limits.concurrency]
    whole = [] if limits.run_concurrency is None else [_part(limits.run_concurrency)]
    return {"step": steps, "fn": whole} if steps or whole else None


def _rate_limit(rate: RateLimit | None) -> JsonObject | None:
    part = _part(rate)
    if part is not None and not part.get("idempotency"):
        part.pop("idempotency", None)
    return part


def _part(part: object | None) -> JsonObject | None:
    return None if part is None else encode(part)


def summary(limits: FunctionConfig) -> str:
    """Describe limits in one line of text, for lists; empty without any."""
    parts = [_count(entry, "step") for entry in limits.concurrency]
    if limits.run_concurrency is not None:
        parts.append(_count(limits.run_concurrency, "run"))
    rate = limits.rate_limit
    if rate is not None and rate.idempotency:
        parts.append(f"idempotent by {rate.key}")
        rate = None
    for name, rule in (("throttle", limits.throttle), ("rate limit", rate)):
        if rule is not None:
            parts.append(f"{name} {rule.limit}/{duration_text(rule.period)}{_by(rule.key)}")
    return ", ".join(parts + _other_limits(limits))


def _other_limits(limits: FunctionConfig) -> list[str]:
    parts = []
    if (debounce := limits.debounce) is not None:
        parts.append(f"debounce {duration_text(debounce.period)}{_by(debounce.key)}")
    if (batch := limits.batch) is not None:
        size = f"{batch.max_size}/{duration_text(batch.timeout)}"
        parts.append(f"batch {size}{_by(batch.key)}")
    if (singleton := limits.singleton) is not None:
        parts.append(f"singleton {singleton.mode}{_by(singleton.key)}")
    if limits.priority is not None:
        parts.append(f"priority {limits.priority}")
    return parts


def _count(entry: Concurrency, what: str) -> str:
    scope = "" if entry.scope == "fn" else f" in the {entry.scope}"
    many = "" if entry.limit == 1 else "s"
    return f"{entry.limit} {what}{many} at a time{scope}{_by(entry.key)}"


def _by(key: str | None) -> str:
    return f" by {key}" if key else ""
