"""Tasks that a Celery app has: note which worker holds each, and end those that are lost."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from ...domain.steps import task_states, tasks
from ...domain.steps.task_states import Held, SentTask
from ...domain.values.json_types import JsonObject
from ...storage.queue import sent_tasks
from ..runtime.context import Context
from ..work.celery_tasks import unanswered_tasks

_MOST = 20_000
_NEAR = timedelta(seconds=15)  # deadlines of the time until the next look


def sent(ctx: Context, app_id: str, *, busy: Sequence[str] = ()) -> dict[str, SentTask]:
    """List the tasks that an app has, by their ids.

    Leaves out those that wait in the queues of `busy`, as far as is known: these queues are not
    empty, so nothing can be said of them, and there may be thousands. Tasks whose deadlines are
    near are not left out.
    """
    soon = ctx.now() + task_states.UNWATCHED + _NEAR
    with ctx.db.reading() as tx:
        found = sent_tasks.of_app(tx, app_id, _MOST, busy=busy, soon=soon)
    known = {tasks.task_id(one.item_id, one.attempt): one.task for one in found}
    return {name: task for name, text in known.items() if (task := task_states.from_json(text))}


def named(ctx: Context, names: Collection[str]) -> dict[str, SentTask]:
    """Read what is known of tasks, by their ids; those that no app has are missing."""
    ids = [one[0] for name in names if (one := tasks.item_and_attempt(name)) is not None]
    if not ids:
        return {}
    with ctx.db.reading() as tx:
        rows = sent_tasks.leased(tx, ids)
    known = {
        tasks.task_id(item.id, item.attempt): task_states.from_json(text) for item, text in rows
    }
    return {name: task for name, task in known.items() if name in names and task is not None}


def received(
    ctx: Context, known: Mapping[str, SentTask], held: Mapping[str, Held]
) -> dict[str, SentTask]:
    """Give tasks the workers that received them, by their ids, where no look has seen them yet.

    `held` is what events said. A worker may die between two looks, and another be started under its
    name, while its queue is never empty: without this, such a task would seem to wait in the queue
    for ever.
    """
    found = {name: known[name] for name in held if name in known}
    found |= named(ctx, held.keys() - known.keys())
    return {
        name: replace(task, host=held[name].host, started=held[name].started)
        for name, task in found.items()
        if task.host is None
    }


def given_back(
    ctx: Context,
    known: Mapping[str, SentTask],
    held: Mapping[str, Held],
    *,
    retried: Collection[str],
    left: Collection[str],
) -> dict[str, SentTask]:
    """Store and return the tasks that wait in the broker again: see task_states.given_back().

    Without this they would count as lost in a queue that is long, and run twice.
    """
    found = task_states.given_back(known, held, retried=retried, left=left)
    if found:
        _note(ctx, found)
    return found


def compare(
    ctx: Context,
    known: Mapping[str, SentTask],
    held: Mapping[str, Held],
    *,
    hosts: frozenset[str],
    waiting: Mapping[str, int],
) -> None:
    """Store what a look at an app's workers has found; end tasks that are lost.

    `known` are the tasks as they were before the look: of those that were sent meanwhile nothing
    is said. `hosts` and `waiting` are as task_states.look() wants them.
    """
    found = task_states.look(known, held, hosts=hosts, waiting=waiting, now=ctx.now())
    if found.changed:
        _note(ctx, found.changed)
    if found.lost:
        unanswered_tasks.end_lost(ctx, found.lost)


def _note(ctx: Context, changed: Mapping[str, SentTask]) -> None:
    """Store states of tasks; those that have started get the end of their time."""
    ids = [one[0] for name in changed if (one := tasks.item_and_attempt(name)) is not None]
    with ctx.db.transaction() as tx:
        items = {item.id: item for item, _ in sent_tasks.leased(tx, ids)}
        notes: list[tuple[str, str, str, datetime | None]] = []
        for name, task in changed.items():
            one = tasks.item_and_attempt(name)
            item = None if one is None else items.get(one[0])
            if item is None or item.attempt != task.attempt:
                continue
            notes.append((item.id, item.lease_id, task.to_json(), task.ends_at))
        sent_tasks.note(tx, notes)


def fail(ctx: Context, errors: Mapping[str, JsonObject]) -> None:
    """End attempts that failed and whose workers sent no answer, by task id.

    A worker sends none for a task that it does not know, or that was revoked. Attempts that have
    ended are passed over.
    """
    unanswered_tasks.end_failed(ctx, errors)
