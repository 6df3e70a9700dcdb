"""Options that several commands share, and the way from flags to settings."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from .. import config_reading, logs, startup_messages
from ..config import Settings
from ..domain.access.roles import Role

Command = Callable[..., Any]

_DATABASE = (
    click.option("--database-url", help="sqlite:///PATH or postgresql://…  [DATABASE_URL]"),
    click.option(
        "--config", "file", type=click.Path(path_type=Path), help="Settings in YAML or TOML."
    ),
)
_LOGS = (
    click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"])),
    click.option("--json", "json_logs", is_flag=True, default=None, help="Logs as JSON."),
)
_POOL = (
    click.option(
        "--db-pool",
        "database_pool",
        type=int,
        help="Connections to PostgreSQL that a process keeps.  [5 to 40; INNGEST_DATABASE_POOL]",
    ),
    click.option(
        "--db-max",
        "database_max",
        type=int,
        help="Connections that a process may have.  [twice --db-pool; INNGEST_DATABASE_MAX]",
    ),
    click.option(
        "--db-statement",
        "database_statement_seconds",
        type=float,
        help="Seconds that a statement may take on PostgreSQL; 0: for ever.  [10]",
    ),
    click.option(
        "--db-lock",
        "database_lock_seconds",
        type=float,
        help="Seconds that a statement may wait for a lock on PostgreSQL; 0: for ever.  [5]",
    ),
)
_ENGINE = (
    click.option("--redis-url", help="The broker, a Redis URL.  [REDIS_URL]"),
    click.option("--broker-url", help="The broker, any URL that Celery knows."),
    click.option(
        "--event-key",
        "event_keys",
        multiple=True,
        help="An accepted event key; may be given again.  [INNGEST_EVENT_KEY]",
    ),
    click.option(
        "--invoke-key",
        "invoke_keys",
        multiple=True,
        help="A bearer token that POST /invoke accepts, or off to close it; may be given again."
        "  [the event keys; INNGEST_INVOKE_KEY]",
    ),
    click.option(
        "--signing-key",
        help="Signs requests to apps, guards the API; hex.  [INNGEST_SIGNING_KEY]",
    ),
    click.option(
        "--signing-key-fallback",
        help="The other key while keys change.  [INNGEST_SIGNING_KEY_FALLBACK]",
    ),
    click.option("--concurrency", type=int, help="Calls in flight per worker.  [100]"),
    click.option(
        "--no-celery-patches",
        "celery_patches",
        is_flag=True,
        flag_value=False,
        default=None,
        help="Use plain Celery, without what makes it faster.  [INNGEST_CELERY_PATCHES]",
    ),
    click.option("--grace", "grace_seconds", type=float, help="Seconds to finish calls.  [30]"),
    click.option(
        "--cron-missed",
        type=click.Choice(["skip", "once", "all"]),
        help="Cron ticks missed while nothing ran.  [skip]",
    ),
    click.option("--keep-runs", help="How long finished runs are kept: 30d, 12h …  [forever]"),
    click.option(
        "--call-hosts",
        "call_hosts",
        multiple=True,
        help="Which hosts may be called: public-only, a host, a network, or ! and one of these;"
        " may be given again.  [INNGEST_CALL_HOSTS]",
    ),
    click.option("--keep-count", type=int, help="How many finished runs are kept.  [all]"),
)
_MODE = (
    click.option(
        "--dev",
        is_flag=True,
        default=None,
        help="Behave as a dev server towards apps and callers: no keys needed.  [INNGEST_DEV]",
    ),
)
_SERVER = (
    click.option("--host", help="The address to listen on.  [127.0.0.1]"),
    click.option("--port", type=int, help="The port to listen on.  [8288]"),
    click.option(
        "--root-path",
        help="The path under which a proxy serves it: /inngest.  [none; INNGEST_ROOT_PATH]",
    ),
    click.option(
        "--connect-port",
        type=int,
        help="The port for workers that connect.  [8289 for dev on port 8288, else --port]",
    ),
    click.option(
        "--connect-url",
        help="What workers are told to connect to, as ws:// or wss://; for servers behind a proxy."
        "  [INNGEST_CONNECT_URL]",
    ),
    click.option(
        "--connect-max-connections",
        type=int,
        help="How many connections of workers this process takes.  [5000]",
    ),
    click.option(
        "--drain-delay",
        "drain_delay_seconds",
        type=float,
        help="Seconds to serve on after SIGTERM, while /health/ready says 503.  [0]",
    ),
)
_PAGES = (
    click.option(
        "--no-ui",
        "ui",
        is_flag=True,
        flag_value=False,
        default=None,
        help="Serve the API only.  [INNGEST_UI]",
    ),
    click.option(
        "--ui-proxy-header",
        help="The header in which a trusted proxy names the user.  [INNGEST_UI_PROXY_HEADER]",
    ),
    click.option(
        "--ui-proxy",
        "ui_proxies",
        multiple=True,
        help="A trusted proxy's address or network; may be given again.  [INNGEST_UI_PROXIES]",
    ),
    click.option(
        "--ui-proxy-role",
        type=click.Choice([role.value for role in Role]),
        help="The role of people whom the proxy names and who are no users here.  [viewer]",
    ),
)
_APPS = (
    click.option(
        "-u", "--sdk-url", "sdk_urls", multiple=True, help="An app's URL; may be given again."
    ),
    click.option(
        "--celery",
        "celery_apps",
        multiple=True,
        metavar="NAME=BROKER_URL",
        help="A Celery app to connect, NAME:QUEUE=… if its queue is not celery; may be given again."
        "  [INNGEST_CELERY_APPS]",
    ),
    click.option("--poll-interval", type=float, help="Seconds between pings; 0: none.  [dev: 5]"),
    click.option("--retry-interval", type=float, help="Makes retries linear: seconds."),
    click.option("--tick", "tick_ms", type=int, help="Milliseconds between looks for due items."),
)


def _with(options: Sequence[Callable[[Command], Command]]) -> Callable[[Command], Command]:
    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


_ANSWER = click.option(
    "--json", "json_logs", is_flag=True, default=None, help="Print the answer as JSON, and logs."
)
database = _with((*_DATABASE, *_LOGS))
# of a command that prints an answer
answering = _with((*_DATABASE, _LOGS[0], _ANSWER))
shared = _with((*_DATABASE, *_POOL, *_ENGINE, *_LOGS))
mode = _with(_MODE)
server = _with(_SERVER)
pages = _with(_PAGES)
apps = _with(_APPS)


def read(flags: dict[str, Any], **defaults: Any) -> tuple[Settings, list[str]]:
    """Join flags, environment and file; return the settings, and errors of what is unreadable."""
    file = flags.pop("file", None)
    redis_url = flags.pop("redis_url", None)
    if flags.get("broker_url") is None:
        flags["broker_url"] = redis_url
    given = {name: value for name, value in flags.items() if value not in (None, ())}
    return config_reading.read(given, os.environ, file, **defaults)


def settings_of(flags: dict[str, Any], *, keys: bool = False, **defaults: Any) -> Settings:
    """Make the settings of a command; if they are bad, exit with every error and its fix.

    With `keys`, missing keys are errors unless it is a dev server.
    """
    settings, errors = read(flags, **defaults)
    errors += settings.errors() + (settings.missing_keys() if keys else [])
    if errors and settings.json_logs:
        startup_messages.exit_with_errors(settings, errors, click.UsageError.exit_code)
    if errors:
        raise click.UsageError("\n".join(errors))
    logs.set_up(settings.log_level, as_json=settings.json_logs)
    return settings
