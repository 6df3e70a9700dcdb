"""`celery set` and `celery show`: the settings of a Celery app's task."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import click

from ..client import call, url_option

declare_option = click.option(
    "--declare",
    is_flag=True,
    help="Also for a task that no worker has had yet, as its workers come later.",
)
# The rules that take a key, as the option that names it is for all of one command.
_KEYED = ("concurrency", "throttle", "rateLimit", "debounce", "batchEvents", "singleton")


def task_at(url: str, task: str, app_name: str | None) -> str:
    """Return the URL of a task; its name begins with that of its app if none is given."""
    name = app_name or task.partition(".")[0]
    return task_in(app_at(url, name), task)


def task_in(app_url: str, task: str) -> str:
    """Return the URL of a task of an app, whose URL is given."""
    return f"{app_url}/tasks/{quote(task, safe='')}"


def put_task(at: str, body: Mapping[str, object], *, declare: bool) -> dict[str, str]:
    """Change settings of the task at a URL; with `declare` also of one that no worker has had."""
    params = {"declare": "true"} if declare else {}
    found: dict[str, str] = call("PUT", at, json=body, params=params)["data"]
    return found


def app_at(url: str, name: str) -> str:
    """Return the URL of a Celery app. Raises ClickException."""
    if "/" in name:
        raise click.ClickException(f"{name!r} is no name of a Celery app: it holds a slash")
    return f"{url}/v1/celery/{quote(name, safe='')}"


def _count_and_time(_context: object, option: click.Parameter, text: str | None) -> object:
    """Read NUMBER/TIME, such as 10/1m."""
    if text is None:
        return None
    count, slash, time = text.partition("/")
    if not slash or not count.strip().isdecimal() or not time.strip():
        wanted = "a number and a time, such as 10/1m"
        raise click.BadParameter(f"{text!r} must be {wanted}", param=option)
    return int(count), time.strip()


def _named_json(_context: object, option: click.Parameter, texts: tuple[str, ...]) -> object:
    """Read NAME=JSON, each for any setting."""
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        try:
            if not equals:
                raise ValueError
            found[name] = json.loads(value)
        except ValueError:
            example = '\'throttle={"limit": 5, "period": "1m"}\''
            wrong = f"{text!r} must be a setting's name, =, and JSON, such as {example}"
            raise click.BadParameter(wrong, param=option) from None
    return found


@click.command("set")
@click.argument("task")
@click.option("--app", "app_name", help="The app, if the task's name does not begin with it.")
@click.option("--retries", type=int, help="How often it is sent again after its final failure.")
@click.option("--timeout", help="How long it may run: 30m, 2h …")
@click.option(
    "--terminate/--no-terminate",
    default=None,
    help="Kill it where it runs when its run is cancelled or its time is over.",
)
@click.option("--on-lost", "on_lost", help="What follows its loss: retry or fail.")
@click.option("--queue", help="The queue it is sent to.")
@click.option("--concurrency", type=int, help="How many at a time.")
@click.option(
    "--throttle", callback=_count_and_time, help="Starts in a time, as 10/1m; others wait."
)
@click.option("--rate-limit", callback=_count_and_time, help="The same; other events are dropped.")
@click.option("--debounce", help="Starts once no event has come for this time.")
@click.option(
    "--batch", callback=_count_and_time, help="Events of one run and the wait, as 100/5s."
)
@click.option("--singleton", help="One run at a time: skip later ones, or cancel earlier ones.")
@click.option(
    "--key", help="An expression over event: each of its values counts alone in the rules"
)
@click.option("--idempotency", help="An expression: one run in 24 h for each of its values.")
@click.option("--priority", help="An expression: how many seconds ahead of others.")
@click.option("--start-within", help="Cancels a run that has not started by then: 10m …")
@click.option("--finish-within", help="Cancels a run that has not ended by then: 1h …")
@click.option("--cancel-on", multiple=True, help="An event that cancels all runs.")
@click.option(
    "--set",
    "more",
    multiple=True,
    callback=_named_json,
    metavar="NAME=JSON",
    help="Any setting, as docs/celery.md lists them.",
)
@click.option(
    "--unset", multiple=True, metavar="NAME", help="A setting that has its default again."
)
@declare_option
@url_option
def set_(task: str, *, app_name: str | None, declare: bool, url: str, **given: object) -> None:
    """Change the settings of TASK; those that are left out stay."""
    body = _settings(given)
    if not body:
        raise click.UsageError("name a setting, such as --retries 3")
    found = put_task(task_at(url, task, app_name), body, declare=declare)
    click.echo(f"{found['function']} is changed")


def _settings(given: dict[str, Any]) -> dict[str, object]:
    """Make settings of the options that were given."""
    rules = {
        "concurrency": _part(given["concurrency"], "limit"),
        "throttle": _pair(given["throttle"], "limit", "period"),
        "rateLimit": _pair(given["rate_limit"], "limit", "period"),
        "debounce": _part(given["debounce"], "period"),
        "batchEvents": _pair(given["batch"], "maxSize", "timeout"),
        "singleton": _part(given["singleton"], "mode"),
        "priority": _part(given["priority"], "run"),
        "timeouts": _timeouts(given["start_within"], given["finish_within"]),
    }
    if given["key"] is not None:
        keyed = [rule for name in _KEYED if (rule := rules[name]) is not None]
        if not keyed:
            raise click.UsageError("--key needs a rule that takes it, such as --concurrency 2")
        for rule in keyed:
            rule["key"] = given["key"]
    plain = ("retries", "timeout", "on_lost", "terminate", "queue", "idempotency")
    cancel = [{"event": name} for name in given["cancel_on"]] or None
    made = {**rules, **{name: given[name] for name in plain}, "cancelOn": cancel, **given["more"]}
    found = {name: value for name, value in made.items() if value is not None}
    return {**found, **dict.fromkeys(given["unset"])}


def _part(value: object, name: str) -> dict[str, object] | None:
    return None if value is None else {name: value}


def _pair(value: tuple[int, str] | None, first: str, second: str) -> dict[str, object] | None:
    return None if value is None else {first: value[0], second: value[1]}


def _timeouts(start: str | None, finish: str | None) -> dict[str, object] | None:
    given = {"start": start, "finish": finish}
    return {name: value for name, value in given.items() if value is not None} or None


@click.command("show")
@click.argument("task")
@click.option("--app", "app_name", help="The app, if the task's name does not begin with it.")
@url_option
def show(task: str, app_name: str | None, url: str) -> None:
    """Show the settings of TASK, and where each comes from."""
    found = call("GET", task_at(url, task, app_name))["data"]
    click.echo(found["function"])
    for name, setting in found["settings"].items():
        source = "the config file" if setting["from"] == "file" else "set by hand"
        click.echo(f"  {name}: {json.dumps(setting['value'], ensure_ascii=False)}  ({source})")
    if not found["settings"]:
        click.echo("  nothing is set: all is as by default")
