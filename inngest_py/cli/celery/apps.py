"""`celery`: connect Celery apps, and say what starts their tasks."""

import json
import sys
import time

import click

from ...domain.reports.celery_seen import MUTE, did_you_mean
from ..client import call, url_option
from .beat import import_beat
from .settings import app_at, declare_option, put_task, set_, show, task_at

# until then a broker that cannot be reached is known as such, and workers have answered
_NEWS_SECONDS = 6.0
_LOOK_SECONDS = 0.3
_ANSWER_SECONDS = 20.0


@click.group()
def celery() -> None:
    """Connect Celery apps: their tasks run as functions, without a change to them."""


def _option(text: str) -> tuple[str, object]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise click.BadParameter(f"{text!r} must be NAME=VALUE, such as visibility_timeout=3600")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


@celery.command()
@click.argument("name")
@click.option(
    "--broker",
    required=True,
    help="The app's broker, such as redis://host:6379/0; - reads it from the standard input, so"
    " that no list of processes shows a password.",
)
@click.option("--queue", default="celery", show_default=True, help="The queue its workers read.")
@click.option("--broker-option", "options", multiple=True, metavar="NAME=VALUE")
@url_option
def add(name: str, broker: str, queue: str, options: tuple[str, ...], url: str) -> None:
    """Connect the Celery app NAME, or change its broker.

    Its tasks are found by asking its workers; each becomes a function of the app NAME.
    """
    if broker == "-":
        broker = sys.stdin.readline().strip()
    body = {"broker_url": broker, "queue": queue, "options": dict(map(_option, options))}
    call("PUT", app_at(url, name), json=body)
    _tell_first_news(name, app_at(url, name))


def _tell_first_news(name: str, at: str) -> None:
    """Wait a moment for the broker or for workers, and say what is known then."""
    until = time.monotonic() + _NEWS_SECONDS
    while True:
        app = call("GET", at)["data"]
        if app["error"]:
            text = f"{name} is stored, and tried again and again: {app['error_detail']}"
            click.echo(text, err=True)
            return
        if app["tasks"]:
            click.echo(
                f"{name} is connected: {len(app['tasks'])} tasks of its workers are functions"
            )
            if app["advice"]:
                click.echo(app["advice"], err=True)
            return
        if time.monotonic() > until:
            click.echo(f"{name} is stored: its tasks are functions as soon as a worker answers")
            return
        time.sleep(_LOOK_SECONDS)


@celery.command("list")
@url_option
def list_(url: str) -> None:
    """List the Celery apps with their workers, tasks, and what is wrong with them."""
    found = call("GET", f"{url}/v1/celery")["data"]
    if not found:
        click.echo("no Celery apps: connect one by `inngest-py celery add`", err=True)
    for app in found:
        source = f"  from {app['file']}" if app["file"] else ""
        click.echo(f"{app['name']}  {app['broker']}  queue {app['queue']}{source}")
        advice = f": {app['advice']}" if app["advice"] else ""
        click.echo(f"  state: {app['state']}{advice}")
        workers = [_worker(one) for one in app["worker_details"]]
        click.echo(f"  workers: {', '.join(workers) or 'none has answered yet'}")
        for mute in (one for one in app["worker_details"] if one["alive"] and not one["pool"]):
            click.echo(f"  {mute['name']} {MUTE}")
        queues = [f"{name} {messages}" for name, messages in app["queues"].items()]
        if queues:
            click.echo(f"  messages in queues: {', '.join(queues)}")
        click.echo(f"  tasks: {', '.join(app['tasks']) or 'none'}")
        for task, since in app["gone_tasks"].items():
            click.echo(f"  no worker has {task} any more, since {since}")
        for task in app["unseen_tasks"]:
            near = did_you_mean(task, app["tasks"]) or ": start one that has it, or check its name"
            click.echo(f"  no worker has had {task} yet{near}")
        if app["tasks_left_out"]:
            click.echo(f"  {app['tasks_left_out']} more tasks of its workers become no functions")


def _worker(one: dict[str, object]) -> str:
    if not one["alive"]:
        return f"{one['name']} (not heard of since {one['heard_at']})"
    size = f" of {one['processes']}" if one["processes"] else ""
    runs = "" if one["active"] is None else f", runs {one['active']}{size}"
    return f"{one['name']} ({one['pool'] or 'answers no questions'}{runs})"


@celery.command()
@click.argument("name")
@url_option
def remove(name: str, url: str) -> None:
    """Disconnect the Celery app NAME; its functions are archived, its runs stay."""
    call("DELETE", app_at(url, name))
    click.echo(f"{name} is disconnected")


@celery.command()
@click.argument("name")
@url_option
def refresh(name: str, url: str) -> None:
    """Ask the workers of the Celery app NAME for their tasks now, and wait for the answers."""
    at = app_at(url, name)
    call("POST", f"{at}/refresh")
    until = time.monotonic() + _ANSWER_SECONDS
    while (app := call("GET", at)["data"])["refresh_wanted_at"]:
        if app["error"]:
            raise click.ClickException(f"{name}: {app['error_detail']}")
        if time.monotonic() > until:
            fix = "is a worker of this server alive? It asks as soon as one is"
            raise click.ClickException(f"nobody has asked the workers of {name} yet: {fix}")
        time.sleep(_LOOK_SECONDS)
    workers, tasks = len(app["workers"]), len(app["tasks"])
    click.echo(f"{name}: {tasks} tasks of {workers} workers that answer")


@celery.command()
def schema() -> None:
    """Print the JSON Schema of the config file's `celery_apps:`, for editors.

    Save it beside the file, and begin the file with
    "# yaml-language-server: $schema=inngest.schema.json".
    """
    from ...api.native import config_schema  # only this command needs Flask

    click.echo(json.dumps(config_schema.schema(), indent=2))


@celery.command("on")
@click.argument("task")
@click.option("--app", "app_name", help="The app, if the task's name does not begin with it.")
@click.option("--event", "events", multiple=True, help="An event that starts it.")
@click.option("--cron", "crons", multiple=True, help="A schedule, such as '0 9 * * 1-5'.")
@click.option("--if", "condition", help="Only events for which this expression is true.")
@click.option("--args", help="An expression that makes the list of arguments.")
@click.option("--kwargs", help="An expression that makes the object of keyword arguments.")
@declare_option
@url_option
def on(
    task: str,
    *,
    app_name: str | None,
    events: tuple[str, ...],
    crons: tuple[str, ...],
    condition: str | None,
    args: str | None,
    kwargs: str | None,
    declare: bool,
    url: str,
) -> None:
    """Say which events and schedules start TASK, and with which arguments.

    Expressions are CEL over `event`, such as --args '[event.data.order]'. What was said before is
    replaced.
    """
    if not events and not crons:
        raise click.UsageError("name what starts the task: give --event or --cron")
    more = {} if condition is None else {"if": condition}
    triggers = [{"event": event, **more} for event in events] + [{"cron": cron} for cron in crons]
    body = {"on": triggers, "args": args, "kwargs": kwargs}
    found = put_task(task_at(url, task, app_name), body, declare=declare)
    click.echo(f"{found['function']} starts on {', '.join(events + crons)}")


celery.add_command(import_beat)
celery.add_command(set_)
celery.add_command(show)
