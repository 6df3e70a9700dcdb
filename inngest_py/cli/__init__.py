"""The command line, by click: one file per command."""

from importlib import import_module

import click

from ..loading import without_collections
from ..version import __version__

# Every command, with its module. So `send` does not import all of the server's code.
_MODULES = {
    "dev": "serve",
    "start": "serve",
    "api": "serve",
    "worker": "worker",
    "check": "check",
    "db": "db",
    "send": "client",
    "runs": "client",
    "errors": "errors.commands",
    "functions": "functions",
    "users": "users",
    "tokens": "tokens.commands",
    "apps": "apps",
    "celery": "celery.apps",
    "connections": "connections",
    "alerts": "alerts",
    "clock": "clock",
    "outbox-relay": "outbox",
    "replay": "replay",
    "replay-events": "operations.commands",
    "operations": "operations.commands",
}


class _Commands(click.Group):
    """Imports a command's module only when the command is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _MODULES:
            return None
        with without_collections():
            module = import_module(f".{_MODULES[cmd_name]}", __package__)
        found: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return found


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="inngest-py")
def cli() -> None:
    """A durable function server that speaks the Inngest protocol."""
