"""Read a function's triggers, and the events that cancel its runs (sync.md §5.1, §5.3)."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from .. import cel
from ..errors import Invalid
from ..values import durations, times
from . import cron
from .config_fields import Fields, wrong

MAX_TRIGGERS = 10
MAX_TASK_TRIGGERS = 100
MAX_CANCELS = 5
MIN_JITTER = timedelta(seconds=1)
MAX_JITTER = timedelta(minutes=5)
_EVENT = "event_name_invalid"
_SCHEDULE = "schedule_invalid"


@dataclass(frozen=True, slots=True)
class EventTrigger:
    """Starts the function for events of a name or wildcard, if the expression is true.

    `args` and `kwargs` are what this trigger gives a Celery task, in place of the task's own.
    """

    event: str
    expression: str | None = None
    args: str | None = None
    kwargs: str | None = None


@dataclass(frozen=True, slots=True)
class CronTrigger:
    """Starts the function on a schedule; each start is delayed by up to the jitter.

    `args` and `kwargs` are as in EventTrigger. `queue`, `priority` and `expires`, in seconds, are
    options with which it sends a Celery task.
    """

    cron: str
    jitter: timedelta | None = None
    args: str | None = None
    kwargs: str | None = None
    queue: str | None = None
    priority: int | None = None
    expires: float | None = None

    @property
    def options(self) -> dict[str, object]:
        """The options of the signature that it starts."""
        given = {"queue": self.queue, "priority": self.priority, "expires": self.expires}
        return {name: value for name, value in given.items() if value is not None}


Trigger = EventTrigger | CronTrigger


@dataclass(frozen=True, slots=True)
class Cancel:
    """Cancels a run when a matching event comes: within `timeout`, until `until`, or for 365 d."""

    event: str
    expression: str | None = None
    timeout: timedelta | None = None
    until: datetime | None = None


def parse_triggers(
    config: Fields, name: str = "triggers", condition: str = "expression", *, task: bool = False
) -> tuple[Trigger, ...]:
    """Read a function's triggers; raises Invalid for a bad one and for one given twice.

    `name` is the field that lists them, and `condition` the one of a trigger's expression. A Celery
    `task` may have more of them, and other schedules.
    """
    triggers: list[Trigger] = []
    seen: dict[object, int] = {}
    most, check = (
        (MAX_TASK_TRIGGERS, cron.validate_of_task) if task else (MAX_TRIGGERS, cron.validate)
    )
    for place, item in enumerate(config.objects(name, most)):
        trigger = _parse_trigger(item, condition, check)
        # the same schedule with another jitter is given twice, too
        key = trigger.cron if isinstance(trigger, CronTrigger) else trigger
        if key in seen:
            first = f"{config.at(name)}[{seen[key]}]"
            raise wrong(item.path, f"repeats {first}: remove one of them")
        seen[key] = place
        triggers.append(trigger)
    return tuple(triggers)


def _parse_trigger(item: Fields, condition: str, check: Callable[[str], None]) -> Trigger:
    event, schedule = item.text("event", code=_EVENT), item.text("cron", code=_SCHEDULE)
    if event is not None and schedule is not None:
        raise wrong(item.path, "holds both event and cron: make two triggers of it")
    if event is not None:
        return EventTrigger(event, item.expression(condition))
    if schedule is not None:
        return _parse_cron(item, schedule, check)
    if item.get("event") == "":
        raise wrong(item.at("event"), "is empty: name the event", _EVENT)
    if item.get("cron") == "":
        raise wrong(item.at("cron"), "is empty: write a schedule such as 0 9 * * 1-5", _SCHEDULE)
    raise wrong(item.path, "must hold either event or cron")


def _parse_cron(item: Fields, schedule: str, check: Callable[[str], None]) -> CronTrigger:
    try:
        check(schedule)
    except Invalid as error:
        problem = f"is not a schedule such as 0 9 * * 1-5: {error.message}"
        raise wrong(item.at("cron"), problem, _SCHEDULE) from None
    jitter = item.duration("jitter", most=MAX_JITTER)
    if jitter and jitter < MIN_JITTER:
        raise wrong(item.at("jitter"), "must lie between 1s and 5m")
    return CronTrigger(schedule, jitter or None)


def parse_cancels(config: Fields, name: str = "cancel") -> tuple[Cancel, ...]:
    """Read what cancels a function's runs; expressions may only compare and combine values.

    `name` is the field that lists it.
    """
    return tuple(_parse_cancel(item) for item in config.objects(name, MAX_CANCELS))


def _parse_cancel(item: Fields) -> Cancel:
    event = item.text("event", code=_EVENT)
    if event is None:
        raise wrong(item.at("event"), "is missing: name the event that cancels", _EVENT)
    timeout, until = _parse_timeout(item)
    return Cancel(event, item.expression("if", check=cel.check_restrictive), timeout, until)


def _parse_timeout(item: Fields) -> tuple[timedelta | None, datetime | None]:
    """Read the time-out, which is a duration or a time."""
    text = item.text("timeout")
    if text is None:
        return None, None
    try:
        return durations.to_timedelta(text), None
    except Invalid:
        pass
    try:
        return None, times.parse_time(text)
    except Invalid:
        problem = "is neither a duration such as 2h nor a time such as 2030-01-31T12:00:00Z"
        raise wrong(item.at("timeout"), problem) from None
