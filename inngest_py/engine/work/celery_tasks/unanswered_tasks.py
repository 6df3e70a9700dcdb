"""Tasks of Celery apps that end without an answer: lost, expired, or failed in silence."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from .... import observe
from ....domain.canvas import interpret
from ....domain.reply import task_answers
from ....domain.reply.plans import Plan
from ....domain.reply.task_answers import EXPIRED, LOST, Failure
from ....domain.runs.items import ItemKind
from ....domain.steps import task_states, tasks
from ....domain.values.json_types import JsonObject
from ....storage.queue import sent_tasks
from ...runtime.context import Context
from ...runtime.jobs import Job
from .. import run_item, signals
from ..claims import load
from ..handlers.task_rules import rules_of
from ..writes import Call, PlanWrite
from .task_failures import expired, failed, failed_or_lost, failure_of, times_lost
from .write_together import write_together

_TOGETHER = 100  # attempts that are ended in one transaction


@dataclass(frozen=True, slots=True)
class _Unanswered:
    """An attempt that ends without an answer: its id, and how often the task was lost before."""

    name: str
    job: Job
    call: interpret.Call
    sent: datetime
    before: int


_Ending = tuple[Job, Plan, Call]


def end_lost(ctx: Context, reasons: Mapping[str, str]) -> None:
    """Send lost tasks again, or fail their runs; `reasons` says why, by the ids of attempts.

    Attempts that have ended meanwhile are passed over.
    """
    for part in _parts(reasons):
        endings: list[_Ending] = []
        for one in _unanswered(ctx, part):
            job, why = one.job, reasons[one.name]
            rules = rules_of(ctx, job, one.call.name)
            observe.event("task.lost", level=30, run_id=job.run.id, task=one.call.name, reason=why)
            found = failed(ctx, job, one.call, Failure(LOST, why))
            made = task_answers.lost(found, one.before, rules.task, rules.policy)
            endings.append((job, made, Call(one.sent, ctx.now())))
        _end(ctx, endings)


def end_expired(ctx: Context, names: Iterable[str]) -> None:
    """End tasks that no worker has begun by their deadlines, by the ids of attempts."""
    for part in _parts(dict.fromkeys(names)):
        found = _unanswered(ctx, part)
        endings = [
            (one.job, expired(ctx, one.job, one.call), Call(one.sent, ctx.now())) for one in found
        ]
        _end(ctx, endings)


def end_failed(ctx: Context, errors: Mapping[str, JsonObject]) -> None:
    """End attempts that failed without an answer; `errors` says why, by the ids of attempts.

    Attempts that have ended meanwhile are passed over.
    """
    for part in _parts(errors):
        endings: list[_Ending] = []
        for one in _unanswered(ctx, part):
            failure = failure_of(errors[one.name])
            made = (
                expired(ctx, one.job, one.call)
                if failure.name == EXPIRED
                else failed_or_lost(ctx, one.job, one.call, failure, one.before)
            )
            endings.append((one.job, made, Call(one.sent, ctx.now())))
        _end(ctx, endings)


def _parts(by_name: Mapping[str, object]) -> list[list[str]]:
    names = sorted(by_name)
    return [names[start : start + _TOGETHER] for start in range(0, len(names), _TOGETHER)]


def _unanswered(ctx: Context, names: Sequence[str]) -> list[_Unanswered]:
    """Read those of the attempts that an app still has."""
    ids = [one[0] for name in names if (one := tasks.item_and_attempt(name)) is not None]

    def read(tx: Connection) -> list[_Unanswered]:
        rows = sent_tasks.leased(tx, ids)
        known = {item.id: task_states.from_json(task) for item, task in rows}
        found = []
        for job in load(tx, ctx, [item for item, _ in rows]):
            name, task = tasks.task_id(job.item.id, job.item.attempt), known[job.item.id]
            if name not in names or task is None or job.item.kind is not ItemKind.TASK:
                continue
            if job.function.config.celery is not None:
                call = tasks.call_from_json(job.item.opts or "")
                found.append(_Unanswered(name, job, call, task.sent, times_lost(tx, job, call)))
        return found

    return ctx.committer.read(read)


def _end(ctx: Context, endings: Sequence[_Ending]) -> None:
    """Write ends of attempts in one transaction; if one of them is void, each in its own."""
    writes = [
        PlanWrite(ctx, job.run, job.item, made, call, wants_next=False)
        for job, made, call in endings
    ]
    if len(writes) > 1 and write_together(ctx, writes):
        for (job, made, call), write in zip(endings, writes, strict=True):
            signals.committed(ctx, job, made, write.done)
            signals.task_ended(ctx, job, made, call)
        return
    for job, made, call in endings:
        done = run_item.write_plan(ctx, job, made, call, wants_next=False)
        if done is not None:
            signals.committed(ctx, job, made, done)
            signals.task_ended(ctx, job, made, call)
