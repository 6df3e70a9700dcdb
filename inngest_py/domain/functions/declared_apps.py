"""Celery apps as the config file declares them: `celery_apps:`, by name."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from ..errors import Invalid
from ..values.json_types import JsonObject
from . import celery_task, exact_shapes, task_settings, workflow_settings
from .broker_options import check_options
from .celery_task import DEFAULT_QUEUE, AppSettings, CeleryTask
from .config_fields import Fields, wrong
from .function_config import FunctionConfig

_KEYS = ("broker", "queue", "options", "tasks", "workflows")
_VARIABLE = re.compile(r"\$\{(\w*)\}")
_MOST_URL = 2048


@dataclass(frozen=True, slots=True)
class DeclaredApp:
    """An app of the config file `file`.

    `broker_url` is None if the environment or a flag has to name the broker. `options` are kombu's
    for the broker's transport. `tasks` has the settings of tasks by their names, as they are
    written; `workflows` has those of workflows, whose `tasks` are JSON text.
    """

    name: str
    file: str
    broker_url: str | None = field(default=None, repr=False)  # may hold a password
    queue: str = DEFAULT_QUEUE
    options: JsonObject = field(default_factory=dict, repr=False)
    tasks: Mapping[str, JsonObject] = field(default_factory=dict)
    workflows: Mapping[str, JsonObject] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """Where it stands in the file."""
        return f"celery_apps.{self.name}"


def read(
    section: object, environ: Mapping[str, str], file: str
) -> tuple[list[DeclaredApp], list[str]]:
    """Read the section; return the apps that are right, and what is wrong with the others.

    `${NAME}` in a broker or an option stands for a variable of the environment.
    """
    apps: list[DeclaredApp] = []
    errors: list[str] = []
    for name, given in Fields(section, "celery_apps").given.items():
        try:
            app = _app(str(name), given, environ, file)
            tasks = _settings(app, given, "tasks", _task, errors)
            workflows = _settings(app, given, "workflows", _workflow, errors)
            apps.append(replace(app, tasks=tasks, workflows=workflows))
        except Invalid as error:
            errors.append(error.message)
    return apps, errors


def _app(name: str, given: object, environ: Mapping[str, str], file: str) -> DeclaredApp:
    path = f"celery_apps.{name[:64]}"
    fields = Fields({} if given is None else given, path)
    exact_shapes.only(fields, _KEYS)
    broker = fields.text("broker", _MOST_URL)
    url = None if broker is None else _filled(broker, fields.at("broker"), environ)
    options = fields.object("options")
    filled = {} if options is None else _filled_all(options.given, options.path, environ)
    check_options(filled, fields.at("options"))
    made = DeclaredApp(
        name,
        file,
        url,
        fields.text("queue") or DEFAULT_QUEUE,
        filled,
    )
    try:
        celery_task.check_app(AppSettings(name, url or "redis://later", made.queue))
    except Invalid as error:
        what = {"name": path, "broker_url": fields.at("broker")}.get(error.field or "")
        rest = error.message.partition(" ")[2]
        raise wrong(what or fields.at("queue"), rest) from None
    return made


def _filled(text: str, path: str, environ: Mapping[str, str]) -> str:
    """Put the values of variables into a text. Raises Invalid for one that is not set."""

    def value(found: re.Match[str]) -> str:
        name = found[1]
        if not environ.get(name):
            raise wrong(path, f"names the variable {name[:64]!r}, which is not set: set it")
        return environ[name]

    return _VARIABLE.sub(value, text)


def _filled_all(given: JsonObject, path: str, environ: Mapping[str, str]) -> JsonObject:
    found: JsonObject = {}
    for key, value in given.items():
        at = f"{path}.{key}"
        if isinstance(value, dict):
            found[str(key)] = _filled_all(value, at, environ)
        else:
            found[str(key)] = _filled(value, at, environ) if isinstance(value, str) else value
    return found


def _settings(
    app: DeclaredApp,
    given: object,
    key: str,
    check: Callable[[str, str, object], JsonObject],
    errors: list[str],
) -> dict[str, JsonObject]:
    """Read the settings of tasks or workflows; add what is wrong with them to the errors."""
    found = {}
    for name, settings in _named(app, given, key):
        try:
            found[name] = check(f"{app.path}.{key}[{name[:64]}]", name, settings)
        except Invalid as error:
            errors.append(error.message)
    return found


def _named(app: DeclaredApp, given: object, key: str) -> Iterator[tuple[str, object]]:
    """List the parts of an app that are declared by name."""
    named = Fields({} if given is None else given, app.path).object(key)
    for name, part in ({} if named is None else named.given).items():
        yield str(name), part


def _task(path: str, task: str, given: object) -> JsonObject:
    """Check the settings of a task; nothing is as good as an empty object."""
    celery_task.check_task(task, path)
    settings = task_settings.canonical_names({} if given is None else given, path)
    base = FunctionConfig(task, task, "", celery=CeleryTask(task))
    task_settings.applied(base, settings, path)
    return {name: value for name, value in settings.items() if value is not None}


def _workflow(path: str, name: str, given: object) -> JsonObject:
    """Check the settings of a workflow, and its tasks."""
    workflow_settings.check_name(name, path)
    settings = workflow_settings.canonical_names({} if given is None else given, path)
    if settings.get(workflow_settings.TASKS) is None:
        raise wrong(f"{path}.{workflow_settings.TASKS}", "is missing: list what the workflow runs")
    task_settings.applied(FunctionConfig(name, name, "", celery=CeleryTask(name)), settings, path)
    return {name: value for name, value in settings.items() if value is not None}
