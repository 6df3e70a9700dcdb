"""The settings of a workflow: those of a task, and `tasks`, the entries that it runs."""

import re
from collections.abc import Iterable

from ..canvas import workflows
from ..errors import Invalid
from ..values import canonical
from ..values.json_types import JsonObject
from . import task_settings
from .celery_task import OWN_PREFIX
from .config_fields import Fields, wrong

TASKS = "tasks"
MOST_JSON_LEVELS = 1000  # workflows.read() counts the levels of lists
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_OF_TASKS = ("args", "kwargs")
_OF_SCHEDULES = (*_OF_TASKS, "queue", "priority")  # of the one task that a schedule sends


def check_name(name: str, path: str = "the name of a workflow") -> None:
    """Check the name of a workflow; `path` is what the error calls it. Raises Invalid."""
    if _NAME.fullmatch(name) is None or name.startswith(OWN_PREFIX):
        text = "must have 1 to 128 letters, digits, dots, hyphens or underscores"
        raise Invalid(f"{path} {text}, and not begin with {OWN_PREFIX!r}", field="name")


def canonical_names(given: object, path: str = "") -> JsonObject:
    """Return the settings under their own names, `tasks` as JSON text. Raises Invalid."""
    fields = Fields(given, path)
    tasks = [key for key in fields.given if str(key).casefold() == TASKS]
    others = {key: value for key, value in fields.given.items() if key not in tasks}
    found = task_settings.canonical_names(others, path)
    _refuse(Fields(found, path), _OF_TASKS)
    triggers = found.get("on")
    for place, one in enumerate(triggers if isinstance(triggers, list) else ()):
        _refuse(Fields(one, fields.at(f"on[{place}]")), _OF_SCHEDULES)
    for key in tasks:
        value = fields.given[key]
        if value is not None:
            workflows.read(value, fields.at(TASKS))
            value = canonical.dumps(value).decode()
        found[TASKS] = value
    return found


def _refuse(fields: Fields, names: Iterable[str]) -> None:
    for name in names:
        if fields.has(name):
            raise wrong(fields.at(name), "is not known here: write it to an entry of tasks")


def with_tasks(settings: JsonObject) -> JsonObject:
    """Show settings with `tasks` as the list that was given, not as its JSON text."""
    shown = settings.get(TASKS)
    if not isinstance(shown, dict):
        return settings
    return settings | {TASKS: shown | {"value": canonical.loads(shown["value"], MOST_JSON_LEVELS)}}
