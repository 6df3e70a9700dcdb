"""What the page of apps shows of a Celery app. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import RowMapping

from ...domain.functions import celery_task
from ...domain.functions.function_config import FunctionConfig, config_from_json
from ...domain.reports import celery_seen
from ...domain.reports.celery_seen import Seen, SeenQueue, SeenWorker

# of states; those that are not here wait for somebody
_CSS = {"error": "failed", "connecting": "queued", "connected": "completed"}


@dataclass(frozen=True, slots=True)
class ShownTask:
    """A task: its function, and when its last worker went away; `known` if a worker has it.

    `near` asks for names like that of a task which no worker has had.
    """

    function: RowMapping
    config: FunctionConfig
    name: str
    known: bool
    gone_since: datetime | None
    near: str = ""


@dataclass(frozen=True, slots=True)
class Card:
    """A Celery app: `state` and `state_css` say how its connection is.

    `file` is the config file that declares it, if one does.
    """

    broker: str
    queue: str
    file: str | None
    state: str
    state_css: str
    advice: str | None
    seen_at: datetime | None
    workers: Sequence[tuple[SeenWorker, bool]]
    queues: Sequence[tuple[SeenQueue, int]]
    tasks: Sequence[ShownTask]
    left_out: int

    @property
    def alive(self) -> int:
        """How many workers have been heard of lately."""
        return sum(alive for _, alive in self.workers)

    @property
    def mute(self) -> str:
        """What is wrong with a worker that is heard of and whose pool is not known."""
        return celery_seen.MUTE

    @property
    def gone(self) -> int:
        """How many tasks no worker has any more."""
        return sum(one.gone_since is not None for one in self.tasks)


def card(row: RowMapping, functions: Iterable[RowMapping], now: datetime) -> Card:
    """Make the card of an app of celery_app_list, with the rows of its functions."""
    seen, at = celery_seen.from_json(row["seen"]), row["seen_at"]
    alive = [] if at is None else seen.alive(at)
    state = celery_seen.state(seen, at, row["queue"], row["error"], now)
    return Card(
        broker=celery_task.without_password(row["broker_url"]),
        queue=row["queue"],
        file=row["file"],
        state=state.name,
        state_css=_CSS.get(state.name, "waiting"),
        advice=None if row["error"] is not None else state.advice,  # the page shows the error
        seen_at=at,
        workers=[(one, one in alive) for one in seen.workers],
        queues=[(one, _readers(alive, one.name)) for one in seen.queues],
        tasks=_tasks(functions, seen),
        left_out=seen.left_out,
    )


def _readers(workers: Iterable[SeenWorker], queue: str) -> int:
    return sum(queue in one.queues for one in workers)


def _tasks(functions: Iterable[RowMapping], seen: Seen) -> list[ShownTask]:
    known, gone = set(seen.tasks), {one.name: one.since for one in seen.gone}
    made = []
    for row in functions:
        config = config_from_json(row["config"])
        task = config.celery
        if task is not None and task.task is not None and not task.workflow:
            name = task.task
            unseen = known and name not in known and name not in gone
            near = celery_seen.did_you_mean(name, known) if unseen else ""
            made.append(ShownTask(row, config, name, name in known, gone.get(name), near))
    return sorted(made, key=lambda one: one.name)


def task_state(row: RowMapping | None, task: str) -> tuple[bool, datetime | None]:
    """Say of a task whether a worker of its app has it, and else since when none has."""
    seen = celery_seen.from_json(None if row is None else row["seen"])
    gone = {one.name: one.since for one in seen.gone}
    return task in seen.tasks, gone.get(task)
