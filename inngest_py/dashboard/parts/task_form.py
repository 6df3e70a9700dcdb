"""The form for the settings of a Celery task: from settings to texts, and back. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...domain.errors import Invalid
from ...domain.functions import task_settings
from ...domain.functions.function_config import FunctionConfig
from ...domain.values import canonical
from ...domain.values.json_types import JsonObject
from .words import pretty

FIELDS = ("on", "args", "kwargs", "retries", "timeout", "on_lost", "queue")
MORE = "more"  # the field with the other settings, as JSON
_CRON = "cron "
_LINE = re.compile(r"(?P<event>.+?)(?:\s+if\s+(?P<condition>.+))?", re.DOTALL)
_PLAIN = ({"event"}, {"event", "if"}, {"cron"})


@dataclass(frozen=True, slots=True)
class TaskForm:
    """What the form shows: texts by field, what was wrong with them, and what the file sets."""

    texts: Mapping[str, str]
    wrong: Mapping[str, str]
    declared: Mapping[str, object]

    @property
    def is_open(self) -> bool:
        """Whether something was wrong with the form."""
        return bool(self.wrong)


def form(config: FunctionConfig, given: Mapping[str, str], wrong: Mapping[str, str]) -> TaskForm:
    """Make the form of a task; `given` is what was typed, if something was wrong with it."""
    own, declared = task_settings.layers(config)
    in_force = {**own, **declared}
    texts = {name: _text(name, in_force.get(name)) for name in FIELDS}
    more = {name: value for name, value in own.items() if name not in FIELDS}
    texts[MORE] = pretty(canonical.dumps(more).decode()) if more else ""
    typed = {name: given[name] for name in (*FIELDS, MORE) if name in given} if wrong else {}
    return TaskForm({**texts, **typed}, wrong, declared)


def _text(name: str, value: object) -> str:
    if value is None:
        return ""
    if name == "on" and isinstance(value, list):
        return _lines(value)
    return value if isinstance(value, str) else canonical.dumps(value).decode()


def _lines(triggers: Sequence[JsonObject]) -> str:
    """Write triggers one a line; as JSON if some of them say more than a line can."""
    lines = []
    for one in triggers:
        if set(one) not in _PLAIN:
            return pretty(canonical.dumps(triggers).decode())
        condition = f" if {one['if']}" if "if" in one else ""
        lines.append(f"{_CRON}{one['cron']}" if "cron" in one else f"{one['event']}{condition}")
    return "\n".join(lines)


def changes(config: FunctionConfig, given: Mapping[str, str]) -> JsonObject:
    """Read the form: settings by name, None for those to be undone; none that the file sets.

    Raises Invalid, which names the field.
    """
    own, declared = task_settings.layers(config)
    found: JsonObject = dict.fromkeys(name for name in own if name not in FIELDS)
    found |= _more(given.get(MORE, "").strip())
    for name in FIELDS:
        text = given.get(name, "").strip()
        found[name] = _value(name, text) if text else None
    return {name: value for name, value in found.items() if name not in declared}


def _more(text: str) -> JsonObject:
    found = _json(MORE, text) if text else {}
    if not isinstance(found, dict):
        raise Invalid("must be a JSON object", field=MORE)
    for name in found:
        if name in FIELDS:
            raise Invalid(f"{name} has a field of its own", field=MORE)
    return found


def _value(name: str, text: str) -> object:
    if name == "on":
        return _json(name, text) if text.startswith(("[", "{")) else _triggers(text)
    if name == "retries":
        return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else text
    return text


def _triggers(text: str) -> list[JsonObject]:
    made: list[JsonObject] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        if line.startswith(_CRON):
            made.append({"cron": line.removeprefix(_CRON).strip()})
            continue
        found = _LINE.fullmatch(line)
        assert found is not None
        condition = {} if found["condition"] is None else {"if": found["condition"]}
        made.append({"event": found["event"], **condition})
    return made


def _json(name: str, text: str) -> object:
    try:
        return canonical.loads(text)
    except Invalid as error:
        raise Invalid(canonical.told(error), field=name) from None


def field_of(error: Invalid) -> str:
    """Find the field of the form that an error is about."""
    name = re.split(r"[.\[]", error.field or "", maxsplit=1)[0]
    return name if name in FIELDS else MORE
