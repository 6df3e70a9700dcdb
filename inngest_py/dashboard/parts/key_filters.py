"""Search keys in the filters of the list of runs: in the URL, and as words of its text."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import RowMapping
from werkzeug.datastructures import MultiDict

from ...domain.errors import Invalid
from ...domain.events import filters
from ...domain.functions import search_keys as rules
from ...domain.functions.search_keys import Pair
from ...engine.admin import search_keys
from . import choices

PREFIX = "key."
_MOST_CHARS = 2048


@dataclass(frozen=True, slots=True)
class KeyFilter:
    """The keys of a search, as they were given, and what is left of its text."""

    pairs: tuple[Pair, ...]
    text: str
    declared: frozenset[str]

    def checked(self) -> tuple[Pair, ...]:
        """Write the values as they are indexed. Raises Invalid for a key that nobody declares."""
        return rules.check_pairs(self.pairs, self.declared)


def read(given: "MultiDict[str, str]", functions: Sequence[RowMapping]) -> KeyFilter:
    """Read `key.order_id=A-1001`, and `order_id:A-1001` in the text. Raises Invalid."""
    declared = search_keys.declared_names(functions)
    text, pairs = rules.split(choices.text(given, "q"), declared)
    for name, value in given.items(multi=True):
        if name.startswith(PREFIX) and value:
            if len(value) > _MOST_CHARS:
                raise Invalid(f"{name[:64]} is longer than {_MOST_CHARS} characters", field="key")
            pairs.append((name.removeprefix(PREFIX), filters.check_text(value, name[:64])))
    return KeyFilter(tuple(pairs), text, declared)


def fields(given: "MultiDict[str, str]", functions: Sequence[RowMapping]) -> dict[str, str]:
    """List the fields of the form by key: those of the chosen function, and those in the URL."""
    chosen = given.get("function", "")
    mine = [row for row in functions if chosen and chosen in (row["id"], row["slug"])]
    found = dict.fromkeys(sorted(search_keys.declared_names(mine)), "")
    for name, value in given.items(multi=True):
        if name.startswith(PREFIX) and value:
            found[name.removeprefix(PREFIX)] = value
    return found
