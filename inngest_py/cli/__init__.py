"""The command line, by click: one file per command."""

import click

from ..version import __version__
from .lazy import lazy_group

# Every command, with its module. So `send` does not import all of the server's code.
_MODULES = {
    "dev": "serve",
    "start": "serve",
    "api": "serve",
    "worker": "worker",
    "check": "check",
    "db": "db",
    "backup": "data.backups",
    "restore": "data.backups",
    "send": "events.commands",
    "events": "events.commands",
    "runs": "runs.commands",
    "tail": "runs.tail",
    "errors": "errors.commands",
    "functions": "functions",
    "users": "users",
    "tokens": "tokens.commands",
    "apps": "apps.commands",
    "celery": "celery.apps",
    "connections": "connections",
    "alerts": "alerts",
    "clock": "clock",
    "outbox-relay": "outbox",
    "replay": "replay",
    "replay-events": "operations.commands",
    "operations": "operations.commands",
    "completion": "completion.commands",
}


@click.group(
    cls=lazy_group({name: f"{__package__}.{module}" for name, module in _MODULES.items()}),
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="inngest-py")
def cli() -> None:
    """A durable function server that speaks the Inngest protocol."""
