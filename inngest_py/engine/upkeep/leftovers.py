"""Delete what ended runs and old events leave behind, in small batches."""

from datetime import timedelta

from ...domain.flow import gcra
from ...storage.events import events, waits
from ...storage.flow import buckets
from ...storage.operations import operations, operators
from ...storage.queue import sent_tasks
from ...storage.runs import workflows
from ..runtime.context import Context

_BATCH = 500
# for waits that nothing ended: a time-out deletes its wait's row itself (waits.md §2)
_GRACE = timedelta(minutes=20)
_OPERATIONS_KEPT = timedelta(days=90)
_WORKFLOWS_KEPT = timedelta(days=1)
# the answer that a task has failed comes within seconds; a broker's outage may hold it up
_FAILURES_KEPT = timedelta(hours=1)


def forget_keys(ctx: Context) -> bool:
    """Delete the keys of events whose 24 hours are over (events.md §5.2)."""
    with ctx.db.transaction() as tx:
        return events.forget(tx, ctx.now(), _BATCH) == _BATCH


def forget_waits(ctx: Context) -> bool:
    """Delete waits that have expired and that nothing ended (waits.md §2)."""
    with ctx.db.transaction() as tx:
        return waits.forget(tx, ctx.now() - _GRACE, _BATCH) == _BATCH


def forget_buckets(ctx: Context) -> bool:
    """Delete the buckets of rate limits and throttles that are idle again."""
    with ctx.db.transaction() as tx:
        return buckets.forget(tx, gcra.to_ns(ctx.now()), _BATCH) == _BATCH


def forget_acts(ctx: Context) -> bool:
    """Delete the rows of the audit log that are older than they must be kept."""
    kept = ctx.tuning.keep_audit
    if kept is None:
        return False
    with ctx.db.transaction() as tx:
        return operators.forget_acts(tx, ctx.now() - kept, _BATCH) == _BATCH


def forget_workflows(ctx: Context) -> bool:
    """Delete old versions of workflows that no stored run has."""
    with ctx.db.transaction() as tx:
        return bool(workflows.forget(tx, ctx.now() - _WORKFLOWS_KEPT))


def forget_failures(ctx: Context) -> bool:
    """Delete why Celery tasks failed: their answers have been read."""
    with ctx.db.transaction() as tx:
        return sent_tasks.forget_failures(tx, ctx.now() - _FAILURES_KEPT, _BATCH) == _BATCH


def forget_operations(ctx: Context) -> bool:
    """Delete operations that ended 90 days ago, with what they did."""
    with ctx.db.transaction() as tx:
        return bool(operations.forget(tx, ctx.now() - _OPERATIONS_KEPT, _BATCH))
