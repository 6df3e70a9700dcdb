"""Saved views: filters and columns of the list of runs, under a name that all can choose."""

from urllib.parse import parse_qsl, urlencode

from ..errors import Invalid
from ..values.checks import check_text

MOST_VIEWS = 100
_MOST_NAME_BYTES = 80
_MOST_QUERY_BYTES = 8192
_MOST_FILTERS = 60
_KEY = "key."
FILTERS = frozenset(
    (
        *("status", "function", "app", "since", "from", "until", "tz"),
        *("q", "event", "cel", "col"),
    )
)


def check_name(name: object) -> str:
    """Check the name of a view. Raises Invalid."""
    if not isinstance(name, str) or not name.strip():
        raise Invalid("name is missing: say what the view shows", field="name")
    text = check_text(name.strip(), "name", _MOST_NAME_BYTES, "name")
    if not text.isprintable():
        raise Invalid("name must be one line of text", field="name")
    return text


def check_query(query: object) -> str:
    """Check the filters of a view, written as in the URL of the list. Raises Invalid."""
    if not isinstance(query, str):
        raise Invalid("query is missing: give the filters as in the URL of the list", field="query")
    check_text(query, "query", _MOST_QUERY_BYTES, "query")
    pairs = _pairs(query.removeprefix("?"))
    unknown = sorted({name for name, _ in pairs if not _is_filter(name)})
    if unknown:
        known = ", ".join(sorted(FILTERS))
        problem = f"query has {unknown[0][:64]!r}, which is no filter: choose from {known}"
        raise Invalid(f"{problem}, {_KEY}<a search key>", field="query")
    if any("\0" in value for pair in pairs for value in pair):
        raise Invalid("query has a character U+0000, which no filter can hold", field="query")
    written = _written(pairs)
    if not written:
        raise Invalid("query has no filter: choose some first", field="query")
    return written


def only_filters(query: str) -> str:
    """Leave out what a URL has beside filters, such as a page's place.

    The same filters in another order give the same text.
    """
    return _written([pair for pair in parse_qsl(query) if _is_filter(pair[0])])


def _written(pairs: list[tuple[str, str]]) -> str:
    """Write filters in one order; a browser's time zone belongs to times alone."""
    timed = any(name in ("from", "until") for name, _ in pairs)
    return urlencode(sorted(pair for pair in pairs if timed or pair[0] != "tz"))


def _pairs(query: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(query, max_num_fields=_MOST_FILTERS)
    except ValueError:
        raise Invalid(f"query has more than {_MOST_FILTERS} filters", field="query") from None


def _is_filter(name: str) -> bool:
    return name in FILTERS or (name.startswith(_KEY) and len(name) > len(_KEY))
