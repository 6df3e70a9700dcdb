"""Find the error groups of runs that have failed, and count them there.

A second after the failure: the transaction that ends a run does no more than insert a row. So a
burst of runs that fail for one cause never waits for the row of its group, and its commits do not
wait for the reading of errors.
"""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, RowMapping

from .... import observe
from ....domain.reports import error_groups as rules
from ....domain.reports.error_groups import ErrorState, FailedStep, Failure
from ....domain.values import canonical
from ....storage.db.row_types import Record, RowValues
from ....storage.operations import error_groups as rows
from ...runtime.context import Context

EVERY = timedelta(seconds=1)
_BATCH = 100
_LOOK_SECONDS = 5.0  # how often a process looks for failures that others have left
_SYNC_DIGITS = 12


@dataclass(frozen=True, slots=True)
class _Found:
    """A failed run with its group."""

    run: RowMapping
    at: datetime
    error_id: str
    failure: Failure


class Grouping:
    """The service."""

    def __init__(self) -> None:
        self._look_at = 0.0

    def run_once(self, ctx: Context) -> bool:
        """Group a batch of failed runs, if there may be any; say whether there are more."""
        if not ctx.failed_runs.lately and time.monotonic() < self._look_at:
            return False
        more = group(ctx)
        self._look_at = time.monotonic() + _LOOK_SECONDS
        return more


def group(ctx: Context, most: int = _BATCH) -> bool:
    """Group the oldest failed runs that have no group; say whether there may be more."""
    with ctx.db.reading() as tx:
        if not rows.are_new(tx):
            return False
    with ctx.db.transaction() as tx:
        taken = rows.take(tx, most)
        reopened = _count(tx, taken) if taken else []
    for error_id, at in reopened:
        observe.event("error.regressed", level=30, error_id=error_id, at=at.isoformat())
    return len(taken) == most


def _count(tx: Connection, taken: Sequence[Record]) -> list[tuple[str, datetime]]:
    """Count failed runs in their groups; return the groups that this opens again."""
    ids = [row.run_id for row in taken]
    runs, steps = rows.ended_as_failed(tx, ids), rows.failed_steps(tx, ids)
    rows.drop(tx, [run_id for run_id in ids if run_id not in runs])
    found = []
    for row in taken:
        if (run := runs.get(row.run_id)) is not None:
            failed = [
                FailedStep(s.name, s.error, bool(s.is_last)) for s in steps.get(run["id"], ())
            ]
            failure = rules.failure(run["output"], failed)
            error_id = failure.group_id(run["function_id"])
            found.append(_Found(run, row.failed_at, error_id, failure))
    if not found:
        return []
    found = _bounded(tx, found)
    rows.add(tx, _groups(found), _hours(found), _versions(found))
    rows.join(tx, {one.run["id"]: one.error_id for one in found})
    return _reopen(tx, found)


def _bounded(tx: Connection, found: Sequence[_Found]) -> list[_Found]:
    """Let failures share one group whose function would get too many groups."""
    known = rows.known(tx, sorted({one.error_id for one in found}))
    new = {one.error_id: one.run["function_id"] for one in found if one.error_id not in known}
    if not new:
        return list(found)
    there = Counter(rows.counts(tx, sorted(set(new.values()))))
    for error_id, function_id in sorted(new.items()):
        if there[function_id] < rules.MOST_OF_FUNCTION:
            there[function_id] += 1
            known.add(error_id)
    return [one if one.error_id in known else _other(one) for one in found]


def _other(one: _Found) -> _Found:
    failure = rules.other(one.failure)
    return _Found(one.run, one.at, failure.group_id(one.run["function_id"]), failure)


def _groups(found: Sequence[_Found]) -> list[RowValues]:
    made: dict[str, RowValues] = {}
    count = Counter(one.error_id for one in found)
    first: dict[str, datetime] = {}
    for one in sorted(found, key=lambda one: (one.at, one.run["id"])):
        failure = one.failure
        made[one.error_id] = {
            "id": one.error_id,
            "function_id": one.run["function_id"],
            "step": failure.step,
            "name": failure.name,
            "message": failure.message,
            "cause": failure.cause,
            "frames": canonical.dumps(list(failure.frames)).decode(),
            "runs": count[one.error_id],
            "first_seen": first.setdefault(one.error_id, one.at),
            "last_seen": one.at,
            "latest_run_id": one.run["id"],
            "state": ErrorState.OPEN.value,
        }
    return [made[error_id] for error_id in sorted(made)]


def _hours(found: Sequence[_Found]) -> list[RowValues]:
    hours = Counter(
        (one.error_id, one.at.replace(minute=0, second=0, microsecond=0)) for one in found
    )
    return [{"error_id": key[0], "hour": key[1], "runs": hours[key]} for key in sorted(hours)]


def _versions(found: Sequence[_Found]) -> list[RowValues]:
    times: dict[tuple[str, str, str, str], list[datetime]] = {}
    for one in found:
        times.setdefault((one.error_id, *_version(one)), []).append(one.at)
    return [
        {
            "error_id": key[0],
            "app_version": key[1],
            "sdk": key[2],
            "sync": key[3],
            "runs": len(times[key]),
            "first_seen": min(times[key]),
            "last_seen": max(times[key]),
        }
        for key in sorted(times)
    ]


def _version(one: _Found) -> tuple[str, str, str]:
    """Say what is known of the version of a run's app: its own, its SDK's, its last sync's.

    That is nothing if the app was synced after the failure.
    """
    run = one.run
    if run["synced_at"] is not None and run["synced_at"] > one.at:
        return "", "", ""
    sdk = f"{run['sdk_language']} {run['sdk_version']}".strip()
    return run["app_version"], sdk, run["checksum"][:_SYNC_DIGITS]


def _reopen(tx: Connection, found: Sequence[_Found]) -> list[tuple[str, datetime]]:
    """Open resolved groups again for which a run failed that started later."""
    reopened = []
    for error_id, since in sorted(rows.resolved(tx, sorted({o.error_id for o in found})).items()):
        later = [
            one.at
            for one in found
            if one.error_id == error_id and (one.run["started_at"] or one.at) > since
        ]
        if later and rows.reopen(tx, error_id, since, min(later)):
            reopened.append((error_id, min(later)))
    return reopened
