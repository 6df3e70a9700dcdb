"""The first page: the last hour in plots, and the backlog and workers now."""

from datetime import timedelta
from typing import Any

from flask import Response
from sqlalchemy import Connection

from ...domain.access.roles import Role
from ...storage.queries import app_list, function_list, queue_stats, run_detail, worker_list
from ...storage.queries.errors import retrying
from ..deps import context, deps, read
from ..live.minutes import MINUTES, Minute
from ..parts import charts
from ..rendering import page
from ..routes import route
from .errors import open_groups

_MOST_ERRORS = 5


@route("/", Role.VIEWER)
def home() -> Response:
    """Show the last hour and the current state."""
    now = context().now()

    def load(tx: Connection) -> dict[str, Any]:
        return {
            "hour": deps().minutes.last_hour(tx, now),
            "due": queue_stats.due(tx, now),
            "leased": queue_stats.leased_by_worker(tx),
            "live_runs": run_detail.in_phases(tx, queue_stats.MOST_COUNTED),
            "workers": worker_list.alive(tx, now),
            "open": open_groups(tx, now, _MOST_ERRORS),
            "again": retrying.now_retrying(tx, now),
            "down": app_list.down(tx),
            "has_functions": function_list.count(tx) > 0,
        }

    found = read(load)
    hour: list[Minute | None] = found.pop("hour")
    phases, more_runs = found.pop("live_runs")
    open_errors, open_count = found.pop("open")
    due, again = found["due"], found.pop("again")
    causes = again.unmuted()
    return page(
        "home.html",
        **found,
        phases=phases,
        more_runs=more_runs,
        plots=_plots(hour),
        totals=_totals(hour),
        counting=sum(minute is None for minute in hour),
        open_errors=open_errors,
        open_count=open_count,
        retrying=causes[:_MOST_ERRORS],
        retrying_count=len(causes),
        retrying_states=again.states,
        most_retrying=retrying.MOST if again.more else None,
        backlog=sum(one.count for one in due),
        oldest=min([one.oldest for one in due if one.oldest is not None], default=None),
        most=queue_stats.MOST_COUNTED,
        slots=sum(worker["concurrency"] for worker in found["workers"]),
    )


def _plots(hour: list[Minute | None]) -> dict[str, object]:
    this = context().now().replace(second=0, microsecond=0)
    times = [this - timedelta(minutes=MINUTES - 1 - place) for place in range(MINUTES)]

    def of(name: str) -> list[float | None]:
        return [None if minute is None else getattr(minute, name) for minute in hour]

    def call(place: int) -> list[float | None]:
        return [minute.call_ms[place] if minute and minute.call_ms else None for minute in hour]

    series = charts.Series
    return {
        "ended": charts.bars(
            times,
            [series("completed", "ok", of("completed")), series("failed", "bad", of("failed"))],
        ),
        "queued": charts.bars(times, [series("runs queued", "info", of("queued"))]),
        "latency": charts.lines(
            times, [series("median", "ok", call(0)), series("95 %", "warn", call(1))]
        ),
        "wait": charts.lines(times, [series("95 %", "info", of("wait_ms"))]),
    }


def _totals(hour: list[Minute | None]) -> dict[str, int]:
    names = ("queued", "calls", "errors", "completed", "failed")
    return {name: sum(getattr(one, name) for one in hour if one is not None) for name in names}
