"""`celery import-beat`: turn the beat schedule of a Celery app into cron triggers of its tasks."""

import json
import sys
from collections.abc import Container, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
from celery import Celery
from celery.app.utils import find_app
from celery.schedules import crontab, maybe_schedule, schedule, solar
from kombu.utils.json import dumps

from ...domain.errors import InngestPyError, Invalid
from ...domain.functions import beat_schedules, cron
from ...domain.functions.celery_task import OWN_PREFIX
from ...domain.reports.celery_seen import did_you_mean
from ...domain.values import canonical
from ...domain.values.json_types import JsonObject
from ..client import call, url_option
from .settings import app_at, put_task, task_in

_OPTIONS = ("queue", "priority", "expires")


@dataclass(frozen=True, slots=True)
class Entry:
    """A beat entry as a trigger; `left_out` are options that have no counterpart here."""

    name: str
    task: str
    trigger: dict[str, object]
    left_out: tuple[str, ...] = ()


@click.command("import-beat")
@click.argument("app_path", metavar="MODULE:APP")
@click.option("--app", "app_name", help="The app here, if it is not called as the Celery app is.")
@click.option("--timezone", help="The time zone of its crontabs, if the app leaves it to the host.")
@click.option("--yes", is_flag=True, help="Store them without a question.")
@url_option
def import_beat(
    app_path: str, *, app_name: str | None, timezone: str | None, yes: bool, url: str
) -> None:
    """Make cron triggers of the beat schedule of MODULE:APP, such as shop.celery:app.

    They are shown first. Entries that were imported before are replaced by their names, all other
    triggers stay.
    """
    app = _load(app_path)
    name = app_name or app.main
    if not name:
        raise click.UsageError("the Celery app has no name: say by --app what it is called here")
    found, refused = entries_of(app, timezone)
    _show(found, refused)
    if not found:
        raise click.ClickException("there is nothing to import")
    known = {one["name"]: one for one in call("GET", f"{url}/v1/celery")["data"]}
    if name not in known:
        fix = f"give its name by --app, or connect it by `inngest-py celery add {name}`"
        text = f"no Celery app is called {name}: {fix}"
        raise click.ClickException(text)
    unknown = sorted({entry.task for entry in found}.difference(known[name]["tasks"]))
    for task in unknown:
        near = did_you_mean(task, known[name]["tasks"]) or ": its runs will wait or fail"
        click.echo(f"no worker of {name} has registered {task} yet{near}")
    app_url, here = app_at(url, name), known[name]
    functions = {*here["tasks"], *here["gone_tasks"], *here["unseen_tasks"]}
    changes = _changes(app_url, functions, found)
    if not changes:
        click.echo("all of them are imported already: nothing is changed")
    else:
        if not yes:
            click.confirm(f"Store them as triggers of {len(changes)} tasks?", abort=True)
        for task, triggers in changes.items():
            _store(app_url, task, triggers, [one.name for one in found if one.task == task])
        click.echo(f"stored the triggers of {', '.join(sorted(changes))}")
    _tell_next(found, refused)


def _store(app_url: str, task: str, triggers: list[object], entries: list[str]) -> None:
    """Store the triggers of a task. An error names the beat entries that they come from."""
    try:
        put_task(task_in(app_url, task), {"on": triggers}, declare=True)
    except click.ClickException as error:
        text = f"the triggers of {task}, of the beat entries {', '.join(entries)}, are not stored"
        raise click.ClickException(f"{text}: {error.message}") from None


def _load(app_path: str) -> Celery:
    """Import a Celery app with its tasks, as its workers do."""
    sys.path.insert(0, str(Path.cwd()))
    try:
        app: Celery = find_app(app_path)
        app.loader.import_default_modules()
        app.finalize()
    except Exception as error:  # whatever its modules raise
        text = f"{app_path} cannot be imported ({type(error).__name__}: {error})"
        raise click.ClickException(f"{text}: run this where its workers run") from error
    return app


def entries_of(app: Celery, timezone: str | None = None) -> tuple[list[Entry], dict[str, str]]:
    """Turn the beat entries of an app into triggers; others are told by name, with the reason."""
    found, refused = [], {}
    for name, given in sorted(app.conf.beat_schedule.items()):
        try:
            found.append(_entry(app, str(name), given, timezone))
        except InngestPyError as error:
            refused[str(name)] = error.message
    return found, refused


def _entry(app: Celery, name: str, given: object, timezone: str | None) -> Entry:
    if not isinstance(given, dict):
        raise Invalid(f"it is of type {type(given).__name__}: write it as a dictionary")
    task = str(given.get("task") or "")
    if not task or task.startswith(OWN_PREFIX):
        raise Invalid(f"its task {task or 'is missing'} is one of Celery's own: beat alone runs it")
    if given.get("schedule") is None:
        raise Invalid("it has no schedule: write one")
    when = maybe_schedule(given.get("schedule"), given.get("relative", False), app=app)
    text = f"{_schedule(app, when, timezone)} #{' '.join(name.split())}"
    cron.validate_of_task(text)
    options = _object(given, "options")
    trigger: dict[str, object] = {"cron": text}
    trigger["args"] = _constant("args", _list(given, "args"))
    trigger["kwargs"] = _constant("kwargs", _object(given, "kwargs"))
    for option in _OPTIONS:
        if options.get(option) is not None:
            trigger[option] = _option(option, options.pop(option))
    return Entry(name, task, trigger, tuple(sorted(options)))


def _schedule(app: Celery, when: schedule, timezone: str | None) -> str:
    if isinstance(when, solar):
        raise Invalid("it follows the sun: give it a time, or let an own service send an event")
    if type(when) is crontab:
        if when.nowfun is not None:
            raise Invalid("it has a clock of its own (nowfun): give the app a time zone instead")
        fields = (when.minute, when.hour, when.day_of_month, when.month_of_year, when.day_of_week)
        return beat_schedules.Crontab(*map(frozenset, fields)).schedule(_zone(app, timezone))
    if type(when) is schedule:
        seconds, relative = when.run_every.total_seconds(), bool(when.relative)
        days = relative or seconds % timedelta(days=1).total_seconds() == 0
        zone = _zone(app, timezone) if days else "UTC"
        return beat_schedules.interval(seconds, zone, relative=relative)
    raise Invalid(f"only beat knows when its {type(when).__name__} is due")


def _zone(app: Celery, timezone: str | None) -> str:
    """Find the name of an app's time zone. Raises Invalid where only its host knows it."""
    if timezone is not None:
        return timezone
    named = app.conf.timezone or ("UTC" if app.conf.enable_utc else None)
    found = getattr(named, "key", None) or getattr(named, "zone", None) or named
    if not isinstance(found, str):
        raise Invalid("the app's time zone is that of its host: name it by --timezone")
    return found


def _list(given: JsonObject, name: str) -> list[object]:
    value = given.get(name) or []
    if not isinstance(value, list | tuple):
        raise Invalid(f"its {name} are no list")
    return list(value)


def _object(given: JsonObject, name: str) -> JsonObject:
    value = given.get(name) or {}
    if not isinstance(value, dict):
        raise Invalid(f"its {name} are no dictionary")
    return dict(value)


def _constant(name: str, value: object) -> str:
    """Write arguments as an expression, with kombu's form of times and the like."""
    try:
        plain = json.loads(dumps(value))
        return json.dumps(plain, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise Invalid(f"its {name} cannot be written as JSON: {error}") from None


def _option(name: str, value: object) -> object:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, datetime):
        raise Invalid(f"its option {name} is one moment: give a number of seconds")
    return value


def _show(found: list[Entry], refused: Mapping[str, str]) -> None:
    now = datetime.now(UTC)
    for entry in found:
        schedule_text = str(entry.trigger["cron"]).partition(" #")[0]
        following = cron.next_after(schedule_text, now)
        at = "never" if following is None else f"{following:%Y-%m-%d %H:%M:%S} UTC"
        click.echo(f"{entry.name}: {entry.task}, {schedule_text}, next {at}")
        click.echo(f"    args {entry.trigger['args']}, kwargs {entry.trigger['kwargs']}")
        options = [f"{name} {entry.trigger[name]}" for name in _OPTIONS if name in entry.trigger]
        if options:
            click.echo(f"    {', '.join(options)}")
        if entry.left_out:
            click.echo(f"    not kept: {', '.join(entry.left_out)}")
    for name, reason in refused.items():
        click.echo(f"{name}: refused: {reason}")


def _changes(
    app_url: str, functions: Container[str], found: list[Entry]
) -> dict[str, list[object]]:
    """List the triggers of each task that an import changes: its own, then those of beat."""
    changes: dict[str, list[object]] = {}
    for task in sorted({entry.task for entry in found}):
        before = _triggers(task_in(app_url, task)) if task in functions else []
        mine = [entry for entry in found if entry.task == task]
        names = {str(entry.trigger["cron"]).partition(" #")[2] for entry in mine}
        kept = [one for one in before if _beat_name(one) not in names]
        after = [*kept, *(entry.trigger for entry in mine)]
        if sorted(map(_key, before)) != sorted(map(_key, after)):
            changes[task] = after
    return changes


def _triggers(task_url: str) -> list[object]:
    shown = call("GET", task_url)["data"]["settings"]
    found: list[object] = shown.get("on", {}).get("value") or []
    return found


def _beat_name(trigger: object) -> str | None:
    text = trigger.get("cron") if isinstance(trigger, dict) else None
    return text.partition(" #")[2] if isinstance(text, str) and " #" in text else None


def _key(value: object) -> bytes:
    return canonical.dumps(value)  # as it is stored: 300.0 is 300


def _tell_next(found: list[Entry], refused: Mapping[str, str]) -> None:
    names = ", ".join(entry.name for entry in found)
    click.echo(f"Now delete these entries from beat_schedule, or both will run them: {names}")
    if not refused:
        click.echo("Then no beat process is needed any more.")
