"""Runs: one row each. Only updates that check a run's status change it.

Every writer of a run's results updates the run's row first. That locks the row, so parallel steps
of one run are written one after another, and a run that has ended refuses late answers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    DDL,
    Boolean,
    ColumnElement,
    Connection,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    Select,
    Text,
    Update,
    and_,
    bindparam,
    case,
    exists,
    func,
    literal_column,
    or_,
    select,
    text,
    update,
)
from sqlalchemy import event as sa_event
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from ...domain.runs.runs import ENDED, LIVE, RunStatus, sources
from ..catalog.functions import FunctionRow
from ..db.columns import Base, Json, Timestamp, table_of
from ..db.dialects import is_sqlite, lock_rows
from ..db.row_types import AnyColumn, GivenRow, RowValues
from ..db.statements import EachRow, Insert, PerRow, PostgresStatement, given
from ..events.waits import WaitRow

_LIVE = [status.value for status in LIVE]
_BATCHED = text("batch_id IS NOT NULL")
_STARTED = text("started_at IS NOT NULL")
_ENDED = text("ended_at IS NOT NULL")
_HOLDING = text("status = 'running' AND run_slot IS NOT NULL")


class RunRow(Base):
    """A run; `pending` is JSON of the steps that its group waits for: see domain.steps.groups."""

    __tablename__ = "runs"
    __table_args__ = (
        # serve lists by id of a function, of a status, or of both: the index holds the other of the
        # two, too, for the comparison
        Index("runs_function_idx", "function_id", "id", "status"),
        Index("runs_status_idx", "status", "id", "function_id"),
        Index("runs_event_idx", "event_id"),
        # serve run_detail.reruns() and answering()
        Index(
            "runs_original_idx",
            "original_run_id",
            postgresql_where=text("original_run_id IS NOT NULL"),
            sqlite_where=text("original_run_id IS NOT NULL"),
        ),
        Index(
            "runs_correlation_idx",
            "correlation_id",
            postgresql_where=text("correlation_id IS NOT NULL"),
            sqlite_where=text("correlation_id IS NOT NULL"),
        ),
        Index("runs_slot_idx", "run_slot", postgresql_where=_HOLDING, sqlite_where=_HOLDING),
        # serve lists of runs that started or ended within a span, and alerts.ended()
        Index("runs_started_idx", "started_at", postgresql_where=_STARTED, sqlite_where=_STARTED),
        Index("runs_ended_idx", "ended_at", postgresql_where=_ENDED, sqlite_where=_ENDED),
        # serves run_list, for the runs of an event in batches
        Index("runs_batch_idx", "batch_id", postgresql_where=_BATCHED, sqlite_where=_BATCHED),
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
    existing_run_id: Mapped[str | None] = mapped_column(Text)  # the run for which it was skipped
    singleton_key: Mapped[str | None] = mapped_column(Text)  # the lock that it holds until its end
    # the groups in which its requests count (JSON: see domain.flow.slots), and the run itself
    slots: Mapped[str | None] = mapped_column(Json)
    run_slot: Mapped[str | None] = mapped_column(Text)
    # the hash of the step that gets new input in a rerun, and that input, `{"input":[…]}`
    input_step: Mapped[str | None] = mapped_column(Text)
    input: Mapped[str | None] = mapped_column(Json)
    # of a durable endpoint: how the event holds the request's body
    endpoint: Mapped[str | None] = mapped_column(Text)
    # the state of its deferred functions, as it is sent to SDKs
    defers: Mapped[str | None] = mapped_column(Json)
    # its function is paused: no worker continues it in place
    held: Mapped[bool] = mapped_column(server_default=text("false"))


_runs = table_of(RunRow)
_add = Insert(_runs)


# Pages are filled to four fifths, as the migrations do. Of seven updates of a five-step run, five
# change no index: with room in its page they write none. Without room each writes six entries: the
# store's CPU per run rose by 40 % after 1,000,000 runs, and by 9 % with it.
_leave_room = DDL("ALTER TABLE runs SET (fillfactor = 80)")  # type: ignore[no-untyped-call]
sa_event.listen(_runs, "after_create", _leave_room.execute_if(dialect="postgresql"))


def add(tx: Connection, rows: Sequence[RowValues]) -> None:
    """Write new runs."""
    if rows:
        _add.run(tx, rows)


# not the bare column: SQLite would use the index of statuses, and read all running runs each time
_status = func.coalesce(_runs.c.status, "")


def may_begin(chosen: ColumnElement[bool]) -> Select[str]:
    """Select those of the chosen runs that are queued and whose functions are not paused."""
    of_paused = exists().where(
        FunctionRow.id == _runs.c.function_id, FunctionRow.paused.is_not(None)
    )
    return select(_runs.c.id).where(chosen, _status == RunStatus.QUEUED.value, ~of_paused)


def _begun(ids: Select[str], now: AnyColumn) -> Update:
    begun = update(_runs).where(_runs.c.id.in_(ids)).returning(_runs.c.id)
    return begun.values(status=RunStatus.RUNNING.value, started_at=now)


_in_array = may_begin(_runs.c.id == func.any(bindparam("ids", None, type_=ARRAY(Text()))))
_unlocked = _in_array.with_for_update(skip_locked=True, key_share=True).cte("free")
_begin = PostgresStatement(_begun(select(_unlocked.c.id), bindparam("now", None)))
_given = given(["id", "now"])
_begin_one = PerRow(_begun(may_begin(_runs.c.id == _given["id"]), _given["now"]), ["id", "now"])


def begin(tx: Connection, ids: Sequence[str], now: datetime) -> set[str]:
    """Move queued runs to running, for their first requests; return the ids of those moved.

    Leaves out runs of paused functions and locked runs. Ending a run locks the run's row first,
    then its items, which the claim has already locked: waiting here would be a deadlock.
    """
    if is_sqlite(tx):
        return set(_begin_one.run(tx, [(run_id, now) for run_id in ids]).scalars())
    return set(_begin.run(tx, {"ids": list(ids), "now": now}).scalars())


_put_back = (
    update(_runs)
    .where(_runs.c.id.in_(bindparam("ids", expanding=True)))
    .values(status=RunStatus.QUEUED.value, started_at=None)
)


def undo_begin(tx: Connection, ids: Sequence[str]) -> None:
    """Undo the begin of runs that this transaction has begun."""
    if ids:
        tx.execute(_put_back, {"ids": list(ids)})


@dataclass(frozen=True, slots=True)
class Advanced:
    """What a run's row holds after advance(), under its lock."""

    step_count: int
    state_bytes: int
    request_version: int
    force_plan: bool
    pending: str | None
    function_id: str
    held: bool


_lock = (
    select(_runs.c.id)
    .where(_runs.c.id.in_(bindparam("ids", expanding=True)))
    .order_by(_runs.c.id)
    .with_for_update()
)


def lock(tx: Connection, ids: Sequence[str]) -> None:
    """Lock runs in the order of their ids, so that two shared commits cannot wait in a ring."""
    lock_rows(tx, _lock, {"ids": list(ids)})


@dataclass(frozen=True, slots=True)
class Advance:
    """What an answer adds to its run.

    `version` is stored only if the run has none yet. `group` replaces the force-plan flag and the
    pending set; None leaves both as they are.
    """

    run_id: str
    steps: int
    size: int
    version: int
    group: tuple[bool, str | None] | None


def _advanced(v: GivenRow) -> Update:
    return (
        update(_runs)
        .where(_runs.c.id == v.run, _status.in_(_LIVE))
        .values(
            step_count=_runs.c.step_count + v.steps,
            state_bytes=_runs.c.state_bytes + v.size,
            request_version=case(
                (_runs.c.request_version < 0, v.version), else_=_runs.c.request_version
            ),
            force_plan=case((v.regroup, v.force), else_=_runs.c.force_plan),
            pending=case((v.regroup, v.pending), else_=_runs.c.pending),
        )
        .returning(
            _runs.c.id,
            _runs.c.step_count,
            _runs.c.state_bytes,
            _runs.c.request_version,
            _runs.c.force_plan,
            _runs.c.pending,
            _runs.c.function_id,
            _runs.c.held,
        )
    )


_advance = EachRow(
    {
        "run": Text(),
        "steps": Integer(),
        "size": Integer(),
        "version": Integer(),
        "regroup": Boolean(),
        "force": Boolean(),
        "pending": Text(),
    },
    _advanced,
)


def advance(tx: Connection, advances: Sequence[Advance]) -> dict[str, Advanced]:
    """Lock live runs, each given once, and add to their counts; leaves out runs that have ended."""
    rows = [
        (a.run_id, a.steps, a.size, a.version, a.group is not None, *(a.group or (False, None)))
        for a in advances
    ]
    return {row[0]: Advanced(*row[1:]) for row in _advance.run(tx, rows)}


@dataclass(frozen=True, slots=True)
class Correction:
    """A change to what advance() wrote."""

    run_id: str
    force_plan: bool
    pending: str | None
    fewer_steps: int = 0
    fewer_bytes: int = 0


_correct = EachRow(
    {
        "run": Text(),
        "force": Boolean(),
        "pending": Text(),
        "fewer_steps": Integer(),
        "fewer_bytes": Integer(),
    },
    lambda v: (
        update(_runs)
        .where(_runs.c.id == v.run)
        .values(
            force_plan=v.force,
            pending=v.pending,
            step_count=_runs.c.step_count - v.fewer_steps,
            state_bytes=_runs.c.state_bytes - v.fewer_bytes,
        )
    ),
)


def correct(tx: Connection, corrections: Sequence[Correction]) -> None:
    """Correct what advance() wrote, at least one row, under its locks."""
    _correct.later(
        tx,
        [(c.run_id, c.force_plan, c.pending, c.fewer_steps, c.fewer_bytes) for c in corrections],
    )


@dataclass(frozen=True, slots=True)
class End:
    """A run's terminal status; `started_at` is stored only if the run had not started."""

    run_id: str
    status: RunStatus
    output: str | None
    at: datetime
    started_at: datetime | None = None


def _ended(v: GivenRow) -> Update:
    moves = [
        and_(
            v.status == status.value,
            _status.in_([source.value for source in sources(status)]),
        )
        for status in ENDED
        if sources(status)
    ]
    return (
        update(_runs)
        .where(_runs.c.id == v.run, or_(*moves))
        .values(
            status=v.status,
            ended_at=v.at,
            started_at=func.coalesce(_runs.c.started_at, v.started_at),
            output=v.output,
            pending=None,
        )
        # not IS NOT NULL: in RETURNING, SQLite 3.40 finds it true where this column is null
        .returning(_runs.c.id, func.coalesce(_runs.c.defers, "") != "", _waits)
    )


# Read by the update itself: runs without waits, nearly all, then need no other statement.
# `runs.id` is written out: SQLAlchemy leaves out the table's name in RETURNING on SQLite, and a
# bare `id` would be that of the wait.
_waits = exists(select(WaitRow.id).where(WaitRow.run_id == literal_column("runs.id")))
_time = DateTime(timezone=True)
_end = EachRow(
    {"run": Text(), "status": Text(), "output": Text(), "at": _time, "started_at": _time}, _ended
)


@dataclass(frozen=True, slots=True)
class Left:
    """Whether an ended run has deferred functions to start, and waits to delete.

    A wait is not seen if another transaction added it while the statement waited for that one.
    """

    defers: bool
    waits: bool


def end(tx: Connection, ends: Sequence[End]) -> dict[str, Left]:
    """Move runs, each given once, to terminal statuses; return those whose status allowed it."""
    rows = [(e.run_id, e.status.value, e.output, e.at, e.started_at) for e in ends]
    return {row[0]: Left(bool(row[1]), bool(row[2])) for row in _end.run(tx, rows)}


_show_defers = update(_runs).where(_runs.c.id == bindparam("run")).values(defers=bindparam("shown"))


def show_defers(tx: Connection, run_id: str, shown: str) -> None:
    """Write the state of the run's deferred functions that is sent to SDKs."""
    tx.execute(_show_defers, {"run": run_id, "shown": shown})
