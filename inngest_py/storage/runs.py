"""Runs: one row each, moved only by guarded updates.

Every writer of a run's results updates the run's row first. That takes its lock, so parallel
branches of one run settle one after another, and a run that has ended refuses late answers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Connection,
    ForeignKey,
    Index,
    RowMapping,
    Text,
    bindparam,
    case,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.orm import Mapped, mapped_column

from ..domain.runs import LIVE, Run, RunStatus, sources
from .base import Base, Json, Timestamp, table_of
from .events import Event
from .functions import App, Function

_LIVE = [status.value for status in LIVE]


class RunRow(Base):
    """A run; `pending` is the set of step hashes a parallel group still waits for (JSON list)."""

    __tablename__ = "runs"
    __table_args__ = (
        # serves page() with a function, with a status, and of_event()
        Index("runs_function_idx", "function_id", "id"),
        Index("runs_status_idx", "status", "id"),
        Index("runs_event_idx", "event_id"),
    )
    id: Mapped[str] = mapped_column(Text, primary_key=True)
    function_id: Mapped[str] = mapped_column(ForeignKey("functions.id", ondelete="CASCADE"))
    function_version: Mapped[int]
    event_id: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(Text)
    queued_at: Mapped[datetime] = mapped_column(Timestamp)
    started_at: Mapped[datetime | None] = mapped_column(Timestamp)
    ended_at: Mapped[datetime | None] = mapped_column(Timestamp)
    request_version: Mapped[int] = mapped_column(server_default=text("-1"))
    force_plan: Mapped[bool] = mapped_column(server_default=text("false"))
    pending: Mapped[str | None] = mapped_column(Json)
    step_count: Mapped[int] = mapped_column(server_default=text("0"))
    state_bytes: Mapped[int] = mapped_column(server_default=text("0"))
    output: Mapped[str | None] = mapped_column(Json)
    correlation_id: Mapped[str | None] = mapped_column(Text)
    original_run_id: Mapped[str | None] = mapped_column(Text)
    batch_id: Mapped[str | None] = mapped_column(Text)
    cron: Mapped[str | None] = mapped_column(Text)
    skip_reason: Mapped[str | None] = mapped_column(Text)


_runs = table_of(RunRow)
_add = insert(_runs)


def add(tx: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Write new runs."""
    if rows:
        tx.execute(_add, list(rows))


_begin = (
    update(_runs)
    .where(
        _runs.c.id.in_(bindparam("ids", expanding=True)),
        _runs.c.status == RunStatus.QUEUED.value,
    )
    .values(status=RunStatus.RUNNING.value, started_at=bindparam("now"))
)


def begin(tx: Connection, ids: Sequence[str], now: datetime) -> None:
    """Move queued runs to running, as their first request goes out."""
    tx.execute(_begin, {"ids": list(ids), "now": now})


@dataclass(frozen=True, slots=True)
class Advanced:
    """What the run's row says after advance(), under its lock."""

    step_count: int
    state_bytes: int
    request_version: int
    force_plan: bool
    pending: str | None


_force: Any = bindparam("force")
_pending: Any = bindparam("new_pending")
_advance = (
    update(_runs)
    .where(_runs.c.id == bindparam("run"), _runs.c.status.in_(_LIVE))
    .values(
        step_count=_runs.c.step_count + bindparam("more_steps"),
        state_bytes=_runs.c.state_bytes + bindparam("more_bytes"),
        request_version=case(
            (_runs.c.request_version < 0, bindparam("version")), else_=_runs.c.request_version
        ),
        force_plan=_force,
        pending=_pending,
    )
    .returning(
        _runs.c.step_count,
        _runs.c.state_bytes,
        _runs.c.request_version,
        _runs.c.force_plan,
        _runs.c.pending,
    )
)
_advance_keeping = _advance.values(force_plan=_runs.c.force_plan, pending=_runs.c.pending)


def advance(
    tx: Connection,
    run_id: str,
    *,
    steps: int,
    size: int,
    version: int,
    group: tuple[bool, str | None] | None,
) -> Advanced | None:
    """Lock a live run and count what is added; None when the run has ended.

    `version` is kept only by a run that has none yet. `group` replaces the force-plan flag and
    the pending set; None leaves both.
    """
    values: dict[str, Any] = {
        "run": run_id,
        "more_steps": steps,
        "more_bytes": size,
        "version": version,
    }
    if group is None:
        row = tx.execute(_advance_keeping, values).first()
    else:
        row = tx.execute(_advance, values | {"force": group[0], "new_pending": group[1]}).first()
    return None if row is None else Advanced(*row)


_settle = (
    update(_runs)
    .where(_runs.c.id == bindparam("run"))
    .values(
        force_plan=_force,
        pending=_pending,
        step_count=_runs.c.step_count - bindparam("fewer_steps"),
        state_bytes=_runs.c.state_bytes - bindparam("fewer_bytes"),
    )
)


def settle(
    tx: Connection,
    run_id: str,
    *,
    force_plan: bool,
    pending: str | None,
    fewer_steps: int = 0,
    fewer_bytes: int = 0,
) -> None:
    """Correct what advance() wrote, under the lock it took."""
    tx.execute(
        _settle,
        {
            "run": run_id,
            "force": force_plan,
            "new_pending": pending,
            "fewer_steps": fewer_steps,
            "fewer_bytes": fewer_bytes,
        },
    )


_end = (
    update(_runs)
    .where(_runs.c.id == bindparam("run"), _runs.c.status.in_(bindparam("allowed", expanding=True)))
    .values(
        status=bindparam("new_status"),
        ended_at=bindparam("now"),
        started_at=func.coalesce(_runs.c.started_at, bindparam("started")),
        output=bindparam("result"),
        pending=None,
    )
    .returning(_runs.c.id)
)


def end(
    tx: Connection,
    run_id: str,
    status: RunStatus,
    output: str | None,
    now: datetime,
    started_at: datetime | None = None,
) -> bool:
    """Move a run to a terminal status, if its status allows that move."""
    values = {
        "run": run_id,
        "allowed": [source.value for source in sources(status)],
        "new_status": status.value,
        "now": now,
        "started": started_at,
        "result": output,
    }
    return tx.execute(_end, values).first() is not None


_loaded = (
    _runs.c.id,
    _runs.c.function_id,
    Function.slug.label("function_slug"),
    _runs.c.event_id,
    _runs.c.status,
    _runs.c.queued_at,
    _runs.c.started_at,
    _runs.c.request_version,
    _runs.c.force_plan,
    _runs.c.step_count,
    _runs.c.state_bytes,
    _runs.c.correlation_id,
    Event.name.label("event_name"),
    Event.payload.label("event"),
    Function.version.label("current_version"),
)
_load = (
    select(*_loaded)
    .select_from(_runs)
    .join(Event, Event.id == _runs.c.event_id)
    .join(Function, Function.id == _runs.c.function_id)
    .where(_runs.c.id.in_(bindparam("ids", expanding=True)))
)


def load(tx: Connection, ids: Sequence[str]) -> dict[str, tuple[Run, int]]:
    """Read runs with their events, and their functions' versions as of now, by run id."""
    found = {}
    for row in tx.execute(_load, {"ids": list(ids)}):
        run = Run(
            id=row.id,
            function_id=row.function_id,
            function_slug=row.function_slug,
            event_id=row.event_id,
            status=RunStatus(row.status),
            queued_at=row.queued_at,
            started_at=row.started_at,
            request_version=row.request_version,
            force_plan=row.force_plan,
            step_count=row.step_count,
            state_bytes=row.state_bytes,
            correlation_id=row.correlation_id,
            event_name=row.event_name,
            event=row.event,
        )
        found[run.id] = (run, row.current_version)
    return found


_shown = (
    select(
        _runs,
        Function.slug.label("function_slug"),
        Function.name.label("function_name"),
        App.name.label("app_name"),
        Event.name.label("event_name"),
    )
    .join(Function, Function.id == _runs.c.function_id)
    .join(App, App.id == Function.app_id)
    .join(Event, Event.id == _runs.c.event_id)
)


def get(tx: Connection, run_id: str) -> RowMapping | None:
    """Find a run with the names of its function, app and event; None when there is none."""
    return tx.execute(_shown.where(_runs.c.id == run_id)).mappings().first()


def of_event(tx: Connection, event_id: str) -> list[RowMapping]:
    """List the runs that an event started, oldest first."""
    query = _shown.where(_runs.c.event_id == event_id).order_by(_runs.c.id)
    return list(tx.execute(query).mappings())


def page(
    tx: Connection,
    *,
    limit: int,
    cursor: str | None = None,
    statuses: Sequence[RunStatus] = (),
    function_ids: Sequence[str] | None = None,
    after: datetime | None = None,
    before: datetime | None = None,
) -> list[RowMapping]:
    """List runs, newest first, from behind the cursor (a run id); times bound `queued_at`."""
    query = _shown
    if cursor is not None:
        query = query.where(_runs.c.id < cursor)
    if statuses:
        query = query.where(_runs.c.status.in_([status.value for status in statuses]))
    if function_ids is not None:
        query = query.where(_runs.c.function_id.in_(function_ids))
    if after is not None:
        query = query.where(_runs.c.queued_at >= after)
    if before is not None:
        query = query.where(_runs.c.queued_at < before)
    return list(tx.execute(query.order_by(_runs.c.id.desc()).limit(limit)).mappings())


def count_by_status(tx: Connection) -> dict[str, int]:
    """Count runs by status."""
    query = select(_runs.c.status, func.count()).group_by(_runs.c.status)
    return {row[0]: row[1] for row in tx.execute(query)}
