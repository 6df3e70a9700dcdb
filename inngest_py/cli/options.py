"""Options that several commands share, and the way from flags to settings."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from .. import logs
from ..config import Settings, load
from ..domain.errors import Invalid

Command = Callable[..., Any]

_SHARED = (
    click.option("--database-url", help="sqlite:///PATH or postgresql://…  [DATABASE_URL]"),
    click.option("--redis-url", help="The broker, a Redis URL.  [REDIS_URL]"),
    click.option("--broker-url", help="The broker, any URL that Celery knows."),
    click.option(
        "--config", "file", type=click.Path(path_type=Path), help="Settings in YAML or TOML."
    ),
    click.option("--event-key", "event_keys", multiple=True, help="An accepted event key."),
    click.option("--signing-key", help="Signs requests to SDKs."),
    click.option("--concurrency", type=int, help="Calls in flight a worker.  [100]"),
    click.option("--grace", "grace_seconds", type=float, help="Seconds to finish calls.  [30]"),
    click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"])),
    click.option("--json", "json_logs", is_flag=True, default=None, help="Logs as JSON."),
)
_SERVER = (
    click.option("--host", help="The address to listen on.  [127.0.0.1]"),
    click.option("--port", type=int, help="The port to listen on.  [8288]"),
)
_APPS = (
    click.option("-u", "--sdk-url", "sdk_urls", multiple=True, help="An SDK app's URL."),
    click.option("--poll-interval", type=float, help="Seconds between pings of apps."),
    click.option("--retry-interval", type=float, help="Makes retries linear: seconds."),
    click.option("--tick", "tick_ms", type=int, help="Milliseconds between looks at timers."),
)


def _with(options: tuple[Any, ...]) -> Callable[[Command], Command]:
    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


shared = _with(_SHARED)
server = _with(_SERVER)
apps = _with(_APPS)


def settings_of(flags: dict[str, Any], **defaults: Any) -> Settings:
    """Join flags, environment and file; exit with every error and its fix when they are bad."""
    file = flags.pop("file", None)
    redis_url = flags.pop("redis_url", None)
    if flags.get("broker_url") is None:
        flags["broker_url"] = redis_url
    given = {name: value for name, value in flags.items() if value not in (None, ())}
    try:
        settings = load(given, os.environ, file, **defaults)
    except Invalid as error:
        raise click.UsageError(error.message) from None
    found = settings.errors()
    if found:
        raise click.UsageError("\n".join(found))
    logs.set_up(settings.log_level, as_json=settings.json_logs)
    return settings
