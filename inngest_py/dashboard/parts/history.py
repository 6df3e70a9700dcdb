"""A function's history of a day or a week: plots, and the same figures as a table."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from ...domain.errors import Invalid
from ...domain.reports import roll_ups
from ...domain.reports.roll_ups import Bin, Figures, Span
from ...storage.queries.reports import function_figures
from . import charts
from .charts import Axis, Plot, Series
from .words import duration, number, percent


@dataclass(frozen=True, slots=True)
class ShownSpan:
    """A span of time that the page offers."""

    label: str
    hours: Span
    axis: Axis


SPANS = {
    "24h": ShownSpan("24 hours", roll_ups.SPANS["24h"], Axis("The last 24 hours by hour", "hour")),
    "7d": ShownSpan(
        "7 days",
        roll_ups.SPANS["7d"],
        Axis("The last 7 days by six hours", "part of six hours", has_days=True),
    ),
}


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table; durations are in milliseconds: median and 95th percentile."""

    start: datetime
    figures: Figures
    run_ms: tuple[float | None, float | None]
    queue_ms: tuple[float | None, float | None]


@dataclass(frozen=True, slots=True)
class FunctionHistory:
    """What the page shows; `counted_to` is None if all starts and ends are counted."""

    word: str
    span: ShownSpan
    total: Row
    rows: Sequence[Row]
    plots: Mapping[str, Plot]
    counted_to: datetime | None


def chosen(given: Mapping[str, str]) -> str:
    """Read the span from the URL. Raises Invalid, which names the field."""
    word = given.get("span") or "24h"
    if word not in SPANS:
        raise Invalid(f"span must be one of {', '.join(SPANS)}", field="span")
    return word


def of_function(tx: Connection, function_id: str, word: str, now: datetime) -> FunctionHistory:
    """Read a function's history of a span."""
    span = SPANS[word]
    found = function_figures.of_span(tx, function_id, span.hours, now)
    rows = [_row(one) for one in found.parts]
    plots = _plots(rows, span.axis)
    return FunctionHistory(word, span, _row(found.total), rows, plots, found.counted_to)


def _row(one: Bin) -> Row:
    figures = one.figures
    return Row(one.start, figures, figures.run_ms.median_and_p95, figures.queue_ms.median_and_p95)


def _plots(rows: Sequence[Row], axis: Axis) -> dict[str, Plot]:
    times = [row.start for row in rows]

    def counts(name: str, css: str, value: Callable[[Figures], int]) -> Series:
        return Series(name, css, [value(row.figures) for row in rows])

    def pair(value: Callable[[Row], tuple[float | None, float | None]], first: str) -> list[Series]:
        return [
            Series("median", first, [value(row)[0] for row in rows]),
            Series("95th percentile", "warn", [value(row)[1] for row in rows]),
        ]

    throughput = [
        counts("begun", "info", lambda figures: figures.begun),
        counts("ended", "ok", lambda figures: figures.runs),
    ]
    ended = [
        counts("completed", "ok", lambda figures: figures.completed),
        counts("failed", "bad", lambda figures: figures.failed),
        counts("cancelled", "warn", lambda figures: figures.cancelled),
    ]
    rate = [Series("failed", "bad", [row.figures.failure_rate for row in rows])]
    return {
        "throughput": charts.lines(times, throughput, axis, write=lambda v: number(int(v))),
        "ended": charts.bars(times, ended, axis),
        "rate": charts.lines(times, rate, axis, write=percent, least_top=0.01),
        "run": charts.lines(times, pair(lambda row: row.run_ms, "ok"), axis, write=duration),
        "queue": charts.lines(times, pair(lambda row: row.queue_ms, "info"), axis, write=duration),
    }
