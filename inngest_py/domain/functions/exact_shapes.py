"""Exact shapes of limits that a person writes: unknown keys and limits of 0 are refused.

What an SDK sends is read more leniently (sync.md §5): there such values have no effect. A person
who writes them means something.
"""

from collections.abc import Iterable, Mapping

from ..values.checks import kind
from .config_fields import Fields, wrong

_CONCURRENCY = "concurrency"
_ENTRY = ("limit", "scope", "key", "hash")
PARTS: Mapping[str, tuple[str, ...]] = {
    "throttle": ("limit", "period", "burst", "key"),
    "rateLimit": ("limit", "period", "key"),
    "debounce": ("period", "key", "timeout"),
    "batchEvents": ("maxSize", "timeout", "key", "if"),
    "priority": ("run",),
    "singleton": ("mode", "key"),
    "timeouts": ("start", "finish"),
}
_WITH_LIMIT = ("throttle", "rateLimit")


def check(fields: Fields, rules: Iterable[str]) -> None:
    """Check the shapes of some rules. Raises Invalid with the field's path and the fix."""
    for rule in rules:
        if rule == _CONCURRENCY:
            _check_concurrency(fields)
        elif (part := fields.object(rule)) is not None:
            only(part, PARTS[rule])
            if rule in _WITH_LIMIT:
                _check_limited(part)


def only(part: Fields, known: tuple[str, ...]) -> None:
    """Refuse keys that an object does not have."""
    folded = {name.casefold() for name in known}
    unknown = sorted(str(key) for key in part.given if str(key).casefold() not in folded)
    if unknown:
        raise wrong(part.at(unknown[0][:64]), f"is not known here: only {', '.join(known)} are")


def _check_concurrency(fields: Fields) -> None:
    value, path = fields.get(_CONCURRENCY), fields.at(_CONCURRENCY)
    if isinstance(value, bool) or not isinstance(value, int | float | dict | list | None):
        problem = f"must be a number, an array or an object, not {kind(value)}"
        raise wrong(path, problem, "concurrency_limit_invalid")
    _check_limit(value, path)
    if isinstance(value, dict):
        whole = Fields(value, path)
        if not (whole.has("fn") or whole.has("step")):
            _check_entry(whole)
            return
        only(whole, ("fn", "step"))
        for key in ("fn", "step"):
            _check_entries(whole.get(key), whole.at(key))
    else:
        _check_entries(value, path)


def _check_entries(value: object, path: str) -> None:
    for place, item in enumerate(value if isinstance(value, list) else []):
        _check_entry(Fields(item, f"{path}[{place}]"))


def _check_entry(part: Fields) -> None:
    only(part, _ENTRY)
    _check_limited(part)


def _check_limited(part: Fields) -> None:
    if part.get("limit") is None:
        raise wrong(part.at("limit"), "is missing")
    _check_limit(part.get("limit"), part.at("limit"))


def _check_limit(limit: object, path: str) -> None:
    if limit == 0 and limit is not False:
        raise wrong(path, "must be above 0: null for the whole rule removes it, a pause stops all")
