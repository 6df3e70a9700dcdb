"""How events become the arguments of a Celery task."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime

from .. import cel
from ..canvas import signatures
from ..canvas.expressions import given_kind
from ..canvas.nodes import walk
from ..canvas.signatures import MAX_LEVELS
from ..errors import Invalid
from ..values import canonical, names
from ..values.checks import MOST_LEVELS, is_deeper
from .celery_task import CeleryTask
from .function_config import FunctionConfig
from .triggers import CronTrigger, Trigger

Event = Mapping[str, object]
ROUTING = "_inngest"  # in an invocation's data: where its answer goes
# each signature in another one takes three levels of JSON, and its arguments take some more
MOST_SIGNATURE_LEVELS = 3 * MAX_LEVELS + MOST_LEVELS + 10
TOO_DEEP = f"signature is nested deeper than {MAX_LEVELS} signatures: make it flatter"


def signature(
    config: FunctionConfig, events: Sequence[Event], *, invoked: bool, now: datetime
) -> object:
    """Make the signature that a run executes, of its event, or of the events of its batch.

    An invocation gives `data.signature`, or `data.args` and `data.kwargs`. For other events the
    expressions of their trigger give them, or else those of the task. Raises Invalid, which names
    the field or the expression.
    """
    task, given = config.celery or CeleryTask(), _data(events[0])
    if task.task is None or (invoked and "signature" in given):
        if "signature" not in given:
            raise Invalid("data.signature is missing: give the canvas", field="data.signature")
        return _signature(given["signature"])
    if invoked:
        _check_known(given)
        args, kwargs = given.get("args"), given.get("kwargs")
        places = {"args": "data.args", "kwargs": "data.kwargs"}
    else:
        texts = _expressions(config, task, events[0], now)
        args, kwargs = (_evaluated(name, text, events, now) for name, text in texts.items())
        places = {
            name: f"the value of {name}, the expression {text!r}," for name, text in texts.items()
        }
    if args is not None and not isinstance(args, list):
        raise Invalid(f"{places['args']} must be a list, not {given_kind(args)}")
    if kwargs is not None and not isinstance(kwargs, dict):
        raise Invalid(f"{places['kwargs']} must be an object, not {given_kind(kwargs)}")
    options: dict[str, object] = {} if task.queue is None else {"queue": task.queue}
    if not invoked:
        options |= _options(config, events[0])
    return {"task": task.task, "args": args or [], "kwargs": kwargs or {}, "options": options}


def _check_known(given: Mapping[str, object]) -> None:
    """Refuse data that the task would not get."""
    unknown = sorted(given.keys() - {"args", "kwargs", ROUTING})
    if unknown:
        place = f"data.{unknown[0][:64]}"
        fix = "write arguments into data.args, a list, or data.kwargs, an object"
        raise Invalid(f"{place} is not known here: {fix}", field=place)


def as_text(signature: object) -> str:
    """Write a signature as JSON text, for one that is nested deeper than events may be.

    Raises Invalid if the arguments of one task are as deep as that.
    """
    _check_arguments(signature)
    return json.dumps(signature)


def _signature(given: object) -> object:
    """Read a signature, which as_text() may have written."""
    if not isinstance(given, str):
        return given
    found: object = canonical.loads(given, MOST_SIGNATURE_LEVELS)
    _check_arguments(found)
    return found


def _check_arguments(signature: object) -> None:
    """Refuse arguments that a task's row could not be read with."""
    for _, task in walk(signatures.read(signature).root, ""):
        if is_deeper(json.dumps([task.args, task.kwargs]), MOST_LEVELS):
            problem = f"arguments that are nested deeper than {MOST_LEVELS} levels"
            raise Invalid(f"the task {task.name[:255]!r} has {problem}", field="signature")


def _data(event: Event) -> Mapping[str, object]:
    data = event.get("data")
    return data if isinstance(data, dict) else {}


def _expressions(
    config: FunctionConfig, task: CeleryTask, event: Event, now: datetime
) -> dict[str, str | None]:
    """Find the expressions of an event's arguments; those of its trigger go first."""
    own = [trigger for trigger in config.triggers if trigger.args or trigger.kwargs]
    if own and config.batch is None:
        for trigger in config.triggers:
            if _is_of(trigger, event, now):
                return {
                    "args": trigger.args or task.args,
                    "kwargs": trigger.kwargs or task.kwargs,
                }
    return {"args": task.args, "kwargs": task.kwargs}


def _options(config: FunctionConfig, event: Event) -> dict[str, object]:
    """Return the options of the schedule that has started a run, none for other events."""
    schedule = _data(event).get("cron")
    for trigger in config.triggers if isinstance(schedule, str) else ():
        if isinstance(trigger, CronTrigger) and trigger.cron == schedule:
            return trigger.options
    return {}


def _is_of(trigger: Trigger, event: Event, now: datetime) -> bool:
    """Say whether a trigger may have made a run of an event."""
    if isinstance(trigger, CronTrigger):
        return _data(event).get("cron") == trigger.cron
    if trigger.event not in names.patterns(str(event.get("name"))):
        return False
    return not trigger.expression or cel.matches(trigger.expression, {"event": event}, now)


def _evaluated(name: str, text: str | None, events: Sequence[Event], now: datetime) -> object:
    if text is None:
        return None
    try:
        return cel.argument(text, {"event": events[0], "events": list(events)}, now)
    except (cel.CelError, Invalid) as error:
        raise Invalid(f"the expression of {name}, {text!r}, failed: {error}") from error
