"""Search keys: named fields of events by which the runs of a function are found."""

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping

from ..errors import Invalid
from ..values import canonical, payload_paths
from ..values.json_fields import JsonFields
from ..values.json_types import JsonObject
from ..values.payload_paths import PayloadPath

SearchKeys = Mapping[str, PayloadPath]
Pair = tuple[str, str]  # a key's name, and a value

MOST_KEYS = 8
MOST_PAIRS = 4  # in one search
_MOST_VALUES = 100  # of a key in a run: an event batch has many events
_MOST_CHARS = 128
_KEPT_CHARS = 64
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}")
_NAME_RULE = "must be 1 to 40 letters, digits, _ or -, and begin with a letter"
_WORD = re.compile(r'(?<!\S)([A-Za-z][A-Za-z0-9_-]{0,39}):("[^"]*"|[^\s"]\S*)')


def parse(body: object) -> SearchKeys:
    """Check `{"keys": {name: path}}`, the keys of a function. Raises Invalid, naming the field."""
    given = JsonFields(body)
    for name in sorted(given.given):
        if name != "keys":
            raise given.wrong(name[:64], "is no field here: give keys alone")
    keys = given.object("keys")
    if keys is None:
        raise given.missing("keys")
    if len(keys.given) > MOST_KEYS:
        raise given.wrong("keys", f"has {len(keys.given)} keys: at most {MOST_KEYS} are allowed")
    found = {}
    for name in sorted(keys.given):
        if not _NAME.fullmatch(name):
            raise Invalid(f"keys.{name[:64]}: the name of a key {_NAME_RULE}", field="keys")
        found[name] = payload_paths.parse(keys.needed(name), f"keys.{name}")
    return found


def to_json(keys: SearchKeys) -> str | None:
    """Write keys for a function's row; None for no keys."""
    paths: JsonObject = {name: path.text for name, path in keys.items()}
    return canonical.dumps(paths).decode() if paths else None


def from_json(text: str | None) -> SearchKeys:
    """Read the keys of a function's row. Raises Invalid."""
    if text is None:
        return {}
    stored: JsonObject = canonical.loads(text)
    return {name: payload_paths.parse(str(path), name) for name, path in stored.items()}


def indexed(value: object) -> str | None:
    """Write a string, a number or a boolean as it is indexed; None for what is not.

    Of a longer string: its beginning and a hash of the whole, so that it is found as exactly. A
    string that is longer than _MOST_CHARS cannot be mistaken for a shorter one.
    """
    if isinstance(value, bool | int | float):
        return canonical.dumps(value).decode()
    if not isinstance(value, str) or not value:
        return None
    if len(value) <= _MOST_CHARS and "\0" not in value:
        return value
    digest = hashlib.sha256(value.encode(errors="surrogatepass")).hexdigest()
    return f"{value[:_KEPT_CHARS].replace(chr(0), ''):~<{_KEPT_CHARS}}~{digest}"


def of_events(keys: SearchKeys, events: Iterable[JsonObject]) -> list[Pair]:
    """List the indexed values of a run's events, each once, by key; at most 100 of a key."""
    found: dict[str, dict[str, None]] = {name: {} for name in keys}
    for event in events:
        for name, path in keys.items():
            value = indexed(path.find(event))
            if value is not None and len(found[name]) < _MOST_VALUES:
                found[name][value] = None
    return [(name, value) for name, values in found.items() for value in values]


def split(text: str, declared: Collection[str]) -> tuple[str, list[Pair]]:
    """Take `name:value` of declared keys out of a search's text; return the rest, and the pairs.

    A value with spaces is written in double quotes. Other words with a colon are text.
    """
    pairs = []

    def take(word: re.Match[str]) -> str:
        if word[1] not in declared:
            return word[0]
        pairs.append((word[1], word[2].strip('"')))
        return ""

    rest = _WORD.sub(take, text)
    return (" ".join(rest.split()) if pairs else text), pairs


def by_name(pairs: Iterable[Pair]) -> dict[str, str]:
    """Return the keys of a search with their values. Raises Invalid for a key with two values."""
    found: dict[str, str] = {}
    for name, value in pairs:
        if found.setdefault(name, value) != value:
            raise _twice(f"key.{name[:64]}")
    return found


def _twice(field: str) -> Invalid:
    return Invalid(f"{field} is given twice: give one value", field=field)


def check_pairs(pairs: Iterable[Pair], declared: Collection[str]) -> tuple[Pair, ...]:
    """Check the keys of a search, and write their values as they are indexed. Raises Invalid."""
    found: dict[str, str] = {}
    for name, value in pairs:
        field = f"key.{name[:64]}"
        if name not in declared:
            known = ", ".join(sorted(declared)[:20]) or "none is"
            raise Invalid(
                f"{field}: no function declares the search key {name[:64]} (declared: {known})",
                field=field,
            )
        text = indexed(value)
        if text is None:
            raise Invalid(f"{field} is empty: give the value to look for", field=field)
        if found.setdefault(name, text) != text:
            raise _twice(field)
    if len(found) > MOST_PAIRS:
        raise Invalid(f"a search has at most {MOST_PAIRS} keys", field="key")
    return tuple(found.items())
