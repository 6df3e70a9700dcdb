"""Error groups: one row for all runs that failed for one cause, with counts by hour and version.

The transaction that ends a run as failed only inserts a row of `failed_runs`. Upkeep takes these
rows, and adds them to their groups. Order of locks: failed runs, groups by id, hours, versions. So
workers that add to the same groups cannot wait in a ring.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import (
    Connection,
    ForeignKey,
    Index,
    RowMapping,
    Text,
    case,
    delete,
    exists,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.sql.dml import Insert as InsertStatement

from ...domain.reports.error_groups import ErrorState
from ..catalog.functions import App, FunctionRow
from ..db.columns import Base, Json, Timestamp, table_of
from ..db.row_types import AnyColumn, Record, RowValues
from ..db.session import insert
from ..db.statements import EachRow
from ..runs.attempts import Attempt
from ..runs.failed_runs import FailedRun
from ..runs.runs import RunRow

_MOST_ERROR_CHARS = 64 * 1024  # of an error: its beginning has name and message
_MOST_STEPS = 2000  # failed steps that are read for the runs of one call


class ErrorGroup(Base):
    """An error group; its columns are described in domain.reports.error_groups.

    `message` and `latest_run_id` are those of the run that failed last. `muted_until` is None for a
    group that is muted for ever. `regressed_at` is when a run failed that had started after the
    group was resolved.
    """

    __tablename__ = "error_groups"
    # serve queries.errors.groups
    __table_args__ = (
        Index("error_groups_function_idx", "function_id"),
        Index("error_groups_seen_idx", "last_seen", "id"),
    )
    id: Mapped[str] = mapped_column(Text, primary_key=True)
    function_id: Mapped[str] = mapped_column(ForeignKey("functions.id", ondelete="CASCADE"))
    step: Mapped[str | None] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    message: Mapped[str] = mapped_column(Text)
    cause: Mapped[str] = mapped_column(Text)
    frames: Mapped[str] = mapped_column(Json)
    runs: Mapped[int]
    first_seen: Mapped[datetime] = mapped_column(Timestamp)
    last_seen: Mapped[datetime] = mapped_column(Timestamp)
    latest_run_id: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text)
    muted_until: Mapped[datetime | None] = mapped_column(Timestamp)
    resolved_at: Mapped[datetime | None] = mapped_column(Timestamp)
    regressed_at: Mapped[datetime | None] = mapped_column(Timestamp)
    changed_by: Mapped[str | None] = mapped_column(Text)


class ErrorHour(Base):
    """How many runs of a group failed in an hour."""

    __tablename__ = "error_hours"
    # serves forget()
    __table_args__ = (Index("error_hours_hour_idx", "hour"),)
    error_id: Mapped[str] = mapped_column(
        ForeignKey("error_groups.id", ondelete="CASCADE"), primary_key=True
    )
    hour: Mapped[datetime] = mapped_column(Timestamp, primary_key=True)
    runs: Mapped[int]


class ErrorVersion(Base):
    """How many runs of a group failed while their app had a version.

    `sync` is the beginning of the checksum of its last sync. Texts are empty where nothing is
    known.
    """

    __tablename__ = "error_versions"
    error_id: Mapped[str] = mapped_column(
        ForeignKey("error_groups.id", ondelete="CASCADE"), primary_key=True
    )
    app_version: Mapped[str] = mapped_column(Text, primary_key=True)
    sdk: Mapped[str] = mapped_column(Text, primary_key=True)
    sync: Mapped[str] = mapped_column(Text, primary_key=True)
    runs: Mapped[int]
    first_seen: Mapped[datetime] = mapped_column(Timestamp)
    last_seen: Mapped[datetime] = mapped_column(Timestamp)


_failed, _runs, _attempts = table_of(FailedRun), table_of(RunRow), table_of(Attempt)
_groups, _hours, _versions = table_of(ErrorGroup), table_of(ErrorHour), table_of(ErrorVersion)


def are_new(tx: Connection) -> bool:
    """Say whether a failed run has no group yet."""
    query = select(_failed.c.run_id).where(_failed.c.error_id.is_(None)).limit(1)
    return tx.execute(query).first() is not None


def take(tx: Connection, limit: int) -> list[Record]:
    """Lock the oldest failed runs that have no group yet: `run_id` and `failed_at`.

    Skips those that another process has locked.
    """
    query = select(_failed.c.run_id, _failed.c.failed_at).where(_failed.c.error_id.is_(None))
    query = query.order_by(_failed.c.failed_at).limit(limit)
    return list(tx.execute(query.with_for_update(skip_locked=True)))


def ended_as_failed(tx: Connection, run_ids: Sequence[str]) -> dict[str, RowMapping]:
    """Read failed runs with their functions and what their apps have told of their versions.

    A large output is cut off. Runs that are gone are left out.
    """
    query = (
        select(
            _runs.c.id,
            _runs.c.function_id,
            _runs.c.started_at,
            beginning(_runs.c.output).label("output"),
            App.app_version,
            App.sdk_language,
            App.sdk_version,
            App.checksum,
            App.synced_at,
        )
        .join(FunctionRow, FunctionRow.id == _runs.c.function_id)
        .join(App, App.id == FunctionRow.app_id)
        .where(_runs.c.id.in_(run_ids))
    )
    return {row["id"]: row for row in tx.execute(query).mappings()}


def failed_steps(tx: Connection, run_ids: Sequence[str]) -> dict[str, list[Record]]:
    """List the failed attempts of steps of runs, newest first: `name`, `error` and `is_last`.

    `is_last` says that no other attempt of a step of the run follows.
    """
    later = _attempts.alias("later")
    follows = exists().where(
        later.c.run_id == _attempts.c.run_id,
        later.c.id > _attempts.c.id,
        later.c.step.is_not(None),
        later.c.status != "cancelled",  # steps that the end of the run cut off
    )
    query = (
        select(
            _attempts.c.run_id,
            _attempts.c.name,
            beginning(_attempts.c.error).label("error"),
            (~follows).label("is_last"),
        )
        .where(
            _attempts.c.run_id.in_(run_ids),
            _attempts.c.status == "failed",
            _attempts.c.step.is_not(None),
        )
        .order_by(_attempts.c.id.desc())
        .limit(_MOST_STEPS)
    )
    found: dict[str, list[Record]] = {}
    for row in tx.execute(query):
        found.setdefault(row.run_id, []).append(row)
    return found


def beginning(column: AnyColumn) -> AnyColumn:
    """Write an error without what comes after its name and its message."""
    return func.substr(column, 1, _MOST_ERROR_CHARS)


def known(tx: Connection, error_ids: Sequence[str]) -> set[str]:
    """Return those of the groups that are there."""
    return set(tx.execute(select(_groups.c.id).where(_groups.c.id.in_(error_ids))).scalars())


def counts(tx: Connection, function_ids: Sequence[str]) -> dict[str, int]:
    """Count the groups of functions; those without any are left out."""
    query = select(_groups.c.function_id, func.count()).group_by(_groups.c.function_id)
    rows = tx.execute(query.where(_groups.c.function_id.in_(function_ids)))
    return {row[0]: row[1] for row in rows}


def add(
    tx: Connection,
    groups: Sequence[RowValues],
    hours: Sequence[RowValues],
    versions: Sequence[RowValues],
) -> None:
    """Add counts to groups, hours and versions; those that are not there yet begin with them.

    Each list is sorted by its keys and has each key once. Counts of `runs` add up; of texts, those
    of the run that failed last stay.
    """
    tx.execute(_adding(tx, ErrorGroup, ["id"], ["message", "frames", "latest_run_id"]), groups)
    tx.execute(_adding(tx, ErrorHour, ["error_id", "hour"]), hours)
    tx.execute(_adding(tx, ErrorVersion, ["error_id", "app_version", "sdk", "sync"]), versions)


def _adding(
    tx: Connection, model: type[Base], keys: Sequence[str], newest: Sequence[str] = ()
) -> InsertStatement:
    table = table_of(model)
    statement = insert(tx, model)
    given = statement.excluded
    changes: RowValues = {"runs": table.c.runs + given.runs}
    if "last_seen" in table.c:
        is_newer = given.last_seen >= table.c.last_seen
        for name in (*newest, "last_seen"):
            changes[name] = case((is_newer, given[name]), else_=table.c[name])
        is_older = given.first_seen < table.c.first_seen
        changes["first_seen"] = case((is_older, given.first_seen), else_=table.c.first_seen)
    return statement.on_conflict_do_update(index_elements=list(keys), set_=changes)


_join = EachRow(
    {"run": Text(), "error": Text()},
    lambda v: update(_failed).where(_failed.c.run_id == v.run).values(error_id=v.error),
)


def join(tx: Connection, error_ids: Mapping[str, str]) -> None:
    """Write to which groups runs belong, given by the runs' ids; take() has locked them."""
    if error_ids:
        _join.later(tx, list(error_ids.items()))


def drop(tx: Connection, run_ids: Sequence[str]) -> None:
    """Forget failed runs that are gone."""
    if run_ids:
        tx.execute(delete(_failed).where(_failed.c.run_id.in_(run_ids)))


def resolved(tx: Connection, error_ids: Sequence[str]) -> dict[str, datetime]:
    """Say since when those of the groups are resolved that are."""
    query = select(_groups.c.id, _groups.c.resolved_at)
    mine = _groups.c.id.in_(error_ids), _groups.c.state == ErrorState.RESOLVED.value
    return {row.id: row.resolved_at for row in tx.execute(query.where(*mine))}


def reopen(tx: Connection, error_id: str, resolved_at: datetime, at: datetime) -> bool:
    """Open a group again that was resolved at a time; say whether it was."""
    mine = (
        _groups.c.id == error_id,
        _groups.c.state == ErrorState.RESOLVED.value,
        _groups.c.resolved_at == resolved_at,
    )
    opened = update(_groups).where(*mine)
    values = {"state": ErrorState.OPEN.value, "regressed_at": at, "changed_by": None}
    return bool(tx.execute(opened.values(values)).rowcount)


def set_state(tx: Connection, error_id: str, values: RowValues) -> bool:
    """Write a group's state and what belongs to it; say whether the group is there."""
    mine = update(_groups).where(_groups.c.id == error_id)
    return bool(tx.execute(mine.values(values)).rowcount)


def forget(tx: Connection, before: datetime, now: datetime, limit: int) -> bool:
    """Delete counts of hours before a time, and groups that nothing reminds of any more.

    These are not muted, were last seen before the time, and have no run left. Returns whether there
    may be more.
    """
    old = select(_hours.c.error_id, _hours.c.hour).where(_hours.c.hour < before).limit(limit)
    hours = tx.execute(old).all()
    for row in hours:
        mine = _hours.c.error_id == row.error_id, _hours.c.hour == row.hour
        tx.execute(delete(_hours).where(*mine))
    is_muted = (_groups.c.state == ErrorState.MUTED.value) & or_(
        _groups.c.muted_until.is_(None), _groups.c.muted_until > now
    )
    is_over = (
        _groups.c.last_seen < before,
        ~is_muted,
        ~exists().where(_failed.c.error_id == _groups.c.id),
    )
    idle = select(_groups.c.id).where(*is_over).order_by(_groups.c.id).limit(limit)
    ids = list(tx.execute(idle.with_for_update(skip_locked=True)).scalars())
    if ids:
        tx.execute(delete(_groups).where(_groups.c.id.in_(ids), *is_over))
    return len(hours) == limit or len(ids) == limit
