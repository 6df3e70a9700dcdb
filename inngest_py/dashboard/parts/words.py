"""How values read on a page: times, durations, sizes, JSON."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import orjson
from flask import url_for
from markupsafe import Markup, escape

from ...domain.reports.timeline import Span, SpanStatus, StepOp

MOST_SHOWN = 8_000  # characters of a value; the download has the rest
MOST_OF_ERROR = 200_000  # characters of an error that is read: long stacks have messages, too
# a time or a ULID within a sentence of the engine
_STAMP = re.compile(
    r"\b(\d{4}-[01]\d-[0-3]\d [0-2]\d:[0-5]\d:[0-5]\d) UTC|\b([0-7][0-9A-HJKMNP-TV-Z]{25})\b"
)
_UNITS = ((86400, "d"), (3600, "h"), (60, "m"))


def stamp(value: datetime) -> str:
    """Write a time as RFC 3339 in UTC, with milliseconds."""
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment(value: datetime | None, kind: str = "full") -> Markup:
    """Write a time, which the browser converts to the viewer's zone.

    Kinds: full, exact, ago, and clock, which runs on.
    """
    if value is None:
        return Markup('<span class="none">\N{EN DASH}</span>')
    shown = value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return Markup('<time datetime="{}" data-kind="{}">{}</time>').format(stamp(value), kind, shown)


def timed(text: str, runs: Sequence[str] = ()) -> Markup:
    """Write a sentence with its UTC times as moment() writes them, and ids of `runs` as links."""
    parts, place = [], 0
    for found in _STAMP.finditer(text):
        stamped, run_id = found.groups()
        if stamped is not None:
            try:
                at = datetime.strptime(stamped, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
            except ValueError:  # from a user's text, and not a real date
                continue
            shown = moment(at)
        elif run_id in runs:
            shown = Markup('<a class="id" href="{}">{}</a>').format(
                url_for("ui.run", run_id=run_id), run_id
            )
        else:
            continue
        parts += [escape(text[place : found.start()]), shown]
        place = found.end()
    return Markup("").join([*parts, escape(text[place:])])


def instant(text: str) -> Markup:
    """Show a time that is stored as text, in the reader's zone."""
    return moment(datetime.fromisoformat(text))


def duration(value: timedelta | float | None) -> str:
    """Write a duration in its two largest units; a number is milliseconds."""
    if value is None:
        return "\N{EN DASH}"
    ms = value / timedelta(milliseconds=1) if isinstance(value, timedelta) else value
    if ms < 10:
        return f"{max(ms, 0):.1f} ms" if ms > 0 else "0 ms"
    if ms < 1000:
        return f"{ms:.0f} ms"
    if ms < 60_000:
        return f"{ms / 1000:.1f} s".replace(".0 s", " s")
    left, parts = int(ms // 1000), []
    for size, unit in _UNITS:
        if left >= size:
            parts.append(f"{left // size}{unit}")
        left %= size
    if left:
        parts.append(f"{left}s")
    return " ".join(parts[:2])


def so_far(value: timedelta) -> Markup:
    """Write a duration that goes on; the browser counts."""
    elapsed = max(round(value / timedelta(milliseconds=1)), 0)
    return Markup('<span data-elapsed="{}">{}</span>').format(elapsed, duration(value))


def number(value: int | float) -> str:
    """Write a number with thin spaces between thousands."""
    return f"{value:,}".replace(",", "\u202f")


def percent(share: float | None) -> str:
    """Write a share of 1 in percent, with one digit behind the point below 10."""
    if share is None:
        return "\N{EN DASH}"
    value = share * 100
    if 0 < value < 0.1:
        return "under 0.1\N{NO-BREAK SPACE}%"
    digits = 1 if 0 < value < 10 else 0
    return f"{value:.{digits}f}\N{NO-BREAK SPACE}%"


def bounded(value: int, most: int) -> str:
    """Write a count that may have stopped at a limit."""
    return f"{number(most)}+" if value >= most else number(value)


def size(characters: int) -> str:
    """Write the length of a value."""
    if characters < 1_000_000:
        return f"{number(characters)} characters"
    return f"{characters / 1_000_000:.2f} million characters"


def pretty(text: str) -> str:
    """Indent JSON; text that is not JSON, such as the head of a long value, stays as it is."""
    try:
        return orjson.dumps(orjson.loads(text), option=orjson.OPT_INDENT_2).decode()
    except orjson.JSONDecodeError:
        return text


def short(text: str, most: int = 80) -> str:
    """Cut a text."""
    return text if len(text) <= most else text[: most - 1] + "…"


def joined(parts: Sequence[object]) -> Markup:
    """Join parts by commas, each escaped."""
    return Markup(", ").join(escape(part) for part in parts)


def part(span: Span) -> str:
    """Return the name of a timeline's part; pages count attempts from 1, the protocol from 0."""
    is_attempt = span.name == f"Attempt {span.attempts}"
    return f"Attempt {span.attempts + 1}" if is_attempt else span.name


_KINDS = {
    "SLEEP": "a sleep",
    "INVOKE": "an invoked function",
    "WAIT_FOR_EVENT": "a wait for an event",
    "WAIT_FOR_SIGNAL": "a wait for a signal",
    "AI_GATEWAY": "a call of an AI model",
    "CeleryTask": "a Celery task",
}


def kind(span: Span) -> str:
    """Say what kind of step a part belongs to; a type that an SDK gave stays as it is."""
    return _KINDS.get(span.type or "", span.type or "")


def state(span: Span) -> str:
    """Return where a part is in its life; of a Celery task in the broker, as far as is known."""
    if span.status is SpanStatus.WAITING and span.op is StepOp.SLEEP:
        return "sleeping"
    if span.task is None or span.status is not SpanStatus.QUEUED:
        return span.status.value.lower()
    return "sent" if span.task.received_at is None and span.task.host is None else "received"


FILTERS = {
    "part": part,
    "kind": kind,
    "state": state,
    "moment": moment,
    "instant": instant,
    "stamp": stamp,
    "timed": timed,
    "duration": duration,
    "so_far": so_far,
    "number": number,
    "percent": percent,
    "bounded": bounded,
    "size": size,
    "pretty": pretty,
    "short": short,
    "joined": joined,
}
