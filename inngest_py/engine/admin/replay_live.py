"""The replay check of all runs in flight of a function or an app: what would a deploy change?"""

import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy import Connection, RowMapping

from ...domain.errors import InngestPyError, Invalid, NotFound, Unreadable
from ...domain.replay import findings
from ...domain.replay.answers import AppAway, NotServed, RanAStep, TookTooLong
from ...domain.runs.runs import LIVE, RunStatus
from ...storage.queries import function_list, run_list
from ...storage.queries.run_filters.run_query import RunQuery
from ..runtime.catalog import Function, function_of
from ..runtime.context import Context
from . import pause_function, replay_check
from .replay_check import CannotCheck, Checked

TOGETHER = 8  # runs that are checked at the same time
MOST_COUNTED = 10_000
LONGEST = timedelta(seconds=60)  # no check of a run begins after it
_MOST_NAMED = 5
_LIVE = sorted(LIVE)
_COLUMNS = ("id", "status", "function_id", "function_slug")


@dataclass(frozen=True, slots=True)
class Report:
    """What was found; `left_out` counts the runs that were not checked, by the reason.

    `in_flight` is how many runs there are, up to MOST_COUNTED; then `is_cut` says that there may be
    more.
    """

    in_flight: int
    checked: Sequence[Checked] = ()
    left_out: Counter[str] = field(default_factory=Counter)
    is_cut: bool = False


def of_live_runs(ctx: Context, app: str, function: str | None, most: int) -> Report:
    """Check runs in flight against the app at a serve endpoint, the oldest first, at most `most`.

    `function` is an id, a slug, or a function's id in its app, if only one app has it; None takes
    all functions of the app there. Raises NotFound for an unknown function, Invalid for one that is
    ambiguous and if the app has none of them, AppAway and RanAStep; what check() raises for a run
    if none can be checked.
    """
    url = replay_check.endpoint(ctx, app)
    with ctx.db.reading() as tx:
        oldest = _oldest(tx, _functions(tx, function))
    chosen = _served(ctx, url, oldest)
    if not chosen:
        return Report(0)
    with ctx.db.reading() as tx:
        query = RunQuery(statuses=_LIVE, function_ids=[one.id for one in chosen])
        total = run_list.count(tx, query, MOST_COUNTED)
        rows = run_list.look(tx, query, run_list.OLDEST, limit=most, columns=_COLUMNS).rows
    checks = _Checks(ctx, url)
    with ThreadPoolExecutor(TOGETHER, thread_name_prefix="replay-check") as pool:
        outcomes = list(pool.map(checks.check, rows))
    checked = [outcome for outcome in outcomes if isinstance(outcome, Checked)]
    left_out = Counter(one for one in outcomes if isinstance(one, str))
    report = Report(total, checked, left_out, is_cut=total >= MOST_COUNTED)
    if checks.stopped is not None and not report.checked:
        raise checks.stopped
    if total > len(rows):
        more = f", and those after {MOST_COUNTED} are not counted" if report.is_cut else ""
        report.left_out[f"the limit (most) is {most}{more}"] += total - len(rows)
    return report


def _functions(tx: Connection, name: str | None) -> list[Function]:
    """List the functions, or the one of this name, whose runs can be checked; archived ones too."""
    chosen = None if name is None else _find(tx, name)
    found = []
    for row in function_list.every(tx):
        if chosen is not None and row["id"] != chosen:
            continue
        try:
            function = function_of(row)
        except Unreadable:  # a newer version's: that has to check it
            continue
        if function.config.celery is None:
            found.append(function)
        elif chosen is not None:
            raise Invalid(f"function {name}: {replay_check.OF_CELERY}", field="function")
    return found


def _find(tx: Connection, name: str) -> str:
    """Find a function's id by id, slug, or its id in its app. Raises NotFound and Invalid."""
    try:
        return pause_function.find(tx, name)
    except NotFound:
        rows = [
            row for row in function_list.every(tx) if row["slug"] == f"{row['app_name']}-{name}"
        ]
        rows = [row for row in rows if row["archived_at"] is None] or rows
        if not rows:
            raise
    if len(rows) > 1:
        slugs = ", ".join(sorted({row["slug"] for row in rows})[:_MOST_NAMED])
        told = f"several apps have a function {name[:255]!r}: name one of {slugs}"
        raise Invalid(told, field="function")
    return str(rows[0]["id"])


def _oldest(tx: Connection, functions: Sequence[Function]) -> list[tuple[Function, str]]:
    """Find the oldest run in flight of each function that has one."""
    found = []
    for function in functions:
        query = RunQuery(statuses=_LIVE, function_ids=[function.id])
        rows = run_list.look(tx, query, run_list.OLDEST, limit=1, columns=("id",)).rows
        found += [(function, str(row["id"])) for row in rows]
    return found


def _served(ctx: Context, url: str, oldest: Sequence[tuple[Function, str]]) -> list[Function]:
    """Return the functions of all apps of which the app at the URL has a function.

    Those that it lacks have been removed from its code. Raises Invalid if it has none at all.
    """
    apps: set[str] = set()
    lacking: list[str] = []
    unclear: InngestPyError | None = None
    ends_at = time.monotonic() + LONGEST.total_seconds()
    for function, run_id in oldest:
        if unclear is not None and time.monotonic() > ends_at:  # an app that hangs
            break
        if function.app_id in apps:
            continue
        try:
            if replay_check.is_served(ctx, replay_check.read(ctx, run_id), url):
                apps.add(function.app_id)
            else:
                lacking.append(function.slug)
        except (CannotCheck, NotFound, TookTooLong) as error:
            unclear = error
    if lacking and not apps:
        raise replay_check.not_served(", ".join(lacking[:_MOST_NAMED]))
    if unclear is not None and not apps:
        raise unclear
    return [function for function, _ in oldest if function.app_id in apps]


class _Checks:
    """The checks of many runs; an error that holds for all of them ends the others."""

    def __init__(self, ctx: Context, url: str) -> None:
        self.stopped: InngestPyError | None = None
        self._ctx, self._url = ctx, url
        self._ends_at = time.monotonic() + LONGEST.total_seconds()
        self._unserved: set[str] = set()

    def check(self, row: RowMapping) -> Checked | str:
        """Check a run; return why not if it cannot be checked."""
        if self.stopped is not None:
            return self.stopped.message
        if time.monotonic() > self._ends_at:
            return f"the check has used up its {LONGEST.seconds} s"
        if row["function_id"] in self._unserved:
            return self._without_function(row)
        try:
            subject = replay_check.read(self._ctx, row["id"])
            found = replay_check.check(self._ctx, subject, self._url)
        except NotServed:
            self._unserved.add(row["function_id"])
            return self._without_function(row)
        except (AppAway, RanAStep) as error:
            self.stopped = error
            return error.message
        except CannotCheck as error:
            return error.reason
        except (NotFound, TookTooLong) as error:
            return error.message
        return "it has ended meanwhile" if found.has_ended else found

    def _without_function(self, row: RowMapping) -> Checked:
        slug = row["function_slug"]
        status = RunStatus(row["status"])
        return Checked(row["id"], slug, status, (findings.unserved(slug),))
