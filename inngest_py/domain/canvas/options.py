"""Check a signature's options: how and when its task is sent."""

import re
from collections.abc import Callable

from ..errors import Invalid
from ..limits import MAX_WAIT
from ..values import times
from ..values.checks import kind

MAX_NAME_CHARS = 255
MAX_PRIORITY = 255
_TEXTS = (
    "routing_key",
    "exchange_type",
    "serializer",
    "compression",
    "shadow",
)
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_LINKS = ("link", "link_error")
# AMQP writes the length of such a name into one byte
_MOST_NAME_BYTES = 255
# What Celery writes into a signature that was frozen or sent. A new sending has its own.
_BOOKKEEPING = frozenset(
    {"task_id", "reply_to", "root_id", "parent_id", "group_id", "group_index", "chord"}
)


def wrong(where: str, problem: str) -> Invalid:
    """Build the error for a place in a signature: the place, then what is wrong and the fix."""
    return Invalid(f"{where} {problem}", field=where)


def read_text(value: object, where: str) -> str:
    """Check a name. Raises Invalid for another type, and for text that not all can store."""
    if not isinstance(value, str) or not value:
        given = "empty" if value == "" else kind(value)
        raise wrong(where, f"must be a text, and it is {given}")
    if len(value) > MAX_NAME_CHARS:
        raise wrong(where, f"is over {MAX_NAME_CHARS} characters: shorten it")
    if _UNSTORABLE.search(value) is not None:
        raise wrong(where, "holds a NUL or half a surrogate pair: remove it")
    return value


def read_options(options: dict[str, object], where: str) -> dict[str, object]:
    """Check the options of a signature, and return those that its message will have.

    Links, null values and the ids of an earlier sending are left out, unknown options are kept.
    Raises Invalid.
    """
    if not options:
        return {}
    if options.get("replaced_task_nesting"):
        raise wrong(
            f"{where}.replaced_task_nesting",
            "shows that a worker has replaced this task: send the signature as it was before",
        )
    if options.get("chain"):
        raise wrong(f"{where}.chain", "is a part of messages: write a signature of celery.chain")
    found = {}
    for name, value in options.items():
        if value is None or name in _LINKS or name in _BOOKKEEPING:
            continue
        check = _CHECKS.get(name)
        found[name] = value if check is None else check(value, f"{where}.{name}")
    return found


def _number(value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong(where, f"must be a number of seconds, and it is {kind(value)}")
    if not abs(value) <= MAX_WAIT.total_seconds():  # nor is NaN
        raise wrong(where, f"must be at most {MAX_WAIT.days} days")
    return value


def _limit(value: object, where: str) -> float:
    seconds = _number(value, where)
    if seconds <= 0:
        raise wrong(where, "must be above 0 seconds")
    return seconds


def _time(value: object, where: str) -> str:
    """Read a time, also as kombu's JSON writes one, and write it as ISO 8601 with its offset."""
    if isinstance(value, dict) and value.get("__type__") == "datetime":
        value = value.get("__value__")
    if not isinstance(value, str):
        problem = f"must be a time like 2024-01-31T09:00:00Z, and it is {kind(value)}"
        raise wrong(where, problem)
    try:
        return times.read_time(value).isoformat()
    except Invalid as error:
        raise wrong(where, f"is no time: {error.message}") from None


def _expires(value: object, where: str) -> float | str:
    if isinstance(value, int | float):
        return _number(value, where)
    return _time(value, where)


def _priority(value: object, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_PRIORITY:
        raise wrong(where, f"must be a whole number from 0 to {MAX_PRIORITY}")
    return value


def _boolean(value: object, where: str) -> bool:
    if not isinstance(value, bool):
        raise wrong(where, f"must be true or false, and it is {kind(value)}")
    return value


def _object(value: object, where: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise wrong(where, f"must be an object, and it is {kind(value)}")
    return value


def _headers(value: object, where: str) -> dict[str, object]:
    found = _object(value, where)
    for name in found:
        _wire_name(name, f"{where}: the name {str(name)[:50]!r}")
    return found


def _wire_name(value: object, where: str) -> str:
    """Check a name that stands in the message itself."""
    name = read_text(value, where)
    if len(name.encode()) > _MOST_NAME_BYTES:
        raise wrong(where, f"is over {_MOST_NAME_BYTES} bytes: shorten it")
    return name


def _exchange(value: object, where: str) -> str:
    # it would go to the app's queue, where perhaps nobody waits for it
    raise wrong(where, "is not followed: write the queue that it leads to, as `queue`")


def _stamps(value: object, where: str) -> list[str]:
    if not isinstance(value, list | tuple):
        raise wrong(where, f"must be an array of names, and it is {kind(value)}")
    return [_wire_name(name, f"{where}[{index}]") for index, name in enumerate(value)]


_CHECKS: dict[str, Callable[[object, str], object]] = {
    "countdown": _number,
    "eta": _time,
    "expires": _expires,
    "priority": _priority,
    "time_limit": _limit,
    "soft_time_limit": _limit,
    "ignore_result": _boolean,
    "retry": _boolean,
    "retry_policy": _object,
    "headers": _headers,
    "stamped_headers": _stamps,
    **dict.fromkeys(_TEXTS, read_text),
    "queue": _wire_name,
    "exchange": _exchange,
}
