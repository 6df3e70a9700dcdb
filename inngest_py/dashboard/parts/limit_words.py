"""A function's limits in words, and the form that overrides them without a deploy."""

from flask import request

from ...domain.functions import overrides as rules
from ...domain.functions.function_config import Concurrency, FunctionConfig
from ...domain.values import canonical
from ...engine.admin.limit_overrides import FunctionLimits
from .words import duration, pretty

# how long an override may last by the form; the API accepts any time
TERMS = {
    "": "until it is undone",
    "15m": "for 15 minutes",
    "1h": "for an hour",
    "8h": "for 8 hours",
    "24h": "for a day",
    "168h": "for a week",
}
_EXAMPLE = {"concurrency": 10}

_SCOPES = {"fn": "this function", "env": "the environment", "account": "the account"}


def limits(config: FunctionConfig) -> list[tuple[str, str]]:
    """List the limits in force, each with what it means."""
    found = [("Retries", f"{config.retries} after the first attempt")]
    found += [("Concurrency", _concurrency(one, "step")) for one in config.concurrency]
    if config.run_concurrency is not None:
        found.append(("Run concurrency", _concurrency(config.run_concurrency, "run")))
    if (one := config.throttle) is not None:
        burst = f", {one.burst} more at once" if one.burst else ""
        text = f"{_counted(one.limit, 'start')} in {duration(one.period)}{burst}"
        found.append(_keyed("Throttle", text, one.key))
    if (rate := config.rate_limit) is not None:
        text = f"{_counted(rate.limit, 'start')} in {duration(rate.period)}; others are dropped"
        found.append(_keyed("Rate limit", text, rate.key))
    if (debounce := config.debounce) is not None:
        most = f", at most {duration(debounce.timeout)}" if debounce.timeout else ""
        text = f"starts after {duration(debounce.period)} without events{most}"
        found.append(_keyed("Debounce", text, debounce.key))
    if (batch := config.batch) is not None:
        text = f"up to {batch.max_size} events, or after {duration(batch.timeout)}"
        found.append(_keyed("Batch", text, batch.key))
    if (backoff := config.backoff) is not None:
        text = f"{duration(backoff.initial)}, then {backoff.factor:g} times as long each time"
        found.append(("Back-off", f"{text}, at most {duration(backoff.maximum)}"))
    if config.priority is not None:
        found.append(("Priority", f"by {config.priority}"))
    if (only := config.singleton) is not None:
        text = "others are skipped" if only.mode == "skip" else "a new one cancels it"
        found.append(_keyed("Singleton", f"one run at a time; {text}", only.key))
    if (times := config.timeouts) is not None:
        if times.start is not None:
            found.append(("Start time-out", duration(times.start)))
        if times.finish is not None:
            found.append(("Finish time-out", duration(times.finish)))
    for cancel in config.cancel:
        condition = f", if {cancel.expression}" if cancel.expression else ""
        found.append(("Cancelled on", f"{cancel.event}{condition}"))
    return found


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _concurrency(one: Concurrency, what: str) -> str:
    text = f"{_counted(one.limit, what)} at a time in {_SCOPES[one.scope]}"
    return _keyed("", text, one.key)[1]


def _keyed(name: str, text: str, key: str | None) -> tuple[str, str]:
    return name, f"{text}, for each {key}" if key else text


def changed(limits: FunctionLimits) -> str:
    """List the overridden limits in words; empty without an override."""
    names = {"rateLimit": "rate limit", "backoff": "back-off"}
    found = () if limits.override is None else limits.override.rules
    return ", ".join(names.get(rule, rule) for rule in found)


def form(limits: FunctionLimits) -> dict[str, object]:
    """Fill the form with what the operator sent, or else with the limits in force."""
    in_force = {rule: value for rule, value in rules.as_override(limits.effective).items() if value}
    given = request.form.get("limits")
    text = pretty(canonical.dumps(in_force or _EXAMPLE).decode()) if given is None else given
    return {"text": text, "term": request.form.get("term", ""), "is_open": given is not None}
