"""What the workers of a Celery app answer when they are asked which tasks they hold."""

from datetime import UTC, datetime
from typing import Any

from ...domain.reports.celery_seen import Running
from ...domain.steps import tasks
from ...domain.steps.task_states import Held


def held_of(active: Any, reserved: Any, scheduled: Any) -> dict[str, Held]:
    """List the tasks of ours that workers hold, by id."""
    found: dict[str, Held] = {}
    for host, listed in scheduled.items():
        found |= {str(one["request"]["id"]): Held(host) for one in listed}
    for host, listed in reserved.items():
        found |= {str(one["id"]): Held(host) for one in listed}
    for host, listed in active.items():
        found |= {str(one["id"]): Held(host, _moment(one.get("time_start"))) for one in listed}
    return {name: one for name, one in found.items() if tasks.item_and_attempt(name)}


def running_of(one: Any) -> Running:
    """Read one of the tasks that a worker runs."""
    return Running(str(one["id"]), str(one.get("name"))[:255], _moment(one.get("time_start")))


def _moment(seconds: object) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if isinstance(seconds, int | float) else None
