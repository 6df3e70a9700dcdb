"""`dev`, `start` and `api`: the commands that serve HTTP."""

import os
from dataclasses import replace
from pathlib import Path

import click
from sqlalchemy.engine import make_url

from .. import startup_messages
from ..config import Settings
from ..domain.errors import Invalid
from ..serving import api_processes
from ..serving.parent import Parent
from ..serving.supervisor import Workers
from . import options
from .server import Server


@click.command()
@options.server
@options.apps
@options.shared
@click.option("--no-discovery", is_flag=True, help="Do not look for apps on local ports.")
@click.option("--no-poll", is_flag=True, help="Do not ping known apps.")
@click.option("--db", "db_path", type=click.Path(path_type=Path), help="The SQLite file.")
@click.option("--in-memory", is_flag=True, help="Keep nothing over a restart.")
@click.option(
    "--test-api",
    is_flag=True,
    default=None,
    help="Serve /test, which pauses, cancels and drops all state.  [INNGEST_TEST_API]",
)
@click.option("--no-ui", is_flag=True, help="Serve the API only.")
@click.option(
    "--clock",
    type=click.Choice(["real", "virtual"]),
    help="Whether the time can be moved, by `inngest-py clock`.  [real]",
)
def dev(
    no_discovery: bool,
    no_poll: bool,
    db_path: Path | None,
    in_memory: bool,
    no_ui: bool,
    **flags: object,
) -> None:
    """Run a development server: one process, no keys needed."""
    if in_memory and db_path is not None:
        raise click.UsageError("--db and --in-memory exclude each other: give one of them")
    if flags.get("database_url") and (db_path is not None or in_memory):
        text = "--database-url excludes --db and --in-memory: give one of them"
        raise click.UsageError(text)
    if db_path is not None:
        flags["database_url"] = f"sqlite:///{db_path.absolute()}"
    if in_memory:
        flags["database_url"] = "sqlite://"
    settings = options.settings_of(flags | {"dev": True}, sqlite_synchronous="NORMAL")
    settings = replace(
        settings,
        discovery=settings.discovery and not no_discovery,
        poll=settings.poll is not False and not no_poll,
        ui=settings.ui and not no_ui,
    )
    if settings.api_processes > 1:
        raise click.UsageError("a dev server is one process: leave INNGEST_API_PROCESSES out")
    _serve(settings)


@click.command()
@options.server
@options.apps
@options.mode
@options.pages
@options.shared
@click.option("--workers", type=int, help="Celery workers to supervise; needs a broker.")
@click.option(
    "--api-processes",
    type=int,
    help="Processes that serve the API from the one port; needs a broker.  [1]",
)
def start(**flags: object) -> None:
    """Run the production server, which needs a signing key and an event key."""
    settings = _of_production(flags)
    if settings.workers or (not settings.embedded and settings.workers is None):
        settings = replace(settings, workers=settings.workers or 1)
    _serve(settings, *_mode(settings))


@click.command()
@options.server
@options.apps
@options.mode
@options.pages
@options.shared
@click.option(
    "--processes",
    "api_processes",
    type=int,
    help="Processes that serve from the one port, as one for each core; needs a broker.  [1]",
)
def api(**flags: object) -> None:
    """Run the API alone; workers run elsewhere (celery -A inngest_py worker)."""
    settings = _of_production(flags)
    _serve(replace(settings, workers=0), *_mode(settings))


def _of_production(flags: dict[str, object]) -> Settings:
    settings = options.settings_of(flags, keys=True, discovery=False)
    if settings.clock != "real":
        raise click.UsageError("only `inngest-py dev` has a virtual clock: leave INNGEST_CLOCK out")
    return settings


def _mode(settings: Settings) -> list[str]:
    if settings.dev:
        return ["dev mode (--dev, INNGEST_DEV): callers need no keys, apps must run in dev mode"]
    return []


def _serve(settings: Settings, *warnings: str) -> None:
    given = api_processes.given(os.environ)
    runs_worker = settings.workers is None
    workers = Workers(settings) if settings.workers else None
    server: Server | Parent
    try:
        if given is None and settings.api_processes > 1:
            server = Parent(settings, workers)
        else:
            server = Server(settings, with_worker=runs_worker, workers=workers, given=given)
    except Invalid as error:  # celeryconfig.py
        raise click.ClickException(error.message) from None
    if given is None:
        startup_messages.warn(settings, *warnings)
        if not settings.json_logs:  # in JSON logs, the event server.ready says the rest
            _introduce(settings, embedded=settings.embedded and runs_worker)
    try:
        if workers is not None:
            workers.start()
        server.run()
    finally:
        if workers is not None:
            workers.stop()


def _introduce(settings: Settings, *, embedded: bool) -> None:
    address = f"http://{settings.host}:{settings.port}{settings.root_path}"
    click.echo(f"inngest-py at {address}", err=True)
    click.echo(f"  database: {_shown(settings)}", err=True)
    if settings.api_processes > 1:
        click.echo(f"  API: {settings.api_processes} processes", err=True)
    if embedded:
        click.echo("  embedded: broker and worker live in this process", err=True)
    if settings.clock == "virtual":
        click.echo("  clock: virtual; `inngest-py clock` moves it", err=True)


def _shown(settings: Settings) -> str:
    if settings.in_memory:
        return "in memory"
    shown = make_url(settings.database_url).render_as_string(hide_password=True)
    if settings.is_sqlite:
        meaning = "survives a crash of the process; the last moments may be lost in a power cut"
        if settings.sqlite_synchronous.upper() != "NORMAL":
            meaning = "syncs to disk before it answers"
        return f"{shown} ({settings.sqlite_synchronous}: {meaning})"
    return shown
