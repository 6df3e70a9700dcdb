"""Selections: what an operation works on, as filters that are stored and read by workers."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import ClassVar

from ..errors import Invalid
from ..events import filters
from ..functions.search_keys import Pair
from ..runs import phases
from ..runs.runs import LIVE
from ..values import canonical
from ..values.json_fields import JsonFields
from ..values.json_types import JsonObject

MOST_TEXT = 500
_MOST_CEL = 10_000
MOST_NAME = 2048
_MOST_WORDS = 20
_MOST_NAMES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSelection:
    """Runs that fulfil all that is given, as in the list of runs; None asks for nothing.

    `status` has statuses of runs and phases of live ones. `function` is a slug or an id, `app` a
    name. `since` (included) and `until` (not) bound the time of queueing. `event` is a name, or
    what names begin with, as in `shop/*`. `error` is the id of an error group: of its runs
    only those that are still failed, and that nothing has repeated. `keys` are search keys with
    the values that they have.
    """

    status: tuple[str, ...] = ()
    function: str | None = None
    app: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    event: str | None = None
    text: str | None = None
    cel: str | None = None
    error: str | None = None
    keys: tuple[Pair, ...] = ()

    FIELDS: ClassVar = (
        *("status", "function", "app", "since", "until", "event", "text", "cel", "error", "keys"),
    )

    @property
    def filter(self) -> filters.Filter | None:
        """The expression over the run's event, output and error."""
        return None if self.cel is None else filters.parse(self.cel, filters.RUN)

    @property
    def is_exact(self) -> bool:
        """Whether columns alone decide, so that the database can count what is selected."""
        found = self.filter
        by_columns = self.text is None and (self.event is None or not self.event.endswith("*"))
        return by_columns and (found is None or found.exact)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSelection:
    """Stored events that came from `since` on and before `until`, for a function, by slug or id.

    Without `events`, which are names or what names begin with, the function's triggers choose.
    """

    function: str
    since: datetime
    until: datetime
    events: tuple[str, ...] = ()

    FIELDS: ClassVar = ("function", "since", "until", "events")


Selection = RunSelection | EventSelection


def parse_runs(given: JsonFields, *, cancel: bool) -> RunSelection:
    """Check the runs to rerun or to cancel. Raises Invalid, which names the field."""
    found = read_runs(given, cancel=cancel)
    if found == RunSelection():
        names = ", ".join(RunSelection.FIELDS)
        raise Invalid(f"{given.path} chooses nothing: give one of {names}", field=given.path)
    return found


def read_runs(given: JsonFields, *, cancel: bool = False) -> RunSelection:
    """Check filters of runs, which may choose all. Raises Invalid, which names the field."""
    _refuse_unknown(given, RunSelection.FIELDS)
    status = _words(given, "status", _MOST_WORDS)
    try:
        statuses, _ = phases.chosen(status)
    except Invalid as error:
        raise given.wrong("status", error.message.removeprefix("status ")) from None
    if cancel and statuses is not None and not LIVE.intersection(statuses):
        raise given.wrong("status", "names only runs that have ended: nothing is left to cancel")
    since, until = _span(given)
    return RunSelection(
        status=status,
        function=stored_text(given, "function", MOST_NAME),
        app=stored_text(given, "app", MOST_NAME),
        since=since,
        until=until,
        event=name_pattern(given, "event", given.text("event", MOST_NAME)),
        text=stored_text(given, "text", MOST_TEXT),
        cel=expression(given, filters.RUN),
        error=stored_text(given, "error", MOST_NAME),
        keys=_keys(given),
    )


def parse_events(given: JsonFields, now: datetime) -> EventSelection:
    """Check the events to replay. Raises Invalid, which names the field."""
    _refuse_unknown(given, EventSelection.FIELDS)
    since, until = _span(given)
    if since is None:
        raise given.missing("since")
    if since >= now:
        raise given.wrong("since", "must lie in the past")
    names = _words(given, "events", _MOST_NAMES)
    return EventSelection(
        function=given.needed("function", MOST_NAME),
        since=since,
        until=min(until or now, now),
        events=tuple(filter(None, (name_pattern(given, "events", name) for name in names))),
    )


def dumped(selection: Selection) -> JsonObject:
    """Write a selection as JSON, with what is given alone."""
    made: JsonObject = {}
    for name, value in asdict(selection).items():
        if name == "keys" and value:
            made[name] = dict(value)
        elif isinstance(value, datetime):
            made[name] = value.isoformat()
        elif value:
            made[name] = list(value) if isinstance(value, tuple) else value
    return made


def _refuse_unknown(given: JsonFields, known: tuple[str, ...]) -> None:
    for name in sorted(given.given):
        if name not in known:
            raise given.wrong(name[:64], f"is no field here: choose from {', '.join(known)}")


def _words(given: JsonFields, key: str, most: int) -> tuple[str, ...]:
    value = given.get(key)
    if value is None:
        return ()
    words = [value] if isinstance(value, str) else value
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise given.wrong(key, "must be an array of strings")
    if len(words) > most:
        raise given.wrong(key, f"holds {len(words)} words: at most {most} are allowed")
    for word in words:
        given.check_text(key, word, MOST_NAME, None)
    return tuple(word for word in words if word)


def _keys(given: JsonFields) -> tuple[Pair, ...]:
    """Read `{name: value}`; whether a function declares the keys, the database knows."""
    found = given.object("keys")
    if found is None:
        return ()
    pairs = []
    for name, value in found.given.items():
        if isinstance(value, bool | int | float):
            pairs.append((name, canonical.dumps(value).decode()))
        elif (text := found.text(name)) is not None:
            pairs.append((name, text))
    return tuple(pairs)


def stored_text(given: JsonFields, key: str, most: int) -> str | None:
    """Read a text that stored ones are compared with; None without one. Raises Invalid."""
    found = given.text(key, most)
    return None if found is None else filters.check_text(found, given.at(key))


def name_pattern(given: JsonFields, key: str, name: str | None) -> str | None:
    """Check a name of events, or what names begin with, as in `shop/*`. Raises Invalid."""
    if name is not None and "*" in name[:-1]:
        raise given.wrong(key, "may have one *, at its end, as in shop/*")
    return name


def _span(given: JsonFields) -> tuple[datetime | None, datetime | None]:
    since, until = given.time("since"), given.time("until")
    if since is not None and until is not None and since >= until:
        raise given.wrong("since", "must be before until")
    return since, until


def expression(given: JsonFields, variables: frozenset[str]) -> str | None:
    """Read the field `cel`, an expression over variables; None without one. Raises Invalid."""
    found = stored_text(given, "cel", _MOST_CEL)
    if found is not None:
        try:
            filters.parse(found, variables)
        except Invalid as error:
            raise given.wrong("cel", f"is not a valid expression: {error.message}") from None
    return found


def within_ids(selection: RunSelection) -> tuple[str | None, str | None]:
    """Return the name of events that is meant, or what their names begin with."""
    name = selection.event
    return (None, name[:-1]) if name is not None and name.endswith("*") else (name, None)
